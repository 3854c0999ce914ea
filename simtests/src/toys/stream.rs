//! A connection: an echo sends back what it receives, a caller compares.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use vaquita_core::ids::{ConnId, Endpoint};
use vaquita_core::io::{Effect, ExitCode, Input, Machine};
use vaquita_core::prng::Prng;
use vaquita_core::time::Timestamp;

use super::Out;

/// Time between two messages.
const PERIOD: Duration = Duration::from_millis(700);
/// Silence, with something unanswered, after which a caller gives a connection up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Wait before it dials again.
const REDIAL: Duration = Duration::from_millis(200);

/// Sends back what it receives.
#[derive(Debug, Default)]
pub struct Echo {
    open: BTreeSet<ConnId>,
    out: Out,
}

impl Machine for Echo {
    fn handle(&mut self, _: Timestamp, input: Input) {
        match input {
            Input::Accepted { conn, .. } => {
                assert!(
                    self.open.insert(conn),
                    "connection {conn} was accepted twice"
                );
            }
            Input::Received { conn, bytes } => {
                assert!(
                    self.open.contains(&conn),
                    "bytes came on {conn}, which is not open"
                );
                self.out.push(Effect::Send { conn, bytes });
            }
            Input::Closed { conn, .. } => {
                assert!(
                    self.open.remove(&conn),
                    "{conn} was closed, which is not open"
                );
            }
            Input::Terminate => self.out.exit(ExitCode::Success, "asked to end"),
            _ => {}
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.out.next()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn check_invariants(&self) {}
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Waiting,
    Dialling(ConnId),
    Open(ConnId),
}

/// Talks to an echo and compares what comes back.
#[derive(Debug)]
pub struct Caller {
    echo: Endpoint,
    line: Line,
    last_conn: u64,
    /// What was sent on this connection and has not come back, in order.
    expected: VecDeque<u8>,
    /// When something last came back, or nothing was missing.
    at_peace: Timestamp,
    next: Timestamp,
    /// Bytes that came back as they were sent.
    pub returned: u64,
    /// Connections that opened.
    pub opened: u64,
    prng: Prng,
    out: Out,
}

impl Caller {
    pub(super) fn new(echo: Endpoint, prng: Prng, now: Timestamp) -> Self {
        Self {
            echo,
            line: Line::Waiting,
            last_conn: 0,
            expected: VecDeque::new(),
            at_peace: now,
            next: now.after(REDIAL),
            returned: 0,
            opened: 0,
            prng,
            out: Out::default(),
        }
    }

    fn lost(&mut self, now: Timestamp) {
        self.line = Line::Waiting;
        self.expected.clear();
        self.next = now.after(REDIAL);
    }

    fn due(&mut self, now: Timestamp) {
        match self.line {
            Line::Waiting => {
                self.last_conn += 2;
                let conn = ConnId(self.last_conn);
                self.line = Line::Dialling(conn);
                self.out.push(Effect::Connect {
                    conn,
                    to: self.echo.clone(),
                });
                self.next = now.after(Duration::from_secs(3600));
            }
            Line::Dialling(_) => self.next = now.after(Duration::from_secs(3600)),
            Line::Open(conn) => {
                let patient = self.expected.is_empty() || now.since(self.at_peace) < PATIENCE;
                if !patient {
                    self.out
                        .notify("caller.gave_up", "the echo does not answer");
                    self.out.push(Effect::Close { conn });
                    self.lost(now);
                    return;
                }
                if self.expected.is_empty() {
                    self.at_peace = now;
                }
                let len = 1 + self.prng.below(3_000);
                let bytes: Vec<u8> = (0..len)
                    .map(|_| self.prng.next_u64().to_le_bytes()[0])
                    .collect();
                self.expected.extend(&bytes);
                self.out.push(Effect::Send { conn, bytes });
                self.next = now.after(self.prng.jitter(PERIOD, 30));
            }
        }
    }
}

impl Machine for Caller {
    fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Connected { conn, .. } => {
                assert_eq!(
                    self.line,
                    Line::Dialling(conn),
                    "a connection opens that was dialled"
                );
                self.line = Line::Open(conn);
                self.opened += 1;
                self.at_peace = now;
                self.next = now.after(Duration::from_millis(1));
            }
            Input::Received { bytes, .. } => {
                for byte in &bytes {
                    let expected = self.expected.pop_front();
                    assert_eq!(
                        expected,
                        Some(*byte),
                        "a stream carries bytes whole and in order"
                    );
                }
                self.returned += bytes.len() as u64;
                self.at_peace = now;
            }
            Input::Closed { reason, .. } => {
                self.out.notify("caller.closed", reason.to_string());
                self.lost(now);
            }
            Input::Terminate => self.out.exit(ExitCode::Success, "asked to end"),
            _ => {}
        }
        if now >= self.next {
            self.due(now);
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.out.next()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        Some(self.next)
    }

    fn check_invariants(&self) {
        let idle = matches!(self.line, Line::Waiting | Line::Dialling(_));
        assert!(
            !idle || self.expected.is_empty(),
            "nothing is expected on no connection"
        );
    }
}
