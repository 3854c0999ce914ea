//! Which addresses and ports of this machine can be had, and who has the others.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};

use vaquita_config::Site;

use super::layout::Addresses;
use super::processes;

/// The addresses for a new cluster with so many hosts: one a host if this machine has them.
pub(super) fn choose(subnet: [u8; 3], hosts: u8) -> Addresses {
    let [a, b, c] = subnet;
    let all = (1..=hosts + 1).all(|last| {
        let address = SocketAddr::from((Ipv4Addr::new(a, b, c, last), 0));
        bind(address).is_ok()
    });
    if all {
        Addresses::OnePerHost { subnet }
    } else {
        Addresses::OnePort
    }
}

/// A port of the cluster that cannot be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Who wants it.
    pub(super) site: Site,
    /// Why it cannot be had, with the process that has it where that can be told.
    pub(super) why: String,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Site { host, port, alias } = &self.site;
        write!(f, "{host}:{port}, which {alias} needs, {}", self.why)
    }
}

/// The ports of these sites that cannot be bound now.
pub(super) fn taken<'a>(sites: impl IntoIterator<Item = &'a Site>) -> Vec<Taken> {
    sites
        .into_iter()
        .filter_map(|site| {
            why_not(site).map(|why| Taken {
                site: site.clone(),
                why,
            })
        })
        .collect()
}

fn why_not(site: &Site) -> Option<String> {
    let host = site.host.trim_matches(['[', ']']);
    let address = match (host, site.port).to_socket_addrs() {
        Ok(mut addresses) => addresses.next()?,
        Err(error) => return Some(format!("has no address: {error}")),
    };
    let error = bind(address).err()?;
    Some(match error.kind() {
        io::ErrorKind::AddrInUse => match holder(address) {
            Some(pid) => format!("is held by {}", processes::describe(pid)),
            None => "is held by a process of another user".to_owned(),
        },
        _ => format!("cannot be bound: {error}"),
    })
}

/// Binds TCP and UDP for a moment.
fn bind(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address)?;
    UdpSocket::bind(address)?;
    Ok(())
}

/// The process that has the port, if `/proc` shows it.
fn holder(address: SocketAddr) -> Option<u32> {
    let inodes: Vec<u64> = ["tcp", "tcp6", "udp", "udp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/net/{table}")).ok())
        .flat_map(|table| table.lines().filter_map(row).collect::<Vec<_>>())
        .filter(|(local, _)| {
            let same = local.ip() == address.ip() || local.ip().is_unspecified();
            local.port() == address.port() && same
        })
        .map(|(_, inode)| inode)
        .collect();
    processes::pids().find(|pid| {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            return false;
        };
        entries.filter_map(Result::ok).any(|entry| {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let target = target.to_string_lossy().into_owned();
            inodes
                .iter()
                .any(|inode| target == format!("socket:[{inode}]"))
        })
    })
}

/// Local address and inode of a row of `/proc/net/tcp`, unless the socket has no owner any more.
fn row(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = |index: usize| {
        let digits = address.get(index * 8..index * 8 + 8)?;
        // Each word is printed in the byte order of the machine.
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = if address.len() == 8 {
        IpAddr::from(words(0)?)
    } else {
        let mut bytes = [0; 16];
        for (index, word) in bytes.chunks_exact_mut(4).enumerate() {
            word.copy_from_slice(&words(index)?);
        }
        IpAddr::from(bytes).to_canonical()
    };
    let inode = fields.get(9)?.parse().ok().filter(|inode| *inode != 0)?;
    Some((SocketAddr::new(address, port), inode))
}
