//! Carries the bytes of files between a command and the data nodes.
//!
//! A node that cannot be reached, hangs or breaks off is left for the next one. A write goes on
//! there under the same name, so that it is carried out once however often it is sent; a read goes
//! on behind the last byte that came, of the same content. When all nodes have failed they are
//! gone through once more, with more patience: then it is not one node that is slow.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, EXPECT, HOST, HeaderValue, IF_MATCH, IF_NONE_MATCH, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use vaquita_core::dfs::path::DfsPath;

use super::api::{ApiError, refusal};
use super::dial::dial;
use super::entries::Entries;
use super::transport::{Answer, TransportError};
use super::upload::{Outgoing, Sent, Source};
use super::views::CommittedView;
use crate::cli::exit::{Failure, Status};
use crate::cli::progress::Tally;
use crate::percent::file_target;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a node may give no sign of life after a request, at first and when all have failed.
const PATIENCE: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(15)];
/// How long a transfer may stand still.
const STALL: Duration = Duration::from_secs(30);
/// How long a node may take to commit once it has all bytes.
const COMMIT: Duration = Duration::from_secs(75);
/// How often a transfer is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Longest answer that is no file.
const WORDS: usize = 1024 * 1024;

/// What has to be there for a file to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Condition {
    /// Anything, which is replaced.
    None,
    /// Nothing.
    Free,
}

/// A content that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Wanted {
    pub(in crate::cli) path: DfsPath,
    pub(in crate::cli) len: u64,
    pub(in crate::cli) digest: String,
}

/// Takes the bytes of a file.
pub(in crate::cli) trait Sink {
    /// Bytes come now, of a file whose chunks have this length; told at each connection.
    fn begin(&mut self, chunk_bytes: u64) -> Result<(), Failure>;

    /// The next bytes.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure>;
}

/// Why bytes were not carried.
#[derive(Debug)]
pub(in crate::cli) enum Trouble {
    /// Something of this machine.
    Here(Failure),
    /// The cluster refuses.
    There(ApiError),
    /// No data node can be had.
    Nowhere(Failure),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Here(failure) | Trouble::Nowhere(failure) => failure,
            Trouble::There(error) => error.into(),
        }
    }
}

/// Why one node did not do it.
enum Failed {
    /// It is no use asking another one.
    Final(Trouble),
    /// Another one may do it.
    Node(String),
    /// The write has ended without being done: it may begin again under another name.
    Stale(ApiError),
}

/// A connection that is kept for the next request.
struct Link {
    node: usize,
    sender: SendRequest<Outgoing>,
    driving: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// Carries one file at a time.
pub(in crate::cli) struct Carrier {
    entries: Arc<Entries>,
    tally: Arc<Tally>,
    at: usize,
    link: Option<Link>,
}

impl Carrier {
    /// One of several, which begin with different nodes.
    pub(in crate::cli) const fn new(entries: Arc<Entries>, tally: Arc<Tally>, nth: usize) -> Self {
        Self {
            entries,
            tally,
            at: nth,
            link: None,
        }
    }

    /// Writes a file, and returns once it is durable.
    pub(in crate::cli) async fn put(
        &mut self,
        path: &DfsPath,
        source: &Source,
        condition: Condition,
        mut key: String,
    ) -> Result<CommittedView, Trouble> {
        let mut failures = Vec::new();
        let mut begun_again = false;
        // A node that has all bytes commits them, whether or not its answer is heard.
        let mut may_be_done = false;
        for patience in PATIENCE {
            let mut left = self.entries.nodes.len();
            while left > 0 {
                left -= 1;
                let sent = Arc::new(Sent::default());
                let attempt = self.put_at(path, source, condition, &key, patience, &sent);
                let failed = match attempt.await {
                    Ok(committed) => {
                        verify(&committed, &sent).map_err(Trouble::Here)?;
                        return Ok(committed);
                    }
                    Err(failed) => failed,
                };
                self.tally.take_back(sent.bytes.load(Ordering::Relaxed));
                self.link = None;
                let settled = |trouble| match (may_be_done, trouble) {
                    // Where somebody else's file is, no try of a file that is to be new gets through any more.
                    (true, Trouble::There(error))
                        if condition == Condition::Free && error.is_precondition() =>
                    {
                        Trouble::There(error)
                    }
                    (true, trouble) => Trouble::Here(unsettled(path, trouble)),
                    (false, trouble) => trouble,
                };
                let why = match failed {
                    Failed::Final(trouble) => return Err(settled(trouble)),
                    Failed::Stale(error) if begun_again || !source.is_whole() => {
                        return Err(settled(Trouble::There(error)));
                    }
                    Failed::Stale(error) => {
                        begun_again = true;
                        left += 1;
                        key = super::entries::new_key();
                        error.to_string()
                    }
                    Failed::Node(why) => {
                        may_be_done |= sent.all.load(Ordering::Relaxed);
                        why
                    }
                };
                self.give_up_on_node(&why, &mut failures);
                if !source.is_whole() {
                    let failures = failures.join("; ");
                    let once = "standard input cannot be read once more: put it into a file first";
                    let failed = |said| Trouble::Nowhere(Failure::new(Status::Unavailable, said));
                    if !may_be_done {
                        return Err(failed(format!(
                            "{path} was not written: {failures}; {once}"
                        )));
                    }
                    let said =
                        format!("no data node says that {path} was written: {failures}; {once}");
                    return Err(Trouble::Nowhere(unsettled(path, failed(said))));
                }
            }
        }
        if !may_be_done {
            return Err(all_failed(path, "written", &failures));
        }
        let said = format!(
            "no data node says that {path} was written: {}",
            failures.join("; ")
        );
        let failure = Trouble::Nowhere(Failure::new(Status::Unavailable, said));
        Err(Trouble::Nowhere(unsettled(path, failure)))
    }

    /// Reads a content from an offset on.
    pub(in crate::cli) async fn fetch(
        &mut self,
        wanted: &Wanted,
        mut from: u64,
        sink: &mut (dyn Sink + Send),
    ) -> Result<(), Trouble> {
        let mut failures = Vec::new();
        let nodes = self.entries.nodes.len();
        // Each byte that comes gives all of them another chance.
        let mut failed_in_turn = 0;
        while from < wanted.len {
            let patience = PATIENCE[usize::from(failed_in_turn >= nodes)];
            let before = from;
            let why = match self.fetch_at(wanted, &mut from, sink, patience).await {
                Ok(()) => continue,
                Err(Failed::Final(trouble)) => return Err(trouble),
                Err(Failed::Node(why)) => why,
                Err(Failed::Stale(error)) => error.to_string(),
            };
            self.link = None;
            if from > before {
                failed_in_turn = 0;
                failures.clear();
            }
            failed_in_turn += 1;
            self.give_up_on_node(&why, &mut failures);
            if failed_in_turn >= 2 * nodes {
                return Err(all_failed(&wanted.path, "read", &failures));
            }
        }
        Ok(())
    }

    fn node(&self) -> usize {
        self.at % self.entries.nodes.len().max(1)
    }

    fn give_up_on_node(&mut self, why: &str, failures: &mut Vec<String>) {
        let node = &self.entries.nodes[self.node()];
        let failure = if node.name == node.server.to_string() {
            format!("{}: {why}", node.name)
        } else {
            format!("{} ({}): {why}", node.name, node.server)
        };
        self.tally
            .note(format!("{failure}; going on with the next node"));
        if !failures.contains(&failure) {
            failures.push(failure);
        }
        self.at += 1;
    }

    /// Sends a request to the present node, by the connection that is there or a new one.
    async fn sender(&mut self) -> Result<&mut SendRequest<Outgoing>, Failed> {
        let node = self.node();
        let usable = match &mut self.link {
            Some(link) => link.node == node && link.sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.link = None;
            self.link = Some(self.connect(node).await?);
        }
        match &mut self.link {
            Some(link) => Ok(&mut link.sender),
            None => Err(Failed::Node("the connection is gone".to_owned())),
        }
    }

    async fn connect(&self, node: usize) -> Result<Link, Failed> {
        let server = &self.entries.nodes[node].server;
        let stream = dial(server, &self.entries.trust, CONNECT).await;
        let stream = stream.map_err(|error| {
            Failed::Node(match error {
                TransportError::Silent(_) => {
                    format!("no connection within {} s", CONNECT.as_secs())
                }
                error => error.in_short(),
            })
        })?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failed::Node(error.to_string()))?;
        let driving = tokio::spawn(async move {
            // What went wrong is told to whoever sent a request.
            let _ = connection.await;
        });
        Ok(Link {
            node,
            sender,
            driving,
        })
    }

    /// A request to the present node, without its body.
    fn request(&self, method: Method, path: &DfsPath) -> hyper::http::request::Builder {
        let server = &self.entries.nodes[self.node()].server;
        let request = Request::builder()
            .method(method)
            .uri(file_target(path))
            .header(HOST, server.authority());
        match &self.entries.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    async fn put_at(
        &mut self,
        path: &DfsPath,
        source: &Source,
        condition: Condition,
        key: &str,
        patience: Duration,
        sent: &Arc<Sent>,
    ) -> Result<CommittedView, Failed> {
        let mut reused = self.link.is_some();
        let answer = loop {
            let mut request = self
                .request(Method::PUT, path)
                .header("Idempotency-Key", key);
            if condition == Condition::Free {
                request = request.header(IF_NONE_MATCH, "*");
            }
            // Whoever dials knows whether there is anybody: only then the source is opened.
            self.sender().await?;
            let reader = source
                .open()
                .map_err(|failure| Failed::Final(Trouble::Here(failure)))?;
            let (want, wanted) = oneshot::channel();
            let (told, asked_for) = oneshot::channel();
            let tally = self.tally.clone();
            let body = Outgoing::bytes(reader, wanted, sent.clone(), tally);
            let empty = hyper::body::Body::is_end_stream(&body);
            let mut request = request.body(body).map_err(bug)?;
            if !empty {
                let waits = HeaderValue::from_static("100-continue");
                request.headers_mut().insert(EXPECT, waits);
            }
            let once = Mutex::new(Some((want, told)));
            hyper::ext::on_informational(&mut request, move |interim| {
                let mut once = once.lock().unwrap_or_else(PoisonError::into_inner);
                if interim.status() == StatusCode::CONTINUE
                    && let Some((want, told)) = once.take()
                {
                    let _ = want.send(());
                    let _ = told.send(());
                }
            });
            let answering = self.sender().await?.send_request(request);
            match upload(answering, asked_for, patience, sent).await {
                // The node may have closed a connection that was idle, in the moment it was used.
                Err(Failed::Node(_)) if reused && sent.bytes.load(Ordering::Relaxed) == 0 => {
                    reused = false;
                    self.link = None;
                }
                other => break other?,
            }
        };
        let answer = self.words(answer).await?;
        if answer.status.is_success() {
            return serde_json::from_slice(&answer.body)
                .map_err(|error| Failed::Node(format!("its answer makes no sense: {error}")));
        }
        Err(self.refused(&answer))
    }

    async fn fetch_at(
        &mut self,
        wanted: &Wanted,
        from: &mut u64,
        sink: &mut (dyn Sink + Send),
        patience: Duration,
    ) -> Result<(), Failed> {
        let mut reused = self.link.is_some();
        let answer = loop {
            let mut request = self
                .request(Method::GET, &wanted.path)
                .header(IF_MATCH, format!("\"{}\"", wanted.digest));
            if *from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let request = request.body(Outgoing::Nothing).map_err(bug)?;
            let answering = self.sender().await?.send_request(request);
            match timeout(patience, answering).await {
                Err(_) => return Err(Failed::Node(hangs(patience))),
                Ok(Ok(answer)) => break answer,
                Ok(Err(_)) if reused => {
                    reused = false;
                    self.link = None;
                }
                Ok(Err(error)) => return Err(Failed::Node(broken(&error))),
            }
        };
        let expected = if *from > 0 {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        };
        if answer.status() != expected {
            let answer = self.words(answer).await?;
            return Err(if answer.status.is_success() {
                Failed::Node(format!("it answered {} to a part", answer.status))
            } else {
                self.refused(&answer)
            });
        }
        let here = |failure| Failed::Final(Trouble::Here(failure));
        let chunk_bytes = answer
            .headers()
            .get("x-vaquita-chunk-bytes")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .unwrap_or(0);
        sink.begin(chunk_bytes).map_err(here)?;
        let mut body = answer.into_body();
        loop {
            let frame = match timeout(STALL, body.frame()).await {
                Err(_) => {
                    return Err(Failed::Node(format!(
                        "no byte came for {} s after {from}",
                        STALL.as_secs()
                    )));
                }
                Ok(None) if *from == wanted.len => return Ok(()),
                Ok(None) => return Err(Failed::Node(format!("it ended after {from} bytes"))),
                Ok(Some(Err(error))) => {
                    return Err(Failed::Node(format!(
                        "{} after {from} bytes",
                        broken(&error)
                    )));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(bytes) = frame.into_data() {
                if bytes.len() as u64 > wanted.len - *from {
                    return Err(Failed::Node("it sent more than the file has".to_owned()));
                }
                sink.take(&bytes).map_err(here)?;
                *from += bytes.len() as u64;
                self.tally.add(bytes.len() as u64);
            }
        }
    }

    /// The whole of an answer that is no file.
    async fn words(&self, answer: Response<Incoming>) -> Result<Answer, Failed> {
        let (head, body) = answer.into_parts();
        let body = match timeout(STALL, Limited::new(body, WORDS).collect()).await {
            Err(_) => return Err(Failed::Node(hangs(STALL))),
            Ok(Err(error)) => return Err(Failed::Node(format!("its answer broke off: {error}"))),
            Ok(Ok(body)) => body.to_bytes(),
        };
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// What a refusal of the present node means for the others.
    fn refused(&self, answer: &Answer) -> Failed {
        let server = &self.entries.nodes[self.node()].server;
        let error = refusal(server, answer);
        match &error {
            ApiError::Refused { kind, .. } if kind == "stale" => Failed::Stale(error),
            // The node cannot, or is none: another one may.
            ApiError::Refused {
                status: 307 | 421 | 500..=506,
                ..
            }
            | ApiError::Nonsense { .. } => Failed::Node(error.to_string()),
            _ => Failed::Final(Trouble::There(error)),
        }
    }
}

/// Waits for the answer to a write while its bytes go.
async fn upload(
    answering: impl Future<Output = hyper::Result<Response<Incoming>>>,
    asked_for: oneshot::Receiver<()>,
    patience: Duration,
    sent: &Sent,
) -> Result<Response<Incoming>, Failed> {
    let done = |answer: hyper::Result<Response<Incoming>>| match (answer, sent.error()) {
        (Ok(answer), _) => Ok(answer),
        (Err(_), Some(why)) => Err(Failed::Final(Trouble::Here(Failure::new(
            Status::Unreadable,
            why,
        )))),
        (Err(error), None) => Err(Failed::Node(broken(&error))),
    };
    tokio::pin!(answering);
    let begun = async {
        // The other end goes away with the request, and then there is an answer.
        if asked_for.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        answer = &mut answering => return done(answer),
        () = begun => {}
        () = sleep(patience) => return Err(Failed::Node(hangs(patience))),
    }
    let mut moved = (Instant::now(), 0);
    let mut complete = None;
    loop {
        tokio::select! {
            biased;
            answer = &mut answering => return done(answer),
            () = sleep(LOOK) => {}
        }
        if sent.all.load(Ordering::Acquire) {
            let since = *complete.get_or_insert_with(Instant::now);
            if since.elapsed() >= COMMIT {
                return Err(Failed::Node(format!(
                    "it has all bytes and did not commit them within {} s",
                    COMMIT.as_secs()
                )));
            }
            continue;
        }
        let bytes = sent.bytes.load(Ordering::Relaxed);
        if bytes != moved.1 {
            moved = (Instant::now(), bytes);
        } else if moved.0.elapsed() >= STALL {
            return Err(Failed::Node(format!(
                "no byte went for {} s after {bytes}",
                STALL.as_secs()
            )));
        }
    }
}

/// Whether what is stored is what was sent. Of a file of several chunks this side does not know
/// where one ends.
fn verify(committed: &CommittedView, sent: &Sent) -> Result<(), Failure> {
    let stored = committed.entry.digest.as_deref();
    match (sent.digest(), stored) {
        (Some(sent), Some(stored)) if committed.entry.count <= 1 && sent.to_string() != stored => {
            Err(Failure::new(
                Status::Damaged,
                format!(
                    "{} was damaged on its way: it is stored with the digest {stored}, and {sent} \
                     was sent; put it once more",
                    committed.entry.path
                ),
            ))
        }
        _ => Ok(()),
    }
}

fn all_failed(path: &DfsPath, what: &str, failures: &[String]) -> Trouble {
    Trouble::Nowhere(Failure::new(
        Status::Unavailable,
        format!(
            "{path} was not {what}, no data node did it: {}. `vaquita status` shows how they are; \
             the same command may succeed later",
            failures.join("; ")
        ),
    ))
}

/// What ended a write of which an earlier try was left open: that one may still be carried out, or have been.
fn unsettled(path: &DfsPath, trouble: Trouble) -> Failure {
    let Failure { status, message } = trouble.into();
    let message = format!(
        "{message}. A try that had sent all bytes was left open. It may have written {path} all the same, or write \
         it yet: look what is there with `vaquita dfs stat {path}` before you rely on it"
    );
    Failure { status, message }
}

fn hangs(patience: Duration) -> String {
    format!(
        "it accepted the connection and gave no sign for {} s",
        patience.as_secs()
    )
}

fn broken(error: &hyper::Error) -> String {
    format!("the connection broke off: {error}")
}

fn bug(error: hyper::http::Error) -> Failed {
    Failed::Final(Trouble::Here(Failure::new(
        Status::Bug,
        format!("the request cannot be made: {error}"),
    )))
}
