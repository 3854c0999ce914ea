//! Who was let through to the files a moment ago.
//!
//! Whether a token may read or write files is the controller's to say, and it says so with each
//! question about them: every one carries the token. The gate asks the same before anything else of a
//! request is looked at, and for a client with many requests that would be one more question for
//! each. So what was granted is taken to be granted for a short while. A token that is voided
//! meanwhile gets through the gate, and no further.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use vaquita_core::admin::{Caller, Right};

/// How long the gate takes a right to be granted still.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// How many are kept, the oldest giving way.
const KEPT: usize = 64;

struct Granted {
    /// Hash of the token and of where it came from: a token is kept nowhere where it is not needed, and one
    /// may be good for some addresses alone.
    token: [u8; 32],
    right: Right,
    since: Instant,
}

/// The rights that were granted, the oldest first.
#[derive(Default)]
pub(super) struct Recent {
    granted: Mutex<VecDeque<Granted>>,
}

impl Recent {
    /// Whether the caller was granted the right a moment ago.
    pub(super) fn has(&self, caller: &Caller, right: Right) -> bool {
        let Some(token) = hash(caller) else {
            return false;
        };
        let mut granted = self.lock();
        while granted
            .front()
            .is_some_and(|oldest| oldest.since.elapsed() >= KEPT_FOR)
        {
            granted.pop_front();
        }
        granted
            .iter()
            .any(|it| it.right == right && it.token == token)
    }

    /// The caller was granted the right.
    pub(super) fn add(&self, caller: &Caller, right: Right) {
        let Some(token) = hash(caller) else {
            return;
        };
        let mut granted = self.lock();
        if granted.len() >= KEPT {
            granted.pop_front();
        }
        let since = Instant::now();
        granted.push_back(Granted {
            token,
            right,
            since,
        });
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Granted>> {
        // Nothing that holds it can panic half way.
        self.granted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(caller: &Caller) -> Option<[u8; 32]> {
    match caller {
        Caller::Remote {
            address,
            token: Some(token),
            ..
        } => {
            let mut hash = Sha256::new();
            hash.update(address.to_string());
            hash.update([0]);
            hash.update(token);
            Some(hash.finalize().into())
        }
        _ => None,
    }
}
