//! Carrying out batches, one operation at a time.

use vaquita_core::disk::{
    DiskBatch, DiskFault, DiskFaultKind, DiskOp, FileName, Lane, RESERVE_SHARE,
};
use vaquita_core::ids::DiskTicket;
use vaquita_core::store::Fill;

use super::{Progress, Promise, SimDisk, SimFile, describe, lane_index};
use crate::streams::{Draw, index};

type Outcome = Result<(), (DiskFaultKind, String)>;

impl SimDisk {
    /// Queues a batch.
    pub(crate) fn submit(&mut self, batch: DiskBatch) {
        self.lane(batch.lane).waiting.push_back(batch);
    }

    /// Queues a batch of which some operations get more bytes from other files.
    pub(crate) fn submit_with(&mut self, batch: DiskBatch, copies: Vec<(usize, Fill)>) {
        if !copies.is_empty() {
            self.copies.insert(batch.ticket.0, copies);
        }
        self.submit(batch);
    }

    /// Writes at the end of a file, beside the lanes, as a driver does with what it receives.
    ///
    /// # Errors
    /// Why it is not all written.
    pub(crate) fn write_beside(
        &mut self,
        file: &FileName,
        offset: u64,
        bytes: Vec<u8>,
        draw: &mut Draw,
    ) -> Result<(), String> {
        let file = file.clone();
        self.ops_done += 1;
        let op = DiskOp::Append {
            file,
            offset,
            bytes,
        };
        self.carry_out(&op, draw).map_err(|(_, message)| message)
    }

    /// The operation with what it gets from another file.
    fn filled(&self, ticket: DiskTicket, at: usize, op: DiskOp) -> Result<DiskOp, String> {
        let copies = self.copies.get(&ticket.0).into_iter().flatten();
        let Some((_, fill)) = copies.into_iter().find(|(number, _)| *number == at) else {
            return Ok(op);
        };
        let DiskOp::Append {
            file,
            offset,
            mut bytes,
        } = op
        else {
            return Ok(op);
        };
        bytes.extend_from_slice(&self.copied(fill)?);
        Ok(DiskOp::Append {
            file,
            offset,
            bytes,
        })
    }

    /// Begins the next operation of a lane if it is idle; returns how long it takes.
    ///
    /// A batch without operations takes no time and still has to be reported.
    pub(crate) fn begin(&mut self, lane: Lane, draw: &mut Draw) -> Option<u64> {
        if self.hung || self.lane(lane).busy {
            return None;
        }
        self.lane(lane).busy = !self.lane(lane).waiting.is_empty();
        let (queue, profile) = (&self.lanes[lane_index(lane)], &self.profile);
        let op = queue.waiting.front()?.ops.get(queue.next_op);
        Some(op.map_or(0, |op| profile.duration(op, draw)))
    }

    /// Ends the operation that a lane has begun.
    pub(crate) fn finish(&mut self, lane: Lane, draw: &mut Draw) -> Option<Progress> {
        let queue = self.lane(lane);
        if !std::mem::take(&mut queue.busy) {
            return None;
        }
        let at = queue.next_op;
        let batch = queue.waiting.front()?;
        let ticket = batch.ticket;
        if let Some(op) = batch.ops.get(at).cloned() {
            self.ops_done += 1;
            let outcome = match self.filled(ticket, at, op.clone()) {
                Ok(op) => self.carry_out(&op, draw),
                Err(message) => Err((DiskFaultKind::Unreadable, message)),
            };
            let queue = self.lane(lane);
            if let Err((kind, message)) = outcome {
                queue.waiting.pop_front();
                queue.next_op = 0;
                self.copies.remove(&ticket.0);
                let fault = DiskFault {
                    kind,
                    failed_op: at,
                    op: describe(&op),
                    message,
                };
                return Some(Progress::Done(ticket, Err(fault)));
            }
            queue.next_op += 1;
        }
        let queue = self.lane(lane);
        if queue
            .waiting
            .front()
            .is_some_and(|batch| queue.next_op < batch.ops.len())
        {
            return Some(Progress::More);
        }
        queue.next_op = 0;
        let batch = queue.waiting.pop_front()?;
        self.copies.remove(&ticket.0);
        self.last_promise = Some(self.promise_of(&batch));
        Some(Progress::Done(ticket, Ok(())))
    }

    /// A process was killed within a system call: the call may have been carried out, or, where it
    /// was a write, in part.
    pub(crate) fn interrupt(&mut self, draw: &mut Draw) {
        for lane in [Lane::Foreground, Lane::Background] {
            let queue = self.lane(lane);
            let op = queue
                .busy
                .then(|| queue.waiting.front()?.ops.get(queue.next_op).cloned())
                .flatten();
            let fate = draw.below(3);
            let Some(op) = op else { continue };
            let part = match (op, fate) {
                (_, 0) => continue,
                (
                    DiskOp::Append {
                        file,
                        offset,
                        mut bytes,
                    },
                    1,
                ) => {
                    bytes.truncate(index(draw.below(bytes.len() as u64 + 1)));
                    DiskOp::Append {
                        file,
                        offset,
                        bytes,
                    }
                }
                (op, _) => op,
            };
            self.ops_done += 1;
            // Nobody is left to be told how it went.
            let _ = self.carry_out(&part, draw);
        }
        self.abandon();
    }

    /// Carries out an operation that no machine has asked for.
    #[cfg(test)]
    pub(crate) fn carry_out_for_test(&mut self, op: &DiskOp) {
        let mut draw = crate::streams::Streams::new(0).at(crate::streams::Stream::Fault, 0, 0);
        self.carry_out(op, &mut draw).unwrap();
    }

    fn carry_out(&mut self, op: &DiskOp, draw: &mut Draw) -> Outcome {
        let syncs = matches!(op, DiskOp::Sync { .. } | DiskOp::SyncDir);
        let rate = if syncs {
            self.profile.sync_fails
        } else {
            self.profile.op_fails
        };
        let ordered = std::mem::take(&mut self.fail_next_op)
            || (syncs && std::mem::take(&mut self.fail_next_sync));
        let fails = draw.chance(rate) || ordered || self.dead;
        self.faulty |= fails;
        match op {
            DiskOp::Sync { file } => self.sync(file, fails, draw),
            DiskOp::SyncDir if fails => {
                self.names.fail_sync(self.profile.tear, draw);
                Err(io_error())
            }
            DiskOp::SyncDir => {
                self.names.sync(self.profile.lies);
                self.forget_unnamed();
                Ok(())
            }
            DiskOp::Append {
                file,
                offset,
                bytes,
            } => self.append(file, *offset, bytes, fails, draw),
            _ if fails => Err(io_error()),
            DiskOp::CreateNew { file } if self.names.get(file).is_some() => {
                Err((DiskFaultKind::Io, "File exists (os error 17)".to_owned()))
            }
            DiskOp::CreateNew { file } | DiskOp::CreateOrEmpty { file } => {
                match self.names.get(file) {
                    Some(inode) => self
                        .files
                        .get_mut(&inode)
                        .into_iter()
                        .for_each(|f| f.set_len(0)),
                    None => {
                        let inode = self.new_inode();
                        self.names.link(file.clone(), inode);
                    }
                }
                Ok(())
            }
            DiskOp::Truncate { file, len } => {
                let len = usize::try_from(*len).unwrap_or(usize::MAX);
                let entry = self.open(file)?;
                if len > entry.read().len() {
                    return Err((
                        DiskFaultKind::Io,
                        format!("the file has {} bytes", entry.read().len()),
                    ));
                }
                entry.set_len(len);
                Ok(())
            }
            DiskOp::Reserve { file, len } => self.reserve(file, *len),
            DiskOp::Rename { from, to } => {
                if self.names.rename(from, to) {
                    Ok(())
                } else {
                    Err(missing())
                }
            }
            DiskOp::Remove { file } => {
                self.names.unlink(file);
                Ok(())
            }
        }
    }

    fn append(
        &mut self,
        file: &FileName,
        offset: u64,
        bytes: &[u8],
        fails: bool,
        draw: &mut Draw,
    ) -> Outcome {
        let room = self.profile.capacity.saturating_sub(self.used());
        let entry = self.open(file)?;
        let len = entry.read().len() as u64;
        if len != offset {
            return Err((DiskFaultKind::Io, format!("the file has {len} bytes")));
        }
        // A write that fails may have got somewhere.
        let some = index(draw.below(bytes.len() as u64 + 1));
        if fails {
            entry.append(&bytes[..some]);
            return Err(io_error());
        }
        if (bytes.len() as u64) > room {
            let fits = usize::try_from(room).unwrap_or(usize::MAX).min(some);
            entry.append(&bytes[..fits]);
            return Err(no_space());
        }
        entry.append(bytes);
        Ok(())
    }

    fn reserve(&mut self, file: &FileName, len: u64) -> Outcome {
        let len = len.min(self.profile.capacity / RESERVE_SHARE);
        let has = self.read(file).map_or(0, |bytes| bytes.len() as u64);
        if has >= len {
            return Ok(());
        }
        if self.profile.capacity.saturating_sub(self.used()) < 2 * len - has {
            return Err(no_space());
        }
        let inode = self.names.get(file).unwrap_or_else(|| {
            let inode = self.new_inode();
            self.names.link(file.clone(), inode);
            inode
        });
        if let Some(entry) = self.files.get_mut(&inode) {
            entry.set_len(usize::try_from(len).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    fn sync(&mut self, file: &FileName, fails: bool, draw: &mut Draw) -> Outcome {
        let (tear, how, lies) = (
            self.profile.tear,
            self.profile.failed_sync,
            self.profile.lies,
        );
        let entry = self.open(file)?;
        if fails {
            entry.fail_sync(tear, how, draw);
            return Err(io_error());
        }
        entry.sync(lies);
        Ok(())
    }

    fn open(&mut self, file: &FileName) -> Result<&mut SimFile, (DiskFaultKind, String)> {
        let inode = self.names.get(file).ok_or_else(missing)?;
        Ok(self.files.get_mut(&inode).expect("a name leads to a file"))
    }

    fn promise_of(&self, batch: &DiskBatch) -> Promise {
        let mut files = Vec::new();
        let mut names = false;
        for op in &batch.ops {
            match op {
                DiskOp::Sync { file } => {
                    // A file that the batch renamed afterwards is found under its new name.
                    let name = batch.ops.iter().fold(file, |name, op| match op {
                        DiskOp::Rename { from, to } if from == name => to,
                        _ => name,
                    });
                    if let Some(inode) = self.names.get(name) {
                        let len = self.files[&inode].promised().len() as u64;
                        files.push((name.clone(), len));
                    }
                }
                DiskOp::SyncDir => names = true,
                DiskOp::CreateNew { .. } | DiskOp::Rename { .. } | DiskOp::Remove { .. } => {
                    names = false;
                }
                DiskOp::CreateOrEmpty { .. }
                | DiskOp::Append { .. }
                | DiskOp::Truncate { .. }
                | DiskOp::Reserve { .. } => {}
            }
        }
        Promise {
            ticket: batch.ticket,
            files,
            names,
        }
    }
}

fn io_error() -> (DiskFaultKind, String) {
    (
        DiskFaultKind::Io,
        "Input/output error (os error 5)".to_owned(),
    )
}

fn no_space() -> (DiskFaultKind, String) {
    (
        DiskFaultKind::NoSpace,
        "No space left on device (os error 28)".to_owned(),
    )
}

fn missing() -> (DiskFaultKind, String) {
    (
        DiskFaultKind::Io,
        "No such file or directory (os error 2)".to_owned(),
    )
}
