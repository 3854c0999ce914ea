//! Accepts connections, finds out what they speak and hands them over, within limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tracing::{debug, error, warn};
use vaquita_core::ids::ConnId;

use super::DriverLimits;
use super::connection::{ConnEvent, converse, line};
use super::http::{HttpService, Transport};
use super::places::Places;
use super::rewound::Rewound;
use super::sniff::{DATA_MAGIC, Protocol, Unknown, sniff};
use super::terminate::Closing;
use super::throttle::Throttle;
use crate::data::{self, Data};
use crate::env::{Env, Listener};
use crate::tls::{PEER_PROTOCOL, PortTls};

/// How long accepting pauses after an error that will not go away by itself at once, such as having
/// no file descriptor left.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// The accepting side of a driver.
pub(super) struct Acceptor<E: Env, H> {
    pub(super) env: E,
    pub(super) http: H,
    /// What is shown to connections that begin with TLS.
    pub(super) tls: PortTls,
    /// What serves data connections, in a process that keeps chunks.
    pub(super) data: Option<Data<E>>,
    pub(super) events: mpsc::Sender<ConnEvent>,
    pub(super) closing: Closing,
    /// The places of HTTP connections.
    pub(super) http_places: Arc<Places>,
    pub(super) limits: Arc<DriverLimits>,
}

/// What the tasks of accepted connections share.
struct Lobby<E: Env, H> {
    acceptor: Acceptor<E, H>,
    /// The room of all connections, with what is left for members alone.
    all: Arc<Semaphore>,
    node: Arc<Semaphore>,
    data: Arc<Semaphore>,
    looked_at: Arc<Semaphore>,
    next_conn: AtomicU64,
    complaints: Mutex<BTreeMap<&'static str, Throttle>>,
}

/// The room that a connection takes until it ends.
enum Admission {
    /// Of all connections.
    #[expect(dead_code, reason = "its end is what it is for")]
    Served(OwnedSemaphorePermit),
    /// Where there is room for members of the cluster alone, until it is known what it is.
    #[expect(dead_code, reason = "its end is what it is for")]
    LookedAt(OwnedSemaphorePermit),
}

impl<E: Env, H: HttpService> Acceptor<E, H> {
    /// Accepts until the process ends, then waits for the connections to end.
    pub(super) async fn run(self, mut listener: E::Listener) {
        let limits = Arc::clone(&self.limits);
        let mut closing = self.closing.clone();
        let lobby = Arc::new(Lobby {
            all: Arc::new(Semaphore::new(limits.connections_max + limits.beyond_max)),
            node: Arc::new(Semaphore::new(limits.node_connections_max)),
            data: Arc::new(Semaphore::new(limits.data.connections_max)),
            looked_at: Arc::new(Semaphore::new(limits.beyond_max)),
            next_conn: AtomicU64::new(1),
            complaints: Mutex::default(),
            acceptor: self,
        });
        let mut connections = JoinSet::new();
        // By age, those whose protocol is not known; dropping or using the sender makes them leave.
        let mut sniffing: BTreeMap<u64, oneshot::Sender<()>> = BTreeMap::new();
        let mut count = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                () = closing.begun() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(failure) = ended && failure.is_panic() {
                        error!("a connection ended by a bug in this program: {failure}");
                    }
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(failure) => {
                    lobby.complain("accept", || {
                        format!("cannot accept a connection: {failure}; trying on")
                    });
                    sleep(PAUSE_AFTER_ERROR).await;
                    continue;
                }
            };
            let Some(admission) = lobby.admit() else {
                lobby.refused(peer);
                // The next one finds room: nobody keeps it by saying nothing.
                if let Some((_, oldest)) = sniffing.pop_first() {
                    let _ = oldest.send(());
                }
                continue;
            };
            sniffing.retain(|_, leave| !leave.is_closed());
            if sniffing.len() >= limits.sniffing_max
                && let Some((_, oldest)) = sniffing.pop_first()
            {
                let _ = oldest.send(());
            }
            let (leave, left) = oneshot::channel();
            sniffing.insert(count, leave);
            count += 1;
            connections.spawn(Arc::clone(&lobby).welcome(stream, peer, left, admission));
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

impl<E: Env, H: HttpService> Lobby<E, H> {
    /// Room for one more connection, if there is any: as long as there are fewer than `maxConnections`, for
    /// whoever comes.
    fn admit(&self) -> Option<Admission> {
        if self.all.available_permits() > self.acceptor.limits.beyond_max {
            return self.admit_member();
        }
        let permit = Arc::clone(&self.looked_at).try_acquire_owned();
        permit.map(Admission::LookedAt).ok()
    }

    /// Room for a member of the cluster.
    fn admit_member(&self) -> Option<Admission> {
        let permit = Arc::clone(&self.all).try_acquire_owned();
        permit.map(Admission::Served).ok()
    }

    fn refused(&self, peer: SocketAddr) {
        self.complain("connections", || {
            format!(
                "refused a connection from {peer}: {}",
                full(&self.acceptor.limits)
            )
        });
    }

    /// Finds out what a connection speaks and serves it. `admission` is held until it ends.
    async fn welcome(
        self: Arc<Self>,
        stream: E::Stream,
        peer: SocketAddr,
        left: oneshot::Receiver<()>,
        mut admission: Admission,
    ) {
        let limits = &self.acceptor.limits;
        let arriving = async {
            let arriving = arrive(stream, &self.acceptor.tls, limits);
            match admission {
                Admission::Served(_) => arriving.await,
                Admission::LookedAt(_) => {
                    let handshake = self.acceptor.tls.peers.as_ref().map(|_| limits.tls_timeout);
                    let patience = limits.refusal_timeout + handshake.unwrap_or_default();
                    let arrived = timeout(patience, arriving).await;
                    arrived.unwrap_or(Arrived::Unknown(Unknown::Silent))
                }
            }
        };
        let mut closing = self.acceptor.closing.clone();
        let arrived = tokio::select! {
            biased;
            () = closing.begun() => return,
            _ = left => {
                debug!("closed a connection from {peer} that had sent nothing, to make room");
                return;
            }
            arrived = arriving => arrived,
        };
        if matches!(admission, Admission::LookedAt(_)) {
            let member = arrived.is_from_a_member().then(|| self.admit_member());
            let Some(room) = member.flatten() else {
                self.refused(peer);
                refuse(arrived, limits).await;
                return;
            };
            admission = room;
        }
        let peers_use_tls = self.acceptor.tls.peers.is_some();
        match arrived {
            Arrived::Plain(Protocol::Node | Protocol::Data, ..) if peers_use_tls => {
                self.complain("plain peer", || {
                    format!(
                        "closed a connection from {peer}, a process that does not speak TLS with others, \
                         and this one has `enableRpcSSL=1`: it has to be the same in controller.cfg and in \
                         every agent.cfg"
                    )
                });
            }
            Arrived::Plain(Protocol::Node, first, stream) => {
                self.serve_node(stream, first, peer).await;
            }
            Arrived::Plain(Protocol::Data, first, stream) => {
                self.serve_data(stream, first, peer).await;
            }
            Arrived::Plain(Protocol::Http, first, stream) => {
                self.serve_http(stream, first, peer).await;
            }
            Arrived::Plain(Protocol::Tls, ..) => self.complain("tls", || no_tls(peer)),
            Arrived::Hello(hello) => self.serve_https(*hello, peer).await,
            Arrived::Peer(Protocol::Node, first, stream) => {
                self.serve_node(stream, first, peer).await;
            }
            Arrived::Peer(Protocol::Data, first, stream) => {
                self.serve_data(stream, first, peer).await;
            }
            // Members speak nothing else.
            Arrived::Peer(..) => {
                debug!("closed a connection from {peer}: neither a session nor chunks inside TLS");
            }
            Arrived::PeerWithoutTls => self.complain("tls peer", || {
                format!(
                    "closed a connection from {peer}, a process that speaks TLS with others \
                     (`enableRpcSSL=1`), and this one does not: it has to be the same in controller.cfg and \
                     in every agent.cfg"
                )
            }),
            Arrived::Stranger(error) => self.complain("tls stranger", || {
                format!(
                    "closed a connection from {peer}, which did not prove the cluster secret by TLS: \
                     {error}"
                )
            }),
            Arrived::NoHandshake(error) => debug!("no TLS with {peer}: {error}"),
            Arrived::Plain(Protocol::Api, ..) => self.complain("api", || {
                format!(
                    "closed a connection from {peer} that began with `API`: that client protocol \
                     is not served. Use the HTTP interface under /api/v1"
                )
            }),
            Arrived::TooSlow => self.complain("tls handshake", || too_slow(peer, &self.acceptor.limits)),
            Arrived::Unknown(Unknown::Silent) => {
                debug!("closed a connection from {peer}: it sent nothing for too long");
            }
            Arrived::Unknown(Unknown::Left) => {}
        }
        drop(admission);
    }

    async fn serve_node<S>(&self, stream: S, first: Bytes, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limits = &self.acceptor.limits;
        let Ok(_permit) = Arc::clone(&self.node).try_acquire_owned() else {
            self.complain("node connections", || {
                format!(
                    "refused a node at {peer}: {} connections of nodes are open, the most allowed",
                    limits.node_connections_max
                )
            });
            return;
        };
        // Odd names are the driver's, even ones the machine's.
        let conn = ConnId(self.next_conn.fetch_add(2, Ordering::Relaxed));
        let (line, outbox) = line(limits);
        let events = &self.acceptor.events;
        let accepted = ConnEvent::Accepted {
            conn,
            from: peer,
            line,
        };
        if events.send(accepted).await.is_ok() {
            converse(conn, stream, first, outbox, events, limits).await;
        }
    }

    async fn serve_data<S>(&self, stream: S, mut first: Bytes, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let limits = &self.acceptor.limits;
        let Some(data) = &self.acceptor.data else {
            self.complain("data", || {
                format!(
                    "closed a data connection from {peer}: this process keeps no chunks. Check \
                     which address that node was given"
                )
            });
            return;
        };
        let Ok(_permit) = Arc::clone(&self.data).try_acquire_owned() else {
            self.complain("data connections", || {
                format!(
                    "refused a data connection from {peer}: {} are open, the most allowed",
                    limits.data.connections_max
                )
            });
            return;
        };
        first.advance(DATA_MAGIC.len());
        let stream = Rewound::new(first, stream);
        data::serve(data.clone(), stream, peer, self.acceptor.closing.clone()).await;
    }

    async fn serve_http(&self, mut stream: E::Stream, first: Bytes, peer: SocketAddr) {
        let place = match self.acceptor.http_places.take(peer.ip()).await {
            Ok(place) => place,
            Err(full) => {
                let reason = full.in_words();
                self.complain("http connections", || {
                    format!("refused an HTTP connection from {peer}: {reason}")
                });
                answer_unavailable(&mut stream, &reason, &self.acceptor.limits).await;
                return;
            }
        };
        let stream = Rewound::new(first, stream);
        let closing = self.acceptor.closing.clone();
        let http = &self.acceptor.http;
        http.serve(stream, Transport::Plain, peer, closing, place)
            .await;
    }

    /// Serves HTTP inside TLS. It takes the place of an HTTP connection before the part of the handshake
    /// that costs something.
    async fn serve_https(&self, hello: Hello<E::Stream>, peer: SocketAddr) {
        let limits = &self.acceptor.limits;
        let Some(https) = &self.acceptor.tls.https else {
            self.complain("tls", || no_tls(peer));
            return;
        };
        let place = match self.acceptor.http_places.take(peer.ip()).await {
            Ok(place) => place,
            Err(full) => {
                self.complain("http connections", || {
                    format!(
                        "refused an HTTPS connection from {peer}: {}",
                        full.in_words()
                    )
                });
                return;
            }
        };
        place.waits();
        let mut closing = self.acceptor.closing.clone();
        let handshake = hello.into_stream(https.accepting());
        let shaken = tokio::select! {
            biased;
            () = closing.begun() => return,
            () = place.given_away() => {
                debug!("closed a connection from {peer} in its TLS handshake, to make room");
                return;
            }
            shaken = timeout(limits.tls_timeout, handshake) => shaken,
        };
        match shaken {
            Ok(Ok(stream)) => {
                let stream = Rewound::new(Bytes::new(), stream);
                let http = &self.acceptor.http;
                http.serve(stream, Transport::Tls, peer, closing, place)
                    .await;
            }
            // A browser that warns of a certificate does it too, so that it is nothing to complain of.
            Ok(Err(error)) => debug!("no TLS with {peer}: {error}"),
            Err(_) => self.complain("tls handshake", || too_slow(peer, limits)),
        }
    }

    /// Logs a line of a kind that a stranger can cause, now and then.
    fn complain(&self, kind: &'static str, text: impl FnOnce() -> String) {
        let now = self.acceptor.env.now();
        let admitted = lock(&self.complaints).entry(kind).or_default().admit(now);
        if let Some(suppressed) = admitted {
            warn!("{}{suppressed}", text());
        }
    }
}

/// The beginning of a TLS handshake.
type Hello<S> = StartHandshake<Rewound<S>>;

/// A connection of which is known what it speaks.
enum Arrived<S> {
    /// As it came, with what was read already.
    Plain(Protocol, Bytes, S),
    /// TLS of somebody who is no process of the cluster.
    Hello(Box<Hello<S>>),
    /// TLS of a process of the cluster, and what it speaks inside.
    Peer(Protocol, Bytes, Box<TlsStream<Rewound<S>>>),
    /// TLS of such a process, where processes speak none.
    PeerWithoutTls,
    /// It wanted to be taken for one, and is none.
    Stranger(std::io::Error),
    NoHandshake(std::io::Error),
    TooSlow,
    Unknown(Unknown),
}

impl<S> Arrived<S> {
    /// Whether it speaks what processes of the cluster speak with each other.
    const fn is_from_a_member(&self) -> bool {
        matches!(
            self,
            Self::Plain(Protocol::Node | Protocol::Data, ..)
                | Self::Peer(Protocol::Node | Protocol::Data, ..)
        )
    }
}

/// Reads from a new connection until it is known what it speaks, and lets processes of the cluster prove
/// what they are. Each step has a time-out; the caller may give up at any time.
async fn arrive<S>(mut stream: S, tls: &PortTls, limits: &DriverLimits) -> Arrived<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (protocol, first) = match sniff(&mut stream, limits.sniff_timeout).await {
        Ok(sniffed) => sniffed,
        Err(unknown) => return Arrived::Unknown(unknown),
    };
    if protocol != Protocol::Tls || (tls.https.is_none() && tls.peers.is_none()) {
        return Arrived::Plain(protocol, first, stream);
    }
    let beginning = LazyConfigAcceptor::new(Default::default(), Rewound::new(first, stream));
    let hello = match timeout(limits.tls_timeout, beginning).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) => return Arrived::NoHandshake(error),
        Err(_) => return Arrived::TooSlow,
    };
    let is_peer = hello
        .client_hello()
        .alpn()
        .is_some_and(|mut asked| asked.any(|protocol| protocol == PEER_PROTOCOL));
    let peers = match (&tls.peers, is_peer) {
        (_, false) => return Arrived::Hello(Box::new(hello)),
        (None, true) => return Arrived::PeerWithoutTls,
        (Some(peers), true) => peers,
    };
    let mut stream = match timeout(limits.tls_timeout, hello.into_stream(peers.accepting())).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Arrived::Stranger(error),
        Err(_) => return Arrived::TooSlow,
    };
    match sniff(&mut stream, limits.sniff_timeout).await {
        Ok((protocol, first)) => Arrived::Peer(protocol, first, Box::new(stream)),
        Err(unknown) => Arrived::Unknown(unknown),
    }
}

fn no_tls(peer: SocketAddr) -> String {
    format!(
        "closed a connection from {peer} that began with TLS: this port speaks plain HTTP and the node \
         protocol. Use http:// in the address, or set `enableHTTPS=1`; for a process of the cluster, \
         `enableRpcSSL` has to be the same everywhere"
    )
}

fn too_slow(peer: SocketAddr, limits: &DriverLimits) -> String {
    format!(
        "closed a connection from {peer}: its TLS handshake took longer than {:?}",
        limits.tls_timeout
    )
}

/// Locks; a panic elsewhere left the counts as they were, which is good enough for counts.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The words for having as many connections as allowed.
fn full(limits: &DriverLimits) -> String {
    let cure = match limits.open_files {
        None => "increase maxConnections limit".to_owned(),
        Some(most) => format!(
            "let this process have more than {most} files open (LimitNOFILE= of its systemd unit, ulimit -Hn in \
             a shell)"
        ),
    };
    format!(
        "Maximum connections {} reached. Close unused connections or {cure}. RefId:S00006",
        limits.connections_max
    )
}

/// Tells a connection beyond the limit why it is closed, in a form its protocol understands.
async fn refuse<S>(arrived: Arrived<S>, limits: &DriverLimits)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let text = full(limits);
    match arrived {
        Arrived::Plain(Protocol::Http, _, mut stream) => {
            answer_unavailable(&mut stream, &text, limits).await;
        }
        Arrived::Plain(Protocol::Api, _, mut stream) => {
            let line = format!("{text}\n");
            let _ = timeout(limits.refusal_timeout, stream.write_all(line.as_bytes())).await;
        }
        // A TLS client understands no plain text.
        _ => {}
    }
}

/// Answers a request that nobody will look at with 503, and ends the connection.
async fn answer_unavailable<S>(stream: &mut S, text: &str, limits: &DriverLimits)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{text}\n",
        text.len() + 1
    );
    let answering = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await?;
        // What the client still sends is read and dropped, or the answer might be reset away.
        let mut scratch = [0; 1024];
        while stream.read(&mut scratch).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(limits.refusal_timeout, answering).await;
}
