//! Requests over HTTP, each within its time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::TOKEN;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The kind of a refusal; nothing where there is none.
    pub(crate) fn kind(&self) -> String {
        let kind = self.json()["error"]["kind"].as_str().map(str::to_owned);
        kind.unwrap_or_default()
    }

    /// The status, and the kind of a refusal.
    pub(crate) fn told(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.kind())
            .trim_end()
            .to_owned()
    }
}

/// No answer.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    /// Whether the server may have got the request.
    pub(crate) sent: bool,
    pub(crate) why: String,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// The path, and what follows it.
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            target: target.into(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// An order in JSON.
    pub(crate) fn post(target: impl Into<String>, json: &Value) -> Self {
        Self {
            method: Method::POST,
            body: json.to_string().into(),
            ..Self::get(target)
        }
        .with("content-type", "application/json")
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A client of one server, connected when it has something to ask.
#[derive(Debug)]
pub(crate) struct Server {
    address: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(2);

impl Server {
    pub(crate) fn at(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            connection: None,
        }
    }

    /// Asks, and waits so long for the whole answer.
    pub(crate) async fn ask(&mut self, ask: &Ask, within: Duration) -> Result<Reply, Lost> {
        let mut sent = false;
        let asked = timeout(within, self.exchange(ask, &mut sent)).await;
        let lost = |why: String| Lost { sent, why };
        match asked {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(why)) => {
                self.connection = None;
                Err(lost(why))
            }
            Err(_) => {
                // Where the next answer begins is not known.
                self.connection = None;
                Err(lost("no answer in time".to_owned()))
            }
        }
    }

    async fn exchange(&mut self, ask: &Ask, sent: &mut bool) -> Result<Reply, String> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => self.connect().await?,
        };
        connection
            .ready()
            .await
            .map_err(|error| error.to_string())?;
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&ask.target)
            .header("host", &self.address)
            .header("authorization", format!("Bearer {TOKEN}"));
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let body = Full::new(ask.body.clone());
        let request = request.body(body).map_err(|error| error.to_string())?;
        *sent = true;
        let failed = |error: hyper::Error| format!("connection: {error}");
        let answer = connection.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let closes = closes(answer.headers());
        let body = answer.into_body().collect().await.map_err(failed)?;
        if !closes {
            self.connection = Some(connection);
        }
        Ok(Reply {
            status,
            body: body.to_bytes(),
        })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = timeout(CONNECT, TcpStream::connect(&self.address)).await;
        let stream = stream.map_err(|_| "no connection in time".to_owned())?;
        let stream = stream.map_err(|error| format!("no connection: {error}"))?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            // Whoever waits for an answer is told.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

fn closes(headers: &HeaderMap) -> bool {
    let connection = headers.get("connection").and_then(|it| it.to_str().ok());
    connection.is_some_and(|it| it.eq_ignore_ascii_case("close"))
}
