//! What the home and the members have of the log, and which history is gone on with.

use core::fmt;

use super::home::OwnHome;
use super::{Asked, parts_in_order, up_to};
use crate::controller::index_floor;
use crate::ids::{Alias, ClusterId, ControllerEpoch, LineageId, LogIndex, Role};
use crate::message::Witness;
use crate::mirror::words::{MirrorCopy, MirrorEnd, PartHeld};

/// Controller epochs that are left out for members that were not reached: they may have seen later ones.
const EPOCHS_LEFT_OUT: u64 = 1000;

/// All that was found.
#[derive(Debug)]
pub(super) struct Findings {
    home: Result<Option<MirrorEnd>, String>,
    home_is_usable: bool,
    home_is_rebuilt: bool,
    home_epoch: ControllerEpoch,
    home_index: LogIndex,
    clusters: Vec<(ClusterId, String)>,
    copies: Vec<Copy>,
    seen: Vec<(Alias, Witness)>,
    silent: Vec<(Alias, Role, String)>,
    hearing: Vec<Alias>,
}

#[derive(Debug)]
struct Copy {
    member: usize,
    alias: Alias,
    aside: bool,
    copy: MirrorCopy,
}

/// Where the log comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It is in the home already.
    Home,
    /// A node has a copy of it.
    Node { member: usize, aside: bool },
}

/// The history that is gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) source: Source,
    /// The source in words.
    from: String,
    pub(super) cluster: ClusterId,
    /// Its last record.
    pub(super) end: LogIndex,
    pub(super) parts: Vec<PartHeld>,
    /// No controller epoch up to here is given out again.
    pub(super) epochs: ControllerEpoch,
    /// No index up to here is given to a record again.
    pub(super) index_floor: LogIndex,
    /// Histories that members have followed and that this one does not contain.
    pub(super) left: Vec<LineageId>,
    /// The last record that a member was told of, if it is lost.
    lost_up_to: Option<LogIndex>,
    /// Whether the home is as it should be.
    nothing_to_do: bool,
}

impl Findings {
    pub(super) fn of(own: &OwnHome, asked: &[Asked]) -> Self {
        let mut found = Self {
            home: own.log.clone(),
            home_is_usable: own.is_usable(),
            home_is_rebuilt: own.is_rebuilt(),
            home_epoch: own.epoch(),
            home_index: own.highest_index(),
            clusters: Vec::new(),
            copies: Vec::new(),
            seen: Vec::new(),
            silent: Vec::new(),
            hearing: Vec::new(),
        };
        found.clusters.extend(
            own.cluster()
                .map(|cluster| (cluster, "the home".to_owned())),
        );
        for (member, asked) in asked.iter().enumerate() {
            let alias = &asked.site.alias;
            let Some(answer) = &asked.answer else {
                found
                    .silent
                    .push((alias.clone(), asked.role, asked.fault.clone()));
                continue;
            };
            let surveyed = &answer.surveyed;
            if surveyed.present.parts.is_empty() && !surveyed.present.fault.is_empty() {
                // It could not look: what it has is not known.
                let fault = surveyed.present.fault.clone();
                found.silent.push((alias.clone(), asked.role, fault));
            }
            found.clusters.extend(
                answer
                    .peer
                    .cluster
                    .map(|cluster| (cluster, alias.to_string())),
            );
            found.seen.push((alias.clone(), surveyed.witness));
            if surveyed.hears_controller {
                found.hearing.push(alias.clone());
            }
            for (aside, copy) in [(false, &surveyed.present), (true, &surveyed.aside)] {
                if !copy.parts.is_empty() {
                    found.copies.push(Copy {
                        member,
                        alias: alias.clone(),
                        aside,
                        copy: copy.clone(),
                    });
                }
            }
        }
        found
    }

    /// What was found, a line for each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (alias, witness) in &self.seen {
            let copies = self.copies.iter().filter(|copy| copy.alias == *alias);
            let copies: Vec<String> = copies
                .map(|Copy { aside, copy, .. }| {
                    let what = if *aside { "a copy put aside" } else { "a copy" };
                    match (&copy.end, copy.fault.as_str()) {
                        (Some(end), _) => format!("{what} up to {}", up_to(end.index)),
                        (None, fault) => format!("{what} that cannot be used ({fault})"),
                    }
                })
                .collect();
            let has = if copies.is_empty() {
                "no copy".to_owned()
            } else {
                copies.join(" and ")
            };
            lines.push(format!(
                "{alias}: {has}; it was told of {} under epoch {}",
                up_to(witness.index),
                witness.epoch
            ));
        }
        for (alias, _, fault) in &self.silent {
            lines.push(format!("{alias}: no answer ({fault})"));
        }
        lines
    }

    /// What was seen of the newest controller that any member has seen.
    fn newest(&self) -> Option<Witness> {
        let seen = self.seen.iter().map(|(_, seen)| *seen);
        seen.max_by_key(|seen| (seen.epoch, seen.index))
    }

    /// Chooses the history that is gone on with: the copy of the node named by `from`, if one is, or else
    /// the newest.
    ///
    /// # Errors
    /// Why none is, and what to do.
    pub(super) fn choose(&self, accept_loss: bool, from: Option<&Alias>) -> Result<Choice, String> {
        let cluster = self.cluster()?;
        if !self.hearing.is_empty() {
            let hearing: Vec<&str> = self.hearing.iter().map(Alias::as_str).collect();
            return Err(format!(
                "a controller is heard at this moment, by {}: stop it first. Nothing was changed",
                hearing.join(", ")
            ));
        }
        let newest = self.newest();
        // A history that members have left for another one is the worse one, however long; and so is one
        // in which another process had the newest epoch that they have seen: an old copy that went on.
        let rank = |end: &MirrorEnd| {
            let of_lineage = newest.is_some_and(|it| it.lineage == Some(end.lineage));
            let has_it = newest.is_some_and(|seen| contains(end, &seen));
            (of_lineage, has_it, end.index)
        };
        let home = self.home.as_ref().ok().and_then(Option::as_ref);
        let home = home.filter(|_| from.is_none());
        let best = (self.copies.iter())
            .filter(|copy| from.is_none_or(|from| copy.alias == *from))
            .filter_map(|copy| Some((copy, copy.copy.end.as_ref()?)))
            .max_by_key(|(copy, end)| (rank(end), !copy.aside));
        let (source, from, end, parts) = match (home, best) {
            (Some(home), best) if best.is_none_or(|(_, end)| rank(end) <= rank(home)) => {
                let from = if self.home_is_rebuilt {
                    "the log in the home, which was rebuilt and not started since"
                } else {
                    "the log that is in the home"
                };
                (Source::Home, from.to_owned(), home, Vec::new())
            }
            (_, Some((copy, end))) => {
                let source = Source::Node {
                    member: copy.member,
                    aside: copy.aside,
                };
                let from = format!("the copy at {}", copy.alias);
                (source, from, end, parts_in_order(&copy.copy.parts))
            }
            (_, None) => return Err(self.nothing_left()),
        };
        let seen = self.seen.iter().map(|(_, seen)| seen);
        let told = (seen.clone())
            .filter(|seen| contains(end, seen) || seen.lineage == newest.and_then(|it| it.lineage))
            .map(|seen| seen.index)
            .max()
            .unwrap_or_default();
        let mut left: Vec<LineageId> = (seen.clone())
            .filter_map(|seen| seen.lineage)
            .chain((self.copies.iter()).filter_map(|copy| Some(copy.copy.end.as_ref()?.lineage)))
            .filter(|lineage| *lineage != end.lineage)
            .collect();
        left.sort_unstable();
        left.dedup();
        let epoch = (seen.clone().map(|seen| seen.epoch))
            .chain([end.epoch, self.home_epoch])
            .max()
            .unwrap_or_default();
        // Of whatever history: clients may have been told of any, and of more than members were.
        let highest = (seen.clone().map(|seen| seen.index))
            .chain((self.copies.iter()).filter_map(|copy| Some(copy.copy.end.as_ref()?.index)))
            .chain([end.index, self.home_index])
            .max()
            .unwrap_or_default();
        let other_history = seen.into_iter().any(|seen| {
            let told = LogIndex(0) < seen.index && seen.index <= end.index;
            // Also one that has come further than this one.
            told && !contains(end, seen) || !is_of_other_lineage(end, seen) && went_on(end, seen)
        });
        let lost_up_to = (told > end.index || other_history).then_some(told);
        // An agent keeps no copy.
        let silent: Vec<&str> = (self.silent.iter())
            .filter(|(_, role, _)| *role == Role::DataNode)
            .map(|(alias, ..)| alias.as_str())
            .collect();
        let complete = silent.is_empty();
        let choice = Choice {
            source,
            from,
            cluster,
            end: end.index,
            parts,
            epochs: ControllerEpoch(epoch.0.saturating_add(EPOCHS_LEFT_OUT)),
            index_floor: index_floor(highest),
            left,
            // What a rebuild has accepted needs not be accepted again.
            lost_up_to: lost_up_to.filter(|_| source != Source::Home || !self.home_is_rebuilt),
            nothing_to_do: source == Source::Home
                && self.home_is_usable
                && (lost_up_to.is_none() || self.home_is_rebuilt),
        };
        if choice.nothing_to_do && (complete || !accept_loss) {
            return Ok(choice);
        }
        if !accept_loss && let Some(told) = choice.lost_up_to {
            let first = if complete {
                String::new()
            } else {
                format!("start {}, which may have a copy, or ", silent.join(", "))
            };
            let parted = if other_history {
                " in a history that parted from it"
            } else {
                ""
            };
            return Err(format!(
                "the best there is, {}, ends with {}, and a member was told of {}{parted}. Nothing was \
                 changed: {first}look for another copy of the controller's home; if there is none, \
                 --i-accept-loss goes on without these records",
                choice.from,
                up_to(choice.end),
                up_to(told),
            ));
        }
        if !accept_loss && !complete {
            return Err(format!(
                "{} did not answer and may have more of the log. Nothing was changed: start what does not \
                 answer, or go on without it by --i-accept-loss",
                silent.join(", ")
            ));
        }
        Ok(choice)
    }

    fn cluster(&self) -> Result<ClusterId, String> {
        let (cluster, who) = self.clusters.first().ok_or_else(|| {
            "neither the home nor a member that answered knows of a cluster: start the data nodes \
             first, by their agents or by hand. Nothing was changed"
                .to_owned()
        })?;
        match self.clusters.iter().find(|(other, _)| other != cluster) {
            None => Ok(*cluster),
            Some((other, whose)) => Err(format!(
                "{who} belongs to cluster {cluster}, and {whose} to {other}: name the files of the one \
                 that is meant. Nothing was changed"
            )),
        }
    }

    fn nothing_left(&self) -> String {
        let silent = self.silent.len();
        let of = silent + self.seen.len();
        format!(
            "no copy of the log can be had: not in the home, and not from the members ({silent} of {of} \
             did not answer). Restore a backup of the home, or bring the nodes up that kept a copy. \
             Nothing was changed"
        )
    }
}

impl Choice {
    pub(super) const fn is_nothing_to_do(&self) -> bool {
        self.nothing_to_do
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, end, .. } = self;
        write!(f, "the newest there is: {from}, up to {}", up_to(*end))?;
        match self.lost_up_to {
            Some(told) if told > *end => write!(
                f,
                "; records {} to {told} at least are lost",
                end.next()
            ),
            Some(_) => f.write_str(
                "; what members were told of in a history that parted from this one is lost",
            ),
            None if self.nothing_to_do => {
                f.write_str("; no member that answered has more")
            }
            None => f.write_str(
                "; no member was told of more, and what was acknowledged in the last moments may be \
                 missing",
            ),
        }
    }
}

/// Whether a history has in it what a member has seen of a controller: that very process had that epoch, and
/// the next one began behind what was seen.
fn contains(end: &MirrorEnd, seen: &Witness) -> bool {
    if is_of_other_lineage(end, seen) || seen.index > end.index || went_on(end, seen) {
        return false;
    }
    let of_epoch = |(epoch, _): &&(ControllerEpoch, _)| *epoch == seen.epoch;
    match (end.instances.iter().find(of_epoch), seen.instance) {
        (Some((_, had)), Some(seen)) => *had == seen,
        (Some(_), None) => true,
        // Too long ago to be remembered, or never.
        (None, _) => (end.instances.first()).is_none_or(|(oldest, _)| *oldest > seen.epoch),
    }
}

fn is_of_other_lineage(end: &MirrorEnd, seen: &Witness) -> bool {
    seen.lineage.is_some_and(|lineage| lineage != end.lineage)
}

/// Whether a later controller of this history began at or before the record that a member has seen, and so
/// without it.
fn went_on(end: &MirrorEnd, seen: &Witness) -> bool {
    let later = (end.starts.iter()).filter(|(epoch, _)| *epoch > seen.epoch);
    later
        .map(|(_, start)| *start)
        .any(|start| start <= seen.index)
}
