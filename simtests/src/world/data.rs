//! Bytes of chunks on their way between two processes: what their drivers do on data connections.
//!
//! A [`Transfer`] is one question of a process to another, and its answer. Its parts travel over the
//! same links as everything else: a lost one is sent again, a cut holds them up, and after some time
//! without news the asker gives up. The side that is asked does what a driver does: it asks its
//! machine whether bytes may come, holds or writes them, and says when they are durable.

use std::collections::BTreeMap;
use std::time::Duration;

use vaquita_core::admin::Refusal;
use vaquita_core::dfs::ask::Holder;
use vaquita_core::dfs::digest::{BLOCK, Digest, Summary};
use vaquita_core::dfs::ids::{ChunkVersion, StageId, VolumeSlot};
use vaquita_core::dfs::token::WriteToken;
use vaquita_core::disk::FileName;
use vaquita_core::ids::{Endpoint, RequestId};
use vaquita_core::io::Input;
use vaquita_core::store::{ALONE_HEADER, Extent, Form, StoreAnswer, StoreAsk, StoreReply};

use super::copies::Copying;
use super::event::Event;
use super::faults::AtOp;
use super::{Factory, HostIx, NodeIx, StepKind, World};
use crate::host::PortHolder;
use crate::picture::{Fate, Message};
use crate::streams::{Rate, Stream, index};
use crate::time::SimTime;

/// Names a transfer of a World.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferId(u64);

/// What one process wants of another.
#[derive(Clone, Debug, PartialEq)]
pub enum Transfer {
    /// Keep these bytes.
    Store {
        /// The controller's word that they may come.
        token: WriteToken,
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether the asked is told how many they are before they come.
        announced: bool,
    },
    /// Send bytes of a chunk.
    Fetch {
        /// Which content.
        version: ChunkVersion,
        /// First byte; the beginning of its block is sent.
        offset: u64,
        /// How many bytes.
        len: u64,
        /// Whether it is wanted also if it is known to be damaged.
        even_damaged: bool,
    },
    /// Look whether this content is damaged.
    Suspect {
        /// Which content.
        version: ChunkVersion,
    },
}

/// What an asker is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Carried {
    /// All bytes are on the disk.
    Prepared {
        /// Who has them.
        holder: Holder,
        /// How many.
        len: u64,
        /// Their digest, as the replica made it.
        digest: Digest,
    },
    /// It is not done.
    Refused(Refusal),
    /// Verified bytes of a chunk; more may follow.
    Bytes {
        /// Offset of the first.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether these were the last.
        last: bool,
    },
    /// Bytes came that do not fit their checksum.
    Damaged,
    /// Taken note of.
    Noted,
    /// The connection is no more.
    Broken(String),
}

impl Carried {
    const fn is_last(&self) -> bool {
        !matches!(self, Self::Bytes { last: false, .. })
    }
}

/// Something that happens to a transfer.
#[derive(Debug)]
pub(super) enum DataEvent {
    /// A part is sent, perhaps for the second time.
    Send { part: Part, tries: u32 },
    /// A part reaches the other side.
    Arrive(Part),
    /// A piece of a large chunk is on the disk of the asked.
    Written { from: u64 },
    /// Bytes of a chunk have been read.
    Read { offset: u64 },
    /// The asker looks whether something has come lately.
    Patience,
    /// The asked looks whether anybody is left who sends.
    Abandoned,
}

/// What travels.
#[derive(Debug)]
pub(super) enum Part {
    /// The question, with all bytes of a small chunk.
    Question,
    /// The bytes of a large chunk from this offset on.
    Piece { from: u64 },
    /// An answer, or a part of one, on its way back.
    Answer(Box<Carried>),
    /// The end of the connection, on its way back.
    Reset,
}

#[derive(Debug)]
struct Carriage {
    from: (NodeIx, u32),
    to: (HostIx, u16),
    /// The process that has been asked.
    at: Option<(NodeIx, u32)>,
    transfer: Transfer,
    /// Whether the asker still waits.
    waits: bool,
    moved: SimTime,
    side: Side,
    counter: u64,
}

/// How far the asked has come.
#[derive(Debug)]
enum Side {
    Nothing,
    /// Its machine has been asked.
    Asking,
    /// The bytes of a large chunk are coming; the digest of what came so far.
    Receiving {
        stage: StageId,
        volume: VolumeSlot,
        file: FileName,
        came: Vec<u8>,
    },
    /// The machine has been told that all bytes have come.
    Staged(Summary),
    /// Bytes are read.
    Sending {
        volume: VolumeSlot,
        extent: Extent,
    },
    Done,
}

/// All transfers of a World.
#[derive(Debug, Default)]
pub(super) struct DataPlane {
    carriages: BTreeMap<TransferId, Carriage>,
    next: u64,
    /// What machines were asked, and for which transfer; `None` for what nobody waits for.
    asks: BTreeMap<(NodeIx, RequestId), Option<TransferId>>,
    pub(super) told: Vec<(TransferId, Carried)>,
    /// Copies between nodes, by the transfer that each is at.
    pub(super) copies: BTreeMap<TransferId, Copying>,
    /// Chunks that nodes read through: who, under which start, and what.
    pub(super) scrubs: BTreeMap<TransferId, (NodeIx, u32, ChunkVersion)>,
}

/// Silence after which an asker gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long lost parts are waited for before they are sent again.
const RESEND: Duration = Duration::from_millis(200);
/// Bytes of a chunk that travel as one.
const PIECE: u64 = 4 * BLOCK as u64;

impl<F: Factory> World<F> {
    /// Has a process ask another something. What comes of it is told by [`World::take_carried`];
    /// nothing is told to a process that has ended.
    pub fn carry(&mut self, from: NodeIx, to: &Endpoint, transfer: Transfer) -> TransferId {
        let id = TransferId(self.data.next);
        self.data.next += 1;
        let host = self.host_of(from);
        let (Some(start), Some(to_host)) = (self.running_start(from), self.resolve(host, &to.host))
        else {
            let what = Carried::Broken("there is no such host".to_owned());
            self.data.told.push((id, what));
            return id;
        };
        self.data.carriages.insert(
            id,
            Carriage {
                from: (from, start),
                to: (to_host, to.port),
                at: None,
                transfer,
                waits: true,
                moved: self.now,
                side: Side::Nothing,
                counter: 0,
            },
        );
        self.send_part(id, Part::Question, 0);
        self.data_event(id, PATIENCE, DataEvent::Patience);
        id
    }

    /// The asker drops the connection.
    pub fn drop_transfer(&mut self, id: TransferId) {
        self.asker_gone(id);
    }

    /// What has been told to those who asked, in order.
    pub fn take_carried(&mut self) -> Vec<(TransferId, Carried)> {
        std::mem::take(&mut self.data.told)
    }

    /// Transfers under way.
    #[must_use]
    pub fn transfers(&self) -> usize {
        self.data.carriages.len()
    }

    /// Has the run stop at a moment, for whoever drives it.
    pub fn alarm(&mut self, at: SimTime) {
        let tie = self.streams.at(Stream::Tie, u64::MAX - 1, at.as_nanos());
        self.queue
            .push(at.max(self.now), tie.clone().bits(), Event::Alarm);
    }

    fn data_event(&mut self, id: TransferId, after: Duration, event: DataEvent) {
        let Some(carriage) = self.data.carriages.get(&id) else {
            return;
        };
        let node = carriage.from.0;
        let at = self.now.after(after);
        self.schedule(node, at, Event::Data(id, Box::new(event)));
    }

    /// Sends a part over the links between the two hosts.
    fn send_part(&mut self, id: TransferId, part: Part, tries: u32) {
        let Some(carriage) = self.data.carriages.get(&id) else {
            return;
        };
        let (asker, asked) = (self.host_of(carriage.from.0), carriage.to.0);
        let forth = matches!(part, Part::Question | Part::Piece { .. });
        let (from, to) = if forth {
            (asker, asked)
        } else {
            (asked, asker)
        };
        if !self.hosts[from.index()].powered {
            return;
        }
        let after = self.net.segment(self.now, from, to);
        if let (Some(recorder), Some(peer)) = (&self.recorder, self.node_at(asked, carriage.to.1)) {
            let here = carriage.from.0;
            let (from, to) = if forth { (here, peer) } else { (peer, here) };
            recorder.lock().sent(Message {
                sent: self.now,
                arrives: self.now.after_nanos(after.unwrap_or(0)),
                from,
                to,
                kind: match &part {
                    Part::Question => "data: question",
                    Part::Piece { .. } => "data: piece",
                    Part::Answer(_) => "data: answer",
                    Part::Reset => "data: reset",
                },
                fate: after.map_or(Fate::Lost, |_| Fate::Arrived),
            });
        }
        match after {
            Some(after) => {
                let after = Duration::from_nanos(after);
                self.data_event(id, after, DataEvent::Arrive(part));
            }
            None => {
                let after = RESEND * 2_u32.pow(tries.min(6));
                let tries = tries + 1;
                self.data_event(id, after, DataEvent::Send { part, tries });
            }
        }
    }

    fn answer_transfer(&mut self, id: TransferId, answer: Carried) {
        if let Some(carriage) = self.data.carriages.get_mut(&id)
            && answer.is_last()
        {
            carriage.side = Side::Done;
        }
        self.send_part(id, Part::Answer(Box::new(answer)), 0);
        self.forget_if_over(id);
    }

    /// The process whose driver an event concerns, if it is paused.
    fn frozen_for(&self, id: TransferId, event: &DataEvent) -> Option<NodeIx> {
        let carriage = self.data.carriages.get(&id)?;
        let (node, start) = match event {
            DataEvent::Arrive(Part::Answer(_) | Part::Reset) | DataEvent::Patience => carriage.from,
            DataEvent::Arrive(Part::Question) => (self.listener(carriage.to)?, 0),
            DataEvent::Arrive(_)
            | DataEvent::Written { .. }
            | DataEvent::Read { .. }
            | DataEvent::Abandoned => carriage.at?,
            // The kernel does that.
            DataEvent::Send { .. } => return None,
        };
        let process = self.nodes[node.index()].process.as_ref()?;
        (process.paused && (start == 0 || process.start == start)).then_some(node)
    }

    pub(super) fn data_happens(&mut self, id: TransferId, event: Box<DataEvent>) {
        if let Some(node) = self.frozen_for(id, &event)
            && let Some(process) = self.nodes[node.index()].process.as_mut()
        {
            process.frozen.push(Event::Data(id, event));
            return;
        }
        if !self.data.carriages.contains_key(&id) {
            return;
        }
        match *event {
            DataEvent::Send { part, tries } => self.send_part(id, part, tries),
            DataEvent::Arrive(Part::Question) => self.question_arrives(id),
            DataEvent::Arrive(Part::Piece { from }) => self.piece_arrives(id, from),
            DataEvent::Arrive(Part::Answer(answer)) => self.tell_asker(id, *answer),
            DataEvent::Arrive(Part::Reset) => {
                let what = Carried::Broken("the connection was reset".to_owned());
                self.tell_asker(id, what);
            }
            DataEvent::Written { from } => self.piece_is_written(id, from),
            DataEvent::Read { offset } => self.bytes_are_read(id, offset),
            DataEvent::Patience => self.look_at_the_clock(id),
            DataEvent::Abandoned => self.give_up_receiving(id),
        }
    }

    // ---- the asker ----

    fn tell_asker(&mut self, id: TransferId, mut answer: Carried) {
        let now = self.now;
        let Some(carriage) = self.data.carriages.get_mut(&id) else {
            return;
        };
        if !carriage.waits {
            return;
        }
        carriage.moved = now;
        if let Carried::Bytes { bytes, .. } = &mut answer {
            // The sender's checksums came with them.
            let rate = self.net.weather.corruption;
            carriage.counter += 1;
            let mut draw = self.streams.at(Stream::Segment, !id.0, carriage.counter);
            if draw.chance(rate) && !bytes.is_empty() {
                answer = Carried::Damaged;
            }
        }
        let last = answer.is_last();
        // The next piece is read when this one has come: a connection keeps their order.
        let next = match &answer {
            Carried::Bytes {
                offset,
                bytes,
                last: false,
            } => Some(offset + bytes.len() as u64),
            _ => None,
        };
        self.data.told.push((id, answer));
        if let Some(next) = next {
            self.read_later(id, next);
        }
        self.record.kind = StepKind::Transfer;
        if last {
            self.asker_gone(id);
        }
        self.look_at_copies();
    }

    fn look_at_the_clock(&mut self, id: TransferId) {
        let now = self.now;
        let Some(carriage) = self.data.carriages.get(&id).filter(|it| it.waits) else {
            return;
        };
        let silent = now.since(carriage.moved);
        if silent < PATIENCE {
            self.data_event(id, PATIENCE.saturating_sub(silent), DataEvent::Patience);
            return;
        }
        let what = format!("nothing came for {} s", PATIENCE.as_secs());
        self.tell_asker(id, Carried::Broken(what));
    }

    /// Nobody waits for the answer any more; whoever still waits for bytes finds out.
    fn asker_gone(&mut self, id: TransferId) {
        let Some(carriage) = self.data.carriages.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut carriage.waits, false) {
            self.data_event(id, Duration::from_millis(1), DataEvent::Abandoned);
        }
        self.forget_if_over(id);
    }

    fn forget_if_over(&mut self, id: TransferId) {
        let over = self
            .data
            .carriages
            .get(&id)
            .is_some_and(|it| !it.waits && matches!(it.side, Side::Nothing | Side::Done));
        if over {
            self.data.carriages.remove(&id);
        }
    }

    // ---- the asked ----

    fn listener(&self, (host, port): (HostIx, u16)) -> Option<NodeIx> {
        match self.hosts[host.index()].port(port) {
            Some(PortHolder::Node(node)) => Some(*node),
            Some(PortHolder::Foreign(_)) | None => None,
        }
    }

    fn question_arrives(&mut self, id: TransferId) {
        let Some(carriage) = self.data.carriages.get(&id) else {
            return;
        };
        let to = carriage.to;
        if !carriage.waits || !self.hosts[to.0.index()].powered {
            return;
        }
        let process = self
            .listener(to)
            .and_then(|node| Some((node, self.running_start(node)?)));
        let Some(at) = process else {
            self.send_part(id, Part::Reset, 0);
            return;
        };
        let Some(carriage) = self.data.carriages.get(&id) else {
            return;
        };
        let corruption = match carriage.from.0 == at.0 {
            // What a process keeps of its own accord crosses no network.
            true => Rate::NEVER,
            false => self.net.weather.corruption,
        };
        let Some(carriage) = self.data.carriages.get_mut(&id) else {
            return;
        };
        carriage.at = Some(at);
        carriage.side = Side::Asking;
        let ask = match &mut carriage.transfer {
            Transfer::Store {
                token,
                bytes,
                announced,
            } => {
                let mut draw = self.streams.at(Stream::Segment, !id.0, 0);
                damage(bytes, corruption, &mut draw);
                StoreAsk::Admit {
                    token: token.clone(),
                    len: announced.then_some(bytes.len() as u64),
                }
            }
            Transfer::Fetch {
                version,
                even_damaged,
                ..
            } => StoreAsk::Find {
                version: *version,
                even_damaged: *even_damaged,
            },
            Transfer::Suspect { version } => StoreAsk::Find {
                version: *version,
                even_damaged: false,
            },
        };
        self.ask_store(at, Some(id), ask);
    }

    fn ask_store(&mut self, (node, start): (NodeIx, u32), id: Option<TransferId>, ask: StoreAsk) {
        let slot = &mut self.nodes[node.index()];
        if slot.process_of(start).is_none() {
            return;
        }
        slot.requests += 1;
        let request = RequestId(slot.requests);
        self.data.asks.insert((node, request), id);
        self.tell(node, start, Input::Store { id: request, ask });
    }

    pub(super) fn store_replied(&mut self, node: NodeIx, request: RequestId, reply: StoreReply) {
        let Some(waiting) = self.data.asks.remove(&(node, request)) else {
            let what = format!("answers the question {request} of its driver, which has none");
            self.fail(Some(node), what);
            return;
        };
        let Some(id) = waiting else { return };
        let answer = match reply {
            Err(refusal) => {
                self.answer_transfer(id, Carried::Refused(refusal));
                return;
            }
            Ok(answer) => answer,
        };
        match answer {
            StoreAnswer::Admitted {
                stage,
                volume,
                form,
            } => self.admitted(id, stage, volume, form),
            StoreAnswer::Prepared(holder) => {
                let side = self.data.carriages.get(&id).map(|it| &it.side);
                if let Some(Side::Staged(summary)) = side {
                    let (len, digest) = (summary.len, summary.digest);
                    let what = Carried::Prepared {
                        holder,
                        len,
                        digest,
                    };
                    self.answer_transfer(id, what);
                }
            }
            StoreAnswer::Found { volume, extent } => self.found(id, volume, extent),
            StoreAnswer::Done => self.answer_transfer(id, Carried::Noted),
        }
    }

    fn admitted(&mut self, id: TransferId, stage: StageId, volume: VolumeSlot, form: Form) {
        let Some(carriage) = self.data.carriages.get_mut(&id) else {
            return;
        };
        let (Some(at), Transfer::Store { bytes, .. }) = (carriage.at, &carriage.transfer) else {
            return;
        };
        match form {
            Form::Packed => {
                let summary = Summary::of(bytes);
                let bytes = bytes.clone();
                carriage.side = Side::Staged(summary.clone());
                if let Some(process) = self.nodes[at.0.index()].process.as_mut() {
                    process.stages.insert(stage, bytes);
                }
                self.ask_store(at, Some(id), StoreAsk::Staged { stage, summary });
            }
            Form::Alone { file } => {
                carriage.side = Side::Receiving {
                    stage,
                    volume,
                    file,
                    came: Vec::new(),
                };
                if carriage.waits {
                    self.send_part(id, Part::Piece { from: 0 }, 0);
                } else {
                    self.give_up_receiving(id);
                }
            }
        }
    }

    fn piece_arrives(&mut self, id: TransferId, from: u64) {
        let Some(carriage) = self.data.carriages.get(&id) else {
            return;
        };
        let Side::Receiving { volume, .. } = &carriage.side else {
            return;
        };
        let Some(at) = carriage.at else { return };
        // Who is gone sends nothing; the kernel keeps what it had from them, which is this much.
        let volume = *volume;
        let Some(disk) = self.nodes[at.0.index()].disk_of(Some(volume)) else {
            return;
        };
        let hung = disk.hung;
        let mut draw = self.disk_draw(at.0, Some(volume));
        let Some(disk) = self.nodes[at.0.index()].disk_of(Some(volume)) else {
            return;
        };
        let after = disk.profile.write.draw(&mut draw);
        let after = if hung {
            Duration::from_secs(1)
        } else {
            Duration::from_nanos(after.saturating_mul(u64::from(disk.profile.slow_down.max(1))))
        };
        if hung {
            let again = DataEvent::Arrive(Part::Piece { from });
            self.data_event(id, after, again);
        } else {
            self.data_event(id, after, DataEvent::Written { from });
        }
    }

    fn piece_is_written(&mut self, id: TransferId, from: u64) {
        let Some(carriage) = self.data.carriages.get(&id) else {
            return;
        };
        let (Some(at), Side::Receiving { volume, .. }) = (carriage.at, &carriage.side) else {
            return;
        };
        let which = Some(*volume);
        if self.running_start(at.0) != Some(at.1) {
            return;
        }
        let due = self.trap_due(at.0, which);
        if let Some(trap @ AtOp { after: false, .. }) = due {
            self.spring(at.0, which, trap);
            return;
        }
        let mut draw = self.disk_draw(at.0, which);
        let Some(carriage) = self.data.carriages.get_mut(&id) else {
            return;
        };
        let (
            Transfer::Store { bytes, .. },
            Side::Receiving {
                stage, file, came, ..
            },
        ) = (&carriage.transfer, &mut carriage.side)
        else {
            return;
        };
        let to = (from + PIECE).min(bytes.len() as u64);
        let piece = bytes[index(from)..index(to)].to_vec();
        came.extend_from_slice(&piece);
        let (stage, file) = (*stage, file.clone());
        let complete = to == bytes.len() as u64;
        let summary = complete.then(|| Summary::of(came));
        let written = match self.nodes[at.0.index()].disk_of_mut(which) {
            Some(disk) => disk.write_beside(&file, ALONE_HEADER + from, piece, &mut draw),
            None => return,
        };
        if let Some(trap) = due {
            self.spring(at.0, which, trap);
            return;
        }
        if let Err(message) = written {
            self.ask_store(at, None, StoreAsk::Cancel { stage });
            let reason = message;
            self.answer_transfer(id, Carried::Refused(Refusal::Unavailable { reason }));
            return;
        }
        match summary {
            Some(summary) => {
                if let Some(carriage) = self.data.carriages.get_mut(&id) {
                    carriage.side = Side::Staged(summary.clone());
                }
                self.ask_store(at, Some(id), StoreAsk::Staged { stage, summary });
            }
            None => {
                if let Some(carriage) = self.data.carriages.get_mut(&id) {
                    // It is acknowledged on the way.
                    carriage.moved = self.now;
                }
                self.send_part(id, Part::Piece { from: to }, 0);
            }
        }
    }

    /// Whoever sent is gone: what has not come will not come.
    fn give_up_receiving(&mut self, id: TransferId) {
        let Some(carriage) = self.data.carriages.get_mut(&id) else {
            return;
        };
        if carriage.waits {
            return;
        }
        let Some(at) = carriage.at else {
            carriage.side = Side::Done;
            self.forget_if_over(id);
            return;
        };
        match &carriage.side {
            Side::Receiving { stage, .. } => {
                let stage = *stage;
                carriage.side = Side::Done;
                self.ask_store(at, None, StoreAsk::Cancel { stage });
            }
            Side::Sending { .. } => carriage.side = Side::Done,
            Side::Nothing | Side::Asking | Side::Staged(_) | Side::Done => {}
        }
        self.forget_if_over(id);
    }

    fn found(&mut self, id: TransferId, volume: VolumeSlot, extent: Extent) {
        let Some(carriage) = self.data.carriages.get_mut(&id) else {
            return;
        };
        let offset = match &carriage.transfer {
            Transfer::Fetch { offset, .. } => offset - offset % BLOCK as u64,
            _ => 0,
        };
        carriage.side = Side::Sending { volume, extent };
        self.read_later(id, offset);
    }

    fn read_later(&mut self, id: TransferId, offset: u64) {
        let Some(carriage) = self.data.carriages.get(&id) else {
            return;
        };
        let (Some(at), Side::Sending { volume, .. }) = (carriage.at, &carriage.side) else {
            return;
        };
        let which = Some(*volume);
        let mut draw = self.disk_draw(at.0, which);
        let Some(disk) = self.nodes[at.0.index()].disk_of(which) else {
            return;
        };
        let after = disk.profile.write.draw(&mut draw);
        let after = after.saturating_mul(u64::from(disk.profile.slow_down.max(1)));
        self.data_event(id, Duration::from_nanos(after), DataEvent::Read { offset });
    }

    fn bytes_are_read(&mut self, id: TransferId, offset: u64) {
        let Some(carriage) = self.data.carriages.get(&id) else {
            return;
        };
        let (Some(at), Side::Sending { volume, extent }) = (carriage.at, &carriage.side) else {
            return;
        };
        if self.running_start(at.0) != Some(at.1) {
            return;
        }
        let Some(disk) = self.nodes[at.0.index()].disk_of(Some(*volume)) else {
            return;
        };
        if disk.hung {
            self.data_event(id, Duration::from_secs(1), DataEvent::Read { offset });
            return;
        }
        let (end, suspected) = match &carriage.transfer {
            Transfer::Fetch { offset, len, .. } => {
                (offset.saturating_add(*len).min(extent.len), None)
            }
            Transfer::Suspect { version } => (extent.len, Some(*version)),
            Transfer::Store { .. } => return,
        };
        let to = (offset + PIECE).min(end);
        let crcs_at = extent.crcs_at + 4 * (offset / BLOCK as u64);
        // Whole blocks are held against their checksums; the end may be within one.
        let whole = to.next_multiple_of(BLOCK as u64).min(extent.len);
        let len = whole.saturating_sub(offset);
        let read = disk.read_verified(&extent.file, crcs_at, extent.offset + offset, len);
        match (read, suspected) {
            (Ok(bytes), None) => {
                let last = to >= end;
                let keep = index(to.saturating_sub(offset));
                let bytes = bytes[..keep.min(bytes.len())].to_vec();
                let what = Carried::Bytes {
                    offset,
                    bytes,
                    last,
                };
                self.answer_transfer(id, what);
            }
            (Ok(_), Some(_)) if to < end => self.read_later(id, to),
            (Ok(_), Some(_)) => self.answer_transfer(id, Carried::Noted),
            (Err(reason), suspected) => {
                let version = match &carriage.transfer {
                    Transfer::Fetch { version, .. } => Some(*version),
                    _ => suspected,
                };
                if let Some(version) = version {
                    let damaged = StoreAsk::Damaged {
                        volume: *volume,
                        version,
                        reason: reason.clone(),
                    };
                    self.ask_store(at, None, damaged);
                }
                self.answer_transfer(id, Carried::Refused(Refusal::Unavailable { reason }));
            }
        }
    }

    // ---- processes that end ----

    /// A process has ended: what it asked nobody waits for; who waits for it is told by its kernel,
    /// if there is one left.
    pub(super) fn process_leaves_transfers(&mut self, node: NodeIx, start: u32) {
        self.data.asks.retain(|(asked, _), _| *asked != node);
        let process = (node, start);
        let asked: Vec<TransferId> = self
            .data
            .carriages
            .iter()
            .filter(|(_, it)| it.at == Some(process))
            .map(|(id, _)| *id)
            .collect();
        for id in asked {
            if let Some(carriage) = self.data.carriages.get_mut(&id) {
                carriage.side = Side::Done;
            }
            self.send_part(id, Part::Reset, 0);
            self.forget_if_over(id);
        }
        let asking: Vec<TransferId> = self
            .data
            .carriages
            .iter()
            .filter(|(_, it)| it.from == process)
            .map(|(id, _)| *id)
            .collect();
        for id in asking {
            if let Some(carriage) = self.data.carriages.get_mut(&id) {
                carriage.waits = false;
            }
            // A kernel says so at once; a host without power says nothing.
            let powered = self.hosts[self.host_of(node).index()].powered;
            let after = if powered { RESEND } else { PATIENCE };
            self.data_event(id, after, DataEvent::Abandoned);
            self.forget_if_over(id);
        }
        self.data.told.retain(|(id, _)| {
            let carriage = self.data.carriages.get(id);
            carriage.is_none_or(|it| it.from != process)
        });
    }
}

/// Flips a bit at the given rate.
fn damage(bytes: &mut [u8], rate: Rate, draw: &mut crate::streams::Draw) {
    let (hit, at, bit) = (
        draw.chance(rate),
        draw.below(bytes.len() as u64),
        draw.below(8),
    );
    if hit && let Some(byte) = bytes.get_mut(index(at)) {
        *byte ^= 1 << bit;
    }
}
