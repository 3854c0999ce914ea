//! Connections to a server, and by what it is known.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::Server;
use super::transport::{TransportError, unconnected};
use crate::cli::exit::{Failure, Status};
use crate::http::Duplex;
use crate::tls::{Connector, Trust, read_roots, system_roots};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// By what a server is known to be the right one, as it is kept beside logins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Known {
    /// Its certificate, or who issued it, is in this file.
    Ca(PathBuf),
    /// The SHA-256 of its certificate.
    Fingerprint(String),
    /// The public key of its cluster.
    Cluster(String),
}

/// Whom to trust for a server. If nothing else is said, those whom this system trusts.
pub(super) fn trust(server: &Server, known: Option<&Known>) -> Result<Trust, Failure> {
    let wrong = |message: String| Failure::new(Status::Usage, message);
    match known {
        _ if !server.tls => Ok(Trust::nobody()),
        None => Ok(system_roots()),
        Some(Known::Ca(path)) => read_roots(path).map_err(|error| wrong(error.to_string())),
        Some(Known::Fingerprint(text)) => text
            .parse()
            .map(Trust::Fingerprint)
            .map_err(|why| wrong(format!("`{text}` is no fingerprint: {why}"))),
        Some(Known::Cluster(text)) => text
            .parse()
            .map(Trust::Cluster)
            .map_err(|why| wrong(format!("`{text}` is no key of a cluster: {why}"))),
    }
}

/// Opens a connection to a server, through TLS if it is an `https` one.
#[expect(
    clippy::disallowed_methods,
    reason = "a command is a client outside the cluster, with no process of its own to simulate"
)]
pub(super) async fn dial(
    server: &Server,
    trust: &Trust,
    patience: Duration,
) -> Result<Box<dyn Duplex>, TransportError> {
    let connecting = TcpStream::connect((server.host.as_str(), server.port));
    let stream = match timeout(patience, connecting).await {
        Err(_) => return Err(TransportError::Silent(server.clone())),
        Ok(Err(error)) => return Err(unconnected(server, &error)),
        Ok(Ok(stream)) => stream,
    };
    // Small files are many; waiting for more to send would cost each of them.
    let _ = stream.set_nodelay(true);
    if !server.tls {
        return Ok(Box::new(stream));
    }
    let connector = Connector::new(trust.clone());
    match timeout(HANDSHAKE, connector.connect(&server.host, stream)).await {
        Err(_) => Err(TransportError::Silent(server.clone())),
        Ok(Err(untrusted)) => Err(TransportError::Untrusted(server.clone(), untrusted)),
        Ok(Ok(stream)) => Ok(Box::new(stream)),
    }
}
