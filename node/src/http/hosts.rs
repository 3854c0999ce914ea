//! Which names this process answers to.
//!
//! A web page can make a browser resolve the page's own name to the address of a cluster (DNS
//! rebinding); the browser then sends the page's requests here and takes the answers for the
//! page's own. What gives such a request away is its `Host` header, and nothing else does: to the
//! browser it is of one origin. Hence the list, which is looked at before anything else.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;

/// The names that a request's `Host` header may carry.
///
/// Ports are not compared: a tunnel or a port mapping changes them, and rebinding cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    names: Vec<String>,
}

impl AllowedHosts {
    /// The loopback names and these: the host of `localSite`, `publicName`, `allowedHosts`. A port
    /// behind a name is ignored, and so are blanks around it.
    pub fn new<I>(names: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let names = names
            .into_iter()
            .filter_map(|name| host_of(name.as_ref().trim()))
            .collect();
        Self { names }
    }

    /// The names beside the loopback names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether requests for this host (with or without a port) are answered.
    pub(super) fn admits(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else {
            return false;
        };
        is_loopback(&host) || self.names.contains(&host)
    }
}

/// The host of `host[:port]` in lower case, without the dot that may end a full name and without
/// the brackets of an IPv6 address; `None` for anything that is not a host.
fn host_of(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.to_string());
    }
    let authority: Authority = text.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    let bare = match host.strip_prefix('[') {
        Some(rest) => {
            return Some(
                rest.strip_suffix(']')?
                    .parse::<Ipv6Addr>()
                    .ok()?
                    .to_string(),
            );
        }
        None => host.strip_suffix('.').unwrap_or(host),
    };
    (!bare.is_empty()).then(|| bare.to_ascii_lowercase())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|it| it.is_loopback())
}

/// Whether a request that changes something comes from a page of this very process, or from no
/// page at all.
///
/// Browsers say so in two headers; programs send neither. A page of another port of the same host
/// is *same-site* and still somebody else's.
///
/// Where HTTPS is served, a page that came in the clear is of nobody: anybody on the way may have
/// written it.
pub(super) fn is_of_this_origin(headers: &HeaderMap, https: bool) -> bool {
    let fetched_by_us = match headers.get("sec-fetch-site") {
        None => true,
        Some(value) => value == "same-origin" || value == "none",
    };
    let page_is_ours = match headers.get(ORIGIN) {
        None => true,
        Some(origin) => {
            let text = origin.to_str().unwrap_or_default();
            // Before a plain process there may be a proxy that speaks TLS.
            let origin_authority = text
                .strip_prefix("https://")
                .or_else(|| text.strip_prefix("http://").filter(|_| !https));
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            match (origin_authority, host) {
                (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host),
                _ => false,
            }
        }
    };
    fetched_by_us && page_is_ours
}
