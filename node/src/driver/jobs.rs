//! What would hold up the machine: password hashes, checkpoints, and the reading of logs and mirrors.

use std::collections::BTreeMap;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use vaquita_core::disk::FileName;
use vaquita_core::ids::ClusterId;
use vaquita_core::io::{Job, JobOutcome, Piece, PieceAsk};
use vaquita_core::metalog::{CheckpointPlan, LogPart};
use vaquita_core::mirror::words::MirrorCopy;
use vaquita_core::mirror::{self, Shelf};
use vaquita_core::prng::{SecretPrng, Seed};
use vaquita_core::secret::Password;

use super::lanes::{SealedFile, open_all};
use crate::env::{Disk, Effort, Env};

/// Replays a checkpoint's base and segments, in this order, into the state they describe, and
/// encodes it. Belongs to the role, which alone knows the state.
pub type BuildCheckpoint =
    Arc<dyn Fn(&CheckpointPlan, &[SealedFile<'_>]) -> Result<Vec<u8>, String> + Send + Sync>;

/// What a password hash costs whoever guesses, and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for PasswordCost {
    /// A quarter of a second at most on a small server, at the memory that RFC 9106 and current
    /// practice advise where it cannot be two gigabytes.
    fn default() -> Self {
        Self {
            memory_kib: 47_104,
            passes: 1,
        }
    }
}

/// Above these, a stored hash is refused: it would be an attack on this process's memory and time.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 10;

/// Does a job where it delays nobody.
pub(super) async fn compute<E: Env>(
    env: E,
    disk: E::Disk,
    cost: PasswordCost,
    build_checkpoint: Option<BuildCheckpoint>,
    job: Job,
) -> JobOutcome {
    let outcome = match job {
        Job::HashPassword { password } => {
            let seed = env.seed();
            env.compute(Effort::Password, move || {
                JobOutcome::PasswordHashed(hash_password(cost, &password, seed))
            })
            .await
        }
        Job::VerifyPassword { password, stored } => {
            env.compute(Effort::Password, move || {
                JobOutcome::PasswordVerified(verify(cost, &password, stored.as_deref()))
            })
            .await
        }
        Job::BuildCheckpoint(plan) => {
            let built = checkpoint(&env, &disk, build_checkpoint, plan).await;
            Some(JobOutcome::CheckpointBuilt(built))
        }
        Job::ReadPiece(ask) => {
            Some(JobOutcome::PieceRead(piece(&disk, &ask).await.map_err(
                |error| format!("cannot read {}: {error}", ask.file),
            )))
        }
        Job::SurveyMirrors { cluster, deep } => survey(&env, &disk, cluster, deep)
            .await
            .transpose()
            .map(|surveyed| JobOutcome::MirrorsSurveyed(surveyed.map(Box::new))),
    };
    outcome.unwrap_or(JobOutcome::Overloaded)
}

async fn checkpoint<E: Env>(
    env: &E,
    disk: &E::Disk,
    build: Option<BuildCheckpoint>,
    plan: CheckpointPlan,
) -> Result<Vec<u8>, String> {
    let build = build.ok_or("this role keeps no checkpoints: that is a bug in this program")?;
    let names = plan.base.iter().chain(&plan.segments).cloned().collect();
    let files = open_all(disk, names).await?;
    env.compute(Effort::Replay, move || {
        let files: Vec<SealedFile<'_>> = files
            .iter()
            .map(|(name, sealed): &(_, <E::Disk as Disk>::Sealed)| (name, sealed.as_ref()))
            .collect();
        build(&plan, &files)
    })
    .await
    .unwrap_or_else(|| Err("a checkpoint is being built already".to_owned()))
}

/// Bytes that are summed up at a time.
const SUMMED: usize = 1024 * 1024;

async fn piece<D: Disk>(disk: &D, ask: &PieceAsk) -> std::io::Result<Piece> {
    let mut sum = crc32fast::Hasher::new();
    let mut summed = 0;
    while ask.sum_before && summed < ask.offset {
        let left = usize::try_from(ask.offset - summed).unwrap_or(SUMMED);
        let bytes = disk.read_at(&ask.file, summed, left.min(SUMMED)).await?;
        if bytes.is_empty() {
            break;
        }
        summed += bytes.len() as u64;
        sum.update(&bytes);
    }
    let bytes = disk.read_at(&ask.file, ask.offset, ask.len).await?;
    // A piece that is shorter than was asked for is the last one.
    let end = ask.offset + bytes.len() as u64;
    let file_len = if bytes.len() < ask.len {
        end
    } else {
        let more = disk.read_at(&ask.file, end, 1).await?;
        end + more.len() as u64
    };
    Ok(Piece {
        bytes: bytes.to_vec(),
        file_len,
        sum_before: (ask.sum_before && summed == ask.offset).then(|| sum.finalize()),
    })
}

/// A file of a mirror: mapped if nothing is written to it any more.
enum MirrorFile<S> {
    Sealed(S),
    Copy(Vec<u8>),
}

impl<S: AsRef<[u8]>> AsRef<[u8]> for MirrorFile<S> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Sealed(bytes) => bytes.as_ref(),
            Self::Copy(bytes) => bytes,
        }
    }
}

/// `None` if too much of the kind is waiting already.
async fn survey<E: Env>(
    env: &E,
    disk: &E::Disk,
    cluster: ClusterId,
    deep: bool,
) -> Result<Option<(MirrorCopy, MirrorCopy)>, String> {
    let listing = disk.list().await.map_err(|error| error.to_string())?;
    let names: Vec<FileName> = (listing.files.into_keys())
        .filter(mirror::is_mirror)
        .collect();
    // Names sort as indexes do: the segment that may grow is the last one.
    let grows = |name: &FileName| matches!(Shelf::Present.part(name), Some(LogPart::Segment(_)));
    let growing = names.iter().rfind(|name| grows(name)).cloned();
    let mut files = BTreeMap::new();
    for name in names {
        let file = if Some(&name) == growing.as_ref() {
            disk.read(&name).await.map(MirrorFile::Copy)
        } else {
            disk.open_sealed(&name).await.map(MirrorFile::Sealed)
        };
        let file = file.map_err(|error| format!("cannot read {name}: {error}"))?;
        files.insert(name, file);
    }
    let surveyed = env.compute(Effort::Replay, move || {
        let shelf = |shelf| mirror::survey(&files, shelf, cluster, deep);
        (shelf(Shelf::Present), shelf(Shelf::Aside))
    });
    Ok(surveyed.await)
}

fn hasher(cost: PasswordCost) -> Argon2<'static> {
    // Out of range only by a test's mistake; the algorithm's own default is a safe answer to that.
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(32)).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The PHC string of a password, with a salt from `seed`.
pub(crate) fn hash_password(cost: PasswordCost, password: &Password, seed: Seed) -> String {
    let salt = SecretPrng::new(seed).next_16();
    hasher(cost)
        .hash_password_with_salt(password.reveal().as_bytes(), &salt)
        .expect("a password of bounded length and a salt of 16 bytes can be hashed")
        .to_string()
}

/// Whether `password` is the one that was hashed. Without a stored hash the work is done all the
/// same, so that an unknown user cannot be told from a known one by the time it takes.
fn verify(cost: PasswordCost, password: &Password, stored: Option<&str>) -> bool {
    let Some(stored) = stored else {
        let _ = hash_password(cost, password, Seed::new([0; 32]));
        return false;
    };
    let Ok(stored) = PasswordHash::new(stored) else {
        return false;
    };
    let bounded = Params::try_from(&stored)
        .is_ok_and(|params| params.m_cost() <= MEMORY_KIB_MAX && params.t_cost() <= PASSES_MAX);
    bounded
        && hasher(cost)
            .verify_password(password.reveal().as_bytes(), &stored)
            .is_ok()
}
