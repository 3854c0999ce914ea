//! The seam to whatever serves HTTP.

use std::future::Future;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use super::places::Place;
use super::rewound::Rewound;
use super::terminate::Closing;

/// Serves connections that speak HTTP.
///
/// Each runs in a task of its own, so that none delays the machine; the machine is asked through a
/// [`Front`](super::Front). Every wait of a service needs a time-out of its own, because the driver
/// sets none on a connection that it has handed over.
pub trait HttpService: Clone + Send + Sync + 'static {
    /// Serves one connection until it ends. When `closing` has begun, the running request is
    /// finished and no other one is taken. A service that says when its connection waits for a request
    /// ends it when its `place` is given away.
    fn serve<S>(
        &self,
        stream: Rewound<S>,
        transport: Transport,
        peer: SocketAddr,
        closing: Closing,
        place: Place,
    ) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static;
}

/// How a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// As it is: whoever is on the way can read and change it.
    Plain,
    /// Through TLS, which has been taken off.
    Tls,
}

/// Serves nothing: each connection is closed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHttp;

impl HttpService for NoHttp {
    async fn serve<S>(&self, _: Rewound<S>, _: Transport, _: SocketAddr, _: Closing, _: Place)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
    }
}
