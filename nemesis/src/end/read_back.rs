//! Whether everything is there in the end, and where it should be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::ANSWER;
use crate::api::Api;
use crate::clients::{Load, Server};
use crate::cluster::FACTOR;
use crate::report::{Log, Rule};
use crate::watch::{apart, host_of};

/// How long a file may take to be read, when all is well.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long all files may take: what cannot be read is waited for each time.
const ENOUGH: Duration = Duration::from_secs(120);

/// Reads every file that was ever spoken of through every data node; what comes goes into the history. Returns how
/// many reads there were.
///
/// # Errors
/// If a reader panics.
pub(crate) async fn read_back(
    load: &Arc<Load>,
    entries: &[String],
    log: &Arc<Log>,
) -> Result<usize, String> {
    let files = Arc::new(load.known());
    let mut readers = JoinSet::new();
    for entry in entries {
        let (load, log, files) = (Arc::clone(load), Arc::clone(log), Arc::clone(&files));
        readers.spawn(read_through(entry.clone(), load, log, files));
    }
    let mut reads = 0;
    while let Some(read) = readers.join_next().await {
        reads += read.map_err(|error| format!("a reader has not ended well: {error}"))?;
    }
    Ok(reads)
}

async fn read_through(
    entry: String,
    load: Arc<Load>,
    log: Arc<Log>,
    files: Arc<Vec<String>>,
) -> usize {
    let begun = Instant::now();
    let mut server = Server::at(&entry);
    for (nth, file) in files.iter().enumerate() {
        if let Err(why) = load.read_back(&mut server, file, PATIENCE).await {
            let story = format!("{file} cannot be read through {entry}: {why}");
            log.violated(Rule::ReadBack, story);
            if begun.elapsed() > ENOUGH {
                return nth + 1;
            }
        }
    }
    files.len()
}

/// Looks whether each chunk has as many good replicas as it should, each on a host of its own. Returns how many
/// chunks there are.
pub(crate) async fn placed(api: &mut Api, log: &Log) -> Result<usize, String> {
    let chunks = api.chunks(false, ANSWER).await?;
    for chunk in &chunks {
        let replicas = chunk["replicas"].as_array().cloned().unwrap_or_default();
        let good = replicas.iter().filter(|it| it["state"] == "good");
        let hosts = good.filter_map(|it| it["node"].as_str()).map(host_of);
        let count = hosts.count();
        if count != FACTOR {
            let story = format!("a chunk has {count} good replicas and not {FACTOR}: {chunk}");
            log.violated(Rule::Placed, story);
        }
        if let Err(story) = apart(chunk) {
            log.violated(Rule::Placed, story);
        }
    }
    Ok(chunks.len())
}
