//! Getting the one port of a process, for TCP and for UDP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tracing::warn;
use vaquita_core::ids::Endpoint;
use vaquita_core::io::{ExitCode, ExitReason};

use super::DriverLimits;
use crate::env::{Env, Listener};

/// The sockets of a process.
pub struct Port<E: Env> {
    pub(super) listener: E::Listener,
    pub(super) udp: Arc<E::Udp>,
    address: SocketAddr,
}

impl<E: Env> Port<E> {
    /// Where the process can be reached, as the host sees it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl<E: Env> std::fmt::Debug for Port<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Port").field(&self.address).finish()
    }
}

/// Takes a port for TCP and UDP, so that what cannot work is known before anything else is begun.
///
/// A port that somebody has is tried again for a while: often it is the process before this one,
/// just ending. Port 0 means any free one, the same for both.
///
/// # Errors
/// The status and the sentence to end the process with, the holder named where the host tells.
pub async fn bind<E: Env>(
    env: &E,
    at: &Endpoint,
    limits: &DriverLimits,
) -> Result<Port<E>, ExitReason> {
    let deadline = Instant::now() + limits.bind_patience;
    let mut told = false;
    loop {
        let error = match try_bind(env, at).await {
            Ok(port) => return Ok(port),
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(refused(at, &error));
        }
        let holder = env.port_holder(at).await;
        if Instant::now() >= deadline {
            return Err(in_use(at, holder.as_deref()));
        }
        if !told {
            told = true;
            warn!(
                "port {} is held by {}; waiting up to {} s for it",
                at.port,
                holder.as_deref().unwrap_or("another process"),
                limits.bind_patience.as_secs()
            );
        }
        sleep(limits.bind_retry).await;
    }
}

async fn try_bind<E: Env>(env: &E, at: &Endpoint) -> io::Result<Port<E>> {
    let listener = env.listen(at).await?;
    let address = listener.local_addr()?;
    let same = Endpoint {
        host: at.host.clone(),
        port: address.port(),
    };
    let udp = Arc::new(env.bind_udp(&same).await?);
    Ok(Port {
        listener,
        udp,
        address,
    })
}

fn in_use(at: &Endpoint, holder: Option<&str>) -> ExitReason {
    let holder = holder.unwrap_or("another process, perhaps of another user");
    ExitReason {
        code: ExitCode::Unavailable,
        message: format!(
            "Failed to bind the socket on {}: {at} is held by {holder}. Stop it, or give this \
             process another port in localSite and in the files that name it",
            at.port
        ),
    }
}

fn refused(at: &Endpoint, error: &io::Error) -> ExitReason {
    let advice = match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            "no network interface of this host has that address: correct the host in localSite"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 belong to the administrator: choose a higher one in localSite"
        }
        io::ErrorKind::NotFound => {
            "the host name has no address: correct localSite, or the name service"
        }
        _ => "check localSite",
    };
    ExitReason {
        code: ExitCode::Unavailable,
        message: format!(
            "Failed to bind the socket on {}: {at}: {error}; {advice}",
            at.port
        ),
    }
}
