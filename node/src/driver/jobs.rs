//! Computations that would hold up the machine: password hashes and checkpoints.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use vaquita_core::io::{Job, JobOutcome};
use vaquita_core::metalog::CheckpointPlan;
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
