//! Typed values and how they are read from text.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::codes;
use crate::diagnostic::Severity;
use crate::keys::Key;
use crate::scan::Finding;
use crate::site::{Site, SiteWithMode};

mod path;
mod reader;

pub(crate) use path::{is_inside, same_path};

/// The value of a key, typed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", content = "value", rename_all = "kebab-case")]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A decimal number.
    Float(f64),
    /// Bytes.
    Size(u64),
    /// A span of time; in JSON it is in milliseconds.
    Duration(#[serde(serialize_with = "milliseconds")] Duration),
    /// One of the words of the key, as the table spells it.
    Word(&'static str),
    /// One site.
    Site(Site),
    /// Several sites.
    Sites(Vec<SiteWithMode>),
    /// One path.
    Path(String),
    /// Several absolute paths.
    Paths(Vec<String>),
    /// Several hosts.
    Hosts(Vec<String>),
    /// Anything else.
    Text(String),
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Why a text is not a value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// The code of the rule, one of [`crate::codes::TABLE`].
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.help)
    }
}

impl std::error::Error for ValueError {}

pub(crate) fn parse(key: &Key, raw: &str) -> Result<Value, ValueError> {
    let reading = read(key, raw);
    let error = reading
        .findings
        .into_iter()
        .find(|finding| finding.code.severity == Severity::Error || reading.value.is_none());
    match (reading.value, error) {
        (Some(value), None) => Ok(value),
        (
            _,
            Some(Finding {
                code,
                message,
                help,
                ..
            }),
        ) => Err(ValueError {
            code: code.name,
            message,
            help,
        }),
        (None, None) => Err(ValueError {
            code: codes::EMPTY_VALUE.name,
            message: format!("`{}` has no value", key.name),
            help: "write a value".to_owned(),
        }),
    }
}

/// What came of reading a value: the value if there is a usable one, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) value: Option<Value>,
    pub(crate) findings: Vec<Finding>,
}

/// Reads the value of a key. An empty text gives no value and no finding.
pub(crate) fn read(key: &Key, raw: &str) -> Reading {
    let (value, findings) = reader::read(key, raw);
    let failed = findings
        .iter()
        .any(|finding| finding.code.severity == Severity::Error);
    Reading {
        value: value.filter(|_| !failed),
        findings,
    }
}
impl fmt::Display for Value {
    /// The value as a file would have it, sizes and times with the largest unit that fits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Flag(flag) => write!(f, "{}", u8::from(*flag)),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number}"),
            Value::Size(bytes) => match bytes {
                0 => f.write_str("0"),
                _ if bytes % (1 << 30) == 0 => write!(f, "{} GB", bytes >> 30),
                _ if bytes % (1 << 20) == 0 => write!(f, "{} MB", bytes >> 20),
                _ => write!(f, "{bytes} bytes"),
            },
            Value::Duration(duration) => match duration.as_millis() {
                0 => f.write_str("0"),
                millis if millis % 1_000 == 0 => write!(f, "{} s", millis / 1_000),
                millis => write!(f, "{millis} ms"),
            },
            Value::Word(word) => f.write_str(word),
            Value::Site(site) => site.fmt(f),
            Value::Sites(sites) => {
                let sites: Vec<String> = sites.iter().map(SiteWithMode::to_string).collect();
                f.write_str(&sites.join(","))
            }
            Value::Path(text) | Value::Text(text) => f.write_str(text),
            Value::Paths(paths) => f.write_str(&paths.join(",")),
            Value::Hosts(hosts) => f.write_str(&hosts.join(";")),
        }
    }
}
