//! The network between hosts: each host's packets come out of a descriptor and are passed on, or are not.
//!
//! A kernel's own means (netem, a packet filter) are not on every machine, and each of them can do a part. Here
//! all is in one place: what passes from one port to another is cut, delayed or lost as the schedule says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vaquita_core::prng::Prng;

/// How long a thread waits before it looks whether everything is over.
const PERIOD: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// Longest packet, and more.
const PACKET_MAX: usize = 65_536;
/// Packets that are kept back at once; more are lost, as where a router's memory ends.
const DELAYED_MAX: usize = 20_000;

/// What happens to packets on all links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// How long each is under way, and up to as long again.
    pub(crate) delay: Duration,
    /// How many of a thousand are lost.
    pub(crate) lost: u16,
}

/// Packets that wait, the first to go first.
type Delayed = BinaryHeap<Reverse<(Instant, u64, usize, Vec<u8>)>>;

#[derive(Debug)]
struct Shared {
    wires: Vec<OwnedFd>,
    /// The last number of each port's address.
    addresses: Vec<u8>,
    ends: AtomicBool,
    state: Mutex<State>,
    /// Something is to be delayed.
    changed: Condvar,
    passed: AtomicU64,
    stopped: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// By the port from which and the one to which.
    cut: Vec<Vec<bool>>,
    weather: Weather,
    prng: Prng,
    delayed: Delayed,
    number: u64,
}

/// The network. Its threads end with it.
#[derive(Debug)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Hub {
    /// Joins ports, each with its descriptor and the last number of its address.
    pub(crate) fn join(ports: Vec<(OwnedFd, u8)>, seed: u64) -> Self {
        let count = ports.len();
        let (wires, addresses) = ports.into_iter().unzip();
        let shared = Arc::new(Shared {
            wires,
            addresses,
            ends: AtomicBool::new(false),
            state: Mutex::new(State {
                cut: vec![vec![false; count]; count],
                weather: Weather::default(),
                prng: Prng::new(seed),
                delayed: Delayed::new(),
                number: 0,
            }),
            changed: Condvar::new(),
            passed: AtomicU64::new(0),
            stopped: AtomicU64::new(0),
        });
        let mut threads = Vec::new();
        for port in 0..count {
            let shared = Arc::clone(&shared);
            threads.push(thread::spawn(move || shared.read(port)));
        }
        let late = Arc::clone(&shared);
        threads.push(thread::spawn(move || late.deliver()));
        Self { shared, threads }
    }

    /// Has nothing pass from one port to another, or everything again.
    pub(crate) fn cut(&self, from: usize, to: usize, is_cut: bool) {
        self.shared.lock().cut[from][to] = is_cut;
    }

    /// Sets what happens to packets on all links.
    pub(crate) fn set_weather(&self, weather: Weather) {
        self.shared.lock().weather = weather;
    }

    /// Packets that passed, and that were stopped.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (count(&self.shared.passed), count(&self.shared.stopped))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // One that has panicked has nothing to pass on any more.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a host sends, until everything is over.
    fn read(&self, from: usize) {
        let wire = &self.wires[from];
        let mut packet = vec![0; PACKET_MAX];
        while !self.ends.load(Ordering::SeqCst) {
            let mut ready = [PollFd::new(wire, PollFlags::IN)];
            if !poll(&mut ready, Some(&PERIOD)).is_ok_and(|count| count > 0) {
                continue;
            }
            if let Ok(len) = rustix::io::read(wire, &mut packet)
                && let Some(to) = self.port_of(&packet[..len])
            {
                self.take(from, to, &packet[..len]);
            }
        }
    }

    /// Where a packet goes; `None` if it is none of IPv4, or to nobody here.
    fn port_of(&self, packet: &[u8]) -> Option<usize> {
        let is_ipv4 = packet.len() >= 20 && packet[0] >> 4 == 4;
        let last = is_ipv4.then(|| packet[19])?;
        self.addresses.iter().position(|it| *it == last)
    }

    fn take(&self, from: usize, to: usize, packet: &[u8]) {
        let mut state = self.lock();
        let weather = state.weather;
        if state.cut[from][to] || state.prng.below(1000) < u64::from(weather.lost) {
            self.stopped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if weather.delay.is_zero() && state.delayed.is_empty() {
            drop(state);
            return self.pass(to, packet);
        }
        if state.delayed.len() >= DELAYED_MAX {
            self.stopped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let more = u64::try_from(weather.delay.as_micros()).unwrap_or(u64::MAX);
        let more = Duration::from_micros(state.prng.below(more));
        let due = Instant::now() + weather.delay + more;
        state.number += 1;
        let number = state.number;
        state
            .delayed
            .push(Reverse((due, number, to, packet.to_vec())));
        self.changed.notify_one();
    }

    fn pass(&self, to: usize, packet: &[u8]) {
        // A host whose buffer is full loses it, as anywhere.
        let passed = rustix::io::write(&self.wires[to], packet).is_ok();
        let count = if passed { &self.passed } else { &self.stopped };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Passes on what was kept back, when it is due.
    fn deliver(&self) {
        let mut state = self.lock();
        while !self.ends.load(Ordering::SeqCst) {
            let now = Instant::now();
            let due = state.delayed.peek().map(|Reverse((due, ..))| *due);
            match due {
                Some(due) if due <= now => {
                    if let Some(Reverse((_, _, to, packet))) = state.delayed.pop() {
                        drop(state);
                        self.pass(to, &packet);
                        state = self.lock();
                    }
                }
                _ => {
                    let wait = due.map_or(Duration::from_millis(50), |due| due - now);
                    let waited = self.changed.wait_timeout(state, wait);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }
}
