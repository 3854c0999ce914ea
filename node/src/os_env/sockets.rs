//! Sockets with the options that a cluster needs.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tracing::debug;
use vaquita_core::ids::Endpoint;
use vaquita_core::io::CloseReason;

use super::stream::{OsStream, Traffic};
use super::udp::OsUdp;
use crate::driver::close_reason;
use crate::env::Listener;

/// Room for datagrams that arrive while the loop is busy: about 3,000 heartbeats.
const UDP_RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Silence on a connection after which the kernel asks whether the other side is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long one address of a host may take to accept. Hosts often have an address of a family that
/// leads nowhere, and the next one should still get its chance within the time-out of the whole.
const ATTEMPT_MAX: Duration = Duration::from_millis(1500);
/// How long sent bytes may stay unacknowledged before the kernel gives the connection up. The
/// machines notice a dead peer sooner; this is for what they do not watch.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// The addresses of a host.
pub(super) async fn look_up(at: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = at.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, at.port)]);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where names are looked up"
    )]
    let found = tokio::net::lookup_host((at.host.as_str(), at.port)).await;
    match found {
        Ok(found) => {
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() {
                return Err(unknown_host(&at.host, "it has no address"));
            }
            Ok(found)
        }
        Err(error) => Err(unknown_host(&at.host, &error.to_string())),
    }
}

fn unknown_host(host: &str, words: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("the host name `{host}` cannot be looked up: {words}"),
    )
}

/// The address to bind for an endpoint.
pub(super) async fn own_address(at: &Endpoint) -> io::Result<SocketAddr> {
    let found = look_up(at).await?;
    found
        .first()
        .copied()
        .ok_or_else(|| unknown_host(&at.host, "it has no address"))
}

/// A socket bound to an address.
fn bound(at: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where sockets are made"
    )]
    let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if kind == Type::STREAM {
        // Connections of an earlier process that linger in TIME_WAIT must not hold up this one.
        // Not SO_REUSEPORT, which would let two processes share a port without either knowing, and
        // not for UDP, where SO_REUSEADDR means just that.
        socket.set_reuse_address(true)?;
    }
    if at.is_ipv6() {
        // On [::] serve IPv4 as well; only the unspecified address cares.
        socket.set_only_v6(!at.ip().is_unspecified())?;
    }
    socket.bind(&at.into())?;
    Ok(socket)
}

/// Whether both sockets of a process can be bound there.
pub(super) fn probe(at: SocketAddr) -> io::Result<()> {
    bound(at, Type::STREAM, Protocol::TCP)?;
    bound(at, Type::DGRAM, Protocol::UDP)?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where sockets are made"
)]
pub(super) fn listen(at: SocketAddr, traffic: Arc<Traffic>) -> io::Result<OsListener> {
    let socket = bound(at, Type::STREAM, Protocol::TCP)?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    Ok(OsListener { listener, traffic })
}

pub(super) fn bind_udp(at: SocketAddr, traffic: Arc<Traffic>) -> io::Result<OsUdp> {
    let socket = bound(at, Type::DGRAM, Protocol::UDP)?;
    socket.set_recv_buffer_size(UDP_RECEIVE_BUFFER)?;
    // The kernel reports twice what it was asked for, the half being for its own use.
    let granted = socket.recv_buffer_size()? / 2;
    if granted < UDP_RECEIVE_BUFFER {
        debug!(
            "the receive buffer for heartbeats has {granted} bytes instead of \
             {UDP_RECEIVE_BUFFER}; sysctl net.core.rmem_max sets the limit"
        );
    }
    OsUdp::new(socket.into(), traffic)
}

/// Connects to the first address of a host that accepts.
pub(super) async fn connect(to: &Endpoint) -> Result<(TcpStream, SocketAddr), CloseReason> {
    let addresses = look_up(to).await.map_err(|_| CloseReason::UnknownHost)?;
    let mut last = CloseReason::UnknownHost;
    for address in addresses {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where connections are opened"
        )]
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        };
        let connected = match socket {
            Ok(socket) => timeout(ATTEMPT_MAX, socket.connect(address))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            Err(error) => Err(error),
        };
        match connected.and_then(prepared) {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = close_reason(&error),
        }
    }
    Err(last)
}

/// Sets the options of a connection, whoever opened it.
fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    // Messages are small and are put together before they are written.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL),
    )?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(stream)
}

/// A listening socket of the operating system.
#[derive(Debug)]
pub struct OsListener {
    listener: TcpListener,
    traffic: Arc<Traffic>,
}

impl Listener for OsListener {
    type Stream = OsStream;

    async fn accept(&mut self) -> io::Result<(OsStream, SocketAddr)> {
        loop {
            let (stream, peer) = self.listener.accept().await?;
            // A connection on which no option can be set has been given up by its peer already.
            if let Ok(stream) = prepared(stream) {
                let traffic = Arc::clone(&self.traffic);
                return Ok((OsStream::accepted(stream, traffic), peer));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
