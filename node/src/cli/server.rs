//! Getting a server process ready: its flags, its files, its settings.

use std::path::{Path, PathBuf};

use vaquita_config::{
    CheckOptions, ClusterFiles, FileKind, HostFacts, Mode, Report, Resolved, check,
    parse_cluster_nodes, parse_key_value, resolve_agent, resolve_controller, resolve_node_file,
};

use super::commands::secret;
use super::exit::{Failure, Status};
use super::server_flags::ServerFlags;
use super::terminal::Terminal;
use super::{config_files, diagnostics};
use crate::os_env;

/// A server process that can be started: everything is read and makes sense.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// What the process is: controller, agent or data node.
    pub mode: Mode,
    /// Where it keeps its data; absolute.
    pub home: PathBuf,
    /// The file it logs to; absolute.
    pub log_file: PathBuf,
    /// Whether it reads commands from its standard input.
    pub console: bool,
    /// Its settings, each with where it comes from.
    pub settings: Resolved,
    /// The files, for a controller that hands them on.
    pub files: ClusterFiles,
    /// Where the files lie, for a controller that edits them.
    pub paths: FilePaths,
    /// The keys of the command line, which rule over the files.
    pub arguments: Vec<(String, String)>,
    /// Where the cluster's secret is, or would be.
    pub secret_file: PathBuf,
    /// What is worth a line in the log: warnings about the files and the command line.
    pub warnings: Report,
}

/// The files of a process, absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePaths {
    /// The process's own file.
    pub config: Option<PathBuf>,
    /// `cluster.cfg` of a controller, whether there is one or not.
    pub cluster_config: Option<PathBuf>,
    /// `cluster.nodes`
    pub nodes_file: Option<PathBuf>,
}

impl ServerPlan {
    /// Reads the command line and the files it names.
    ///
    /// # Errors
    /// If a file cannot be read, or the files or the command line have errors; these are written
    /// to the terminal one by one.
    pub fn read(flags: &ServerFlags, terminal: &mut Terminal) -> Result<Self, Failure> {
        let mut paths = FilePaths {
            config: flags.config.as_deref().map(absolute).transpose()?,
            ..FilePaths::default()
        };
        let mode = flags.mode.ok_or_else(|| {
            usage("say what the process is: `-mode controller`, `-mode agent` or `-mode datanode`")
        })?;
        let kind = FileKind::of_mode(mode);
        let host = os_env::memory_bytes().map(|memory_bytes| HostFacts {
            cores: os_env::cores(),
            memory_bytes,
        });
        let host = host.as_ref();
        let mut files = ClusterFiles::default();
        let own = match &paths.config {
            Some(path) => Some(parse_key_value(kind, &shown(path), &bytes(path)?)),
            None => None,
        };
        let settings = match mode {
            Mode::Controller => {
                let named = |given: &Option<PathBuf>, name: &str| {
                    absolute(given.as_deref().unwrap_or(Path::new(name)))
                };
                let nodes = named(&flags.nodes_file, "cluster.nodes")?;
                files.nodes = Some(parse_cluster_nodes(&shown(&nodes), &bytes(&nodes)?));
                let cluster = named(&flags.cluster_config, "cluster.cfg")?;
                // A cluster whose nodes need no settings needs no file for them.
                if flags.cluster_config.is_some() || cluster.exists() {
                    let text = bytes(&cluster)?;
                    files.cluster =
                        Some(parse_key_value(FileKind::Cluster, &shown(&cluster), &text));
                }
                paths.cluster_config = Some(cluster);
                paths.nodes_file = Some(nodes);
                files.controller = own;
                resolve_controller(&files, &flags.settings, host)
            }
            Mode::Agent => {
                files.agents.extend(own);
                resolve_agent(files.agents.first(), &flags.settings, host)
            }
            Mode::Datanode => {
                files.single = own;
                resolve_node_file(files.single.as_ref(), &flags.settings, host)
            }
            Mode::Computenode | Mode::Single => {
                return Err(usage(format!(
                    "this system has no process of the mode `{mode}`; there are `controller`, \
                     `agent` and `datanode`"
                )));
            }
        };
        let mut report = check(&files, &CheckOptions::default());
        // A key that the command line gives is not missing from the file.
        report
            .diagnostics
            .retain(|it| it.code != vaquita_config::codes::MISSING_KEY.name);
        report
            .diagnostics
            .extend(settings.diagnostics.iter().cloned());
        if report.errors() > 0 {
            for diagnostic in &report.diagnostics {
                let colours = terminal.err_colours;
                let text = diagnostics::render(diagnostic, &files, colours);
                terminal.note(text)?;
            }
            return Err(usage(
                "the configuration has errors, and the process was not started",
            ));
        }
        let home = match &flags.home {
            Some(home) => absolute(home)?,
            None => beside_program()?,
        };
        let log_file = flags
            .log_file
            .as_deref()
            .unwrap_or(Path::new("dolphindb.log"));
        let secret_file = match settings.text("clusterSecretFile") {
            Some(path) => absolute(Path::new(path))?,
            None => match &paths.config {
                Some(config) => config.with_file_name(secret::NAME),
                None => absolute(Path::new(secret::NAME))?,
            },
        };
        Ok(Self {
            mode,
            home,
            log_file: absolute(log_file)?,
            console: flags.console.unwrap_or(true),
            settings,
            files,
            paths,
            arguments: flags.settings.clone(),
            secret_file,
            warnings: report,
        })
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Status::Usage, message)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// For a server process a file that cannot be read is as bad as one that is wrong.
fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    config_files::bytes(path).map_err(|failure| usage(failure.message))
}

/// Relative to the directory the process was started in, which it may leave later.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| usage(format!("{}: is no path: {error}", path.display())))
}

fn beside_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(Path::to_path_buf))
        .ok_or_else(|| usage("the directory of this program is not known; give `-home DIR`"))
}

#[cfg(test)]
mod tests;
