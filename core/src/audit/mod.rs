//! Who did what, and when: the audit as the metadata log has it.
//!
//! An entry and the change that it tells of are *one* record of the log ([`Audited`]): after a crash both
//! are there or neither. The entries form a chain: the hash of each covers the one before, and is computed
//! where records are applied, so that two replays agree and whoever notes the newest hash elsewhere sees
//! later whether anything before it was changed. Each record has the hash of the entry before it as well, so
//! that a record that was changed in the log shows at the next one. See `docs/decisions/0026-audit-is-part-of-the-log.md`.

mod bucket;
mod entry;
pub(crate) mod meters;
pub(crate) mod refusals;
#[cfg(test)]
mod tests;
mod trail;

pub use entry::{AuditEntry, Audited, Link, Means, OBJECT_MAX};
pub use trail::{AuditPage, AuditQuery, AuditRow, AuditTrail, Broken, ENTRIES_KEPT};
