use askama::Template;
use vaquita_core::dfs::ask::{ChunkRow, HistoryPage, VolumeRow};

use crate::words::Words;
use crate::{Frame, State, format, words};

/// A replica, with what is drawn of it.
#[derive(Clone, Debug)]
pub struct ReplicaView {
    pub(super) node: String,
    pub(super) state: State,
    pub(super) directory: String,
}

/// A chunk, with what is drawn of it.
#[derive(Clone, Debug)]
pub struct ChunkView {
    pub(super) row: ChunkRow,
    pub(super) state: State,
    pub(super) replicas: Vec<ReplicaView>,
}

impl ChunkView {
    /// Puts it together; `volumes` say where the replicas lie, where that is known.
    #[must_use]
    pub fn new(t: &Words, row: ChunkRow, volumes: &[VolumeRow]) -> Self {
        let replicas = row.replicas.iter().map(|replica| {
            let volume = volumes
                .iter()
                .find(|volume| volume.node == replica.node && Some(volume.slot) == replica.volume);
            ReplicaView {
                node: replica.node.to_string(),
                state: State::of_replica(t, replica.state),
                directory: volume.map_or_else(String::new, |it| it.path.clone()),
            }
        });
        Self {
            state: State::of_chunk(t, row.state),
            replicas: replicas.collect(),
            row,
        }
    }
}

/// One chunk.
#[derive(Debug, Template)]
#[template(path = "chunk.html")]
pub struct ChunkPage {
    f: Frame,
    chunk: ChunkView,
    file_href: String,
    facts: Vec<(&'static str, String)>,
    history: HistoryPage,
}

impl ChunkPage {
    /// Puts it together; `file_href` leads to its file.
    #[must_use]
    pub fn new(f: Frame, chunk: ChunkView, file_href: String, history: HistoryPage) -> Self {
        let t = f.t;
        let row = &chunk.row;
        let facts = vec![
            (t.size, format::bytes(row.len)),
            (t.generation, row.generation.to_string()),
            (t.position, row.number.to_string()),
            (t.digest, row.digest.to_string()),
        ];
        Self {
            f,
            chunk,
            file_href,
            facts,
            history,
        }
    }
}
