//! The network: links between hosts, and what they do to packets.
//!
//! A link leads from one host to another, in one direction. It can be cut, for datagrams, for
//! connections or for both, and stays cut until it is healed; the other direction is another link.
//! What a link does to its n-th packet depends on the seed, the two hosts and n alone.

mod profile;
pub(crate) mod tcp;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::streams::{Draw, Rate, Stream, Streams, index};
use crate::time::{SimTime, nanos};
use crate::world::HostIx;

pub use profile::{Bursts, LinkProfile};

/// What travels over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

/// Which traffic a cut stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// All of it.
    All,
    /// Datagrams only, as a firewall does.
    Udp,
    /// Connections only.
    Tcp,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// What the network did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Datagrams handed to the network.
    pub sent: u64,
    /// Datagrams that reached a process, copies included.
    pub delivered: u64,
    /// Datagrams lost by chance.
    pub lost: u64,
    /// Datagrams stopped by a cut, or by a host that was off.
    pub cut: u64,
    /// Additional copies made.
    pub duplicated: u64,
    /// Datagrams whose bits were changed or whose end was cut off.
    pub damaged: u64,
    /// Datagrams that arrived very late.
    pub straggled: u64,
    /// Datagrams for which nobody listened, or whose receiver had no room.
    pub unreceived: u64,
    /// Datagrams on their way at present.
    pub in_flight: u64,
    /// Bytes of them.
    pub bytes_in_flight: u64,
}

#[derive(Clone, Debug, Default)]
struct Link {
    udp_cut: bool,
    tcp_cut: bool,
    bad: bool,
    spell_ends: u64,
    spells: u64,
    datagrams: u64,
    segments: u64,
    profile: Option<Box<LinkProfile>>,
}

/// Every link between hosts.
#[derive(Debug)]
pub struct SimNet {
    streams: Streams,
    /// What links do that have no profile of their own.
    pub weather: LinkProfile,
    /// By source, then by destination; rows grow when they are first used.
    links: Vec<Vec<Link>>,
    /// What happened so far.
    pub stats: NetStats,
}

/// The fate of one copy of a datagram.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// In nanoseconds.
    pub(crate) after: u64,
    pub(crate) bytes: Vec<u8>,
}

impl SimNet {
    pub(crate) const fn new(streams: Streams, weather: LinkProfile) -> Self {
        Self {
            streams,
            weather,
            links: Vec::new(),
            stats: NetStats {
                sent: 0,
                delivered: 0,
                lost: 0,
                cut: 0,
                duplicated: 0,
                damaged: 0,
                straggled: 0,
                unreceived: 0,
                in_flight: 0,
                bytes_in_flight: 0,
            },
        }
    }

    fn link(&mut self, from: HostIx, to: HostIx) -> &mut Link {
        let (from, to) = (from.index(), to.index());
        if self.links.len() <= from {
            self.links.resize_with(from + 1, Vec::new);
        }
        let row = &mut self.links[from];
        if row.len() <= to {
            row.resize_with(to + 1, Link::default);
        }
        &mut row[to]
    }

    /// Whether a cut stops this traffic.
    #[must_use]
    pub fn is_cut(&self, from: HostIx, to: HostIx, traffic: Traffic) -> bool {
        if from == to {
            return false;
        }
        let link = self
            .links
            .get(from.index())
            .and_then(|row| row.get(to.index()));
        link.is_some_and(|link| match traffic {
            Traffic::Udp => link.udp_cut,
            Traffic::Tcp => link.tcp_cut,
        })
    }

    /// Whether any link is cut.
    #[must_use]
    pub fn any_cut(&self) -> bool {
        self.links
            .iter()
            .flatten()
            .any(|link| link.udp_cut || link.tcp_cut)
    }

    /// Cuts a link, or heals it.
    pub fn set_cut(&mut self, from: HostIx, to: HostIx, what: Cut, cut: bool) {
        let link = self.link(from, to);
        if what != Cut::Tcp {
            link.udp_cut = cut;
        }
        if what != Cut::Udp {
            link.tcp_cut = cut;
        }
    }

    /// Gives a link a profile of its own, or takes it away.
    pub fn set_profile(&mut self, from: HostIx, to: HostIx, profile: Option<LinkProfile>) {
        self.link(from, to).profile = profile.map(Box::new);
    }

    /// Sends a datagram; `arrive` is told of each copy that will arrive.
    pub(crate) fn datagram(
        &mut self,
        now: SimTime,
        from: HostIx,
        to: HostIx,
        bytes: Vec<u8>,
        mut arrive: impl FnMut(Arrival),
    ) {
        let (streams, weather) = (self.streams, self.weather);
        self.stats.sent += 1;
        let key = pair(from, to);
        let link = self.link(from, to);
        let number = link.datagrams;
        link.datagrams += 1;
        let mut draw = streams.at(Stream::Datagram, key, number);
        if from == to {
            self.stats.in_flight += 1;
            self.stats.bytes_in_flight += bytes.len() as u64;
            arrive(Arrival {
                after: loopback_delay(&mut draw),
                bytes,
            });
            return;
        }
        let profile = link.profile.as_deref().copied().unwrap_or(weather);
        let in_burst = link.in_burst_loss(now, key, &profile, streams, &mut draw);
        let cut = link.udp_cut;
        // Each property draws whether or not it matters, so that the one does not move the other.
        let lost = draw.chance(profile.loss) || in_burst;
        let corrupt = draw.chance(profile.corruption);
        let truncate = draw.chance(profile.truncation);
        let straggles = draw.chance(profile.stragglers);
        let copies = if draw.chance(profile.duplicates) {
            1 + draw.below(2)
        } else {
            0
        };
        let mut delay = profile.delay(&mut draw);
        if cut {
            self.stats.cut += 1;
            return;
        }
        if lost {
            self.stats.lost += 1;
            return;
        }
        let stats = &mut self.stats;
        let mut bytes = bytes;
        for _ in 0..copies {
            stats.duplicated += 1;
            stats.in_flight += 1;
            stats.bytes_in_flight += bytes.len() as u64;
            arrive(Arrival {
                after: profile.delay(&mut draw),
                bytes: bytes.clone(),
            });
        }
        if corrupt {
            flip_bits(&mut bytes, &mut draw);
        }
        if truncate {
            bytes.truncate(index(draw.below(bytes.len() as u64 + 1)));
        }
        stats.damaged += u64::from(corrupt || truncate);
        if straggles {
            delay = delay.saturating_add(draw.below(nanos(profile.straggling)));
            stats.straggled += 1;
        }
        stats.in_flight += 1;
        stats.bytes_in_flight += bytes.len() as u64;
        arrive(Arrival {
            after: delay,
            bytes,
        });
    }

    /// Sends a segment of a connection: how long it takes, or `None` if it is lost.
    pub(crate) fn segment(&mut self, now: SimTime, from: HostIx, to: HostIx) -> Option<u64> {
        let (streams, weather) = (self.streams, self.weather);
        let key = pair(from, to);
        let link = self.link(from, to);
        let number = link.segments;
        link.segments += 1;
        let mut draw = streams.at(Stream::Segment, key, number);
        if from == to {
            return Some(loopback_delay(&mut draw));
        }
        let profile = link.profile.as_deref().copied().unwrap_or(weather);
        let in_burst = link.in_burst_loss(now, key, &profile, streams, &mut draw);
        let lost = draw.chance(profile.loss) || in_burst;
        let delay = profile.delay(&mut draw);
        (!link.tcp_cut && !lost).then_some(delay)
    }

    /// Every link whole and calm.
    pub fn heal_all(&mut self) {
        self.weather = LinkProfile::default();
        for link in self.links.iter_mut().flatten() {
            link.udp_cut = false;
            link.tcp_cut = false;
            link.profile = None;
        }
    }
}

impl Link {
    /// Brings the state of the burst model up to `now` and says whether it takes this packet.
    fn in_burst_loss(
        &mut self,
        now: SimTime,
        key: u64,
        profile: &LinkProfile,
        streams: Streams,
        draw: &mut Draw,
    ) -> bool {
        let dice = draw.bits();
        let Some(bursts) = &profile.bursts else {
            self.bad = false;
            self.spell_ends = 0;
            return false;
        };
        while self.spell_ends <= now.as_nanos() {
            let begins = if self.spell_ends == 0 {
                now.as_nanos()
            } else {
                self.spell_ends
            };
            self.bad = self.spell_ends != 0 && !self.bad;
            let mean = if self.bad { bursts.bad } else { bursts.good };
            let mut spell = streams.at(Stream::Burst, key, self.spells);
            self.spells += 1;
            self.spell_ends = begins.saturating_add(spell.exponential(nanos(mean)).max(1));
        }
        self.bad && below_rate(dice, bursts.loss)
    }
}

const fn below_rate(bits: u64, rate: Rate) -> bool {
    ((bits as u128 * 1_000_000) >> 64) < rate.as_millionths() as u128
}

fn flip_bits(bytes: &mut [u8], draw: &mut Draw) {
    if bytes.is_empty() {
        return;
    }
    for _ in 0..=draw.below(3) {
        let at = index(draw.below(bytes.len() as u64));
        bytes[at] ^= 1 << draw.below(8);
    }
}

const fn loopback_delay(draw: &mut Draw) -> u64 {
    10_000 + draw.exponential(10_000)
}

fn pair(from: HostIx, to: HostIx) -> u64 {
    (from.index() as u64) << 32 | to.index() as u64
}

/// The address of a host: 10.0.0.1 and on.
pub(crate) fn address(host: HostIx) -> IpAddr {
    let [_, second, third, fourth] = u32::try_from(host.index() + 1)
        .expect("hosts are numbered by 32 bits")
        .to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, second, third, fourth))
}

/// The host that an address may be of.
pub(crate) fn host_at(address: IpAddr) -> Option<HostIx> {
    let IpAddr::V4(address) = address else {
        return None;
    };
    let [10, second, third, fourth] = address.octets() else {
        return None;
    };
    u32::from_be_bytes([0, second, third, fourth])
        .checked_sub(1)
        .map(HostIx::new)
}
