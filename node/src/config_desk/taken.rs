//! What the controller has taken up of its files, and what waits for a restart of something.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use vaquita_config::keys::{Change, Key, Status};
use vaquita_config::{ClusterFiles, FileKind, Resolved, Setting};
use vaquita_core::admin::{Caller, ConfigurationRow, Reply, Request};
use vaquita_core::controller::{Member, Reconfiguration};
use vaquita_core::dfs::digest::Digest;
use vaquita_core::ids::Role;

use super::files::{Bytes, ConfigFile};
use super::views::etag;

/// From files to what the machine takes up; the error is a sentence.
pub type Meaning =
    Box<dyn Fn(&ClusterFiles, &Resolved) -> Result<Reconfiguration, String> + Send + Sync>;

type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The controller that runs by the files.
pub struct Running {
    ask: Box<dyn Fn(Request) -> Answering + Send + Sync>,
    pub(super) meaning: Meaning,
    /// What it was started with.
    started: Resolved,
    taken: Mutex<Taken>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

/// What was taken up last.
struct Taken {
    settings: Resolved,
    etags: BTreeMap<ConfigFile, String>,
}

fn etags(bytes: &Bytes) -> BTreeMap<ConfigFile, String> {
    let tag = |file: ConfigFile| (file, etag(bytes.get(&file).map(Vec::as_slice)));
    ConfigFile::ALL.into_iter().map(tag).collect()
}

impl Running {
    /// A controller that was started with these files and settings, and answers what it is asked.
    pub fn new<A>(
        ask: impl Fn(Request) -> A + Send + Sync + 'static,
        meaning: Meaning,
        files: &ClusterFiles,
        settings: Resolved,
    ) -> Self
    where
        A: Future<Output = Reply> + Send + 'static,
    {
        let mut bytes = Bytes::new();
        let own = |parsed: &vaquita_config::Document| parsed.bytes().to_vec();
        if let Some(parsed) = &files.controller {
            bytes.insert(ConfigFile::Controller, own(&parsed.document));
        }
        if let Some(parsed) = &files.nodes {
            bytes.insert(ConfigFile::Nodes, own(&parsed.document));
        }
        if let Some(parsed) = &files.cluster {
            bytes.insert(ConfigFile::Cluster, own(&parsed.document));
        }
        Self {
            ask: Box::new(move |request| Box::pin(ask(request))),
            meaning,
            started: settings.clone(),
            taken: Mutex::new(Taken {
                settings,
                etags: etags(&bytes),
            }),
        }
    }

    pub(super) fn ask(&self, caller: Caller, verb: vaquita_core::admin::Verb) -> Answering {
        (self.ask)(Request { caller, verb })
    }

    /// The machine has taken up what these files say.
    pub(super) fn took(&self, bytes: &Bytes, settings: Resolved) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.settings = settings;
        taken.etags = etags(bytes);
    }

    /// Whether the controller has taken up the present text of a file.
    pub(super) fn has(&self, file: ConfigFile, etag: &str) -> bool {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.etags.get(&file).is_some_and(|known| known == etag)
    }

    /// Each setting of the controller: as it runs, as its file says, and by default.
    pub(super) fn values(&self, now: &Resolved) -> Vec<KeyRow> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = vaquita_config::keys::of_file(FileKind::Controller);
        let active = keys.filter(|key| key.status == Status::Active);
        active
            .map(|key| {
                let change = key.change_in(FileKind::Controller);
                let running = match change {
                    Change::Nothing => &taken.settings,
                    _ => &self.started,
                };
                KeyRow::of(
                    key,
                    change,
                    running.setting(key.name),
                    now.setting(key.name),
                )
            })
            .collect()
    }
}

/// One key of `controller.cfg`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyRow {
    /// The key.
    pub key: &'static str,
    /// The value that the controller runs with, as a file would have it.
    pub running: String,
    /// The value that a start would give it now.
    pub next: String,
    /// Where that comes from: a line, the command line, or the default.
    pub from: String,
    /// What holds if nothing is set.
    pub default: &'static str,
    /// Whether the two values differ.
    pub pending: bool,
    /// What it takes for a change to have an effect: `reload`, or a restart.
    pub needs: &'static str,
    /// Whether the key can be changed on the controller's host alone.
    pub protected: bool,
}

impl KeyRow {
    fn of(
        key: &'static Key,
        change: Change,
        running: Option<&Setting>,
        next: Option<&Setting>,
    ) -> Self {
        let text = |setting: Option<&Setting>| setting.map(Setting::text).unwrap_or_default();
        let value = |setting: Option<&Setting>| setting.and_then(|it| it.value.clone());
        // `04` is `4`.
        let pending = value(running) != value(next);
        Self {
            key: key.name,
            running: text(running),
            next: text(next),
            from: next
                .map(|setting| setting.origin.to_string())
                .unwrap_or_default(),
            default: key.default.description(),
            pending,
            needs: change.description(),
            protected: key.is_protected(),
        }
    }
}

/// Whether a data node runs with what the files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeStanding {
    /// It runs with what the files say.
    Current,
    /// It would run with something else if it were started again.
    RestartPending,
    /// It does not run.
    Stopped,
    /// It runs, and nobody has said with what: it was started by hand, or its agent is away.
    Unknown,
    /// The controller has not taken up what the files say of it.
    ReloadPending,
}

/// One data node of the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeConfigRow {
    /// Its alias.
    pub alias: String,
    /// Whether it runs with what the files say.
    pub standing: NodeStanding,
}

/// How the data nodes of the files stand, by what the machine says of them.
pub(super) fn standings(members: &[Member], told: &[ConfigurationRow]) -> Vec<NodeConfigRow> {
    let told: BTreeMap<&str, &ConfigurationRow> =
        told.iter().map(|row| (row.alias.as_str(), row)).collect();
    let nodes = members.iter().filter(|it| it.role == Role::DataNode);
    nodes
        .map(|member| {
            let alias = member.site.alias.as_str();
            let next = Digest::of(member.node_cfg.as_bytes());
            let standing = match told.get(alias) {
                Some(row) if row.next != next => NodeStanding::ReloadPending,
                None => NodeStanding::ReloadPending,
                Some(row) if !row.runs => NodeStanding::Stopped,
                Some(row) => match row.started_with {
                    None => NodeStanding::Unknown,
                    Some(with) if with == next => NodeStanding::Current,
                    Some(_) => NodeStanding::RestartPending,
                },
            };
            NodeConfigRow {
                alias: alias.to_owned(),
                standing,
            }
        })
        .collect()
}
