//! The places of HTTP connections: how many there are, how many of them one address may have, and who gives
//! way where all are taken.
//!
//! A connection that waits for a request costs nobody anything when it ends: its client opens another one. So
//! whoever comes where there is no place takes that of who has waited longest, and where an address has its
//! share, that of its own that has. Clients that begin requests and never get on with them keep nobody out by
//! that, however many they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long whoever comes waits until others have given way.
const GIVING_WAY: Duration = Duration::from_secs(1);

/// The places of a process.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    per_address: usize,
    state: Mutex<State>,
    /// A place has become free, or somebody who was asked to go stays.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    taken_by: BTreeMap<IpAddr, usize>,
    /// Those that wait for a request, by when they began to.
    waiting: BTreeMap<Turn, Waiting>,
    /// Those that were asked to go, and are neither gone nor at work yet.
    asked: BTreeSet<Turn>,
    next: Turn,
}

/// The how-manieth wait of any connection.
type Turn = u64;

#[derive(Debug)]
struct Waiting {
    address: IpAddr,
    notice: Arc<Notify>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All are taken by connections with a request under way.
    All(usize),
    /// This address has its share, by such ones.
    Address(usize),
}

impl Full {
    /// For whoever is refused.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::All(most) => {
                format!("{most} HTTP requests are under way, the most allowed. Try again later.")
            }
            Self::Address(most) => format!(
                "{most} HTTP requests from your address are under way, the most allowed. Try again when some \
                 of them have ended."
            ),
        }
    }
}

impl State {
    /// Asks who has waited longest to go; `None` if nobody waits whose place would help.
    fn ask(&mut self, full: Full, address: IpAddr) -> Option<Turn> {
        let helps = |it: &Waiting| matches!(full, Full::All(_)) || it.address == address;
        let turn = self.waiting.iter().find(|(_, it)| helps(it))?.0;
        let turn = *turn;
        let waiting = self.waiting.remove(&turn)?;
        self.asked.insert(turn);
        waiting.notice.notify_one();
        Some(turn)
    }
}

impl Places {
    pub(crate) fn new(all: usize, per_address: usize) -> Self {
        Self {
            all,
            per_address,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from this address. Addresses of this very host have no share of their own: a
    /// proxy on it carries many people.
    pub(crate) async fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let until = Instant::now() + GIVING_WAY;
        let mut asked = None;
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on, so that nothing is missed until it is waited for.
            changed.as_mut().enable();
            let full = match self.try_take(address) {
                Ok(place) => return Ok(place),
                Err(full) => full,
            };
            {
                let mut state = self.state();
                // Nobody more than one at a time, unless that one stays, or somebody was faster.
                if asked.is_none_or(|turn| !state.asked.contains(&turn)) {
                    asked = Some(state.ask(full, address).ok_or(full)?);
                }
            }
            if timeout_at(until, changed).await.is_err() {
                return Err(full);
            }
        }
    }

    fn try_take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let mut state = self.state();
        let by_address = state.taken_by.get(&address).copied().unwrap_or(0);
        if by_address >= self.per_address && !address.is_loopback() {
            return Err(Full::Address(self.per_address));
        }
        if state.taken >= self.all {
            return Err(Full::All(self.all));
        }
        state.taken += 1;
        state.taken_by.insert(address, by_address + 1);
        drop(state);
        Ok(Place {
            places: Arc::clone(self),
            address,
            notice: Arc::default(),
            waits_since: Mutex::default(),
        })
    }

    /// Waits until no place is taken.
    pub(super) async fn all_left(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.state().taken == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// The place of one HTTP connection, until it is dropped.
///
/// It is kept whatever others want, unless the service says that it [waits](Place::waits).
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    address: IpAddr,
    notice: Arc<Notify>,
    /// Its turn among those that wait or were asked to go, if it is one.
    waits_since: Mutex<Option<Turn>>,
}

impl Place {
    fn since(&self) -> MutexGuard<'_, Option<Turn>> {
        self.waits_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection waits for a request from now on, and gives way to others.
    pub fn waits(&self) {
        let mut since = self.since();
        if since.is_some() {
            return;
        }
        let mut state = self.places.state();
        let turn = state.next;
        state.next += 1;
        let waiting = Waiting {
            address: self.address,
            notice: Arc::clone(&self.notice),
        };
        state.waiting.insert(turn, waiting);
        *since = Some(turn);
    }

    /// A request is under way: the place is kept.
    pub fn works(&self) {
        let Some(turn) = self.since().take() else {
            return;
        };
        let mut state = self.places.state();
        state.waiting.remove(&turn);
        if state.asked.remove(&turn) {
            // Whoever has asked for it asks another one.
            self.places.changed.notify_waiters();
        }
    }

    /// Completes when the connection has to go for another one. Then it is waiting.
    pub async fn given_away(&self) {
        loop {
            self.notice.notified().await;
            // One that has begun with a request since it was asked stays.
            let since = *self.since();
            if since.is_some_and(|turn| self.places.state().asked.contains(&turn)) {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let turn = self.since().take();
        let mut state = self.places.state();
        if let Some(turn) = turn {
            state.waiting.remove(&turn);
            state.asked.remove(&turn);
        }
        state.taken -= 1;
        if let Some(taken) = state.taken_by.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                state.taken_by.remove(&self.address);
            }
        }
        drop(state);
        self.places.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    /// Holds a place until it is given away.
    fn hold(place: Place) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move { place.given_away().await })
    }

    /// Tries to take one, in a task of its own.
    fn taking(places: &Arc<Places>, from: IpAddr) -> tokio::task::JoinHandle<Result<(), Full>> {
        let places = Arc::clone(places);
        tokio::spawn(async move { places.take(from).await.map(drop) })
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_longest_gives_way_and_who_works_does_not() {
        let places = Arc::new(Places::new(3, 9));
        let works = places.take(address(1)).await.unwrap();
        let first = places.take(address(2)).await.unwrap();
        let second = places.take(address(3)).await.unwrap();
        works.waits();
        first.waits();
        second.waits();
        works.works();
        let (works, first, second) = (hold(works), hold(first), hold(second));
        let new = places.take(address(4)).await.unwrap();
        first.await.unwrap();
        assert!(!second.is_finished());
        let newer = places.take(address(5)).await.unwrap();
        second.await.unwrap();
        assert_eq!(places.take(address(6)).await.unwrap_err(), Full::All(3));
        assert!(!works.is_finished());
        drop((new, newer));
        works.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn where_one_that_was_asked_begins_with_a_request_another_one_goes() {
        let places = Arc::new(Places::new(2, 9));
        let first = Arc::new(places.take(address(1)).await.unwrap());
        let second = places.take(address(2)).await.unwrap();
        first.waits();
        second.waits();
        let second = hold(second);
        let taking = taking(&places, address(3));
        tokio::task::yield_now().await;
        // It was asked to go, and has begun before it has heard of it.
        first.works();
        let stays = Arc::clone(&first);
        let stays = tokio::spawn(async move { stays.given_away().await });
        assert_eq!(taking.await.unwrap(), Ok(()));
        second.await.unwrap();
        assert!(!stays.is_finished());
        stays.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_begins_with_a_request_in_that_moment_keeps_its_place() {
        let places = Arc::new(Places::new(1, 9));
        let place = Arc::new(places.take(address(1)).await.unwrap());
        place.waits();
        let kept = Arc::clone(&place);
        let refused = taking(&places, address(2));
        tokio::task::yield_now().await;
        place.works();
        let gone = tokio::spawn(async move { kept.given_away().await });
        assert_eq!(refused.await.unwrap(), Err(Full::All(1)));
        assert!(!gone.is_finished());
        place.waits();
        let taken = taking(&places, address(2));
        gone.await.unwrap();
        drop(place);
        assert_eq!(taken.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_share_and_this_host_has_none() {
        let places = Arc::new(Places::new(9, 1));
        let one = places.take(address(1)).await.unwrap();
        let other = places.take(address(2)).await.unwrap();
        other.waits();
        let other = hold(other);
        assert_eq!(places.take(address(1)).await.unwrap_err(), Full::Address(1));
        // Where its own one waits, that goes, and nobody else's.
        one.waits();
        let one = hold(one);
        let again = places.take(address(1)).await.unwrap();
        one.await.unwrap();
        assert!(!other.is_finished());
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let many = (
            places.take(loopback).await.unwrap(),
            places.take(loopback).await.unwrap(),
        );
        assert_eq!(places.state().taken_by.len(), 3);
        drop((again, many));
        other.abort();
        assert!(other.await.unwrap_err().is_cancelled());
        places.all_left().await;
        assert!(places.state().taken_by.is_empty());
    }
}
