//! Beats over datagrams: a beacon sends them, a hub counts each one once and answers it.

use std::time::Duration;

use vaquita_core::ids::Endpoint;
use vaquita_core::io::{Destination, Effect, ExitCode, Input, Machine};
use vaquita_core::prng::Prng;
use vaquita_core::time::Timestamp;

use super::{Bug, Out, seal, unseal};

/// Time between two beats.
const PERIOD: Duration = Duration::from_millis(500);
/// Silence after which the hub speaks of it.
const SILENCE: Duration = Duration::from_secs(8);

/// A beat as it travels: node, incarnation, number.
fn encode(node: u64, incarnation: u64, number: u64) -> Vec<u8> {
    let mut body = [0; 24];
    body[..8].copy_from_slice(&node.to_le_bytes());
    body[8..16].copy_from_slice(&incarnation.to_le_bytes());
    body[16..].copy_from_slice(&number.to_le_bytes());
    seal(&body)
}

fn decode(body: &[u8]) -> Option<(u64, u64, u64)> {
    let word = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    Some((word(0)?, word(8)?, word(16)?))
}

/// Sends a beat to its hub twice a second.
#[derive(Debug)]
pub struct Beacon {
    hub: Endpoint,
    node: u64,
    incarnation: u64,
    /// Beats sent.
    pub sent: u64,
    /// Answers that came, copies included.
    pub answered: u64,
    prng: Prng,
    next: Timestamp,
    bug: Option<Bug>,
    out: Out,
}

impl Beacon {
    pub(super) fn new(
        hub: Endpoint,
        node: u64,
        incarnation: u64,
        mut prng: Prng,
        now: Timestamp,
        bug: Option<Bug>,
    ) -> Self {
        let next = now.after(prng.jitter(PERIOD, 100));
        Self {
            hub,
            node,
            incarnation,
            sent: 0,
            answered: 0,
            prng,
            next,
            bug,
            out: Out::default(),
        }
    }

    /// What a careless programmer lets in.
    fn impurity(&self) -> u64 {
        match self.bug {
            Some(Bug::DependsOnAddress) => {
                let somewhere = Box::new(0_u8);
                std::ptr::from_ref(somewhere.as_ref()).addr() as u64 >> 12
            }
            Some(Bug::DependsOnHashOrder) => hash_order(),
            _ => 0,
        }
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "this is the mistake that a test plants"
)]
fn hash_order() -> u64 {
    let table: std::collections::HashSet<u64> = (0..8).collect();
    table.iter().fold(0, |order, entry| order * 8 + entry)
}

impl Machine for Beacon {
    fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Terminate => self.out.exit(ExitCode::Success, "asked to end"),
            Input::Datagram { bytes, .. } => {
                let own = unseal(&bytes)
                    .filter(|(_, sound)| *sound)
                    .and_then(|(body, _)| decode(body))
                    .is_some_and(|(node, incarnation, _)| {
                        node == self.node && incarnation == self.incarnation
                    });
                self.answered += u64::from(own);
            }
            _ => {}
        }
        if now >= self.next {
            self.sent += 1;
            let bytes = encode(self.node, self.incarnation, self.sent);
            self.out.push(Effect::SendDatagram {
                to: Destination::Endpoint(self.hub.clone()),
                bytes,
            });
            let extra = Duration::from_nanos(self.impurity() % 1_000_000);
            self.next = now.after(self.prng.jitter(PERIOD, 10) + extra);
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.out.next()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        Some(self.next)
    }

    fn check_invariants(&self) {}
}

/// What a hub knows of one beacon.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Its newest incarnation.
    pub incarnation: u64,
    /// The newest beat of it.
    pub number: u64,
    /// How many beats of it were counted.
    pub counted: u64,
    at: Timestamp,
    silent: bool,
}

/// Counts beats, and answers them.
#[derive(Debug)]
pub struct Hub {
    heard: Vec<Heard>,
    next_look: Timestamp,
    bug: Option<Bug>,
    out: Out,
}

impl Hub {
    pub(super) fn new(now: Timestamp, bug: Option<Bug>) -> Self {
        Self {
            heard: Vec::new(),
            next_look: now.after(PERIOD),
            bug,
            out: Out::default(),
        }
    }

    /// What it knows, by the number of the node.
    #[must_use]
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// How many nodes it hears at present.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.heard
            .iter()
            .filter(|heard| heard.counted > 0 && !heard.silent)
            .count()
    }

    fn beat(&mut self, now: Timestamp, node: u64, incarnation: u64, number: u64) -> bool {
        const NODES: usize = 10_000;
        let Some(at) = usize::try_from(node).ok().filter(|at| *at < NODES) else {
            return false;
        };
        if self.heard.len() <= at {
            self.heard.resize(at + 1, Heard::default());
        }
        let heard = &mut self.heard[at];
        if incarnation < heard.incarnation {
            return false;
        }
        if incarnation > heard.incarnation {
            *heard = Heard {
                incarnation,
                ..Heard::default()
            };
        }
        let fresh = number > heard.number;
        if fresh || self.bug == Some(Bug::CountsCopies) {
            heard.counted += 1;
            heard.number = heard.number.max(number);
        }
        if fresh {
            heard.at = now;
            heard.silent = false;
        }
        true
    }
}

impl Machine for Hub {
    fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Datagram { from, bytes } => {
                let Some((body, sound)) = unseal(&bytes) else {
                    return;
                };
                if !sound && self.bug != Some(Bug::IgnoresChecksum) {
                    return;
                }
                let Some((node, incarnation, number)) = decode(body) else {
                    return;
                };
                if self.beat(now, node, incarnation, number) {
                    let bytes = seal(body);
                    self.out.push(Effect::SendDatagram {
                        to: Destination::Address(from),
                        bytes,
                    });
                }
            }
            Input::DatagramsDropped { count } => {
                self.out
                    .notify("hub.dropped", format!("{count} datagrams were dropped"));
            }
            Input::Terminate => self.out.exit(ExitCode::Success, "asked to end"),
            _ => {}
        }
        if now >= self.next_look {
            self.next_look = now.after(PERIOD);
            for (node, heard) in self.heard.iter_mut().enumerate() {
                if heard.counted > 0 && !heard.silent && now.since(heard.at) > SILENCE {
                    heard.silent = true;
                    self.out
                        .notify("hub.silence", format!("node {node} is silent"));
                }
            }
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.out.next()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        Some(self.next_look)
    }

    fn check_invariants(&self) {
        assert!(
            self.heard.len() <= 10_000,
            "a hub knows at most 10000 nodes"
        );
    }
}
