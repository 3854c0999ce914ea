//! Settings, with the reason for each.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::command_line;
use crate::diagnostic::Diagnostic;
use crate::file_kind::FileKind;
use crate::keys::{self, Key, Status};
use crate::mode::Mode;
use crate::site::Site;
use crate::span::{Place, Span};
use crate::value::Value;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Origin {
    /// The command line of the process.
    CommandLine,
    /// A line of the file that the process, or the controller for it, reads its settings from.
    File(Place),
    /// A line of `controller.cfg`, handed on to the data nodes.
    Controller(Place),
    /// A row of `cluster.nodes`.
    Member(Place),
    /// The default of the key.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::CommandLine => f.write_str(command_line::NAME),
            Origin::File(place) | Origin::Member(place) => place.fmt(f),
            Origin::Controller(place) => write!(f, "{place} (from the controller)"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// The class of a line: which lines it beats. Ordered from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "class", rename_all = "kebab-case")]
pub enum Precedence {
    /// No line at all.
    Default,
    /// The controller's own value, handed on.
    PassedOn,
    /// A line for all nodes, or of a file for one process.
    Unqualified,
    /// A line with a pattern.
    Wildcard {
        /// How many characters of the pattern stand for themselves.
        literal_characters: usize,
    },
    /// A line for one alias.
    ExactAlias,
    /// The command line.
    CommandLine,
    /// What no line can change: site and mode of a member, and the controller's `lanCluster`,
    /// `enableHTTPS` and `enableRpcSSL`.
    Fixed,
}

impl fmt::Display for Precedence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Precedence::Default => f.write_str("default"),
            Precedence::PassedOn => f.write_str("controller's value"),
            Precedence::Unqualified => f.write_str("no qualifier"),
            Precedence::Wildcard { literal_characters } => {
                write!(f, "pattern with {literal_characters} literal characters")
            }
            Precedence::ExactAlias => f.write_str("this alias"),
            Precedence::CommandLine => f.write_str("command line"),
            Precedence::Fixed => f.write_str("fixed"),
        }
    }
}

/// A value that was up for a key and lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The value as written, the macro `<ALIAS>` expanded.
    pub raw: String,
    /// Its class.
    pub precedence: Precedence,
    /// Where it stands.
    pub origin: Origin,
}

/// The value of one key for one process, and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The key.
    #[serde(serialize_with = "name_of")]
    pub key: &'static Key,
    /// The typed value. None if the key is not set and has no default, if its default depends on
    /// facts that are not known here, or if the text is no value of the key.
    pub value: Option<Value>,
    /// The value as written, the macro `<ALIAS>` expanded; for a default, how it is described.
    pub raw: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Its class.
    pub precedence: Precedence,
    /// What it beat, the strongest first.
    pub beaten: Vec<Candidate>,
    /// The bytes of the value in its file.
    #[serde(skip)]
    pub(super) span: Span,
}

fn name_of<S: Serializer>(key: &&'static Key, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.name)
}

impl Setting {
    /// Whether a line or an argument set the key.
    pub fn is_set(&self) -> bool {
        self.precedence != Precedence::Default && self.origin != Origin::Default
    }

    /// The value as a file is to have it: without quotation marks, words in their right case.
    pub fn text(&self) -> String {
        match &self.value {
            Some(Value::Integer(_) | Value::Float(_) | Value::Size(_) | Value::Duration(_))
            | None => self.raw.trim_matches(['"', '\'']).trim().to_owned(),
            Some(value) => value.to_string(),
        }
    }
}

/// The settings of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// What the process is.
    pub mode: Mode,
    /// Its site, where the files name one.
    pub site: Option<Site>,
    /// What is wrong with the command line or follows from the host; what is wrong with the
    /// files by themselves is in their [`crate::Parsed`].
    pub diagnostics: Vec<Diagnostic>,
    pub(super) settings: BTreeMap<&'static str, Setting>,
}

/// The settings of a data node, resolved by the controller.
pub type ResolvedNode = Resolved;

impl Resolved {
    /// The setting of a key, if the process has the key at all.
    ///
    /// # Panics
    ///
    /// If there is no key of that name: the caller has misspelt it.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        assert!(
            keys::find(name).is_some(),
            "there is no key `{name}` in the table"
        );
        self.settings.get(name)
    }

    /// All settings in the order of the table. Keys without effect are there only if they are set.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        keys::TABLE
            .iter()
            .filter_map(|key| self.settings.get(key.name))
    }

    /// The typed value of a key.
    ///
    /// # Panics
    ///
    /// If there is no key of that name.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.setting(name)?.value.as_ref()
    }

    /// Where the value of a key comes from.
    ///
    /// # Panics
    ///
    /// If there is no key of that name.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.setting(name).map(|setting| &setting.origin)
    }

    /// What to send to the agent of a data node: each setting that does not follow from the
    /// defaults, as the pairs of a `node.cfg`. See [`crate::render_node_cfg`].
    pub fn order(&self) -> Vec<(String, String)> {
        self.settings()
            .filter(|setting| setting.is_set() && setting.value.is_some())
            .filter(|setting| {
                setting.key.status == Status::Active && setting.key.files.contains(FileKind::Node)
            })
            .map(|setting| (setting.key.name.to_owned(), setting.text()))
            .collect()
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident -> $type:ty: $pattern:pat => $result:expr;)*) => {
        impl Resolved {
            $(
                $(#[$doc])*
                ///
                /// None if the key is not set and has no default here, or if its text is no value.
                ///
                /// # Panics
                ///
                /// If there is no key of that name, or if it is of another type.
                pub fn $name(&self, name: &str) -> Option<$type> {
                    match self.value(name)? {
                        $pattern => Some($result),
                        other => panic!("`{name}` is not asked for by its type: it is {other:?}"),
                    }
                }
            )*
        }
    };
}

getters! {
    /// The value of a key that is 0 or 1.
    flag -> bool: Value::Flag(flag) => *flag;
    /// The value of a key that is a whole number.
    integer -> i64: Value::Integer(number) => *number;
    /// The value of a key that is a decimal number.
    float -> f64: Value::Float(number) => *number;
    /// The value of a key that is a size, in bytes.
    size -> u64: Value::Size(bytes) => *bytes;
    /// The value of a key that is a span of time.
    duration -> Duration: Value::Duration(duration) => *duration;
    /// The value of a key that is a site.
    site -> &Site: Value::Site(site) => site;
    /// The value of a key that is a list of paths.
    paths -> &[String]: Value::Paths(paths) => paths;
    /// The value of a key that is a list of hosts.
    hosts -> &[String]: Value::Hosts(hosts) => hosts;
    /// The value of a key that is a path, a word or free text.
    text -> &str: Value::Text(text) | Value::Path(text) => text;
    /// The value of a key that is one of several words.
    word -> &str: Value::Word(word) => word;
}
