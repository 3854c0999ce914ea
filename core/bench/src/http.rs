//! A client of HTTP that costs little: one connection, one request at a time, bytes compared as they
//! come. It is the same for every request of a measurement, and what it costs is told beside.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::Value;

use crate::stop::{Stop, Watched};

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest head of an answer.
const HEAD_MAX: usize = 16 * 1024;
/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;
/// Bodies up to this length go out together with the head of their request.
const TOGETHER_MAX: usize = 64 * 1024;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The server refuses, with this status and this kind.
    Refused(u16, String),
    /// The connection could not be had, or broke.
    Broken(String),
    /// The bytes are not those that were written.
    WrongBytes,
    /// A file outside of the cluster could not be written or read.
    Disk(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status, kind) => write!(f, "{status} {kind}"),
            Self::Broken(why) => write!(f, "connection: {why}"),
            Self::WrongBytes => f.write_str("wrong bytes"),
            Self::Disk(why) => write!(f, "disk: {why}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(match error.kind() {
            io::ErrorKind::WouldBlock => "no answer".to_owned(),
            kind => kind.to_string(),
        })
    }
}

/// What becomes of the body of an answer.
enum Body<'a> {
    /// It is kept.
    Kept,
    /// It has to be these bytes.
    Expected(&'a [u8]),
}

/// A client of one server, connected when it has something to ask.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    host: String,
    token: Option<String>,
    stop: Stop,
    connection: Option<(TcpStream, Watched)>,
    /// What has been read and not used.
    buffer: Vec<u8>,
    request: Vec<u8>,
    piece: Vec<u8>,
}

impl Client {
    /// A client of the server at `HOST:PORT`.
    ///
    /// # Errors
    /// If that is no address.
    pub fn new(server: &str, token: Option<&str>, stop: &Stop) -> Result<Self, String> {
        let no_address = |why: String| format!("{server} is no address: {why}");
        let mut addresses = server
            .to_socket_addrs()
            .map_err(|error| no_address(error.to_string()))?;
        let address = addresses.next();
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        Ok(Self {
            server: address.ok_or_else(|| no_address("nothing is known by that name".into()))?,
            host: host.to_owned(),
            token: token.map(str::to_owned),
            stop: stop.clone(),
            connection: None,
            buffer: Vec::new(),
            request: Vec::new(),
            piece: vec![0; PIECE],
        })
    }

    /// Asks whether the server is there, and is connected from then on.
    ///
    /// # Errors
    /// If it does not say so.
    pub fn greet(&mut self) -> Result<(), Failure> {
        self.ask("GET", "/healthz", None, &Body::Kept).map(drop)
    }

    /// Writes the file at a path of the file system, without the slash in front.
    ///
    /// # Errors
    /// If it is not acknowledged.
    pub fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.ask("PUT", &format!("/dfs/{path}"), Some(bytes), &Body::Kept)
            .map(drop)
    }

    /// Reads a file, which has to be `expected`.
    ///
    /// # Errors
    /// If it cannot be had, or is something else.
    pub fn get(&mut self, path: &str, expected: &[u8]) -> Result<(), Failure> {
        let target = format!("/dfs/{path}");
        self.ask("GET", &target, None, &Body::Expected(expected))
            .map(drop)
    }

    /// Asks for a page, and returns it.
    ///
    /// # Errors
    /// If the answer is a refusal.
    pub fn page(&mut self, target: &str) -> Result<Vec<u8>, Failure> {
        self.ask("GET", target, None, &Body::Kept)
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// If the answer is a refusal, or no JSON.
    pub fn json(&mut self, target: &str) -> Result<Value, Failure> {
        let body = self.ask("GET", target, None, &Body::Kept)?;
        read_json(&body)
    }

    /// Sends JSON, and returns what is answered; nothing where that is nothing.
    ///
    /// # Errors
    /// If the answer is a refusal, or no JSON.
    pub fn post(&mut self, target: &str, json: &Value) -> Result<Value, Failure> {
        let text = json.to_string();
        let body = self.ask("POST", target, Some(text.as_bytes()), &Body::Kept)?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        read_json(&body)
    }

    fn ask(
        &mut self,
        method: &str,
        target: &str,
        body: Option<&[u8]>,
        wanted: &Body<'_>,
    ) -> Result<Vec<u8>, Failure> {
        let sent = self
            .connect()
            .and_then(|()| self.send(method, target, body));
        // A server that refuses answers before it has read everything, and may read no more.
        let answered = self.answer(wanted);
        let is_lost = matches!(answered, Err(Failure::Broken(_) | Failure::WrongBytes));
        if sent.is_err() || is_lost {
            // Where the next answer begins is not known any more.
            self.connection = None;
        }
        match (sent, answered) {
            (Err(error), Err(Failure::Broken(_))) => Err(error.into()),
            (_, answered) => answered,
        }
    }

    fn connect(&mut self) -> io::Result<()> {
        if self.connection.is_some() {
            return Ok(());
        }
        self.buffer.clear();
        let stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let watched = self.stop.watch(&stream)?;
        self.connection = Some((stream, watched));
        Ok(())
    }

    fn stream(&self) -> io::Result<&TcpStream> {
        let connection = self.connection.as_ref();
        let (stream, _) = connection.ok_or(io::ErrorKind::NotConnected)?;
        Ok(stream)
    }

    fn send(&mut self, method: &str, target: &str, body: Option<&[u8]>) -> io::Result<()> {
        let mut request = std::mem::take(&mut self.request);
        request.clear();
        write!(
            request,
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n",
            self.host
        )?;
        if let Some(token) = &self.token {
            write!(request, "Authorization: Bearer {token}\r\n")?;
        }
        if method == "POST" {
            write!(request, "Content-Type: application/json\r\n")?;
        }
        if let Some(body) = body {
            write!(request, "Content-Length: {}\r\n", body.len())?;
        }
        write!(request, "\r\n")?;
        let body = body.unwrap_or_default();
        let rest = if body.len() <= TOGETHER_MAX {
            request.extend_from_slice(body);
            &[]
        } else {
            body
        };
        let mut stream = self.stream()?;
        stream.write_all(&request)?;
        stream.write_all(rest)?;
        self.request = request;
        Ok(())
    }

    /// Reads more; an error where nothing comes any more.
    fn more(&mut self) -> io::Result<usize> {
        let connection = self.connection.as_ref();
        let (mut stream, _) = connection
            .map(|(stream, watched)| (stream, watched))
            .ok_or(io::ErrorKind::NotConnected)?;
        loop {
            match stream.read(&mut self.piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn answer(&mut self, wanted: &Body<'_>) -> Result<Vec<u8>, Failure> {
        let head_len = loop {
            let end = self.buffer.windows(4).position(|it| it == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(Failure::Broken("an answer with an endless head".to_owned()));
            }
            let read = self.more()?;
            self.buffer.extend_from_slice(&self.piece[..read]);
        };
        let rest = self.buffer.split_off(head_len);
        let head = std::mem::replace(&mut self.buffer, rest);
        let head = Head::read(&head)
            .ok_or_else(|| Failure::Broken("an answer that is no HTTP".to_owned()))?;
        let body = match wanted {
            Body::Expected(expected) if head.status == 200 => {
                self.compare(head.len, expected)?;
                Vec::new()
            }
            _ => self.keep(head.len)?,
        };
        if head.closes {
            self.connection = None;
        }
        if head.status < 300 {
            return Ok(body);
        }
        let said = read_json(&body).unwrap_or_default();
        let kind = said["error"]["kind"].as_str().unwrap_or("of no kind");
        Err(Failure::Refused(head.status, kind.to_owned()))
    }

    /// Reads a body of this length.
    fn keep(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < len {
            let read = self.more()?;
            self.buffer.extend_from_slice(&self.piece[..read]);
        }
        let rest = self.buffer.split_off(len);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Reads a body and looks whether it is the expected one.
    fn compare(&mut self, len: usize, expected: &[u8]) -> Result<(), Failure> {
        if len != expected.len() || self.buffer.len() > len {
            return Err(Failure::WrongBytes);
        }
        let mut at = self.buffer.len();
        if self.buffer != expected[..at] {
            return Err(Failure::WrongBytes);
        }
        self.buffer.clear();
        while at < len {
            let read = self.more()?;
            let end = at + read;
            if end > len || self.piece[..read] != expected[at..end] {
                return Err(Failure::WrongBytes);
            }
            at = end;
        }
        Ok(())
    }
}

/// What is needed of the head of an answer.
#[derive(Debug)]
struct Head {
    status: u16,
    len: usize,
    closes: bool,
}

impl Head {
    fn read(head: &[u8]) -> Option<Self> {
        let mut lines = str::from_utf8(head).ok()?.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut head = Self {
            status,
            len: 0,
            closes: false,
        };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                head.len = value.trim().parse().ok()?;
            } else if name.eq_ignore_ascii_case("connection") {
                head.closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        Some(head)
    }
}

fn read_json(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body)
        .map_err(|_| Failure::Broken("an answer that is no JSON".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers each of the requests of one connection with the next of these answers.
    fn serve(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut heard = Vec::new();
                while !heard.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    heard.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn answers_follow_one_another_on_one_connection() {
        let server = serve(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nworld",
            "HTTP/1.1 503 Busy\r\nContent-Length: 25\r\n\r\n{\"error\":{\"kind\":\"busy\"}}",
        ]);
        let mut client = Client::new(&server, None, &Stop::default()).unwrap();
        assert_eq!(client.get("a", b"hello"), Ok(()));
        assert_eq!(client.get("b", b"world"), Ok(()));
        let refused = Failure::Refused(503, "busy".to_owned());
        assert_eq!(client.get("c", b"world"), Err(refused));
    }

    #[test]
    fn a_server_that_is_not_there_is_a_broken_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap().to_string();
        drop(listener);
        let mut client = Client::new(&server, None, &Stop::default()).unwrap();
        let refused = Failure::Broken(io::ErrorKind::ConnectionRefused.to_string());
        assert_eq!(client.get("a", b"hello"), Err(refused));
    }

    #[test]
    fn other_bytes_than_expected_are_noticed() {
        let server = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhallo"]);
        let mut client = Client::new(&server, None, &Stop::default()).unwrap();
        assert_eq!(client.get("a", b"hello"), Err(Failure::WrongBytes));
    }
}
