//! What placement claims, held against models that look at everything.

mod evenness;
mod properties;
mod refusals;
mod volumes;
mod weights;

use super::{Candidate, Candidates, Fitness, ReliabilityLevel, Space, Wish};
use crate::ids::Alias;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// The room of a node with one volume that keeps nothing in reserve.
fn space(capacity: u64, free: u64) -> Space {
    Space {
        capacity,
        free,
        room: free,
        high_mark: capacity / 100 * 15,
        volumes: 1,
    }
}

/// Nodes called `n0`, `n1` …, each with its host, its capacity and its free bytes.
fn nodes(of: &[(&str, u64, u64)]) -> Candidates {
    let mut candidates = Candidates::new();
    for (slot, &(host, capacity, free)) in of.iter().enumerate() {
        let host = candidates.host(host);
        candidates.set(
            slot,
            Candidate {
                alias: Alias::new(&format!("n{slot}")).expect("a test's alias is legal"),
                host,
                fitness: Fitness::Fit,
                space: space(capacity, free),
            },
        );
    }
    candidates
}

fn wish(factor: usize, min: usize, level: ReliabilityLevel) -> Wish<'static> {
    Wish {
        factor,
        min,
        level,
        size: 64 * MIB,
        ..Wish::default()
    }
}
