//! Secrets that are easy to recognise, looked for in everything that a whole cluster leaves behind:
//! files, output, answers, command lines and environments.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::program::Ran;
use crate::rig::{Cluster, Tree};

/// The cluster secret: 32 bytes that spell something, in the three forms in which it could show.
const SECRET: &[u8; 32] = b"the canary that no one may hear!";
const SECRET_BASE64: &str = "dGhlIGNhbmFyeSB0aGF0IG5vIG9uZSBtYXkgaGVhciE=";

/// In every password that anybody types here, right or wrong.
const PASSWORD: &str = "canary-in-a-password";

/// Something that must not be seen, and where it may be.
struct Canary {
    what: &'static str,
    bytes: Vec<u8>,
    allowed: fn(&str) -> bool,
}

impl Canary {
    fn new(what: &'static str, bytes: impl Into<Vec<u8>>, allowed: fn(&str) -> bool) -> Self {
        let bytes = bytes.into();
        assert!(bytes.len() >= 8, "{what} is too short to be recognised");
        Self {
            what,
            bytes,
            allowed,
        }
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        bytes
            .windows(self.bytes.len())
            .any(|window| window == self.bytes)
    }
}

fn nowhere(_: &str) -> bool {
    false
}

/// What was collected, by where it comes from.
#[derive(Default)]
struct Heap {
    things: Vec<(String, Vec<u8>)>,
}

impl Heap {
    fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.things.push((name.into(), bytes.into()));
    }

    fn ran(&mut self, line: &str, ran: &Ran) {
        self.add(format!("output of `vaquita {line}`"), ran.out.as_bytes());
        self.add(format!("errors of `vaquita {line}`"), ran.err.as_bytes());
    }

    /// Every file below a directory.
    fn files(&mut self, directory: &Path) {
        for (path, bytes) in Tree::of(directory).into_files() {
            let name = path.strip_prefix(directory).unwrap_or(&path);
            self.add(format!("file {}", name.display()), bytes);
        }
    }

    /// What anybody on the host may see of the processes.
    fn processes(&mut self, pids: &[u32]) {
        for pid in pids {
            for file in ["cmdline", "environ"] {
                // It may have ended meanwhile.
                let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                self.add(format!("{file} of pid {pid}"), bytes);
            }
        }
    }

    /// Where a canary is.
    fn places(&self, canary: &Canary) -> Vec<&str> {
        self.things
            .iter()
            .filter(|(_, bytes)| canary.is_in(bytes))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    fn assert_clean(&self, canaries: &[Canary]) {
        for canary in canaries {
            let places = self.places(canary);
            let wrong: Vec<&&str> = places
                .iter()
                .filter(|name| !(canary.allowed)(name))
                .collect();
            assert!(wrong.is_empty(), "{} is in {wrong:?}", canary.what);
        }
    }
}

/// Runs a command and keeps what it said.
async fn run(cluster: &Cluster, heap: &mut Heap, line: &str, input: &str) -> Ran {
    let ran = cluster.place.run_with(line, input).await;
    heap.ran(line, &ran);
    ran
}

/// Asks the API without a login and keeps the answer.
async fn post(cluster: &Cluster, heap: &mut Heap, path: &str, body: &str) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {}.7\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        cluster.subnet,
        body.len()
    );
    let answer = cluster.connect("7:8990").await.ask(&request).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    heap.add(format!("answer to POST {path}"), answer);
}

/// A cluster with the secret on every host.
fn with_secret() -> Cluster {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    for host in ["P4", "P1", "P2"] {
        let path = cluster.path(&format!("{host}/config/cluster.secret"));
        fs::write(&path, format!("{SECRET_BASE64}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    cluster
}

/// A token, and the half of it that is secret, as text and as bytes.
fn canaries_of_token(token: &str) -> Vec<Canary> {
    let secret = token.rsplit('_').next().unwrap();
    let bytes: Vec<u8> = secret
        .as_bytes()
        .chunks_exact(2)
        .map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect();
    assert_eq!(bytes.len(), 32);
    vec![
        Canary::new("a token", secret, |name| name.ends_with("logins.json")),
        Canary::new("the bytes of a token", bytes, nowhere),
    ]
}

#[tokio::test]
async fn no_secret_of_a_cluster_is_where_it_is_not_meant_to_be() {
    let mut cluster = with_secret();
    let mut heap = Heap::default();
    let heap = &mut heap;
    cluster.start_agents();
    cluster.start_controller();
    let setup_code = cluster
        .until("the setup code", async || {
            let code = cluster.read("P4/data/master/meta/setup-code");
            (!code.is_empty()).then(|| code.trim_end().to_owned())
        })
        .await;

    // Logins: refused, slowed, malformed, and one that goes well.
    let typed = |number: u8| format!("{PASSWORD} {number}\n");
    run(&cluster, heap, "login --password-stdin", &typed(1))
        .await
        .failed(77);
    let line = "login --user nobody --password-stdin";
    run(&cluster, heap, line, &typed(2)).await.failed(77);
    for body in [
        format!(r#"{{"user":"admin","password":["{PASSWORD}"]}}"#),
        format!(r#"{{"user":"admin","password":"x","valid_for_s":"{PASSWORD}"}}"#),
        format!(r#"{{"user":"admin","password":"{PASSWORD}"#),
        format!(r#"{{"user":"admin","password":"{PASSWORD}","setup_code":{{}}}}"#),
        format!(r#""{PASSWORD}""#),
    ] {
        post(&cluster, heap, "/api/v1/login", &body).await;
    }
    let change = format!("123456\n{}", typed(3));
    let line = "user passwd admin --password-stdin";
    run(&cluster, heap, line, &change).await.ok();
    let mut tokens = vec![cluster.token()];

    // Users, rights, and refusals about them.
    for (line, input) in [
        ("user add alice --password-stdin", typed(4)),
        ("user add alice --password-stdin", typed(5)),
        ("user add admin --password-stdin", typed(5)),
        ("user passwd alice --password-stdin", typed(6)),
        (
            "user passwd admin --password-stdin",
            format!("{}{}", typed(7), typed(8)),
        ),
        (
            "user passwd admin --password-stdin",
            format!("{}canary\n", typed(3)),
        ),
        ("user grant alice log-read", String::new()),
        ("user list --json", String::new()),
        ("login --user alice --password-stdin", typed(6)),
    ] {
        run(&cluster, heap, line, &input).await;
    }
    tokens.push(cluster.token());
    run(&cluster, heap, "node log master --lines 500", "")
        .await
        .ok();
    run(&cluster, heap, "node start --all", "").await.failed(77);
    run(&cluster, heap, "logout", "").await.ok();
    let line = "login --user admin --password-stdin";
    run(&cluster, heap, line, &typed(3)).await.ok();
    tokens.push(cluster.token());

    // Nodes that start, crash, and tell the controller about it; a controller that is killed.
    run(&cluster, heap, "node start --all --wait", "")
        .await
        .ok();
    let node = cluster.row("P1-NODE1").await;
    crate::rig::kill(node.pid.unwrap());
    cluster
        .until_row("P1-NODE1", |row| {
            row.state == "online" && row.pid != node.pid
        })
        .await;
    cluster.take("P4").kill().await;
    cluster.start_controller();
    cluster
        .until_row("P2-NODE1", |row| row.state == "online")
        .await;
    for path in [
        "/metrics",
        "/api/v1/me",
        "/api/v1/status",
        "/api/v1/nodes",
        "/api/v1/users",
        "/api/v1/openapi.json",
        "/api/v1/nodes/P1-NODE1/log?tail=100000",
        "/api/v1/nodes/P1-agent/log?tail=100000",
        "/api/v1/nodes/nobody/log",
        "/",
    ] {
        let answer = cluster.get("7:8990", path).await;
        heap.add(format!("answer to {path}"), answer);
    }
    // A token where none is looked for, and one that is none, with another's id.
    let token = cluster.token();
    for path in [
        format!("/api/v1/nodes?token={token}"),
        format!("/{token}"),
        format!("/api/v1/nodes/{token}/log"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}.7\r\n\r\n", cluster.subnet);
        let answer = cluster.connect("7:8990").await.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        heap.add("answer to a token in a path", answer);
    }
    heap.processes(&cluster.processes());
    for line in [
        "status",
        "status --json",
        "node list --json",
        "node stop --all --wait",
    ] {
        run(&cluster, heap, line, "").await.ok();
    }
    heap.files(&cluster.place.path(""));

    let in_secret_file = |name: &str| name.ends_with("config/cluster.secret");
    let mut canaries = vec![
        Canary::new("the cluster secret", SECRET.as_slice(), nowhere),
        Canary::new(
            "the cluster secret in base64",
            SECRET_BASE64,
            in_secret_file,
        ),
        Canary::new("the cluster secret in hex", hex(SECRET), nowhere),
        Canary::new("a password", PASSWORD, nowhere),
        Canary::new("a password's hash", "$argon2id$", |name| {
            // Data nodes keep copies of the log.
            name.contains("P4/data/master/meta/seg-") || name.contains("/meta/mirror-seg-")
        }),
        Canary::new("the setup code", setup_code, |name| {
            name.ends_with("P4/log/controller.log") || name.contains("node log master")
        }),
    ];
    canaries.extend(tokens.iter().flat_map(|token| canaries_of_token(token)));
    heap.assert_clean(&canaries);

    // The search finds what there is to find.
    let count = |what: &str| {
        let canary = canaries.iter().find(|it| it.what == what).unwrap();
        heap.places(canary).len()
    };
    assert_eq!(count("the cluster secret in base64"), 3);
    assert!(count("a password's hash") >= 1);
    assert_eq!(
        count("the setup code"),
        2,
        "the log, and the log as it was read"
    );
    assert!(
        canaries
            .iter()
            .any(|it| it.what == "a token" && heap.places(it).len() == 1)
    );
    let names: Vec<&str> = heap.things.iter().map(|(name, _)| name.as_str()).collect();
    for part in [
        "P4/log/controller.log",
        "P4/controller.out",
        "P1/log/agent.log",
        "P1/log/P1-NODE1.log",
        "P1/log/P1-NODE1.out",
        "P1/data/P1-NODE1/node.cfg",
        "P1/data/P1-agent/meta/agent.state",
        "P1/data/P1-NODE1/meta/node.id",
        "P4/data/master/meta/cluster.id",
        "answer to /metrics",
        "environ of pid",
    ] {
        assert!(
            names.iter().any(|name| name.contains(part)),
            "no {part} in {names:?}"
        );
    }
    // The mistake that this is here to find.
    heap.add("a careless log", format!("login failed with {PASSWORD} 1"));
    let heap = &*heap;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        heap.assert_clean(&canaries);
    }));
    assert!(caught.is_err());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
