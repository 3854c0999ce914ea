//! The data plane: the bytes of chunks, between clients, replicas and disks.
//!
//! A machine decides what becomes of a chunk and never sees its bytes. They are carried here, by
//! tasks beside the driver's loop, which ask the machine on the way
//! ([`StoreAsk`](vaquita_core::store::StoreAsk)):
//!
//! ```text
//!  Storing::write ──┬─> data connection ─> serve ──┐
//!    (this node)    ├─> data connection ─> …       │  receive: admit, gather or write, staged
//!                   └─> (this node itself) ────────┴─> machine ── lanes of a volume
//!
//!  Fetching::next <─┬── data connection <─ serve <─┐
//!                   └── (this node itself) <───────┴── read: find, read, verify each block
//! ```
//!
//! [`Data`] is the handle for whoever writes and reads chunks: [`Data::store`], [`Data::fetch`],
//! [`Data::suspect`]. [`data`] makes it, with the [`DataEnd`] that the driver takes.
//!
//! What never happens: a transfer that waits for ever (each wait has a time-out), one that takes
//! more memory than it was given, bytes that leave a node unverified, or a disk that hangs and holds
//! up more than its own volume.

mod asks;
mod budget;
mod copy;
mod fault;
mod fetch;
mod limits;
mod link;
mod pool;
mod read;
mod receive;
mod scan;
mod serve;
mod stages;
mod store;
mod tally;
mod verify;
mod volumes;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::mpsc;
use vaquita_core::dfs::ask::ReplicaPlace;
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::dfs::token::WriteToken;
use vaquita_core::dfs::transfer::{TransferReply, TransferRequest};
use vaquita_core::ids::{Alias, ClusterId, Endpoint, Incarnation, Role};
use vaquita_core::io::Input;
use vaquita_core::prng::SecretPrng;
use vaquita_core::secret::ClusterSecret;
use vaquita_core::wire::keys::{Keyring, NO_SECRET};
use vaquita_core::wire::session::Introduction;

pub(crate) use asks::StoreQuestion;
pub use fault::TransferFault;
pub use fetch::{Fetching, Wanted};
pub use limits::DataLimits;
pub(crate) use serve::serve;
pub use store::{Lost, NoneLeft, Prepared, Stored, Storing};
pub(crate) use tally::{Operation, UnderWay};
pub(crate) use volumes::VolumeHands;

use asks::{StoreFront, store_front};
use budget::Budget;
use pool::Pool;
use stages::Stages;
use tally::Tally;
use verify::Suspects;
use volumes::Volumes;

use crate::env::Env;

/// Questions and reports that may wait for the machine.
const WAITING_MAX: usize = 256;

/// What a node's data plane is made of.
#[derive(Debug)]
pub struct DataSettings {
    /// The node's name, by which its peers know it and it knows itself.
    pub alias: Alias,
    /// Its program version.
    pub build: String,
    /// The cluster's secret. Without one, only this very host is served.
    pub secret: Option<ClusterSecret>,
    /// The directories of its volumes, in the order of the configuration; absolute.
    pub volumes: Vec<PathBuf>,
    /// Bounds and time-outs.
    pub limits: DataLimits,
}

/// A process to exchange chunks with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name. The process of this name is this one, if it is the own name.
    pub alias: Alias,
    /// Where it listens.
    pub endpoint: Endpoint,
}

impl From<&ReplicaPlace> for Peer {
    fn from(place: &ReplicaPlace) -> Self {
        Self {
            alias: place.alias.clone(),
            endpoint: place.endpoint.clone(),
        }
    }
}

/// A handle on the data plane of this process. Cheap to clone.
pub struct Data<E: Env> {
    shared: Arc<Shared<E>>,
}

impl<E: Env> Clone for Data<E> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

struct Shared<E: Env> {
    env: E,
    limits: DataLimits,
    keyring: Keyring,
    alias: Alias,
    build: String,
    /// Of this end of the connections; the machine's own is another one.
    incarnation: OnceLock<Incarnation>,
    cluster: Mutex<Option<ClusterId>>,
    store: StoreFront,
    volumes: Volumes<E>,
    stages: Stages,
    suspects: Suspects,
    /// Memory for what comes in and goes out on behalf of others.
    serving: Budget,
    /// Memory for what this process sends and fetches.
    sending: Budget,
    pool: Pool<E::Stream>,
    tally: Tally,
}

impl<E: Env> std::fmt::Debug for Data<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data")
            .field("alias", &self.shared.alias)
            .finish_non_exhaustive()
    }
}

impl<E: Env> std::fmt::Debug for DataEnd<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataEnd")
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// The other end of a [`Data`]; belongs to the driver.
pub struct DataEnd<E: Env> {
    pub(crate) data: Data<E>,
    pub(crate) questions: mpsc::Receiver<StoreQuestion>,
    pub(crate) events: mpsc::Receiver<Input>,
}

/// Makes the two ends of a data plane.
#[must_use]
pub fn data<E: Env>(env: &E, settings: DataSettings) -> (Data<E>, DataEnd<E>) {
    let DataSettings {
        alias,
        build,
        secret,
        volumes,
        limits,
    } = settings;
    let (store, questions) = store_front(WAITING_MAX);
    let (event_sender, events) = mpsc::channel(WAITING_MAX);
    let shared = Shared {
        env: env.clone(),
        keyring: Keyring::new(secret.as_ref()),
        alias,
        build,
        incarnation: OnceLock::new(),
        cluster: Mutex::new(None),
        store,
        volumes: Volumes::new(env.clone(), volumes, &limits, event_sender),
        stages: Stages::default(),
        suspects: Suspects::default(),
        serving: Budget::new(limits.serve_bytes, limits.memory_patience),
        sending: Budget::new(limits.send_bytes, limits.memory_patience),
        pool: Pool::default(),
        tally: Tally::default(),
        limits,
    };
    let data = Data {
        shared: Arc::new(shared),
    };
    let end = DataEnd {
        data: data.clone(),
        questions,
        events,
    };
    (data, end)
}

impl<E: Env> Data<E> {
    /// Begins to write a chunk to `replicas`, which the token names, all at once: from here by a
    /// star of data connections, and without one where a replica is this very process.
    ///
    /// `len` is how many bytes will come, where that is known. The bytes are handed over with
    /// [`Storing::write`]; [`Storing::finish`] waits for the replicas.
    ///
    /// # Errors
    /// [`TransferFault::Busy`] if there is no memory for it. What is wrong with a replica is told by
    /// [`Storing::lost`] and in [`Stored`].
    pub async fn store(
        &self,
        token: &WriteToken,
        replicas: &[Peer],
        len: Option<u64>,
    ) -> Result<Storing, TransferFault> {
        let window = self.shared.limits.window_bytes;
        let room = len.and_then(|len| usize::try_from(len).ok());
        let share = self.shared.sending.take(room.unwrap_or(window).min(window));
        let share = share.await.map_err(|refusal| TransferFault::Busy {
            reason: refusal.to_string(),
        })?;
        Ok(Storing::begin(self, token, replicas, len, share))
    }

    /// Begins to read `len` bytes of a chunk from `offset` on, from one replica.
    ///
    /// # Errors
    /// If the replica cannot be reached, refuses, or has another content. If it has, it is told.
    pub async fn fetch(
        &self,
        peer: &Peer,
        wanted: Wanted,
        offset: u64,
        len: u64,
    ) -> Result<Fetching<E>, TransferFault> {
        let share = self.shared.sending.take(self.shared.limits.piece_max);
        let share = share.await.map_err(|refusal| TransferFault::Busy {
            reason: refusal.to_string(),
        })?;
        Fetching::begin(self, peer, wanted, offset, len, share).await
    }

    /// Tells a replica that its bytes of a chunk do not fit: it looks for itself.
    ///
    /// # Errors
    /// If it could not be told.
    pub async fn suspect(&self, peer: &Peer, version: ChunkVersion) -> Result<(), TransferFault> {
        if self.is_own(peer) {
            self.look_at(version);
            return Ok(());
        }
        let request = TransferRequest::Suspect { version };
        let (leased, answer) = fetch::ask(self, peer, &request).await?;
        leased.keep(self, peer);
        match answer {
            TransferReply::Noted => Ok(()),
            TransferReply::Refused(refusal) => Err(TransferFault::Refused {
                peer: peer.alias.clone(),
                refusal,
            }),
            other => Err(TransferFault::Protocol {
                peer: peer.alias.clone(),
                reason: format!("it answers {other:?} to a suspicion"),
            }),
        }
    }

    /// Tells the connections opened from now on which cluster this process belongs to.
    pub fn join(&self, cluster: ClusterId) {
        *self.cluster() = Some(cluster);
    }

    /// The bounds that it keeps to.
    #[must_use]
    pub fn limits(&self) -> &DataLimits {
        &self.shared.limits
    }

    fn cluster(&self) -> MutexGuard<'_, Option<ClusterId>> {
        let cluster = self.shared.cluster.lock();
        cluster.unwrap_or_else(PoisonError::into_inner)
    }

    /// Who this process is, and 32 bytes that were never used before.
    fn introduction(&self) -> (Introduction, [u8; 32]) {
        let mut secrets = SecretPrng::new(self.shared.env.seed());
        let incarnation = || Incarnation::new(secrets.next_16());
        let me = Introduction {
            role: Role::DataNode,
            cluster: *self.cluster(),
            alias: self.shared.alias.clone(),
            incarnation: *self.shared.incarnation.get_or_init(incarnation),
            build: self.shared.build.clone(),
        };
        (me, secrets.next_32())
    }

    /// Whether a peer is this very process.
    pub(crate) fn is_own(&self, peer: &Peer) -> bool {
        self.shared.alias == peer.alias
    }

    fn is_authenticated(&self) -> bool {
        self.shared.keyring.key_id() != NO_SECRET
    }

    /// What carries out the machine's orders about its volumes.
    pub(crate) fn volume_hands(&self) -> VolumeHands<E> {
        VolumeHands::new(self.shared.volumes.clone(), self.shared.stages.clone())
    }
}
