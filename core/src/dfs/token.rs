//! What a replica is shown before it takes a chunk's bytes.

use minicbor::{Decode, Encode};

use super::ids::{ChunkVersion, OpId};
use crate::ids::{ClusterId, ControllerEpoch, NodeEpoch, NodeId, Role};
use crate::wire::keys::{KeyRole, Keyring, SHARED_SECRET, TagKey};

/// The controller's word that a chunk may be written, and where.
///
/// It is void as soon as one of its three epochs is: the controller's, the replica's, and the
/// operation. It carries no time, since none of the three clocks involved could be believed.
/// Whoever holds it can write one chunk once, of at most `max_len` bytes, and no more: whether the
/// bytes count is decided at the commit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WriteToken {
    /// The cluster.
    #[n(0)]
    pub cluster: ClusterId,
    /// The controller epoch that allocated the chunk.
    #[n(1)]
    pub controller_epoch: ControllerEpoch,
    /// The write.
    #[n(2)]
    pub op: OpId,
    /// The chunk.
    #[n(3)]
    pub version: ChunkVersion,
    /// The most bytes that it may have.
    #[n(4)]
    pub max_len: u64,
    /// The replicas that may take it, each with the registration it was chosen under.
    #[n(5)]
    pub replicas: Vec<(NodeId, NodeEpoch)>,
    /// Proof that the controller wrote it: a MAC over all fields before, under a key that only
    /// members know; zero in a cluster without a secret.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub mac: [u8; 16],
}

impl WriteToken {
    /// The bytes that the MAC is over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let unsigned = Self {
            mac: [0; 16],
            ..self.clone()
        };
        crate::wire::codec::encode(&unsigned)
    }
}

/// What signs write tokens, and tells whether one was signed.
///
/// Members of a cluster share one key: it keeps tokens from being made up by whoever merely reaches
/// a port. A member that lies on purpose is not defended against.
#[derive(Clone, Debug)]
pub struct TokenKey(Option<TagKey>);

impl TokenKey {
    /// The key that follows from a cluster's secret, or none.
    #[must_use]
    pub fn new(keyring: &Keyring) -> Self {
        let key = keyring.derive(KeyRole::Process(Role::Controller), "write-token");
        Self(key.map(|key| TagKey::new(SHARED_SECRET, key.reveal(), &[])))
    }

    /// Signs a token.
    #[must_use]
    pub fn sign(&self, mut token: WriteToken) -> WriteToken {
        token.mac = self.mac(&token);
        token
    }

    /// Whether the token is signed as [`TokenKey::sign`] would.
    #[must_use]
    pub fn is_signed(&self, token: &WriteToken) -> bool {
        match &self.0 {
            Some(key) => key.matches(&token.signed_bytes(), &token.mac),
            None => true,
        }
    }

    fn mac(&self, token: &WriteToken) -> [u8; 16] {
        self.0
            .as_ref()
            .map_or([0; 16], |key| key.tag(&token.signed_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dfs::ids::ChunkId;
    use crate::secret::ClusterSecret;

    fn token() -> WriteToken {
        WriteToken {
            cluster: ClusterId::new([1; 16]),
            controller_epoch: ControllerEpoch(3),
            op: OpId([2; 16]),
            version: ChunkVersion::first(ChunkId(7)),
            max_len: 4096,
            replicas: vec![(NodeId::new([4; 16]), NodeEpoch(5))],
            mac: [0; 16],
        }
    }

    fn key(byte: u8) -> TokenKey {
        let mut bytes = [byte; 32];
        bytes[0] ^= 1;
        let secret = ClusterSecret::new(bytes).expect("not all alike");
        TokenKey::new(&Keyring::new(Some(&secret)))
    }

    #[test]
    fn a_changed_token_is_not_signed() {
        let signed = key(9).sign(token());
        assert!(key(9).is_signed(&signed));
        assert!(!key(8).is_signed(&signed));
        assert!(!key(9).is_signed(&token()));
        let changes: [fn(&mut WriteToken); 5] = [
            |token| token.max_len += 1,
            |token| token.version.chunk.0 += 1,
            |token| token.controller_epoch.0 += 1,
            |token| token.replicas[0].1.0 += 1,
            |token| token.op.0[0] ^= 1,
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(!key(9).is_signed(&changed));
        }
    }

    #[test]
    fn without_a_secret_every_token_counts_as_signed() {
        assert!(TokenKey::new(&Keyring::new(None)).is_signed(&token()));
    }
}
