//! Asking a driver to end, and telling its helpers that it does.

use tokio::sync::{mpsc, watch};

/// A handle through which anything in the process asks it to end: a signal, the console, a test.
///
/// The first call lets the machine finish what it has to; a second one ends the driver at once.
#[derive(Clone, Debug)]
pub struct Terminator {
    calls: mpsc::Sender<()>,
}

/// The other end of a [`Terminator`]; belongs to the driver.
#[derive(Debug)]
pub struct Termination {
    pub(crate) calls: mpsc::Receiver<()>,
}

/// Makes the two ends.
#[must_use]
pub fn terminator() -> (Terminator, Termination) {
    // Two calls are all that mean anything, so a third that finds the queue full is lost on purpose.
    let (sender, receiver) = mpsc::channel(2);
    (
        Terminator { calls: sender },
        Termination { calls: receiver },
    )
}

impl Terminator {
    /// Asks once.
    pub fn terminate(&self) {
        let _ = self.calls.try_send(());
    }

    /// Completes when the driver has ended.
    pub async fn ended(&self) {
        self.calls.closed().await;
    }
}

/// Tells a connection's service that the process is ending: finish what runs, begin nothing.
#[derive(Clone, Debug)]
pub struct Closing {
    begun: watch::Receiver<bool>,
}

impl Closing {
    /// Completes when the process has begun to end.
    pub async fn begun(&mut self) {
        // An error means that the driver is gone, which is an end as well.
        let _ = self.begun.wait_for(|begun| *begun).await;
    }
}

/// The driver's side of [`Closing`].
#[derive(Debug)]
pub(crate) struct Close {
    sender: watch::Sender<bool>,
}

impl Close {
    pub(crate) fn new() -> (Self, Closing) {
        let (sender, begun) = watch::channel(false);
        (Self { sender }, Closing { begun })
    }

    pub(super) fn begin(&self) {
        self.sender.send_replace(true);
    }
}
