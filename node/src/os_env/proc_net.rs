//! Who has a port: `/proc/net` for the sockets, `/proc/*/fd` for their owners.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::proc::{describe, pids};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A row of one of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) local: SocketAddr,
    pub(super) listening: bool,
    pub(super) user: u32,
    pub(super) inode: u64,
}

/// Parses a table; lines that are not understood are left out.
pub(super) fn parse_table(table: &str) -> impl Iterator<Item = Row> + '_ {
    table.lines().skip(1).filter_map(parse_row)
}

/// A row reads, counted from 0:
///
/// ```text
/// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
///  0       1            2       3   4      5       6      7     8      9
/// ```
fn parse_row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    Some(Row {
        local: parse_address(fields.get(1)?)?,
        listening: *fields.get(3)? == LISTENING,
        user: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Parses `0100007F:1F90`: the address as 32-bit words in the machine's own byte order, the port
/// as a plain number.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(8 * at..8 * at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Which process keeps others from binding `wanted`, in words, as far as it can be told.
pub(super) fn holder(wanted: SocketAddr) -> Option<String> {
    let in_the_way = |row: &Row| {
        row.local.port() == wanted.port()
            && (row.local.ip() == wanted.ip()
                || row.local.ip().is_unspecified()
                || wanted.ip().is_unspecified())
    };
    let find = |path: &str, listening: bool| {
        let table = fs::read_to_string(path).ok()?;
        // Sockets without an inode are remainders that no process has and that stop nobody.
        parse_table(&table)
            .find(|row| row.listening == listening && row.inode != 0 && in_the_way(row))
    };
    let row = find("/proc/net/tcp", true)
        .or_else(|| find("/proc/net/tcp6", true))
        .or_else(|| find("/proc/net/udp", false))
        .or_else(|| find("/proc/net/udp6", false))
        // An outgoing connection may have been given just this port.
        .or_else(|| find("/proc/net/tcp", false))
        .or_else(|| find("/proc/net/tcp6", false))?;
    Some(owner(row.inode).map_or_else(
        || format!("a process of the user with id {}", row.user),
        describe,
    ))
}

/// The process that has the socket with this inode open, if we may look.
fn owner(inode: u64) -> Option<u32> {
    let link = format!("socket:[{inode}]");
    pids().ok()?.find(|pid| {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == link.as_str())
            })
        })
    })
}
