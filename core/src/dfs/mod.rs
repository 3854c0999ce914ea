//! The file system: names, chunks, and who keeps them.
//!
//! A file is a list of chunks. A chunk is written once, under a fresh id, and never changed; a file
//! is replaced by writing new chunks and exchanging the list in one record of the controller's log.
//! That record is the commit point of a write: until it is synced nothing of the write is visible,
//! and from then on all of it is.
//!
//! ```text
//!  client        entry (any data node)          controller            replicas
//!    │ PUT /dfs/… ─▶│ Allocate ─────────────────────▶│                    │
//!    │              │ ◀───────────── tokens, places ─│                    │
//!    │ bytes ══════▶│ ═══════════════════ bytes, to each replica ════════▶│ write, fsync
//!    │              │ ◀──────────────────────────────────────── prepared ─│
//!    │              │ Commit: chunks, digests, who ─▶│ record, fsync      │
//!    │ ◀─── 201 ────│ ◀───────────────────committed ─│                    │
//! ```
//!
//! * [`ask`] is what entries and controller say to each other about it.
//! * [`namespace`] is what the controller's log says about names and chunks.
//! * [`transfer`] is what an entry and a replica say to each other, around the raw bytes.
//! * [`store`](crate::store) is what a data node keeps on its volumes.
//!
//! Bytes of chunks never pass through a machine: drivers carry them, and machines handle lengths,
//! digests and places.

pub mod ask;
pub mod digest;
pub mod ids;
pub mod namespace;
pub mod path;
pub mod placement;
pub mod token;
pub mod transfer;
