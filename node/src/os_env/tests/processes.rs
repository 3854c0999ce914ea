use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use vaquita_core::admin::LogRange;
use vaquita_core::ids::{Alias, Endpoint, RequestId};
use vaquita_core::process::{
    Inspection, PortState, ProcessEvent, ProcessExit, ProcessIdentity, ProcessOrder, StopSignal,
};

use super::soon;
use crate::env::{Env, HostFolders, Listener, Processes};
use crate::os_env::io_pool::IoPool;
use crate::os_env::proc::{boot_id, executable, stat};
use crate::os_env::processes::launch::{Arguments, Launcher, arguments};
use crate::os_env::{OsEnv, OsProcesses, Program};

/// An agent's processes, with a program of the test's choice in place of this one.
struct Host {
    folders: HostFolders,
    orders: mpsc::Sender<ProcessOrder>,
    events: mpsc::Receiver<ProcessEvent>,
    runs: JoinHandle<()>,
    _home: TempDir,
}

impl Host {
    fn of(program: &str, arguments: Arguments) -> Self {
        let home = TempDir::new().unwrap();
        let folders = HostFolders {
            home: home.path().join("data"),
            logs: home.path().join("log"),
            own_log: None,
        };
        Self::at(home, folders, program, arguments)
    }

    fn at(home: TempDir, folders: HostFolders, program: &str, arguments: Arguments) -> Self {
        let program = Arc::new(Program::open(Path::new(program)).unwrap());
        let launcher =
            Launcher::with_arguments(Arc::clone(&program), folders.clone(), arguments).unwrap();
        let processes = OsProcesses::with(
            program,
            folders.clone(),
            launcher,
            IoPool::start(1).unwrap(),
        );
        let (orders, queue) = mpsc::channel(16);
        let (sender, events) = mpsc::channel(16);
        let runs = tokio::spawn(processes.run(queue, sender));
        Self {
            folders,
            orders,
            events,
            runs,
            _home: home,
        }
    }

    async fn order(&self, order: ProcessOrder) {
        self.orders.send(order).await.unwrap();
    }

    async fn event(&mut self) -> ProcessEvent {
        soon(self.events.recv()).await.unwrap()
    }

    async fn launch(&mut self) -> Result<ProcessIdentity, String> {
        let order = ProcessOrder::Launch {
            alias: alias(),
            node_cfg: "mode=datanode\n".to_owned(),
        };
        self.order(order).await;
        match self.event().await {
            ProcessEvent::Launched { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    async fn inspect(&mut self, identity: &ProcessIdentity) -> Inspection {
        let order = ProcessOrder::Inspect {
            alias: alias(),
            identity: identity.clone(),
        };
        self.order(order).await;
        match self.event().await {
            ProcessEvent::Inspected { inspection, .. } => inspection,
            other => panic!("{other:?}"),
        }
    }

    async fn signal(&self, identity: &ProcessIdentity, signal: StopSignal) {
        let order = ProcessOrder::Signal {
            alias: alias(),
            identity: identity.clone(),
            signal,
        };
        self.order(order).await;
    }

    async fn exited(&mut self) -> (ProcessExit, Vec<String>) {
        match self.event().await {
            ProcessEvent::Exited { exit, log_tail, .. } => (exit, log_tail),
            other => panic!("{other:?}"),
        }
    }
}

fn alias() -> Alias {
    Alias::new("P1-NODE1").unwrap()
}

fn long_sleep(_: &HostFolders, _: &Alias) -> Vec<OsString> {
    vec!["600".into()]
}

fn nothing(_: &HostFolders, _: &Alias) -> Vec<OsString> {
    Vec::new()
}

/// Shows everything a process inherits, then ends.
fn show_inheritance(_: &HostFolders, _: &Alias) -> Vec<OsString> {
    let script = "env | sort; pwd; umask; readlink /proc/self/fd/0; \
                  grep NoNewPrivs /proc/self/status; cut -d' ' -f1,5 /proc/$$/stat; \
                  echo on standard error >&2; exit 69";
    vec!["-c".into(), script.into()]
}

#[tokio::test]
async fn a_node_is_started_found_killed_and_reported() {
    let mut host = Host::of("/usr/bin/sleep", long_sleep);
    std::fs::create_dir_all(&host.folders.logs).unwrap();
    let log = host.folders.logs.join("P1-NODE1.log");
    let lines: String = (1..=60).map(|number| format!("line {number}\n")).collect();
    std::fs::write(log, lines).unwrap();

    let identity = host.launch().await.unwrap();
    assert_eq!(host.inspect(&identity).await, Inspection::Running);
    host.signal(&identity, StopSignal::Kill).await;
    let (exit, tail) = host.exited().await;
    assert_eq!(exit, ProcessExit::Signal(9));
    assert_eq!(tail.len(), 50);
    assert_eq!(tail[0], "line 11");
    assert_eq!(tail[49], "line 60");
    assert_eq!(host.inspect(&identity).await, Inspection::Gone);
}

#[tokio::test]
async fn a_node_killed_by_somebody_else_is_reported_at_once() {
    let mut host = Host::of("/usr/bin/sleep", long_sleep);
    let identity = host.launch().await.unwrap();
    let kill = Command::new("kill")
        .args(["-9", &identity.pid.to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(host.exited().await.0, ProcessExit::Signal(9));
}

#[tokio::test]
async fn the_status_of_a_node_that_ends_by_itself_is_known() {
    let mut host = Host::of("/usr/bin/false", nothing);
    host.launch().await.unwrap();
    assert_eq!(host.exited().await.0, ProcessExit::Code(1));
}

#[tokio::test]
async fn a_node_inherits_nothing_but_what_it_needs() {
    let mut host = Host::of("/usr/bin/sh", show_inheritance);
    // This process itself has more to hand on.
    assert!(std::env::var_os("PATH").is_some());
    // An Env has to be there for its umask.
    let _env = OsEnv::new().unwrap();
    let identity = host.launch().await.unwrap();
    let (exit, words) = host.exited().await;
    assert_eq!(exit, ProcessExit::Code(69));
    let shell_made = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
    let allowed = ["LANG=", "TZ=", "RUST_BACKTRACE=", "RUST_LOG="];
    let home = host.folders.home.join("P1-NODE1");
    let at = words
        .iter()
        .position(|line| *line == home.display().to_string())
        .unwrap();
    for variable in &words[..at] {
        let known = shell_made.iter().chain(&allowed);
        assert!(
            known.into_iter().any(|name| variable.starts_with(name)),
            "{variable}"
        );
    }
    assert_eq!(words[at + 1], "0077");
    assert_eq!(words[at + 2], "/dev/null");
    assert!(words[at + 3].starts_with("NoNewPrivs:") && words[at + 3].ends_with('1'));
    // It leads a process group of its own.
    assert_eq!(words[at + 4], format!("{0} {0}", identity.pid));
    assert_eq!(words[at + 5], "on standard error");
}

#[tokio::test]
async fn the_configuration_is_written_for_its_user_alone() {
    let mut host = Host::of("/usr/bin/true", nothing);
    let config = host.folders.home.join("P1-NODE1/node.cfg");
    // Also over one that somebody made readable.
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "old").unwrap();
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
    host.launch().await.unwrap();
    host.exited().await;
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "mode=datanode\n");
    let mode = std::fs::metadata(&config).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_arguments_follow_from_the_alias_alone() {
    let folders = HostFolders {
        home: "/srv/with blank".into(),
        logs: "/var/log/vq".into(),
        own_log: None,
    };
    let expected = [
        "-mode",
        "datanode",
        "-alias",
        "P1-NODE1",
        "-home",
        "/srv/with blank/P1-NODE1",
        "-config",
        "/srv/with blank/P1-NODE1/node.cfg",
        "-logFile",
        "/var/log/vq/P1-NODE1.log",
    ];
    assert_eq!(arguments(&folders, &alias()), expected);
}

#[tokio::test]
async fn a_node_that_cannot_be_started_is_told_with_the_reason() {
    let mut host = Host::of("/usr/bin/true", nothing);
    std::fs::create_dir_all(&host.folders.home).unwrap();
    let home = host.folders.home.join("P1-NODE1");
    std::fs::write(&home, "a file").unwrap();
    let reason = host.launch().await.unwrap_err();
    assert!(reason.contains(&home.display().to_string()), "{reason}");
}

#[tokio::test]
async fn nodes_outlive_their_agent_and_are_found_by_the_next() {
    let mut first = Host::of("/usr/bin/sleep", long_sleep);
    let identity = first.launch().await.unwrap();
    first.runs.abort();
    let _ = first.runs.await;

    let mut second = Host::at(first._home, first.folders, "/usr/bin/sleep", long_sleep);
    assert_eq!(second.inspect(&identity).await, Inspection::Running);
    // Asked twice, it is watched once.
    assert_eq!(second.inspect(&identity).await, Inspection::Running);
    second.signal(&identity, StopSignal::Terminate).await;
    assert_eq!(second.exited().await.0, ProcessExit::Signal(15));
    assert_eq!(second.inspect(&identity).await, Inspection::Gone);
}

/// A process whose parent is somebody else, and who it is.
fn stranger() -> ProcessIdentity {
    let mut shell = Command::new("sh")
        .args(["-c", "sleep 600 >/dev/null & echo $!"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    shell.wait().unwrap();
    let pid = line.trim().parse().unwrap();
    // The child of the shell becomes `sleep` a moment after the shell has told its id.
    let sleep = Program::open(Path::new("/usr/bin/sleep")).unwrap();
    while executable(pid).unwrap() != sleep.id {
        std::thread::yield_now();
    }
    ProcessIdentity {
        pid,
        start_ticks: stat(pid).unwrap().unwrap().start_ticks,
        boot_id: boot_id().unwrap(),
        executable: sleep.id,
    }
}

#[tokio::test]
async fn the_end_of_a_node_started_by_another_agent_is_seen_without_its_status() {
    let mut host = Host::of("/usr/bin/sleep", long_sleep);
    let identity = stranger();
    assert_eq!(host.inspect(&identity).await, Inspection::Running);
    host.signal(&identity, StopSignal::Kill).await;
    assert_eq!(host.exited().await.0, ProcessExit::Unknown);
}

#[tokio::test]
async fn a_process_id_alone_proves_nothing() {
    let mut host = Host::of("/usr/bin/sleep", long_sleep);
    let identity = host.launch().await.unwrap();

    let reused = ProcessIdentity {
        start_ticks: identity.start_ticks + 1,
        ..identity.clone()
    };
    let rebooted = ProcessIdentity {
        boot_id: "another boot".to_owned(),
        ..identity.clone()
    };
    let never = ProcessIdentity {
        pid: u32::MAX,
        ..identity.clone()
    };
    for gone in [reused, rebooted, never] {
        assert_eq!(host.inspect(&gone).await, Inspection::Gone);
        host.signal(&gone, StopSignal::Kill).await;
        let event = host.event().await;
        assert!(
            matches!(
                event,
                ProcessEvent::Inspected {
                    inspection: Inspection::Gone,
                    ..
                }
            ),
            "{event:?}"
        );
    }
    let exchanged = ProcessIdentity {
        executable: (1, 2),
        ..identity.clone()
    };
    let inspection = host.inspect(&exchanged).await;
    assert!(matches!(inspection, Inspection::Unproven { .. }));
    host.signal(&exchanged, StopSignal::Kill).await;
    let ProcessEvent::Inspected { inspection, .. } = host.event().await else {
        panic!("no inspection");
    };
    assert_eq!(
        inspection,
        Inspection::Unproven {
            reason: format!("pid {} runs another program now", identity.pid)
        }
    );
    // Nothing of all that hit it.
    assert_eq!(host.inspect(&identity).await, Inspection::Running);
    host.signal(&identity, StopSignal::Kill).await;
    assert_eq!(host.exited().await.0, ProcessExit::Signal(9));
}

#[tokio::test]
async fn ports_are_free_held_by_name_or_refused() {
    let mut host = Host::of("/usr/bin/true", nothing);
    let env = OsEnv::new().unwrap();
    let at = |host: &str, port| Endpoint {
        host: host.to_owned(),
        port,
    };
    let listener = env.listen(&at("127.0.0.4", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let own = format!("pid {} (", std::process::id());
    let mut probe = async |endpoint: Endpoint| {
        let alias = alias();
        host.order(ProcessOrder::ProbePort { alias, endpoint })
            .await;
        match host.event().await {
            ProcessEvent::PortProbed { state, .. } => state,
            other => panic!("{other:?}"),
        }
    };
    let PortState::Held { holder } = probe(at("127.0.0.4", port)).await else {
        panic!("a listening port is held");
    };
    assert!(holder.unwrap().starts_with(&own));
    assert_eq!(probe(at("127.0.0.5", port)).await, PortState::Free);

    let udp = env.bind_udp(&at("127.0.0.5", port)).await.unwrap();
    let PortState::Held { holder } = probe(at("127.0.0.5", port)).await else {
        panic!("heartbeats need the port as well");
    };
    assert!(holder.unwrap().starts_with(&own));
    drop(udp);
    // A process that another test is starting just now has all sockets of this one until it runs
    // its own program.
    while probe(at("127.0.0.5", port)).await != PortState::Free {}

    // An address for documentation, which no host has.
    let PortState::Refused { reason } = probe(at("192.0.2.1", port)).await else {
        panic!("an address of another host cannot be bound");
    };
    assert!(
        reason.contains("Cannot assign requested address"),
        "{reason}"
    );
}

#[tokio::test]
async fn logs_are_read_whether_the_node_runs_or_not() {
    let mut host = Host::of("/usr/bin/true", nothing);
    let mut read = async |range| {
        host.order(ProcessOrder::ReadLog {
            id: RequestId(3),
            alias: alias(),
            generation: 0,
            range,
        })
        .await;
        match host.event().await {
            ProcessEvent::LogRead { id, result } => {
                assert_eq!(id, RequestId(3));
                (host.folders.logs.clone(), result)
            }
            other => panic!("{other:?}"),
        }
    };
    let (logs, missing) = read(LogRange::Tail { len: 10 }).await;
    let reason = missing.unwrap_err();
    assert!(reason.contains("has not been started"), "{reason}");
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join("P1-NODE1.log"), "0123456789").unwrap();
    let (_, piece) = read(LogRange::From { offset: 4, len: 3 }).await;
    let piece = piece.unwrap();
    assert_eq!(piece.bytes, b"456");
    assert_eq!((piece.offset, piece.file_len), (4, 10));
}
