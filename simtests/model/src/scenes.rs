//! What searches begin with, and what they have to be able to come back to.

use vaquita_core::admin::NodeState;
use vaquita_core::membership::Health;

use crate::action::{Action, progress};
use crate::model::{Notice, step, unwatched};
use crate::setup::{CONTROLLER, Place, Setup};
use crate::site::{Site, Spot};

/// Steps after which something that should happen by itself will not.
const STEPS_MAX: usize = 2_000;

/// What happens next if nothing goes wrong: everything that is on its way arrives, dead processes are
/// started, and then time moves on.
#[must_use]
pub fn next_by_itself(setup: &Setup, site: &Site) -> Action {
    let mut actions = Vec::new();
    progress(setup, site, &mut actions);
    actions.first().copied().unwrap_or(Action::Pass)
}

/// Lets everything go its way until something is so.
///
/// # Errors
/// If something goes wrong, or it is not so in good time; with what was told meanwhile.
fn until(
    setup: &Setup,
    site: &Site,
    what: &str,
    take: fn(&Setup, &Site, Action) -> (Site, Vec<Notice>),
    so: impl Fn(&Site) -> bool,
) -> Result<Site, String> {
    let mut told: Vec<Notice> = Vec::new();
    let mut site = site.clone();
    for _ in 0..STEPS_MAX {
        if so(&site) {
            return Ok(site);
        }
        let action = next_by_itself(setup, &site);
        let (after, notices) = take(setup, &site, action);
        told.extend(notices);
        site = after;
        if let Some(wrong) = &site.wrong {
            return Err(format!("{wrong}, while {what} was waited for"));
        }
    }
    let last = told.iter().rev().take(12).rev();
    let last: Vec<_> = last
        .map(|(place, _, text)| format!("{}: {text}", setup.name(*place)))
        .collect();
    Err(format!(
        "not in good time: {what}; last: {}",
        last.join(" | ")
    ))
}

/// Whether a data node is online by its own word and by the controller's.
#[must_use]
pub fn is_online(setup: &Setup, site: &Site, place: Place) -> bool {
    let alias = setup.alias(place);
    let own = site.node(place).is_some_and(|node| {
        let (_, _, _, fenced) = node.identity();
        node.state() == NodeState::Online && !fenced
    });
    let controllers = site.controller().is_some_and(|controller| {
        let epoch = controller.state().registry.get(&alias).map(|it| it.epoch);
        let mine = site.node(place).map(|node| node.identity().2);
        controller.health_of(&alias) == Some(Health::Alive) && epoch == mine
    });
    own && controllers
}

/// Whether each alias has a process that is online, and nothing is on its way.
fn is_quiet(setup: &Setup, site: &Site) -> bool {
    let mut aliases = site.node_places().filter(|it| it.0 <= setup.nodes);
    let mut open = Vec::new();
    progress(setup, site, &mut open);
    open.is_empty() && aliases.all(|place| is_online(setup, site, place))
}

/// A cluster in which everything is online and nothing is on its way.
///
/// # Errors
/// If that is not reached.
pub fn online(setup: &Setup) -> Result<Site, String> {
    let mut site = Site::empty(setup);
    let impostor = setup.impostor.then(|| Place(setup.nodes + 1));
    if let Some(place) = impostor {
        site.spot_mut(place).may_start = false;
    }
    let quiet = |site: &Site| is_quiet(setup, site);
    let mut site = until(setup, &site, "everything is online", unwatched, quiet)?;
    if let Some(place) = impostor {
        let Spot { home, volume, .. } = site.spot(Place(1)).clone();
        let copy = site.spot_mut(place);
        (copy.home, copy.volume, copy.may_start) = (home, volume, true);
    }
    site.settle();
    Ok(site)
}

/// The same, with a file on two nodes; the client goes on with another content.
///
/// # Errors
/// If that is not reached.
pub fn written(setup: &Setup, site: &Site) -> Result<Site, String> {
    let mut site = site.clone();
    site.budget.tries = 1;
    let (site, _) = unwatched(setup, &site, Action::Write(Place(1)));
    let there = |site: &Site| site.client.told.is_some() && is_quiet(setup, site);
    let mut site = until(setup, &site, "a file is written", unwatched, there)?;
    site.client.told = None;
    site.client.version += 1;
    site.client.attempts = 0;
    site.settle();
    Ok(site)
}

/// Whether, without further faults, every alias gets a process that is registered again.
///
/// # Errors
/// If one does not.
pub fn recovers(setup: &Setup, site: &Site) -> Result<(), String> {
    let mut calm = site.clone();
    calm.client.attempt = None;
    calm.cuts.clear();
    for place in calm.node_places() {
        // Who is not there need not come; of two of one alias one suffices.
        if place.0 > setup.nodes && calm.running(place).is_none() {
            calm.spot_mut(place).may_start = false;
        }
    }
    let served = |site: &Site| {
        (1..=setup.nodes).all(|node| {
            let alias = setup.alias(Place(node));
            let mut places = site.node_places().filter(|it| setup.alias(*it) == alias);
            places.any(|place| is_online(setup, site, place))
        }) && site.running(CONTROLLER).is_some()
    };
    until(setup, &calm, "every node is registered again", step, served).map(drop)
}
