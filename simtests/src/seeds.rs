//! Which seeds a test runs under.

use std::fmt;
use std::ops::Range;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use vaquita_core::prng::mix;

use crate::plan::text::parse_duration;

/// Which seeds a test runs under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// One, to see a failure again.
    One {
        /// The seed.
        seed: u64,
        /// Whether every line of the trace is printed.
        traced: bool,
    },
    /// A fixed list, and one seed that is new with every commit and the same for all who test it.
    Standard {
        /// The seeds from zero on.
        first: u64,
        /// The commit's own.
        fresh: Option<u64>,
    },
    /// A range.
    Range(Range<u64>),
    /// As many as fit into a time.
    Budget {
        /// The first.
        from: u64,
        /// The time.
        time: Duration,
    },
}

/// How much time is left to begin further runs.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    until: Option<std::time::Instant>,
}

impl Budget {
    #[expect(
        clippy::disallowed_methods,
        reason = "a campaign is limited by real time"
    )]
    fn of(time: Option<Duration>) -> Self {
        Self {
            until: time.map(|time| std::time::Instant::now() + time),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a campaign is limited by real time"
    )]
    fn left(&self) -> bool {
        self.until
            .is_none_or(|until| std::time::Instant::now() < until)
    }
}

impl Seeds {
    /// What the environment asks for; else the first `default` seeds and the commit's.
    ///
    /// # Errors
    /// If a variable is there and makes no sense.
    pub fn from_environment(default: u64) -> Result<Self, String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::parse(
            variable("VAQUITA_SEED").as_deref(),
            variable("VAQUITA_SEEDS").as_deref(),
            variable("VAQUITA_BUDGET").as_deref(),
            variable("VAQUITA_TRACE").is_some(),
            default,
        )
    }

    fn parse(
        one: Option<&str>,
        range: Option<&str>,
        budget: Option<&str>,
        traced: bool,
        default: u64,
    ) -> Result<Self, String> {
        if let Some(text) = one {
            let seed = text
                .parse()
                .map_err(|_| format!("VAQUITA_SEED=`{text}` is no seed; it takes a number"))?;
            return Ok(Self::One { seed, traced });
        }
        let range = range.map(parse_range).transpose();
        let range = range.map_err(|what| format!("VAQUITA_SEEDS: {what}"))?;
        if let Some(text) = budget {
            let time = parse_duration(text).map_err(|what| format!("VAQUITA_BUDGET: {what}"))?;
            let from = range
                .map(|range| range.start)
                .or_else(commit_seed)
                .unwrap_or(0);
            return Ok(Self::Budget { from, time });
        }
        Ok(match range {
            Some(range) => Self::Range(range),
            None => Self::Standard {
                first: default,
                fresh: commit_seed(),
            },
        })
    }

    /// The seed number `at`, if there is one and time for it.
    pub(crate) fn get(&self, at: u64, budget: &Budget) -> Option<u64> {
        match self {
            Self::One { seed, .. } => (at == 0).then_some(*seed),
            Self::Standard { first, .. } if at < *first => Some(at),
            Self::Standard { first, fresh } => (*fresh).filter(|_| at == *first),
            Self::Range(range) => range.start.checked_add(at).filter(|seed| *seed < range.end),
            Self::Budget { from, .. } => budget.left().then(|| from.wrapping_add(at)),
        }
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget::of(match self {
            Self::Budget { time, .. } => Some(*time),
            Self::One { .. } | Self::Standard { .. } | Self::Range(_) => None,
        })
    }

    /// Campaigns use all processors; the standard list leaves them to the other tests.
    pub(crate) fn threads(&self) -> usize {
        match self {
            Self::One { .. } | Self::Standard { .. } => 1,
            Self::Range(_) | Self::Budget { .. } => {
                std::thread::available_parallelism().map_or(1, usize::from)
            }
        }
    }

    pub(crate) const fn traced(&self) -> bool {
        matches!(self, Self::One { traced: true, .. })
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One { seed, .. } => write!(f, "seed {seed}"),
            Self::Standard {
                first,
                fresh: Some(fresh),
            } => {
                write!(
                    f,
                    "seeds 0..{first} and {fresh}, which is commit {}'s",
                    commit()
                )
            }
            Self::Standard { first, fresh: None } => write!(f, "seeds 0..{first}"),
            Self::Range(range) => write!(f, "seeds {}..{}", range.start, range.end),
            Self::Budget { from, time } => {
                write!(f, "seeds from {from} on for {} s", time.as_secs())
            }
        }
    }
}

/// Reads a range of seeds: `100..200`.
///
/// # Errors
/// If it is none.
pub fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("`{text}` is no range of seeds; write it as 100..200");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let range = from.parse().map_err(|_| wrong())?..to.parse().map_err(|_| wrong())?;
    if range.is_empty() {
        Err(wrong())
    } else {
        Ok(range)
    }
}

/// The commit that is checked out, with a mark if files differ from it; `unknown` outside of a
/// repository.
pub(crate) fn commit() -> &'static str {
    static COMMIT: OnceLock<String> = OnceLock::new();
    COMMIT.get_or_init(|| {
        let output = Command::new("git")
            .args([
                "describe",
                "--always",
                "--dirty",
                "--abbrev=40",
                "--exclude=*",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output();
        output
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| String::from_utf8(output.stdout).ok())
            .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
    })
}

/// The seed that follows from the commit; none outside of a repository.
#[must_use]
pub fn commit_seed() -> Option<u64> {
    let digits = commit().get(..16)?;
    u64::from_str_radix(digits, 16).ok().map(mix)
}

#[cfg(test)]
mod tests;
