//! Who has a port: `/proc/net` for the sockets, `/proc/*/fd` for their owners.

use std::fs::{self, File};
use std::io::Read;
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
    /// Datagrams dropped for want of room, in the tables of UDP.
    pub(super) drops: u64,
}

/// Parses a table; lines that are not understood are left out.
pub(super) fn parse_table(table: &str) -> impl Iterator<Item = Row> + '_ {
    table.lines().skip(1).filter_map(parse_row)
}

/// A row reads, counted from 0:
///
/// ```text
/// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ref pointer drops
///  0       1            2       3   4      5       6      7     8      9    10    11     12
/// ```
fn parse_row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    Some(Row {
        local: parse_address(fields.get(1)?)?,
        listening: *fields.get(3)? == LISTENING,
        user: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
        drops: fields
            .get(12)
            .and_then(|drops| drops.parse().ok())
            .unwrap_or(0),
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

/// How many datagrams were dropped on the UDP socket with this inode.
///
/// Asked every second: the kernel goes through all its sockets for each piece that is read, so the
/// pieces are as large as it gives them and the reading ends at the socket.
pub(super) fn udp_drops(inode: u64) -> Option<u64> {
    ["/proc/net/udp", "/proc/net/udp6"]
        .into_iter()
        .find_map(|path| find_row(File::open(path).ok()?, |row| row.inode == inode))
        .map(|row| row.drops)
}

/// Bytes of a table that the kernel gives at once: a page.
const PIECE: usize = 4096;

/// The first such row of a table, which is read no further than that.
pub(super) fn find_row(mut table: impl Read, wanted: impl Fn(&Row) -> bool) -> Option<Row> {
    let mut piece = [0; PIECE];
    let mut text = Vec::new();
    loop {
        let read = table.read(&mut piece).ok()?;
        text.extend_from_slice(piece.get(..read)?);
        let whole = match read {
            0 => text.len(),
            _ => text
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1),
        };
        let lines = String::from_utf8_lossy(text.get(..whole)?);
        // The heading is no row either.
        let found = lines.lines().filter_map(parse_row).find(|row| wanted(row));
        if found.is_some() || read == 0 {
            return found;
        }
        text.drain(..whole);
    }
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
