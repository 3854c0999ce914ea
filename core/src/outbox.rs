//! Where a machine collects what the driver has to do.

use std::collections::VecDeque;

use crate::admin::Reply;
use crate::disk::{DiskBatch, DiskOp, FileName, Lane};
use crate::event::Event;
use crate::ids::{ConnId, DiskTicket, Endpoint, JobId, RequestId};
use crate::io::{Effect, ExitCode, ExitReason, Job};

/// The effects of a machine, in order, and the numbers it has given out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    effects: VecDeque<Effect>,
    last_ticket: u64,
    last_job: u64,
    last_conn: u64,
    exiting: bool,
}

impl Outbox {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn pop(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn notify(&mut self, event: Event) {
        self.push(Effect::Notify(event));
    }

    pub(crate) fn reply(&mut self, id: RequestId, reply: Reply) {
        self.push(Effect::Reply { id, reply });
    }

    pub(crate) fn ticket(&mut self) -> DiskTicket {
        self.last_ticket += 1;
        DiskTicket(self.last_ticket)
    }

    pub(crate) fn disk(&mut self, ops: Vec<DiskOp>) -> DiskTicket {
        let ticket = self.ticket();
        self.push(Effect::Disk(DiskBatch {
            ticket,
            lane: Lane::Foreground,
            ops,
        }));
        ticket
    }

    pub(crate) fn replace_file(&mut self, file: &FileName, bytes: Vec<u8>) -> DiskTicket {
        let ticket = self.ticket();
        self.push(Effect::Disk(DiskBatch::replace_file(ticket, file, bytes)));
        ticket
    }

    pub(crate) fn job(&mut self, work: Job) -> JobId {
        self.last_job += 1;
        let job = JobId(self.last_job);
        self.push(Effect::Job { job, work });
        job
    }

    /// Opens a connection; the machine's own have even numbers.
    pub(crate) fn connect(&mut self, to: Endpoint) -> ConnId {
        self.last_conn += 2;
        let conn = ConnId(self.last_conn);
        self.push(Effect::Connect { conn, to });
        conn
    }

    /// Ends the process; the first reason stands.
    pub(crate) fn exit(&mut self, code: ExitCode, message: impl Into<String>) {
        if !self.exiting {
            self.exiting = true;
            self.push(Effect::Exit(ExitReason {
                code,
                message: message.into(),
            }));
        }
    }

    pub(crate) const fn is_exiting(&self) -> bool {
        self.exiting
    }
}
