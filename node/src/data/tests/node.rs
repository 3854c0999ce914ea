//! A data node with a machine that keeps chunks in the simplest way there is.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use vaquita_core::admin::Refusal;
use vaquita_core::dfs::ask::Holder;
use vaquita_core::dfs::digest::Summary;
use vaquita_core::dfs::ids::{ChunkVersion, StageId, VolumeSlot};
use vaquita_core::disk::{DiskBatch, DiskOp, FileName, Lane};
use vaquita_core::ids::{Alias, DiskTicket, NodeEpoch, NodeId, RequestId};
use vaquita_core::io::{Effect, ExitCode, ExitReason, Input, Machine};
use vaquita_core::secret::ClusterSecret;
use vaquita_core::store::{ALONE_HEADER, Extent, Fill, Form, StoreAnswer, StoreAsk, StoreReply};
use vaquita_core::time::Timestamp;

use super::net::{MemoryDisk, MemoryEnv, endpoint};
use super::{MIB, secret};
use crate::data::{Data, DataSettings, Peer, data};
use crate::driver::{
    DriverLimits, NoHttp, PasswordCost, Terminator, Wiring, bind, front, run, terminator,
};
use crate::env::Env;

/// Where a chunk lies, and what a test may do about it.
type Chunks = Arc<Mutex<BTreeMap<ChunkVersion, (VolumeSlot, Extent)>>>;

/// What a test has the machine do otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Manners {
    /// Refuse every chunk.
    pub(super) refuses: bool,
    /// Admit no chunk before the next search for one.
    pub(super) is_late: bool,
}

struct Keeper {
    told: mpsc::UnboundedSender<Input>,
    manners: Arc<Mutex<Manners>>,
    chunks: Chunks,
    effects: VecDeque<Effect>,
    stages: BTreeMap<StageId, Stage>,
    /// Those that are admitted late.
    late: Vec<(RequestId, ChunkVersion, Option<u64>)>,
    next: u64,
    /// What follows a batch.
    waiting: BTreeMap<DiskTicket, (RequestId, StoreReply)>,
}

#[derive(Clone)]
struct Stage {
    version: ChunkVersion,
    volume: VolumeSlot,
    form: Form,
}

impl Keeper {
    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn store(&mut self, id: RequestId, ask: StoreAsk) {
        let reply = match ask {
            StoreAsk::Admit { token, len } => {
                let manners = self.manners.lock().unwrap().clone();
                if manners.is_late {
                    self.late.push((id, token.version, len));
                    return;
                }
                if manners.refuses {
                    Err(Refusal::Stale {
                        reason: "the token is void".to_owned(),
                    })
                } else {
                    return self.admit(id, token.version, len);
                }
            }
            StoreAsk::Staged { stage, summary } => return self.staged(id, stage, &summary),
            StoreAsk::Cancel { stage } => {
                self.stages.remove(&stage);
                self.effects.push_back(Effect::DropStage { stage });
                Ok(StoreAnswer::Done)
            }
            StoreAsk::Find { version, .. } => {
                for (id, version, len) in std::mem::take(&mut self.late) {
                    self.admit(id, version, len);
                }
                match self.chunks.lock().unwrap().get(&version) {
                    Some((volume, extent)) => Ok(StoreAnswer::Found {
                        volume: *volume,
                        extent: extent.clone(),
                    }),
                    None => Err(Refusal::NotFound {
                        what: format!("there is no chunk {version} here"),
                    }),
                }
            }
            StoreAsk::Damaged { .. } => Ok(StoreAnswer::Done),
        };
        self.effects.push_back(Effect::StoreReply { id, reply });
    }

    fn admit(&mut self, id: RequestId, version: ChunkVersion, len: Option<u64>) {
        let number = self.fresh();
        let stage = StageId(number);
        let volume = VolumeSlot(0);
        let packed = len.is_some_and(|len| len <= MIB as u64);
        let file = FileName::new(&format!("chunk-{number}")).unwrap();
        let form = if packed {
            Form::Packed
        } else {
            Form::Alone { file: file.clone() }
        };
        let kept = Stage {
            version,
            volume,
            form: form.clone(),
        };
        self.stages.insert(stage, kept);
        let reply = Ok(StoreAnswer::Admitted {
            stage,
            volume,
            form,
        });
        if packed {
            self.effects.push_back(Effect::StoreReply { id, reply });
        } else {
            let header = vec![0; ALONE_HEADER as usize];
            let ops = vec![
                DiskOp::CreateNew { file: file.clone() },
                DiskOp::Append {
                    file,
                    offset: 0,
                    bytes: header,
                },
            ];
            self.batch(volume, ops, Vec::new(), id, reply);
        }
    }

    fn staged(&mut self, id: RequestId, stage: StageId, summary: &Summary) {
        let kept = self.stages.remove(&stage).unwrap();
        let crcs: Vec<u8> = summary
            .blocks
            .iter()
            .flat_map(|crc| crc.to_le_bytes())
            .collect();
        let (file, offset, crcs_at, ops, staged) = match kept.form {
            Form::Packed => {
                let file = FileName::new(&format!("pack-{stage}")).unwrap();
                let offset = crcs.len() as u64;
                let ops = vec![
                    DiskOp::CreateNew { file: file.clone() },
                    DiskOp::Append {
                        file: file.clone(),
                        offset: 0,
                        bytes: crcs,
                    },
                    DiskOp::Sync { file: file.clone() },
                ];
                (file, offset, 0, ops, vec![(1, stage)])
            }
            Form::Alone { file } => {
                let crcs_at = ALONE_HEADER + summary.len;
                let ops = vec![DiskOp::Append {
                    file: file.clone(),
                    offset: crcs_at,
                    bytes: crcs,
                }];
                (file, ALONE_HEADER, crcs_at, ops, Vec::new())
            }
        };
        let extent = Extent {
            file,
            offset,
            len: summary.len,
            digest: summary.digest,
            crcs_at,
        };
        let holder = Holder {
            node: NodeId::new([1; 16]),
            epoch: NodeEpoch(1),
            volume: kept.volume,
        };
        let place = (kept.volume, extent);
        self.chunks.lock().unwrap().insert(kept.version, place);
        let reply = Ok(StoreAnswer::Prepared(holder));
        self.batch(kept.volume, ops, staged, id, reply);
    }

    fn batch(
        &mut self,
        slot: VolumeSlot,
        ops: Vec<DiskOp>,
        staged: Vec<(usize, StageId)>,
        id: RequestId,
        reply: StoreReply,
    ) {
        let ticket = DiskTicket(self.fresh());
        self.waiting.insert(ticket, (id, reply));
        self.effects.push_back(Effect::Volume {
            slot,
            batch: DiskBatch {
                ticket,
                lane: Lane::Foreground,
                ops,
            },
            fills: staged
                .into_iter()
                .map(|(at, stage)| (at, Fill::Stage(stage)))
                .collect(),
        });
    }
}

impl Machine for Keeper {
    fn handle(&mut self, _: Timestamp, input: Input) {
        match input.clone() {
            Input::Store { id, ask } => self.store(id, ask),
            Input::VolumeDone { ticket, result, .. } => {
                if let Some((id, reply)) = self.waiting.remove(&ticket) {
                    let reply = match result {
                        Ok(()) => reply,
                        Err(fault) => Err(Refusal::Unavailable {
                            reason: fault.to_string(),
                        }),
                    };
                    self.effects.push_back(Effect::StoreReply { id, reply });
                }
            }
            Input::Terminate => self.effects.push_back(Effect::Exit(ExitReason {
                code: ExitCode::Success,
                message: "ended".to_owned(),
            })),
            _ => {}
        }
        // The test may have seen enough.
        let _ = self.told.send(input);
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn check_invariants(&self) {}
}

/// A data node that runs.
pub(super) struct Node<E: Env = MemoryEnv> {
    pub(super) data: Data<E>,
    pub(super) peer: Peer,
    /// The first volume's disk, on a host that does not exist.
    pub(super) disk: MemoryDisk,
    pub(super) chunks: Chunks,
    pub(super) manners: Arc<Mutex<Manners>>,
    pub(super) terminator: Terminator,
    pub(super) exit: JoinHandle<ExitReason>,
    told: mpsc::UnboundedReceiver<Input>,
}

/// How a node is to be.
pub(super) struct Setup {
    pub(super) limits: DriverLimits,
    pub(super) secret: Option<ClusterSecret>,
    pub(super) hangs: bool,
    pub(super) volumes: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: DriverLimits::default(),
            secret: Some(secret(1)),
            hangs: false,
            volumes: 1,
        }
    }
}

impl Node {
    pub(super) async fn start(env: &MemoryEnv, port: u16) -> Self {
        Self::with(env, port, Setup::default()).await
    }

    pub(super) async fn with(env: &MemoryEnv, port: u16, setup: Setup) -> Self {
        let disk = env.disk(&format!("/{port}/volume0"));
        if setup.hangs {
            disk.begin_to_hang();
        }
        let mut node = Self::on(env, peer(port), Path::new(&format!("/{port}")), setup).await;
        node.disk = disk;
        node
    }
}

impl<E: Env> Node<E> {
    /// A node with this home; port 0 lets the host choose.
    pub(super) async fn on(env: &E, mut peer: Peer, home: &Path, setup: Setup) -> Self {
        let path = |slot: usize| home.join(format!("volume{slot}"));
        let settings = DataSettings {
            alias: peer.alias.clone(),
            build: "test".to_owned(),
            secret: setup.secret,
            volumes: (0..setup.volumes).map(path).collect(),
            limits: setup.limits.data.clone(),
        };
        let (data, end) = data(env, settings);
        let (_, questions) = front(&setup.limits);
        let (terminator, termination) = terminator();
        let (told, inputs) = mpsc::unbounded_channel();
        let slots = (0..setup.volumes as u16).map(VolumeSlot);
        let chunks = Chunks::default();
        let manners = Arc::default();
        let machine = Keeper {
            told,
            manners: Arc::clone(&manners),
            chunks: Arc::clone(&chunks),
            effects: slots.map(|slot| Effect::OpenVolume { slot }).collect(),
            stages: BTreeMap::new(),
            late: Vec::new(),
            next: 0,
            waiting: BTreeMap::new(),
        };
        let port = bind(env, &peer.endpoint, &setup.limits).await.unwrap();
        peer.endpoint.port = port.address().port();
        let wiring = Wiring {
            port,
            limits: setup.limits,
            disk: env.open_disk(&home.join("meta")).await.unwrap(),
            processes: None,
            data: Some(end),
            http: NoHttp,
            tls: crate::tls::PortTls::default(),
            questions,
            termination,
            password_cost: PasswordCost::default(),
            build_checkpoint: None,
            on_event: None,
        };
        let exit = tokio::spawn(run(env.clone(), machine, wiring));
        let mut node = Self {
            data,
            peer,
            disk: MemoryDisk::default(),
            chunks,
            manners,
            terminator,
            exit,
            told: inputs,
        };
        for _ in 0..setup.volumes {
            node.told_of(|input| matches!(input, Input::VolumeOpened { .. }))
                .await;
        }
        node
    }

    /// The next input of the machine that is such a one.
    pub(super) async fn told_of(&mut self, such: impl Fn(&Input) -> bool) -> Input {
        loop {
            let input = self.told.recv().await.expect("the machine runs");
            if such(&input) {
                return input;
            }
        }
    }

    /// The next question about a chunk that is such a one.
    pub(super) async fn asked(&mut self, such: impl Fn(&StoreAsk) -> bool) -> StoreAsk {
        let input = self
            .told_of(|input| matches!(input, Input::Store { ask, .. } if such(ask)))
            .await;
        match input {
            Input::Store { ask, .. } => ask,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until all suspicions were looked at, and the machine has heard of what was found.
    pub(super) async fn settled(&self) {
        loop {
            // The clock stands still until nobody has anything to do.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            if self.data.suspects() == 0 {
                return;
            }
        }
    }

    /// Whether the machine was asked such a thing since anybody looked.
    pub(super) fn was_asked(&mut self, such: impl Fn(&StoreAsk) -> bool) -> bool {
        let mut found = false;
        while let Ok(input) = self.told.try_recv() {
            found |= matches!(&input, Input::Store { ask, .. } if such(ask));
        }
        found
    }

    /// Where a chunk lies.
    pub(super) fn extent(&self, version: ChunkVersion) -> Extent {
        self.chunks.lock().unwrap()[&version].1.clone()
    }
}

/// The node that listens there.
pub(super) fn peer(port: u16) -> Peer {
    Peer {
        alias: Alias::new(&format!("node{port}")).unwrap(),
        endpoint: endpoint(port),
    }
}
