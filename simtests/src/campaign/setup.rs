//! What a campaign varies about a cluster, as text: `hosts=3 volumes=2 segment-bytes=400`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use vaquita_core::dfs::placement::ReliabilityLevel;

use crate::disk::{FailedSync, Tear};
use crate::streams::{Draw, Rate};
use crate::vaquita::Cluster;

/// Something that is varied, as a number.
struct Knob {
    name: &'static str,
    /// What it is where nothing is said.
    usual: u64,
    /// What it is drawn from; edges rather than what is likely in production.
    choices: &'static [u64],
    /// What it may be set to by hand.
    range: RangeInclusive<u64>,
    turn: fn(&mut Cluster, u64),
}

/// What makes a cluster of a campaign other than the usual one.
///
/// The usual one has four hosts with a data node each, files of chunks of 8 KiB in three replicas, and
/// limits as small as [`Cluster::with_files`] has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Only what is not as usual.
    values: BTreeMap<&'static str, u64>,
}

const WEEK: u64 = 7 * 24 * 3600;
const MIB: u64 = 1 << 20;

macro_rules! knobs {
    ($($name:literal $usual:expr, [$($choice:expr),*], $range:expr, $turn:expr;)+) => {
        &[$(Knob {
            name: $name,
            usual: $usual,
            choices: &[$($choice),*],
            range: $range,
            turn: $turn,
        }),+]
    };
}

const KNOBS: &[Knob] = knobs! {
    "hosts" 4, [3, 4, 5, 6], 1..=50, |it, n| it.hosts = small(n);
    "nodes" 1, [1, 2], 1..=4, |it, n| it.nodes_per_host = small(n);
    "volumes" 1, [1, 2, 3], 1..=8, |it, n| it.volumes = small(n);
    "factor" 3, [2, 3], 1..=8, |it, n| it.files.factor = size(n);
    "min-write" 2, [1, 2], 1..=8, |it, n| it.files.min_write = size(n);
    "level" 0, [1, 2], 0..=2, |it, n| it.files.level = level(n);
    "mirrors" 0, [1, 2], 0..=8, |it, n| it.mirrors = size(n);
    "udp" 1, [0], 0..=1, |it, n| it.lan_cluster = n > 0;
    "secret" 1, [0], 0..=1, |it, n| it.secret = n > 0;
    "wait-s" 300, [5, 20, 60], 1..=100_000, |it, n| it.recovery_wait = Some(Duration::from_secs(n));
    "scrub-s" WEEK, [60, 600], 1..=WEEK, |it, n| it.scrub_period = Duration::from_secs(n);
    "balance" 0, [1, 4], 0..=100, |it, n| it.files.rebalance_concurrency = size(n);
    "recovery" 4, [1, 16], 1..=100, |it, n| it.files.recovery_concurrency = size(n);
    "capacity-kib" 4096, [700, 1500], 256..=MIB, |it, n| it.settings.volume.capacity = 1024 * n;

    "segment-bytes" 64 * MIB, [1, 400, 4096], 1..=1 << 40, |it, n| it.limits.segment_bytes = n;
    "checkpoint-records" 100_000, [1, 5, 50], 1..=1 << 40, |it, n| it.limits.checkpoint_records = n;
    "group-commit-records" 256, [1, 2], 1..=1 << 40, |it, n| it.limits.group_commit_records = size(n);
    "redial-spread-above" 20, [0], 0..=10_000, |it, n| it.limits.redial_spread_above = size(n);
    "udp-blocked-probes" 3, [1], 1..=1 << 40, |it, n| it.limits.udp_blocked_probes = small(n);
    "mass-event-percent" 30, [1, 60], 1..=100, |it, n| it.limits.mass_event_percent = size(n);
    "report-page-entries" 7, [1, 2, 1000], 1..=1 << 40, |it, n| it.limits.report_page_entries = size(n);
    "news-max" 50, [2, 10], 1..=1 << 40, |it, n| it.limits.news_max = size(n);
    "news-delay-ms" 50, [1, 1000], 1..=1 << 40, |it, n| it.limits.news_delay = Duration::from_millis(n);
    "survey-chunks" 8192, [1, 3], 1..=1 << 40, |it, n| it.limits.survey_chunks = size(n);
    "copies-per-node" 4, [1], 1..=1 << 40, |it, n| it.limits.copies_per_node = size(n);
    "surplus-per-tick" 20, [1], 1..=1 << 40, |it, n| it.limits.surplus_per_tick = size(n);
    "surplus-per-node" 100, [2], 1..=1 << 40, |it, n| it.limits.surplus_per_node = size(n);
    "packed-max" 3 * 1024, [16, 8 * 1024], 0..=64 * MIB, |it, n| it.limits.packed_max = n;
    "volume-segment-bytes" 16 * 1024, [4 * 1024, 64 * 1024], 1024..=64 * MIB, |it, n| it.limits.volume_segment_bytes = n;
    "volume-batch-bytes" 8 * 1024, [1024], 512..=64 * MIB, |it, n| it.limits.volume_batch_bytes = n;
    "trash-hold-s" 20, [1, 120], 1..=1 << 40, |it, n| it.limits.trash_hold = Duration::from_secs(n);
    "mirror-piece" 256 * 1024, [64, 1000], 1..=1 << 40, |it, n| it.limits.mirror_piece = size(n);
    "mirror-log-bytes" 128 * MIB, [2_000, 20_000], 1..=1 << 40, |it, n| it.limits.mirror_log_bytes = n;

    "drift-ppm" 0, [50, 200], 0..=1_000, |it, n| it.settings.drift_ppm_max = small(n);
    "tear" 0, [1, 2], 0..=2, |it, n| tear(it, n);
    "failed-sync-shows-nothing" 0, [1], 0..=1, |it, n| failed_sync(it, n);
};

/// A number that somebody may have typed, as a small one.
fn small<T: TryFrom<u64> + From<u8>>(n: u64) -> T {
    T::try_from(n).unwrap_or(T::from(1))
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn level(n: u64) -> ReliabilityLevel {
    let number = u8::try_from(n).unwrap_or(0);
    ReliabilityLevel::from_number(number).unwrap_or_default()
}

fn tear(cluster: &mut Cluster, n: u64) {
    let tear = match n {
        0 => Tear::Subset,
        1 => Tear::Prefix,
        _ => Tear::Garbage,
    };
    cluster.settings.disk.tear = tear;
    cluster.settings.volume.tear = tear;
}

fn failed_sync(cluster: &mut Cluster, n: u64) {
    let shows = if n > 0 {
        FailedSync::DropsCache
    } else {
        FailedSync::KeepsCache
    };
    cluster.settings.disk.failed_sync = shows;
    cluster.settings.volume.failed_sync = shows;
}

fn knob(name: &str) -> Option<&'static Knob> {
    KNOBS.iter().find(|knob| knob.name == name)
}

impl Setup {
    /// A cluster out of a generator: in half of them little but the shape is unusual, in the others about
    /// a quarter of all limits is at some edge.
    #[must_use]
    pub fn drawn(draw: &mut Draw) -> Self {
        let edges = draw.chance(Rate::percent(50));
        let mut setup = Self::default();
        for (at, knob) in KNOBS.iter().enumerate() {
            // The shape comes first in the table, and is varied in every run.
            let rate = match at {
                0..=5 => 60,
                _ if edges => 25,
                _ => 5,
            };
            let value = *draw.pick(knob.choices);
            if draw.chance(Rate::percent(rate)) {
                setup.turn(knob, value);
            }
        }
        setup
    }

    fn turn(&mut self, knob: &Knob, value: u64) {
        if value == knob.usual {
            self.values.remove(knob.name);
        } else {
            self.values.insert(knob.name, value);
        }
    }

    /// What something is set to.
    ///
    /// # Panics
    /// If nothing is called so.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let usual = knob(name).expect("it is in the table").usual;
        self.values.get(name).copied().unwrap_or(usual)
    }

    /// The same with something set otherwise.
    ///
    /// # Panics
    /// If nothing is called so.
    #[must_use]
    pub fn with(mut self, name: &str, value: u64) -> Self {
        self.turn(knob(name).expect("it is in the table"), value);
        self
    }

    /// Simpler ones, the most promising first: one thing as usual, or less of something there are
    /// several of.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let mut simpler = Vec::new();
        for (name, least) in [("hosts", 2), ("nodes", 1), ("volumes", 1), ("factor", 1)] {
            let now = self.get(name);
            simpler.extend((least..now).map(|fewer| self.clone().with(name, fewer)));
        }
        for name in self.values.keys() {
            let usual = knob(name).map_or(0, |knob| knob.usual);
            let shape = ["hosts", "nodes", "volumes", "factor"].contains(name);
            if !shape {
                simpler.push(self.clone().with(name, usual));
            }
        }
        simpler
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::of(4).with_files();
        // As the driver does: what a failed sync has left in the cache is not taken for durable.
        cluster.settings.reads_past_cache = true;
        for (name, value) in &self.values {
            if let Some(knob) = knob(name) {
                (knob.turn)(&mut cluster, *value);
            }
        }
        let files = &mut cluster.files;
        files.min_write = files.min_write.min(files.factor);
        if cluster.limits.segment_bytes < MIB {
            // Its bytes are real ones, and a log of small segments has no use for many.
            cluster.limits.reserve_bytes = 1000;
        }
        cluster
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for knob in KNOBS {
            if let Some(value) = self.values.get(knob.name) {
                let space = if std::mem::take(&mut first) { "" } else { " " };
                write!(f, "{space}{}={value}", knob.name)?;
            }
        }
        Ok(())
    }
}

impl FromStr for Setup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut setup = Self::default();
        for word in text.split_whitespace() {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| format!("`{word}` sets nothing; write it as hosts=3"))?;
            let knob = knob(name).ok_or_else(|| {
                let names: Vec<&str> = KNOBS.iter().map(|knob| knob.name).collect();
                format!("nothing is called `{name}`; there are {}", names.join(", "))
            })?;
            let number = value
                .parse()
                .map_err(|_| format!("`{name}` is set to `{value}`, which is no number"))?;
            if !knob.range.contains(&number) {
                let (least, most) = (knob.range.start(), knob.range.end());
                return Err(format!(
                    "`{name}` is between {least} and {most}, not {number}"
                ));
            }
            setup.turn(knob, number);
        }
        Ok(setup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::{Stream, Streams};

    #[test]
    fn the_table_says_what_is_usual() {
        for knob in KNOBS {
            let mut cluster = Cluster::of(4).with_files();
            let before = format!("{cluster:?}");
            (knob.turn)(&mut cluster, knob.usual);
            assert_eq!(format!("{cluster:?}"), before, "{}", knob.name);
            assert!(knob.range.contains(&knob.usual), "{}", knob.name);
            for choice in knob.choices.iter().filter(|it| **it != knob.usual) {
                assert!(knob.range.contains(choice), "{}={choice}", knob.name);
                (knob.turn)(&mut cluster, *choice);
                assert_ne!(format!("{cluster:?}"), before, "{}={choice}", knob.name);
            }
        }
    }

    #[test]
    fn a_setup_reads_as_it_is_written() {
        for seed in 0..200 {
            let setup = Setup::drawn(&mut Streams::new(seed).at(Stream::Settings, 0, 0));
            assert_eq!(setup.to_string().parse(), Ok(setup));
        }
        let wrong = |text: &str| text.parse::<Setup>().unwrap_err();
        assert!(wrong("hosts").contains("hosts=3"));
        assert!(wrong("hops=3").contains("nothing is called `hops`; there are hosts, "));
        assert!(wrong("hosts=many").contains("no number"));
        assert_eq!(wrong("volumes=0"), "`volumes` is between 1 and 8, not 0");
    }

    #[test]
    fn simpler_ones_come_to_an_end_at_the_simplest() {
        let mut setup = Setup::drawn(&mut Streams::new(3).at(Stream::Settings, 0, 0));
        let mut steps = 0;
        while let Some(simpler) = setup.simpler().pop() {
            assert_ne!(simpler, setup);
            setup = simpler;
            steps += 1;
            assert!(steps < 200, "{setup}");
        }
        assert_eq!(setup.to_string(), "hosts=2 factor=1");
    }
}
