//! A cluster of real processes on this machine, as `vaquita local` starts it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::http::Client;
use crate::servers::Servers;
use crate::stop::Stop;

/// How long a cluster may take to be green, to take its first file, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(10);

/// How a cluster is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub vaquita: PathBuf,
    /// Where everything of it goes: a directory in which nothing is yet.
    pub directory: PathBuf,
    /// How many hosts, each with an agent and a data node.
    pub hosts: u8,
    /// Lines that are added to `controller.cfg`, such as `dataSync=0`.
    pub lines: Vec<String>,
    /// Lines that are added to `cluster.cfg`, for data nodes.
    pub node_lines: Vec<String>,
}

/// Where a cluster is and how to talk to it.
#[derive(Clone, Debug)]
pub struct Access {
    /// `HOST:PORT` of the controller.
    pub server: String,
    /// A token that may read and write files.
    pub token: String,
}

/// A member as the controller tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub alias: String,
    /// `agent` or `datanode`.
    pub mode: String,
    /// `HOST:PORT`.
    pub server: String,
    /// How it is, such as `online`.
    pub state: String,
    /// Its process, where known.
    pub pid: Option<u32>,
}

impl Access {
    /// A client of the controller.
    ///
    /// # Errors
    /// If its address is none.
    pub fn controller(&self, stop: &Stop) -> Result<Client, String> {
        Client::new(&self.server, Some(&self.token), stop)
    }

    /// All members but the controller.
    ///
    /// # Errors
    /// If the controller does not tell.
    pub fn members(&self, controller: &mut Client) -> Result<Vec<Member>, String> {
        let rows = controller
            .json("/api/v1/nodes")
            .map_err(|failure| format!("{} does not list its nodes: {failure}", self.server))?;
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let rows = rows.as_array().cloned().unwrap_or_default();
        let members = rows.iter().map(|row| Member {
            alias: text(row, "alias"),
            mode: text(row, "mode"),
            server: format!("{}:{}", text(row, "host"), row["port"]),
            state: text(row, "state"),
            pid: row["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
        });
        Ok(members.filter(|it| it.mode != "controller").collect())
    }

    /// `HOST:PORT` of each data node that is online.
    ///
    /// # Errors
    /// If the controller does not tell, or there is none.
    pub fn data_nodes(&self, stop: &Stop) -> Result<Vec<String>, String> {
        let members = self.members(&mut self.controller(stop)?)?;
        let online = members
            .into_iter()
            .filter(|it| it.mode == "datanode" && it.state == "online");
        let servers: Vec<String> = online.map(|it| it.server).collect();
        if servers.is_empty() {
            return Err(format!("no data node of {} is online", self.server));
        }
        Ok(servers)
    }

    /// Makes a directory of the file system.
    ///
    /// # Errors
    /// If it is not made, or is there already.
    pub fn make_directory(&self, path: &str, stop: &Stop) -> Result<(), String> {
        let order = json!({ "path": format!("/{path}"), "parents": false });
        self.controller(stop)?
            .post("/api/v1/dfs/mkdir", &order)
            .map(drop)
            .map_err(|failure| format!("dfs://{path} cannot be made: {failure}"))
    }

    /// Removes a directory of the file system with all that is in it.
    ///
    /// # Errors
    /// If it is not removed.
    pub fn remove(&self, path: &str, stop: &Stop) -> Result<(), String> {
        let order = json!({ "path": format!("/{path}"), "recursive": true });
        self.controller(stop)?
            .post("/api/v1/dfs/remove", &order)
            .map(drop)
            .map_err(|failure| format!("dfs://{path} cannot be removed: {failure}"))
    }

    /// Waits until each data node takes a file into a directory: volumes are known to the controller a
    /// little later than their nodes.
    ///
    /// # Errors
    /// If it does not come to that.
    pub fn until_files_are_taken(&self, directory: &str, stop: &Stop) -> Result<(), String> {
        let begun = Instant::now();
        for server in self.data_nodes(stop)? {
            let mut client = Client::new(&server, Some(&self.token), stop)?;
            while let Err(failure) = client.put(&format!("{directory}/probe"), b"probe") {
                if begun.elapsed() > PATIENCE || stop.is_wanted() {
                    return Err(format!("{server} takes no file: {failure}"));
                }
                stop.sleep(PERIOD);
            }
        }
        Ok(())
    }
}

/// A cluster that runs. Ends when it is dropped; its directory stays.
#[derive(Debug)]
pub struct Cluster {
    /// How to talk to it.
    pub access: Access,
    /// What it said about its start, such as `all green after 218 ms: …`.
    pub green: String,
    directory: PathBuf,
    program: PathBuf,
    servers: Servers,
    /// The `vaquita local` that was started last, until all that it left is ended too.
    process: Option<Child>,
}

impl Cluster {
    /// Starts a cluster and logs in.
    ///
    /// # Errors
    /// If it does not become green; the error has its last words.
    pub fn start(plan: &Plan, stop: &Stop) -> Result<Self, String> {
        let directory = plan.directory.join("cluster");
        fs::create_dir_all(&plan.directory)
            .map_err(|error| format!("{}: {error}", plan.directory.display()))?;
        let servers = Servers::of(&plan.directory)?;
        let mut cluster = Self {
            access: Access {
                server: String::new(),
                token: String::new(),
            },
            green: String::new(),
            directory,
            program: plan.vaquita.clone(),
            servers,
            process: None,
        };
        cluster.run(plan, stop)?;
        if !plan.lines.is_empty() || !plan.node_lines.is_empty() {
            // The files are written by the first start, and count from the next one on.
            cluster.stop()?;
            cluster.configure("controller.cfg", &plan.lines)?;
            cluster.configure("cluster.cfg", &plan.node_lines)?;
            cluster.run(plan, stop)?;
        }
        cluster.log_in(stop)?;
        Ok(cluster)
    }

    /// Adds lines to a configuration file. They count from the next start of its process on; the last
    /// line for a key rules.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn configure(&self, file: &str, lines: &[String]) -> Result<(), String> {
        let path = self.directory.join(file);
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let written = OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(lines.as_bytes()));
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Runs a command of the program as the operator does; returns what it printed.
    ///
    /// # Errors
    /// Its complaint, if it does not end well.
    pub fn vaquita(&self, words: &[&str]) -> Result<String, String> {
        let line = words.join(" ");
        let mut command = Command::new(&self.program);
        for name in ["VAQUITA_SERVER", "VAQUITA_USER", "VAQUITA_PASSWORD"] {
            command.env_remove(name);
        }
        let home = self.directory.with_file_name("home");
        let ran = command
            .args(words)
            .env("HOME", home)
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("vaquita {line}: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if ran.status.success() {
            Ok(text(&ran.stdout))
        } else {
            Err(format!(
                "vaquita {line} ended with {}: {}{}",
                ran.status,
                text(&ran.stdout),
                text(&ran.stderr)
            ))
        }
    }

    fn run(&mut self, plan: &Plan, stop: &Stop) -> Result<(), String> {
        let home = plan.directory.join("home");
        let output = plan.directory.join("local.out");
        let failed = |error: std::io::Error| format!("vaquita local cannot be started: {error}");
        fs::create_dir_all(&home).map_err(failed)?;
        let stream = File::create(&output).map_err(failed)?;
        let mut command = Command::new(&plan.vaquita);
        command.arg("local").arg("--dir").arg(&self.directory);
        if !self.directory.exists() {
            // Beside a cluster that somebody runs here, and one of another process like this one.
            let number = std::process::id();
            let subnet = format!("127.{}.{}", 32 + number / 250 % 32, 1 + number % 250);
            let hosts = plan.hosts.to_string();
            command.args(["--subnet", &subnet, "--hosts", &hosts]);
        }
        for name in ["VAQUITA_SERVER", "VAQUITA_USER", "VAQUITA_PASSWORD"] {
            command.env_remove(name);
        }
        let child = command
            // The login that it keeps is nobody's but this run's.
            .env("HOME", &home)
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null())
            .stdout(stream.try_clone().map_err(failed)?)
            .stderr(stream)
            // Ctrl-C at the terminal goes to this program alone, which ends the cluster in order.
            .process_group(0)
            .spawn();
        self.process = Some(child.map_err(failed)?);
        let begun = Instant::now();
        loop {
            let said = fs::read_to_string(&output).unwrap_or_default();
            if said.contains("stop      Ctrl-C") {
                return self.take_in(&said);
            }
            let ended = match &mut self.process {
                Some(child) => child.try_wait().map_err(failed)?,
                None => None,
            };
            if let Some(status) = ended {
                return Err(format!("vaquita local ended ({status}): {said}"));
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("the cluster does not become green: {said}"));
            }
            if stop.is_wanted() {
                return Err("stopped".to_owned());
            }
            thread::sleep(PERIOD);
        }
    }

    fn take_in(&mut self, said: &str) -> Result<(), String> {
        let line = |mark: &str| {
            let (_, rest) = said.split_once(mark)?;
            Some(rest.lines().next()?.trim().to_owned())
        };
        let green = line("all green after").unwrap_or_default();
        self.green = format!("all green after {green}");
        self.access.server = line("address   http://")
            .ok_or_else(|| format!("vaquita local does not say its address: {said}"))?;
        Ok(())
    }

    fn log_in(&mut self, stop: &Stop) -> Result<(), String> {
        let path = self.directory.join("admin.password");
        let password =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let credentials = json!({ "user": "admin", "password": password.trim() });
        let answer = Client::new(&self.access.server, None, stop)?
            .post("/api/v1/login", &credentials)
            .map_err(|failure| format!("the login fails: {failure}"))?;
        let token = answer["token"].as_str();
        self.access.token = token.ok_or("the login gives no token")?.to_owned();
        Ok(())
    }

    /// Its server processes: controller, agents and data nodes.
    #[must_use]
    pub const fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Ends all of it in order, and by force what does not end.
    ///
    /// # Errors
    /// If it had ended by itself, or something had to be killed.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(child) = self.process.take() else {
            return Ok(());
        };
        let ended = end(child);
        // Whatever became of the one that started them.
        let killed = self.servers.kill(PATIENCE)?;
        ended?;
        if killed.is_empty() {
            Ok(())
        } else {
            Err(format!("did not end and were killed: pid {killed:?}"))
        }
    }
}

/// Ends `vaquita local`.
fn end(mut child: Child) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the cluster cannot be ended: {error}");
    if let Some(status) = child.try_wait().map_err(failed)? {
        return Err(format!("vaquita local has ended by itself ({status})"));
    }
    // It was not waited for yet, so that its id is its own still.
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM).map_err(|errno| failed(errno.into()))?;
    }
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if child.try_wait().map_err(failed)?.is_some() {
            return Ok(());
        }
        thread::sleep(PERIOD);
    }
    child.kill().and_then(|()| child.wait()).map_err(failed)?;
    Err("vaquita local did not end and was killed".to_owned())
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.stop();
    }
}
