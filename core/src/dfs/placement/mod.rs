//! Where the replicas of a chunk go: on which nodes, and on which volume of a node.
//!
//! Both choices are pure functions of what is known, what is wished and the numbers drawn for them,
//! so that a run of the simulator repeats and a test can ask twice. They count in bytes and basis
//! points.
//!
//! Two candidates are drawn by weight, and the emptier of the two takes the replica (Mitzenmacher,
//! "The power of two choices in randomized load balancing", IEEE TPDS 12(10), 2001). Always taking
//! the emptiest of all would send everything to a node that was just added. The weight of a node is
//! its capacity, cut if the node is slow, and emptiness is the free share after the write: nodes of
//! all sizes fill at the same rate in percent. A node with the share *p* of all weight wins at most
//! 2*p* of the draws, which it does when it is emptier than all others: that is what keeps a new
//! node from being flooded, with no count of what it took lately.
//!
//! Nothing is moved here. That a new node gets its part of old chunks is the matter of balancing.

mod candidates;
mod choice;
mod refusal;
#[cfg(test)]
mod tests;
mod volume;
mod weights;

pub use candidates::{Candidate, Candidates, Fitness, HostGroup, Unfit};
pub use choice::{PLACES_MAX, Placed, ReliabilityLevel, Wish, place};
pub use refusal::{NoPlace, Scarce};
pub use volume::{NoVolume, Space, VolumeChoice, VolumeRules, choose_volume};

/// Basis points of the whole.
const WHOLE_BP: u64 = 10_000;

/// Part of its weight that a slow node or volume keeps, in basis points.
const SLOW_BP: u64 = 2_500;

/// A number in `0..bound` from one draw: the high half of a product, as in
/// [`Prng::below`](crate::prng::Prng::below).
fn below(draw: &mut impl FnMut() -> u64, bound: u64) -> u64 {
    let product = u128::from(draw()) * u128::from(bound);
    u64::try_from(product >> 64).unwrap_or(u64::MAX)
}

/// `part` basis points of `bytes`, rounded down.
fn portion(bytes: u64, part: u64) -> u64 {
    let product = u128::from(bytes) * u128::from(part) / u128::from(WHOLE_BP);
    u64::try_from(product).unwrap_or(u64::MAX)
}
