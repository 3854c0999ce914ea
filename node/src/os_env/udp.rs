//! A UDP socket for heartbeats.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::socket::sockopt::RxqOvfl;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, recvmsg, setsockopt,
};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::stream::Traffic;
use crate::env::Udp;

/// A UDP socket of the operating system.
///
/// Not tokio's own. That one also waits for the socket to be writable, which costs the sender of a
/// heartbeat one more wake-up for each, at the moment at which the receiver takes it; and it does
/// not pass on how many datagrams the kernel says it has dropped.
#[derive(Debug)]
pub struct OsUdp {
    socket: AsyncFd<UdpSocket>,
    dropped: AtomicU64,
    traffic: Arc<Traffic>,
}

impl OsUdp {
    /// Takes a socket that is bound and does not block.
    pub(super) fn new(socket: UdpSocket, traffic: Arc<Traffic>) -> io::Result<Self> {
        setsockopt(&socket, RxqOvfl, &1)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for the sake of types that are not as a socket: this \
                      one keeps its descriptor until it is dropped"
        )]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Self {
            socket,
            dropped: AtomicU64::new(0),
            traffic,
        })
    }

    fn receive(&self, socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut parts = [IoSliceMut::new(buffer)];
        let mut room = nix::cmsg_space!(u32);
        let fd = socket.as_raw_fd();
        let received: RecvMsg<'_, '_, SockaddrStorage> =
            recvmsg(fd, &mut parts, Some(&mut room), MsgFlags::empty())?;
        for message in received.cmsgs()? {
            if let ControlMessageOwned::RxqOvfl(count) = message {
                self.count(count);
            }
        }
        let from = received.address.as_ref().and_then(address);
        let from = from.ok_or_else(|| io::Error::other("a datagram from no address"))?;
        self.traffic.received(received.bytes);
        Ok((received.bytes, from))
    }

    /// The kernel has dropped `count` datagrams since the socket was made, up to the one that was just
    /// read; it counts with 32 bits.
    fn count(&self, count: u32) {
        let known = self.dropped.load(Ordering::Relaxed);
        let [.., a, b, c, d] = known.to_be_bytes();
        let more = count.wrapping_sub(u32::from_be_bytes([a, b, c, d]));
        self.dropped.fetch_add(u64::from(more), Ordering::Relaxed);
    }
}

fn address(from: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = from.as_sockaddr_in();
    let v6 = from.as_sockaddr_in6();
    v4.map(|it| SocketAddrV4::from(*it).into())
        .or_else(|| v6.map(|it| SocketAddrV6::from(*it).into()))
}

impl Udp for OsUdp {
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .async_io(Interest::READABLE, |socket| self.receive(socket, buffer))
            .await
    }

    fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        SockRef::from(self.socket.get_ref())
            .send_to(bytes, &to.into())
            .map(|len| self.traffic.sent(len))
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
