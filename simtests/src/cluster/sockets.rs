//! Sockets on turmoil, with datagrams that get lost one at a time.
//!
//! turmoil's own `fail_rate` cuts a whole link with all that is under way on it, and heals one-way
//! cuts, so it stays zero and loss happens here.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use turmoil::net::{TcpListener, TcpStream, UdpSocket};
use vaquita_node::env::{Listener, Udp};

use super::shared::Shared;

/// What datagrams suffer, in hundredths of a percent of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpFaults {
    /// Lost.
    pub lost: u32,
    /// Delivered twice.
    pub doubled: u32,
    /// One bit changed.
    pub damaged: u32,
}

/// The whole, in the unit of [`UdpFaults`].
pub const ALL: u32 = 10_000;

/// A datagram socket that loses, doubles and damages.
#[derive(Debug)]
pub struct TurmoilUdp {
    pub(super) socket: UdpSocket,
    pub(super) shared: Shared,
}

impl Udp for TurmoilUdp {
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buffer).await
    }

    fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        for copy in self.shared.suffer(bytes) {
            match self.socket.try_send_to(&copy, to) {
                Ok(_) => {}
                // A host that is not there is no error to a sender of datagrams.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn dropped(&self) -> u64 {
        0
    }
}

/// A listening socket.
pub struct TurmoilListener(pub(super) TcpListener);

impl fmt::Debug for TurmoilListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TurmoilListener")
            .field(&self.0.local_addr().ok())
            .finish()
    }
}

impl Listener for TurmoilListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
