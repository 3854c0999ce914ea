//! What a stopped cluster has left on its disks: the controller's log, and the volumes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use vaquita_core::dfs::digest::{BLOCK, Digest};
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::disk::FileName;
use vaquita_core::ids::{ClusterId, NodeId};
use vaquita_core::metalog::{self, Expected};
use vaquita_core::state::{self, ClusterState};
use vaquita_core::store::scan::{Found, ReadFault, VolumeRead, scan};
use vaquita_core::store::{ALONE_HEADER, RecordKind};

use crate::cluster::{Deployment, FACTOR};
use crate::report::{Log, Rule};
use crate::watch::host_of;

/// A directory, read as it is.
struct Directory<'a>(&'a Path);

impl Directory<'_> {
    fn failed(&self, error: &std::io::Error) -> ReadFault {
        ReadFault(format!("{}: {error}", self.0.display()))
    }
}

impl VolumeRead for Directory<'_> {
    fn list(&self) -> Result<Vec<String>, ReadFault> {
        let entries = fs::read_dir(self.0).map_err(|error| self.failed(&error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.collect())
    }

    fn len(&self, file: &FileName) -> Result<u64, ReadFault> {
        let found = fs::metadata(self.0.join(file.as_str()));
        Ok(found.map_err(|error| self.failed(&error))?.len())
    }

    fn read_at(&self, file: &FileName, offset: u64, buf: &mut [u8]) -> Result<usize, ReadFault> {
        let path = self.0.join(file.as_str());
        let file = File::open(path).map_err(|error| self.failed(&error))?;
        let mut len = 0;
        while len < buf.len() {
            let read = file.read_at(&mut buf[len..], offset + len as u64);
            match read.map_err(|error| self.failed(&error))? {
                0 => break,
                more => len += more,
            }
        }
        Ok(len)
    }
}

/// A content on a volume.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) len: u64,
    pub(super) digest: Digest,
    pub(super) file: PathBuf,
    pub(super) at: u64,
}

impl Content {
    fn digest_of_bytes(&self) -> Result<Digest, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.file.display());
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or_default()];
        let file = File::open(&self.file).map_err(failed)?;
        file.read_exact_at(&mut bytes, self.at).map_err(failed)?;
        Ok(Digest::of(&bytes))
    }
}

/// A volume, with the contents that are not in the trash.
#[derive(Debug)]
pub(super) struct Volume {
    owner: NodeId,
    cluster: ClusterId,
    pub(super) contents: BTreeMap<ChunkVersion, Content>,
}

/// Reads a volume.
pub(super) fn volume(directory: &Path) -> Result<Volume, String> {
    let named = |what: String| format!("{}: {what}", directory.display());
    let (label, found) = scan(&Directory(directory)).map_err(|fault| named(fault.to_string()))?;
    // One copy is enough: a process may have ended between the two.
    let Some(label) = label.label() else {
        return Err(named(format!("no good label: {label:?}")));
    };
    Ok(Volume {
        owner: label.owner,
        cluster: label.cluster,
        contents: contents(directory, &found),
    })
}

/// The newest word about each content, where that is not that it is in the trash.
fn contents(directory: &Path, found: &Found) -> BTreeMap<ChunkVersion, Content> {
    let mut newest: BTreeMap<ChunkVersion, (u64, Option<Content>)> = BTreeMap::new();
    let mut say = |version, serial, content: Option<Content>| {
        let known = newest.entry(version).or_insert((serial, content.clone()));
        if serial >= known.0 {
            *known = (serial, content);
        }
    };
    for segment in &found.segments {
        let file = directory.join(segment.file().as_str());
        for (offset, record) in &segment.records {
            let content = (record.kind == RecordKind::Chunk).then(|| Content {
                len: record.len,
                digest: record.digest,
                file: file.clone(),
                at: offset + record.payload_at(),
            });
            if record.kind != RecordKind::End {
                say(record.version, record.serial, content);
            }
        }
    }
    for alone in &found.alone {
        if let Ok(record) = &alone.result {
            let content = Content {
                len: record.len,
                digest: record.digest,
                file: directory.join(alone.file().as_str()),
                at: ALONE_HEADER,
            };
            say(alone.version, record.serial, Some(content));
        }
    }
    let newest = newest.into_iter();
    newest
        .filter_map(|(version, (_, content))| Some((version, content?)))
        .collect()
}

/// Reads the controller's log.
fn log_state(metadata: &Path, cluster: ClusterId) -> Result<ClusterState, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", metadata.display());
    let mut files: BTreeMap<FileName, Vec<u8>> = BTreeMap::new();
    for entry in fs::read_dir(metadata).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string().ok();
        if let Some(name) = name.as_deref().and_then(FileName::new)
            && metalog::belongs_to_log(&name)
        {
            files.insert(name, fs::read(entry.path()).map_err(failed)?);
        }
    }
    let expected = Expected {
        cluster,
        durable: None,
    };
    let recovered = metalog::recover(&files, &expected).map_err(|refusal| refusal.to_string())?;
    state::replay(recovered.checkpoint, &recovered.records).map_err(|fault| fault.to_string())
}

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remains {
    /// Chunks of files, by the log.
    pub(crate) chunks: usize,
    /// Replicas of them whose bytes were read and are right.
    pub(crate) replicas: usize,
    /// Contents that are on volumes and in no file, or not there by the log.
    pub(crate) beside: usize,
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            chunks,
            replicas,
            beside,
        } = self;
        write!(
            f,
            "{chunks} chunks in the log, {replicas} replicas read and right, {beside} contents beside"
        )
    }
}

/// Holds the volumes against the log: each chunk is on as many hosts as it should be, with the right bytes. Whether
/// nothing else is there is looked at if the time of the trash and of open writes is `over`.
pub(crate) fn look(deployment: &Deployment, log: &Log, over: bool) -> Result<Remains, String> {
    let mut volumes: BTreeMap<NodeId, (String, Volume)> = BTreeMap::new();
    for node in &deployment.nodes {
        let found = volume(&deployment.volume(&node.alias))?;
        volumes.insert(found.owner, (node.alias.clone(), found));
    }
    let cluster = volumes.values().next().map(|(_, it)| it.cluster);
    let cluster = cluster.ok_or("there are no volumes")?;
    let state = log_state(&deployment.metadata(), cluster)?;
    let names = &state.namespace;
    let mut remains = Remains::default();
    let mut of_files: BTreeSet<(NodeId, ChunkVersion)> = BTreeSet::new();
    for chunk in names.chunks_after(None) {
        remains.chunks += 1;
        let version = chunk.version();
        let path = names.path(chunk.file());
        let what = format!("chunk {version} of {path:?}");
        let mut hosts: BTreeSet<&str> = BTreeSet::new();
        for holder in chunk.holders() {
            of_files.insert((holder, version));
            let Some((alias, volume)) = volumes.get(&holder) else {
                log.violated(
                    Rule::OnDisk,
                    format!("{what} is on a node that has no volume"),
                );
                continue;
            };
            if !hosts.insert(host_of(alias)) {
                log.violated(
                    Rule::Placed,
                    format!("{what} is twice on the host of {alias}"),
                );
            }
            let wanted = (chunk.len(), chunk.digest());
            match volume.contents.get(&version) {
                None => log.violated(Rule::OnDisk, format!("{what} is not on {alias}")),
                Some(content) if (content.len, content.digest) != wanted => {
                    let story = format!("{what} is not what the log says on {alias}: {content:?}");
                    log.violated(Rule::OnDisk, story);
                }
                Some(content) => match content.digest_of_bytes() {
                    Ok(digest) if digest == wanted.1 => remains.replicas += 1,
                    Ok(_) => {
                        let story = format!("{what} has other bytes on {alias}: {content:?}");
                        log.violated(Rule::OnDisk, story);
                    }
                    Err(why) => log.violated(Rule::OnDisk, format!("{what} on {alias}: {why}")),
                },
            }
        }
        if hosts.len() < FACTOR {
            let story = format!("{what} is on {} hosts and not on {FACTOR}", hosts.len());
            log.violated(Rule::Placed, story);
        }
    }
    for (node, (alias, volume)) in &volumes {
        for (version, content) in &volume.contents {
            if of_files.contains(&(*node, *version)) {
                continue;
            }
            remains.beside += 1;
            if over {
                let story = format!("chunk {version} is on {alias}, not by the log: {content:?}");
                log.violated(Rule::NothingBeside, story);
            }
        }
    }
    Ok(remains)
}

/// Bytes between a content's first and the first of the next block.
pub(super) const BLOCK_LEN: u64 = BLOCK as u64;
