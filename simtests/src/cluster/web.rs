//! A client of the file system, on a simulated host of its own: it speaks HTTP to data nodes, as
//! fast or as slowly as the scenario wants.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;
use vaquita_core::event::Event;

use super::env::elapsed;
use super::program::PORT;
use super::shared::Shared;
use super::{CLIENT, Cluster};
use crate::vaquita::client_token;

/// After this long the client is sure that no answer comes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes read at a time.
const READ: usize = 16 * 1024;

/// A request that the client is to make.
#[derive(Clone, Debug)]
pub struct Errand {
    number: u64,
    method: &'static str,
    entry: String,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    piece: usize,
    write_pause: Duration,
    read_pause: Duration,
}

impl Errand {
    fn new(method: &'static str, entry: &str, path: &str, body: Bytes) -> Self {
        Self {
            number: 0,
            method,
            entry: entry.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            piece: body.len().max(1),
            body,
            write_pause: Duration::ZERO,
            read_pause: Duration::ZERO,
        }
    }

    /// Write a file through the data node `entry`.
    #[must_use]
    pub fn put(entry: &str, path: &str, body: impl Into<Bytes>) -> Self {
        Self::new("PUT", entry, path, body.into())
    }

    /// Read a file through the data node `entry`.
    #[must_use]
    pub fn get(entry: &str, path: &str) -> Self {
        Self::new("GET", entry, path, Bytes::new())
    }

    /// Name the operation, so that it is carried out once however often it is sent.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.headers.push(("Idempotency-Key", name.to_owned()));
        self
    }

    /// Send the body in pieces, with a pause behind each.
    #[must_use]
    pub const fn in_pieces(mut self, bytes: usize, pause: Duration) -> Self {
        self.piece = bytes;
        self.write_pause = pause;
        self
    }

    /// Pause after each 16 KiB of the answer.
    #[must_use]
    pub const fn read_slowly(mut self, pause: Duration) -> Self {
        self.read_pause = pause;
        self
    }
}

/// An answer that came whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// When, by the clock of the simulation.
    pub at: Duration,
    /// The HTTP status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answered {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(u64);

impl Cluster {
    /// Has the client make a request. Time does not pass.
    ///
    /// # Panics
    /// If the cluster was built without [files](super::Builder::files), or no time has passed yet.
    pub fn send(&mut self, mut errand: Errand) -> Call {
        self.asked += 1;
        errand.number = self.asked;
        let state = self.shared.state();
        let client = state.client.as_ref().expect("a client");
        let call = Call(errand.number);
        assert!(client.send(errand).is_ok(), "the client is gone");
        call
    }

    /// How a request has ended, if it has: with an answer, or with why there is none. It is told
    /// once.
    pub fn take_answer(&mut self, call: Call) -> Option<Result<Answered, String>> {
        self.shared.state().answers.remove(&call.0)
    }

    /// Lets time pass until a request has ended.
    pub fn answer(&mut self, call: Call) -> Result<Answered, String> {
        let mut answer = None;
        let longest = PATIENCE + Duration::from_secs(10);
        self.until("the client's request ends", longest, |cluster| {
            answer = cluster.take_answer(call);
            answer.is_some()
        });
        answer.unwrap_or_else(|| Err("it has not ended".to_owned()))
    }

    /// Makes a request and lets time pass until it has ended.
    pub fn call(&mut self, errand: Errand) -> Result<Answered, String> {
        let call = self.send(errand);
        self.answer(call)
    }
}

/// The client's host.
pub(super) async fn live(shared: Shared) -> turmoil::Result {
    let (sender, mut errands) = mpsc::unbounded_channel();
    shared.state().client = Some(sender);
    while let Some(errand) = errands.recv().await {
        let shared = shared.clone();
        tokio::task::spawn_local(async move {
            let answer = match timeout(PATIENCE, exchange(&errand)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            };
            let Errand {
                number,
                method,
                entry,
                path,
                ..
            } = &errand;
            let outcome = match &answer {
                Ok(answer) if answer.status >= 400 => {
                    format!("{} {}", answer.status, answer.text())
                }
                Ok(answer) => {
                    let tag = answer.header("etag").unwrap_or("-");
                    format!("{} {tag}, {} bytes", answer.status, answer.body.len())
                }
                Err(reason) => reason.clone(),
            };
            let event = Event::info("client", format!("{method} {path} at {entry}: {outcome}"));
            shared.note(elapsed(), CLIENT, &event);
            shared.state().answers.insert(*number, answer);
        });
    }
    Ok(())
}

async fn exchange(errand: &Errand) -> Result<Answered, String> {
    let to = (errand.entry.as_str(), PORT);
    let stream = TcpStream::connect(to)
        .await
        .map_err(|error| format!("no connection: {error}"))?;
    let (mut reader, mut writer) = stream.into_split();
    let sending = async {
        // Why a body was not wanted is in the answer, if there is one.
        let _ = send(&mut writer, errand).await;
        pending::<()>().await;
    };
    tokio::select! {
        biased;
        answer = receive(&mut reader, errand.read_pause) => answer,
        () = sending => Err("sending never ends".to_owned()),
    }
}

async fn send(
    writer: &mut turmoil::net::tcp::OwnedWriteHalf,
    errand: &Errand,
) -> std::io::Result<()> {
    let mut head = format!(
        "{} /dfs{} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n",
        errand.method,
        errand.path,
        errand.entry,
        client_token()
    );
    for (name, value) in &errand.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if errand.method == "PUT" {
        head.push_str(&format!("Content-Length: {}\r\n", errand.body.len()));
    }
    head.push_str("\r\n");
    writer.write_all(head.as_bytes()).await?;
    for piece in errand.body.chunks(errand.piece) {
        writer.write_all(piece).await?;
        if !errand.write_pause.is_zero() {
            sleep(errand.write_pause).await;
        }
    }
    Ok(())
}

async fn receive(
    reader: &mut turmoil::net::tcp::OwnedReadHalf,
    pause: Duration,
) -> Result<Answered, String> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; READ];
    loop {
        if let Some(answered) = parse(&bytes)? {
            return Ok(answered);
        }
        let read = reader.read(&mut buffer).await;
        match read {
            Ok(0) => {
                return Err(format!(
                    "the connection ended after {} bytes of the answer",
                    bytes.len()
                ));
            }
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) => return Err(format!("after {} bytes: {error}", bytes.len())),
        }
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
}

/// The answer, if all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<Answered>, String> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(head_len) = bytes.windows(END.len()).position(|four| four == END) else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..head_len]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let Some(status) = status else {
        return Err(format!("what came is no HTTP: {head}"));
    };
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let len = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok());
    let Some(len): Option<usize> = len else {
        return Err(format!("an answer without its length: {head}"));
    };
    let body = &bytes[head_len + END.len()..];
    Ok((body.len() >= len).then(|| Answered {
        at: elapsed(),
        status,
        headers,
        body: body[..len].to_vec(),
    }))
}
