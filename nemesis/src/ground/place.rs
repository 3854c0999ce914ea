//! Where the processes of a host are started: a thread that may have a network of its own, which whatever it
//! starts inherits.

use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use super::tools::run;

type Work = Box<dyn FnOnce() + Send>;

/// A thread that does what it is asked to, one after the other.
#[derive(Debug)]
pub(crate) struct Place {
    work: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Place {
    /// A place in the network of this process.
    pub(crate) fn here() -> Self {
        let (work, todo) = mpsc::channel::<Work>();
        let thread = thread::spawn(move || todo.into_iter().for_each(|work| work()));
        Self {
            work: Some(work),
            thread: Some(thread),
        }
    }

    /// A place with a network of its own that has one interface with this address; what is sent there comes
    /// out of the descriptor, and what is written to the descriptor arrives.
    pub(crate) fn apart(address: &str) -> Result<(Self, OwnedFd), String> {
        let place = Self::here();
        let address = address.to_owned();
        let wire = place.run(move || {
            unshare_network()?;
            wire_up(&address)
        })?;
        Ok((place, wire))
    }

    /// Has something done there.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = mpsc::sync_channel(1);
        let work = Box::new(move || {
            // Whoever asked waits for it.
            let _ = answer.send(work());
        });
        let sender = self.work.as_ref().expect("it is taken by the end alone");
        sender
            .send(work)
            .expect("the thread of a place lives as long as it");
        answered
            .recv()
            .expect("what is done in a place does not panic")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked is told of by whoever asked it.
            let _ = thread.join();
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for the sake of descriptor tables, which are not taken apart here"
)]
fn unshare_network() -> Result<(), String> {
    let flags = rustix::thread::UnshareFlags::NEWNET;
    rustix::thread::unshare(flags).map_err(|errno| format!("no network of its own: {errno}"))
}

/// Gives the network that the caller is in one interface with this address.
pub(crate) fn wire_up(address: &str) -> Result<OwnedFd, String> {
    let wire = super::tun::tun("wire")?;
    run("ip", &["link", "set", "lo", "up"])?;
    run(
        "ip",
        &["addr", "add", &format!("{address}/24"), "dev", "wire"],
    )?;
    run("ip", &["link", "set", "wire", "up"])?;
    Ok(wire)
}
