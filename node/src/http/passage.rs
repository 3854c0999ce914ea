//! The way of a browser's files through the controller.
//!
//! A browser shows its session to the controller alone, and may not even reach the data nodes. So where a
//! page of the cluster manager sends or fetches a file, the controller passes the bytes on, a piece at a
//! time and at the speed of the slower side; programs are pointed to the data nodes instead.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use vaquita_core::admin::Refusal;
use vaquita_core::ids::Endpoint;

use super::problem::Problem;
use crate::env::Env;
use crate::tls::Connector;

/// A byte stream.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Duplex>, String>> + Send + 'a>>;

/// How this process reaches data nodes.
pub trait Reach: Send + Sync {
    /// A connection to the process at this place; the words say why there is none. The caller sets the
    /// time-out.
    fn connect<'a>(&'a self, to: &'a Endpoint) -> Connecting<'a>;
}

impl<E: Env> Reach for E {
    fn connect<'a>(&'a self, to: &'a Endpoint) -> Connecting<'a> {
        Box::pin(async move {
            let connected = Env::connect(self, to).await;
            let (stream, _) = connected.map_err(|reason| reason.to_string())?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

/// Reaches data nodes over HTTPS.
#[derive(Clone, Debug)]
pub struct Secured<E> {
    env: E,
    connector: Connector,
}

impl<E> Secured<E> {
    /// Through connections of `env`, to whoever `connector` trusts.
    pub const fn new(env: E, connector: Connector) -> Self {
        Self { env, connector }
    }
}

impl<E: Env> Reach for Secured<E> {
    fn connect<'a>(&'a self, to: &'a Endpoint) -> Connecting<'a> {
        Box::pin(async move {
            let connected = self.env.connect(to).await;
            let (stream, _) = connected.map_err(|reason| reason.to_string())?;
            let secured = self.connector.connect(&to.host, stream).await;
            let stream = secured.map_err(|untrusted| untrusted.to_string())?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

/// The way to data nodes, if this process passes files on.
#[derive(Clone, Default)]
pub struct Passage(Option<Arc<dyn Reach>>);

impl Passage {
    /// By connections of this kind.
    #[must_use]
    pub fn through(reach: impl Reach + 'static) -> Self {
        Self(Some(Arc::new(reach)))
    }

    pub(super) const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// A connection to the first of these that answers, and which that is.
    async fn connect(&self, nodes: &[Endpoint]) -> Result<(Box<dyn Duplex>, Endpoint), Problem> {
        let mut reasons = Vec::new();
        let reach = self.0.as_deref();
        for node in nodes.iter().take(TRIED_MAX) {
            let Some(reach) = reach else { break };
            match timeout(CONNECT, reach.connect(node)).await {
                Ok(Ok(stream)) => return Ok((stream, node.clone())),
                Ok(Err(reason)) => reasons.push(format!("{node}: {reason}")),
                Err(_) => reasons.push(format!("{node}: no answer")),
            }
        }
        let reason = match reasons.is_empty() {
            true => "files are served by data nodes, and none is online".to_owned(),
            false => format!("no data node could be reached: {}", reasons.join(", ")),
        };
        Err(Refusal::Unavailable { reason }.into())
    }
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Passage").field(&self.is_open()).finish()
    }
}

/// Data nodes that are tried for one request.
const TRIED_MAX: usize = 3;
/// How long one may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long nothing may move in either direction.
const STALL: Duration = Duration::from_secs(60);

/// What of a browser's request the data node is told.
const ASKED: [HeaderName; 7] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
    HeaderName::from_static("idempotency-key"),
];
/// What of its answer the browser is told, beside what begins with `x-vaquita-`.
const ANSWERED: [HeaderName; 9] = [
    header::ACCEPT_RANGES,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::RETRY_AFTER,
];

/// Is told whenever bytes have moved, in either direction.
pub(super) type MovesOn = Arc<dyn Fn() + Send + Sync>;

/// Passes a request on to one of the nodes, with the session's token, and the answer back.
pub(super) async fn carry(
    passage: &Passage,
    nodes: &[Endpoint],
    token: &str,
    request: Request<Body>,
    moves_on: MovesOn,
) -> Result<axum::response::Response, Problem> {
    let (stream, node) = passage.connect(nodes).await?;
    let broken = |what: &dyn fmt::Display| {
        let reason = format!("the data node at {node} broke off: {what}; try again");
        Problem::from(Refusal::Unavailable { reason })
    };
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
    // Ends with the conversation: the sender and the answer are dropped then.
    tokio::spawn(connection);
    let (moved, moves) = watch::channel(());
    let moving = moves_on.clone();
    let request = asked(&node, token, request, moved, moving).map_err(|error| broken(&error))?;
    let mut sending = Box::pin(sender.send_request(request));
    let answer = wait(&mut sending, moves).await.ok_or_else(|| {
        Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "too-slow",
            format!(
                "nothing moved for {} s on the way through the data node at {node}; try again",
                STALL.as_secs()
            ),
        )
    })?;
    let answer = answer.map_err(|error| broken(&error))?;
    Ok(answered(answer, moves_on))
}

/// Waits for an answer, however long that takes, as long as something moves.
async fn wait<T>(
    answer: &mut (impl Future<Output = T> + Unpin),
    mut moves: watch::Receiver<()>,
) -> Option<T> {
    loop {
        tokio::select! {
            biased;
            answer = &mut *answer => return Some(answer),
            // Whoever moves it may be done with it, and then the answer is waited for alone.
            moved = timeout(STALL, moves.changed()) => match moved {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return timeout(STALL, answer).await.ok(),
                Err(_) => return None,
            },
        }
    }
}

fn asked(
    node: &Endpoint,
    token: &str,
    request: Request<Body>,
    moved: watch::Sender<()>,
    moves_on: MovesOn,
) -> Result<Request<Moving>, axum::http::Error> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/dfs/", |it| it.as_str());
    let mut asked = Request::builder()
        .method(head.method)
        .uri(target)
        .header(header::HOST, node.to_string())
        .header(header::CONNECTION, "close")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    for name in ASKED {
        if let Some(value) = head.headers.get(&name) {
            asked = asked.header(name, value);
        }
    }
    asked.body(Moving {
        body,
        moved,
        moves_on,
    })
}

fn answered(answer: Response<Incoming>, moves_on: MovesOn) -> axum::response::Response {
    let (head, body) = answer.into_parts();
    let mut response = axum::response::Response::new(Body::new(Unstalled::new(body, moves_on)));
    *response.status_mut() = head.status;
    let headers = response.headers_mut();
    for (name, value) in &head.headers {
        if ANSWERED.contains(name) || name.as_str().starts_with("x-vaquita-") {
            headers.append(name, value.clone());
        }
    }
    // Whatever the bytes are, a browser keeps them as a file and shows them nowhere.
    headers
        .entry(header::CONTENT_DISPOSITION)
        .or_insert(HeaderValue::from_static("attachment"));
    response
}

/// A body that tells when some of it has moved on.
struct Moving {
    body: Body,
    moved: watch::Sender<()>,
    moves_on: MovesOn,
}

impl HttpBody for Moving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.moved.send_replace(());
        (self.moves_on)();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that breaks off when nothing of it comes for a while.
struct Unstalled {
    body: Incoming,
    stalled: Option<Pin<Box<Sleep>>>,
    moves_on: MovesOn,
}

impl Unstalled {
    const fn new(body: Incoming, moves_on: MovesOn) -> Self {
        Self {
            body,
            stalled: None,
            moves_on,
        }
    }
}

impl HttpBody for Unstalled {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.stalled = None;
            (self.moves_on)();
            return Poll::Ready(frame.map(|it| it.map_err(Into::into)));
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALL)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Some(Err("the data node stopped sending".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
