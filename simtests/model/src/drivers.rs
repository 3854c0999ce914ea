//! What drivers of data nodes do for files: the entry's part of a write, transfers, and copies.

use core::net::{IpAddr, Ipv4Addr};

use vaquita_core::admin::{Caller, Reply, Request, Response, Verb};
use vaquita_core::dfs::ask::Ask;
use vaquita_core::dfs::digest::{Digest, Summary};
use vaquita_core::dfs::put::{Put, PutEffect, PutInput};
use vaquita_core::ids::RequestId;
use vaquita_core::io::Input;
use vaquita_core::message::CopyReplica;
use vaquita_core::store::scan::VolumeRead as _;
use vaquita_core::store::{Extent, Form, StoreAnswer, StoreAsk, StoreReply};
use vaquita_core::time::Timestamp;

use crate::data::{Attempt, Carried, Progress, Purpose, Transfer, Wanted, content, order};
use crate::process::Who;
use crate::setup::{Place, Setup};
use crate::turn::{AT_ONCE, Turn};

impl Turn<'_> {
    // ---- the client, at its entry ----

    /// The client tries to write its file through the data node at a place.
    pub(crate) fn begin_attempt(&mut self, place: Place) {
        let Some(entry) = self.site.running(place) else {
            return;
        };
        let now = self.site.now;
        let version = self.site.client.version;
        self.site.client.attempts += 1;
        let mut put = Put::new(order(version), &self.setup.driver_limits(), now);
        let max_len = content(version).len() as u64;
        put.handle(now, PutInput::ChunkBegins { max_len });
        self.site.client.attempt = Some(Attempt {
            entry,
            put,
            asks: std::collections::BTreeSet::new(),
        });
        self.pump_put();
        self.run();
    }

    fn tell_put(&mut self, input: PutInput) {
        let now = self.site.now;
        if let Some(attempt) = &mut self.site.client.attempt {
            attempt.put.handle(now, input);
        }
        self.pump_put();
    }

    pub(crate) fn client_deadline(&mut self, now: Timestamp) {
        let due = |attempt: &Attempt| attempt.put.poll_timeout().is_some_and(|due| due <= now);
        for _ in 0..=AT_ONCE {
            if !self.site.client.attempt.as_ref().is_some_and(due) {
                return;
            }
            self.tell_put(PutInput::Deadline);
            self.run();
        }
        self.fail("a client has something due for ever".to_owned());
    }

    fn pump_put(&mut self) {
        loop {
            let Some(attempt) = &mut self.site.client.attempt else {
                return;
            };
            let entry = attempt.entry;
            match attempt.put.poll_effect() {
                None => return,
                Some(PutEffect::Ask(ask)) => self.ask_controller(entry, ask),
                Some(PutEffect::Write {
                    number,
                    token,
                    replicas,
                    again,
                }) => {
                    let bytes = content(self.site.client.version);
                    if !again {
                        let (len, digest) = (bytes.len() as u64, Digest::of(&bytes));
                        let now = self.site.now;
                        if let Some(attempt) = &mut self.site.client.attempt {
                            attempt.put.handle(
                                now,
                                PutInput::ChunkEnds {
                                    number,
                                    len,
                                    digest,
                                },
                            );
                        }
                    }
                    for replica in replicas {
                        let wanted = Wanted::Store {
                            token: Box::new(token.clone()),
                            bytes: bytes.clone(),
                        };
                        let node = replica.node;
                        let purpose = Purpose::Write { number, node };
                        if let Some(to) = self.setup.behind(&replica.endpoint) {
                            self.transfer(entry, to, wanted, purpose);
                        }
                    }
                }
                Some(PutEffect::Settled { .. }) => {
                    let now = self.site.now;
                    if let Some(attempt) = &mut self.site.client.attempt {
                        attempt.put.handle(now, PutInput::BodyEnded);
                    }
                }
                Some(PutEffect::Finished(result)) => {
                    self.site.client.attempt = None;
                    let word = match &result {
                        Ok(_) => "client.acknowledged",
                        Err(_) => "client.refused",
                    };
                    let text = match &result {
                        Ok(committed) => format!("version {}", committed.entry.version),
                        Err(refusal) => refusal.to_string(),
                    };
                    self.notices.push((entry.place, word, text));
                    if let Ok(committed) = result {
                        self.site.client.told = Some(committed);
                    }
                    return;
                }
            }
        }
    }

    fn ask_controller(&mut self, entry: Who, ask: Ask) {
        let waits = !matches!(ask, Ask::Abort { .. });
        let Some(id) = self.question(entry) else {
            return;
        };
        if waits && let Some(attempt) = &mut self.site.client.attempt {
            attempt.asks.insert(id);
        }
        let caller = Caller::Remote {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            token: Some(Setup::token()),
            unix_ms: 1,
        };
        let verb = Verb::Dfs(ask);
        let request = Request { caller, verb };
        self.queue
            .push_back((entry, Input::Request { id, request }));
    }

    /// The number of a driver's next question to its machine.
    fn question(&mut self, who: Who) -> Option<RequestId> {
        let process = self.process_mut(who)?;
        process.questions += 1;
        Some(RequestId(process.questions))
    }

    /// A machine answers what a client has asked through it.
    pub(crate) fn client_answered(&mut self, who: Who, id: RequestId, reply: Reply) {
        let waits = self
            .site
            .client
            .attempt
            .as_mut()
            .is_some_and(|attempt| attempt.entry == who && attempt.asks.remove(&id));
        if !waits {
            return;
        }
        let answer = match reply {
            Ok(Response::Dfs(answer)) => Ok(answer),
            Err(refusal) => Err(refusal),
            Ok(other) => return self.fail(format!("an answer to another question: {other:?}")),
        };
        self.tell_put(PutInput::Answered(answer));
    }

    // ---- transfers ----

    fn transfer(&mut self, from: Who, to: Place, wanted: Wanted, purpose: Purpose) {
        self.site.transferred += 1;
        let transfer = Transfer {
            from,
            to,
            wanted,
            purpose,
            progress: Progress::Asking,
        };
        (self.site.transfers).insert(self.site.transferred, transfer);
    }

    /// The answer to a transfer sets out, if anybody waits for it.
    pub(crate) fn answer(&mut self, id: u32, carried: Carried) {
        let Some(transfer) = self.site.transfers.get_mut(&id) else {
            return;
        };
        transfer.progress = Progress::Answering(Box::new(carried));
        let from = transfer.from;
        if self.site.running(from.place) != Some(from) {
            self.site.transfers.remove(&id);
        }
    }

    /// A question reaches the process that is asked.
    pub(crate) fn question_arrives(&mut self, id: u32) {
        let Some(transfer) = self.site.transfers.get(&id) else {
            return;
        };
        let Some(at) = self.site.running(transfer.to) else {
            return self.answer(id, Carried::Broken);
        };
        let ask = match &transfer.wanted {
            Wanted::Store { token, bytes } => StoreAsk::Admit {
                token: (**token).clone(),
                len: Some(bytes.len() as u64),
            },
            Wanted::Fetch(version) => StoreAsk::Find {
                version: *version,
                even_damaged: false,
            },
        };
        let Some(question) = self.question(at) else {
            return;
        };
        if let Some(transfer) = self.site.transfers.get_mut(&id) {
            transfer.progress = Progress::Admitting { at, question };
        }
        self.tell(at, Input::Store { id: question, ask });
    }

    /// A machine answers its driver about a transfer.
    pub(crate) fn store_replied(&mut self, who: Who, question: RequestId, reply: StoreReply) {
        let mut transfers = self.site.transfers.iter();
        let found = transfers.find(|(_, it)| {
            it.progress.at() == Some(who) && it.progress.question() == Some(question)
        });
        let Some((&id, transfer)) = found else {
            return;
        };
        match (reply, &transfer.progress, &transfer.wanted) {
            (Err(refusal), ..) => self.answer(id, Carried::Refused(refusal)),
            (
                Ok(StoreAnswer::Admitted {
                    stage,
                    form: Form::Packed,
                    ..
                }),
                Progress::Admitting { at, .. },
                Wanted::Store { bytes, .. },
            ) => {
                let (at, bytes) = (*at, bytes.clone());
                let summary = Summary::of(&bytes);
                let Some(question) = self.question(at) else {
                    return;
                };
                if let Some(process) = self.process_mut(at) {
                    process.stages.insert(stage, bytes);
                }
                if let Some(transfer) = self.site.transfers.get_mut(&id) {
                    transfer.progress = Progress::Staged {
                        at,
                        question,
                        stage,
                        summary: summary.clone(),
                    };
                }
                let ask = StoreAsk::Staged { stage, summary };
                self.queue
                    .push_back((at, Input::Store { id: question, ask }));
            }
            (Ok(StoreAnswer::Prepared(holder)), Progress::Staged { summary, .. }, _) => {
                let (len, digest) = (summary.len, summary.digest);
                let prepared = Carried::Prepared {
                    holder,
                    len,
                    digest,
                };
                self.answer(id, prepared);
            }
            (Ok(StoreAnswer::Found { extent, .. }), ..) => {
                let carried = match self.read(who, &extent) {
                    Some(bytes) => Carried::Bytes(bytes),
                    None => return self.fail(format!("there is no chunk at {extent:?}")),
                };
                self.answer(id, carried);
            }
            (Ok(answer), ..) => self.fail(format!("an answer that no driver expects: {answer:?}")),
        }
    }

    fn read(&self, who: Who, extent: &Extent) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(extent.len).ok()?];
        let volume = &self.site.spot(who.place).volume;
        let read = volume.read_at(&extent.file, extent.offset, &mut bytes);
        let whole = read.ok()? == bytes.len() && Digest::of(&bytes) == extent.digest;
        whole.then_some(bytes)
    }

    /// An answer reaches whoever asked.
    pub(crate) fn answer_arrives(&mut self, id: u32) {
        let Some(transfer) = self.site.transfers.remove(&id) else {
            return;
        };
        if let Progress::Answering(carried) = transfer.progress {
            self.carried(transfer.from, transfer.purpose, *carried);
            self.run();
        }
    }

    /// The connection of a transfer breaks: the asker finds out; what the asked has begun goes on.
    pub(crate) fn break_transfer(&mut self, id: u32) {
        let Some(transfer) = self.site.transfers.get_mut(&id) else {
            return;
        };
        let (from, purpose) = (transfer.from, transfer.purpose.clone());
        match &transfer.progress {
            // Whether the question has arrived nobody knows; it may arrive later.
            Progress::Asking | Progress::Admitting { .. } | Progress::Staged { .. } => {
                // From now on nobody waits for its answer.
                transfer.from.start = 0;
            }
            Progress::Answering(_) => {
                self.site.transfers.remove(&id);
            }
        }
        self.carried(from, purpose, Carried::Broken);
        self.run();
    }

    fn carried(&mut self, who: Who, purpose: Purpose, carried: Carried) {
        match purpose {
            Purpose::Write { number, node } => {
                let mine = self.site.client.attempt.as_ref();
                if mine.is_none_or(|attempt| attempt.entry != who) {
                    return;
                }
                let input = match carried {
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
                        reason: format!("{other:?}"),
                        no_room: false,
                        bytes_kept: true,
                    },
                };
                self.tell_put(input);
            }
            Purpose::Fetch(copy) => match carried {
                Carried::Bytes(bytes) if Digest::of(&bytes) == copy.digest => {
                    let token = Box::new(copy.token.clone());
                    let wanted = Wanted::Store { token, bytes };
                    self.transfer(who, who.place, wanted, Purpose::Keep(copy));
                }
                other => self.copy_ended(who, &copy, Err(format!("{other:?}"))),
            },
            Purpose::Keep(copy) => {
                let result = match carried {
                    Carried::Prepared { holder, .. } => Ok(holder),
                    other => Err(format!("{other:?}")),
                };
                self.copy_ended(who, &copy, result);
            }
        }
    }

    // ---- copies ----

    pub(crate) fn begin_copy(&mut self, who: Who, copy: CopyReplica) {
        let source = copy.sources.first();
        match source.and_then(|source| self.setup.behind(&source.endpoint)) {
            Some(to) => {
                let wanted = Wanted::Fetch(copy.token.version);
                self.transfer(who, to, wanted, Purpose::Fetch(Box::new(copy)));
            }
            None => self.copy_ended(who, &copy, Err("there is no source".to_owned())),
        }
    }

    fn copy_ended(
        &mut self,
        who: Who,
        copy: &CopyReplica,
        result: Result<vaquita_core::dfs::ask::Holder, String>,
    ) {
        let ended = Input::CopyEnded {
            copy: copy.copy,
            epoch: copy.token.controller_epoch,
            version: copy.token.version,
            result,
        };
        self.queue.push_back((who, ended));
    }
}
