//! Everything that decides a run, as a text that people read and keep.
//!
//! ```text
//! # A reader found a file that was removed: the controller gave up the chunks of an open write.
//! seed 4711
//! cluster hosts=3 checkpoint-records=1
//! calm disks timers
//! span 40s
//! at 12s isolate h1
//! at 12500ms client put /d/f1 1003 9000 anything
//! at 13s client get /d/f1
//! ```
//!
//! Times count from the moment at which the cluster is online. A case outlives the code that it was found
//! in better than a seed does: the seed of a case decides the noise alone, and what is left of it can be
//! calmed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use vaquita_core::planted::Planted;

use super::places::Places;
use super::setup::Setup;
use crate::net::Cut;
use crate::plan::text::{DurationText, parse_duration};
use crate::plan::{PlanError, Step};
use crate::vaquita::files::{Order, order_text, parse_order};

/// Everything that decides a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// What it is about, in lines of text.
    pub story: Vec<String>,
    /// Decides the noise: which datagram is lost, how long a sync takes.
    pub seed: u64,
    /// The cluster.
    pub setup: Setup,
    /// Bugs planted in it.
    pub planted: Planted,
    /// What makes no noise.
    pub calm: BTreeSet<Noise>,
    /// How long clients work and things go wrong, before everything is put right.
    pub span: Duration,
    /// A host that stays broken while the others have to get on, for a while.
    pub broken: Option<Broken>,
    /// What is done to the cluster, and wanted of it.
    pub steps: Vec<Happening>,
}

/// A class of noise, which can be taken out of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noise {
    /// Timers fire when they should, and not a little later.
    Timers,
    /// Each operation of a disk takes as long as every other.
    Disks,
    /// Packets take as long as every other one, where the weather is good.
    Links,
    /// Processes start and are reaped in the same time.
    Processes,
}

impl Noise {
    /// Every class and its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("disks", Self::Disks),
        ("links", Self::Links),
        ("processes", Self::Processes),
        ("timers", Self::Timers),
    ];

    fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, noise)| *noise == self);
        named.map_or("", |(name, _)| name)
    }
}

/// A host that is not put right with the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub host: String,
    /// How.
    pub how: Breakage,
}

/// How a host is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// It has no power.
    Off,
    /// Nobody reaches it, and it reaches nobody.
    Isolated,
    /// It does not hear the controller.
    Deaf,
    /// The controller does not hear it.
    Mute,
}

impl Breakage {
    /// Every kind and its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("off", Self::Off),
        ("isolated", Self::Isolated),
        ("deaf", Self::Deaf),
        ("mute", Self::Mute),
    ];

    /// What breaks a host so.
    #[must_use]
    pub fn step(self, host: &str) -> Step {
        let (host, controller) = (host.to_owned(), "h0".to_owned());
        let what = Cut::All;
        match self {
            Self::Off => Step::PowerCut(host),
            Self::Isolated => Step::Isolate(host),
            Self::Deaf => Step::Cut {
                from: controller,
                to: host,
                what,
            },
            Self::Mute => Step::Cut {
                from: host,
                to: controller,
                what,
            },
        }
    }
}

/// Something that happens, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// Since the cluster was online.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Something is disturbed, or an operator orders something.
    Step(Step),
    /// A client wants something.
    Client(Order),
}

impl Happening {
    fn key(&self) -> (Duration, u8) {
        (self.at, u8::from(matches!(self.what, What::Client(_))))
    }
}

impl Case {
    /// The steps in the order of their moments, those of one moment as they were.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.steps.sort_by_key(Happening::key);
        self
    }

    /// Whether the hosts, nodes and volumes that it names are those of its cluster.
    ///
    /// # Errors
    /// What there is not.
    fn check(&self) -> Result<(), String> {
        let places = Places::of(&self.setup.cluster());
        if let Some(broken) = &self.broken
            && (!places.has_host(&broken.host) || broken.host == "h0")
        {
            return Err(format!(
                "`broken`: there is no host {} but the controller's",
                broken.host
            ));
        }
        for happening in &self.steps {
            if let What::Step(step) = &happening.what
                && !places.have(step)
            {
                return Err(format!(
                    "`{happening}`: there is no such host, node or volume"
                ));
            }
        }
        Ok(())
    }

    /// The same without the steps that name hosts, nodes and volumes which there are not.
    #[must_use]
    pub(super) fn fitting(&self) -> Self {
        let places = Places::of(&self.setup.cluster());
        let steps = self.steps.iter().filter(|happening| match &happening.what {
            What::Client(_) => true,
            What::Step(step) => places.have(step),
        });
        let mut fitting = self.with_steps(steps.cloned().collect());
        fitting.broken = fitting.broken.filter(|it| places.has_host(&it.host));
        fitting
    }

    /// What it is about, in a line.
    #[must_use]
    pub fn title(&self) -> String {
        match self.story.first() {
            Some(line) => line.clone(),
            None => format!("The case of seed {}", self.seed),
        }
    }

    /// The same with other steps, where the times are what they were.
    #[must_use]
    pub fn with_steps(&self, steps: Vec<Happening>) -> Self {
        Self {
            steps,
            ..self.clone()
        }
        .in_order()
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ", DurationText(self.at))?;
        match &self.what {
            What::Step(step) => write!(f, "{step}"),
            What::Client(order) => write!(f, "client {}", order_text(order)),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Words of a panic may have several lines.
        for line in self.story.iter().flat_map(|it| it.lines()) {
            writeln!(f, "# {line}")?;
        }
        writeln!(f, "seed {}", self.seed)?;
        let setup = self.setup.to_string();
        if !setup.is_empty() {
            writeln!(f, "cluster {setup}")?;
        }
        for bug in self.planted.names() {
            writeln!(f, "planted {bug}")?;
        }
        if !self.calm.is_empty() {
            let names: Vec<&str> = self.calm.iter().map(|noise| noise.name()).collect();
            writeln!(f, "calm {}", names.join(" "))?;
        }
        writeln!(f, "span {}", DurationText(self.span))?;
        if let Some(Broken { host, how }) = &self.broken {
            let named = Breakage::ALL.iter().find(|(_, it)| it == how);
            writeln!(f, "broken {host} {}", named.map_or("", |(name, _)| name))?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl FromStr for Case {
    type Err = PlanError;

    /// Reads a case. Lines that begin with `#` are its story; empty ones are left out.
    fn from_str(text: &str) -> Result<Self, PlanError> {
        let mut case = Self::default();
        let mut said = BTreeSet::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(story) = line.strip_prefix('#') {
                case.story.push(story.trim().to_owned());
            } else if !line.is_empty() {
                let wrong = |what| PlanError { line: at + 1, what };
                let word = line.split_whitespace().next().unwrap_or_default();
                if !said.insert(word) && !["at", "planted"].contains(&word) {
                    return Err(wrong(format!("`{word}` was said before")));
                }
                read_line(&mut case, line).map_err(wrong)?;
            }
        }
        let line = text.lines().count();
        for (word, form) in [("seed", "seed N"), ("span", "span T")] {
            if !said.contains(word) {
                let what = format!("a case has a line `{form}`");
                return Err(PlanError { line, what });
            }
        }
        let checked = case.check();
        checked.map_err(|what| PlanError { line, what })?;
        Ok(case.in_order())
    }
}

fn read_line(case: &mut Case, line: &str) -> Result<(), String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match word {
        "seed" => {
            let wrong = |_| format!("`{rest}` is no seed; it takes a number");
            case.seed = rest.parse().map_err(wrong)?;
        }
        "cluster" => case.setup = rest.parse()?,
        "planted" => {
            let planted = case.planted.with(rest);
            case.planted = planted.map_err(|unknown| unknown.to_string())?;
        }
        "calm" => {
            if rest.is_empty() {
                return Err("`calm` lacks what is calm".to_owned());
            }
            for name in rest.split_whitespace() {
                case.calm.insert(one_of("noise", name, &Noise::ALL)?);
            }
        }
        "span" => case.span = parse_duration(rest)?,
        "broken" => {
            let words = rest.split_once(char::is_whitespace);
            let (host, how) = words.ok_or_else(|| format!("`{line}` lacks a host, or how"))?;
            let how = one_of("breakage", how.trim(), &Breakage::ALL)?;
            let host = host.to_owned();
            case.broken = Some(Broken { host, how });
        }
        "at" => {
            let words = rest.split_once(char::is_whitespace);
            let (at, what) = words.ok_or_else(|| format!("`{line}` says not what happens"))?;
            let at = parse_duration(at)?;
            let what = match what.trim().strip_prefix("client ") {
                Some(order) => What::Client(parse_order(order)?),
                None => What::Step(what.trim().parse()?),
            };
            case.steps.push(Happening { at, what });
        }
        _ => {
            return Err(format!(
                "`{word}` begins no line of a case; there are seed, cluster, planted, calm, span, broken, at"
            ));
        }
    }
    Ok(())
}

fn one_of<T: Copy>(what: &str, name: &str, all: &[(&str, T)]) -> Result<T, String> {
    let found = all.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("`{name}` is no {what}; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A story
# of two lines
seed 4711
cluster hosts=3 checkpoint-records=1
planted skip_sync
calm disks timers
span 40s
broken h2 mute
at 12s isolate h1
at 12500ms client put /d/f1 1003 9000 anything
at 13s client get /d/f1
";

    #[test]
    fn a_case_reads_as_it_is_written() {
        let case: Case = TEXT.parse().unwrap();
        assert_eq!(
            case.to_string().trim(),
            TEXT.trim()
                .replace("calm disks timers", "calm timers disks")
        );
        assert_eq!(case.to_string().parse(), Ok(case));
    }

    #[test]
    fn what_is_no_case_is_told_with_its_line() {
        let wrong = |text: &str| text.parse::<Case>().unwrap_err().to_string();
        assert_eq!(wrong("span 1s\n"), "line 1: a case has a line `seed N`");
        assert_eq!(wrong("seed 1\n"), "line 1: a case has a line `span T`");
        assert_eq!(wrong("seed 1\nseed 2"), "line 2: `seed` was said before");
        assert!(wrong("seed 1\nspan 1s\nbroken h9 off").contains("no host h9"));
        assert!(wrong("seed 1\nspan 1s\nbroken h0 off").contains("no host h0"));
        for step in [
            "kill P9-NODE1",
            "isolate h9",
            "disk P1-NODE1/3 die",
            "ask master drain P9-NODE1",
            "ask master volume drain P1-NODE1 /P1-NODE1/7",
        ] {
            let what = wrong(&format!("seed 1\nspan 1s\nat 1s {step}"));
            assert!(what.contains("no such host, node or volume"), "{what}");
        }
        assert!(wrong("seed 1\nsped 2").starts_with("line 2: `sped` begins no line of a case"));
        assert!(wrong("seed 1\ncalm winds").contains("`winds` is no noise; there are disks, "));
        assert!(wrong("seed 1\nat 1s client dance").contains("line 2"));
        assert!(wrong("seed 1\nplanted nothing").contains("nothing that can be planted"));
        assert!(wrong("seed x").contains("`x` is no seed"));
    }
}
