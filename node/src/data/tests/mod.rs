mod faults;
mod net;
mod node;
mod os;
mod service;
mod transfers;
mod volumes;

use bytes::Bytes;
use vaquita_core::dfs::ids::{ChunkId, ChunkVersion, OpId};
use vaquita_core::dfs::token::WriteToken;
use vaquita_core::ids::{ClusterId, ControllerEpoch, NodeEpoch, NodeId};
use vaquita_core::secret::ClusterSecret;

const MIB: usize = 1024 * 1024;

/// Bytes of which no two blocks are alike.
fn bytes(len: usize) -> Bytes {
    let words = (0..len.div_ceil(8) as u64).flat_map(|n| {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(17)
            .to_le_bytes()
    });
    words.take(len).collect()
}

fn version(number: u64) -> ChunkVersion {
    ChunkVersion::first(ChunkId(number))
}

fn token(number: u64, max_len: usize) -> WriteToken {
    WriteToken {
        cluster: ClusterId::new([7; 16]),
        controller_epoch: ControllerEpoch(1),
        op: OpId([9; 16]),
        version: version(number),
        max_len: max_len as u64,
        replicas: vec![(NodeId::new([1; 16]), NodeEpoch(1))],
        mac: [0; 16],
    }
}

fn secret(first: u8) -> ClusterSecret {
    let mut bytes = [0x33; 32];
    bytes[0] = first;
    ClusterSecret::new(bytes).unwrap()
}
