//! What is known about each key, in one table.
//!
//! The parser, the checks, the browser's forms, `vaquita explain --key` and the reference page of
//! the book all come from [`TABLE`]; nothing else in the workspace knows a key's type or default.

mod reference;
mod table;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::file_kind::FileKind;
use crate::nearest;
use crate::value::{self, Value, ValueError};

pub use reference::reference_markdown;
pub use table::TABLE;

/// One key: everything that is known about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Key {
    /// Its name, in the one right spelling.
    pub name: &'static str,
    /// The files it is read from; none if it is for the command line only.
    pub files: Files,
    /// What a value must look like, with its unit.
    pub kind: KeyType,
    /// What holds when the key is not set.
    pub default: KeyDefault,
    /// The smallest and the largest value, in the unit of the key.
    pub range: Option<Range>,
    /// What it takes for a change to have an effect.
    pub change: Change,
    /// Whether the key takes effect at all.
    pub status: Status,
    /// Whether the browser may change it. Keys that bear on security or identity may not.
    pub web_editable: bool,
    /// Whether the controller hands its own value on to the data nodes.
    pub passed_on: bool,
    /// Whether two nodes of one host must not share the value.
    pub per_node: bool,
    /// What the key does, in one sentence.
    pub meaning: &'static str,
}

impl Key {
    /// Whether the key can be given on the command line only.
    pub fn command_line_only(&self) -> bool {
        self.files == Files::NONE
    }

    /// Whether the key bears on security or on who a process is, so that it is changed on the host alone,
    /// with an editor: whoever has taken over a browser must not get further with it.
    pub fn is_protected(&self) -> bool {
        !self.web_editable
    }

    /// The key that rules in its place: itself, unless it has been renamed.
    pub fn canonical(&'static self) -> &'static Key {
        match self.status {
            Status::Renamed { to } => find(to).unwrap_or(self),
            _ => self,
        }
    }

    /// Reads a value as a form field or a command line argument would give it: warnings are left
    /// out, the first error counts.
    ///
    /// # Errors
    ///
    /// What is wrong with the value, and what to write instead.
    pub fn parse(&self, raw: &str) -> Result<Value, ValueError> {
        value::parse(self, raw)
    }

    /// What a change of this key takes when it stands in such a file.
    pub fn change_in(&self, kind: FileKind) -> Change {
        match (self.change, kind) {
            (Change::ProcessRestart, FileKind::Controller) => Change::ControllerRestart,
            (Change::ProcessRestart, _) => Change::NodeRestart,
            (change, _) => change,
        }
    }
}

/// The key of exactly this name.
pub fn find(name: &str) -> Option<&'static Key> {
    TABLE.iter().find(|key| key.name == name)
}

/// The key of this name, whatever its capital letters; an exact match goes first.
pub fn find_ignoring_case(name: &str) -> Option<&'static Key> {
    find(name).or_else(|| TABLE.iter().find(|key| key.name.eq_ignore_ascii_case(name)))
}

/// The key whose name is nearest to a misspelt one, if one is near.
pub fn nearest(name: &str) -> Option<&'static Key> {
    nearest::nearest(name, TABLE.iter().map(|key| key.name)).and_then(find)
}

/// The keys that such a file may hold, in the order of the table.
pub fn of_file(kind: FileKind) -> impl Iterator<Item = &'static Key> {
    TABLE.iter().filter(move |key| key.files.contains(kind))
}

/// A set of files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Files(u8);

impl Files {
    /// No file: the command line only.
    pub const NONE: Files = Files(0);
    /// `controller.cfg`
    pub const CONTROLLER: Files = Files(1);
    /// `agent.cfg`
    pub const AGENT: Files = Files(2);
    /// `cluster.cfg`, and with it `node.cfg`, which carries the same settings to one node.
    pub const CLUSTER: Files = Files(4 | 16);
    /// `dolphindb.cfg`
    pub const SINGLE: Files = Files(8);
    /// `node.cfg` alone: what the agent adds for one node.
    pub const NODE: Files = Files(16);
    /// Every file.
    pub const ALL: Files = Files(31);

    /// The files of either set.
    pub const fn and(self, other: Files) -> Files {
        Files(self.0 | other.0)
    }

    /// Whether the file is in the set.
    pub fn contains(self, kind: FileKind) -> bool {
        let bit = match kind {
            FileKind::Controller => 1,
            FileKind::Agent => 2,
            FileKind::Cluster => 4,
            FileKind::Single => 8,
            FileKind::Node => 16,
        };
        self.0 & bit != 0
    }

    /// The files of the set.
    pub fn iter(self) -> impl Iterator<Item = FileKind> {
        FileKind::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Agents write `node.cfg`; a person is sent to it only if there is no other file.
        let names: Vec<String> = self
            .iter()
            .filter(|kind| *kind != FileKind::Node || *self == Files::NODE)
            .map(|kind| format!("`{kind}`"))
            .collect();
        match names.split_last() {
            None => f.write_str("the command line"),
            Some((only, [])) => f.write_str(only),
            Some((last, rest)) => write!(f, "{} or {last}", rest.join(", ")),
        }
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Files {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(FileKind::file_name))
    }
}

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum KeyType {
    /// `0`, `1`, `false` or `true`.
    Flag,
    /// A whole number.
    Integer,
    /// A decimal number.
    Float,
    /// An amount of memory or storage in one fixed unit, without a suffix.
    Size {
        /// The unit.
        unit: SizeUnit,
    },
    /// A span of time in one fixed unit, without a suffix.
    Duration {
        /// The unit.
        unit: TimeUnit,
    },
    /// One word of several.
    Word {
        /// The words.
        words: &'static [&'static str],
    },
    /// `host:port:alias`
    Site,
    /// Sites separated by commas, each perhaps with `:mode` behind it.
    Sites,
    /// A path; a relative one counts from the working directory, or from the node's home.
    Path,
    /// Absolute paths separated by commas.
    Paths,
    /// Host names or addresses separated by `;`.
    Hosts,
    /// Any text.
    Text,
}

impl KeyType {
    /// How the reference names it.
    pub fn description(self) -> String {
        match self {
            KeyType::Flag => "0 or 1".to_owned(),
            KeyType::Integer => "whole number".to_owned(),
            KeyType::Float => "decimal number".to_owned(),
            KeyType::Size { unit } => format!("size in {}", unit.as_str()),
            KeyType::Duration { unit } => format!("time in {}", unit.as_str()),
            KeyType::Word { words } => words.join(", "),
            KeyType::Site => "host:port:alias".to_owned(),
            KeyType::Sites => "list of host:port:alias[:mode]".to_owned(),
            KeyType::Path => "path".to_owned(),
            KeyType::Paths => "list of absolute paths".to_owned(),
            KeyType::Hosts => "hosts, separated by `;`".to_owned(),
            KeyType::Text => "text".to_owned(),
        }
    }
}

/// The unit of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SizeUnit {
    /// 2^10 bytes.
    Kb,
    /// 2^20 bytes.
    Mb,
    /// 2^30 bytes.
    Gb,
}

impl SizeUnit {
    /// The unit's bytes.
    pub fn bytes(self) -> u64 {
        match self {
            SizeUnit::Kb => 1 << 10,
            SizeUnit::Mb => 1 << 20,
            SizeUnit::Gb => 1 << 30,
        }
    }

    /// The unit's name.
    pub fn as_str(self) -> &'static str {
        match self {
            SizeUnit::Kb => "KB",
            SizeUnit::Mb => "MB",
            SizeUnit::Gb => "GB",
        }
    }
}

/// The unit of a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Thousandths of a second.
    Milliseconds,
    /// Hundredths of a second.
    TenMilliseconds,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Days; decimals are allowed.
    Days,
}

impl TimeUnit {
    /// The unit's milliseconds.
    pub fn milliseconds(self) -> u64 {
        match self {
            TimeUnit::Milliseconds => 1,
            TimeUnit::TenMilliseconds => 10,
            TimeUnit::Seconds => 1_000,
            TimeUnit::Minutes => 60_000,
            TimeUnit::Days => 86_400_000,
        }
    }

    /// The unit's name.
    pub fn as_str(self) -> &'static str {
        match self {
            TimeUnit::Milliseconds => "ms",
            TimeUnit::TenMilliseconds => "units of 10 ms",
            TimeUnit::Seconds => "s",
            TimeUnit::Minutes => "minutes",
            TimeUnit::Days => "days",
        }
    }
}

/// What holds when a key is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum KeyDefault {
    /// This value, written as in a file.
    Value(&'static str),
    /// Nothing is set; the text says what happens then.
    Unset(&'static str),
    /// A value that depends on the host or on other keys.
    Derived(Derivation),
}

impl KeyDefault {
    /// The default as a person reads it.
    pub fn description(self) -> &'static str {
        match self {
            KeyDefault::Value(text) | KeyDefault::Unset(text) => text,
            KeyDefault::Derived(derivation) => derivation.description(),
        }
    }
}

/// A default that is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Derivation {
    /// The number of cores.
    Cores,
    /// One less than the number of cores, but at least 1.
    CoresLessOne,
    /// `workerNum` + `webWorkerNum` + 1, but at least 16.
    ConnectionsPerSite,
    /// Three quarters of `maxMemSize`; without a limit, none.
    ThreeQuartersOfMemory,
    /// Twice the number of data nodes.
    TwiceTheDataNodes,
    /// 2 in a cluster, 1 in a stand-alone process.
    ReplicationFactor,
    /// The smaller of `dfsReplicationFactor` and 2.
    WriteReplicas,
    /// `storage` in the home of the node.
    Storage,
}

impl Derivation {
    /// The rule as a person reads it.
    pub fn description(self) -> &'static str {
        match self {
            Derivation::Cores => "number of cores",
            Derivation::CoresLessOne => "number of cores - 1, at least 1",
            Derivation::ConnectionsPerSite => "`workerNum` + `webWorkerNum` + 1, at least 16",
            Derivation::ThreeQuartersOfMemory => "75 % of `maxMemSize`",
            Derivation::TwiceTheDataNodes => "2 x number of data nodes",
            Derivation::ReplicationFactor => "2 in a cluster, 1 in a stand-alone process",
            Derivation::WriteReplicas => "the smaller of `dfsReplicationFactor` and 2",
            Derivation::Storage => "`<agent home>/<ALIAS>/storage`",
        }
    }
}

/// The limits of a number, both included, in the unit of its key.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The smallest value.
    pub min: f64,
    /// The largest value; infinite where there is no limit.
    pub max: f64,
    /// Whether a value outside is replaced by the limit, with a warning, or refused.
    pub clamps: bool,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { min, max, .. } = self;
        if max.is_infinite() {
            write!(f, "at least {min}")
        } else {
            write!(f, "{min} to {max}")
        }
    }
}

/// What it takes for a changed value to have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing but that the controller takes up its files: after a change over the API it does so by itself,
    /// after one with an editor by `vaquita config reload`.
    Nothing,
    /// A restart of the process whose file it stands in.
    ProcessRestart,
    /// A restart of the data nodes concerned, or of the agent for a line of `agent.cfg`.
    NodeRestart,
    /// A restart of the controller.
    ControllerRestart,
    /// A restart of the cluster: data nodes down, controller down, controller up, data nodes up.
    ClusterRestart,
}

impl Change {
    /// How the reference names it.
    pub const fn description(self) -> &'static str {
        match self {
            Change::Nothing => "reload",
            Change::ProcessRestart => "restart of the process",
            Change::NodeRestart => "node restart",
            Change::ControllerRestart => "controller restart",
            Change::ClusterRestart => "cluster restart",
        }
    }
}

/// Whether a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// It does.
    Active,
    /// It is accepted, because existing files have it, and changes nothing.
    NoEffect {
        /// Why.
        why: &'static str,
    },
    /// It is no longer read.
    Retired {
        /// What to do instead.
        why: &'static str,
    },
    /// It is read as another key.
    Renamed {
        /// The name to write.
        to: &'static str,
    },
}
