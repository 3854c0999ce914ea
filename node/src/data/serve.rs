//! The answering side of a data connection.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tracing::debug;
use vaquita_core::admin::Refusal;
use vaquita_core::dfs::ask::Holder;
use vaquita_core::dfs::digest::Summary;
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::dfs::token::WriteToken;
use vaquita_core::dfs::transfer::{
    KIND_REPLY, KIND_REQUEST, KIND_WORKING, TransferReply, TransferRequest,
};
use vaquita_core::wire::session::Session;

use super::Data;
use super::link::{Inbound, Link, LinkFault};
use super::read::Reading;
use super::receive::{NotTaken, Pieces, receive};
use crate::driver::Closing;
use crate::env::Env;

/// Why a connection is ended by this side.
#[derive(Debug, Error)]
enum End {
    #[error("the process is ending, or the connection was not used")]
    Idle,
    #[error(transparent)]
    Link(#[from] LinkFault),
    #[error(
        "it could not be authenticated: this process has no cluster secret, and serves its own host only"
    )]
    Stranger,
    #[error("where its next request begins is not known any more")]
    OutOfStep,
}

/// Serves one connection until it ends. Its first four bytes have been taken from it.
pub(crate) async fn serve<E, S>(data: Data<E>, stream: S, peer: SocketAddr, closing: Closing)
where
    E: Env,
    S: AsyncRead + AsyncWrite + Send,
{
    let limits = &data.shared.limits;
    let (me, nonce) = data.introduction();
    let session = Session::accept(&data.shared.keyring, me, nonce);
    let mut connection = Connection {
        link: Link::new(stream, session, limits, limits.asker_timeout),
        data: &data,
    };
    let Err(end) = connection.run(peer, closing).await;
    debug!("ended the data connection of {peer}: {end}");
    connection.link.outbound.shutdown().await;
    if matches!(end, End::OutOfStep) {
        connection.link.inbound.linger().await;
    }
}

/// What never comes.
enum Never {}

struct Connection<'a, E: Env, S> {
    link: Link<S>,
    data: &'a Data<E>,
}

impl<E: Env, S: AsyncRead + AsyncWrite + Send> Connection<'_, E, S> {
    async fn run(&mut self, peer: SocketAddr, mut closing: Closing) -> Result<Never, End> {
        // Without a secret everybody who reaches the port could be a member.
        if !self.data.is_authenticated() && !peer.ip().is_loopback() {
            return Err(End::Stranger);
        }
        let member = self.link.introduce().await?;
        debug!(
            "{} {} opened a data connection from {peer}",
            member.role, member.alias
        );
        let idle = self.data.shared.limits.serve_idle_timeout;
        loop {
            let (kind, body) = tokio::select! {
                biased;
                () = closing.begun() => return Err(End::Idle),
                frame = self.link.frame(idle) => match frame {
                    Err(LinkFault::Slow(_) | LinkFault::Ended) => return Err(End::Idle),
                    frame => frame?,
                },
            };
            if kind != KIND_REQUEST {
                let text = format!("a frame of kind {kind:#06x} where a request was due");
                return Err(LinkFault::Protocol(text).into());
            }
            let request = TransferRequest::decode(&body)
                .map_err(|malformed| LinkFault::Protocol(malformed.to_string()))?;
            match request {
                TransferRequest::Store { token, len } => self.store(token, len).await?,
                TransferRequest::Fetch {
                    version,
                    offset,
                    len,
                    even_damaged,
                } => self.fetch(version, offset, len, even_damaged).await?,
                TransferRequest::Suspect { version } => self.suspect(version).await?,
            }
        }
    }

    async fn reply(&mut self, reply: &TransferReply) -> Result<(), End> {
        Ok(self.link.send(KIND_REPLY, &reply.encode()).await?)
    }

    async fn refuse(&mut self, refusal: Refusal) -> Result<(), End> {
        self.reply(&TransferReply::Refused(refusal)).await
    }

    async fn store(&mut self, token: WriteToken, len: Option<u64>) -> Result<(), End> {
        let ended = AtomicBool::new(false);
        let taken = self.receive(token, len, &ended).await?;
        let ended = ended.into_inner();
        match taken {
            Ok((holder, summary)) => self.reply(&TransferReply::prepared(holder, &summary)).await,
            Err(NotTaken::Source(fault)) => Err(fault.into()),
            Err(NotTaken::Refused(refusal)) => {
                self.refuse(refusal).await?;
                // The bytes that are still to come are nobody's.
                if ended { Ok(()) } else { Err(End::OutOfStep) }
            }
        }
    }

    /// Takes a chunk, and tells the sender now and then that it is being worked on.
    async fn receive(
        &mut self,
        token: WriteToken,
        len: Option<u64>,
        ended: &AtomicBool,
    ) -> Result<Result<(Holder, Summary), NotTaken<LinkFault>>, End> {
        let Link {
            inbound,
            outbound,
            session,
        } = &mut self.link;
        let mut pieces = Incoming { inbound, ended };
        let mut receiving = pin!(receive(self.data, token, len, &mut pieces));
        let period = self.data.shared.limits.working_period;
        loop {
            tokio::select! {
                biased;
                taken = &mut receiving => return Ok(taken),
                () = sleep(period) => {}
            }
            // Also before all has come: whoever has sent all of it may wait already.
            outbound.put(session, KIND_WORKING, &[]).await?;
            outbound.flush().await?;
        }
    }

    async fn fetch(
        &mut self,
        version: ChunkVersion,
        offset: u64,
        len: u64,
        even_damaged: bool,
    ) -> Result<(), End> {
        let begun = async {
            let mut reading = Reading::open(self.data, version, offset, len, even_damaged).await?;
            // Nothing is announced before the first piece is known to be right.
            let first = reading.next().await?;
            Ok((reading, first))
        };
        let (mut reading, mut piece) = match begun.await {
            Ok(begun) => begun,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let sending = TransferReply::Sending {
            chunk_len: reading.chunk_len(),
            digest: reading.digest(),
            offset: reading.begin(),
            len: reading.len(),
            blocks: reading.crcs().to_vec(),
        };
        self.link.put(KIND_REPLY, &sending.encode()).await?;
        while let Some(bytes) = piece {
            self.link.outbound.piece(&bytes).await?;
            if reading.has_more() {
                // The next takes a while.
                self.link.outbound.flush().await?;
            }
            piece = match reading.next().await {
                Ok(piece) => piece,
                Err(refusal) => {
                    self.link.outbound.piece(&[]).await?;
                    return self.refuse(refusal).await;
                }
            };
        }
        self.link.outbound.flush().await?;
        Ok(())
    }

    async fn suspect(&mut self, version: ChunkVersion) -> Result<(), End> {
        self.data.look_at(version);
        self.reply(&TransferReply::Noted).await
    }
}

/// The raw bytes behind a request.
struct Incoming<'a, S> {
    inbound: &'a mut Inbound<S>,
    /// Whether all have come.
    ended: &'a AtomicBool,
}

impl<S: AsyncRead + Send> Pieces for Incoming<'_, S> {
    type Fault = LinkFault;

    async fn next(&mut self) -> Result<Option<Bytes>, LinkFault> {
        let piece = self.inbound.piece().await?;
        self.ended.store(piece.is_none(), Ordering::Relaxed);
        Ok(piece)
    }
}
