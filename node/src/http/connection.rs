//! One connection, from its first byte to its end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::middleware::from_fn_with_state;
use axum::{Extension, Router};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::app::{App, HttpSettings, Peer};
use super::files::{Files, NoFiles};
use super::front::Front;
use super::limits::HttpLimits;
use super::metrics::Metrics;
use super::pages::Ending;
use super::seat::Seat;
use super::stream::Stream;
use super::{clear, gate, handlers};
use crate::driver::{Closing, HttpService, Place, Rewound, Transport};
use crate::http::routes::ROUTES;

/// Answers the HTTP connections of one process. Cloning gives another handle on the same.
#[derive(Clone)]
pub struct HttpServer {
    router: Router,
    /// What answers those who come in the clear, where HTTPS is served.
    in_the_clear: Option<Router>,
    limits: HttpLimits,
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl HttpServer {
    /// Puts the interface together.
    ///
    /// `registry` is the process's own, with `metrics` and whatever else the process counts
    /// entered; `/metrics` tells all of it.
    #[must_use]
    pub fn new<F: Front>(
        front: F,
        settings: HttpSettings,
        metrics: Metrics,
        registry: Arc<Registry>,
    ) -> Self {
        Self::put_together(front, None::<NoFiles>, settings, metrics, registry)
    }

    /// The same, on a data node: with the contents of files under `/dfs/`. Where there are none,
    /// these paths point to the data nodes.
    #[must_use]
    pub fn with_files<F: Front, D: Files>(
        front: F,
        files: D,
        settings: HttpSettings,
        metrics: Metrics,
        registry: Arc<Registry>,
    ) -> Self {
        Self::put_together(front, Some(files), settings, metrics, registry)
    }

    fn put_together<F: Front, D: Files>(
        front: F,
        files: Option<D>,
        settings: HttpSettings,
        metrics: Metrics,
        registry: Arc<Registry>,
    ) -> Self {
        let limits = settings.limits.clone();
        let https = settings.https.is_some();
        let app = Arc::new(App::new(front, settings, metrics, registry));
        let mut router = Router::new();
        for route in ROUTES {
            router = router.route(route.path, handlers::method_router::<F, D>(route));
        }
        let router = router
            .fallback(handlers::no_such_path)
            .method_not_allowed_fallback(handlers::no_such_method)
            .layer(Extension(files))
            .layer(from_fn_with_state(app.clone(), gate::admit::<F>))
            .layer(from_fn_with_state(app.clone(), gate::account::<F>))
            .with_state(app.clone());
        let in_the_clear = https.then(|| {
            Router::new()
                .fallback(clear::answer::<F>)
                .layer(from_fn_with_state(app.clone(), gate::account::<F>))
                .with_state(app)
        });
        Self {
            router,
            in_the_clear,
            limits,
        }
    }

    /// What answers requests, without a connection.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// What serves connections that came this way.
    pub(super) fn for_transport(&self, transport: Transport) -> Self {
        let mut server = self.clone();
        if let (Transport::Plain, Some(router)) = (transport, server.in_the_clear.take()) {
            server.router = router;
        }
        server
    }
}

impl HttpService for HttpServer {
    async fn serve<S>(
        &self,
        stream: Rewound<S>,
        transport: Transport,
        peer: SocketAddr,
        mut closing: Closing,
        place: Place,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let server = self.for_transport(transport);
        let (already_read, stream) = stream.into_parts();
        let closing = async move { closing.begun().await };
        let seat = Seat::new(place);
        let served = converse(
            stream,
            already_read,
            peer,
            server,
            closing,
            Some(Arc::clone(&seat)),
        );
        tokio::select! {
            biased;
            () = served => {}
            () = seat.given_away() => {
                tracing::debug!("closed an HTTP connection from {peer} that had no request, to make room");
            }
        }
    }
}

/// Answers the requests of one connection until it ends: by the client, by a limit, or once
/// `closing` is complete; then the request that runs is finished and no other one is taken.
///
/// `already_read` are the bytes by which the caller recognised HTTP. `peer` is what the other
/// side's address is taken to be; no header can change it.
pub async fn serve_connection<S>(
    stream: S,
    already_read: Bytes,
    peer: SocketAddr,
    server: HttpServer,
    closing: impl Future<Output = ()> + Send,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    converse(stream, already_read, peer, server, closing, None).await;
}

/// The same at a seat, which is kept while a request is under way.
async fn converse<S>(
    stream: S,
    already_read: Bytes,
    peer: SocketAddr,
    server: HttpServer,
    closing: impl Future<Output = ()> + Send,
    seat: Option<Arc<Seat>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &server.limits;
    let stream = Stream::new(already_read, stream, limits.write_stall, seat.clone());
    let requests = AtomicU32::new(0);
    // For answers that have no end of their own.
    let (ends, ending) = watch::channel(false);
    let service = service_fn(|request: Request<Incoming>| {
        let nth = requests.fetch_add(1, Ordering::Relaxed) + 1;
        let last = nth >= limits.requests_per_connection;
        let router = server.router.clone();
        let ending = Ending(ending.clone());
        let under_way = seat.as_ref().map(Seat::begin);
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(ending);
            let mut response = router.oneshot(request).await?;
            if last {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            if let Some(under_way) = under_way {
                response = under_way.until_the_end_of(response);
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    // The timer is what makes the time-out for headers work at all: without one hyper ignores it.
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(8 * 1024) * 2)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = closing => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            ends.send_replace(true);
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("HTTP connection from {peer} ended: {error}");
    }
}
