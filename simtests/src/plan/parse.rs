//! Reading a plan back.

use std::str::FromStr;

use super::text::parse_duration;
use super::{DiskStep, Plan, Step, Timed};
use crate::net::Cut;
use crate::time::SimTime;

/// Why a text is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The line, counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for PlanError {}

impl FromStr for Plan {
    type Err = PlanError;

    /// Reads a plan. Empty lines and lines that begin with `#` are left out.
    fn from_str(text: &str) -> Result<Self, PlanError> {
        let mut steps = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let timed = parse_line(line).map_err(|what| PlanError { line: at + 1, what })?;
            steps.push(timed);
        }
        Ok(Self::new(steps))
    }
}

fn parse_line(line: &str) -> Result<Timed, String> {
    let (at, rest) = line
        .strip_prefix("at ")
        .and_then(|rest| rest.trim_start().split_once(char::is_whitespace))
        .ok_or_else(|| format!("`{line}` is no step; write it as: at 12s kill D1"))?;
    let at = SimTime::ZERO.after(parse_duration(at)?);
    Ok(Timed {
        at,
        step: rest.trim_start().parse()?,
    })
}

/// The words of a step, taken one after the other.
struct Words<'a> {
    step: &'a str,
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn next(&mut self, what: &str) -> Result<&'a str, String> {
        let rest = self.rest.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        if word.is_empty() {
            return Err(format!("`{}` lacks {what}", self.step));
        }
        Ok(word)
    }

    fn name(&mut self) -> Result<String, String> {
        self.next("a name").map(str::to_owned)
    }

    fn number<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.next(what)?;
        word.parse()
            .map_err(|_| format!("`{}`: `{word}` is no {what}", self.step))
    }

    fn one_of<T: Copy>(&mut self, words: &[(&str, T)]) -> Result<T, String> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let known = known.join(", ");
        let word = self.next(&known)?;
        let found = words.iter().find(|(name, _)| *name == word);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| format!("`{}`: `{word}` is none of {known}", self.step))
    }

    fn remainder(&mut self) -> &'a str {
        std::mem::take(&mut self.rest).trim()
    }

    fn end(&self) -> Result<(), String> {
        let rest = self.rest.trim();
        if rest.is_empty() {
            Ok(())
        } else {
            Err(format!("`{}`: `{rest}` is too much", self.step))
        }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = Words {
            step: text,
            rest: text,
        };
        let step = match words.next("a verb")? {
            "start" => Self::Start(words.name()?),
            "kill" => Self::Kill(words.name()?),
            "terminate" => Self::Terminate(words.name()?),
            "pause" => Self::Pause(words.name()?),
            "resume" => Self::Resume(words.name()?),
            "power-cut" => Self::PowerCut(words.name()?),
            "power-on" => Self::PowerOn(words.name()?),
            "cut" => Self::Cut {
                from: words.name()?,
                to: words.name()?,
                what: words.one_of(&[("all", Cut::All), ("udp", Cut::Udp), ("tcp", Cut::Tcp)])?,
            },
            "heal" => Self::Heal {
                from: words.name()?,
                to: words.name()?,
            },
            "isolate" => Self::Isolate(words.name()?),
            "rejoin" => Self::Rejoin(words.name()?),
            "weather" => Self::Weather(words.remainder().parse()?),
            "link" => Self::Link {
                from: words.name()?,
                to: words.name()?,
                profile: match words.remainder() {
                    "as-weather" => None,
                    profile => Some(profile.parse()?),
                },
            },
            "clock-jump" => Self::ClockJump {
                host: words.name()?,
                ahead: parse_duration(words.next("a duration")?)?,
            },
            "clock-drift" => Self::ClockDrift {
                host: words.name()?,
                ppm: words.number("number of parts in a million")?,
            },
            "clock-freeze" => Self::ClockFreeze(words.name()?),
            "clock-thaw" => Self::ClockThaw(words.name()?),
            "wall-jump" => Self::WallJump {
                host: words.name()?,
                ms: words.number("number of milliseconds")?,
            },
            "disk" => Self::Disk {
                node: words.name()?,
                what: parse_disk(&mut words)?,
            },
            "at-op" => Self::AtOp {
                node: words.name()?,
                skip: words.number("number of operations")?,
                power: words.one_of(&[("power-cut", true), ("kill", false)])?,
                after: words.one_of(&[("after", true), ("before", false)])?,
            },
            "ask" => Self::Ask {
                node: words.name()?,
                text: words.remainder().to_owned(),
            },
            "hold-port" => Self::HoldPort {
                host: words.name()?,
                port: words.number("port")?,
            },
            "free-port" => Self::FreePort {
                host: words.name()?,
                port: words.number("port")?,
            },
            "reuse-pid" => Self::ReusePid(words.name()?),
            "forks" => Self::ForksFail {
                host: words.name()?,
                fail: words.one_of(&[("fail", true), ("work", false)])?,
            },
            "heal-all" => Self::HealAll,
            verb => return Err(format!("there is no step `{verb}`")),
        };
        words.end()?;
        Ok(step)
    }
}

fn parse_disk(words: &mut Words<'_>) -> Result<DiskStep, String> {
    Ok(match words.next("what happens to it")? {
        "fail-sync" => DiskStep::FailSync,
        "fail-op" => DiskStep::FailOp,
        "room" => DiskStep::Room(words.number("number of bytes")?),
        "slow" => DiskStep::Slow(words.number("number of times")?),
        "hang" => DiskStep::Hang,
        "lie" => DiskStep::Lie,
        "rot" => DiskStep::Rot,
        "wipe" => DiskStep::Wipe,
        "die" => DiskStep::Die,
        "well" => DiskStep::Well,
        word => return Err(format!("nothing called `{word}` happens to a disk")),
    })
}
