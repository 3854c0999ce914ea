//! The state that is searched: all processes, disks and messages, and what may still go wrong.

use core::fmt;
use core::hash::{Hash, Hasher};
use std::collections::BTreeMap;
use std::sync::Arc;

use vaquita_core::controller::Controller;
use vaquita_core::datanode::DataNode;
use vaquita_core::time::Timestamp;

use crate::data::{Client, Transfer};
use crate::disk::Disk;
use crate::fingerprint::{Fingerprint, Summing};
use crate::network::Network;
use crate::process::{Process, Who};
use crate::rules::Ledger;
use crate::setup::{Budget, CONTROLLER, Place, Setup, Way};

/// Something that is shared between states until it changes, with its fingerprint.
#[derive(Clone, Debug)]
pub struct Shared<T> {
    value: Arc<T>,
    fingerprint: Fingerprint,
}

impl<T: Clone> Shared<T> {
    /// A value of its own.
    pub fn new(value: T, fingerprint: impl FnOnce(&T) -> Fingerprint) -> Self {
        let fingerprint = fingerprint(&value);
        Self {
            value: Arc::new(value),
            fingerprint,
        }
    }

    /// Changes it.
    pub fn change<R>(
        &mut self,
        fingerprint: impl FnOnce(&T) -> Fingerprint,
        change: impl FnOnce(&mut T) -> R,
    ) -> R {
        let result = change(Arc::make_mut(&mut self.value));
        self.fingerprint = fingerprint(&self.value);
        result
    }

    /// To be changed, and [`Shared::settle`]d afterwards.
    pub fn open(&mut self) -> &mut T {
        Arc::make_mut(&mut self.value)
    }

    /// Takes the fingerprint of what it has become.
    pub fn settle(&mut self, fingerprint: impl FnOnce(&T) -> Fingerprint) {
        self.fingerprint = fingerprint(&self.value);
    }

    /// Of the value, as it was when that was last asked for.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether both are one and the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value)
    }
}

impl<T> core::ops::Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// What is at a place.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The process, while there is one.
    pub process: Option<Shared<Process>>,
    /// How often one has started here.
    pub starts: u32,
    /// Whether one may be started here again.
    pub may_start: bool,
    /// The directory of its own.
    pub home: Shared<Disk>,
    /// The directory of its chunks.
    pub volume: Shared<Disk>,
}

/// A state.
#[derive(Clone)]
pub struct Site {
    /// By everybody's clock.
    pub now: Timestamp,
    /// By place.
    pub spots: Vec<Spot>,
    /// What is on its way between machines.
    pub network: Network,
    /// Nodes whose link with the controller is cut, and which way.
    pub cuts: BTreeMap<Place, Way>,
    /// Chunks on their way between drivers.
    pub transfers: BTreeMap<u32, Transfer>,
    /// Transfers so far.
    pub transferred: u32,
    /// Who writes a file.
    pub client: Client,
    /// What may still happen.
    pub budget: Budget,
    /// What was seen and must not be contradicted.
    pub ledger: Ledger,
    /// What is wrong, in words.
    pub wrong: Option<String>,
    fingerprint: Fingerprint,
}

impl Site {
    /// Places with empty disks.
    #[must_use]
    pub fn empty(setup: &Setup) -> Self {
        let disk = || Shared::new(Disk::default(), Disk::fingerprint);
        let spots = setup.places().map(|_| Spot {
            process: None,
            starts: 0,
            may_start: true,
            home: disk(),
            volume: disk(),
        });
        let mut site = Self {
            now: Timestamp::ZERO,
            spots: spots.collect(),
            network: Network::default(),
            cuts: BTreeMap::new(),
            transfers: BTreeMap::new(),
            transferred: 0,
            client: Client::default(),
            budget: Budget::default(),
            ledger: Ledger::default(),
            wrong: None,
            fingerprint: Fingerprint::default(),
        };
        site.settle();
        site
    }

    /// What is at a place.
    #[must_use]
    pub fn spot(&self, place: Place) -> &Spot {
        &self.spots[usize::from(place.0)]
    }

    /// The same, to be changed.
    pub fn spot_mut(&mut self, place: Place) -> &mut Spot {
        &mut self.spots[usize::from(place.0)]
    }

    /// The process that runs at a place.
    #[must_use]
    pub fn running(&self, place: Place) -> Option<Who> {
        let start = self.spot(place).process.as_ref()?.start;
        Some(Who { place, start })
    }

    /// A process, while it runs.
    #[must_use]
    pub fn process(&self, who: Who) -> Option<&Process> {
        let process = self.spot(who.place).process.as_ref()?;
        (process.start == who.start).then_some(process)
    }

    /// The controller, while it runs.
    #[must_use]
    pub fn controller(&self) -> Option<&Controller> {
        self.spot(CONTROLLER).process.as_ref()?.controller()
    }

    /// The data node at a place, while it runs.
    #[must_use]
    pub fn node(&self, place: Place) -> Option<&DataNode> {
        self.spot(place).process.as_ref()?.node()
    }

    /// Whether nothing passes from one place to another at present.
    #[must_use]
    pub fn is_cut(&self, from: Place, to: Place) -> bool {
        let out = (to == CONTROLLER).then(|| self.cuts.get(&from)).flatten();
        let back = (from == CONTROLLER).then(|| self.cuts.get(&to)).flatten();
        out.is_some_and(|way| *way != Way::In) || back.is_some_and(|way| *way != Way::Out)
    }

    /// All places but the controller's.
    pub fn node_places(&self) -> impl Iterator<Item = Place> + use<> {
        (1..u8::try_from(self.spots.len()).unwrap_or(u8::MAX)).map(Place)
    }

    /// Takes the fingerprint of what the state has become: everything that decides what can happen from
    /// here on, and what the rules will say of it.
    pub fn settle(&mut self) {
        let mut sum = Summing::default();
        sum.number(self.now.as_nanos());
        for spot in &self.spots {
            let process = spot.process.as_ref();
            sum.part(process.map_or_else(Fingerprint::default, Shared::fingerprint));
            sum.number(u64::from(spot.starts) * 2 + u64::from(spot.may_start));
            sum.part(spot.home.fingerprint());
            sum.part(spot.volume.fingerprint());
        }
        sum.part(self.network.fingerprint());
        let rest = (
            &self.cuts,
            &self.transfers,
            self.transferred,
            &self.client,
            &self.budget,
            &self.ledger,
            &self.wrong,
        );
        sum.part(Fingerprint::of_debug(&rest));
        self.fingerprint = sum.finish();
    }
}

impl PartialEq for Site {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Site {}

impl Hash for Site {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("now", &self.now)
            .field("budget", &self.budget)
            .field("wrong", &self.wrong)
            .finish_non_exhaustive()
    }
}
