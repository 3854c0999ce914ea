//! Typed values and how they are read from text.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::character::{self, is_blank};
use crate::codes;
use crate::diagnostic::Severity;
use crate::keys::{self, Key, KeyType, TimeUnit};
use crate::limits;
use crate::mode::Mode;
use crate::nearest;
use crate::scan::{self, Finding};
use crate::site::{self, Site, SiteWithMode};

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
    let mut reader = Reader {
        key,
        findings: Vec::new(),
    };
    let value = reader.value(raw);
    let failed = reader
        .findings
        .iter()
        .any(|finding| finding.code.severity == Severity::Error);
    Reading {
        value: value.filter(|_| !failed),
        findings: reader.findings,
    }
}

struct Reader<'a> {
    key: &'a Key,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn value(&mut self, raw: &str) -> Option<Value> {
        if raw.is_empty() {
            return None;
        }
        if raw.len() > limits::VALUE_BYTES {
            self.find(Finding::new(
                codes::VALUE_TOO_LONG,
                0..raw.len(),
                format!("the value of `{}` has {} bytes", self.key.name, raw.len()),
                format!("keep a value below {} bytes", limits::VALUE_BYTES),
            ));
            return None;
        }
        let meant = match self.key.kind {
            KeyType::Text => None,
            KeyType::Path | KeyType::Paths => scan::fullwidth(raw, character::separator_of),
            _ => scan::fullwidth(raw, character::ascii_of),
        };
        if let Some(finding) = meant {
            self.find(finding);
            return None;
        }
        if let Some(inner) = self.unquoted(raw) {
            let reading = read(self.key, &raw[inner.clone()]);
            self.findings
                .extend(reading.findings.into_iter().map(|it| it.moved(inner.start)));
            return reading.value;
        }
        match self.key.kind {
            KeyType::Flag => self.flag(raw).map(Value::Flag),
            KeyType::Integer => self.integer(raw).map(Value::Integer),
            KeyType::Float => self.decimal(raw).map(Value::Float),
            KeyType::Size { unit } => self.decimal(raw).map(|number| {
                // The range keeps the product far below 2^63; `as` would saturate anyway.
                Value::Size((number * unit.bytes() as f64) as u64)
            }),
            KeyType::Duration { unit } => self.duration(raw, unit).map(Value::Duration),
            KeyType::Word { words } => self.word(raw, words).map(Value::Word),
            KeyType::Site => self.site(raw).map(Value::Site),
            KeyType::Sites => self.sites(raw).map(Value::Sites),
            KeyType::Path => self.path(raw, 0).map(Value::Path),
            KeyType::Paths => self.paths(raw).map(Value::Paths),
            KeyType::Hosts => self.hosts(raw).map(Value::Hosts),
            KeyType::Text => Some(Value::Text(raw.to_owned())),
        }
    }

    /// What stands between quotation marks, if the value of a key that is not free text does.
    fn unquoted(&mut self, raw: &str) -> Option<Range<usize>> {
        let quote = raw
            .chars()
            .next()
            .filter(|first| matches!(first, '"' | '\''))?;
        if self.key.kind == KeyType::Text || raw.len() < 2 || !raw.ends_with(quote) {
            return None;
        }
        let inner = scan::trimmed(raw, 1..raw.len() - 1);
        self.find(
            Finding::new(
                codes::QUOTED_VALUE,
                0..raw.len(),
                format!("the value of `{}` stands in quotation marks, which other readers take for a part of it", self.key.name),
                "write the value without quotation marks",
            )
            .with_fix(0..raw.len(), &raw[inner.clone()]),
        );
        Some(inner)
    }

    fn flag(&mut self, raw: &str) -> Option<bool> {
        let lower = raw.to_ascii_lowercase();
        match lower.as_str() {
            "1" | "true" => return Some(true),
            "0" | "false" => return Some(false),
            _ => {}
        }
        let finding = self.invalid(raw, "neither 0 nor 1", "write 1 for yes or 0 for no");
        self.find(match lower.as_str() {
            "yes" | "on" | "y" | "enable" | "enabled" => finding.with_fix(0..raw.len(), "1"),
            "no" | "off" | "n" | "disable" | "disabled" => finding.with_fix(0..raw.len(), "0"),
            _ => finding,
        });
        None
    }

    fn invalid(&self, raw: &str, what: &str, help: impl Into<String>) -> Finding {
        Finding::new(
            codes::INVALID_VALUE,
            0..raw.len(),
            format!("`{}` is `{raw}`, which is {what}", self.key.name),
            help,
        )
    }

    fn integer(&mut self, raw: &str) -> Option<i64> {
        match raw.parse::<i64>() {
            Ok(number) if !raw.starts_with('+') => {
                // Exact up to 2^53, which is far beyond every limit of the table.
                let limited = self.limit(raw, number as f64)?;
                Some(if limited == number as f64 {
                    number
                } else {
                    limited as i64
                })
            }
            _ => {
                self.not_a_number(raw, "not a whole number", |text| {
                    text.parse::<i64>().is_ok()
                });
                None
            }
        }
    }

    fn decimal(&mut self, raw: &str) -> Option<f64> {
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
                && text.parse::<f64>().is_ok_and(f64::is_finite)
        };
        if !plain(raw) {
            self.not_a_number(raw, "not a number", plain);
            return None;
        }
        let number = raw.parse::<f64>().ok()?;
        self.limit(raw, number)
    }

    fn not_a_number(&mut self, raw: &str, what: &str, number: impl Fn(&str) -> bool) {
        let unit = match self.key.kind {
            KeyType::Size { unit } => unit.as_str(),
            KeyType::Duration { unit } => unit.as_str(),
            _ => "",
        };
        let digits = raw.trim_end_matches(|character: char| {
            character.is_ascii_alphabetic() || is_blank(character) || character == '%'
        });
        let suffix = raw[digits.len()..].trim_matches(is_blank);
        if digits.len() == raw.len() || !number(digits) {
            let help = match unit {
                "" => format!("write a number {}", self.allowed()),
                unit => format!("write a number {}; the unit is {unit}", self.allowed()),
            };
            let finding = self.invalid(raw, what, help);
            self.find(finding);
            return;
        }
        let help = match unit {
            "" => format!("write the number without `{suffix}`"),
            unit => format!(
                "write the number alone: the unit of `{}` is always {unit}",
                self.key.name
            ),
        };
        let finding = self.invalid(raw, what, help);
        // `16G` of a key in GB is meant as 16; of a key in MB nobody knows.
        let same_unit = !unit.is_empty()
            && suffix
                .to_ascii_lowercase()
                .starts_with(&unit[..1].to_ascii_lowercase());
        self.find(if same_unit {
            finding.with_fix(0..raw.len(), digits)
        } else {
            finding
        });
    }

    fn allowed(&self) -> String {
        self.key
            .range
            .map_or("without letters".to_owned(), |range| in_words(&range))
    }

    /// Holds a number against the range of the key: the number, the limit that replaces it, or
    /// nothing.
    fn limit(&mut self, raw: &str, number: f64) -> Option<f64> {
        let measured = matches!(
            self.key.kind,
            KeyType::Size { .. } | KeyType::Duration { .. }
        );
        let range = match self.key.range {
            Some(range) => range,
            // An amount or a time is never negative, and its product with the unit must fit.
            None if measured => keys::Range {
                min: 0.0,
                max: f64::INFINITY,
                clamps: false,
            },
            None => return Some(number),
        };
        let largest = if measured {
            range.max.min(1e12)
        } else {
            range.max
        };
        if (range.min..=largest).contains(&number) {
            return Some(number);
        }
        let name = self.key.name;
        let unit = match self.key.kind {
            KeyType::Size { unit } => format!(" {}", unit.as_str()),
            KeyType::Duration { unit } => format!(" {}", unit.as_str()),
            _ => String::new(),
        };
        if range.clamps {
            let limit = if number < range.min {
                range.min
            } else {
                largest
            };
            self.find(
                Finding::new(
                    codes::CLAMPED_VALUE,
                    0..raw.len(),
                    format!("`{name}` is {raw}{unit}; {limit}{unit} is used instead"),
                    format!("write a value that is {}", in_words(&range)),
                )
                .with_fix(0..raw.len(), limit.to_string()),
            );
            return Some(limit);
        }
        self.find(Finding::new(
            codes::OUT_OF_RANGE,
            0..raw.len(),
            format!("`{name}` is {raw}{unit}, which is out of its range"),
            format!("write a value that is {}", in_words(&range)),
        ));
        None
    }

    fn duration(&mut self, raw: &str, unit: TimeUnit) -> Option<Duration> {
        if unit == TimeUnit::Days {
            let days = self.decimal(raw)?;
            return Some(Duration::from_millis(
                (days * unit.milliseconds() as f64) as u64,
            ));
        }
        let number = u64::try_from(self.integer(raw)?).ok()?;
        Some(Duration::from_millis(
            number.saturating_mul(unit.milliseconds()),
        ))
    }

    fn word(&mut self, raw: &str, words: &'static [&'static str]) -> Option<&'static str> {
        if let Some(word) = words.iter().find(|word| **word == raw) {
            return Some(word);
        }
        if let Some(word) = words.iter().find(|word| word.eq_ignore_ascii_case(raw)) {
            self.find(
                Finding::new(
                    codes::VALUE_CASE,
                    0..raw.len(),
                    format!(
                        "the value `{raw}` of `{}` is read as `{word}`",
                        self.key.name
                    ),
                    format!("write `{word}`"),
                )
                .with_fix(0..raw.len(), *word),
            );
            return Some(word);
        }
        let near = nearest::nearest(raw, words.iter().copied());
        let all = words.join(", ");
        let finding = self.invalid(
            raw,
            "no value of it",
            match near {
                Some(word) => format!("did you mean `{word}`? The values are {all}"),
                None => format!("write one of {all}"),
            },
        );
        self.find(match near {
            Some(word) => finding.with_fix(0..raw.len(), word),
            None => finding,
        });
        None
    }

    fn site(&mut self, raw: &str) -> Option<Site> {
        let (text, mode) = site::split_mode(raw);
        if let Some(range) = mode
            && let Err(unknown) = raw[range.clone()].parse::<Mode>()
        {
            self.find(Finding::new(
                codes::INVALID_SITE,
                range,
                format!("{unknown} (behind the comma of a site stands its mode)"),
                "write the site alone, as in `10.1.1.7:8990:master`",
            ));
        }
        match site::read(text) {
            Ok(site) => Some(site),
            Err(finding) => {
                self.find(finding);
                None
            }
        }
    }

    /// The elements of a list with their places. Empty ones are reported and left out.
    fn elements(&mut self, raw: &str, separator: char) -> Vec<Range<usize>> {
        let mut elements = scan::split(raw, separator);
        if elements.iter().any(Range::is_empty) {
            elements.retain(|element| !element.is_empty());
            let kept: Vec<&str> = elements
                .iter()
                .map(|element| &raw[element.clone()])
                .collect();
            self.find(
                Finding::new(
                    codes::EMPTY_ELEMENT,
                    0..raw.len(),
                    format!(
                        "the list `{}` has an empty element, which is left out",
                        self.key.name
                    ),
                    format!("write one `{separator}` between two elements and none at the end"),
                )
                .with_fix(0..raw.len(), kept.join(&separator.to_string())),
            );
        }
        elements
    }

    fn sites(&mut self, raw: &str) -> Option<Vec<SiteWithMode>> {
        let mut sites = Vec::new();
        for element in self.elements(raw, ',') {
            match site::read_with_mode(&raw[element.clone()]) {
                Ok(site) => sites.push(site),
                Err(finding) => self.find(finding.moved(element.start)),
            }
        }
        Some(sites)
    }

    fn hosts(&mut self, raw: &str) -> Option<Vec<String>> {
        let hosts = self.elements(raw, ';');
        for host in &hosts {
            let text = &raw[host.clone()];
            if let Some(foreign) = text
                .chars()
                .find(|it| matches!(it, ',' | '/') || is_blank(*it))
            {
                self.find(Finding::new(
                    codes::INVALID_VALUE,
                    host.clone(),
                    format!(
                        "`{text}` holds {}, which no host name has",
                        character::describe(foreign)
                    ),
                    "write host names or addresses alone, separated by `;`",
                ));
            }
        }
        Some(hosts.into_iter().map(|host| raw[host].to_owned()).collect())
    }

    fn paths(&mut self, raw: &str) -> Option<Vec<String>> {
        let mut paths: Vec<String> = Vec::new();
        for element in self.elements(raw, ',') {
            let text = &raw[element.clone()];
            let Some(path) = self.absolute_path(text, element.clone()) else {
                continue;
            };
            if paths.iter().any(|known| same_path(known, &path)) {
                self.find(Finding::new(
                    codes::REPEATED_ELEMENT,
                    element,
                    format!(
                        "`{text}` stands in `{}` twice and counts once",
                        self.key.name
                    ),
                    "delete one of them",
                ));
                continue;
            }
            paths.push(path);
        }
        Some(paths)
    }

    fn absolute_path(&mut self, text: &str, range: Range<usize>) -> Option<String> {
        let name = self.key.name;
        if is_windows_path(text) {
            self.find(Finding::new(
                codes::WINDOWS_PATH,
                range,
                format!("`{text}` has the form of a Windows path; nodes run on Linux"),
                "write a path that begins with `/`",
            ));
            return None;
        }
        if !text.starts_with('/') {
            self.find(Finding::new(
                codes::RELATIVE_VOLUME,
                range,
                format!("`{text}` in `{name}` is a relative path; it must be absolute"),
                format!(
                    "write the whole path from `/` on, as in `/data/{}`",
                    text.trim_start_matches("./")
                ),
            ));
            return None;
        }
        let pieces: Vec<&str> = text
            .split(':')
            .map(|piece| piece.trim_matches(is_blank))
            .collect();
        if pieces.len() > 1 && pieces.iter().all(|piece| piece.starts_with('/')) {
            self.find(
                Finding::new(
                    codes::COLON_SEPARATED_VOLUMES,
                    range.clone(),
                    format!("`{text}` in `{name}` would be one directory with colons in its name"),
                    "separate paths by commas",
                )
                .with_fix(range, pieces.join(",")),
            );
            return None;
        }
        self.path(text, range.start)
    }

    fn path(&mut self, text: &str, start: usize) -> Option<String> {
        let range = start..start + text.len();
        let name = self.key.name;
        let list = self.key.kind == KeyType::Paths;
        if text.len() > limits::PATH_BYTES {
            self.find(Finding::new(
                codes::UNSAFE_PATH,
                range,
                format!("a path in `{name}` has {} bytes", text.len()),
                format!("keep a path below {} bytes", limits::PATH_BYTES),
            ));
            return None;
        }
        if !list {
            return Some(text.to_owned());
        }
        if text
            .split('/')
            .any(|component| matches!(component, "." | ".."))
        {
            self.find(Finding::new(
                codes::UNSAFE_PATH,
                range,
                format!("`{text}` in `{name}` has a `.` or `..` component"),
                "write the path that is meant, without detours",
            ));
            return None;
        }
        if text.bytes().all(|byte| byte == b'/') {
            self.find(Finding::new(
                codes::UNSAFE_PATH,
                range,
                format!("`{name}` names the root directory"),
                "write a directory that holds nothing else, as in `/data/<ALIAS>`",
            ));
            return None;
        }
        if name == "volumes"
            && let Some(system) = system_directory(text)
        {
            self.find(Finding::new(
                codes::SYSTEM_DIRECTORY,
                range,
                format!("the volume `{text}` lies in `{system}`, which belongs to the operating system"),
                "write a directory on a data disk; an agent takes this one only if its `allowedRoots` names it",
            ));
        }
        Some(text.to_owned())
    }
}

fn in_words(range: &keys::Range) -> String {
    let keys::Range { min, max, .. } = range;
    if max.is_infinite() {
        format!("{min} or more")
    } else {
        format!("from {min} to {max}")
    }
}

/// Whether the text begins with a drive letter or a share: `C:\data`, `d:/data`, `\\host\share`.
pub(crate) fn is_windows_path(text: &str) -> bool {
    match text.as_bytes() {
        [b'\\', ..] => true,
        [drive, b':', b'\\' | b'/', ..] => drive.is_ascii_alphabetic(),
        _ => false,
    }
}

fn system_directory(path: &str) -> Option<&'static str> {
    const SYSTEM: [&str; 13] = [
        "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin",
        "/sys", "/usr", "/root",
    ];
    SYSTEM
        .into_iter()
        .find(|system| is_inside(path, system) || same_path(path, system))
}

/// The components of an absolute path: doubled and trailing slashes do not count.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty())
}

/// Whether two absolute paths name the same directory, as far as text can show.
pub(crate) fn same_path(one: &str, other: &str) -> bool {
    components(one).eq(components(other))
}

/// Whether `inner` lies below `outer`, as far as text can show.
pub(crate) fn is_inside(inner: &str, outer: &str) -> bool {
    let mut inner = components(inner);
    components(outer).all(|component| inner.next() == Some(component)) && inner.next().is_some()
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
