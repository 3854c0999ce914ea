//! One measurement: so many clients, one kind of operation, for a while.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use vaquita_bench::content::{Content, scatter};
use vaquita_bench::cpu;
use vaquita_bench::http::{Client, Failure};
use vaquita_bench::servers::Servers;
use vaquita_bench::stop::Stop;

use crate::plain::Copies;

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Put,
    Get,
}

/// Where files are.
pub(super) enum Place<'a> {
    Cluster {
        /// `HOST:PORT` of each data node.
        nodes: &'a [String],
        token: &'a str,
        /// A directory of the file system.
        directory: &'a str,
    },
    Plain(&'a Copies),
}

/// A size and a number of clients.
pub(super) struct Cell<'a> {
    pub(super) size: usize,
    pub(super) clients: usize,
    /// For how long operations are begun.
    pub(super) time: Duration,
    pub(super) content: &'a Content,
    pub(super) stop: &'a Stop,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// How long each operation took that succeeded, in rising order.
    pub(super) latencies: Vec<Duration>,
    /// How many failed, by what the failure was.
    pub(super) errors: BTreeMap<String, u64>,
    /// From the first beginning to the last end.
    pub(super) wall: Duration,
    /// Processor time of this process meanwhile.
    pub(super) client_cpu: Duration,
    /// Processor time of the server processes meanwhile, where they are known.
    pub(super) server_cpu: Option<Duration>,
}

impl Measured {
    /// Operations that succeeded.
    pub(super) fn done(&self) -> usize {
        self.latencies.len()
    }

    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(super) fn per_second(&self) -> f64 {
        self.done() as f64 / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The latency that this share of the operations did not exceed.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (share * self.latencies.len() as f64).ceil() as usize;
        let at = at.saturating_sub(1).min(last);
        self.latencies.get(at).copied().unwrap_or_default()
    }

    /// Processor time of this process for one operation.
    pub(super) fn client_cpu_each(&self) -> Duration {
        each(self.client_cpu, self.done())
    }

    /// Processor time of the servers for one operation.
    pub(super) fn server_cpu_each(&self) -> Option<Duration> {
        self.server_cpu.map(|all| each(all, self.done()))
    }
}

fn each(all: Duration, operations: usize) -> Duration {
    all / u32::try_from(operations.max(1)).unwrap_or(u32::MAX)
}

/// What one client has seen.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    errors: BTreeMap<String, u64>,
    /// Files that it wrote.
    files: Vec<u64>,
    ended: Option<Instant>,
}

/// How long a client waits after a failure, so that a refusal is not all that is measured.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

impl Cell<'_> {
    /// Measures. Returns the files that were written, too; `files` are those to read.
    ///
    /// It begins when each client is connected, and is an error where one is not.
    pub(super) fn run(
        &self,
        kind: Kind,
        place: &Place<'_>,
        files: &[u64],
        servers: Option<&Servers>,
    ) -> Result<(Measured, Vec<u64>), String> {
        let hands: Result<Vec<Hands<'_>>, String> = (0..self.clients)
            .map(|number| Hands::new(place, number, self.stop))
            .collect();
        let hands = hands?;
        // What the disk still has to do is nobody's fault here.
        rustix::fs::sync();
        let pids = servers.map(Servers::pids).transpose()?;
        let used = || (cpu::own(), pids.as_deref().map(cpu::of));
        let (seen, began, before) = thread::scope(|scope| {
            let (ready, all_ready) = mpsc::channel();
            let mut threads = Vec::new();
            // Each client waits for its sign; it goes without work where the other end is gone.
            let mut signs = Vec::new();
            let mut begun = Ok(());
            for (number, mut hands) in hands.into_iter().enumerate() {
                let ready = ready.clone();
                let (sign, go) = mpsc::channel::<()>();
                let client = move || {
                    let greeted = hands.greet();
                    let is_there = greeted.is_ok();
                    // It is received below, whatever it is.
                    let _ = ready.send(greeted.map_err(|failure| format!("a client: {failure}")));
                    // Nobody waits for one that ended before this, when all others are ready.
                    drop(ready);
                    match go.recv() {
                        Ok(()) if is_there => self.work(kind, number, hands, files),
                        _ => Seen::default(),
                    }
                };
                match thread::Builder::new().spawn_scoped(scope, client) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        begun = Err(format!("no thread for client {number}: {error}"));
                        break;
                    }
                }
                signs.push(sign);
            }
            drop(ready);
            for _ in &signs {
                let said = all_ready.recv();
                begun = begun.and(said.unwrap_or_else(|_| Err("a client has ended".to_owned())));
            }
            let before = used();
            let began = Instant::now();
            if begun.is_ok() {
                for sign in &signs {
                    // One that is gone is noticed below.
                    let _ = sign.send(());
                }
            }
            drop(signs);
            // All are waited for, whatever has become of some.
            let seen: Vec<Result<Seen, String>> = threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .map_err(|_| "a client has panicked".to_owned())
                })
                .collect();
            let seen: Result<Vec<Seen>, String> = seen.into_iter().collect();
            (begun.and(seen), began, before)
        });
        if self.stop.is_wanted() {
            return Err("stopped".to_owned());
        }
        let (seen, after) = (seen?, used());
        if let Some((servers, pids)) = servers.zip(pids.as_deref()) {
            servers.are_still(pids)?;
        }
        let mut measured = Measured {
            client_cpu: after.0.saturating_sub(before.0),
            server_cpu: after
                .1
                .zip(before.1)
                .map(|(after, before)| after.saturating_sub(before)),
            ..Measured::default()
        };
        let mut written = Vec::new();
        for client in seen {
            if let Some(ended) = client.ended {
                measured.wall = measured.wall.max(ended.duration_since(began));
            }
            measured.latencies.extend(client.latencies);
            for (kind, count) in client.errors {
                *measured.errors.entry(kind).or_default() += count;
            }
            written.extend(client.files);
        }
        measured.latencies.sort_unstable();
        Ok((measured, written))
    }

    /// What one client does: at least one operation.
    fn work(&self, kind: Kind, number: usize, mut hands: Hands<'_>, files: &[u64]) -> Seen {
        let mut seen = Seen::default();
        let begun = Instant::now();
        let mut turn = 0_u64;
        while !self.stop.is_wanted() && (turn == 0 || begun.elapsed() < self.time) {
            let own = (number as u64) << 40 | turn;
            let file = match kind {
                Kind::Put => own,
                Kind::Get => files[(scatter(own) % files.len() as u64) as usize],
            };
            turn += 1;
            let name = format!("{file:x}");
            let bytes = self.content.of(file, self.size);
            let began = Instant::now();
            let done = match kind {
                Kind::Put => hands.put(&name, bytes),
                Kind::Get => hands.get(&name, bytes),
            };
            match done {
                Ok(()) => {
                    seen.latencies.push(began.elapsed());
                    seen.files.push(file);
                }
                Err(failure) => {
                    *seen.errors.entry(failure.to_string()).or_default() += 1;
                    self.stop.sleep(AFTER_FAILURE);
                }
            }
        }
        seen.ended = Some(Instant::now());
        seen
    }
}

/// What a client does its work with.
enum Hands<'a> {
    Cluster {
        client: Box<Client>,
        directory: &'a str,
    },
    Plain {
        copies: &'a Copies,
        number: usize,
        piece: Vec<u8>,
    },
}

impl<'a> Hands<'a> {
    fn new(place: &Place<'a>, number: usize, stop: &Stop) -> Result<Self, String> {
        match place {
            Place::Cluster {
                nodes,
                token,
                directory,
            } => {
                let node = &nodes[number % nodes.len()];
                let client = Box::new(Client::new(node, Some(token), stop)?);
                Ok(Self::Cluster { client, directory })
            }
            Place::Plain(copies) => Ok(Self::Plain {
                copies,
                number,
                piece: Vec::new(),
            }),
        }
    }

    /// Makes ready, so that it is no part of the first operation.
    fn greet(&mut self) -> Result<(), Failure> {
        match self {
            Self::Cluster { client, .. } => client.greet(),
            Self::Plain { .. } => Ok(()),
        }
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Cluster { client, directory } => {
                client.put(&format!("{directory}/{name}"), bytes)
            }
            Self::Plain { copies, .. } => copies.put(name, bytes),
        }
    }

    fn get(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Cluster { client, directory } => {
                client.get(&format!("{directory}/{name}"), bytes)
            }
            Self::Plain {
                copies,
                number,
                piece,
            } => copies.get(*number, name, bytes, piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measures puts of plain files by so many clients.
    fn run(clients: usize, place: &Place<'_>) -> Result<(Measured, Vec<u64>), String> {
        let (content, stop) = (Content::new(16), Stop::default());
        let cell = Cell {
            size: 16,
            clients,
            time: Duration::ZERO,
            content: &content,
            stop: &stop,
        };
        cell.run(Kind::Put, place, &[], None)
    }

    #[test]
    fn each_client_does_at_least_one_operation() {
        let room = tempfile::tempdir().unwrap();
        let copies = Copies::make(room.path(), 2).unwrap();
        let (measured, files) = run(3, &Place::Plain(&copies)).unwrap();
        assert_eq!((measured.done(), measured.failed(), files.len()), (3, 0, 3));
    }

    #[test]
    fn a_client_that_is_not_connected_is_an_error_and_no_end_without_a_beginning() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nodes = [listener.local_addr().unwrap().to_string()];
        drop(listener);
        let place = Place::Cluster {
            nodes: &nodes,
            token: "",
            directory: "none",
        };
        assert!(
            run(3, &place)
                .unwrap_err()
                .starts_with("a client: connection")
        );
    }

    #[test]
    fn a_client_that_panics_is_an_error() {
        let room = tempfile::tempdir().unwrap();
        let copies = Copies::make(room.path(), 1).unwrap();
        let (content, stop) = (Content::new(1), Stop::default());
        let cell = Cell {
            // More than there is content for.
            size: 2,
            clients: 2,
            time: Duration::ZERO,
            content: &content,
            stop: &stop,
        };
        let run = cell.run(Kind::Put, &Place::Plain(&copies), &[], None);
        assert_eq!(run.unwrap_err(), "a client has panicked");
    }

    #[test]
    fn quantiles_are_latencies_that_were_seen() {
        let mut measured = Measured::default();
        assert_eq!(measured.quantile(0.5), Duration::ZERO);
        measured.latencies = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(measured.quantile(0.5), Duration::from_millis(50));
        assert_eq!(measured.quantile(0.99), Duration::from_millis(99));
        assert_eq!(measured.quantile(1.0), Duration::from_millis(100));
    }
}
