//! The cluster's key: by it those who know the cluster know each of its processes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use vaquita_core::secret::ClusterSecret;
use vaquita_core::wire::keys::{KeyRole, Keyring};
use zeroize::Zeroizing;

use super::provider;

/// The name by which a client asks for the cluster's key instead of the host's certificate. No host
/// has it: `internal` is kept out of the names of the world.
pub const CLUSTER_NAME: &str = "cluster.vaquita.internal";

/// What stands before the 32 bytes of an Ed25519 private key in PKCS #8 (RFC 8410, section 7).
const PRIVATE_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// What stands before the 32 bytes of a public one in a certificate (RFC 8410, section 4).
const PUBLIC_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The public half of a cluster's key: no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterKey([u8; 32]);

impl ClusterKey {
    /// Whether a certificate with this subject public key info is one of this key.
    pub(super) fn is(&self, public_key_info: &[u8]) -> bool {
        public_key_info.strip_prefix(&PUBLIC_PREFIX) == Some(&self.0)
    }
}

impl fmt::Display for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ClusterKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = super::certificate::hex(text).ok_or("a key is 64 hexadecimal digits")?;
        Ok(Self(bytes))
    }
}

/// The cluster's key, with which this process shows that it has the cluster's secret.
#[derive(Clone)]
pub struct ClusterIdentity {
    pub(super) certified: Arc<CertifiedKey>,
    public: ClusterKey,
}

impl fmt::Debug for ClusterIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClusterIdentity")
            .field(&self.public.to_string())
            .finish()
    }
}

impl ClusterIdentity {
    /// The key that follows from a secret: the seed of an Ed25519 key (RFC 8032) is
    /// `vaquita/v1/cluster/tls` of the secret's keys.
    ///
    /// # Errors
    /// Never for a secret that was drawn; the words are the library's.
    pub fn derive(secret: &ClusterSecret) -> Result<Self, String> {
        let seed = Keyring::new(Some(secret)).derive(KeyRole::Cluster, "tls");
        let seed = seed.ok_or("there is no secret")?;
        let mut der = Zeroizing::new(Vec::from(PRIVATE_PREFIX));
        der.extend_from_slice(seed.reveal());
        let told = |error: &dyn fmt::Display| error.to_string();
        let pkcs8 = PrivatePkcs8KeyDer::from(der.to_vec());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ED25519)
            .map_err(|error| told(&error))?;
        let public = pair
            .public_key_raw()
            .try_into()
            .map_err(|_| "a public key that has not 32 bytes")?;
        let mut params =
            CertificateParams::new(vec![CLUSTER_NAME.to_owned()]).map_err(|error| told(&error))?;
        params
            .distinguished_name
            .push(DnType::CommonName, CLUSTER_NAME);
        // Its dates are never looked at: it holds for as long as the secret does.
        let certificate = params.self_signed(&pair).map_err(|error| told(&error))?;
        let key = provider()
            .key_provider
            .load_private_key(PrivateKeyDer::from(pkcs8))
            .map_err(|error| told(&error))?;
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)),
            public: ClusterKey(public),
        })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> ClusterKey {
        self.public
    }
}
