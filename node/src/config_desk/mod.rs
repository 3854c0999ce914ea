//! The controller's files, read and changed over the API: `controller.cfg`, `cluster.nodes` and
//! `cluster.cfg`, where the process was started with them.
//!
//! The files are the truth: the desk reads them anew for each question, so that an editor on the host and a
//! browser are two ways to the same text. A change is refused unless it says which text it replaces, is
//! checked beside the other files as a start would check them, and takes the place of the old text at one
//! stroke. The last texts are kept, with who changed them, and can be brought back in the same way.
//!
//! | what | where |
//! |---|---|
//! | which files, and what they say together | `files` |
//! | what a change makes of a text | `change` |
//! | whether it may | `judge` |
//! | how it gets to the disk | `disk` |
//! | the texts before | `history` |
//! | what is told | `views` |
//!
//! All work on the disk is done where it may block ([`Effort::Config`]).

mod change;
mod diff;
mod disk;
mod error;
mod files;
mod history;
mod judge;
#[cfg(test)]
mod tests;
mod views;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell, oneshot};
use tracing::{info, warn};

pub use change::{Change, EDITS_MAX, Edit};
pub use diff::Diff;
pub use error::DeskError;
pub use files::{Beside, ConfigFile, DeskPaths};
pub use history::VERSIONS_MAX;
pub use views::{
    Checked, FileRow, HistoryShown, LineMeaning, LineRow, Overview, Rules, Shown, VersionRow,
    Written,
};

use crate::env::{Effort, Env};
use disk::{Fault, Hand, OsHand};
use files::{Bytes, Reading};
use history::{History, Note};
use judge::Verdict;

/// Characters of a comment.
pub const COMMENT_MAX: usize = 500;

/// What a desk is set up with.
#[derive(Clone, Debug)]
pub struct DeskSettings {
    /// The files.
    pub paths: DeskPaths,
    /// What counts beside them.
    pub beside: Beside,
    /// The folder of the texts before.
    pub history: PathBuf,
}

/// Whoever changes a file, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The user.
    pub by: String,
    /// What for: one line, or nothing.
    pub comment: String,
}

/// Which text somebody means to replace: entity tags, as `If-Match` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition(pub Vec<String>);

/// The controller's files. Cloning gives another handle on the same.
#[derive(Clone)]
pub struct ConfigDesk(Arc<Inner>);

struct Inner {
    settings: DeskSettings,
    hand: Box<dyn Hand>,
    outside: Box<dyn Outside>,
    /// Whether it was looked at what an earlier process left. Not before the first question: by then this
    /// process has the lock on its home, and is the only one to write here.
    cleaned: OnceCell<()>,
    /// One change at a time: what it was judged by is what it replaces.
    writing: Mutex<()>,
}

impl fmt::Debug for ConfigDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigDesk")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// What the desk needs of the [`Env`], whichever that is.
trait Outside: Send + Sync + 'static {
    fn unix_ms(&self) -> u64;
    /// Resolves to whether the work was done.
    fn run(&self, work: Work) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

struct Through<E>(E);

impl<E: Env> Outside for Through<E> {
    fn unix_ms(&self) -> u64 {
        self.0.unix_ms()
    }

    fn run(&self, work: Work) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move { self.0.compute(Effort::Config, work).await.is_some() })
    }
}

impl ConfigDesk {
    /// A desk with these files. Before the first question it removes what an earlier process left that ended
    /// in the middle of a change.
    pub fn new<E: Env>(env: E, settings: DeskSettings) -> Self {
        Self::with_hand(env, settings, Box::new(OsHand))
    }

    fn with_hand<E: Env>(env: E, settings: DeskSettings, hand: Box<dyn Hand>) -> Self {
        Self(Arc::new(Inner {
            settings,
            hand,
            outside: Box::new(Through(env)),
            cleaned: OnceCell::new(),
            writing: Mutex::new(()),
        }))
    }

    /// Has something done with the files where it may block.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, DeskError> {
        let cleaned = self.0.cleaned.get_or_try_init(|| self.queue(Inner::clean));
        cleaned.await?;
        self.queue(work).await
    }

    async fn queue<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, DeskError> {
        let (done, outcome) = oneshot::channel();
        let inner = Arc::clone(&self.0);
        let work = Box::new(move || {
            // Whoever asked may be gone.
            let _ = done.send(work(&inner));
        });
        if !self.0.outside.run(work).await {
            return Err(DeskError::Busy);
        }
        outcome.await.map_err(|_| DeskError::Busy)
    }

    /// All files, and what is wrong with them.
    ///
    /// # Errors
    /// If one cannot be read.
    pub async fn overview(&self) -> Result<Overview, DeskError> {
        self.work(|inner| {
            let bytes = inner.read_all()?;
            let reading = inner.reading(&bytes);
            let paths = &inner.settings.paths;
            let rows = ConfigFile::ALL.into_iter();
            Ok(Overview {
                files: rows
                    .map(|file| FileRow::of(file, paths, &bytes, &reading.findings))
                    .collect(),
                findings: reading.findings,
            })
        })
        .await?
    }

    /// One file, with its text.
    ///
    /// # Errors
    /// If one cannot be read.
    pub async fn show(&self, file: ConfigFile) -> Result<Shown, DeskError> {
        self.work(move |inner| {
            let bytes = inner.read_all()?;
            let reading = inner.reading(&bytes);
            let row = FileRow::of(file, &inner.settings.paths, &bytes, &reading.findings);
            Ok(Shown::of(row, &bytes, &reading))
        })
        .await?
    }

    /// What would come of a change. A condition, if there is one, is looked at as for a change.
    ///
    /// # Errors
    /// If the change cannot be made at all.
    pub async fn check(
        &self,
        file: ConfigFile,
        change: Change,
        condition: Option<Condition>,
    ) -> Result<Checked, DeskError> {
        self.work(move |inner| {
            let bytes = inner.read_all()?;
            if let Some(condition) = condition {
                condition.met(file, &bytes)?;
            }
            let verdict = Verdict::of(file, &change, &bytes, &inner.settings.beside)?;
            Ok(Checked::of(&verdict, &bytes))
        })
        .await?
    }

    /// Makes a change.
    ///
    /// # Errors
    /// Why nothing was written.
    pub async fn write(
        &self,
        file: ConfigFile,
        change: Change,
        condition: Condition,
        author: Author,
    ) -> Result<Written, DeskError> {
        author.check()?;
        let make = move |_: &Inner| Ok((change, None));
        self.put(file, condition, author, make).await
    }

    /// Brings back a text that a file had: that version, or the newest.
    ///
    /// # Errors
    /// Why nothing was written.
    pub async fn undo(
        &self,
        file: ConfigFile,
        number: Option<u64>,
        condition: Condition,
        author: Author,
    ) -> Result<Written, DeskError> {
        author.check()?;
        self.put(file, condition, author, move |inner| {
            let history = inner.history(file);
            let wrong = |error| inner.unreadable(file, "the history cannot be read", &error);
            let number = match number {
                Some(number) => number,
                None => {
                    (history.newest().map_err(wrong)?).ok_or(DeskError::NothingToUndo { file })?
                }
            };
            let version = history.version(number).map_err(wrong)?;
            let version = version.ok_or(DeskError::NoVersion { file, number })?;
            Ok((Change::Bytes(version.text), Some(number)))
        })
        .await
    }

    async fn put(
        &self,
        file: ConfigFile,
        condition: Condition,
        author: Author,
        change: impl FnOnce(&Inner) -> Result<(Change, Option<u64>), DeskError> + Send + 'static,
    ) -> Result<Written, DeskError> {
        let _turn = self.0.writing.lock().await;
        let unix_ms = self.0.outside.unix_ms();
        let written = self
            .work(move |inner| {
                let present = inner.read_all()?;
                condition.met(file, &present)?;
                let (change, undid) = change(inner)?;
                let verdict = Verdict::of(file, &change, &present, &inner.settings.beside)?;
                verdict.accepted()?;
                let note = Note {
                    by: author.by,
                    unix_ms,
                    comment: author.comment,
                    undid,
                    existed: present.contains_key(&file),
                };
                inner.put(verdict, &present, &note)
            })
            .await??;
        Ok(written)
    }

    /// The texts that a file had.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn history(&self, file: ConfigFile) -> Result<HistoryShown, DeskError> {
        self.work(move |inner| {
            let bytes = inner.read_all()?;
            let versions = inner
                .history(file)
                .versions()
                .map_err(|error| inner.unreadable(file, "the history cannot be read", &error))?;
            let present = bytes.get(&file).map(Vec::as_slice);
            Ok(HistoryShown::of(file, &versions, present))
        })
        .await?
    }
}

impl Inner {
    fn history(&self, file: ConfigFile) -> History {
        History::at(self.settings.history.join(file.name()))
    }

    fn unreadable(&self, file: ConfigFile, what: &str, error: &std::io::Error) -> DeskError {
        DeskError::Disk {
            file,
            what: what.to_owned(),
            why: error.to_string(),
        }
    }

    fn read_all(&self) -> Result<Bytes, DeskError> {
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

    fn reading(&self, bytes: &Bytes) -> Reading {
        Reading::of(bytes, &self.settings.beside, false)
    }

    fn put(&self, verdict: Verdict, present: &Bytes, note: &Note) -> Result<Written, DeskError> {
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

    fn clean(&self) {
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

impl Condition {
    /// # Errors
    /// If none is made, or another text is there.
    fn met(&self, file: ConfigFile, present: &Bytes) -> Result<(), DeskError> {
        if self.0.is_empty() {
            return Err(DeskError::NoCondition { file });
        }
        let text = present.get(&file).map(Vec::as_slice);
        let etag = views::etag(text);
        if self.0.contains(&etag) {
            return Ok(());
        }
        let text = String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
        Err(DeskError::Stale { file, etag, text })
    }
}

impl Author {
    fn check(&self) -> Result<(), DeskError> {
        let fits = self.comment.chars().count() <= COMMENT_MAX
            && !self.comment.chars().any(char::is_control);
        match fits {
            true => Ok(()),
            false => Err(DeskError::BadComment { most: COMMENT_MAX }),
        }
    }
}
