//! A cluster of the example files, a directory a host.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde::Deserialize;

use super::addresses::Addresses;
use super::http::Connection;
use super::processes::{Server, Sweeper};
use super::waiting::Waiting;
use crate::program::{Place, Ran, example};

/// The hosts of the example that have an agent and a data node, with the last number of each
/// address. The controller is on P4, at .7.
pub(crate) const SEED_HOSTS: [(&str, u8); 4] = [("P1", 1), ("P2", 3), ("P3", 5), ("P5", 9)];

/// What the administrator's password is changed to.
pub(crate) const PASSWORD: &str = "long enough";
/// A secret for a cluster that is to have one: the bytes from 0 to 31.
pub(crate) const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

/// The directory that the hosts' directories are in: a path that a shell would have to quote.
const ROOM: &str = "room 1 für 机房";

/// A cluster of real processes. Whatever runs of it ends with it.
pub(crate) struct Cluster {
    /// Running servers, by the host's directory; the controller's is P4.
    pub(crate) servers: BTreeMap<String, Server>,
    /// Before the place, so that nothing runs any more in a directory that is removed.
    sweeper: Sweeper,
    pub(crate) place: Place,
    /// What the addresses of the files begin with, such as `127.130.7`.
    pub(crate) subnet: String,
    _addresses: Option<Addresses>,
}

/// A member as `node list --json` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    pub(crate) alias: String,
    pub(crate) mode: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) admin: String,
    pub(crate) admin_reason: String,
    pub(crate) conditions: Vec<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) epoch: Option<u64>,
}

impl Cluster {
    /// The example's files, their addresses mapped to loopback and nothing else changed. Nothing
    /// runs yet.
    pub(crate) fn of_seed() -> Self {
        let addresses = Addresses::take();
        Self::at(&addresses.subnet(), Some(addresses))
    }

    /// The same with the addresses given.
    pub(crate) fn at(subnet: &str, addresses: Option<Addresses>) -> Self {
        let subnet = subnet.to_owned();
        let text = |name: &str| {
            let text = fs::read_to_string(example("seed").join(name)).unwrap();
            text.replace("10.1.1.", &format!("{subnet}."))
        };
        let file = |host: &str, name: &str, example: &str| {
            let name = format!("{ROOM}/{host}/config/{name}");
            (name, text(example))
        };
        let mut files = vec![
            file("P4", "controller.cfg", "controller.cfg"),
            file("P4", "cluster.nodes", "cluster.nodes"),
            file("P4", "cluster.cfg", "cluster.cfg"),
        ];
        files.extend(
            SEED_HOSTS.map(|(host, _)| file(host, "agent.cfg", &format!("agent-{host}.cfg"))),
        );
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let mut place = Place::with(&files);
        place.set("VAQUITA_SERVER", &format!("{subnet}.7:8990"));
        for host in ["P4", "P1", "P2", "P3", "P5"] {
            for folder in ["data", "log"] {
                fs::create_dir_all(place.path(&format!("{ROOM}/{host}/{folder}"))).unwrap();
            }
        }
        let sweeper = Sweeper::of(&place.path(""));
        Self {
            servers: BTreeMap::new(),
            sweeper,
            place,
            subnet,
            _addresses: addresses,
        }
    }

    /// The seed's cluster, started, the administrator logged in, no data node running.
    pub(crate) async fn started() -> Self {
        let mut cluster = Self::of_seed();
        cluster.start_all().await;
        cluster
    }

    /// The same, and green.
    pub(crate) async fn green() -> Self {
        let cluster = Self::started().await;
        cluster.vaquita("node start --all --wait").await.ok();
        cluster
    }

    /// A small one: the controller, and P1 and P2 with their agents and data nodes.
    pub(crate) async fn of_two_hosts() -> Self {
        let mut cluster = Self::of_seed();
        cluster.keep_two_hosts();
        cluster.start_all().await;
        cluster
    }

    /// Has the controller and the agents of these hosts serve HTTPS, which takes a secret; commands are told
    /// to use it.
    pub(crate) fn serve_https(&mut self, hosts: &[&str]) {
        self.add_line("P4/config/controller.cfg", "enableHTTPS=1");
        for host in hosts {
            self.add_line(&format!("{host}/config/agent.cfg"), "enableHTTPS=1");
        }
        for host in hosts.iter().chain(&["P4"]) {
            let path = self.path(&format!("{host}/config/cluster.secret"));
            fs::write(&path, SECRET).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let server = format!("https://{}.7:8990", self.subnet);
        self.place.set("VAQUITA_SERVER", &server);
    }

    /// Takes P3 and P5 out of the files.
    pub(crate) fn keep_two_hosts(&mut self) {
        self.edit("P4/config/cluster.nodes", |text| {
            let kept = text
                .lines()
                .filter(|line| !line.contains("P3-") && !line.contains("P5-"));
            kept.map(|line| format!("{line}\n")).collect()
        });
    }

    // ---- files ----

    /// A path below the hosts' directories, such as `P1/config/agent.cfg`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path(ROOM).join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Changes a file.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text, "the change of {name} changes nothing");
        fs::write(path, changed).unwrap();
    }

    /// Replaces a part of a file that has to be there.
    pub(crate) fn replace(&self, name: &str, part: &str, by: &str) {
        self.edit(name, |text| text.replace(part, by));
    }

    /// Adds a line to a file.
    pub(crate) fn add_line(&self, name: &str, line: &str) {
        self.edit(name, |text| format!("{text}{line}\n"));
    }

    /// The controller's own files.
    pub(crate) fn metadata(&self) -> PathBuf {
        self.path("P4/data/master/meta")
    }

    /// The newest file of the controller's log.
    pub(crate) fn newest_segment(&self) -> PathBuf {
        let mut segments: Vec<PathBuf> = fs::read_dir(self.metadata())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "log"))
            .collect();
        segments.sort();
        segments.pop().unwrap()
    }

    // ---- processes ----

    /// Starts a server of a host with the flags that the deployment guide gives, in a directory of
    /// the host.
    pub(crate) fn run(&self, host: &str, words: &[&str], output: &str) -> Server {
        let mut command = self.place.command();
        command.current_dir(self.path(host)).args(words);
        Server::start(command, self.path(host).join(output))
    }

    /// Starts another agent with the files of a host; it is the caller's.
    pub(crate) fn run_agent(&self, host: &str, output: &str) -> Server {
        let words = "-console 0 -mode agent -home data -config config/agent.cfg -logFile \
                     log/agent.log";
        self.run(host, &words.split(' ').collect::<Vec<_>>(), output)
    }

    /// Starts another controller with the files of P4; it is the caller's.
    pub(crate) fn run_controller(&self, output: &str) -> Server {
        let words = "-console 0 -mode controller -home data -config config/controller.cfg \
                     -clusterConfig config/cluster.cfg -logFile log/controller.log -nodesFile \
                     config/cluster.nodes";
        self.run("P4", &words.split(' ').collect::<Vec<_>>(), output)
    }

    pub(crate) fn start_agent(&mut self, host: &str) {
        let server = self.run_agent(host, "agent.out");
        assert!(self.servers.insert(host.to_owned(), server).is_none());
    }

    pub(crate) fn start_agents(&mut self) {
        let nodes = self.read("P4/config/cluster.nodes");
        for (host, _) in SEED_HOSTS {
            if nodes.contains(&format!("{host}-agent")) {
                self.start_agent(host);
            }
        }
    }

    pub(crate) fn start_controller(&mut self) {
        let server = self.run_controller("controller.out");
        assert!(self.servers.insert("P4".to_owned(), server).is_none());
    }

    /// Starts the servers and logs in.
    pub(crate) async fn start_all(&mut self) {
        self.start_agents();
        self.start_controller();
        self.log_in().await;
    }

    /// The server of a host, which is no longer the cluster's.
    pub(crate) fn take(&mut self, host: &str) -> Server {
        self.servers.remove(host).unwrap()
    }

    // ---- commands ----

    /// Runs a command of the program.
    pub(crate) async fn vaquita(&self, line: &str) -> Ran {
        self.place.run(line).await
    }

    /// Runs a command, again and again while the controller is not there or not ready.
    async fn once_ready(&self, line: &str, input: &str) {
        const UNAVAILABLE: i32 = 69;
        let ran = self.until("the controller answers", async || {
            let ran = self.place.run_with(line, input).await;
            (ran.status != UNAVAILABLE).then_some(ran)
        });
        ran.await.ok();
    }

    /// Waits until the controller answers, gives the administrator another password and is logged
    /// in afterwards.
    pub(crate) async fn log_in(&self) {
        let code = self.setup_code().await;
        let passwords = format!("123456\n{PASSWORD}\n{code}\n");
        self.once_ready("user passwd admin --password-stdin", &passwords)
            .await;
    }

    /// The setup code, where the first login needs one: the commands of a test are on another
    /// machine than the controller's loopback.
    async fn setup_code(&self) -> String {
        if self.subnet.starts_with("127.") {
            return String::new();
        }
        let file = "P4/data/master/meta/setup-code";
        self.until("the setup code", async || {
            let code = self.read(file);
            (!code.is_empty()).then_some(code)
        })
        .await
    }

    /// Logs in with the changed password: sessions end with the controller's process.
    pub(crate) async fn log_in_again(&self) {
        self.once_ready("login --password-stdin", PASSWORD).await;
    }

    /// Logs in with the password that everybody knows.
    pub(crate) async fn log_in_first(&self) {
        self.once_ready("login --password-stdin", "123456").await;
    }

    /// The members as they are now, without the controller; none if it does not answer.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        let ran = self.vaquita("node list --json").await;
        if ran.status != 0 {
            return Vec::new();
        }
        let mut rows: Vec<Row> = serde_json::from_str(&ran.out).unwrap();
        rows.retain(|row| row.mode != "controller");
        rows
    }

    /// One member as it is now.
    pub(crate) async fn row(&self, alias: &str) -> Row {
        let mut rows = self.rows().await;
        rows.retain(|row| row.alias == alias);
        rows.pop().unwrap_or_default()
    }

    /// Looks until there is something to see; after 30 s it fails and shows the cluster.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let waiting = Waiting::begin();
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            if !waiting.goes_on().await {
                let status = self.vaquita("status").await;
                panic!(
                    "{what}: it never came to that.\n{}{}\n{}",
                    status.out,
                    status.err,
                    self.logs()
                );
            }
        }
    }

    /// Waits until a member is as wanted.
    pub(crate) async fn until_row(&self, alias: &str, wanted: impl Fn(&Row) -> bool) -> Row {
        self.until(alias, async || {
            let row = self.row(alias).await;
            wanted(&row).then_some(row)
        })
        .await
    }

    /// Waits for a line of a log that contains these words, and returns it.
    pub(crate) async fn until_log(&self, name: &str, words: &str) -> String {
        self.until(&format!("`{words}` in {name}"), async || {
            let text = self.read(name);
            let line = text.lines().find(|line| line.contains(words))?;
            Some(line.to_owned())
        })
        .await
    }

    /// Every log of the cluster, for a test that failed.
    fn logs(&self) -> String {
        let mut all = String::new();
        for host in ["P4", "P1", "P2", "P3", "P5"] {
            let Ok(entries) = fs::read_dir(self.path(host).join("log")) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                let text = fs::read_to_string(&path).unwrap_or_default();
                all.push_str(&format!("---- {}\n{text}", path.display()));
            }
        }
        all
    }

    /// Opens a connection to `HOST:PORT` of the cluster's addresses, `7:8990` for the controller.
    pub(crate) async fn connect(&self, site: &str) -> Connection {
        Connection::open(&format!("{}.{site}", self.subnet)).await
    }

    /// The token of the commands' login.
    pub(crate) fn token(&self) -> String {
        let kept = self.place.read("home/.config/vaquita/logins.json");
        let (_, rest) = kept.split_once("vqt_").unwrap();
        let (token, _) = rest.split_once('"').unwrap();
        format!("vqt_{token}")
    }

    /// Asks for a path at `HOST:PORT` with the commands' login, on a connection of its own.
    pub(crate) async fn get(&self, site: &str, path: &str) -> String {
        let (host, _) = site.split_once(':').unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}.{host}\r\nAuthorization: Bearer {}\r\n\r\n",
            self.subnet,
            self.token()
        );
        self.connect(site).await.ask(&request).await
    }

    /// The processes that run of this cluster.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.sweeper.found()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Agents first, so that they start nothing again; the sweeper takes what is left.
        for server in self.servers.values() {
            super::processes::kill(server.pid);
        }
    }
}
