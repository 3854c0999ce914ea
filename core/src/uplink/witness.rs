//! What a node has seen of its controller, against what a controller says of itself.
//!
//! A disk that forgets what it confirmed, or a home that was copied back, cannot be told from the
//! controller's side. The nodes were told of records and epochs, and keep the newest of them.

use super::Uplink;
use crate::ids::{ControllerEpoch, LogIndex};
use crate::message::Registered;

impl Uplink {
    /// Whether this controller is behind, or beside, the one that was seen before.
    pub(super) fn contradiction(
        &self,
        epoch: ControllerEpoch,
        granted: &Registered,
    ) -> Option<String> {
        let seen = &self.identity.witness;
        // What has been seen of records that this history has, too.
        let mut known = seen.index;
        if let Some(lineage) = seen.lineage
            && lineage != granted.lineage
        {
            // A history that left the known one behind everything this node was told of has lost
            // nothing that this node knows; and an operator may have said that it is to be gone on
            // with all the same.
            let forks = granted.earlier_forks.iter().chain(&granted.fork).copied();
            let mut since = forks.skip_while(|fork| fork.from != lineage).peekable();
            let fork = since.peek().copied();
            let follows = fork.is_some()
                && since.all(|fork| {
                    let fits = known <= fork.at || fork.accepted;
                    // What an operator has accepted needs not fit any more.
                    known = if fork.accepted {
                        LogIndex(0)
                    } else {
                        known.min(fork.at)
                    };
                    fits
                });
            if granted.left_lineages.contains(&lineage) {
                // What both have in common is not known, and need not be.
                known = LogIndex(0);
            } else if !follows {
                return Some(format!(
                    "the controller at {} continues another history of this cluster than the one \
                     this node has seen up to index {}{}; it may have been repaired with a loss, or \
                     restored from a copy. Stop it; `vaquita meta rebuild` looks for the newest log at the \
                     nodes, and goes on without what is lost if it is told to",
                    self.facts.controller_site,
                    seen.index,
                    fork.map(|fork| format!(", and left it behind index {}", fork.at))
                        .unwrap_or_default()
                ));
            }
        }
        if epoch == seen.epoch && seen.instance.is_some_and(|known| known != granted.instance) {
            return Some(format!(
                "two controllers have epoch {epoch}; one of them runs on a copied home and has to \
                 be stopped"
            ));
        }
        // A copy that went on has epochs of the same numbers, of other processes.
        let of_epoch = |(known, _): &&(ControllerEpoch, _)| *known == seen.epoch;
        let other = match granted.instances.iter().find(of_epoch) {
            Some((_, instance)) => seen.instance.is_some_and(|seen| seen != *instance),
            None => (granted.instances.first()).is_some_and(|(oldest, _)| *oldest < seen.epoch),
        };
        if seen.lineage == Some(granted.lineage) && other {
            return Some(format!(
                "the controller at {} goes on from an old copy of its home: in its history another \
                 controller had epoch {}, which this node has seen up to index {}. Stop it; `vaquita meta \
                 rebuild` looks for the newest log at the nodes",
                self.facts.controller_site, seen.epoch, seen.index
            ));
        }
        let forgotten = granted
            .epoch_starts
            .iter()
            .find(|(later, start)| *later > seen.epoch && *start <= known)
            .map(|(_, start)| *start);
        forgotten.map(|start| {
            format!(
                "the controller at {} has lost log records: this node has seen index {} confirmed, \
                 and the controller went on from {start}. Stop it; `vaquita meta rebuild` looks for the \
                 newest log at the nodes",
                self.facts.controller_site, seen.index
            )
        })
    }
}
