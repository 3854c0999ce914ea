//! One connection, from its first byte to its end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::middleware::from_fn_with_state;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::app::{App, HttpSettings, Peer, WallClock};
use super::front::Front;
use super::limits::HttpLimits;
use super::metrics::Metrics;
use super::stream::Stream;
use super::{gate, handlers};
use crate::http::routes::ROUTES;

/// Answers the HTTP connections of one process. Cloning gives another handle on the same.
#[derive(Clone)]
pub struct HttpServer {
    router: Router,
    limits: HttpLimits,
    draining: watch::Sender<bool>,
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer")
            .field("limits", &self.limits)
            .field("draining", &*self.draining.borrow())
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
        unix_ms: WallClock,
    ) -> Self {
        let limits = settings.limits.clone();
        let app = Arc::new(App::new(front, settings, metrics, registry, unix_ms));
        let mut router = Router::new();
        for route in ROUTES {
            router = router.route(route.path, handlers::method_router::<F>(route));
        }
        let router = router
            .fallback(handlers::no_such_path)
            .method_not_allowed_fallback(handlers::no_such_method)
            .layer(from_fn_with_state(app.clone(), gate::admit::<F>))
            .layer(from_fn_with_state(app.clone(), gate::account::<F>))
            .with_state(app);
        Self {
            router,
            limits,
            draining: watch::Sender::new(false),
        }
    }

    /// Has every connection end after the request it is at, and new ones after their first.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }
}

/// Answers the requests of one connection until it ends: by the client, by a limit, or after
/// [`HttpServer::drain`].
///
/// `already_read` are the bytes by which the caller recognised HTTP. `peer` is what the other
/// side's address is taken to be; no header can change it.
pub async fn serve_connection<S>(
    stream: S,
    already_read: Bytes,
    peer: SocketAddr,
    server: HttpServer,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &server.limits;
    let stream = Stream::new(already_read, stream, limits.write_stall);
    let requests = AtomicU32::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        let nth = requests.fetch_add(1, Ordering::Relaxed) + 1;
        let last = nth >= limits.requests_per_connection;
        let router = server.router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            let mut response = router.oneshot(request).await?;
            if last {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
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
    let mut draining = server.draining.subscribe();
    let drained = async move { _ = draining.wait_for(|draining| *draining).await };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = drained => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("HTTP connection from {peer} ended: {error}");
    }
}
