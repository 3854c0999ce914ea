//! Sites: `host:port:alias`, where a process is and what it is called.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::alias::{self, AliasError};
use crate::codes;
use crate::mode::Mode;
use crate::scan::{self, Finding};

/// A process of the cluster: the host it runs on, its one port, and its alias.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// A host name, an IPv4 address, or an IPv6 address in square brackets.
    pub host: String,
    /// The port for TCP and UDP.
    pub port: u16,
    /// The name of the node, unique in the cluster; capital letters count.
    pub alias: String,
}

impl Site {
    /// Whether both name the same host and port, whatever their aliases. Host names are the same
    /// in capital and small letters.
    pub fn same_address(&self, other: &Site) -> bool {
        self.port == other.port && self.same_host(&other.host)
    }

    /// Whether the site is on the host of that name, compared as text.
    pub fn same_host(&self, host: &str) -> bool {
        self.host.eq_ignore_ascii_case(host)
    }

    /// Whether the host can be reached from itself only.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host == "[::1]"
            || self
                .host
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// Whether the host is the address that means "all of mine" and that nobody can connect to.
    pub fn is_unspecified(&self) -> bool {
        self.host == "[::]" || self.host == "0.0.0.0"
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.host, self.port, self.alias)
    }
}

impl Serialize for Site {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is not a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl fmt::Display for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.help)
    }
}

impl std::error::Error for SiteError {}

impl FromStr for Site {
    type Err = SiteError;

    fn from_str(text: &str) -> Result<Site, SiteError> {
        read(text).map_err(|finding| SiteError {
            message: finding.message,
            help: finding.help,
        })
    }
}

/// A site of the key `sites`, which may carry the mode as a fourth part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SiteWithMode {
    /// The site.
    pub site: Site,
    /// The mode, where one is given.
    pub mode: Option<Mode>,
}

impl fmt::Display for SiteWithMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Some(mode) => write!(f, "{}:{mode}", self.site),
            None => self.site.fmt(f),
        }
    }
}

const FORM: &str = "write `host:port:alias`, as in `10.1.1.7:8990:master`";

/// Reads a site; blanks around the colons do no harm.
pub(crate) fn read(text: &str) -> Result<Site, Finding> {
    let parts = parts(text);
    let invalid = |range: Range<usize>, message: String| {
        Finding::new(codes::INVALID_SITE, range, message, FORM)
    };
    let whole = scan::trimmed(text, 0..text.len());
    if text[whole.clone()].starts_with('[') && !text.contains(']') {
        let message = format!(
            "the square bracket in `{}` is not closed",
            &text[whole.clone()]
        );
        let help = "write `[fd00::7]:8990:master`";
        return Err(Finding::new(codes::INVALID_SITE, whole, message, help));
    }
    match parts.as_slice() {
        [host, port, alias] => {
            let host = read_host(text, host.clone())?;
            let port = read_port(text, port.clone())?;
            let alias = read_alias(text, alias.clone())?;
            Ok(Site { host, port, alias })
        }
        [_] | [] => Err(invalid(
            whole.clone(),
            format!("the site `{}` has no port and no alias", &text[whole]),
        )),
        [_, second] => {
            let missing = match text[second.clone()].parse::<u16>() {
                Ok(_) => "no alias",
                Err(_) => "no port",
            };
            Err(invalid(
                whole.clone(),
                format!("the site `{}` has {missing}", &text[whole]),
            ))
        }
        [first, .., last] => {
            let message = format!(
                "the site `{}` has {} parts between colons",
                &text[whole.clone()],
                parts.len()
            );
            let mut finding = invalid(whole, message);
            let address = text[first.start..]
                .rsplitn(3, ':')
                .nth(2)
                .unwrap_or_default();
            if address.parse::<Ipv6Addr>().is_ok() {
                let range = first.start..first.start + address.len();
                finding.help =
                    "put an IPv6 address in square brackets: `[fd00::7]:8990:master`".into();
                finding = finding.with_fix(range, format!("[{address}]"));
            } else if let Ok(mode) = text[last.clone()].parse::<Mode>() {
                finding.help =
                    format!("write {FORM_WITHOUT_VERB}; the mode `{mode}` does not belong here");
            }
            Err(finding)
        }
    }
}

const FORM_WITHOUT_VERB: &str = "`host:port:alias`";

/// Divides `host:port:alias,mode`: the site, and where the mode stands if there is one.
pub(crate) fn split_mode(text: &str) -> (&str, Option<Range<usize>>) {
    match text.find(',') {
        Some(comma) => (
            &text[..comma],
            Some(scan::trimmed(text, comma + 1..text.len())),
        ),
        None => (text, None),
    }
}

/// Reads a site that has perhaps a mode as its fourth part.
pub(crate) fn read_with_mode(text: &str) -> Result<SiteWithMode, Finding> {
    if let [_, _, alias, mode] = parts(text).as_slice()
        && let Ok(known) = text[mode.clone()].parse::<Mode>()
    {
        return Ok(SiteWithMode {
            site: read(&text[..alias.end])?,
            mode: Some(known),
        });
    }
    Ok(SiteWithMode {
        site: read(text)?,
        mode: None,
    })
}

/// The parts between colons; the colons of an address in square brackets separate nothing.
pub(crate) fn parts(text: &str) -> Vec<Range<usize>> {
    let after_bracket = match scan::trimmed(text, 0..text.len()) {
        whole if text[whole.clone()].starts_with('[') => text.find(']').map_or(0, |end| end + 1),
        _ => 0,
    };
    let mut parts = scan::split(&text[after_bracket..], ':');
    for part in &mut parts {
        *part = part.start + after_bracket..part.end + after_bracket;
    }
    if let Some(first) = parts.first_mut() {
        *first = scan::trimmed(text, 0..first.end);
    }
    parts
}

fn read_host(text: &str, range: Range<usize>) -> Result<String, Finding> {
    let host = &text[range.clone()];
    let invalid = |message: String, help: &str| {
        Err(Finding::new(
            codes::INVALID_SITE,
            range.clone(),
            message,
            help,
        ))
    };
    if host.is_empty() {
        return invalid("the site has no host".into(), FORM);
    }
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        return match address.parse::<Ipv6Addr>() {
            Ok(_) => Ok(host.to_owned()),
            Err(_) => invalid(
                format!("`{host}` is not an IPv6 address"),
                "write an address such as `[fd00::7]` between the square brackets",
            ),
        };
    }
    let foreign = |character: char| {
        !(character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_'))
    };
    if let Some(character) = host.chars().find(|character| foreign(*character)) {
        return invalid(
            format!(
                "the host `{host}` holds {}",
                crate::character::describe(character)
            ),
            "write an address such as `10.1.1.7`, or a host name of letters, digits, `.` and `-`",
        );
    }
    // Three numbers and a fourth word is an address with a slip, as `10.1.1.l` is, not a name.
    let labels: Vec<&str> = host.split('.').collect();
    let digits = |label: &&str| label.bytes().all(|byte| byte.is_ascii_digit());
    let numeric =
        labels.iter().all(digits) || (labels.len() == 4 && labels[..3].iter().all(digits));
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return invalid(
            format!("`{host}` is not an IPv4 address"),
            "write four numbers from 0 to 255 without leading zeros, as in `10.1.1.7`",
        );
    }
    if host.len() > 253
        || host
            .split('.')
            .any(|label| label.is_empty() || label.len() > 63)
    {
        return invalid(
            format!("`{host}` is not a host name"),
            "write a host name whose parts between dots have 1 to 63 characters",
        );
    }
    Ok(host.to_owned())
}

fn read_port(text: &str, range: Range<usize>) -> Result<u16, Finding> {
    let port = &text[range.clone()];
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits && number > 0 => Ok(number),
        _ if digits => Err(Finding::new(
            codes::INVALID_SITE,
            range,
            format!("there is no port {port}"),
            "write a port from 1 to 65535",
        )),
        _ => {
            let message = format!("`{port}` stands where the port belongs and is not a number");
            Err(Finding::new(codes::INVALID_SITE, range, message, FORM))
        }
    }
}

fn read_alias(text: &str, range: Range<usize>) -> Result<String, Finding> {
    let alias = &text[range.clone()];
    alias::check(alias)
        .map(|()| alias.to_owned())
        .map_err(|error| {
            let place = match error {
                AliasError::Character(character, offset) => {
                    range.start + offset..range.start + offset + character.len_utf8()
                }
                _ => range,
            };
            Finding::new(
                codes::INVALID_ALIAS,
                place,
                error.to_string(),
                "write a letter or digit, then letters, digits, `_` and `-`: an alias also names a \
             directory and a log file",
            )
        })
}
