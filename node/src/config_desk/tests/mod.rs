//! Claims about the desk, on real files.

mod changes;
mod editors;
mod ends;
mod properties;
mod reloads;

use std::fs;
use std::path::{Path, PathBuf};

use super::disk::{Hand, OsHand};
use super::{
    Author, Beside, Change, Condition, ConfigDesk, ConfigFile, DeskError, DeskPaths, DeskSettings,
    Edit, Running, Written,
};
use crate::os_env::OsEnv;
use vaquita_core::admin::Caller;

pub(super) const CONTROLLER: &str = "\
# The controller of the archive.
localSite=10.1.1.7:8990:master
dfsReplicationFactor = 2   # two hosts
clusterSecretFile=/etc/vaquita/cluster.secret
";
pub(super) const NODES: &str = "\
localSite,mode
10.1.1.1:8960:P1-agent,agent
10.1.1.1:8961:P1-NODE1,datanode
10.1.1.2:8960:P2-agent,agent
10.1.1.2:8961:P2-NODE1,datanode
";
pub(super) const CLUSTER: &str = "\
# All nodes.
maxConnections=64
workerNum=4
P1-%.workerNum=8
volumes=/disk1/<ALIAS>
";

/// A directory with the three files of a small cluster.
pub(super) struct Office {
    directory: tempfile::TempDir,
}

impl Office {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("config")).unwrap();
        let office = Self { directory };
        office.put(ConfigFile::Controller, CONTROLLER);
        office.put(ConfigFile::Nodes, NODES);
        office.put(ConfigFile::Cluster, CLUSTER);
        office
    }

    pub(super) fn path(&self, file: ConfigFile) -> PathBuf {
        self.directory.path().join("config").join(file.name())
    }

    pub(super) fn history(&self) -> PathBuf {
        self.directory.path().join("home/config-history")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    pub(super) fn put(&self, file: ConfigFile, text: impl AsRef<[u8]>) {
        fs::write(self.path(file), text).unwrap();
    }

    pub(super) fn text(&self, file: ConfigFile) -> String {
        String::from_utf8(fs::read(self.path(file)).unwrap()).unwrap()
    }

    pub(super) fn desk(&self) -> ConfigDesk {
        self.desk_with(Box::new(OsHand))
    }

    pub(super) fn desk_with(&self, hand: Box<dyn Hand>) -> ConfigDesk {
        self.desk_of(hand, None)
    }

    pub(super) fn desk_of(&self, hand: Box<dyn Hand>, running: Option<Running>) -> ConfigDesk {
        let settings = DeskSettings {
            paths: DeskPaths {
                controller: Some(self.path(ConfigFile::Controller)),
                nodes: self.path(ConfigFile::Nodes),
                cluster: self.path(ConfigFile::Cluster),
            },
            beside: Beside::default(),
            history: self.history(),
            running,
        };
        ConfigDesk::with_hand(OsEnv::with_io_workers(1).unwrap(), settings, hand)
    }
}

/// The names in a directory, sorted.
pub(super) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .map(|entries| {
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

pub(super) async fn etag(desk: &ConfigDesk, file: ConfigFile) -> Condition {
    Condition(vec![desk.show(file).await.unwrap().row.etag])
}

pub(super) fn author(by: &str) -> Author {
    Author {
        by: by.to_owned(),
        comment: String::new(),
        caller: Caller::CONSOLE,
    }
}

/// Writes a text over whatever is there.
pub(super) async fn write(
    desk: &ConfigDesk,
    file: ConfigFile,
    text: &str,
) -> Result<Written, DeskError> {
    change(desk, file, Change::Text(text.to_owned())).await
}

pub(super) async fn edit(
    desk: &ConfigDesk,
    file: ConfigFile,
    edit: Edit,
) -> Result<Written, DeskError> {
    change(desk, file, Change::Edits(vec![edit])).await
}

pub(super) async fn change(
    desk: &ConfigDesk,
    file: ConfigFile,
    change: Change,
) -> Result<Written, DeskError> {
    let condition = etag(desk, file).await;
    desk.write(file, change, condition, author("admin")).await
}

pub(super) fn set(key: &str, value: &str) -> Edit {
    Edit::Set {
        key: key.to_owned(),
        value: value.to_owned(),
        line: None,
    }
}
