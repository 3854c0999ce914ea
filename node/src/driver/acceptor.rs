//! Accepts connections, finds out what they speak and hands them over, within limits.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};
use vaquita_core::ids::ConnId;

use super::DriverLimits;
use super::connection::{ConnEvent, converse, line};
use super::http::{HttpService, Transport};
use super::rewound::Rewound;
use super::sniff::{DATA_MAGIC, Protocol, Unknown, sniff};
use super::terminate::Closing;
use super::throttle::Throttle;
use crate::data::{self, Data};
use crate::env::{Env, Listener};
use crate::tls::Serving;

/// How long accepting pauses after an error that will not go away by itself at once, such as having
/// no file descriptor left.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// The accepting side of a driver.
pub(super) struct Acceptor<E: Env, H> {
    pub(super) env: E,
    pub(super) http: H,
    /// What is shown to connections that begin with TLS, if they are served.
    pub(super) tls: Option<Serving>,
    /// What serves data connections, in a process that keeps chunks.
    pub(super) data: Option<Data<E>>,
    pub(super) events: mpsc::Sender<ConnEvent>,
    pub(super) closing: Closing,
    /// One place for each HTTP connection.
    pub(super) http_places: Arc<Semaphore>,
    pub(super) limits: Arc<DriverLimits>,
}

/// What the tasks of accepted connections share.
struct Lobby<E: Env, H> {
    acceptor: Acceptor<E, H>,
    all: Arc<Semaphore>,
    node: Arc<Semaphore>,
    data: Arc<Semaphore>,
    http: Arc<Semaphore>,
    http_by_address: Mutex<BTreeMap<IpAddr, usize>>,
    refusing: Arc<Semaphore>,
    next_conn: AtomicU64,
    complaints: Mutex<BTreeMap<&'static str, Throttle>>,
}

impl<E: Env, H: HttpService> Acceptor<E, H> {
    /// Accepts until the process ends, then waits for the connections to end.
    pub(super) async fn run(self, mut listener: E::Listener) {
        let limits = Arc::clone(&self.limits);
        let mut closing = self.closing.clone();
        let lobby = Arc::new(Lobby {
            all: Arc::new(Semaphore::new(limits.connections_max)),
            node: Arc::new(Semaphore::new(limits.node_connections_max)),
            data: Arc::new(Semaphore::new(limits.data.connections_max)),
            http: Arc::clone(&self.http_places),
            http_by_address: Mutex::default(),
            refusing: Arc::new(Semaphore::new(limits.refusing_max)),
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
            let Ok(permit) = Arc::clone(&lobby.all).try_acquire_owned() else {
                lobby.complain("connections", || {
                    format!("refused a connection from {peer}: {}", full(&limits))
                });
                if let Ok(turn) = Arc::clone(&lobby.refusing).try_acquire_owned() {
                    connections.spawn(refuse(stream, turn, Arc::clone(&limits)));
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
            connections.spawn(Arc::clone(&lobby).welcome(stream, peer, left, permit));
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

impl<E: Env, H: HttpService> Lobby<E, H> {
    /// Finds out what a connection speaks and serves it. `permit` is held until it ends.
    async fn welcome(
        self: Arc<Self>,
        mut stream: E::Stream,
        peer: SocketAddr,
        left: oneshot::Receiver<()>,
        permit: OwnedSemaphorePermit,
    ) {
        let mut closing = self.acceptor.closing.clone();
        let sniffed = tokio::select! {
            biased;
            () = closing.begun() => return,
            _ = left => {
                debug!("closed a connection from {peer} that had sent nothing, to make room");
                return;
            }
            sniffed = sniff(&mut stream, self.acceptor.limits.sniff_timeout) => sniffed,
        };
        match sniffed {
            Ok((Protocol::Node, first)) => self.serve_node(stream, first, peer).await,
            Ok((Protocol::Data, first)) => self.serve_data(stream, first, peer).await,
            Ok((Protocol::Http, first)) => self.serve_http(stream, first, peer).await,
            Ok((Protocol::Tls, first)) => self.serve_tls(stream, first, peer).await,
            Ok((Protocol::Api, _)) => self.complain("api", || {
                format!(
                    "closed a connection from {peer} that began with `API`: that client protocol \
                     is not served. Use the HTTP interface under /api/v1"
                )
            }),
            Err(Unknown::Silent) => {
                debug!("closed a connection from {peer}: it sent nothing for too long");
            }
            Err(Unknown::Left) => {}
        }
        drop(permit);
    }

    async fn serve_node(&self, stream: E::Stream, first: Bytes, peer: SocketAddr) {
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

    async fn serve_data(&self, stream: E::Stream, mut first: Bytes, peer: SocketAddr) {
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
        let limits = &self.acceptor.limits;
        let permit = Arc::clone(&self.http).try_acquire_owned();
        let place = self.take_place(peer.ip());
        if permit.is_err() || place.is_none() {
            let reason = if permit.is_err() {
                format!(
                    "{} HTTP connections are open, the most allowed. Try again later.",
                    limits.http_connections_max
                )
            } else {
                format!(
                    "{} HTTP connections from your address are open, the most allowed. Close some.",
                    limits.http_connections_per_address
                )
            };
            self.complain("http connections", || {
                format!("refused an HTTP connection from {peer}: {reason}")
            });
            answer_unavailable(&mut stream, &reason, limits).await;
            return;
        }
        let stream = Rewound::new(first, stream);
        let closing = self.acceptor.closing.clone();
        let http = &self.acceptor.http;
        http.serve(stream, Transport::Plain, peer, closing).await;
    }

    /// Serves HTTP inside TLS. It takes the place of an HTTP connection from the handshake on, which is
    /// what costs most.
    async fn serve_tls(&self, stream: E::Stream, first: Bytes, peer: SocketAddr) {
        let limits = &self.acceptor.limits;
        let Some(tls) = &self.acceptor.tls else {
            self.complain("tls", || {
                format!(
                    "closed a connection from {peer} that began with TLS: this port speaks plain \
                     HTTP and the node protocol. Use http:// in the address, or set `enableHTTPS=1`"
                )
            });
            return;
        };
        let permit = Arc::clone(&self.http).try_acquire_owned();
        let place = self.take_place(peer.ip());
        if permit.is_err() || place.is_none() {
            self.complain("http connections", || {
                format!(
                    "refused an HTTPS connection from {peer}: {} are open, or {} from that address, \
                     the most allowed",
                    limits.http_connections_max, limits.http_connections_per_address
                )
            });
            return;
        }
        let mut closing = self.acceptor.closing.clone();
        let handshake = tls.accept(Rewound::new(first, stream));
        let shaken = tokio::select! {
            biased;
            () = closing.begun() => return,
            shaken = timeout(limits.tls_timeout, handshake) => shaken,
        };
        match shaken {
            Ok(Ok(stream)) => {
                let stream = Rewound::new(Bytes::new(), stream);
                let http = &self.acceptor.http;
                http.serve(stream, Transport::Tls, peer, closing).await;
            }
            // A browser that warns of a certificate does it too, so that it is nothing to complain of.
            Ok(Err(error)) => debug!("no TLS with {peer}: {error}"),
            Err(_) => self.complain("tls handshake", || {
                format!(
                    "closed a connection from {peer}: its TLS handshake took longer than {:?}",
                    limits.tls_timeout
                )
            }),
        }
    }

    /// Counts an HTTP connection of an address; `None` if it has too many.
    fn take_place(&self, address: IpAddr) -> Option<Place<'_>> {
        let mut places = lock(&self.http_by_address);
        let taken = places.get(&address).copied().unwrap_or(0);
        let exempt = address.is_loopback();
        if taken >= self.acceptor.limits.http_connections_per_address && !exempt {
            return None;
        }
        places.insert(address, taken + 1);
        Some(Place {
            places: &self.http_by_address,
            address,
        })
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

/// A counted HTTP connection of an address.
struct Place<'a> {
    places: &'a Mutex<BTreeMap<IpAddr, usize>>,
    address: IpAddr,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = lock(self.places);
        if let Some(taken) = places.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.address);
            }
        }
    }
}

/// Locks; a panic elsewhere left the counts as they were, which is good enough for counts.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The words for having as many connections as allowed.
fn full(limits: &DriverLimits) -> String {
    format!(
        "Maximum connections {} reached. Close unused connections or increase maxConnections \
         limit. RefId:S00006",
        limits.connections_max
    )
}

/// Tells a connection above the limit why it is closed, in a form its protocol understands.
async fn refuse<S>(mut stream: S, _turn: OwnedSemaphorePermit, limits: Arc<DriverLimits>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let text = full(&limits);
    match sniff(&mut stream, limits.refusal_timeout).await {
        Ok((Protocol::Http, _)) => answer_unavailable(&mut stream, &text, &limits).await,
        Ok((Protocol::Api, _)) => {
            let line = format!("{text}\n");
            let _ = timeout(limits.refusal_timeout, stream.write_all(line.as_bytes())).await;
        }
        // Nodes dial again by themselves; a TLS client understands no plain text.
        Ok((Protocol::Node | Protocol::Data | Protocol::Tls, _)) | Err(_) => {}
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
