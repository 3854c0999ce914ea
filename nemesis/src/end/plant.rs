//! Harm that a cluster cannot survive, so that the nemesis has to notice it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use vaquita_core::dfs::ids::{ChunkId, ChunkVersion, Generation};

use super::ANSWER;
use super::remains::{BLOCK_LEN, volume};
use crate::api::Api;
use crate::cluster::Cluster;

/// Overwrites the first block of every replica of one file's chunk, behind the cluster's back. Returns what was
/// destroyed.
pub(crate) async fn destroy_a_file(cluster: &Cluster, api: &mut Api) -> Result<String, String> {
    let chunks = api.chunks(false, ANSWER).await?;
    let chunk = chunks.first().ok_or("there is no chunk to be destroyed")?;
    let path = chunk["path"].as_str().unwrap_or_default().to_owned();
    let id = chunk["chunk"].as_str().unwrap_or_default();
    let id = u64::from_str_radix(id, 16).map_err(|error| format!("chunk {id}: {error}"))?;
    let generation = chunk["generation"].as_u64().unwrap_or_default();
    let version = ChunkVersion {
        chunk: ChunkId(id),
        generation: Generation(u32::try_from(generation).unwrap_or_default()),
    };
    let mut destroyed = 0;
    for node in &cluster.deployment.nodes {
        let found = volume(&cluster.deployment.volume(&node.alias))?;
        let Some(content) = found.contents.get(&version) else {
            continue;
        };
        let failed = |error: std::io::Error| format!("{}: {error}", content.file.display());
        let len = usize::try_from(content.len.min(BLOCK_LEN)).unwrap_or_default();
        let file = OpenOptions::new().write(true).open(&content.file);
        let file = file.map_err(failed)?;
        file.write_all_at(&vec![0x5a; len], content.at)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        destroyed += 1;
    }
    if destroyed == 0 {
        return Err(format!("no replica of {path} was found"));
    }
    Ok(format!("all {destroyed} replicas of {path}"))
}
