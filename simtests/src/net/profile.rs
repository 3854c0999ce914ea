//! How a link treats what is sent over it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::plan::text::{DurationText, parse_duration};
use crate::streams::{Draw, Rate};
use crate::time::nanos;

/// Losses that come in bursts: a link is good or bad for a while (Gilbert, "Capacity of a
/// burst-noise channel", 1960; Elliott, 1963). The states last so long in *time*, not for so many
/// packets, so that a chatty link suffers no shorter bursts than a quiet one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// Mean length of a good spell.
    pub good: Duration,
    /// Mean length of a bad spell.
    pub bad: Duration,
    /// Share lost in a bad spell.
    pub loss: Rate,
}

/// How a link treats what is sent over it, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkProfile {
    /// Never faster than this.
    pub latency: Duration,
    /// Mean of an exponential part on top, which is what reorders datagrams.
    pub jitter: Duration,
    /// Share of packets lost, each by itself.
    pub loss: Rate,
    /// Losses in bursts, on top.
    pub bursts: Option<Bursts>,
    /// Share of datagrams that arrive more than once.
    pub duplicates: Rate,
    /// Share of datagrams in which bits flip.
    pub corruption: Rate,
    /// Share of datagrams that lose their end.
    pub truncation: Rate,
    /// Share of datagrams that arrive very late.
    pub stragglers: Rate,
    /// How late, at most.
    pub straggling: Duration,
}

impl Default for LinkProfile {
    /// A quiet local network.
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(100),
            jitter: Duration::from_micros(100),
            loss: Rate::NEVER,
            bursts: None,
            duplicates: Rate::NEVER,
            corruption: Rate::NEVER,
            truncation: Rate::NEVER,
            stragglers: Rate::NEVER,
            straggling: Duration::from_secs(5),
        }
    }
}

impl LinkProfile {
    pub(super) const fn delay(&self, draw: &mut Draw) -> u64 {
        nanos(self.latency).saturating_add(draw.exponential(nanos(self.jitter)))
    }
}

/// Only what differs from [`LinkProfile::default`], as `name=value` with blanks between; `calm` if
/// nothing does.
impl fmt::Display for LinkProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calm = Self::default();
        let mut words: Vec<String> = Vec::new();
        let mut duration = |name: &str, value: Duration, default: Duration| {
            if value != default {
                words.push(format!("{name}={}", DurationText(value)));
            }
        };
        duration("latency", self.latency, calm.latency);
        duration("jitter", self.jitter, calm.jitter);
        duration("straggling", self.straggling, calm.straggling);
        let mut rate = |name: &str, value: Rate| {
            if value != Rate::NEVER {
                words.push(format!("{name}={value}"));
            }
        };
        rate("loss", self.loss);
        rate("duplicates", self.duplicates);
        rate("corruption", self.corruption);
        rate("truncation", self.truncation);
        rate("stragglers", self.stragglers);
        if let Some(Bursts { good, bad, loss }) = self.bursts {
            words.push(format!(
                "bursts={},{},{loss}",
                DurationText(good),
                DurationText(bad)
            ));
        }
        if words.is_empty() {
            words.push("calm".to_owned());
        }
        f.write_str(&words.join(" "))
    }
}

impl FromStr for LinkProfile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut profile = Self::default();
        for word in text.split_whitespace().filter(|word| *word != "calm") {
            let (name, value) = word.split_once('=').ok_or_else(|| {
                format!(
                    "`{word}` is no property of a link; write it as name=value, such as loss=5%"
                )
            })?;
            match name {
                "latency" => profile.latency = parse_duration(value)?,
                "jitter" => profile.jitter = parse_duration(value)?,
                "straggling" => profile.straggling = parse_duration(value)?,
                "loss" => profile.loss = value.parse()?,
                "duplicates" => profile.duplicates = value.parse()?,
                "corruption" => profile.corruption = value.parse()?,
                "truncation" => profile.truncation = value.parse()?,
                "stragglers" => profile.stragglers = value.parse()?,
                "bursts" => profile.bursts = Some(parse_bursts(value)?),
                _ => {
                    return Err(format!(
                        "a link has no `{name}`; it has latency, jitter, straggling, loss, duplicates, \
                         corruption, truncation, stragglers and bursts"
                    ));
                }
            }
        }
        Ok(profile)
    }
}

fn parse_bursts(text: &str) -> Result<Bursts, String> {
    let mut parts = text.split(',');
    let (Some(good), Some(bad), Some(loss), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(format!(
            "`{text}` is no burst; write good,bad,loss such as 2s,500ms,90%"
        ));
    };
    Ok(Bursts {
        good: parse_duration(good)?,
        bad: parse_duration(bad)?,
        loss: loss.parse()?,
    })
}
