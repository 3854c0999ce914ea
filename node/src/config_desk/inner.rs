//! What the handles on a desk share, and what is done where it may block.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::{Mutex, OnceCell};
use tracing::{info, warn};
use vaquita_core::admin::Refusal;
use vaquita_core::controller::Reconfiguration;

use super::DeskSettings;
use super::diff::Diff;
use super::disk::{self, Fault, Hand};
use super::error::DeskError;
use super::files::{Bytes, ConfigFile, Reading};
use super::history::{History, Note};
use super::judge::Verdict;
use super::taken::KeyRow;
use super::views::{self, FileRow, Written};
use crate::env::{Effort, Env};

pub(super) struct Inner {
    pub(super) settings: DeskSettings,
    pub(super) hand: Box<dyn Hand>,
    pub(super) outside: Box<dyn Outside>,
    /// Whether it was looked at what an earlier process left. Not before the first question: by then this
    /// process has the lock on its home, and is the only one to write here.
    pub(super) cleaned: OnceCell<()>,
    /// One change at a time: what it was judged by is what it replaces.
    pub(super) writing: Mutex<()>,
}

pub(super) type Work = Box<dyn FnOnce() + Send>;

/// What the desk needs of the [`Env`], whichever that is.
pub(super) trait Outside: Send + Sync + 'static {
    fn unix_ms(&self) -> u64;
    /// Resolves to whether the work was done.
    fn run(&self, work: Work) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

pub(super) struct Through<E>(pub(super) E);

impl<E: Env> Outside for Through<E> {
    fn unix_ms(&self) -> u64 {
        self.0.unix_ms()
    }

    fn run(&self, work: Work) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move { self.0.compute(Effort::Config, work).await.is_some() })
    }
}

impl Inner {
    pub(super) fn history(&self, file: ConfigFile) -> History {
        History::at(self.settings.history.join(file.name()))
    }

    pub(super) fn unreadable(
        &self,
        file: ConfigFile,
        what: &str,
        error: &std::io::Error,
    ) -> DeskError {
        DeskError::Disk {
            file,
            what: what.to_owned(),
            why: error.to_string(),
        }
    }

    pub(super) fn read_all(&self) -> Result<Bytes, DeskError> {
        let mut all = Bytes::new();
        for file in ConfigFile::ALL {
            let Some(path) = self.settings.paths.of(file) else {
                continue;
            };
            let bytes = disk::read(path).map_err(|error| {
                self.unreadable(file, &format!("{} cannot be read", path.display()), &error)
            })?;
            all.extend(bytes.map(|bytes| (file, bytes)));
        }
        Ok(all)
    }

    pub(super) fn reading(&self, bytes: &Bytes) -> Reading {
        Reading::of(bytes, &self.settings.beside, false)
    }

    /// What the machine would take up; `None` where there is none.
    pub(super) fn meaning(&self, reading: &Reading) -> Result<Option<Reconfiguration>, DeskError> {
        let Some(running) = &self.settings.running else {
            return Ok(None);
        };
        let meant = (running.meaning)(&reading.files, &reading.settings);
        let config = meant.map_err(|reason| Refusal::Invalid { reason })?;
        Ok(Some(config))
    }

    pub(super) fn values(&self, reading: &Reading) -> Vec<KeyRow> {
        let running = self.settings.running.as_ref();
        running.map_or_else(Vec::new, |it| it.values(&reading.settings))
    }

    pub(super) fn row(&self, file: ConfigFile, bytes: &Bytes, reading: &Reading) -> FileRow {
        let mut row = FileRow::of(file, &self.settings.paths, bytes, &reading.findings);
        let running = self.settings.running.as_ref();
        row.taken_up = running.map(|it| it.has(file, &row.etag));
        row
    }

    pub(super) fn put(
        &self,
        verdict: Verdict,
        present: &Bytes,
        note: &Note,
    ) -> Result<Written, DeskError> {
        let file = verdict.file;
        let path = self.settings.paths.of(file);
        let path = path.ok_or(DeskError::NoFile { file })?;
        let mut written = Written {
            file,
            etag: views::etag(Some(&verdict.after)),
            changed: verdict.changed,
            kept_as: None,
            findings: verdict.reading.findings,
            diff: verdict.diff,
            reloaded: None,
            not_taken_up: None,
        };
        if !verdict.changed {
            return Ok(written);
        }
        let before = present.get(&file).map_or(&[][..], Vec::as_slice);
        let history = self.history(file);
        let failed = |fault: Fault| DeskError::Disk {
            file,
            what: fault.what,
            why: fault.error.to_string(),
        };
        let hand = self.hand.as_ref();
        let kept = history.keep(hand, before, note).map_err(failed)?;
        match disk::replace(hand, path, &verdict.after) {
            Ok(()) => {}
            Err(fault) if fault.replaced => {
                // It is there, and may be the old one again after a loss of power.
                let Fault { what, error, .. } = fault;
                warn!("{file} was changed, and {what}: {error}");
            }
            Err(fault) => {
                history.take_back(hand, kept);
                return Err(failed(fault));
            }
        }
        history.prune(hand);
        written.kept_as = Some(kept);
        let Diff { added, removed, .. } = written.diff;
        let comment = match note.comment.as_str() {
            "" => String::new(),
            comment => format!(": {comment}"),
        };
        info!(
            "{file} was changed by {}: {added} lines more, {removed} lines less; the text before is \
             version {kept}{comment}",
            note.by
        );
        Ok(written)
    }

    pub(super) fn clean(&self) {
        for file in ConfigFile::ALL {
            let Some(path) = self.settings.paths.of(file) else {
                continue;
            };
            let hand = self.hand.as_ref();
            let cleaned = disk::clean(hand, path).and_then(|left| {
                let present = disk::read(path)?;
                self.history(file).clean(hand, present.as_deref())?;
                Ok(left)
            });
            match cleaned {
                Ok(false) => {}
                Ok(true) => warn!(
                    "a change of {file} was broken off by the end of a process: it is as it was"
                ),
                Err(error) => warn!("what an earlier change of {file} may have left: {error}"),
            }
        }
    }
}
