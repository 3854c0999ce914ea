//! Taking the bytes of a chunk in, on the node that is to keep them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use vaquita_core::admin::Refusal;
use vaquita_core::dfs::ask::Holder;
use vaquita_core::dfs::digest::{Summary, Summing};
use vaquita_core::dfs::ids::{StageId, VolumeSlot};
use vaquita_core::dfs::token::WriteToken;
use vaquita_core::disk::FileName;
use vaquita_core::store::{ALONE_HEADER, Form, StoreAnswer, StoreAsk};

use super::Data;
use super::asks::{StoreFront, odd};
use super::stages::Staged;
use crate::env::Env;

/// Where the bytes of a chunk come from.
pub(crate) trait Pieces: Send {
    /// Why they may stop coming.
    type Fault: Send;

    /// The next bytes, none of them longer than
    /// [`DataLimits::piece_max`](super::DataLimits::piece_max); `None` behind the last.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Self::Fault>> + Send;
}

/// Why a chunk was not taken.
#[derive(Debug)]
pub(crate) enum NotTaken<F> {
    /// This node refuses it.
    Refused(Refusal),
    /// Its bytes stopped coming.
    Source(F),
}

impl<F> From<Refusal> for NotTaken<F> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Takes a chunk: returns once it is durable.
pub(crate) async fn receive<E: Env, P: Pieces>(
    data: &Data<E>,
    token: WriteToken,
    len: Option<u64>,
    pieces: &mut P,
) -> Result<(Holder, Summary), NotTaken<P::Fault>> {
    let bounds = Bounds {
        max: token.max_len,
        len,
    };
    bounds.check_announced()?;
    let packed_max = data.shared.limits.packed_max;
    let small = len.is_none_or(|len| usize::try_from(len).is_ok_and(|len| len <= packed_max));
    let mut first = BytesMut::new();
    if small {
        let room = len
            .and_then(|len| usize::try_from(len).ok())
            .unwrap_or(packed_max);
        let share = data.shared.serving.take(room).await?;
        if len.is_some() {
            // Growing piece by piece would copy all of it again and again.
            first.reserve(room);
        }
        loop {
            let Some(piece) = pieces.next().await.map_err(NotTaken::Source)? else {
                bounds.check_end(first.len() as u64)?;
                return packed(data, token, first.freeze(), share).await;
            };
            bounds.check((first.len() + piece.len()) as u64)?;
            first.extend_from_slice(&piece);
            if first.len() > packed_max {
                // It is a large one after all.
                break;
            }
        }
    }
    alone(data, token, &bounds, first, pieces).await
}

/// How many bytes may come.
struct Bounds {
    max: u64,
    len: Option<u64>,
}

impl Bounds {
    fn check_announced(&self) -> Result<(), Refusal> {
        match self.len {
            Some(len) if len > self.max => Err(self.too_many(len)),
            _ => Ok(()),
        }
    }

    /// Whether so many bytes are not too many.
    fn check(&self, so_far: u64) -> Result<(), Refusal> {
        if so_far > self.len.unwrap_or(self.max) {
            return Err(self.too_many(so_far));
        }
        Ok(())
    }

    /// Whether so many bytes may be all.
    fn check_end(&self, all: u64) -> Result<(), Refusal> {
        match self.len {
            Some(len) if len != all => Err(Refusal::Invalid {
                reason: format!("{len} bytes were announced and {all} came"),
            }),
            _ => Ok(()),
        }
    }

    fn too_many(&self, len: u64) -> Refusal {
        Refusal::Invalid {
            reason: match self.len {
                Some(announced) if announced <= self.max => {
                    format!("{announced} bytes were announced and at least {len} came")
                }
                _ => format!("{len} bytes are more than the {} of the token", self.max),
            },
        }
    }
}

/// Takes a chunk whose bytes are all in memory.
async fn packed<E: Env, F>(
    data: &Data<E>,
    token: WriteToken,
    bytes: Bytes,
    share: super::budget::Share,
) -> Result<(Holder, Summary), NotTaken<F>> {
    let summary = Summary::of(&bytes);
    let admitted = admit(data, token, Some(summary.len)).await?;
    match &admitted.form {
        Form::Packed => {
            let staged = Staged {
                bytes,
                share: Some(share),
            };
            data.shared.stages.put(admitted.stage.id, staged);
        }
        Form::Alone { file } => {
            let end = append(data, &admitted, file, ALONE_HEADER, bytes);
            end.await?;
        }
    }
    prepare(data, admitted, summary).await
}

/// Takes a chunk that goes to its file as it comes. `first` has come already.
async fn alone<E: Env, P: Pieces>(
    data: &Data<E>,
    token: WriteToken,
    bounds: &Bounds,
    first: BytesMut,
    pieces: &mut P,
) -> Result<(Holder, Summary), NotTaken<P::Fault>> {
    let piece_max = data.shared.limits.piece_max;
    // What is being written, what is gathered meanwhile, and a piece of that which is just coming.
    let _share = data.shared.serving.take(3 * piece_max).await?;
    let admitted = admit(data, token, bounds.len).await?;
    let Form::Alone { file } = &admitted.form else {
        return Err(NotTaken::Refused(Refusal::Unavailable {
            reason: "this node would pack a chunk that its driver does not keep in memory: their \
                     limits differ, which is a bug"
                .to_owned(),
        }));
    };
    let mut gathering = Gathering {
        pieces,
        bounds,
        gathered: first,
        ended: false,
        summing: Summing::default(),
    };
    let mut at = ALONE_HEADER;
    let mut next = gathering.next(piece_max).await?;
    while let Some(bytes) = next {
        // The disk writes while the next bytes come and have their checksums made.
        let writing = async {
            let end = append(data, &admitted, file, at, bytes).await;
            end.map_err(NotTaken::Refused)
        };
        (at, next) = tokio::try_join!(writing, gathering.next(piece_max))?;
    }
    let summing = gathering.summing;
    bounds.check_end(summing.len())?;
    prepare(data, admitted, summing.finish()).await
}

/// The bytes of a chunk, put together to what is written at once.
struct Gathering<'a, P> {
    pieces: &'a mut P,
    bounds: &'a Bounds,
    gathered: BytesMut,
    ended: bool,
    /// Of all bytes that were given away.
    summing: Summing,
}

impl<P: Pieces> Gathering<'_, P> {
    /// The next `len` bytes, fewer at the end; `None` behind the last.
    async fn next(&mut self, len: usize) -> Result<Option<Bytes>, NotTaken<P::Fault>> {
        while !self.ended && self.gathered.len() < len {
            match self.pieces.next().await.map_err(NotTaken::Source)? {
                Some(piece) => {
                    let new = (self.gathered.len() + piece.len()) as u64;
                    self.bounds.check(self.summing.len() + new)?;
                    self.gathered.extend_from_slice(&piece);
                }
                None => self.ended = true,
            }
        }
        if self.gathered.is_empty() {
            return Ok(None);
        }
        let bytes = self
            .gathered
            .split_to(self.gathered.len().min(len))
            .freeze();
        self.summing.update(&bytes);
        Ok(Some(bytes))
    }
}

/// Writes to the file of an admitted chunk; returns where the next bytes go.
async fn append<E: Env>(
    data: &Data<E>,
    admitted: &Admitted<E>,
    file: &FileName,
    at: u64,
    bytes: Bytes,
) -> Result<u64, Refusal> {
    let end = at + bytes.len() as u64;
    let Admitted { volume, life, .. } = *admitted;
    let writing = data.shared.volumes.append(volume, life, file, at, bytes);
    writing.await?;
    Ok(end)
}

/// A chunk whose bytes may come.
struct Admitted<E: Env> {
    stage: Stage<E>,
    volume: VolumeSlot,
    /// The volume's, when the chunk was admitted.
    life: u64,
    form: Form,
}

/// A stage that is owed a word: if none is said, it is cancelled.
struct Stage<E: Env> {
    id: StageId,
    data: Data<E>,
    owed: bool,
}

impl<E: Env> Drop for Stage<E> {
    fn drop(&mut self) {
        if self.owed {
            self.data.shared.stages.take(self.id);
            let store: &StoreFront = &self.data.shared.store;
            store.tell(StoreAsk::Cancel { stage: self.id });
        }
    }
}

async fn admit<E: Env>(
    data: &Data<E>,
    token: WriteToken,
    len: Option<u64>,
) -> Result<Admitted<E>, Refusal> {
    let cluster = token.cluster;
    let patience = data.shared.limits.answer_timeout;
    let ask = StoreAsk::Admit { token, len };
    match data.shared.store.ask(ask, patience).await? {
        StoreAnswer::Admitted {
            stage,
            volume,
            form,
        } => {
            // The machine takes no token of another cluster than its own.
            data.join(cluster);
            let stage = Stage {
                id: stage,
                data: data.clone(),
                owed: true,
            };
            Ok(Admitted {
                stage,
                volume,
                life: data.shared.volumes.life(volume),
                form,
            })
        }
        other => Err(odd(&other)),
    }
}

/// All bytes are there: waits until they are durable.
async fn prepare<E: Env, F>(
    data: &Data<E>,
    mut admitted: Admitted<E>,
    summary: Summary,
) -> Result<(Holder, Summary), NotTaken<F>> {
    let patience: Duration = data.shared.limits.prepare_timeout;
    let turn = data.shared.store.turn(patience).await?;
    let answer = turn.ask(StoreAsk::Staged {
        stage: admitted.stage.id,
        summary: summary.clone(),
    });
    // From here on the bytes are the machine's to use or to drop.
    admitted.stage.owed = false;
    match answer.await? {
        StoreAnswer::Prepared(holder) => {
            data.tally().chunk_written();
            Ok((holder, summary))
        }
        other => Err(odd(&other).into()),
    }
}
