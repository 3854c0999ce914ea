#![expect(
    clippy::disallowed_methods,
    reason = "the peers of a driver under test are plain sockets"
)]

mod connections;
mod core_loop;
mod datagrams;
mod limits;
mod parts;
mod requests;
mod secured;
mod work;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vaquita_core::admin::{Caller, Request, Verb};
use vaquita_core::event::Event;
use vaquita_core::figures::Figures;
use vaquita_core::ids::{ConnId, Endpoint, RequestId};
use vaquita_core::io::{Effect, ExitCode, ExitReason, Input, Machine};
use vaquita_core::time::Timestamp;

use super::{
    BuildCheckpoint, DriverLimits, Front, HttpService, NoHttp, PasswordCost, Terminator, Wiring,
    bind, front, run, terminator,
};
use crate::data::DataEnd;
use crate::env::Env;
use crate::os_env::OsEnv;
use crate::tls::{Peers, PortTls, Serving};

/// Long enough for a machine that is busy with other things; nobody waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that has to happen.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event)
        .await
        .expect("what has to happen happens within a minute")
}

/// What a toy machine does about an input.
type React = Box<dyn FnMut(&mut Toy, Timestamp, &Input) + Send>;

/// A machine that tells the test what it was told and does what the test says.
struct Toy {
    told: mpsc::UnboundedSender<Input>,
    measured: mpsc::UnboundedSender<Figures>,
    react: Option<React>,
    effects: VecDeque<Effect>,
    due: Option<Timestamp>,
}

impl Toy {
    fn emit(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    fn exit(&mut self, message: &str) {
        self.emit(Effect::Exit(ExitReason {
            code: ExitCode::Success,
            message: message.to_owned(),
        }));
    }
}

impl Machine for Toy {
    fn handle(&mut self, now: Timestamp, input: Input) {
        // That comes when it likes, and is what one test alone is about.
        if let Input::Measured(figures) = input {
            let _ = self.measured.send(*figures);
            return;
        }
        if let Some(mut react) = self.react.take() {
            react(self, now, &input);
            self.react = Some(react);
        }
        // The test may have seen enough.
        let _ = self.told.send(input);
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.due
    }

    fn check_invariants(&self) {}
}

/// A driver to be started, with everything a test may want otherwise.
struct Setup<H> {
    limits: DriverLimits,
    http: H,
    tls: PortTls,
    first: Vec<Effect>,
    due: Option<Timestamp>,
    build_checkpoint: Option<BuildCheckpoint>,
    data: Option<DataEnd<OsEnv>>,
    home: TempDir,
}

impl Setup<NoHttp> {
    fn new() -> Self {
        Self {
            limits: DriverLimits::default(),
            http: NoHttp,
            tls: PortTls::default(),
            first: Vec::new(),
            due: None,
            build_checkpoint: None,
            data: None,
            home: TempDir::new().unwrap(),
        }
    }
}

impl<H: HttpService> Setup<H> {
    fn http<G>(self, http: G) -> Setup<G> {
        Setup {
            limits: self.limits,
            http,
            tls: self.tls,
            first: self.first,
            due: self.due,
            build_checkpoint: self.build_checkpoint,
            data: self.data,
            home: self.home,
        }
    }

    fn tls(mut self, serving: Serving) -> Self {
        self.tls.https = Some(serving);
        self
    }

    fn peers(mut self, peers: Peers) -> Self {
        self.tls.peers = Some(peers);
        self
    }

    fn limits(mut self, change: impl FnOnce(&mut DriverLimits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Effects the machine has before it is told anything.
    fn first(mut self, effects: Vec<Effect>) -> Self {
        self.first = effects;
        self
    }

    async fn start(
        self,
        react: impl FnMut(&mut Toy, Timestamp, &Input) + Send + 'static,
    ) -> Running {
        let env = OsEnv::new().unwrap();
        let at = Endpoint {
            host: "127.0.0.1".to_owned(),
            port: 0,
        };
        let port = bind(&env, &at, &self.limits).await.unwrap();
        let address = port.address();
        let disk = env.open_disk(self.home.path()).await.unwrap();
        let (front, questions) = front(&self.limits);
        let (terminator, termination) = terminator();
        let (told, inputs) = mpsc::unbounded_channel();
        let (measured_sender, measured) = mpsc::unbounded_channel();
        let (event_sender, events) = mpsc::unbounded_channel();
        let machine = Toy {
            told,
            measured: measured_sender,
            react: Some(Box::new(react)),
            effects: self.first.into(),
            due: self.due,
        };
        let wiring = Wiring {
            limits: self.limits,
            port,
            disk,
            processes: None,
            data: self.data,
            http: self.http,
            tls: self.tls,
            questions,
            termination,
            password_cost: PasswordCost {
                memory_kib: 64,
                passes: 1,
            },
            build_checkpoint: self.build_checkpoint,
            on_event: Some(Box::new(move |event| {
                let _ = event_sender.send(event.clone());
            })),
        };
        let exit = tokio::spawn(run(env, machine, wiring));
        Running {
            address,
            front,
            terminator,
            inputs,
            measured,
            events,
            exit,
            home: self.home,
        }
    }
}

/// A driver with a toy machine, running on real sockets and a real disk.
struct Running {
    address: SocketAddr,
    front: Front,
    terminator: Terminator,
    inputs: mpsc::UnboundedReceiver<Input>,
    measured: mpsc::UnboundedReceiver<Figures>,
    events: mpsc::UnboundedReceiver<Event>,
    exit: JoinHandle<ExitReason>,
    home: TempDir,
}

impl Running {
    /// The next thing the machine was told.
    async fn told(&mut self) -> Input {
        soon(self.inputs.recv()).await.expect("the machine runs")
    }

    /// Why the driver ended.
    async fn ended(self) -> ExitReason {
        soon(self.exit).await.unwrap()
    }

    async fn dial(&self) -> TcpStream {
        soon(TcpStream::connect(self.address)).await.unwrap()
    }

    fn home(&self) -> &Path {
        self.home.path()
    }
}

/// Does nothing.
fn idle(_: &mut Toy, _: Timestamp, _: &Input) {}

/// Reads to the end of a connection, however it ends.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = soon(stream.read(&mut buffer)).await {
        bytes.extend_from_slice(&buffer[..len]);
    }
    bytes
}

/// The request with this verb from the console.
fn request(verb: Verb) -> Request {
    Request {
        caller: Caller::CONSOLE,
        verb,
    }
}

/// The id of a request that the machine was told.
fn request_id(input: &Input) -> Option<RequestId> {
    match input {
        Input::Request { id, .. } => Some(*id),
        _ => None,
    }
}

/// The connection that an input is about.
fn accepted(input: &Input) -> Option<ConnId> {
    match input {
        Input::Accepted { conn, .. } => Some(*conn),
        _ => None,
    }
}
