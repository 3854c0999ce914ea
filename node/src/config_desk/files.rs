//! The three files of a controller: which there are, and what they say together.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use vaquita_config::{
    CheckOptions, ClusterFiles, Diagnostic, FileKind, HostFacts, Resolved, check, codes,
    parse_cluster_nodes, parse_key_value, resolve_controller,
};

/// One of the files that a controller owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigFile {
    /// `controller.cfg`
    Controller,
    /// `cluster.nodes`
    Nodes,
    /// `cluster.cfg`
    Cluster,
}

impl ConfigFile {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Controller, Self::Nodes, Self::Cluster];

    /// What the file is called in addresses and messages, whatever it is called on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Controller => "controller.cfg",
            Self::Nodes => "cluster.nodes",
            Self::Cluster => "cluster.cfg",
        }
    }

    /// The file of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|file| file.name() == name)
    }

    /// The grammar of its `key=value` lines; `None` for the file of rows.
    #[must_use]
    pub const fn kind(self) -> Option<FileKind> {
        match self {
            Self::Controller => Some(FileKind::Controller),
            Self::Cluster => Some(FileKind::Cluster),
            Self::Nodes => None,
        }
    }
}

impl fmt::Display for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for ConfigFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Where the files are, absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskPaths {
    /// `controller.cfg`; `None` for a controller whose settings are all on its command line.
    pub controller: Option<PathBuf>,
    /// `cluster.nodes`
    pub nodes: PathBuf,
    /// `cluster.cfg`, whether there is one or not.
    pub cluster: PathBuf,
}

impl DeskPaths {
    /// Where a file is, or would be.
    #[must_use]
    pub fn of(&self, file: ConfigFile) -> Option<&Path> {
        match file {
            ConfigFile::Controller => self.controller.as_deref(),
            ConfigFile::Nodes => Some(&self.nodes),
            ConfigFile::Cluster => Some(&self.cluster),
        }
    }
}

/// Errors that are told of files that cannot be used.
const ERRORS_TOLD: usize = 20;

/// What the controller was started with beside its files: it counts for what they mean.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The keys of the command line, which rule over the files.
    pub arguments: Vec<(String, String)>,
    /// The controller's host.
    pub host: Option<HostFacts>,
}

/// The bytes of all files at one moment; a file that is not there has none.
pub(super) type Bytes = BTreeMap<ConfigFile, Vec<u8>>;

/// The files, read and understood.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) files: ClusterFiles,
    /// The controller's own settings by them.
    pub(super) settings: Resolved,
    /// Everything that is wrong with them, in the order of the files.
    pub(super) findings: Vec<Diagnostic>,
}

impl Reading {
    pub(super) fn of(bytes: &Bytes, beside: &Beside, strict: bool) -> Self {
        let key_value = |file: ConfigFile| {
            let kind = file.kind()?;
            let bytes = bytes.get(&file)?;
            Some(parse_key_value(kind, file.name(), bytes))
        };
        let rows = bytes.get(&ConfigFile::Nodes).map_or(&[][..], Vec::as_slice);
        let files = ClusterFiles {
            controller: key_value(ConfigFile::Controller),
            nodes: Some(parse_cluster_nodes(ConfigFile::Nodes.name(), rows)),
            cluster: key_value(ConfigFile::Cluster),
            ..ClusterFiles::default()
        };
        let settings = resolve_controller(&files, &beside.arguments, beside.host.as_ref());
        let options = CheckOptions { strict, host: None };
        let mut findings = check(&files, &options).diagnostics;
        // A key that the command line gives is not missing from the file: as at a start, it is the
        // settings as a whole that tell.
        findings.retain(|it| it.code != codes::MISSING_KEY.name);
        findings.extend(settings.diagnostics.iter().cloned());
        Self {
            files,
            settings,
            findings,
        }
    }

    /// What keeps the files from being used, the first few of it.
    pub(super) fn first_errors(&self) -> Vec<Diagnostic> {
        let errors = self.findings.iter().filter(|it| it.is_error());
        errors.take(ERRORS_TOLD).cloned().collect()
    }
}
