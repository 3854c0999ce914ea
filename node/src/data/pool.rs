//! Connections to peers, kept for the next transfer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use vaquita_core::dfs::transfer::MAGIC;
use vaquita_core::ids::Endpoint;
use vaquita_core::wire::session::Session;

use super::fault::TransferFault;
use super::link::{Link, LinkFault};
use super::{Data, Peer};
use crate::env::Env;

/// The unused connections of a process, by where they lead.
pub(crate) struct Pool<S> {
    peers: Mutex<BTreeMap<Endpoint, Line<S>>>,
}

/// What a connection is wanted for. Each kind has connections of its own: a write takes one for as
/// long as its client takes, and nobody's read waits for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

/// One permit for each connection that is in use.
struct Turns {
    read: Arc<Semaphore>,
    write: Arc<Semaphore>,
}

impl Turns {
    fn new(each: usize) -> Self {
        Self {
            read: Arc::new(Semaphore::new(each)),
            write: Arc::new(Semaphore::new(each)),
        }
    }

    const fn of(&self, purpose: Purpose) -> &Arc<Semaphore> {
        match purpose {
            Purpose::Read => &self.read,
            Purpose::Write => &self.write,
        }
    }

    fn are_used(&self) -> bool {
        [&self.read, &self.write]
            .into_iter()
            .any(|turns| Arc::strong_count(turns) > 1)
    }
}

struct Line<S> {
    turns: Turns,
    /// With the time each was last used, the newest last.
    idle: Vec<(Instant, Link<S>)>,
}

impl<S> Default for Pool<S> {
    fn default() -> Self {
        Self {
            peers: Mutex::default(),
        }
    }
}

/// A connection in use. Dropped, it is closed; [`Leased::keep`] keeps it.
pub(crate) struct Leased<S> {
    pub(crate) link: Link<S>,
    /// Whether it was used before, and so may have been ended by the other side since.
    pub(crate) used_before: bool,
    turn: OwnedSemaphorePermit,
}

impl<S> Pool<S> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Endpoint, Line<S>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what was not used for too long, and forgets where nothing leads any more.
    fn tidy<E: Env>(&self, data: &Data<E>) {
        let now = Instant::now();
        let oldest = data.shared.limits.idle_timeout;
        self.lock().retain(|_, line| {
            line.idle
                .retain(|(used, _)| now.duration_since(*used) < oldest);
            !line.idle.is_empty() || line.turns.are_used()
        });
    }

    fn turns<E: Env>(&self, data: &Data<E>, to: &Endpoint, purpose: Purpose) -> Arc<Semaphore> {
        let mut peers = self.lock();
        let line = peers.entry(to.clone()).or_insert_with(|| Line {
            turns: Turns::new(data.shared.limits.peer_connections_max),
            idle: Vec::new(),
        });
        Arc::clone(line.turns.of(purpose))
    }

    fn take_idle(&self, to: &Endpoint) -> Option<Link<S>> {
        let mut peers = self.lock();
        let (_, link) = peers.get_mut(to)?.idle.pop()?;
        Some(link)
    }

    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.lock().values().map(|line| line.idle.len()).sum()
    }
}

/// A connection to `peer`: a kept one, unless it has to be fresh, or a new one.
pub(crate) async fn lease<E: Env>(
    data: &Data<E>,
    peer: &Peer,
    purpose: Purpose,
    fresh: bool,
) -> Result<Leased<E::Stream>, TransferFault> {
    let pool = &data.shared.pool;
    let limits = &data.shared.limits;
    pool.tidy(data);
    let waiting = pool.turns(data, &peer.endpoint, purpose).acquire_owned();
    let Ok(Ok(turn)) = timeout(limits.memory_patience, waiting).await else {
        return Err(TransferFault::Busy {
            reason: format!(
                "{} connections to {} are in use to {}, the most allowed",
                limits.peer_connections_max,
                peer.alias,
                match purpose {
                    Purpose::Read => "read",
                    Purpose::Write => "write",
                }
            ),
        });
    };
    while !fresh && let Some(mut link) = pool.take_idle(&peer.endpoint) {
        if link.is_quiet().await {
            return Ok(Leased {
                link,
                used_before: true,
                turn,
            });
        }
    }
    Ok(Leased {
        link: dial(data, peer).await?,
        used_before: false,
        turn,
    })
}

impl<S> Leased<S> {
    /// Keeps the connection, which is in step, for the next transfer.
    pub(crate) fn keep<E: Env<Stream = S>>(self, data: &Data<E>, peer: &Peer) {
        let Self { link, turn, .. } = self;
        let limits = &data.shared.limits;
        let pool = &data.shared.pool;
        if let Some(line) = pool.lock().get_mut(&peer.endpoint)
            && line.idle.len() < limits.idle_per_peer
        {
            line.idle.push((Instant::now(), link));
        }
        drop(turn);
        pool.tidy(data);
    }
}

async fn dial<E: Env>(data: &Data<E>, peer: &Peer) -> Result<Link<E::Stream>, TransferFault> {
    let limits = &data.shared.limits;
    let unreachable = |reason: String| TransferFault::Unreachable {
        peer: peer.alias.clone(),
        reason,
    };
    let dialling = data.shared.env.connect(&peer.endpoint);
    let (stream, _) = match timeout(limits.connect_timeout, dialling).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(reason)) => return Err(unreachable(format!("{reason} at {}", peer.endpoint))),
        Err(_) => return Err(unreachable(format!("no answer at {}", peer.endpoint))),
    };
    let (me, nonce) = data.introduction();
    let session = Session::dial(&data.shared.keyring, me, nonce);
    let mut link = Link::new(stream, session, limits, limits.progress_timeout);
    let greeting = async {
        link.outbound.raw(MAGIC).await?;
        link.introduce().await
    };
    let met = greeting.await.map_err(|fault| match fault {
        LinkFault::Session(fault) => TransferFault::NotAMember {
            peer: peer.alias.clone(),
            reason: fault.to_string(),
        },
        other => unreachable(format!("no session at {}: {other}", peer.endpoint)),
    })?;
    if met.alias != peer.alias {
        return Err(unreachable(format!(
            "{} is at {} now",
            met.alias, peer.endpoint
        )));
    }
    Ok(link)
}
