//! What can happen next, and how it is told.

use vaquita_core::disk::Lane;
use vaquita_core::message::{Envelope, Message};
use vaquita_core::wire::frame::FrameDecoder;

use crate::data::{Progress, Purpose, Wanted};
use crate::network::{Item, PipeName};
use crate::process::{Directory, Who};
use crate::setup::{CONTROLLER, Place, Setup, Way};
use crate::site::Site;
use crate::turn::Turn;

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The next thing comes out of a connection, on one side.
    Deliver(PipeName, usize),
    /// A datagram arrives, and perhaps once more later.
    Datagram {
        /// Whose.
        from: Who,
        /// Where.
        to: Place,
        /// Whether it may arrive again.
        stays: bool,
    },
    /// What a process has asked of a disk is done.
    Disk(Place, Directory, Lane),
    /// A question about a chunk arrives.
    Question(u32),
    /// The answer to one arrives.
    Answer(u32),
    /// A process begins.
    Start(Place),
    /// The client begins to write its file, at this entry.
    Write(Place),
    /// Time moves on.
    Pass,
    /// Nothing passes any more between a node and the controller.
    Cut(Place, Way),
    /// It passes again.
    Heal(Place),
    /// A connection breaks.
    Break(PipeName),
    /// The connection that carries a chunk breaks.
    BreakTransfer(u32),
    /// A process ends without a say.
    Crash {
        /// Whose.
        place: Place,
        /// Whether what it had asked of its disks was carried out.
        carried_out: bool,
        /// Whether what was not synced is gone.
        power: bool,
    },
}

/// All that can happen.
pub fn possible(setup: &Setup, site: &Site, actions: &mut Vec<Action>) {
    if site.wrong.is_some() {
        return;
    }
    progress(setup, site, actions);
    let starts = |action: &Action| matches!(action, Action::Start(_));
    if site.budget.ticks > 0 && (setup.asynchronous || actions.iter().all(starts)) {
        actions.push(Action::Pass);
    }
    actions.extend(site.cuts.keys().map(|place| Action::Heal(*place)));
    if site.budget.cuts > 0 {
        let whole = site.node_places().filter(|it| !site.cuts.contains_key(it));
        let cuts = whole.flat_map(|place| Way::ALL.map(|way| Action::Cut(place, way)));
        actions.extend(cuts);
    }
    if site.budget.tries > 0 && site.client.attempt.is_none() && site.client.told.is_none() {
        let entry = Place(1 + site.client.attempts % setup.nodes);
        if site.running(entry).is_some() {
            actions.push(Action::Write(entry));
        }
    }
    if site.budget.copies > 0 {
        let arriving: Vec<Action> = actions.clone();
        actions.extend(arriving.into_iter().filter_map(|action| match action {
            Action::Datagram { from, to, .. } => Some(Action::Datagram {
                from,
                to,
                stays: true,
            }),
            _ => None,
        }));
    }
    if site.budget.breaks > 0 {
        for (name, pipe) in &site.network.pipes {
            let ends = |it: &Item| matches!(it, Item::End(_));
            if pipe
                .0
                .iter()
                .all(|end| end.open && !end.inbox.iter().any(ends))
            {
                actions.push(Action::Break(*name));
            }
        }
        let waiting = site.transfers.iter().filter(|(_, it)| it.from.start > 0);
        actions.extend(waiting.map(|(id, _)| Action::BreakTransfer(*id)));
    }
    for place in setup.places() {
        let Some(process) = &site.spot(place).process else {
            continue;
        };
        let left = match place {
            CONTROLLER => site.budget.controller_crashes,
            _ => site.budget.node_crashes,
        };
        if left == 0 {
            continue;
        }
        let done = [false, true];
        let done = &done[..1 + usize::from(!process.batches.is_empty())];
        for &carried_out in done {
            for power in [true, false] {
                actions.push(Action::Crash {
                    place,
                    carried_out,
                    power,
                });
            }
        }
    }
}

/// What happens by itself sooner or later, if nothing goes wrong and time stands still.
pub fn progress(setup: &Setup, site: &Site, actions: &mut Vec<Action>) {
    for (name, pipe) in &site.network.pipes {
        for (side, end) in pipe.0.iter().enumerate() {
            let from = pipe.0[1 - side].who.place;
            if end.open && !end.inbox.is_empty() && !site.is_cut(from, end.who.place) {
                actions.push(Action::Deliver(*name, side));
            }
        }
    }
    for (from, to) in site.network.datagrams.keys() {
        if site.running(*to).is_some() && !site.is_cut(from.place, *to) {
            actions.push(Action::Datagram {
                from: *from,
                to: *to,
                stays: false,
            });
        }
    }
    for place in setup.places() {
        let spot = site.spot(place);
        match &spot.process {
            Some(process) => {
                let lanes = process.batches.keys();
                actions
                    .extend(lanes.map(|(directory, lane)| Action::Disk(place, *directory, *lane)));
            }
            None if spot.may_start => actions.push(Action::Start(place)),
            None => {}
        }
    }
    for (id, transfer) in &site.transfers {
        match transfer.progress {
            Progress::Asking => actions.push(Action::Question(*id)),
            Progress::Answering(_) => actions.push(Action::Answer(*id)),
            Progress::Admitting { .. } | Progress::Staged { .. } => {}
        }
    }
}

impl Turn<'_> {
    /// Has an action happen, and takes what it costs.
    pub(crate) fn act(&mut self, action: Action) {
        let budget = &mut self.site.budget;
        match action {
            Action::Deliver(name, side) => self.deliver(name, side),
            Action::Datagram { from, to, stays } => {
                budget.copies -= u8::from(stays);
                self.deliver_datagram(from, to, stays);
            }
            Action::Disk(place, directory, lane) => self.finish_batch(place, (directory, lane)),
            Action::Question(id) => self.question_arrives(id),
            Action::Answer(id) => self.answer_arrives(id),
            Action::Start(place) => self.start(place),
            Action::Write(place) => {
                budget.tries -= 1;
                self.begin_attempt(place);
            }
            Action::Pass => {
                budget.ticks = budget.ticks.saturating_sub(1);
                self.pass();
            }
            Action::Cut(place, way) => {
                budget.cuts -= 1;
                self.site.cuts.insert(place, way);
            }
            Action::Heal(place) => {
                self.site.cuts.remove(&place);
            }
            Action::Break(name) => {
                budget.breaks -= 1;
                self.break_pipe(name);
            }
            Action::BreakTransfer(id) => {
                budget.breaks -= 1;
                self.break_transfer(id);
            }
            Action::Crash {
                place,
                carried_out,
                power,
            } => {
                if place == CONTROLLER {
                    budget.controller_crashes -= 1;
                } else {
                    budget.node_crashes -= 1;
                }
                self.crash(place, carried_out, power);
            }
        }
        self.settle();
    }
}

/// The message in the bytes of a frame, where there is one.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<(Envelope, Message)> {
    let mut decoder = FrameDecoder::new(1 << 20);
    decoder.push(bytes);
    let frame = decoder.next_frame().ok()??;
    Message::decode(frame.kind(), frame.body()).ok()?
}

fn words_of(bytes: &[u8]) -> String {
    read(bytes).map_or_else(
        || "a greeting".to_owned(),
        |(envelope, message)| match envelope.node_epoch.0 {
            0 => message.name().to_owned(),
            epoch => format!("{} under epoch {epoch}", message.name()),
        },
    )
}

/// An action in words, as it happens in a state.
#[must_use]
pub fn tell(setup: &Setup, site: &Site, action: Action) -> String {
    let name = |who: Who| match (site.running(who.place), setup.name(who.place)) {
        (Some(running), name) if running == who => name,
        (_, name) => format!("{name} (start {})", who.start),
    };
    match action {
        Action::Deliver(pipe, side) => {
            let Some(pipe) = site.network.pipes.get(&pipe) else {
                return "nothing".to_owned();
            };
            let (to, from) = (&pipe.0[side], &pipe.0[1 - side]);
            match to.inbox.front() {
                Some(Item::Bytes(bytes)) => {
                    let what = words_of(bytes);
                    format!("{} hears from {}: {what}", name(to.who), name(from.who))
                }
                Some(Item::End(reason)) => format!(
                    "{} learns that its connection with {} is gone ({reason})",
                    name(to.who),
                    name(from.who)
                ),
                None => "nothing".to_owned(),
            }
        }
        Action::Datagram { from, to, stays } => {
            let bytes = site.network.datagrams.get(&(from, to));
            let what = bytes.map(|bytes| words_of(bytes)).unwrap_or_default();
            let again = if stays { ", not for the last time" } else { "" };
            format!(
                "a datagram reaches {} from {}: {what}{again}",
                setup.name(to),
                name(from)
            )
        }
        Action::Disk(place, directory, _) => {
            let disk = match directory {
                Directory::Home => "home",
                Directory::Volume => "volume",
            };
            format!("{}'s {disk} has done what was asked", setup.name(place))
        }
        Action::Question(id) => match site.transfers.get(&id) {
            Some(it) => {
                let what = match it.wanted {
                    Wanted::Store { .. } => "bytes to keep",
                    Wanted::Fetch(_) => "a question for bytes",
                };
                format!("{} gets {what}", setup.name(it.to))
            }
            None => "nothing".to_owned(),
        },
        Action::Answer(id) => match site.transfers.get(&id) {
            Some(it) => {
                let what = match it.purpose {
                    Purpose::Write { .. } => "about bytes that it had sent",
                    Purpose::Fetch(_) => "with bytes",
                    Purpose::Keep(_) => "about bytes of its own",
                };
                format!("{} is answered {what}", name(it.from))
            }
            None => "nothing".to_owned(),
        },
        Action::Start(place) => format!("{} starts", setup.name(place)),
        Action::Write(place) => format!("a client writes the file through {}", setup.name(place)),
        Action::Pass => "time passes".to_owned(),
        Action::Cut(place, way) => {
            let way = match way {
                Way::Out => "to the controller",
                Way::In => "from the controller",
                Way::Both => "to the controller and back",
            };
            format!("nothing of {} passes any more {way}", setup.name(place))
        }
        Action::Heal(place) => format!(
            "{} and the controller reach each other again",
            setup.name(place)
        ),
        Action::Break((who, _)) => format!("the connection that {} opened breaks", name(who)),
        Action::BreakTransfer(id) => match site.transfers.get(&id) {
            Some(it) => format!(
                "the data connection from {} to {} breaks",
                name(it.from),
                setup.name(it.to)
            ),
            None => "nothing".to_owned(),
        },
        Action::Crash {
            place,
            carried_out,
            power,
        } => {
            let how = if power {
                "loses its power"
            } else {
                "is killed"
            };
            let done = match (carried_out, site.spot(place).process.as_ref()) {
                (true, _) => ", with what it had asked of its disk carried out",
                (false, Some(process)) if !process.batches.is_empty() => {
                    ", with nothing of what it had asked of its disk carried out"
                }
                _ => "",
            };
            format!("{} {how}{done}", setup.name(place))
        }
    }
}
