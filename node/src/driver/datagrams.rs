//! Datagrams: read in a task of their own, sent to addresses that are looked up and remembered.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};
use vaquita_core::ids::Endpoint;
use vaquita_core::io::{CloseReason, Input};
use vaquita_core::time::Timestamp;

use super::DriverLimits;
use super::throttle::Throttle;
use crate::env::{Env, Udp};

/// Longer than any datagram, so that one that is too long is seen to be.
const LONGEST_DATAGRAM: usize = 65_536;
/// How long reading pauses after an error, so that a broken socket is not a busy loop.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// Reads datagrams until the driver ends, and reports those the operating system dropped.
pub(super) async fn read_datagrams<E: Env>(
    env: E,
    udp: Arc<E::Udp>,
    inputs: mpsc::Sender<Input>,
    period: Duration,
) {
    let mut buffer = vec![0; LONGEST_DATAGRAM];
    let mut reported = udp.dropped();
    let mut last_report = env.now();
    let mut complaints = Throttle::default();
    loop {
        match udp.recv_from(&mut buffer).await {
            Ok((len, from)) => {
                let bytes = buffer[..len].to_vec();
                if inputs.send(Input::Datagram { from, bytes }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if let Some(suppressed) = complaints.admit(env.now()) {
                    warn!("cannot read datagrams: {error}; trying on{suppressed}");
                }
                sleep(PAUSE_AFTER_ERROR).await;
            }
        }
        let now = env.now();
        if now.since(last_report) >= period {
            last_report = now;
            let dropped = udp.dropped();
            let count = dropped.saturating_sub(reported);
            reported = dropped;
            let report = Input::DatagramsDropped { count };
            if count > 0 && inputs.send(report).await.is_err() {
                return;
            }
        }
    }
}

/// Where the datagrams to named places go.
///
/// A name is looked up when it is first used, again every
/// [`address_max_age`](DriverLimits::address_max_age) while it is in use, and when sending to its
/// address failed. An address that was found once is used until another one is found.
pub(super) struct Addresses<E: Env> {
    env: E,
    limits: Arc<DriverLimits>,
    known: BTreeMap<Endpoint, Entry>,
    lookups: JoinSet<(Endpoint, Result<SocketAddr, CloseReason>)>,
    complaints: Throttle,
}

struct Entry {
    address: Option<SocketAddr>,
    looked_up: Timestamp,
    looking: bool,
    waiting: VecDeque<Vec<u8>>,
}

impl<E: Env> Addresses<E> {
    pub(super) fn new(env: E, limits: Arc<DriverLimits>) -> Self {
        Self {
            env,
            limits,
            known: BTreeMap::new(),
            lookups: JoinSet::new(),
            complaints: Throttle::default(),
        }
    }

    /// Sends a datagram to a named place, at once or when its address is known.
    pub(super) fn send(&mut self, udp: &E::Udp, to: &Endpoint, bytes: Vec<u8>) {
        if let Ok(ip) = to.host.parse::<IpAddr>() {
            send(udp, SocketAddr::new(ip, to.port), &bytes);
            return;
        }
        if !self.known.contains_key(to) {
            while self.known.len() >= self.limits.addresses_max.max(1) {
                self.known.pop_first();
            }
            let entry = Entry {
                address: None,
                looked_up: Timestamp::ZERO,
                looking: false,
                waiting: VecDeque::new(),
            };
            self.known.insert(to.clone(), entry);
            self.look_up(to);
        }
        let now = self.env.now();
        let Some(entry) = self.known.get_mut(to) else {
            return;
        };
        let age = now.since(entry.looked_up);
        let stale = match entry.address {
            Some(address) => {
                let sent = send(udp, address, &bytes);
                age >= self.limits.address_max_age || (!sent && age >= self.limits.resolve_pause)
            }
            None => {
                while entry.waiting.len() >= self.limits.unresolved_datagrams.max(1) {
                    entry.waiting.pop_front();
                }
                entry.waiting.push_back(bytes);
                age >= self.limits.resolve_pause
            }
        };
        if stale {
            self.look_up(to);
        }
    }

    fn look_up(&mut self, to: &Endpoint) {
        let Some(entry) = self.known.get_mut(to) else {
            return;
        };
        if entry.looking {
            return;
        }
        entry.looking = true;
        let env = self.env.clone();
        let to = to.clone();
        let patience = self.limits.resolve_timeout;
        self.lookups.spawn(async move {
            let found = timeout(patience, env.resolve(&to)).await;
            (to, found.unwrap_or(Err(CloseReason::TimedOut)))
        });
    }

    /// Waits for the end of a look-up; for ever, if none is under way. Dropping the future loses
    /// nothing.
    pub(super) async fn lookup_ended(&mut self) -> LookedUp {
        match self.lookups.join_next().await {
            Some(Ok((to, result))) => LookedUp(Some((to, result))),
            Some(Err(_)) => LookedUp(None),
            None => std::future::pending().await,
        }
    }

    /// Remembers what a look-up found and sends what waited for it.
    pub(super) fn take(&mut self, udp: &E::Udp, LookedUp(found): LookedUp) {
        let Some((to, result)) = found else {
            return;
        };
        let now = self.env.now();
        let Some(entry) = self.known.get_mut(&to) else {
            return;
        };
        entry.looking = false;
        entry.looked_up = now;
        match result {
            Ok(address) => {
                entry.address = Some(address);
                for bytes in entry.waiting.drain(..) {
                    send(udp, address, &bytes);
                }
            }
            Err(reason) => {
                if let Some(suppressed) = self.complaints.admit(now) {
                    warn!(
                        "cannot look up the host of {to}: {reason}; trying on. Is the name right, \
                         and does this host's name service know it?{suppressed}"
                    );
                }
            }
        }
    }
}

/// What a look-up came to; opaque to the loop.
pub(super) struct LookedUp(Option<(Endpoint, Result<SocketAddr, CloseReason>)>);

/// Sends at once. A datagram may always be lost, so a failure is not told to the machine; what
/// follows from lost datagrams is its business.
pub(super) fn send<U: Udp>(udp: &U, to: SocketAddr, bytes: &[u8]) -> bool {
    match udp.try_send_to(bytes, to) {
        Ok(()) => true,
        Err(error) => {
            debug!("a datagram to {to} was not sent: {error}");
            false
        }
    }
}
