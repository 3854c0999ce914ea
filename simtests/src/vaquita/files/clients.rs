//! Clients, and the data nodes' side of what they want: the writing of files, their reading, and
//! questions about names.

mod reading;
mod writing;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vaquita_core::admin::{Caller, NodeState, Refusal, Request, Response, Verb};
use vaquita_core::dfs::ask::{Answer, Ask, Committed, Expect};
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::fetch::{Fetch, FetchInput};
use vaquita_core::dfs::ids::{FileVersion, OpId};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::dfs::put::{Put, PutInput, PutOrder};
use vaquita_core::ids::{NodeId, RequestId};
use vaquita_core::limits::Limits;
use vaquita_core::time::Timestamp;
use vaquita_history::{Act, Expected, History, Moment, Seen};

use reading::Reading;
use writing::Putting;

use super::checkers::{self, Asked};
use super::{content, order_text};
use crate::picture::{Outcome, Recorder};
use crate::streams::{Rate, Stream, index};
use crate::time::SimTime;
use crate::vaquita::{Vaquita, VaquitaWorld, client_token};
use crate::world::{Carried, Failure, Life, NodeIx, TransferId};

/// Something a client wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// To write a file.
    Put {
        /// Its path.
        path: String,
        /// Its content; see [`content`](super::content).
        number: u64,
        /// How many bytes.
        len: usize,
        /// What has to be there.
        expect: Expected,
    },
    /// To read a file.
    Get {
        /// Its path.
        path: String,
    },
    /// To remove a file.
    Remove {
        /// Its path.
        path: String,
    },
    /// To rename a file.
    Rename {
        /// Its present path.
        from: String,
        /// Its new one.
        to: String,
        /// Whether a file gives way.
        replace: bool,
    },
    /// Something else, which is in no history.
    Ask(Ask),
}

impl Order {
    /// To make a directory, with those above it.
    ///
    /// # Panics
    /// If it is no path.
    #[must_use]
    pub fn make_directory(path: &str) -> Self {
        Self::Ask(Ask::MakeDir {
            op: OpId([0xd1; 16]),
            path: DfsPath::parse(path).expect("a test's path is a path"),
            parents: true,
            unix_ms: 0,
        })
    }
}

/// Names an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What became of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// The file is written.
    Written(Box<Committed>),
    /// The file has this content.
    Read(u64),
    /// There is no file.
    Nothing,
    /// It is done.
    Done,
    /// The answer to a question.
    Answered(Box<Answer>),
    /// It is not done.
    Refused(Refusal),
    /// It may be done, or be done later, or not.
    Unknown(String),
}

/// Clients of a cluster.
#[derive(Debug)]
pub struct Clients {
    /// How often an order is tried, each time at another entry.
    pub tries: u32,
    /// Whether what is acknowledged is looked for on the disks at that moment.
    pub looks_at_disks: bool,
    limits: Limits,
    tasks: BTreeMap<Ticket, Task>,
    done: BTreeMap<Ticket, Done>,
    next: u64,
    asks: BTreeMap<(NodeIx, RequestId), Ticket>,
    transfers: BTreeMap<TransferId, (Ticket, Purpose)>,
    /// Whose content a digest of a file is.
    known: BTreeMap<Digest, u64>,
    numbers: BTreeMap<String, BTreeMap<u64, FileVersion>>,
    history: History,
    ops: BTreeMap<Ticket, (OpId, Order)>,
    alarm: Option<SimTime>,
    recorder: Option<Recorder>,
}

/// What a transfer is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Write { number: usize, node: NodeId },
    Read { chunk: usize, attempt: usize },
}

#[derive(Debug)]
struct Task {
    order: Order,
    op: OpId,
    began: SimTime,
    tries: u32,
    /// Whether some try may have been carried out.
    may_be_done: bool,
    /// When a commit was first asked for; never, before that.
    committing_since: SimTime,
    entry: Option<(NodeIx, u32)>,
    /// When this try is given up, or the next begins.
    until: SimTime,
    work: Work,
    last: Option<Refusal>,
}

#[derive(Debug)]
enum Work {
    Waiting,
    Asking,
    Putting(Box<Putting>),
    Reading(Box<Reading>),
}

/// How long a client waits for an entry before it goes on with another.
const TRY_PATIENCE: Duration = Duration::from_secs(60);
/// How long it waits between two tries.
const PAUSE: Duration = Duration::from_millis(300);
/// Chunks asked for at once.
const LAYOUT: u32 = 1024;

impl Clients {
    /// Clients of a cluster.
    #[must_use]
    pub fn new(world: &VaquitaWorld) -> Self {
        Self {
            tries: 6,
            looks_at_disks: true,
            limits: world.factory().cluster.limits.clone(),
            tasks: BTreeMap::new(),
            done: BTreeMap::new(),
            next: 0,
            asks: BTreeMap::new(),
            transfers: BTreeMap::new(),
            known: BTreeMap::new(),
            numbers: BTreeMap::new(),
            history: History::default(),
            ops: BTreeMap::new(),
            alarm: None,
            recorder: None,
        }
    }

    /// Has orders recorded from now on.
    pub fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Has a client begin something, at an entry drawn at random, or at this one.
    pub fn begin(
        &mut self,
        world: &mut VaquitaWorld,
        entry: Option<NodeIx>,
        mut order: Order,
    ) -> Ticket {
        if let Order::Put { number, len: 0, .. } = &mut order {
            // All empty files are alike.
            *number = 0;
        }
        let mut op = [0; 16];
        op[..8].copy_from_slice(&(self.next + 1).to_be_bytes());
        op[8..].copy_from_slice(&world.seed().to_be_bytes());
        if let Order::Put { number, len, .. } = &order {
            let bytes = content(world.seed(), *number, *len);
            let parts: Vec<_> = self
                .cut(&bytes)
                .iter()
                .map(|part| (part.len() as u64, Digest::of(part)))
                .collect();
            let digest = vaquita_core::dfs::ask::file_digest(parts.iter().copied());
            self.known.insert(digest, *number);
        }
        self.begin_op(world, entry, OpId(op), order)
    }

    /// The operation of an order, by which the cluster knows it.
    #[must_use]
    pub fn op(&self, ticket: Ticket) -> Option<OpId> {
        self.ops.get(&ticket).map(|(op, _)| *op)
    }

    /// Has a client ask again for what it asked for before, as the same operation.
    ///
    /// # Panics
    /// If it did not.
    pub fn again(&mut self, world: &mut VaquitaWorld, ticket: Ticket) -> Ticket {
        let (op, order) = self.ops.get(&ticket).cloned().expect("it was asked for");
        self.begin_op(world, None, op, order)
    }

    fn begin_op(
        &mut self,
        world: &mut VaquitaWorld,
        entry: Option<NodeIx>,
        op: OpId,
        order: Order,
    ) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.ops.insert(ticket, (op, order.clone()));
        let task = Task {
            order,
            op,
            began: world.now(),
            tries: 0,
            may_be_done: false,
            committing_since: SimTime::NEVER,
            entry: None,
            until: world.now(),
            work: Work::Waiting,
            last: None,
        };
        self.tasks.insert(ticket, task);
        self.next_try(world, ticket, entry);
        ticket
    }

    fn cut(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let size = index(self.limits.chunk_bytes);
        bytes.chunks(size).map(<[u8]>::to_vec).collect()
    }

    /// What became of an order, once that is known.
    #[must_use]
    pub fn done(&self, ticket: Ticket) -> Option<&Done> {
        self.done.get(&ticket)
    }

    /// Orders that are not done.
    #[must_use]
    pub fn open(&self) -> usize {
        self.tasks.len()
    }

    /// What clients were told.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Lets time pass, with clients going on.
    ///
    /// # Errors
    /// If the run goes wrong.
    pub fn run_for(&mut self, world: &mut VaquitaWorld, span: Duration) -> Result<(), Failure> {
        let until = world.now().after(span);
        while world.step(until)? {
            self.look(world);
        }
        world.run_until(until)
    }

    /// Lets time pass until all orders are done, for five minutes at most.
    ///
    /// # Errors
    /// If the run goes wrong, or an order is not done by then.
    pub fn finish(&mut self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        let until = world.now().after(Duration::from_secs(900));
        while !self.tasks.is_empty() {
            if !world.step(until)? {
                let open = self
                    .tasks
                    .values()
                    .next()
                    .map(|task| format!("{:?}", task.order));
                world.fail(
                    None,
                    format!("an order of a client has no outcome: {open:?}"),
                );
                return world.finish();
            }
            self.look(world);
        }
        Ok(())
    }

    /// Has something done and waits for it.
    ///
    /// # Errors
    /// If the run goes wrong.
    pub fn have(&mut self, world: &mut VaquitaWorld, order: Order) -> Result<Done, Failure> {
        let ticket = self.begin(world, None, order);
        self.wait(world, ticket)
    }

    /// Waits for an order.
    ///
    /// # Errors
    /// If the run goes wrong, or the order has no outcome after a while.
    pub fn wait(&mut self, world: &mut VaquitaWorld, ticket: Ticket) -> Result<Done, Failure> {
        let until = world.now().after(Duration::from_secs(900));
        loop {
            if let Some(done) = self.done.get(&ticket) {
                return Ok(done.clone());
            }
            if !world.step(until)? {
                world.fail(None, "an order of a client has no outcome");
                world.finish()?;
            }
            self.look(world);
        }
    }

    /// Takes in what the last step has brought.
    pub fn look(&mut self, world: &mut VaquitaWorld) {
        let step = *world.last_step();
        let answers = world.answers();
        let news: Vec<_> = answers[answers.len().saturating_sub(step.answers)..]
            .iter()
            .filter_map(|answer| {
                let ticket = self.asks.remove(&(answer.node, answer.id))?;
                Some((ticket, answer.reply.clone()))
            })
            .collect();
        for (ticket, reply) in news {
            let result = match reply {
                Some(Ok(Response::Dfs(answer))) => Ok(answer),
                Some(Ok(_)) => continue,
                Some(Err(refusal)) => Err(refusal),
                // The entry's end is seen below.
                None => continue,
            };
            self.answered(world, ticket, result);
        }
        for (id, what) in world.take_carried() {
            self.carried(world, id, what);
        }
        let gone: Vec<Ticket> = self
            .tasks
            .iter()
            .filter(|(_, task)| {
                task.entry.is_some_and(|(node, start)| {
                    world.life(node) == Life::Down || world.starts(node) != start
                })
            })
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in gone {
            self.try_failed(world, ticket, "its entry has ended");
        }
        self.look_at_clocks(world);
    }

    fn look_at_clocks(&mut self, world: &mut VaquitaWorld) {
        let now = world.now();
        let due: Vec<Ticket> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.deadline().is_some_and(|due| now >= due))
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in due {
            let Some(task) = self.tasks.get_mut(&ticket) else {
                continue;
            };
            if matches!(task.work, Work::Waiting) {
                self.next_try(world, ticket, None);
            } else if now >= task.until {
                if let Work::Putting(putting) = &mut task.work {
                    putting.put.handle(stamp(now), PutInput::GivenUp);
                    self.pump(world, ticket);
                }
                self.try_failed(world, ticket, "its entry did not answer in time");
            } else {
                match &mut task.work {
                    Work::Putting(putting) => putting.put.handle(stamp(now), PutInput::Deadline),
                    Work::Reading(reading) => {
                        if let Some(fetch) = &mut reading.fetch {
                            fetch.handle(stamp(now), FetchInput::Deadline);
                        }
                    }
                    Work::Waiting | Work::Asking => {}
                }
                self.pump(world, ticket);
            }
        }
        let next = self.tasks.values().filter_map(Task::deadline).min();
        if let Some(next) = next
            && self.alarm.is_none_or(|alarm| next < alarm || alarm <= now)
        {
            let next = next.max(now.after_nanos(1));
            self.alarm = Some(next);
            world.alarm(next);
        }
    }

    // ---- tries ----

    fn next_try(&mut self, world: &mut VaquitaWorld, ticket: Ticket, entry: Option<NodeIx>) {
        let entries: Vec<NodeIx> = world
            .nodes()
            .filter(|node| match world.machine(*node) {
                Some(Vaquita::DataNode(it)) => it.state() != NodeState::Stopping,
                _ => false,
            })
            .collect();
        let Some(task) = self.tasks.get_mut(&ticket) else {
            return;
        };
        task.tries += 1;
        task.until = world.now().after(TRY_PATIENCE);
        let mut draw = world.streams().at(
            Stream::Workload,
            0xc11e_0000 + ticket.0,
            u64::from(task.tries),
        );
        let drawn = (!entries.is_empty()).then(|| *draw.pick(&entries));
        let running = entry.filter(|node| entries.contains(node)).or(drawn);
        let Some(entry) = running else {
            task.work = Work::Asking;
            self.try_failed(world, ticket, "no data node runs");
            return;
        };
        task.entry = Some((entry, world.starts(entry)));
        let unix_ms = world.unix_ms(world.host_of(entry));
        let op = task.op;
        let order = task.order.clone();
        let path = |text: &str| DfsPath::parse(text).expect("a test's path is a path");
        let ask = match order {
            Order::Put {
                path: at,
                number,
                len,
                expect,
            } => {
                let bytes = content(world.seed(), number, len);
                let expect = match expect {
                    Expected::Anything => Expect::Anything,
                    Expected::Nothing => Expect::Nothing,
                    Expected::Something => Expect::Something,
                    Expected::Number(number) => {
                        let versions = self.numbers.get(&at);
                        let version = versions.and_then(|known| known.get(&number));
                        Expect::Version(version.copied().unwrap_or(FileVersion(u64::MAX)))
                    }
                };
                let put = PutOrder {
                    op,
                    path: path(&at),
                    expect,
                    unix_ms,
                };
                let now = stamp(world.now());
                let chunks = self.cut(&bytes);
                if let Some(task) = self.tasks.get_mut(&ticket) {
                    task.work = Work::Putting(Box::new(Putting {
                        put: Put::new(put, &self.limits, now),
                        chunks,
                        begun: 0,
                        keeps: draw.chance(Rate::percent(70)),
                        committing: false,
                    }));
                }
                self.next_chunk(world, ticket);
                self.pump(world, ticket);
                return;
            }
            Order::Get { path: at } => Ask::Lookup {
                path: path(&at),
                first_chunk: 0,
                chunks: LAYOUT,
            },
            Order::Remove { path: at } => Ask::Remove {
                op,
                path: path(&at),
                recursive: false,
                expect: Expect::Anything,
            },
            Order::Rename { from, to, replace } => Ask::Rename {
                op,
                from: path(&from),
                to: path(&to),
                replace,
            },
            Order::Ask(ask) => ask,
        };
        if let Some(task) = self.tasks.get_mut(&ticket) {
            task.work = Work::Asking;
        }
        self.ask(world, ticket, entry, ask);
    }

    fn ask(&mut self, world: &mut VaquitaWorld, ticket: Ticket, entry: NodeIx, ask: Ask) {
        let abort = matches!(ask, Ask::Abort { .. });
        let caller = Caller::Remote {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            token: Some(client_token()),
            unix_ms: world.unix_ms(world.host_of(entry)),
        };
        let verb = Verb::Dfs(ask);
        let id = world.request(entry, Request { caller, verb });
        if !abort {
            self.asks.insert((entry, id), ticket);
        }
    }

    fn try_failed(&mut self, world: &mut VaquitaWorld, ticket: Ticket, why: &str) {
        self.asks.retain(|_, asker| *asker != ticket);
        let streams: Vec<TransferId> = self
            .transfers
            .iter()
            .filter(|(_, (owner, _))| *owner == ticket)
            .map(|(id, _)| *id)
            .collect();
        for id in streams {
            self.transfers.remove(&id);
            world.drop_transfer(id);
        }
        let Some(task) = self.tasks.get_mut(&ticket) else {
            return;
        };
        let changes = matches!(task.order, Order::Remove { .. } | Order::Rename { .. });
        task.may_be_done |= match &task.work {
            Work::Putting(putting) => putting.committing,
            Work::Asking => changes && task.entry.is_some(),
            Work::Waiting | Work::Reading(_) => false,
        };
        task.work = Work::Waiting;
        task.entry = None;
        task.until = world.now().after(PAUSE);
        if task.tries >= self.tries {
            let reason = why.to_owned();
            let done = if task.may_be_done {
                Done::Unknown(reason)
            } else {
                let last = task.last.take();
                Done::Refused(last.unwrap_or(Refusal::Unavailable { reason }))
            };
            self.end(world, ticket, done);
        }
    }

    fn end(&mut self, world: &mut VaquitaWorld, ticket: Ticket, done: Done) {
        self.asks.retain(|_, asker| *asker != ticket);
        let Some(task) = self.tasks.remove(&ticket) else {
            return;
        };
        if let Some(recorder) = &self.recorder {
            let (outcome, words) = in_short(&done);
            let order = (
                task.began,
                world.now(),
                order_text(&task.order),
                outcome,
                words,
            );
            recorder.lock().orders.push(order);
        }
        if let (Done::Written(committed), Order::Put { path, number, .. }) = (&done, &task.order) {
            let versions = self.numbers.entry(path.clone()).or_default();
            versions.insert(*number, committed.entry.version);
            let asked = Asked {
                began: task.began,
                committing: task.committing_since,
            };
            if self.looks_at_disks
                && let Err(what) = checkers::acknowledged(world, committed, asked)
            {
                world.fail(None, what);
            }
        }
        let seen = match &done {
            Done::Written(_) | Done::Done => Some(Seen::Done),
            Done::Read(number) => Some(Seen::Value(Some(*number))),
            Done::Nothing => match task.order {
                Order::Get { .. } => Some(Seen::Value(None)),
                _ => Some(Seen::Refused),
            },
            Done::Refused(refusal) => is_about_names(refusal).then_some(Seen::Refused),
            Done::Unknown(_) => Some(Seen::Unknown),
            Done::Answered(_) => None,
        };
        let act = match task.order {
            Order::Put {
                path,
                number,
                expect,
                ..
            } => Some(Act::Put {
                path,
                number,
                expect,
            }),
            Order::Get { path } => Some(Act::Get { path }),
            Order::Remove { path } => Some(Act::Remove { path }),
            Order::Rename { from, to, replace } => Some(Act::Rename { from, to, replace }),
            Order::Ask(_) => None,
        };
        if let (Some(act), Some(mut seen)) = (act, seen) {
            if matches!(act, Act::Get { .. }) && !matches!(seen, Seen::Value(_)) {
                self.done.insert(ticket, done);
                return;
            }
            // One that may have been done by an earlier try is not known to be refused.
            if seen == Seen::Refused && task.may_be_done {
                seen = Seen::Unknown;
            }
            let (began, ended) = (moment(task.began), moment(world.now()));
            self.history.note(act, began, ended, seen);
        }
        self.done.insert(ticket, done);
    }

    // ---- answers ----

    fn answered(
        &mut self,
        world: &mut VaquitaWorld,
        ticket: Ticket,
        result: Result<Answer, Refusal>,
    ) {
        let now = stamp(world.now());
        let Some(task) = self.tasks.get_mut(&ticket) else {
            return;
        };
        if let Work::Putting(putting) = &mut task.work {
            putting.put.handle(now, PutInput::Answered(result));
            self.pump(world, ticket);
            return;
        }
        match (result, &task.order) {
            (Ok(Answer::File(layout)), Order::Get { .. }) => {
                task.work = Work::Reading(Box::new(Reading {
                    layout,
                    chunk: 0,
                    bytes: Vec::new(),
                    part: Vec::new(),
                    fetch: None,
                    attempts: Vec::new(),
                }));
                self.pump(world, ticket);
            }
            (Ok(_), Order::Remove { .. } | Order::Rename { .. }) => {
                self.end(world, ticket, Done::Done);
            }
            (Ok(answer), _) => self.end(world, ticket, Done::Answered(Box::new(answer))),
            (Err(Refusal::NotFound { .. }), Order::Get { .. } | Order::Remove { .. }) => {
                self.end(world, ticket, Done::Nothing);
            }
            (Err(refusal), _) if passes(&refusal) => {
                let why = refusal.to_string();
                task.last = Some(refusal);
                self.try_failed(world, ticket, &why);
            }
            (Err(refusal), _) => self.end(world, ticket, Done::Refused(refusal)),
        }
    }

    fn carried(&mut self, world: &mut VaquitaWorld, id: TransferId, what: Carried) {
        let Some((ticket, stream)) = self.transfers.get(&id).copied() else {
            return;
        };
        if !matches!(what, Carried::Bytes { last: false, .. }) {
            self.transfers.remove(&id);
        }
        let now = stamp(world.now());
        let Some(task) = self.tasks.get_mut(&ticket) else {
            return;
        };
        match (&mut task.work, stream) {
            (Work::Putting(putting), Purpose::Write { number, node }) => {
                let keeps = putting.keeps;
                let input = match what {
                    Carried::Prepared {
                        holder,
                        len,
                        digest,
                    } => PutInput::Prepared {
                        number,
                        holder,
                        len,
                        digest,
                    },
                    other => PutInput::Failed {
                        number,
                        node,
                        no_room: matches!(other, Carried::Refused(Refusal::NoRoom { .. })),
                        reason: format!("{other:?}"),
                        bytes_kept: keeps,
                    },
                };
                putting.put.handle(now, input);
            }
            (Work::Reading(reading), Purpose::Read { chunk, attempt }) => {
                if chunk != reading.chunk {
                    return;
                }
                reading.arrived(now, attempt, what);
            }
            _ => return,
        }
        self.pump(world, ticket);
    }

    /// Does what the machine of a task wants.
    fn pump(&mut self, world: &mut VaquitaWorld, ticket: Ticket) {
        loop {
            let Some(task) = self.tasks.get_mut(&ticket) else {
                return;
            };
            let Some((entry, _)) = task.entry else { return };
            match &mut task.work {
                Work::Putting(putting) => {
                    let Some(effect) = putting.put.poll_effect() else {
                        return;
                    };
                    self.put_effect(world, ticket, entry, effect);
                }
                Work::Reading(_) => {
                    if !self.read_on(world, ticket, entry) {
                        return;
                    }
                }
                Work::Waiting | Work::Asking => return,
            }
        }
    }
}

impl Task {
    fn deadline(&self) -> Option<SimTime> {
        let machine = match &self.work {
            Work::Putting(putting) => putting.put.poll_timeout(),
            Work::Reading(reading) => reading.fetch.as_ref().and_then(Fetch::poll_timeout),
            Work::Waiting | Work::Asking => None,
        };
        let machine = machine.map(|at| SimTime::from_nanos(at.as_nanos()));
        Some(machine.map_or(self.until, |at| at.min(self.until)))
    }
}

/// What became of an order, for a picture.
fn in_short(done: &Done) -> (Outcome, String) {
    match done {
        Done::Written(committed) => {
            let degraded = committed.degraded_chunks;
            let words = format!(
                ": version {}, {degraded} chunks degraded",
                committed.entry.version
            );
            (Outcome::Done, words)
        }
        Done::Read(number) => (Outcome::Done, format!(": content {number}")),
        Done::Nothing => (Outcome::Done, ": there is no file".to_owned()),
        Done::Done | Done::Answered(_) => (Outcome::Done, String::new()),
        Done::Refused(refusal) => (Outcome::Refused, format!(": {refusal}")),
        Done::Unknown(why) => (Outcome::Unknown, format!(": {why}")),
    }
}

fn passes(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Unavailable { .. } | Refusal::Busy { .. })
}

fn is_about_names(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::NotFound { .. } | Refusal::Conflict { .. } | Refusal::Precondition { .. }
    )
}

fn stamp(now: SimTime) -> Timestamp {
    Timestamp::from_nanos(now.as_nanos())
}

/// A moment of the World in the words of a history.
const fn moment(at: SimTime) -> Moment {
    Moment::after(Duration::from_nanos(at.as_nanos()))
}
