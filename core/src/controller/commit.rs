//! From a decision to a promise: appending, syncing, and only then telling.

use super::audit::Ordered;
use super::files::Asker;
use super::{Controller, JobPurpose, Phase};
use minicbor::{Decode, Encode};

use crate::access::{self, Identity, SetupFile};
use crate::admin::{OrderRow, Refusal, Reply, Request, Response, SETUP_CODE_FILE};
use crate::dfs::ask::{Answer, Ask};
use crate::dfs::namespace::Released;
use crate::disk::{DiskFault, DiskOp, FileName};
use crate::event::Event;
use crate::ids::{ClusterId, ConnId, DiskTicket, LineageId, LogIndex, NodeEpoch, RequestId};
use crate::io::{Effect, ExitCode, ExitReason, Job};
use crate::membership::Slot;
use crate::metalog::{LogProgress, Recovered, SpaceMode};
use crate::state::{
    self, AcceptedLoss, ClusterCreated, ClusterState, ControllerStarted, LineageBegun, Record,
};
use crate::time::Timestamp;
use crate::wire::codec;

/// What is told once an index is synced.
#[derive(Clone, Debug)]
pub(super) enum Continuation {
    /// The controller's own epoch: it may speak now.
    Opened,
    /// A registration.
    Granted {
        conn: ConnId,
        slot: Slot,
        epoch: NodeEpoch,
    },
    /// An answer to a request.
    Reply { id: RequestId, reply: Reply },
    /// An order for data nodes: agents are told, then the asker.
    Ordered { id: RequestId, rows: Vec<OrderRow> },
    /// Agents are told what is wanted.
    TellAgents,
    /// An answer about files.
    File { asker: Asker, answer: Answer },
    /// What a look at names has shown.
    Look {
        asker: Asker,
        result: Result<Answer, Refusal>,
    },
    /// Nodes are told what no file has any more.
    Release(Released),
    /// A volume was given to a node: all are told, and the node opens it.
    VolumeGiven {
        id: RequestId,
        slot: Slot,
        path: String,
    },
    /// Whoever ordered that a volume be drained, or serve again, waits for this answer; nodes are told
    /// first.
    VolumeDuty { id: RequestId, reply: Reply },
    /// A request whose entry in the audit comes first is carried out.
    Audited {
        id: RequestId,
        request: Box<Request>,
        identity: Identity,
    },
    /// The same about files.
    FilesAudited {
        asker: Asker,
        ask: Box<Ask>,
        identity: Identity,
        ordered: Option<Ordered>,
    },
}

/// Name of the file that says which cluster and which history a home belongs to.
pub(crate) fn home_file() -> FileName {
    FileName::fixed("cluster.id")
}

/// Name of that file while the home is being repaired.
pub(crate) fn repair_file() -> FileName {
    FileName::fixed("repair.id")
}

/// Name of the file that tells the setup code to whoever can read the controller's files.
pub(super) fn setup_code_file() -> FileName {
    FileName::fixed(SETUP_CODE_FILE)
}

/// What a controller's home says of itself, beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HomeIdentity {
    #[n(0)]
    pub(crate) cluster: ClusterId,
    #[n(1)]
    pub(crate) lineage: LineageId,
    /// A record that was durable when this was written: a log that ends before it has lost records.
    /// `None` until the first record is.
    #[n(2)]
    pub(crate) durable: Option<LogIndex>,
    /// What an operator accepted when the home was rebuilt; for the record that begins its lineage.
    #[cbor(n(3), default)]
    pub(crate) accepted: Option<AcceptedLoss>,
    /// Records that the log does not have any more may have had indexes up to here: none of them is given
    /// to another record.
    #[cbor(n(4), default)]
    pub(crate) index_floor: LogIndex,
}

/// Indexes that are left out where records may be lost: more than a controller gives in a year at thirty
/// thousand a second. A round number in decimal digits, so that people still see the index in it.
const INDEXES_LEFT_OUT: u64 = 1_000_000_000_000;
/// What is higher than that was written by no controller, and is not counted from.
const INDEX_BELIEVED: u64 = u64::MAX / 4;

/// The floor of a log that goes on without records which may be lost, if the highest index that anybody
/// is known to have seen is `highest`.
pub(crate) const fn index_floor(highest: LogIndex) -> LogIndex {
    if highest.0 < INDEX_BELIEVED {
        LogIndex(highest.0 + INDEXES_LEFT_OUT)
    } else {
        LogIndex(INDEX_BELIEVED + INDEXES_LEFT_OUT)
    }
}

/// The state that a recovered log stands for.
pub(super) fn replay(recovered: &Recovered<'_>) -> Result<ClusterState, ExitReason> {
    state::replay(recovered.checkpoint, &recovered.records).map_err(|malformed| ExitReason {
        code: ExitCode::CorruptData,
        message: format!(
            "the metadata log cannot be replayed: {malformed}. It was written by a newer version of \
             Vaquita; start that version. Nothing was changed"
        ),
    })
}

impl Controller {
    /// Appends a record and applies it, with the entry of the audit that waits for one. Nobody may be told
    /// before the returned index is synced.
    pub(super) fn append(&mut self, record: &Record) -> LogIndex {
        if self.planted.leave_out_entries {
            self.auditing.clear();
        }
        let head = self.state.audit.head();
        let accompanied = self.auditing.accompany(record, head);
        let record = accompanied.as_ref().unwrap_or(record);
        let (kind, payload) = record.encode();
        let index = self.log.append(self.epoch, kind, &payload);
        self.released = self.state.apply(index, record);
        index
    }

    /// Does `then` once `index` is synced: at once if it is.
    pub(super) fn when_synced(&mut self, now: Timestamp, index: LogIndex, then: Continuation) {
        if index <= self.log.synced() || self.planted.tell_before_synced {
            self.go_on(now, then);
        } else {
            self.waiting.entry(index).or_default().push(then);
        }
    }

    /// Hands the log's next batches to the disk, if there are any to hand.
    pub(super) fn write_log(&mut self) {
        if matches!(self.phase, Phase::Opening | Phase::Serving) {
            let Self { log, out, .. } = self;
            while let Some(batch) = log.poll_batch(|| out.ticket()) {
                out.push(Effect::Disk(batch));
            }
        }
    }

    /// Begins a new controller epoch. Nobody is answered before it is durable.
    pub(super) fn open(&mut self, now: Timestamp) {
        self.phase = Phase::Opening;
        let HomeIdentity {
            cluster,
            lineage,
            ref accepted,
            index_floor,
            ..
        } = self.identity;
        let accepted = accepted.clone();
        self.links.join_cluster(cluster);
        if self.state.cluster.is_none() {
            self.append(&Record::ClusterCreated(ClusterCreated { cluster, lineage }));
        } else if self.state.lineage != Some(lineage) {
            let text = format!(
                "the log goes on behind record {} as another history, {lineage}: nodes that were \
                 told of records which are lost will say so",
                self.log.appended()
            );
            self.out.notify(Event::warning("metalog.lineage", text));
            self.append(&Record::LineageBegun(LineageBegun { lineage, accepted }));
        }
        // The record of the lineage comes first: where two histories part, there is no hole. Nobody refers
        // to it by its index, nor to the one that says which indexes are left out.
        if self.log.appended() < index_floor && !self.planted.reuse_indexes {
            let first = index_floor.next();
            let text = format!(
                "the next record of the log is {first}: records that are lost may have had the indexes \
                 up to there, and none of them is given again"
            );
            self.out.notify(Event::info("metalog.skip", text));
            self.log.skip_to(self.epoch, first);
        }
        let started = ControllerStarted {
            epoch: self.epoch,
            instance: self.instance,
        };
        let mut index = self.append(&Record::ControllerStarted(started));
        if self.state.access.is_empty()
            && let Some(bootstrap) = self.bootstrap.take()
        {
            for record in access::bootstrap_records(&bootstrap) {
                index = self.append(&Record::Access(record));
            }
        }
        self.when_synced(now, index, Continuation::Opened);
        if self.state.access.is_empty() {
            let password = access::first_password();
            let job = self.out.job(Job::HashPassword { password });
            self.jobs.insert(job, JobPurpose::FirstPassword);
        }
    }

    fn go_on(&mut self, now: Timestamp, then: Continuation) {
        match then {
            Continuation::Opened => {
                self.phase = Phase::Serving;
                self.save_home();
                let text = format!(
                    "Controller initialization completed. Cluster {}, epoch {}, log index {}",
                    self.state
                        .cluster
                        .map(|cluster| cluster.to_string())
                        .unwrap_or_default(),
                    self.epoch,
                    self.log.synced()
                );
                self.out.notify(Event::info("controller.serving", text));
                if self.state.access.has_well_known_password() {
                    let text = "`admin` still has the password that is in every manual; it opens \
                                nothing but its own change: `vaquita user passwd admin`";
                    self.out
                        .notify(Event::warning("access.well_known_password", text));
                }
                self.tend_setup_code();
            }
            Continuation::Granted { conn, slot, epoch } => self.granted(now, conn, slot, epoch),
            Continuation::Reply { id, reply } => self.reply(id, reply),
            Continuation::Ordered { id, rows } => {
                self.tell_agents(now);
                self.reply(id, Ok(Response::Ordered(rows)));
            }
            Continuation::TellAgents => self.tell_agents(now),
            Continuation::File { asker, answer } => self.answer_files(asker, Ok(answer)),
            Continuation::Look { asker, result } => self.answer_files(asker, result),
            Continuation::Release(released) => self.release_synced(now, &released),
            Continuation::VolumeGiven { id, slot, path } => {
                self.volume_given(now, id, slot, path);
            }
            Continuation::VolumeDuty { id, reply } => self.volume_duty_noted(now, id, reply),
            Continuation::Audited {
                id,
                request,
                identity,
            } => self.go_on_audited(now, id, *request, &identity),
            Continuation::FilesAudited {
                asker,
                ask,
                identity,
                ordered,
            } => self.ask_files_audited(now, asker, *ask, &identity, ordered),
        }
    }

    /// Writes down what the home is, and how far its log is durable.
    pub(super) fn save_home(&mut self) {
        self.home_unsaved = false;
        self.identity.durable = Some(self.log.synced());
        self.home
            .save(&codec::encode(&self.identity), &mut self.out);
    }

    /// There is no space for what the home says of itself. The file from before is there and as true: of
    /// records that are lost from now on, fewer are missed.
    fn home_lacks_space(&mut self, fault: &DiskFault) {
        self.home_unsaved = true;
        let text = format!(
            "the disk of the controller's home is full ({fault}): how far its log is durable could not be \
             written down anew, so that a log which loses its last records might not be known as one. The \
             controller runs on and tries again; free some space"
        );
        self.out.notify(Event::error("controller.home", text));
    }

    /// A disk completion.
    pub(super) fn disk_done(
        &mut self,
        now: Timestamp,
        ticket: DiskTicket,
        result: Result<(), DiskFault>,
    ) {
        if let Some(saved) = self.home.disk_done(ticket, &result, &mut self.out) {
            match saved {
                Ok(()) if self.phase == Phase::Founding => self.open(now),
                Ok(()) => {}
                Err(fault) if self.phase == Phase::Serving && fault.no_space_to_replace() => {
                    self.home_lacks_space(&fault);
                }
                Err(fault) => self.die(&fault),
            }
            return;
        }
        if self.setup_file.take_if(|it| *it == ticket).is_some() {
            if let Err(fault) = result {
                let text = format!(
                    "the file {SETUP_CODE_FILE} is not as it should be ({fault}): this log tells \
                     the setup code, as long as there is one"
                );
                self.out.notify(Event::warning("access.setup_file", text));
            }
            return;
        }
        match self.log.disk_done(ticket, result) {
            None => {}
            Some(LogProgress::Synced { upto }) => {
                let later = self.waiting.split_off(&upto.next());
                let ready = core::mem::replace(&mut self.waiting, later);
                for then in ready.into_values().flatten() {
                    self.go_on(now, then);
                }
            }
            Some(LogProgress::Reserved) => {
                let text = "there is space for reserve.bin again";
                self.out.notify(Event::info("metalog.reserved", text));
            }
            Some(LogProgress::NoReserve(fault)) => {
                let text = format!(
                    "no space is set aside in the controller's home for the day on which the disk \
                     is full ({fault}). The controller runs on and tries again; free some space"
                );
                self.out.notify(Event::warning("metalog.no_reserve", text));
            }
            Some(LogProgress::CheckpointDurable { index }) => {
                let text = format!("checkpoint {index} is durable");
                self.out.notify(Event::info("metalog.checkpoint", text));
            }
            Some(LogProgress::NoSpace(fault)) => {
                let text = format!(
                    "MetaReadOnly: the disk of the controller's home is full ({fault}). Nothing \
                     that changes the cluster is accepted until there is space. Free some; it goes \
                     on by itself"
                );
                self.out.notify(Event::error("metalog.full", text));
            }
            Some(LogProgress::CheckpointAbandoned(fault)) => {
                let text = format!("there is no space for a checkpoint ({fault}); the log goes on");
                self.out
                    .notify(Event::warning("metalog.checkpoint_failed", text));
            }
            Some(LogProgress::Fatal(fault)) => self.die(&fault),
        }
        self.note_space();
        // Whatever came of it: a full log wants a checkpoint most of all.
        self.start_checkpoint();
    }

    /// Tells it when a full disk has space again.
    pub(super) fn note_space(&mut self) {
        let full = self.log.space_mode() == SpaceMode::ReadOnly;
        if core::mem::replace(&mut self.disk_full, full) && !full {
            let text = "the disk of the controller's home has space again: changes are taken";
            self.out.notify(Event::info("metalog.space", text));
        }
    }

    /// Makes, replaces or removes the setup code, if what has happened asks for it.
    pub(super) fn tend_setup_code(&mut self) {
        let change = self
            .access
            .tend_setup_code(&self.state.access, &mut self.secrets);
        if let Some(change) = change {
            self.change_setup_file(change);
        }
    }

    /// The file goes the way of the log's own batches and before those of the same moment: when a
    /// changed password is answered for, the file is gone.
    pub(super) fn change_setup_file(&mut self, change: SetupFile) {
        let file = setup_code_file();
        let ticket = match change {
            SetupFile::Write(line) => self.out.replace_file(&file, line.into_bytes()),
            SetupFile::Remove => self
                .out
                .disk(vec![DiskOp::Remove { file }, DiskOp::SyncDir]),
        };
        self.setup_file = Some(ticket);
    }

    pub(super) fn start_checkpoint(&mut self) {
        if self.phase == Phase::Dead {
            return;
        }
        let building = self
            .jobs
            .values()
            .any(|job| matches!(job, JobPurpose::Checkpoint));
        if !building
            && self.log.checkpoint_due()
            && let Some(plan) = self.log.begin_checkpoint()
        {
            let job = self.out.job(Job::BuildCheckpoint(plan));
            self.jobs.insert(job, JobPurpose::Checkpoint);
        }
    }

    /// Ends the process: what the disk holds is unknown to it from here on.
    fn die(&mut self, fault: &DiskFault) {
        let text = format!(
            "the metadata log met a fault of the disk: {fault}. What was not acknowledged may be \
             lost, nothing else is. Look at the disk, then start the controller again: it reads what \
             is really there"
        );
        self.out.notify(Event::error("metalog.fault", text.clone()));
        self.out.exit(ExitCode::DiskFault, text);
        self.phase = Phase::Dead;
    }
}
