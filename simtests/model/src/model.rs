//! The model that the checker searches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use stateright::{Model, Property};

use crate::action::{self, Action};
use crate::rules::{self, Step};
use crate::search::clock;
use crate::setup::{CONTROLLER, Setup};
use crate::site::Site;
use crate::turn::Turn;

/// Name of the only property: everything that must hold, since the first state in which something does
/// not is then the nearest.
pub const NOTHING_WRONG: &str = "nothing is wrong";

/// How often each kind of notice was given while states were made.
pub type Marks = BTreeMap<&'static str, u64>;

/// A cluster, from a state on.
#[derive(Debug)]
pub struct Cluster {
    /// What it is.
    pub setup: Setup,
    start: Site,
    marks: Mutex<Marks>,
    /// Whether every state is asked whether it leads back to an orderly one.
    pub recovery: bool,
    /// When to give up.
    pub until: Option<Instant>,
    given_up: AtomicBool,
}

impl Cluster {
    /// From a state on, with the setup's budget.
    #[must_use]
    pub fn new(setup: Setup, mut start: Site) -> Self {
        start.budget = setup.budget;
        start.settle();
        Self {
            setup,
            start,
            marks: Mutex::default(),
            recovery: false,
            until: None,
            given_up: AtomicBool::new(false),
        }
    }

    /// Whether there are states from which the search did not go on.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// What was told, and how often, in all steps so far.
    #[must_use]
    pub fn marks(&self) -> Marks {
        self.marks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The state behind an action, and what operators were told on the way.
    #[must_use]
    pub fn step(&self, site: &Site, action: Action) -> (Site, Vec<String>) {
        let (after, notices) = step(&self.setup, site, action);
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, name, _) in &notices {
            *marks.entry(name).or_default() += 1;
        }
        drop(marks);
        let words = notices
            .into_iter()
            .map(|(place, name, text)| format!("{}: {name}: {text}", self.setup.name(place)));
        (after, words.collect())
    }
}

/// A notice: whose, its name, its words.
pub type Notice = (crate::setup::Place, &'static str, String);

/// The state behind an action, with the rules applied.
#[must_use]
pub fn step(setup: &Setup, site: &Site, action: Action) -> (Site, Vec<Notice>) {
    take(setup, site, action, true)
}

/// The same, with nobody looking: for the way to the first state, where what a bug does is no finding.
#[must_use]
pub(crate) fn unwatched(setup: &Setup, site: &Site, action: Action) -> (Site, Vec<Notice>) {
    take(setup, site, action, false)
}

fn take(setup: &Setup, site: &Site, action: Action, watched: bool) -> (Site, Vec<Notice>) {
    let mut after = site.clone();
    let mut turn = Turn::new(setup, &mut after);
    turn.act(action);
    let answered = turn
        .datagrams
        .iter()
        .any(|(who, _)| who.place == CONTROLLER);
    let notices = core::mem::take(&mut turn.notices);
    if watched && after.wrong.is_none() {
        let step = Step {
            setup,
            before: site,
            action,
            answered,
        };
        after.wrong = rules::check(step, &mut after).err();
    }
    after.settle();
    (after, notices)
}

impl Model for Cluster {
    type State = Site;
    type Action = Action;

    fn init_states(&self) -> Vec<Site> {
        vec![self.start.clone()]
    }

    fn actions(&self, site: &Site, actions: &mut Vec<Action>) {
        if self.until.is_some_and(|until| clock() >= until) {
            self.given_up.store(true, Ordering::Relaxed);
            return;
        }
        action::possible(&self.setup, site, actions);
    }

    fn next_state(&self, site: &Site, action: Action) -> Option<Site> {
        let (mut after, _) = self.step(site, action);
        if self.recovery
            && after.wrong.is_none()
            && let Err(what) = crate::scenes::recovers(&self.setup, &after)
        {
            after.wrong = Some(what);
            after.settle();
        }
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(NOTHING_WRONG, |_, site: &Site| {
            site.wrong.is_none()
        })]
    }
}
