//! The volumes of a node: opening them, their lanes, and what reads and writes beside these.
//!
//! Whatever happens on one volume's disk happens to that volume alone. Each has lanes and a bounded
//! number of other operations of its own, and each operation has a deadline: a disk that lets one
//! pass is taken to be hung, the machine is told, and from then on the volume's operations fail at
//! once. What the disk did with what it was given is not known.
//!
//! A volume that is opened again is locked and read anew, as by a process that has just begun: nothing of
//! how it was before is gone on with. That has to wait for all operations that it was given before; while
//! one of them has not come back, the volume stays as it is.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};
use vaquita_core::admin::Refusal;
use vaquita_core::dfs::digest::BLOCK;
use vaquita_core::dfs::ids::{StageId, VolumeSlot};
use vaquita_core::disk::{DiskBatch, DiskFault, DiskFaultKind, DiskOp, FileName, Lane};
use vaquita_core::ids::DiskTicket;
use vaquita_core::io::Input;
use vaquita_core::store::label::{LABEL_BYTES_MAX, LabelCopy, label_files};
use vaquita_core::store::{Fill, Opened, VolumeTrouble, VolumeTroubleKind};

use super::budget::Share;
use super::limits::DataLimits;
use super::scan::look;
use super::stages::Stages;
use crate::env::{Disk, Env, Listing, OpenDiskError, ReadFiles};

/// Why something could not be read from or written to a volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VolumeFault {
    /// Too much waits for it already.
    #[error("{0}")]
    Busy(String),
    /// It is not open, or its disk hangs.
    #[error("{0}")]
    Away(String),
    /// Its disk, or the file system, says no.
    #[error("{reason}")]
    Disk { kind: DiskFaultKind, reason: String },
}

impl From<VolumeFault> for Refusal {
    fn from(fault: VolumeFault) -> Self {
        match fault {
            VolumeFault::Busy(reason) => Self::Busy {
                reason,
                retry_after: Duration::from_secs(1),
            },
            VolumeFault::Away(reason) | VolumeFault::Disk { reason, .. } => {
                Self::Unavailable { reason }
            }
        }
    }
}

/// The volumes, for whoever reads and writes chunks. Clones are the same.
pub(crate) struct Volumes<E: Env> {
    shared: Arc<Shared<E>>,
}

impl<E: Env> Clone for Volumes<E> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

struct Shared<E: Env> {
    env: E,
    limits: DataLimits,
    slots: Vec<Slot<E::Disk>>,
    /// What the machine is to be told.
    events: mpsc::Sender<Input>,
}

struct Slot<D> {
    directory: PathBuf,
    state: Mutex<State<D>>,
    /// One permit for each operation beside the lanes that runs.
    turns: Arc<Semaphore>,
    /// One permit for each that runs or waits.
    queue: Arc<Semaphore>,
    /// Held by each operation that was begun and has not come back, be it that nobody waits for it any
    /// more.
    begun: Arc<()>,
    /// Counts the times that it was opened.
    life: AtomicU64,
    /// Whether this process has had its lock.
    had: AtomicBool,
}

enum State<D> {
    Closed,
    Opening,
    Open(D),
    /// In the words of [`hung`].
    Hung(String),
}

impl<D> Slot<D> {
    fn state(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> String {
        self.directory.display().to_string()
    }
}

impl<D: Clone> Slot<D> {
    fn disk(&self) -> Result<D, VolumeFault> {
        match &*self.state() {
            State::Open(disk) => Ok(disk.clone()),
            State::Closed | State::Opening => Err(VolumeFault::Away(format!(
                "the volume {} is not open; see `vaquita volume list` for the reason",
                self.directory.display()
            ))),
            State::Hung(reason) => Err(VolumeFault::Away(reason.clone())),
        }
    }
}

/// An operation took longer than any may.
#[derive(Debug)]
struct Overdue;

/// Carries out an operation, and stops waiting for it when it takes too long; it may go on, and holds
/// `begun` for as long.
async fn within<T: Send + 'static>(
    limit: Duration,
    begun: &Arc<()>,
    operation: impl Future<Output = T> + Send + 'static,
) -> Result<T, Overdue> {
    let (done, outcome) = oneshot::channel();
    let begun = Arc::clone(begun);
    tokio::spawn(async move {
        let result = operation.await;
        drop(begun);
        // Nobody waits for what is overdue.
        let _ = done.send(result);
    });
    match timeout(limit, outcome).await {
        Ok(Ok(value)) => Ok(value),
        // It panicked: what it did is as little known.
        Ok(Err(_)) | Err(_) => Err(Overdue),
    }
}

impl<E: Env> Volumes<E> {
    pub(crate) fn new(
        env: E,
        directories: Vec<PathBuf>,
        limits: &DataLimits,
        events: mpsc::Sender<Input>,
    ) -> Self {
        let turns = limits.disk_concurrency.max(1);
        let slots = directories
            .into_iter()
            .map(|directory| Slot {
                directory,
                state: Mutex::new(State::Closed),
                turns: Arc::new(Semaphore::new(turns)),
                queue: Arc::new(Semaphore::new(turns + limits.disk_waiting_max)),
                begun: Arc::new(()),
                life: AtomicU64::new(0),
                had: AtomicBool::new(false),
            })
            .collect();
        let shared = Shared {
            env,
            limits: limits.clone(),
            slots,
            events,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    fn slot(&self, slot: VolumeSlot) -> Option<&Slot<E::Disk>> {
        self.shared.slots.get(usize::from(slot.0))
    }

    /// How often a volume was opened.
    pub(crate) fn life(&self, slot: VolumeSlot) -> u64 {
        let slot = self.slot(slot);
        slot.map_or(0, |slot| slot.life.load(Ordering::Acquire))
    }

    /// Tells the machine something.
    pub(crate) async fn tell(&self, input: Input) {
        // Nobody listens once the process is ending.
        let _ = self.shared.events.send(input).await;
    }

    /// Has the next read of these bytes come from the disk itself.
    pub(crate) async fn forget_cached(
        &self,
        slot: VolumeSlot,
        file: &FileName,
        offset: u64,
        len: u64,
    ) {
        let name = file.clone();
        let forgetting = self.beside(slot, move |disk| async move {
            disk.forget_cached(&name, offset, len).await
        });
        if let Err(error) = forgetting.await {
            // What cannot be read is told by whoever reads it.
            debug!("{file} may be read from a cache: {error:?}");
        }
    }

    /// Bytes of a file, exactly `len` of them.
    pub(crate) async fn read_at(
        &self,
        slot: VolumeSlot,
        file: &FileName,
        offset: u64,
        len: usize,
    ) -> Result<Bytes, VolumeFault> {
        let name = file.clone();
        let reading = self.beside(slot, move |disk| async move {
            disk.read_at(&name, offset, len).await
        });
        let at = || match self.slot(slot) {
            Some(slot) => slot.directory.join(file.as_str()).display().to_string(),
            None => file.to_string(),
        };
        let failed = |kind, message: String| VolumeFault::Disk {
            kind,
            reason: format!("cannot read {len} bytes at {offset} of {}: {message}", at()),
        };
        let bytes = reading
            .await?
            .map_err(|error| failed(kind_of_read(&error), error.to_string()))?;
        if bytes.len() == len {
            Ok(bytes)
        } else {
            let message = format!("the file ends {} bytes too early", len - bytes.len());
            Err(failed(DiskFaultKind::Unreadable, message))
        }
    }

    /// Both copies of a volume's label, from the disk.
    async fn label_copies(&self, slot: VolumeSlot) -> Result<[LabelCopy; 2], VolumeFault> {
        let [first, second] = label_files();
        Ok([
            self.label_copy(slot, first).await?,
            self.label_copy(slot, second).await?,
        ])
    }

    async fn label_copy(&self, slot: VolumeSlot, file: FileName) -> Result<LabelCopy, VolumeFault> {
        let len = LABEL_BYTES_MAX;
        self.forget_cached(slot, &file, 0, len as u64).await;
        let name = file.clone();
        let reading = self.beside(slot, move |disk| async move {
            disk.read_at(&name, 0, len).await
        });
        let copy = match reading.await? {
            Ok(bytes) => LabelCopy::of(&file, Ok(Some(&bytes))),
            Err(error) if error.kind() == ErrorKind::NotFound => LabelCopy::Missing,
            Err(error) => {
                let (kind, reason) = (kind_of_read(&error), format!("cannot read {file}: {error}"));
                if kind != DiskFaultKind::Unreadable {
                    // It tells nothing of what is in the file, which may be another label.
                    return Err(VolumeFault::Disk { kind, reason });
                }
                LabelCopy::of(&file, Err(reason))
            }
        };
        Ok(copy)
    }

    /// Writes bytes at the end of a file that is being filled, which is at `offset`.
    ///
    /// The machine is told of a fault by its kind: a disk that fails fails its volume, a full one
    /// has its room told at once.
    /// `life` is that of the volume when the file was made: once the volume was opened again, nobody
    /// waits for the file.
    pub(crate) async fn append(
        &self,
        slot: VolumeSlot,
        life: u64,
        file: &FileName,
        offset: u64,
        bytes: Bytes,
    ) -> Result<(), VolumeFault> {
        if self.life(slot) != life {
            let reason = format!("the volume {slot} was opened again since {file} was made");
            return Err(VolumeFault::Away(reason));
        }
        let name = file.clone();
        let writing = self.beside(slot, move |disk| async move {
            disk.append(&name, offset, bytes).await
        });
        let Err(fault) = writing.await? else {
            return Ok(());
        };
        let reason = fault.to_string();
        match fault.kind {
            DiskFaultKind::NoSpace => self.tell_space(slot).await,
            // What is wrong with it was wrong before it was opened again.
            _ if self.life(slot) != life => {}
            DiskFaultKind::Denied
            | DiskFaultKind::Io
            | DiskFaultKind::Unreadable
            | DiskFaultKind::NotNow => {
                let kind = VolumeTroubleKind::Failed;
                let reason = reason.clone();
                let result = Err(VolumeTrouble { kind, reason });
                self.tell(Input::VolumeOpened { slot, result }).await;
            }
        }
        let kind = fault.kind;
        Err(VolumeFault::Disk { kind, reason })
    }

    /// Carries out an operation in its turn.
    async fn beside<T, F>(
        &self,
        number: VolumeSlot,
        operation: impl FnOnce(E::Disk) -> F,
    ) -> Result<T, VolumeFault>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let Some(slot) = self.slot(number) else {
            return Err(VolumeFault::Away(format!("there is no volume {number}")));
        };
        let disk = slot.disk()?;
        let busy = |_| {
            VolumeFault::Busy(format!(
                "too many reads and writes wait for the volume {}",
                slot.directory.display()
            ))
        };
        let place = Arc::clone(&slot.queue)
            .try_acquire_owned()
            .map_err(|_| busy(()))?;
        let limit = self.shared.limits.disk_timeout;
        let turn = timeout(limit, Arc::clone(&slot.turns).acquire_owned())
            .await
            .map_err(|_| busy(()))?
            .map_err(|_| busy(()))?;
        let operation = operation(disk);
        let watched = within(limit, &slot.begun, async move {
            let result = operation.await;
            // Held for as long as the operation runs, so that no more pile up on a hung disk.
            drop((turn, place));
            result
        });
        match watched.await {
            Ok(result) => Ok(result),
            Err(Overdue) => Err(VolumeFault::Away(self.hang(number, limit).await)),
        }
    }

    /// The disk of a volume hangs: nothing more is asked of it. Returns it in words.
    async fn hang(&self, number: VolumeSlot, after: Duration) -> String {
        let Some(slot) = self.slot(number) else {
            return String::new();
        };
        let reason = hung(&slot.shown(), after);
        let before = std::mem::replace(&mut *slot.state(), State::Hung(reason.clone()));
        if let State::Open(_) = before {
            warn!("{reason}");
            let trouble = VolumeTrouble {
                kind: VolumeTroubleKind::Hung,
                reason: reason.clone(),
            };
            let slot = number;
            let result = Err(trouble);
            self.tell(Input::VolumeOpened { slot, result }).await;
        }
        reason
    }

    /// Locks a volume's directory and looks at what is on it.
    pub(super) async fn open(&self, number: VolumeSlot) -> Result<Opened, VolumeTrouble> {
        let Some(slot) = self.slot(number) else {
            let reason = format!("there is no volume {number}: that is a bug in this program");
            let kind = VolumeTroubleKind::Missing;
            return Err(VolumeTrouble { kind, reason });
        };
        // Whatever it was: it is locked and read anew.
        drop(std::mem::replace(&mut *slot.state(), State::Opening));
        let opening = async {
            self.come_back(slot).await?;
            slot.life.fetch_add(1, Ordering::AcqRel);
            let disk = self.lock(slot, slot.had.load(Ordering::Acquire)).await?;
            slot.had.store(true, Ordering::Release);
            let opened = self.scan(slot, &disk).await?;
            Ok((disk, opened))
        };
        let result = opening.await;
        let mut state = slot.state();
        match &result {
            Ok((disk, _)) => *state = State::Open(disk.clone()),
            Err(Closed::Hung) => *state = State::Hung(self.hung(slot)),
            Err(Closed::Trouble(_)) => *state = State::Closed,
        }
        result
            .map(|(_, opened)| opened)
            .map_err(|closed| match closed {
                Closed::Trouble(trouble) => trouble,
                Closed::Hung => VolumeTrouble {
                    kind: VolumeTroubleKind::Hung,
                    reason: self.hung(slot),
                },
            })
    }

    fn hung(&self, slot: &Slot<E::Disk>) -> String {
        hung(&slot.shown(), self.shared.limits.disk_timeout)
    }

    /// Waits for a moment until all that was begun on a volume has come back. What has not may still be
    /// carried out, at any time: the volume hangs as before.
    async fn come_back(&self, slot: &Slot<E::Disk>) -> Result<(), Closed> {
        let patience = COME_BACK.min(self.shared.limits.disk_timeout);
        let coming = async {
            while Arc::strong_count(&slot.begun) > 1 {
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(patience, coming).await.map_err(|_| Closed::Hung)
    }

    /// Locks a volume's directory. One that this process may have had may take a moment: whoever is
    /// done with it gives it back a moment after it is told so.
    async fn lock(&self, slot: &Slot<E::Disk>, had: bool) -> Result<E::Disk, Closed> {
        let limit = self.shared.limits.disk_timeout;
        let mut patience = if had { COME_BACK } else { Duration::ZERO };
        let opened = loop {
            let env = self.shared.env.clone();
            let directory = slot.directory.clone();
            let opening = async move { env.open_disk(&directory).await };
            match within(limit, &slot.begun, opening).await? {
                Err(OpenDiskError::InUse { .. }) if !patience.is_zero() => {
                    patience = patience.saturating_sub(LOOK_AGAIN);
                    sleep(LOOK_AGAIN).await;
                }
                opened => break opened,
            }
        };
        opened.map_err(|error| {
            let kind = match &error {
                OpenDiskError::InUse { .. } => VolumeTroubleKind::InUse,
                OpenDiskError::Refused { source, .. } => match source.kind() {
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                        VolumeTroubleKind::Missing
                    }
                    _ => VolumeTroubleKind::Failed,
                },
            };
            let reason = error.to_string();
            Closed::Trouble(VolumeTrouble { kind, reason })
        })
    }

    async fn scan(&self, slot: &Slot<E::Disk>, disk: &E::Disk) -> Result<Opened, Closed> {
        let limit = self.shared.limits.disk_timeout;
        let failed = |error: std::io::Error| {
            Closed::Trouble(VolumeTrouble {
                kind: VolumeTroubleKind::Failed,
                reason: format!(
                    "cannot read the volume {}: {error}. Check the disk (dmesg)",
                    slot.directory.display()
                ),
            })
        };
        let space = {
            let disk = disk.clone();
            within(limit, &slot.begun, async move { disk.space().await }).await?
        };
        let space = space.map_err(failed)?;
        let reads = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&reads);
        let (done, mut outcome) = oneshot::channel();
        let disk = disk.clone();
        let begun = Arc::clone(&slot.begun);
        tokio::spawn(async move {
            let looking = disk
                .inspect(move |files| look(&Counted { files, counted }))
                .await;
            drop(begun);
            // Nobody waits for what is overdue.
            let _ = done.send(looking);
        });
        // However long it takes in all, each read has the time of any operation.
        let mut before = reads.load(Ordering::Relaxed);
        let looked = loop {
            match timeout(limit, &mut outcome).await {
                Ok(Ok(looked)) => break looked,
                Ok(Err(_)) => return Err(Closed::Hung),
                Err(_) => {
                    let now = reads.load(Ordering::Relaxed);
                    if now == before {
                        return Err(Closed::Hung);
                    }
                    before = now;
                }
            }
        };
        let (label, found) = looked
            .and_then(|seen| seen.map_err(std::io::Error::other))
            .map_err(failed)?;
        Ok(Opened {
            label,
            capacity: space.capacity,
            free: space.free,
            found,
        })
    }

    /// Tells the machine how much room a volume has, if it is open.
    async fn tell_space(&self, slot: VolumeSlot) {
        let number = slot;
        let Some(slot) = self.slot(number) else {
            return;
        };
        let Ok(disk) = slot.disk() else {
            return;
        };
        let asking = async move { disk.space().await };
        let limit = self.shared.limits.disk_timeout;
        let asked = within(limit, &slot.begun, asking).await;
        let slot = number;
        match asked {
            Ok(Ok(space)) => {
                self.tell(Input::VolumeSpace {
                    slot,
                    capacity: space.capacity,
                    free: space.free,
                })
                .await;
            }
            Ok(Err(error)) => warn!("cannot see the room of the volume {slot}: {error}"),
            Err(Overdue) => {
                self.hang(slot, self.shared.limits.disk_timeout).await;
            }
        }
    }

    fn begun(&self, slot: VolumeSlot) -> Arc<()> {
        let slot = self.slot(slot);
        slot.map(|slot| Arc::clone(&slot.begun)).unwrap_or_default()
    }

    /// Lets go of a directory that is not in use, so that it can be unmounted, or another process have
    /// it.
    pub(super) fn let_go(&self, slot: VolumeSlot) {
        let Some(slot) = self.slot(slot) else { return };
        let mut state = slot.state();
        if let State::Open(_) = *state {
            *state = State::Closed;
        }
    }

    /// Lets go of all directories, so that another process can have them.
    fn close(&self) {
        for slot in &self.shared.slots {
            let mut state = slot.state();
            if !matches!(*state, State::Hung(_)) {
                *state = State::Closed;
            }
        }
    }
}

/// How long what was begun on a volume may take to come back before the volume is opened again.
const COME_BACK: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Why a volume did not come to be open.
enum Closed {
    Trouble(VolumeTrouble),
    Hung,
}

impl From<Overdue> for Closed {
    fn from(_: Overdue) -> Self {
        Self::Hung
    }
}

fn hung(directory: &str, after: Duration) -> String {
    format!(
        "the disk under the volume {directory} has not answered for {} s: nothing more is asked of \
         it. Check it (dmesg), then `vaquita volume rescan` has this node read it again",
        after.as_secs()
    )
}

/// A directory whose reads are counted.
struct Counted<'a> {
    files: &'a dyn ReadFiles,
    counted: Arc<AtomicU64>,
}

impl ReadFiles for Counted<'_> {
    fn list(&self) -> std::io::Result<Listing> {
        self.counted.fetch_add(1, Ordering::Relaxed);
        self.files.list()
    }

    fn read_at(&self, file: &FileName, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
        self.counted.fetch_add(1, Ordering::Relaxed);
        self.files.read_at(file, offset, len)
    }
}

/// A batch with what goes behind its operations' own bytes.
#[derive(Debug)]
struct Filled {
    batch: DiskBatch,
    /// The memory that its bytes take.
    shares: Vec<Share>,
    /// What is still to be read, in the order of the operations.
    copies: Vec<Copy>,
}

/// Bytes that an operation copies from elsewhere on the volume.
#[derive(Debug)]
struct Copy {
    at: usize,
    file: FileName,
    crcs_at: u64,
    len: u64,
}

/// The two queues of an open volume.
#[derive(Debug)]
struct VolumeLanes {
    foreground: mpsc::Sender<Filled>,
    background: mpsc::Sender<Filled>,
}

/// The driver's side: carries out what the machine asks of its volumes.
pub(crate) struct VolumeHands<E: Env> {
    volumes: Volumes<E>,
    stages: Stages,
    lanes: Vec<Option<VolumeLanes>>,
    tasks: JoinSet<()>,
}

impl<E: Env> VolumeHands<E> {
    pub(crate) fn new(volumes: Volumes<E>, stages: Stages) -> Self {
        let lanes = volumes.shared.slots.iter().map(|_| None).collect();
        Self {
            volumes,
            stages,
            lanes,
            tasks: JoinSet::new(),
        }
    }

    /// Starts opening a volume.
    pub(crate) fn open(&mut self, slot: VolumeSlot) {
        self.reap();
        let volumes = self.volumes.clone();
        // The lanes are there before the volume is, so that the machine may write in the very round
        // in which it is told.
        let first = self.start_lanes(slot);
        self.tasks.spawn(async move {
            let result = volumes.open(slot).await;
            let open = result.is_ok();
            volumes.tell(Input::VolumeOpened { slot, result }).await;
            if open {
                volumes.tell_space(slot).await;
            }
            // One task for each volume tells its room, however often it is opened.
            if first {
                loop {
                    sleep(volumes.shared.limits.space_period).await;
                    volumes.tell_space(slot).await;
                }
            }
        });
    }

    /// Lets go of a volume that the machine does not use.
    pub(crate) fn close(&self, slot: VolumeSlot) {
        self.volumes.let_go(slot);
    }

    /// Begins to read both copies of a volume's label; the machine is told of the end.
    pub(crate) fn read_label(&mut self, slot: VolumeSlot, ticket: DiskTicket) {
        self.reap();
        let volumes = self.volumes.clone();
        self.tasks.spawn(async move {
            let result = volumes.label_copies(slot).await;
            let read = Input::LabelRead {
                slot,
                ticket,
                result: result.map_err(|fault| fault.to_string()),
            };
            volumes.tell(read).await;
        });
    }

    /// Starts the lanes of a volume; returns whether it had none.
    fn start_lanes(&mut self, slot: VolumeSlot) -> bool {
        let waiting_max = self.volumes.shared.limits.disk_batches_max.max(1);
        let Some(lanes) = self.lanes.get_mut(usize::from(slot.0)) else {
            return false;
        };
        if lanes.is_some() {
            return false;
        }
        let mut lane = || {
            let (sender, batches) = mpsc::channel(waiting_max);
            self.tasks.spawn(work(self.volumes.clone(), slot, batches));
            sender
        };
        *lanes = Some(VolumeLanes {
            foreground: lane(),
            background: lane(),
        });
        true
    }

    /// Queues a batch, with the bytes of the stages that go into it. Returns what the machine is to
    /// be told at once, if the batch cannot even wait.
    pub(crate) fn submit(
        &mut self,
        slot: VolumeSlot,
        mut batch: DiskBatch,
        fills: Vec<(usize, Fill)>,
    ) -> Option<Input> {
        let ticket = batch.ticket;
        let failed = |failed_op, message: String| {
            Some(Input::VolumeDone {
                slot,
                ticket,
                result: Err(DiskFault {
                    kind: DiskFaultKind::Io,
                    failed_op,
                    op: format!("write to the volume {slot}"),
                    message,
                }),
            })
        };
        let mut shares = Vec::new();
        let mut copies = Vec::new();
        for (at, fill) in fills {
            let stage = match fill {
                Fill::Stage(stage) => stage,
                Fill::Copy { file, crcs_at, len } => {
                    copies.push(Copy {
                        at,
                        file,
                        crcs_at,
                        len,
                    });
                    continue;
                }
            };
            let Some(taken) = self.stages.take(stage) else {
                error!("the bytes of stage {stage} are gone: that is a bug in this program");
                return failed(at, format!("the bytes of stage {stage} are gone"));
            };
            let Some(DiskOp::Append { bytes, .. }) = batch.ops.get_mut(at) else {
                error!("stage {stage} is for an operation that appends nothing: that is a bug");
                return failed(at, format!("stage {stage} has no place in the batch"));
            };
            bytes.extend_from_slice(&taken.bytes);
            shares.extend(taken.share);
        }
        let lanes = self.lanes.get(usize::from(slot.0)).and_then(Option::as_ref);
        let Some(lanes) = lanes else {
            return failed(0, "it was never opened".to_owned());
        };
        let lane = match batch.lane {
            Lane::Foreground => &lanes.foreground,
            Lane::Background => &lanes.background,
        };
        let filled = Filled {
            batch,
            shares,
            copies,
        };
        match lane.try_send(filled) {
            Ok(()) => None,
            Err(_) => failed(
                0,
                format!(
                    "{} batches wait for its disk already and none gets done",
                    self.volumes.shared.limits.disk_batches_max
                ),
            ),
        }
    }

    /// Forgets the bytes of a stage.
    pub(crate) fn drop_stage(&mut self, stage: StageId) {
        self.stages.take(stage);
    }

    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(failure) = ended {
                error!("the work on a volume ended by a bug in this program: {failure}");
            }
        }
    }
}

impl<E: Env> Drop for VolumeHands<E> {
    fn drop(&mut self) {
        self.volumes.close();
    }
}

/// The life of a lane.
async fn work<E: Env>(
    volumes: Volumes<E>,
    number: VolumeSlot,
    mut batches: mpsc::Receiver<Filled>,
) {
    while let Some(filled) = batches.recv().await {
        let ticket = filled.batch.ticket;
        let copied = filled.copies.iter().map(|copy| copy.len).sum();
        let limit = time_limit(&filled.batch, copied, &volumes.shared.limits);
        let result = match volumes.slot(number).map(Slot::disk) {
            Some(Ok(disk)) => {
                let writing = carry_out(disk, filled);
                let begun = volumes.begun(number);
                match within(limit, &begun, writing).await {
                    Ok(result) => result,
                    Err(Overdue) => Err(away(number, volumes.hang(number, limit).await)),
                }
            }
            Some(Err(fault)) => Err(away(number, fault.to_string())),
            None => Err(away(number, "there is no such volume".to_owned())),
        };
        volumes
            .tell(Input::VolumeDone {
                slot: number,
                ticket,
                result,
            })
            .await;
    }
}

/// Reads what a batch copies, and carries the batch out. What cannot be copied as it should be ends
/// the batch in front of its operation.
async fn carry_out<D: Disk>(disk: D, filled: Filled) -> Result<(), DiskFault> {
    let Filled {
        mut batch,
        shares,
        copies,
    } = filled;
    let mut unreadable = None;
    for copy in copies {
        let Some(DiskOp::Append { bytes, .. }) = batch.ops.get_mut(copy.at) else {
            error!("a copy is for an operation that appends nothing: that is a bug");
            continue;
        };
        match read_copy(&disk, &copy).await {
            Ok(read) => bytes.extend_from_slice(&read),
            Err((kind, message)) => {
                let fault = DiskFault {
                    kind,
                    failed_op: copy.at,
                    op: format!(
                        "copy {} bytes at {} of {}",
                        copy.len, copy.crcs_at, copy.file
                    ),
                    message,
                };
                batch.ops.truncate(copy.at);
                unreadable = Some(fault);
                break;
            }
        }
    }
    let result = disk.apply(batch).await;
    drop(shares);
    match (result, unreadable) {
        (Ok(()), Some(fault)) => Err(fault),
        (result, _) => result,
    }
}

/// The checksums and the bytes of a chunk, if they fit.
async fn read_copy<D: Disk>(disk: &D, copy: &Copy) -> Result<Bytes, (DiskFaultKind, String)> {
    let lost = |message: String| (DiskFaultKind::Unreadable, message);
    let fill = Fill::Copy {
        file: copy.file.clone(),
        crcs_at: copy.crcs_at,
        len: copy.len,
    };
    let length = |len: u64| usize::try_from(len).map_err(|error| lost(error.to_string()));
    let whole = length(fill.copied().unwrap_or(0))?;
    let bytes = disk
        .read_at(&copy.file, copy.crcs_at, whole)
        .await
        .map_err(|error| match kind_of_read(&error) {
            DiskFaultKind::Unreadable => lost(error.to_string()),
            _ => (DiskFaultKind::NotNow, error.to_string()),
        })?;
    if bytes.len() != whole {
        let message = format!("the file ends {} bytes too early", whole - bytes.len());
        return Err(lost(message));
    }
    let chunk = length(copy.len)?;
    let (crcs, chunk) = bytes.split_at(whole - chunk);
    let (crcs, _) = crcs.as_chunks::<4>();
    let fits = chunk
        .chunks(BLOCK)
        .zip(crcs)
        .all(|(block, crc)| crc32fast::hash(block) == u32::from_le_bytes(*crc));
    if fits {
        Ok(bytes)
    } else {
        Err(lost("its bytes do not fit their checksums".to_owned()))
    }
}

/// What a failed reading says of the bytes. [`DiskFaultKind::Unreadable`]: the disk does not give them
/// back, and asking again does not help. Anything else, such as too many open files, says nothing of
/// them.
fn kind_of_read(error: &std::io::Error) -> DiskFaultKind {
    let of_the_medium = Errno::from_io_error(error)
        .is_some_and(|errno| matches!(errno, Errno::IO | Errno::UCLEAN | Errno::BADMSG));
    match error.kind() {
        _ if of_the_medium => DiskFaultKind::Unreadable,
        ErrorKind::NotFound | ErrorKind::UnexpectedEof => DiskFaultKind::Unreadable,
        ErrorKind::PermissionDenied => DiskFaultKind::Denied,
        _ => DiskFaultKind::Io,
    }
}

/// The most times [`DataLimits::disk_timeout`] that a batch may take.
const TURNS_MAX: u64 = 4;

/// How long a disk that is merely slow may take for a batch, by which many chunks are written at
/// once, and which copies so many bytes beside its own.
pub(crate) fn time_limit(batch: &DiskBatch, copied: u64, limits: &DataLimits) -> Duration {
    let mut bytes = copied;
    let mut syncs = 0_u64;
    for op in &batch.ops {
        match op {
            DiskOp::Append { bytes: more, .. } => bytes += more.len() as u64,
            DiskOp::Sync { .. } | DiskOp::SyncDir => syncs += 1,
            _ => {}
        }
    }
    let turns = syncs.max(1) + bytes / limits.disk_timeout_bytes.max(1) as u64;
    // Nobody waits for ever for a disk that hangs in the middle of much work.
    let turns = turns.min(TURNS_MAX);
    limits.disk_timeout * u32::try_from(turns).unwrap_or(1)
}

fn away(slot: VolumeSlot, message: String) -> DiskFault {
    DiskFault {
        kind: DiskFaultKind::Io,
        failed_op: 0,
        op: format!("write to the volume {slot}"),
        message,
    }
}
