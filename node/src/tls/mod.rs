//! TLS: the certificates of this process, and whom a client of it trusts.
//!
//! One library, one crypto provider, given by name wherever a configuration is made: rustls with
//! *ring*. Which certificate a server shows depends on who asks:
//!
//! * People, browsers and programs see the *certificate* of the host ([`Serving`]): one that the
//!   operator gave, or one that was made here. They know it by an authority, or by its fingerprint.
//! * Processes of the cluster that speak TLS with one another ([`Peers`]) show that certificate to each
//!   other, and take no other one.
//! * Clients that know the cluster already ask for [`CLUSTER_NAME`] and see a certificate of the
//!   *cluster's key* ([`ClusterIdentity`]), which follows from the cluster's secret and is the same
//!   in every process. So a controller that passes a file on, and a command that has talked to the
//!   controller, need to be told nothing about the certificates of data nodes.

mod certificate;
mod client;
mod identity;
mod made;
mod peers;
mod serving;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;

pub use certificate::{CertificateError, Facts, Fingerprint};
pub use client::{Connector, Trust, TrustError, Untrusted, read_roots, system_roots};
pub use identity::{CLUSTER_NAME, ClusterIdentity, ClusterKey};
pub use peers::{PEER_PROTOCOL, PeerEnv, PeerListener, PeerStream, Peers};
pub use serving::{Looked, Serving, Source};

/// What a port shows to those who begin with TLS.
#[derive(Clone, Debug, Default)]
pub struct PortTls {
    /// To browsers and programs, where HTTPS is served.
    pub https: Option<Serving>,
    /// To processes of the cluster, where these speak TLS; then they speak nothing else.
    pub peers: Option<Peers>,
}

/// The one provider. rustls panics where it has to guess between two, and nothing here lets it guess.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Whether a certificate can be for this name at all: one with wildcards, for example, nobody asks for.
#[must_use]
pub fn can_be_certified(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

#[cfg(test)]
pub(crate) mod tests;
