//! `vaquita meta rebuild`: a controller's home from what the nodes keep of its log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use vaquita_core::ids::Alias;
use vaquita_core::io::ExitCode;

use crate::cli::client::block_on;
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::server::ServerPlan;
use crate::cli::server_flags::ServerFlags;
use crate::cli::terminal::Terminal;
use crate::os_env::threads;
use crate::server::{self, Rebuilding};

#[derive(Args, Clone, Debug)]
pub(super) struct Rebuild {
    /// The controller's home, as in its `-home`; made if it is not there
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The controller's own file, controller.cfg
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// cluster.nodes, where it does not lie beside controller.cfg
    #[arg(long, value_name = "FILE")]
    nodes_file: Option<PathBuf>,
    /// cluster.cfg, where it does not lie beside controller.cfg
    #[arg(long, value_name = "FILE")]
    cluster_config: Option<PathBuf>,
    /// Write the home; what is in it is kept under other names
    #[arg(long)]
    write: bool,
    /// Go on although records that a node was told of are lost, or a node that may have more does not
    /// answer
    #[arg(long)]
    i_accept_loss: bool,
    /// Take the copy of this node, whatever else there is: where two histories have parted, and each has
    /// what the other has not
    #[arg(long, value_name = "NODE", value_parser = alias)]
    from: Option<Alias>,
    /// How long nodes are waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

fn alias(text: &str) -> Result<Alias, String> {
    Alias::new(text).map_err(|error| error.to_string())
}

impl Rebuild {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let plan = ServerPlan::read(&self.flags()?, terminal)?;
        let how = Rebuilding {
            write: self.write,
            accept_loss: self.i_accept_loss,
            from: self.from.clone(),
            patience: Duration::from_secs(self.timeout),
        };
        let (told, lines) = std::sync::mpsc::channel();
        // The lines are shown as they come: waiting for a node that is away takes a while.
        let reason = std::thread::scope(|scope| {
            let rebuild = || block_on(async { Ok(server::rebuild(plan, how, told).await) });
            let worker = threads::scoped(scope, "vaquita-rebuild", rebuild)
                .map_err(|error| Failure::new(Status::Unavailable, error.to_string()))?;
            for line in lines {
                terminal.say(line)?;
            }
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let status = match reason.code {
            ExitCode::Success => return Ok(terminal.say(reason.message)?),
            ExitCode::Refused => Status::No,
            ExitCode::Usage => Status::Usage,
            ExitCode::CorruptData => Status::Damaged,
            ExitCode::Unavailable => Status::Unavailable,
            ExitCode::AlreadyRunning => Status::Exists,
            ExitCode::DiskFault => Status::Disk,
            ExitCode::Denied => Status::Denied,
            ExitCode::Bug => Status::Bug,
        };
        Err(Failure::new(status, reason.message))
    }

    /// What the controller would be started with.
    fn flags(&self) -> Result<ServerFlags, Failure> {
        let beside = |name: &str| self.config.with_file_name(name);
        let mut words = vec!["-mode".to_owned(), "controller".to_owned()];
        let mut flag = |name: &str, path: &Path| {
            let path = path.to_str().ok_or_else(|| {
                let text = format!("{} is no path in UTF-8", path.display());
                Failure::new(Status::Usage, text)
            })?;
            words.extend([format!("-{name}"), path.to_owned()]);
            Ok::<(), Failure>(())
        };
        flag("home", &self.home)?;
        flag("config", &self.config)?;
        flag(
            "nodesFile",
            &self
                .nodes_file
                .clone()
                .unwrap_or_else(|| beside("cluster.nodes")),
        )?;
        let cluster_config = (self.cluster_config.clone())
            .or_else(|| Some(beside("cluster.cfg")).filter(|path| path.exists()));
        if let Some(path) = cluster_config {
            flag("clusterConfig", &path)?;
        }
        ServerFlags::parse(&words)
            .map_err(|errors| Failure::new(Status::Usage, errors.0.join("; ")))
    }
}
