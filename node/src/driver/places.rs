//! The places of HTTP connections: how many there are, how many of them one address may have, and who gives
//! way where all are taken.
//!
//! A connection that waits for a request costs nobody anything when it ends: its client opens another one. So
//! whoever comes where there is no place takes that of who has waited longest. Clients that begin requests and
//! never get on with them keep nobody out by that, however many they are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long who gives way may take to be gone.
const GIVING_WAY: Duration = Duration::from_secs(1);

/// The places of a process.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    all: usize,
    per_address: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: BTreeMap<IpAddr, usize>,
    /// Those that wait for a request, by when they began to.
    waiting: BTreeMap<u64, Arc<Notify>>,
    turn: u64,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken by connections with a request under way.
    All(usize),
    /// This address has its share.
    Address(usize),
}

impl Full {
    /// For whoever is refused.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::All(most) => {
                format!("{most} HTTP connections are open, the most allowed. Try again later.")
            }
            Self::Address(most) => format!(
                "{most} HTTP connections from your address are open, the most allowed. Close some."
            ),
        }
    }
}

impl Places {
    pub(super) fn new(all: usize, per_address: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(all)),
            all,
            per_address,
            state: Mutex::default(),
        }
    }

    /// A place for a connection from this address. Addresses of this very host have no share of their own: a
    /// proxy on it carries many people.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let share = self.share(address)?;
        let free = Arc::clone(&self.free).try_acquire_owned().ok();
        let permit = match free {
            Some(permit) => permit,
            None => self.make_room().await.ok_or(Full::All(self.all))?,
        };
        Ok(Place {
            share,
            notice: Arc::default(),
            waits_since: Mutex::default(),
            _permit: permit,
        })
    }

    fn share(self: &Arc<Self>, address: IpAddr) -> Result<Share, Full> {
        let mut state = lock(&self.state);
        let taken = state.taken.entry(address).or_default();
        if *taken >= self.per_address && !address.is_loopback() {
            return Err(Full::Address(self.per_address));
        }
        *taken += 1;
        drop(state);
        Ok(Share {
            places: Arc::clone(self),
            address,
        })
    }

    /// Asks who has waited longest to go, and takes the place.
    async fn make_room(&self) -> Option<OwnedSemaphorePermit> {
        let (_, oldest) = lock(&self.state).waiting.pop_first()?;
        oldest.notify_one();
        // It may have begun with a request in this moment, and then keeps its place.
        let place = timeout(GIVING_WAY, Arc::clone(&self.free).acquire_owned());
        place.await.ok()?.ok()
    }

    /// Waits until no place is taken.
    pub(super) async fn all_left(&self) {
        let all = u32::try_from(self.all).unwrap_or(u32::MAX);
        drop(self.free.acquire_many(all).await);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds it can panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The share of an address, one connection less when it goes.
#[derive(Debug)]
struct Share {
    places: Arc<Places>,
    address: IpAddr,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = lock(&self.places.state);
        if let Some(taken) = state.taken.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                state.taken.remove(&self.address);
            }
        }
    }
}

/// The place of one HTTP connection, until it is dropped.
///
/// It is kept whatever others want, unless the service says that it [waits](Place::waits).
#[derive(Debug)]
pub struct Place {
    share: Share,
    notice: Arc<Notify>,
    /// Its turn among those that wait, if it does.
    waits_since: Mutex<Option<u64>>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// The connection waits for a request from now on, and gives way to others.
    pub fn waits(&self) {
        let mut since = lock(&self.waits_since);
        let mut state = lock(&self.share.places.state);
        if since.is_none() {
            let turn = state.turn;
            state.turn += 1;
            state.waiting.insert(turn, Arc::clone(&self.notice));
            *since = Some(turn);
        }
    }

    /// A request is under way: the place is kept.
    pub fn works(&self) {
        if let Some(turn) = lock(&self.waits_since).take() {
            lock(&self.share.places.state).waiting.remove(&turn);
        }
    }

    /// Completes when the connection has to go for another one. Then it is waiting.
    pub async fn given_away(&self) {
        loop {
            self.notice.notified().await;
            let since = *lock(&self.waits_since);
            let is_listed = |turn| lock(&self.share.places.state).waiting.contains_key(&turn);
            // One that has begun with a request since it was asked stays, and waits anew afterwards.
            if since.is_some_and(|turn| !is_listed(turn)) {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.works();
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
    async fn one_that_begins_with_a_request_in_that_moment_keeps_its_place() {
        let places = Arc::new(Places::new(1, 9));
        let place = Arc::new(places.take(address(1)).await.unwrap());
        place.waits();
        let kept = Arc::clone(&place);
        let taking = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take(address(2)).await.map(drop) }
        });
        tokio::task::yield_now().await;
        // It was asked to go, and has begun before it has heard of it.
        place.works();
        let gone = tokio::spawn(async move { kept.given_away().await });
        assert_eq!(taking.await.unwrap(), Err(Full::All(1)));
        assert!(!gone.is_finished());
        place.waits();
        let taking = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take(address(2)).await.map(drop) }
        });
        gone.await.unwrap();
        drop(place);
        assert_eq!(taking.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_this_host_has_none() {
        let places = Arc::new(Places::new(9, 1));
        let one = places.take(address(1)).await.unwrap();
        assert_eq!(places.take(address(1)).await.unwrap_err(), Full::Address(1));
        drop(one);
        let _one = places.take(address(1)).await.unwrap();
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let _many = (
            places.take(loopback).await.unwrap(),
            places.take(loopback).await.unwrap(),
        );
        assert_eq!(lock(&places.state).taken.len(), 2);
    }
}
