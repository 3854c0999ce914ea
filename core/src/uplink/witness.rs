//! What a node has seen of its controller, against what a controller says of itself.
//!
//! A disk that forgets what it confirmed, or a home that was copied back, cannot be told from the
//! controller's side. The nodes were told of records and epochs, and keep the newest of them.

use super::Uplink;
use crate::ids::ControllerEpoch;
use crate::message::Registered;

impl Uplink {
    /// Whether this controller is behind, or beside, the one that was seen before.
    pub(super) fn contradiction(
        &self,
        epoch: ControllerEpoch,
        granted: &Registered,
    ) -> Option<String> {
        let seen = &self.identity.witness;
        if seen
            .lineage
            .is_some_and(|lineage| lineage != granted.lineage)
        {
            return Some(format!(
                "the controller at {} continues another history of this cluster than the one this \
                 node has seen; it may have been restored from a copy",
                self.facts.controller_site
            ));
        }
        if epoch == seen.epoch && seen.instance.is_some_and(|known| known != granted.instance) {
            return Some(format!(
                "two controllers have epoch {epoch}; one of them runs on a copied home and has to \
                 be stopped"
            ));
        }
        let forgotten = granted
            .epoch_starts
            .iter()
            .find(|(later, start)| *later > seen.epoch && *start <= seen.index)
            .map(|(_, start)| *start);
        forgotten.map(|start| {
            format!(
                "the controller at {} has lost log records: this node has seen index {} confirmed, \
                 and the controller went on from {start}. Restore the controller's newest metadata",
                self.facts.controller_site, seen.index
            )
        })
    }
}
