//! Which server a command talks to.

use std::fmt;
use std::path::PathBuf;

use clap::Args;

use super::dial::Known;
use super::logins::Logins;
use crate::cli::exit::{Failure, Status};

/// Where a controller listens if nobody said otherwise.
pub(in crate::cli) const DEFAULT_SERVER: &str = "127.0.0.1:8990";
const DEFAULT_PORT: u16 = 8990;

/// The variable that names the server.
const VARIABLE: &str = "VAQUITA_SERVER";
/// The variables that say by what it is known, as the flags do.
const CA_VARIABLE: &str = "VAQUITA_CA";
const FINGERPRINT_VARIABLE: &str = "VAQUITA_FINGERPRINT";

/// `--server`, as every client command has it.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct ServerOption {
    /// The controller, or any data node; https:// before it where it serves HTTPS [default:
    /// $VAQUITA_SERVER, else the cluster logged in to, else 127.0.0.1:8990]
    #[arg(long, value_name = "HOST:PORT")]
    pub(in crate::cli) server: Option<String>,
    /// The certificate of an https server, or of who issued it, as PEM text [default: $VAQUITA_CA, else
    /// what the login was made with, else whom this system trusts]
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// The SHA-256 fingerprint of the certificate of an https server, as its log tells it [default:
    /// $VAQUITA_FINGERPRINT]
    #[arg(long, value_name = "SHA256")]
    pub(in crate::cli) fingerprint: Option<String>,
}

/// A server, in the one spelling under which logins are kept: `host:port`, or `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Server {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether it is spoken to through TLS.
    pub(super) tls: bool,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { HTTPS } else { "" };
        write!(f, "{scheme}{}", self.authority())
    }
}

const HTTPS: &str = "https://";

impl Server {
    /// `host:port`, as a request names it.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The same place, spoken to in the way of `other`.
    pub(super) fn spoken_to_as(mut self, other: &Self) -> Self {
        self.tls = other.tls;
        self
    }

    /// Reads `host`, `host:port`, or such with `http://` or `https://` in front. A site, `host:port:alias`, is
    /// read too: it is what stands in the configuration.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::new(
                Status::Usage,
                format!("`{text}` is no server: {why}; write host:port, as in {DEFAULT_SERVER}"),
            )
        };
        let secured = text.strip_prefix(HTTPS);
        let bare = secured
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or(text);
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
            tls: secured.is_some(),
        })
    }
}

impl ServerOption {
    /// The server of the command: its flag, else the variable, else the last login, else the usual
    /// address.
    pub(in crate::cli) fn choose(&self, logins: &Logins) -> Result<Server, Failure> {
        let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let by_flag = self.ca.is_some() || self.fingerprint.is_some();
        let trusted = by_flag || set(CA_VARIABLE).is_some() || set(FINGERPRINT_VARIABLE).is_some();
        choose(self.server.clone(), set(VARIABLE), trusted, logins)
    }

    /// By what the server is known: the flags, else the variables, else what is kept of it.
    pub(in crate::cli) fn known(&self, server: &Server, logins: &Logins) -> Option<Known> {
        let variable = |name: &str| std::env::var_os(name).filter(|text| !text.is_empty());
        if self.ca.is_some() || self.fingerprint.is_some() {
            let ca = self.ca.clone().map(kept_path).map(Known::Ca);
            return ca.or_else(|| self.fingerprint.clone().map(Known::Fingerprint));
        }
        let ca = variable(CA_VARIABLE).map(|path| Known::Ca(kept_path(path.into())));
        let print = || variable(FINGERPRINT_VARIABLE)?.into_string().ok();
        ca.or_else(|| print().map(Known::Fingerprint))
            .or_else(|| logins.known(&server.to_string()).cloned())
    }
}

pub(super) fn choose(
    flag: Option<String>,
    variable: Option<String>,
    trusted: bool,
    logins: &Logins,
) -> Result<Server, Failure> {
    let text = flag
        .or(variable)
        .or_else(|| logins.current().map(str::to_owned))
        .unwrap_or_else(|| DEFAULT_SERVER.to_owned());
    let server = Server::parse(&text)?;
    // Whoever has logged in over HTTPS means that, and would else send the next password in the clear.
    let secured = Server {
        tls: true,
        ..server.clone()
    };
    let known = |server: &Server| {
        let name = server.to_string();
        logins.find(&name, None).is_some() || logins.known(&name).is_some()
    };
    let says_how = text.contains("://");
    if !says_how && (trusted || known(&secured)) {
        return Ok(secured);
    }
    if trusted && !server.tls {
        return Err(Failure::new(
            Status::Usage,
            format!(
                "{server} is asked in the clear, where a certificate proves nothing: leave out `http://`, or \
                 `--ca` and `--fingerprint` (VAQUITA_CA, VAQUITA_FINGERPRINT)"
            ),
        ));
    }
    Ok(server)
}

/// A path that later commands find as well, wherever they are started.
fn kept_path(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
