//! Which nodes take the replicas of a chunk.

use core::fmt;
use std::collections::BTreeSet;

use super::candidates::{Candidate, Candidates, Fitness, HostGroup};
use super::{NoPlace, Scarce, below};
use crate::membership::Slot;

/// Most replicas that one chunk can have, and most places of one answer.
pub const PLACES_MAX: usize = 16;

/// Number of candidates up to which all are looked at instead of drawing until one fits.
const LOOK_AT_ALL: usize = 16;

/// Draws that may hit a node that does not fit before all are looked at.
const DRAWS_MAX: usize = 16;

/// Halvings of the weight, and of the free share, of a node for each replica that its host has
/// already, at [`ReliabilityLevel::MayShare`].
const SHARED_HALVINGS: usize = 3;

/// Nodes that a refusal names; a thousand reasons help nobody.
const LEFT_OUT_MAX: usize = 16;

/// Whether replicas of a chunk may share a host: the key `dfsReplicaReliabilityLevel`. Two replicas
/// are never on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReliabilityLevel {
    /// Level 0: they may. A host that has a replica is an eighth as likely to get another.
    #[default]
    MayShare,
    /// Level 1: never. What cannot be kept apart is not placed.
    NeverShare,
    /// Level 2: only while no other host has room, be it above its high-water mark.
    PreferApart,
}

impl ReliabilityLevel {
    /// The level that the configuration calls `number`.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::MayShare),
            1 => Some(Self::NeverShare),
            2 => Some(Self::PreferApart),
            _ => None,
        }
    }

    /// What the configuration calls it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::MayShare => 0,
            Self::NeverShare => 1,
            Self::PreferApart => 2,
        }
    }
}

/// What places are wanted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish<'a> {
    /// How many places: the replication factor for a new chunk, what is missing for a repair. More
    /// than [`PLACES_MAX`] counts as that.
    pub factor: usize,
    /// With how few the asker can begin; more than `factor` counts as that. Nothing is placed on no
    /// node at all: zero counts as one, unless `factor` is zero.
    pub min: usize,
    /// Whether hosts may be shared.
    pub level: ReliabilityLevel,
    /// Most bytes that each replica can come to have.
    pub size: u64,
    /// Nodes that have a replica already: they get no other, and their hosts count as used.
    pub beside: &'a [Slot],
    /// Nodes that are left out for another reason, such as that a write just failed there.
    pub avoid: &'a [Slot],
    /// Node that gets the first replica if it can have one and is not above high water. Who prefers
    /// gives up the evenness of the draw.
    pub prefer: Option<Slot>,
}

/// The nodes that take the replicas of a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    slots: [Slot; PLACES_MAX],
    len: usize,
    /// Whether there are fewer places than were wished: the chunk will be degraded.
    pub short: bool,
}

impl Placed {
    /// The nodes, all different, in the order in which they were chosen.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots[..self.len]
    }
}

impl fmt::Debug for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placed")
            .field("slots", &self.slots())
            .field("short", &self.short)
            .finish()
    }
}

/// Chooses nodes for the replicas of a chunk. `draw` gives 64 random bits each time.
///
/// There are always as many places as the wish and the nodes allow: fewer than `factor` only if no
/// further node fits. The same arguments and draws give the same answer. Nothing is reserved: that
/// is for the caller, by [`Candidates::took`].
///
/// Costs a few logarithms of the number of nodes, or time in proportion to it when almost no node
/// fits.
///
/// # Errors
/// If there are fewer than `min` places.
pub fn place(
    candidates: &Candidates,
    wish: &Wish<'_>,
    draw: &mut impl FnMut() -> u64,
) -> Result<Placed, NoPlace> {
    let factor = wish.factor.min(PLACES_MAX);
    let mut choice = Choice {
        candidates,
        wish,
        placed: Placed {
            slots: [0; PLACES_MAX],
            len: 0,
            short: false,
        },
    };
    if factor > 0
        && let Some(slot) = wish.prefer
        && candidates.weights(false).get(slot) > 0
        && choice.fits(slot).is_some_and(|c| choice.uses(c.host) == 0)
    {
        choice.take(slot);
    }
    while choice.placed.len < factor {
        let Some(slot) = choice.next(draw) else {
            break;
        };
        choice.take(slot);
    }
    let mut placed = choice.placed;
    if placed.len < least(wish) {
        return Err(shortage(candidates, wish));
    }
    placed.short = placed.len < factor;
    Ok(placed)
}

/// The fewest places with which a wish is met.
fn least(wish: &Wish<'_>) -> usize {
    let factor = wish.factor.min(PLACES_MAX);
    wish.min.max(1).min(factor)
}

/// Which nodes may come next, as far as their hosts decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hosts {
    /// Those on hosts without a replica.
    Unused,
    /// All, those on used hosts with less weight.
    Weighed,
    /// Those on the hosts with the fewest replicas.
    LeastUsed,
}

struct Choice<'a> {
    candidates: &'a Candidates,
    wish: &'a Wish<'a>,
    placed: Placed,
}

impl<'a> Choice<'a> {
    fn take(&mut self, slot: Slot) {
        self.placed.slots[self.placed.len] = slot;
        self.placed.len += 1;
    }

    /// The node of a slot, if it has room and gets no replica otherwise. Its fitness is not looked
    /// at: an unfit node has no weight.
    fn fits(&self, slot: Slot) -> Option<&'a Candidate> {
        let candidate = self.candidates.get(slot)?;
        let taken = self.placed.slots().contains(&slot)
            || self.wish.beside.contains(&slot)
            || self.wish.avoid.contains(&slot);
        (!taken && candidate.space.room >= self.wish.size).then_some(candidate)
    }

    /// How many replicas are on a host.
    fn uses(&self, host: HostGroup) -> usize {
        let having = self.placed.slots().iter().chain(self.wish.beside);
        having
            .filter(|&&slot| self.candidates.get(slot).is_some_and(|c| c.host == host))
            .count()
    }

    fn next(&self, draw: &mut impl FnMut() -> u64) -> Option<Slot> {
        let steps: &[(bool, Hosts)] = match self.wish.level {
            ReliabilityLevel::MayShare => &[(false, Hosts::Weighed), (true, Hosts::Weighed)],
            ReliabilityLevel::NeverShare => &[(false, Hosts::Unused), (true, Hosts::Unused)],
            ReliabilityLevel::PreferApart => &[
                (false, Hosts::Unused),
                (true, Hosts::Unused),
                (false, Hosts::LeastUsed),
                (true, Hosts::LeastUsed),
            ],
        };
        steps
            .iter()
            .find_map(|&(high, hosts)| self.emptier_of_two(high, hosts, draw))
    }

    fn emptier_of_two(
        &self,
        high: bool,
        hosts: Hosts,
        draw: &mut impl FnMut() -> u64,
    ) -> Option<Slot> {
        let first = self.pick(high, hosts, draw)?;
        let second = self.pick(high, hosts, draw)?;
        let (Some(a), Some(b)) = (self.candidates.get(first), self.candidates.get(second)) else {
            return None;
        };
        let (free_a, all_a) = a.free_after(self.wish.size);
        let (free_b, all_b) = b.free_after(self.wish.size);
        let mut share_a = u128::from(free_a) * u128::from(all_b);
        let mut share_b = u128::from(free_b) * u128::from(all_a);
        if hosts == Hosts::Weighed {
            share_a >>= self.halvings(a);
            share_b >>= self.halvings(b);
        }
        Some(if share_b > share_a { second } else { first })
    }

    fn halvings(&self, candidate: &Candidate) -> u32 {
        let halvings = SHARED_HALVINGS * self.uses(candidate.host);
        u32::try_from(halvings).unwrap_or(u32::MAX).min(63)
    }

    /// A node that may come next, with the probability of its weight among all that may.
    ///
    /// Draws from all until one fits, which leaves the proportions among those that fit as they are;
    /// if most do not, looks at all.
    fn pick(&self, high: bool, hosts: Hosts, draw: &mut impl FnMut() -> u64) -> Option<Slot> {
        let weights = self.candidates.weights(high);
        if weights.heavy() > LOOK_AT_ALL && hosts != Hosts::LeastUsed {
            for _ in 0..DRAWS_MAX {
                let slot = weights.find(below(draw, weights.total()));
                let Some(candidate) = self.fits(slot) else {
                    continue;
                };
                let taken = match hosts {
                    Hosts::Unused => self.uses(candidate.host) == 0,
                    _ => match self.halvings(candidate) {
                        0 => true,
                        halvings => draw() >> (64 - halvings) == 0,
                    },
                };
                if taken {
                    return Some(slot);
                }
            }
        }
        self.pick_from_all(high, hosts, draw)
    }

    fn pick_from_all(
        &self,
        high: bool,
        hosts: Hosts,
        draw: &mut impl FnMut() -> u64,
    ) -> Option<Slot> {
        let fitting = || {
            let all = self.candidates.weights(high).iter();
            all.filter_map(|(slot, weight)| Some((slot, weight, self.fits(slot)?)))
        };
        let fewest = match hosts {
            Hosts::Unused | Hosts::Weighed => 0,
            Hosts::LeastUsed => fitting().map(|(_, _, c)| self.uses(c.host)).min()?,
        };
        let weighed = || {
            fitting().filter_map(|(slot, weight, candidate)| match hosts {
                // A shift by much leaves something, so that what can be placed is placed.
                Hosts::Weighed => Some((slot, (weight >> self.halvings(candidate)).max(1))),
                _ => (self.uses(candidate.host) == fewest).then_some((slot, weight)),
            })
        };
        let total: u64 = weighed().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut point = below(draw, total);
        for (slot, weight) in weighed() {
            if point < weight {
                return Some(slot);
            }
            point -= weight;
        }
        None
    }
}

/// Of what there is too little for a wish, and why each node is no place for it.
fn shortage(candidates: &Candidates, wish: &Wish<'_>) -> NoPlace {
    let strict = wish.level == ReliabilityLevel::NeverShare;
    let used: BTreeSet<HostGroup> = wish
        .beside
        .iter()
        .filter_map(|&slot| Some(candidates.get(slot)?.host))
        .collect();
    let mut fit = 0;
    let mut roomy = 0;
    let mut hosts = BTreeSet::new();
    let mut left_out = Vec::new();
    for (slot, candidate) in candidates.iter() {
        let Candidate {
            alias,
            host,
            fitness,
            space,
        } = candidate;
        if wish.beside.contains(&slot) {
            left_out.push(format!("{alias}: has a replica already"));
            continue;
        }
        if let Fitness::Unfit(reason) = fitness {
            left_out.push(format!("{alias}: {reason}"));
            continue;
        }
        if wish.avoid.contains(&slot) {
            left_out.push(format!("{alias}: was tried already"));
            continue;
        }
        fit += 1;
        if space.volumes == 0 {
            left_out.push(format!("{alias}: no volume takes chunks"));
            continue;
        }
        if space.room == 0 || space.room < wish.size {
            left_out.push(format!(
                "{alias}: has room for a chunk of {} bytes, not of {}",
                space.room, wish.size
            ));
            continue;
        }
        roomy += 1;
        if strict && used.contains(host) {
            let name = candidates.host_name(*host);
            left_out.push(format!("{alias}: its host {name} has a replica already"));
            continue;
        }
        hosts.insert(*host);
    }
    if left_out.len() > LEFT_OUT_MAX {
        let more = left_out.len() - LEFT_OUT_MAX;
        left_out.truncate(LEFT_OUT_MAX);
        left_out.push(format!("and {more} more"));
    }
    let need = least(wish);
    let (of, have) = if fit < need {
        (Scarce::Nodes, fit)
    } else if roomy < need {
        (Scarce::Space, roomy)
    } else {
        (Scarce::Hosts, hosts.len())
    };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    NoPlace {
        need: count(need),
        have: count(have),
        of,
        left_out,
    }
}
