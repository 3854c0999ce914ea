//! What a step does to processes, and the passing of time.

use vaquita_core::io::{CloseReason, Input};
use vaquita_core::time::Timestamp;

use super::{AT_ONCE, Turn};
use crate::data::{Carried, Progress};
use crate::disk::Disk;
use crate::fingerprint::Fingerprint;
use crate::panics;
use crate::process::{Directory, Process, Who};
use crate::setup::{CONTROLLER, Place};
use crate::site::Shared;

impl Turn<'_> {
    /// A process begins at a place.
    pub(crate) fn start(&mut self, place: Place) {
        let (setup, now) = (self.setup, self.site.now);
        let spot = self.site.spot_mut(place);
        spot.starts += 1;
        let start = spot.starts;
        let files = spot.home.files();
        match panics::caught(|| setup.start(place, start, &files, now)) {
            Ok(Ok(machine)) => {
                let process = Process::new(machine, start);
                self.site.spot_mut(place).process =
                    Some(Shared::new(process, Fingerprint::of_debug));
                self.touched.insert(place);
                self.drain(Who { place, start });
                self.run();
            }
            Ok(Err(reason)) => {
                let name = setup.name(place);
                self.fail(format!("{name} does not start: {}", reason.message));
            }
            Err(panic) => {
                let name = setup.name(place);
                self.fail(format!("{name} panics at its start: {panic}"));
            }
        }
    }

    /// A process ends without a say; what it had asked of its disks was `carried_out`, or was not.
    pub(crate) fn crash(&mut self, place: Place, carried_out: bool, power: bool) {
        let Some(who) = self.site.running(place) else {
            return;
        };
        let batches = self
            .process_mut(who)
            .map(|process| core::mem::take(&mut process.batches))
            .unwrap_or_default();
        if carried_out {
            for ((directory, _), batches) in batches {
                for batch in batches {
                    self.carry_out(place, directory, batch);
                }
            }
        }
        if power {
            for directory in [Directory::Home, Directory::Volume] {
                let disk = self.disk_mut(place, directory);
                disk.change(Disk::fingerprint, Disk::lose_power);
            }
        }
        self.end(who, "connection reset by peer");
    }

    /// A process is gone, and its peers will find out.
    pub(super) fn end(&mut self, who: Who, why: &str) {
        let mut ends = Vec::new();
        for pipe in self.site.network.pipes.values() {
            let mine = pipe.0.iter().filter(|end| end.who == who && end.open);
            ends.extend(mine.map(|end| end.conn));
        }
        for conn in ends {
            self.close(who, conn, CloseReason::Broken(why.to_owned()));
        }
        self.site.spot_mut(who.place).process = None;
        self.queue.retain(|(to, _)| *to != who);
        if (self.site.client.attempt.as_ref()).is_some_and(|it| it.entry == who) {
            self.site.client.attempt = None;
        }
        // Questions that it had sent may arrive all the same; nobody is there for the answers.
        (self.site.transfers)
            .retain(|_, it| it.from != who || !matches!(it.progress, Progress::Answering(_)));
        let here = self.site.transfers.iter();
        let unfinished: Vec<u32> = here
            .filter(|(_, it)| it.progress.at() == Some(who))
            .map(|(id, _)| *id)
            .collect();
        for id in unfinished {
            self.answer(id, Carried::Broken);
        }
    }

    /// The earliest moment at which anything is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let processes = self.site.spots.iter().filter_map(|it| it.process.as_ref());
        let due = processes.filter_map(|process| process.machine.poll_timeout());
        let put = self.site.client.attempt.as_ref();
        due.chain(put.and_then(|attempt| attempt.put.poll_timeout()))
            .min()
    }

    /// Time moves on to the first moment of the grid at which a timer is due, and all timers that are
    /// due go off: of nodes first, since the controller's word about them is later than their own.
    pub(crate) fn pass(&mut self) {
        let Some(due) = self.next_due() else { return };
        let grid = u64::try_from(self.setup.grid.as_nanos()).unwrap_or(u64::MAX);
        let later = due.as_nanos().max(self.site.now.as_nanos() + 1);
        let now = Timestamp::from_nanos(later.div_ceil(grid) * grid);
        self.site.now = now;
        let places: Vec<Place> = self.site.node_places().chain([CONTROLLER]).collect();
        for place in places {
            for again in 0..=AT_ONCE {
                let Some(who) = self.site.running(place) else {
                    break;
                };
                let timeout = self
                    .site
                    .process(who)
                    .and_then(|process| process.machine.poll_timeout());
                if timeout.is_none_or(|due| due > now) {
                    break;
                }
                if again == AT_ONCE {
                    self.fail("a process has something due for ever".to_owned());
                    break;
                }
                self.tell(who, Input::Deadline);
            }
        }
        self.client_deadline(now);
    }
}
