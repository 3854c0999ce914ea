//! `vaquita local`: a whole cluster on this machine, from files like those of a real one.

mod cluster;
mod files;
mod layout;
mod ports;
mod processes;
mod unfinished;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::fs::{FlockOperation, flock};
use tokio::signal::unix::{Signal, SignalKind, signal};
use vaquita_config::Site;

use self::cluster::{Cluster, Keep, stop_running_under};
use self::layout::{HOSTS_MAX, Layout};
use self::unfinished::Remains;
use super::client::{Api, block_on};
use super::commands::secret;
use super::exit::{Failure, Outcome, Status};
use super::shell;
use super::terminal::{Colour, Terminal};
use super::{config_files, diagnostics};
use crate::env::Env;
use crate::os_env::OsEnv;
use crate::secret_file;
use crate::tls::{ClusterIdentity, ClusterKey};

/// Run a whole cluster on this machine, until Ctrl-C
///
/// Writes the files of a cluster to DIR, starts its controller, an agent a host and the data nodes,
/// each as a process of its own, and stops them in order on Ctrl-C or SIGTERM. Started again on DIR
/// it goes on with the same data; the files may be edited in between.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita local                      4 hosts, in ./vaquita-local
  vaquita local --dir /tmp/c --hosts 2
  vaquita local --subnet 127.0.7 --dir other     beside another local cluster

The controller listens at 127.0.0.1:8990, the hosts are 127.0.0.2, 127.0.0.3 and so on, each with an
agent at port 8960 and a data node at 8961. Where the machine has only 127.0.0.1, one agent there has
all the data nodes, at ports from 8961 on. Commands of the same user are logged in; the password of `admin` is in DIR.")]
pub(super) struct Local {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = "vaquita-local")]
    dir: PathBuf,
    /// How many hosts to pretend, for a new DIR [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(HOSTS_MAX)))]
    hosts: Option<u8>,
    /// The first three numbers of the addresses, for a new DIR [default: 127.0.0]
    #[arg(long, value_name = "A.B.C", value_parser = subnet)]
    subnet: Option<[u8; 3]>,
}

fn subnet(text: &str) -> Result<[u8; 3], String> {
    let numbers: Vec<u8> = text
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    match (text.split('.').count(), numbers.as_slice()) {
        (3, [127, b, c]) => Ok([127, *b, *c]),
        _ => Err("write three numbers, the first 127, as in 127.0.7".to_owned()),
    }
}

/// A directory with a cluster, for this program alone while it runs.
#[derive(Debug)]
struct Opened {
    layout: Layout,
    /// What is printed once.
    new_password: Option<String>,
    token: Option<String>,
    _lock: File,
}

impl Local {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        block_on(async { self.operate(terminal).await })
    }

    async fn operate(self, terminal: &mut Terminal) -> Outcome {
        // Before anything is started, so that no signal finds nobody.
        let mut interrupts = Interrupts::new()?;
        let env =
            OsEnv::new().map_err(|error| Failure::new(Status::Unavailable, error.to_string()))?;
        let opened = self.open(&env, terminal).await?;
        let directory = opened.layout.directory.clone();
        if !processes::running_under(&directory).is_empty() {
            terminal.say("an earlier run left processes behind; stopping them first")?;
            stop_running_under(&directory, Keep::Nothing, terminal).await?;
        }
        refuse_taken(&env, &opened.layout).await?;
        let program = std::env::current_exe().map_err(|error| {
            Failure::new(
                Status::Unavailable,
                format!("the path of this program is not known: {error}"),
            )
        })?;
        let key = cluster_key(&opened.layout)?;
        let mut api = Api::for_local(&opened.layout.server(), key, opened.token.clone())?;
        let mut cluster = Cluster::new(opened.layout.clone(), program);
        let outcome = self
            .serve(&opened, &mut cluster, &mut api, &mut interrupts, terminal)
            .await;
        if let Err(failure) = &outcome {
            terminal.complain(&failure.message);
        }
        let stopped = tokio::select! {
            biased;
            stopped = cluster.stop(&mut api, terminal) => Some(stopped),
            () = interrupts.next() => None,
        };
        let stopped = match stopped {
            Some(stopped) => stopped,
            // A second signal while stopping: the person does not want to wait.
            None => cluster.kill(terminal).await,
        };
        match outcome {
            Err(failure) => {
                stopped?;
                Err(Failure::told(failure.status))
            }
            Ok(()) => stopped,
        }
    }

    /// Starts everything and waits for the signal to stop it.
    async fn serve(
        &self,
        opened: &Opened,
        cluster: &mut Cluster,
        api: &mut Api,
        interrupts: &mut Interrupts,
        terminal: &mut Terminal,
    ) -> Outcome {
        tokio::select! {
            biased;
            () = interrupts.next() => return Ok(()),
            started = cluster.start(api, terminal) => started?,
        }
        // Before anybody is told that it is ready, so that the next command is logged in.
        let data_nodes = opened.layout.data_nodes.iter().map(layout::server);
        let kept = api.keep_login();
        if let Err(failure) = kept.and_then(|()| api.keep_login_at(data_nodes)) {
            terminal.warn(&failure.message);
        }
        // The controller has taken it; what is in it is in its log, or in the file beside.
        files::remove_bootstrap(&opened.layout)?;
        cluster.told_green(terminal)?;
        terminal.say(welcome(opened, terminal))?;
        loop {
            tokio::select! {
                biased;
                () = interrupts.next() => return Ok(()),
                ended = cluster.next_end() => terminal.warn(&format!(
                    "{ended}\nthe others go on; Ctrl-C and a new start bring it back"
                )),
            }
        }
    }

    /// Makes the directory ready: new files in a new one, its own files in an old one.
    async fn open<E: Env>(&self, env: &E, terminal: &mut Terminal) -> Result<Opened, Failure> {
        let directory = std::path::absolute(&self.dir)
            .map_err(|error| files::failed(&self.dir, "is no path", &error))?;
        if directory.to_str().is_none() {
            return Err(Failure::new(
                Status::Usage,
                format!("{}: the name is not UTF-8", directory.display()),
            ));
        }
        let known = directory.join("controller.cfg").exists();
        let unfinished = if known {
            Vec::new()
        } else {
            refuse_foreign(&directory)?
        };
        fs::create_dir_all(&directory)
            .map_err(|error| files::failed(&directory, "cannot be created", &error))?;
        let directory = directory
            .canonicalize()
            .map_err(|error| files::failed(&directory, "cannot be looked at", &error))?;
        let lock = lock(&directory)?;
        if known {
            return self.reopen(&directory, lock, terminal);
        }
        let subnet = self.subnet.unwrap_or([127, 0, 0]);
        let hosts = self.hosts.unwrap_or(4);
        let addresses = ports::choose(env, subnet, hosts).await?;
        let layout = Layout::plan(&directory, hosts, addresses);
        // Before the files, which would keep these addresses.
        refuse_taken(env, &layout).await?;
        if !unfinished.is_empty() {
            terminal.say(format!(
                "an earlier run did not come to the end of writing {}; writing it anew",
                directory.display()
            ))?;
            unfinished::clear(&unfinished)?;
        }
        let bootstrap = files::write(&layout, draw)?;
        terminal.say(format!(
            "wrote a cluster of {hosts} hosts to {}",
            directory.display()
        ))?;
        Ok(Opened {
            layout,
            new_password: Some(bootstrap.admin_password),
            token: Some(bootstrap.token),
            _lock: lock,
        })
    }

    fn reopen(
        &self,
        directory: &Path,
        lock: File,
        terminal: &mut Terminal,
    ) -> Result<Opened, Failure> {
        let found = config_files::read(&[directory.to_path_buf()])?;
        let report = vaquita_config::check(&found.files, &vaquita_config::CheckOptions::default());
        for diagnostic in &report.diagnostics {
            let colours = terminal.err_colours;
            let text = diagnostics::render(diagnostic, &found.files, colours);
            terminal.note(text)?;
        }
        if report.errors() > 0 {
            return Err(Failure::new(
                Status::Usage,
                format!(
                    "the files in {} have errors; nothing was started",
                    directory.display()
                ),
            ));
        }
        let layout = Layout::of_files(directory, &found.files)?;
        // On a machine with one address only, the hosts became data nodes of one host.
        let nodes = layout.hosts.len().max(layout.data_nodes.len());
        if let Some(hosts) = self.hosts
            && usize::from(hosts) != nodes
        {
            return Err(Failure::new(
                Status::Usage,
                format!(
                    "the cluster in {} has {nodes} hosts; name another directory for one with \
                     {hosts}, or leave out --hosts",
                    directory.display()
                ),
            ));
        }
        if let Some([a, b, c]) = self.subnet
            && !layout.controller.host.starts_with(&format!("{a}.{b}.{c}."))
        {
            return Err(Failure::new(
                Status::Usage,
                format!(
                    "the cluster in {} has the address {}; name another directory for one in \
                     {a}.{b}.{c}, or leave out --subnet",
                    directory.display(),
                    layout.controller.host
                ),
            ));
        }
        terminal.say(format!(
            "going on with the cluster in {}",
            directory.display()
        ))?;
        let bootstrap = files::read_bootstrap(&layout);
        Ok(Opened {
            layout,
            new_password: None,
            token: bootstrap.map(|it| it.token),
            _lock: lock,
        })
    }
}

/// The files that an unfinished run has left in a directory. Refuses one that holds something else:
/// nobody wants a cluster in a home directory.
fn refuse_foreign(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    match unfinished::look(directory)? {
        Remains::Own(files) => Ok(files),
        Remains::Foreign(path) => Err(Failure::new(
            Status::Exists,
            format!(
                "{} is not empty (there is {}) and holds no cluster (no controller.cfg); name a \
                 new directory",
                directory.display(),
                path.display()
            ),
        )),
    }
}

/// By what the processes of a cluster that serves HTTPS are known: whoever has its files has its secret.
fn cluster_key(layout: &Layout) -> Result<Option<ClusterKey>, Failure> {
    if !layout.https {
        return Ok(None);
    }
    let path = layout.directory.join(secret::NAME);
    let secret = secret_file::read(&path).map_err(secret::failed)?;
    let identity = ClusterIdentity::derive(&secret).map_err(|words| {
        let message = format!("no key can be made from {}: {words}", path.display());
        Failure::new(Status::Bug, message)
    })?;
    Ok(Some(identity.public()))
}

/// The first file in a directory.
const LOCK: &str = "local.lock";

/// Takes the directory for this program, for as long as the file is open.
fn lock(directory: &Path) -> Result<File, Failure> {
    let path = directory.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| files::failed(&path, "cannot be opened", &error))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let holder = match holder.trim().parse::<u32>() {
            Ok(pid) => processes::describe(pid),
            Err(_) => "another process".to_owned(),
        };
        return Err(Failure::new(
            Status::Exists,
            format!(
                "the cluster in {} runs already, by {holder}",
                directory.display()
            ),
        ));
    }
    // What the file says is for people; what counts is the lock.
    let written = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| files::failed(&path, "cannot be written", &error))?;
    Ok(file)
}

fn draw(bytes: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(bytes).map_err(|error| {
        Failure::new(
            Status::Unavailable,
            format!("this system gives no random numbers: {error}"),
        )
    })
}

/// Names every port of the cluster that somebody else has, before anything is started.
async fn refuse_taken<E: Env>(env: &E, layout: &Layout) -> Result<(), Failure> {
    let sites: Vec<Site> = layout.sites().cloned().collect();
    let taken = ports::taken(env, &sites).await?;
    if taken.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = taken.iter().map(|it| format!("\n  {it}")).collect();
    Err(Failure::new(
        Status::Unavailable,
        format!(
            "nothing was started, because ports are taken:{}\nstop what has them, or make a cluster \
             with other addresses: `vaquita local --subnet 127.0.7 --dir DIR`",
            lines.concat()
        ),
    ))
}

fn welcome(opened: &Opened, terminal: &Terminal) -> String {
    let address = terminal.paint(Colour::Bold, &opened.layout.url());
    let login = match &opened.new_password {
        Some(password) => format!("user admin, password {password}"),
        None => "user admin".to_owned(),
    };
    format!(
        "\n  address   {address}\n  log in    {login} (kept in {})\n            vaquita commands of \
         this user are logged in: try `vaquita status`\n  stop      Ctrl-C; `vaquita local --dir {}` \
         goes on with the same data\n",
        opened.layout.password_file().display(),
        shell::word(&opened.layout.directory)
    )
}

/// Ctrl-C, SIGTERM and the end of the terminal.
#[derive(Debug)]
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// Unless whoever started this program wants it ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl Interrupts {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
            hangup: if hangup_is_ignored() {
                None
            } else {
                Some(watch(SignalKind::hangup())?)
            },
        })
    }

    async fn next(&mut self) {
        let Self {
            interrupt,
            terminate,
            hangup,
        } = self;
        let hung_up = async {
            match hangup {
                Some(hangup) => _ = hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = hung_up => {}
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this program stops its processes on a signal; a server process has a driver for that"
)]
fn watch(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        Failure::new(
            Status::Unavailable,
            format!("signals cannot be watched: {error}"),
        )
    })
}

fn hangup_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests;
