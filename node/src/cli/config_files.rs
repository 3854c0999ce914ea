//! Finding and reading the configuration files of a cluster.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use vaquita_config::{ClusterFiles, FileKind, limits, parse_cluster_nodes, parse_key_value};

use super::exit::{Failure, Status};

/// Which of the files a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nodes,
    KeyValue(FileKind),
}

/// The name of the members' file, and the ending of other such files.
const NODES_FILE: &str = "cluster.nodes";

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name == NODES_FILE || name.ends_with(".nodes") {
            return Some(Self::Nodes);
        }
        FileKind::of_file_name(name).map(Self::KeyValue)
    }
}

/// The files that were read.
#[derive(Clone, Debug, Default)]
pub(super) struct FoundFiles {
    pub(super) files: ClusterFiles,
    /// How many there are.
    pub(super) count: usize,
}

/// Reads what a person names: directories, in which the usual names are looked for, and files.
pub(super) fn read(paths: &[PathBuf]) -> Result<FoundFiles, Failure> {
    let mut chosen: Vec<(PathBuf, Kind)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut choose = |path: PathBuf, kind| {
        // The same file by two ways is one file.
        let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
        if seen.insert(identity) {
            chosen.push((path, kind));
        }
    };
    for path in paths {
        if path.is_dir() {
            let found = in_directory(path)?;
            if found.is_empty() {
                return Err(Failure::new(
                    Status::Unreadable,
                    format!(
                        "{}: no configuration file is here; looked for controller.cfg, \
                         cluster.nodes, cluster.cfg and agent.cfg, in its subdirectories too",
                        path.display()
                    ),
                ));
            }
            for (path, kind) in found {
                choose(path, kind);
            }
        } else if path.try_exists().is_ok_and(|there| !there) {
            return Err(Failure::new(
                Status::Unreadable,
                format!("{}: there is no such file or directory", path.display()),
            ));
        } else {
            let kind = Kind::of(path).ok_or_else(|| {
                Failure::new(
                    Status::Unreadable,
                    format!(
                        "{}: the name does not say which file this is; call it controller.cfg, \
                         cluster.nodes, cluster.cfg or agent.cfg, with a prefix if you like",
                        path.display()
                    ),
                )
            })?;
            choose(path.clone(), kind);
        }
    }
    let mut found = FoundFiles::default();
    for (path, kind) in chosen {
        add(&mut found.files, &path, kind)?;
        found.count += 1;
    }
    Ok(found)
}

/// Reads one file of a known kind into its place.
fn add(files: &mut ClusterFiles, path: &Path, kind: Kind) -> Result<(), Failure> {
    let bytes = bytes(path)?;
    let name = shown(path);
    let taken = match kind {
        Kind::Nodes => files
            .nodes
            .replace(parse_cluster_nodes(&name, &bytes))
            .map(|before| before.document.name().to_owned()),
        Kind::KeyValue(kind) => {
            let parsed = parse_key_value(kind, &name, &bytes);
            let place = match kind {
                FileKind::Controller => &mut files.controller,
                FileKind::Cluster => &mut files.cluster,
                FileKind::Single | FileKind::Node => &mut files.single,
                FileKind::Agent => {
                    files.agents.push(parsed);
                    return Ok(());
                }
            };
            place
                .replace(parsed)
                .map(|before| before.document.name().to_owned())
        }
    };
    match taken {
        None => Ok(()),
        Some(before) => Err(Failure::new(
            Status::Usage,
            format!("{before} and {name} are the same file of a cluster; name one of them"),
        )),
    }
}

/// The bytes of a file, of which the parser reports what is too long.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(limits::FILE_BYTES as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(|error| {
            Failure::new(
                Status::Unreadable,
                format!("{}: cannot be read: {error}", path.display()),
            )
        })?;
    Ok(bytes)
}

/// How a file is called in messages: as the person wrote it, without a leading `./`.
pub(super) fn shown(path: &Path) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.display().to_string()
}

/// The files of a directory: its own, those of its `config`, and the agents' of its other
/// subdirectories, which stand for one host each.
fn in_directory(directory: &Path) -> Result<Vec<(PathBuf, Kind)>, Failure> {
    let mut found = listed(directory, |_| true)?;
    let mut subdirectories = subdirectories(directory)?;
    subdirectories.sort();
    for subdirectory in subdirectories {
        if subdirectory
            .file_name()
            .is_some_and(|name| name == "config")
        {
            found.extend(listed(&subdirectory, |_| true)?);
        } else {
            let agents = |kind| kind == Kind::KeyValue(FileKind::Agent);
            found.extend(listed(&subdirectory, agents)?);
            let config = subdirectory.join("config");
            if config.is_dir() {
                found.extend(listed(&config, agents)?);
            }
        }
    }
    Ok(found)
}

fn unlistable(directory: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Status::Unreadable,
        format!("{}: cannot be listed: {error}", directory.display()),
    )
}

fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(directory).map_err(|error| unlistable(directory, &error))?;
    Ok(entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !hidden(path))
        .collect())
}

fn listed(
    directory: &Path,
    wanted: impl Fn(Kind) -> bool,
) -> Result<Vec<(PathBuf, Kind)>, Failure> {
    // A subdirectory of another user's has no files of this cluster.
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return Err(unlistable(directory, &error)),
    };
    let mut found: Vec<(PathBuf, Kind)> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && !hidden(path))
        .filter_map(|path| Kind::of(&path).map(|kind| (path, kind)))
        .filter(|(_, kind)| wanted(*kind))
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

fn hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'))
}
