//! Files of the cluster as any HTTP client reads and writes them.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::cluster::Cluster;

/// The data nodes of the example, each with its `HOST:PORT` among a cluster's addresses.
pub(crate) const DATA_NODES: [(&str, &str); 4] = [
    ("P1-NODE1", "1:8961"),
    ("P2-NODE1", "3:8961"),
    ("P3-NODE1", "5:8961"),
    ("P5-NODE1", "9:8961"),
];

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

/// How long a whole answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A whole answer, its body byte for byte.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn read(answer: &[u8]) -> io::Result<Self> {
        let torn = || {
            let seen = String::from_utf8_lossy(&answer[..answer.len().min(300)]).into_owned();
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("a torn answer: {seen}"),
            )
        };
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.ok_or_else(torn)?;
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let body = answer[end + 4..].to_vec();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let reply = Self { status, head, body };
        match reply.header("content-length") {
            Some(length) if length.parse::<usize>().unwrap() != reply.body.len() => Err(torn()),
            _ => Ok(reply),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {}\n{text}", self.head))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The kind of a refusal.
    #[track_caller]
    pub(crate) fn kind(&self) -> String {
        self.json()["error"]["kind"].as_str().unwrap().to_owned()
    }

    /// The same, with this status.
    #[track_caller]
    pub(crate) fn with(self, status: u16) -> Self {
        let text = || self.text().chars().take(600).collect::<String>();
        assert_eq!(self.status, status, "{}\n{}", self.head, text());
        self
    }
}

/// Bytes that differ from seed to seed and do not repeat.
pub(crate) fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// That bytes are the same, without printing millions of them.
#[track_caller]
pub(crate) fn assert_same(got: &[u8], wanted: &[u8], what: &str) {
    assert_eq!(got.len(), wanted.len(), "length of {what}");
    let differs = got.iter().zip(wanted).position(|(a, b)| a != b);
    assert_eq!(differs, None, "{what} differs from this byte on");
}

/// A request that is being sent.
pub(crate) struct Sending {
    stream: TcpStream,
}

impl Sending {
    /// Sends more of the body.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The whole answer.
    pub(crate) async fn answer(mut self) -> io::Result<Reply> {
        let mut answer = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut answer)).await??;
        Reply::read(&answer)
    }
}

impl Cluster {
    /// Sends the head of a request to `HOST:PORT`, with the commands' login.
    pub(crate) async fn begin(
        &self,
        site: &str,
        request: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Sending> {
        let (host, _) = site.split_once(':').unwrap();
        let token = self.token();
        let mut head = format!("{request} HTTP/1.1\r\nHost: {}.{host}\r\n", self.subnet);
        head += &format!("Authorization: Bearer {token}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let address = format!("{}.{site}", self.subnet);
        #[expect(clippy::disallowed_methods, reason = "a client of its own")]
        let connecting = TcpStream::connect(address);
        let mut sending = Sending {
            stream: connecting.await?,
        };
        sending.send(head.as_bytes()).await?;
        Ok(sending)
    }

    /// Sends a request with a body, and returns the answer.
    pub(crate) async fn try_ask(
        &self,
        site: &str,
        request: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        if !body.is_empty() || request.starts_with("PUT") {
            headers.push(("Content-Length", &length));
        }
        let sending = self.begin(site, request, &headers).await?;
        let (mut reader, mut writer) = sending.stream.into_split();
        let mut answer = Vec::new();
        let (_, read) = tokio::join!(
            // A server that refuses does not read on.
            writer.write_all(body),
            timeout(PATIENCE, reader.read_to_end(&mut answer))
        );
        read??;
        match request.starts_with("HEAD") {
            true => bodiless(&answer),
            false => Reply::read(&answer),
        }
    }

    /// The same, of a server that answers.
    pub(crate) async fn ask(
        &self,
        site: &str,
        request: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let asked = self.try_ask(site, request, headers, body).await;
        asked.unwrap_or_else(|error| panic!("{request} at {site}: {error}"))
    }

    /// Writes a file.
    pub(crate) async fn put(&self, site: &str, path: &str, bytes: &[u8]) -> Reply {
        self.ask(site, &format!("PUT /dfs/{path}"), &[], bytes)
            .await
    }

    /// Reads a file.
    pub(crate) async fn get_file(&self, site: &str, path: &str) -> Reply {
        self.ask(site, &format!("GET /dfs/{path}"), &[], b"").await
    }

    /// Posts JSON to the interface of names.
    pub(crate) async fn post(&self, site: &str, name: &str, json: &Value) -> Reply {
        let body = json.to_string();
        let headers = [("Content-Type", "application/json")];
        let request = format!("POST /api/v1/dfs/{name}");
        self.ask(site, &request, &headers, body.as_bytes()).await
    }

    /// What a command prints with `--json`.
    pub(crate) async fn json(&self, line: &str) -> Vec<Value> {
        let out = self.vaquita(&format!("{line} --json")).await.ok();
        serde_json::from_str(&out).unwrap()
    }

    /// Waits until the nodes have told that they keep so many chunks, over all. They tell now and
    /// then.
    pub(crate) async fn until_chunks(&self, wanted: u64) {
        self.until(&format!("{wanted} chunks are kept"), async || {
            let rows = self.json("volume list").await;
            let chunks = rows.iter().map(|row| row["chunks"].as_u64().unwrap());
            (chunks.sum::<u64>() == wanted).then_some(())
        })
        .await;
    }

    /// Waits until all volumes of the data nodes that run are known to the controller.
    pub(crate) async fn until_volumes(&self, count: usize) {
        self.until("the volumes are there", async || {
            let rows = self.json("volume list").await;
            let good = rows.iter().filter(|row| row["state"] == "good").count();
            (good >= count).then_some(())
        })
        .await;
    }
}

/// An answer to HEAD: its length is that of another one.
fn bodiless(answer: &[u8]) -> io::Result<Reply> {
    let head = String::from_utf8_lossy(answer).into_owned();
    let mut words = head.split(' ');
    let status = words.nth(1).and_then(|it| it.parse().ok());
    let status = status.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    Ok(Reply {
        status,
        head,
        body: Vec::new(),
    })
}
