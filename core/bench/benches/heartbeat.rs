//! How many heartbeats a controller handles in a second: what arrives as a datagram is parsed,
//! checked, counted for its node, and answered by a datagram. Time passes as if each node beat twice
//! a second, so that the work of the failure detector is part of it.
//!
//! `cargo bench -p vaquita-bench --features criterion --bench heartbeat`

use core::hint::black_box;
use core::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vaquita_bench::rig::{NoDisk, Node, Rig};
use vaquita_core::ids::LogIndex;
use vaquita_core::io::{Effect, Input, Machine as _};
use vaquita_core::message::{Beat, Message};
use vaquita_core::secret::ClusterSecret;
use vaquita_core::wire::datagram;
use vaquita_core::wire::keys::Keyring;

const NODES: u16 = 1000;
const PERIOD: Duration = Duration::from_millis(500);

/// The beat of a node that has sent so many before.
fn beat(node: &Node, seq: u64) -> Input {
    let beat = Message::Beat(Beat {
        seq,
        acked: seq - 1,
        udp_blocked: false,
        self_fenced: false,
        lag_ms: 0,
        seen_index: LogIndex(1000),
        inventory: 0x0123_4567_89ab_cdef,
        news: 1000,
    });
    let kind = beat.kind();
    let body = beat.encode(node.envelope.clone());
    Input::Datagram {
        from: node.at,
        bytes: datagram::seal(&node.key, kind, seq, &body),
    }
}

/// Hands over one beat of each node, and returns how many were answered.
fn round(rig: &mut Rig<NoDisk>, beats: Vec<Input>) -> u16 {
    let mut answered = 0;
    for beat in beats {
        rig.now = rig.now.after(PERIOD / u32::from(NODES));
        rig.controller.handle(rig.now, beat);
        while let Some(effect) = rig.controller.poll_effect() {
            answered += u16::from(matches!(effect, Effect::SendDatagram { .. }));
            black_box(effect);
        }
    }
    answered
}

fn beats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heartbeats_of_1000_nodes");
    group.throughput(Throughput::Elements(u64::from(NODES)));
    let secret = ClusterSecret::new(core::array::from_fn(|at| at as u8))
        .expect("bytes that are not all alike are a secret");
    for (name, secret) in [("without_tag", None), ("with_tag", Some(secret))] {
        let keyring = Keyring::new(secret.as_ref());
        let mut rig = Rig::new(secret.as_ref(), NODES, NoDisk);
        let nodes = rig.register_all(NODES, &keyring);
        let mut seq = 0;
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    seq += 1;
                    let beats = nodes.iter().map(|node| beat(node, seq));
                    beats.collect::<Vec<_>>()
                },
                |beats| assert_eq!(round(&mut rig, beats), NODES, "every beat is answered"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, beats);
criterion_main!(benches);
