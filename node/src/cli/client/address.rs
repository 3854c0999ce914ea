//! Which server a command talks to.

use std::fmt;

use clap::Args;

use super::logins::Logins;
use crate::cli::exit::{Failure, Status};

/// Where a controller listens if nobody said otherwise.
pub(in crate::cli) const DEFAULT_SERVER: &str = "127.0.0.1:8990";
const DEFAULT_PORT: u16 = 8990;

/// The variable that names the server.
const VARIABLE: &str = "VAQUITA_SERVER";

/// `--server`, as every client command has it.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct ServerOption {
    /// The controller, or any data node [default: $VAQUITA_SERVER, else the cluster logged in to,
    /// else 127.0.0.1:8990]
    #[arg(long, value_name = "HOST:PORT")]
    pub(in crate::cli) server: Option<String>,
}

/// A server, in the one spelling under which logins are kept: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Server {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Server {
    /// Reads `host`, `host:port`, or such with `http://` in front. A site, `host:port:alias`, is
    /// read too: it is what stands in the configuration.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::new(
                Status::Usage,
                format!("`{text}` is no server: {why}; write host:port, as in {DEFAULT_SERVER}"),
            )
        };
        if text.starts_with("https://") {
            return Err(wrong("the command line does not speak TLS yet"));
        }
        let bare = text.strip_prefix("http://").unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let (host, rest) = match bare.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed
                    .split_once(']')
                    .ok_or_else(|| wrong("the bracket is not closed"))?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(wrong("what is in brackets is no IPv6 address"));
                }
                (host, rest.strip_prefix(':'))
            }
            None => match bare.split_once(':') {
                Some((host, rest)) => (host, Some(rest)),
                None => (bare, None),
            },
        };
        let legal = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | ':')
        };
        if host.is_empty() || !host.chars().all(legal) {
            return Err(wrong("the host is missing or holds odd characters"));
        }
        let port = match rest {
            None => DEFAULT_PORT,
            Some(rest) => {
                let port = rest.split_once(':').map_or(rest, |(port, _alias)| port);
                match port.parse() {
                    Ok(0) | Err(_) => return Err(wrong("the port goes from 1 to 65535")),
                    Ok(port) => port,
                }
            }
        };
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

impl ServerOption {
    /// The server of the command: its flag, else the variable, else the last login, else the usual
    /// address.
    pub(in crate::cli) fn choose(&self, logins: &Logins) -> Result<Server, Failure> {
        let variable = || std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        choose(self.server.clone(), variable(), logins)
    }
}

pub(super) fn choose(
    flag: Option<String>,
    variable: Option<String>,
    logins: &Logins,
) -> Result<Server, Failure> {
    let text = flag
        .or(variable)
        .or_else(|| logins.current().map(str::to_owned))
        .unwrap_or_else(|| DEFAULT_SERVER.to_owned());
    Server::parse(&text)
}
