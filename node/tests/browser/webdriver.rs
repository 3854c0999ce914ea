//! The few words of the WebDriver protocol that the tests need (W3C WebDriver, sections 6 and 12): JSON over
//! HTTP to a driver on this machine.
//!
//! There are crates for all of it; the one that fits brings sixty others along, for which every run of the
//! gate would wait.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A session of a browser.
pub(crate) struct Session {
    port: u16,
    id: String,
}

/// How long anything may take in a browser on a busy machine. One that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(120);
/// Under this name an answer has an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Session {
    /// Begins one with the driver at a port; the error says why the browser does not start.
    pub(crate) async fn open(port: u16, capabilities: Value) -> Result<Self, String> {
        let wanted = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let told = try_call(port, "POST", "/session", Some(wanted)).await?;
        let id = told["sessionId"].as_str().unwrap().to_owned();
        Ok(Self { port, id })
    }

    pub(crate) async fn get(&self, command: &str) -> Value {
        let path = format!("/session/{}/{command}", self.id);
        call(self.port, "GET", &path, None).await
    }

    pub(crate) async fn post(&self, command: &str, parameters: Value) -> Value {
        let path = format!("/session/{}/{command}", self.id);
        call(self.port, "POST", &path, Some(parameters)).await
    }

    /// The first element of a selector.
    pub(crate) async fn find(&self, css: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": css });
        let told = self.post("element", wanted).await;
        told[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Ends it, and the browser with it.
    pub(crate) async fn close(&self) {
        let path = format!("/session/{}", self.id);
        call(self.port, "DELETE", &path, None).await;
    }
}

/// What the driver answers to a command. A refusal fails the test with its words.
async fn call(port: u16, method: &str, path: &str, parameters: Option<Value>) -> Value {
    let answer = try_call(port, method, path, parameters).await;
    answer.unwrap_or_else(|refusal| panic!("{method} {path}: {refusal}"))
}

async fn try_call(
    port: u16,
    method: &str,
    path: &str,
    parameters: Option<Value>,
) -> Result<Value, String> {
    #[expect(clippy::disallowed_methods, reason = "a client of its own")]
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    let driving = tokio::spawn(connection);
    let body = parameters
        .as_ref()
        .map(Value::to_string)
        .unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, format!("127.0.0.1:{port}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let answered = timeout(PATIENCE, async {
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status();
        (
            status,
            answer.into_body().collect().await.unwrap().to_bytes(),
        )
    });
    let Ok((status, bytes)) = answered.await else {
        return Err(format!("no answer within {} s", PATIENCE.as_secs()));
    };
    driving.abort();
    let mut told: Value = serde_json::from_slice(&bytes).unwrap();
    let value = told["value"].take();
    match status.is_success() {
        true => Ok(value),
        false => Err(format!("{} ({parameters:?})", value["message"])),
    }
}
