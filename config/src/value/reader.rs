//! Numbers, words, sites and hosts, each held against the row of its key.

use std::ops::Range;
use std::time::Duration;

use super::Value;
use crate::character::{self, is_blank};
use crate::codes;
use crate::keys::{self, Key, KeyType, TimeUnit};
use crate::limits;
use crate::mode::Mode;
use crate::nearest;
use crate::scan::{self, Finding};
use crate::site::{self, Site, SiteWithMode};

/// Reads a value; findings that are errors do not keep a value from being returned.
pub(super) fn read(key: &Key, raw: &str) -> (Option<Value>, Vec<Finding>) {
    let mut reader = Reader {
        key,
        findings: Vec::new(),
    };
    let value = reader.value(raw);
    (value, reader.findings)
}

pub(super) struct Reader<'a> {
    pub(super) key: &'a Key,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    /// Notes a problem. Beyond a few dozen in one value nobody reads on.
    pub(super) fn find(&mut self, finding: Finding) {
        if self.findings.len() < limits::VALUE_FINDINGS {
            self.findings.push(finding);
        }
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
            let reading = super::read(self.key, &raw[inner.clone()]);
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
    pub(super) fn elements(&mut self, raw: &str, separator: char) -> Vec<Range<usize>> {
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
}

fn in_words(range: &keys::Range) -> String {
    let keys::Range { min, max, .. } = range;
    if max.is_infinite() {
        format!("{min} or more")
    } else {
        format!("from {min} to {max}")
    }
}
