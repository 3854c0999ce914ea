//! Registration and fencing.
//!
//! 1. An epoch is one process's for ever, and controllers act under epochs that grow.
//! 2. What a node was promised (its epoch, its controller's epoch) survives a loss of power of the
//!    controller's host at that very moment.
//! 3. No two processes of one alias act at a time: are registered, and have not fenced themselves.
//! 4. What was said under a void epoch changes nothing: it is not acknowledged, and nobody is taken for
//!    alive because of it.

use vaquita_core::ids::NodeEpoch;
use vaquita_core::message::Message;

use super::{Step, durable_state};
use crate::action::{Action, read};
use crate::network::Item;
use crate::process::Who;
use crate::setup::CONTROLLER;
use crate::site::Site;

pub(super) fn check(step: Step<'_>, after: &mut Site) -> Result<(), String> {
    epochs(step, after)?;
    promises(step, after)?;
    one_acts(step, after)?;
    void_words(step, after)
}

fn epochs(step: Step<'_>, after: &mut Site) -> Result<(), String> {
    let name = |who: Who| format!("{} (start {})", step.setup.name(who.place), who.start);
    for place in after.node_places() {
        let (Some(who), Some(node)) = (after.running(place), after.node(place)) else {
            continue;
        };
        let (_, _, spoken, _) = node.identity();
        if spoken == NodeEpoch(0) {
            continue;
        }
        let first = *after.ledger.spoken.entry(spoken).or_insert(who);
        if first != who {
            let (first, second) = (name(first), name(who));
            return Err(format!(
                "epoch {spoken} was given twice: to {first} and to {second}"
            ));
        }
    }
    let Some(controller) = after.controller() else {
        return Ok(());
    };
    let (epoch, acts) = controller.epoch();
    let start = after.spot(CONTROLLER).starts;
    if !acts {
        return Ok(());
    }
    if let Some((before, of)) = after.ledger.acted
        && of != start
        && before >= epoch
    {
        return Err(format!(
            "a controller acts under epoch {epoch} after one that acted under {before}"
        ));
    }
    after.ledger.acted = Some((epoch, start));
    Ok(())
}

fn promises(step: Step<'_>, after: &Site) -> Result<(), String> {
    for place in after.node_places() {
        let (before, now) = (step.before.running(place), after.running(place));
        let Some(node) = after.node(place) else {
            continue;
        };
        let told = |node: &vaquita_core::datanode::DataNode| {
            let (identity, ..) = node.identity();
            (identity.epoch, identity.witness.epoch)
        };
        let (epoch, controller) = told(node);
        let known = step.before.node(place).map(told);
        if before == now && known == Some((epoch, controller)) {
            continue;
        }
        if epoch == NodeEpoch(0) {
            continue;
        }
        let name = step.setup.name(place);
        let Some((state, _)) = durable_state(after)? else {
            return Err(format!(
                "{name} was promised epoch {epoch}, and there is no log"
            ));
        };
        let kept = state.registry.get(&step.setup.alias(place));
        let kept = kept.map(|registration| registration.epoch);
        if kept < Some(epoch) {
            return Err(format!(
                "{name} holds epoch {epoch}, and a loss of power of the controller's host would leave {kept:?}"
            ));
        }
        if state.controller_epoch() < controller {
            return Err(format!(
                "{name} was told of controller epoch {controller}, and a loss of power would leave {}",
                state.controller_epoch()
            ));
        }
    }
    Ok(())
}

fn one_acts(step: Step<'_>, after: &Site) -> Result<(), String> {
    let mut acting: Vec<Who> = Vec::new();
    for place in after.node_places() {
        let (Some(who), Some(node)) = (after.running(place), after.node(place)) else {
            continue;
        };
        let (_, _, spoken, fenced) = node.identity();
        if spoken == NodeEpoch(0) || fenced {
            continue;
        }
        let alias = step.setup.alias(place);
        if let Some(other) = acting.iter().find(|it| step.setup.alias(it.place) == alias) {
            return Err(format!(
                "{} and {} both act as {alias}",
                step.setup.name(other.place),
                step.setup.name(place)
            ));
        }
        acting.push(who);
    }
    Ok(())
}

/// What the controller is about to hear in a step, with who says it.
fn heard(step: Step<'_>) -> Option<(Who, Vec<u8>)> {
    match step.action {
        Action::Deliver(name, side) => {
            let pipe = step.before.network.pipes.get(&name)?;
            let (to, from) = (&pipe.0[side], &pipe.0[1 - side]);
            match to.inbox.front()? {
                Item::Bytes(bytes) if to.who.place == CONTROLLER => {
                    Some((from.who, bytes.to_vec()))
                }
                _ => None,
            }
        }
        Action::Datagram { from, to, .. } if to == CONTROLLER => {
            let bytes = step.before.network.datagrams.get(&(from, to))?;
            Some((from, bytes.to_vec()))
        }
        _ => None,
    }
}

fn void_words(step: Step<'_>, after: &Site) -> Result<(), String> {
    let Some((who, bytes)) = heard(step) else {
        return Ok(());
    };
    let Some((envelope, message)) = read(&bytes) else {
        return Ok(());
    };
    let (Some(before), Some(after)) = (step.before.controller(), after.controller()) else {
        return Ok(());
    };
    let alias = step.setup.alias(who.place);
    let current = before.state().registry.get(&alias).map(|it| it.epoch);
    let void =
        current != Some(envelope.node_epoch) || envelope.controller_epoch != before.epoch().0;
    if !void || matches!(message, Message::Register(_)) {
        return Ok(());
    }
    let name = step.setup.name(who.place);
    let what = format!(
        "{} of {name} under epoch {} of controller {}, which is void,",
        message.name(),
        envelope.node_epoch,
        envelope.controller_epoch
    );
    if step.answered {
        return Err(format!("{what} was acknowledged"));
    }
    let now = step.before.now;
    let seen = |controller: &vaquita_core::controller::Controller| {
        let rows = controller.rows(now);
        let row = rows.into_iter().find(|row| row.alias == alias);
        format!("{row:?} {:?}", controller.health_of(&alias))
    };
    let (was, is) = (seen(before), seen(after));
    if was != is {
        return Err(format!(
            "{what} has changed what is shown: from {was} to {is}"
        ));
    }
    Ok(())
}
