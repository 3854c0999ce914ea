//! The two queues of the disk, and the reading of sealed files.

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use vaquita_core::disk::{DiskBatch, DiskFault, FileName, Lane};
use vaquita_core::ids::DiskTicket;

use crate::env::Disk;

/// A batch that was carried out, or met a fault.
pub(super) type Completion = (DiskTicket, Result<(), DiskFault>);

/// One task for each lane, so that the batches of a lane keep their order and those of the other
/// do not wait for them.
pub(super) struct Lanes {
    foreground: mpsc::Sender<DiskBatch>,
    background: mpsc::Sender<DiskBatch>,
    _tasks: JoinSet<()>,
}

impl Lanes {
    pub(super) fn start<D: Disk>(
        disk: &D,
        waiting_max: usize,
        completions: &mpsc::Sender<Completion>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let mut lane = || {
            let (sender, batches) = mpsc::channel(waiting_max.max(1));
            tasks.spawn(work(disk.clone(), batches, completions.clone()));
            sender
        };
        Self {
            foreground: lane(),
            background: lane(),
            _tasks: tasks,
        }
    }

    /// Queues a batch; gives it back if the queue is full.
    pub(super) fn submit(&self, batch: DiskBatch) -> Result<(), DiskBatch> {
        let lane = match batch.lane {
            Lane::Foreground => &self.foreground,
            Lane::Background => &self.background,
        };
        lane.try_send(batch).map_err(|error| match error {
            mpsc::error::TrySendError::Full(batch) | mpsc::error::TrySendError::Closed(batch) => {
                batch
            }
        })
    }
}

async fn work<D: Disk>(
    disk: D,
    mut batches: mpsc::Receiver<DiskBatch>,
    completions: mpsc::Sender<Completion>,
) {
    while let Some(batch) = batches.recv().await {
        let ticket = batch.ticket;
        let result = disk.apply(batch).await;
        if completions.send((ticket, result)).await.is_err() {
            return;
        }
    }
}

/// A sealed file, open.
pub type SealedFile<'a> = (&'a FileName, &'a [u8]);

/// Opens sealed files in the order given.
pub(super) async fn open_all<D: Disk>(
    disk: &D,
    names: Vec<FileName>,
) -> Result<Vec<(FileName, D::Sealed)>, String> {
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let sealed = disk
            .open_sealed(&name)
            .await
            .map_err(|error| format!("cannot open {name}: {error}"))?;
        files.push((name, sealed));
    }
    Ok(files)
}
