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
//! | what runs, and what waits for a restart | `taken` |
//! | the work on the disk | `inner` |
//! | what is told | `views` |
//!
//! All work on the disk is done where it may block ([`Effort::Config`](crate::env::Effort::Config)).

mod change;
mod diff;
mod disk;
mod error;
mod files;
mod history;
mod inner;
mod judge;
mod taken;
#[cfg(test)]
mod tests;
mod views;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell, oneshot};
use tracing::warn;
use vaquita_core::admin::{Caller, ReconfiguredRow, Refusal, Response, Verb};
use vaquita_core::controller::Reconfiguration;

pub use change::{Change, EDITS_MAX, Edit};
pub use diff::Diff;
pub use error::DeskError;
pub use files::{Beside, ConfigFile, DeskPaths};
pub use history::VERSIONS_MAX;
pub use taken::{KeyRow, Meaning, NodeConfigRow, NodeStanding, Running};
pub use views::{
    Checked, FileRow, HistoryShown, LineMeaning, LineRow, Overview, Reloaded, Rules, Shown,
    VersionRow, Written,
};

use crate::env::Env;
use disk::{Hand, OsHand};
use files::Bytes;
use history::Note;
use inner::{Inner, Through};
use judge::Verdict;

/// What a key needs that counts once the controller takes up its files.
const RELOAD: &str = vaquita_config::keys::Change::Nothing.description();
/// Characters of a comment.
pub const COMMENT_MAX: usize = 500;

/// What a desk is set up with.
#[derive(Debug)]
pub struct DeskSettings {
    /// The files.
    pub paths: DeskPaths,
    /// What counts beside them.
    pub beside: Beside,
    /// The folder of the texts before.
    pub history: PathBuf,
    /// The controller that runs by the files; `None` where there are the files alone.
    pub running: Option<Running>,
}

/// Whoever changes a file, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Author {
    /// The user.
    pub by: String,
    /// What for: one line, or nothing.
    pub comment: String,
    /// As whom the machine is asked.
    pub caller: Caller,
}

/// Which text somebody means to replace: entity tags, as `If-Match` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition(pub Vec<String>);

/// The controller's files. Cloning gives another handle on the same.
#[derive(Clone)]
pub struct ConfigDesk(Arc<Inner>);

impl fmt::Debug for ConfigDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigDesk")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
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

    /// All files, what is wrong with them, and what of them waits for a restart of something.
    ///
    /// # Errors
    /// If one cannot be read, or the machine does not tell.
    pub async fn overview(&self, caller: &Caller) -> Result<Overview, DeskError> {
        let nodes = self.standings(caller).await?;
        self.work(|inner| {
            let bytes = inner.read_all()?;
            let reading = inner.reading(&bytes);
            let values = inner.values(&reading);
            Ok(Overview {
                files: (ConfigFile::ALL.into_iter())
                    .map(|file| inner.row(file, &bytes, &reading))
                    .collect(),
                findings: reading.findings,
                pending: values.into_iter().filter(|row| row.pending).collect(),
                nodes,
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
            let row = inner.row(file, &bytes, &reading);
            let keys = match file {
                ConfigFile::Controller => inner.values(&reading),
                _ => Vec::new(),
            };
            Ok(Shown::of(row, &bytes, &reading, keys))
        })
        .await?
    }

    /// The names by which browsers may reach a data node: its `publicName`, as the files say.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn public_names(&self, alias: String) -> Result<Vec<String>, DeskError> {
        self.work(move |inner| {
            let bytes = inner.read_all()?;
            let reading = inner.reading(&bytes);
            let resolved = vaquita_config::resolve_node(&alias, &reading.files, &[], None);
            let names = resolved.as_ref().ok().and_then(|it| it.hosts("publicName"));
            // One with a port says what the manager is reached by, and not the node.
            let is_name =
                |name: &&String| !name.contains(':') || name.parse::<std::net::Ipv6Addr>().is_ok();
            Ok(names
                .unwrap_or_default()
                .iter()
                .filter(is_name)
                .cloned()
                .collect())
        })
        .await?
    }

    /// One file as it would be with this text.
    ///
    /// # Errors
    /// If one cannot be read.
    pub async fn show_draft(&self, file: ConfigFile, text: String) -> Result<Shown, DeskError> {
        self.work(move |inner| {
            let mut bytes = inner.read_all()?;
            let row = inner.row(file, &bytes, &inner.reading(&bytes));
            bytes.insert(file, text.into_bytes());
            let reading = inner.reading(&bytes);
            let keys = match file {
                ConfigFile::Controller => inner.values(&reading),
                _ => Vec::new(),
            };
            Ok(Shown::of(row, &bytes, &reading, keys))
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
        let Author {
            by,
            comment,
            caller,
        } = author;
        let met = condition.clone();
        let judged = self.work(move |inner| {
            let present = inner.read_all()?;
            met.met(file, &present)?;
            let (change, undid) = change(inner)?;
            let verdict = Verdict::of(file, &change, &present, &inner.settings.beside)?;
            verdict.accepted()?;
            let note = Note {
                by,
                unix_ms,
                comment,
                undid,
                existed: present.contains_key(&file),
                wrote: Some(views::etag(Some(&verdict.after))),
            };
            // Errors that other files had before keep a reload from happening, not a change of this one.
            let usable = verdict.reading.first_errors().is_empty();
            let config = usable
                .then(|| inner.meaning(&verdict.reading))
                .transpose()?;
            Ok::<_, DeskError>((verdict, note, config.flatten()))
        });
        let (verdict, note, config) = judged.await??;
        let mut told = None;
        if verdict.changed
            && let Some(config) = config
        {
            // The machine has the last word on what may go: nothing is written that it would refuse.
            self.ask_machine(&caller, config, true).await?;
        }
        let mut written = self
            .work(move |inner| {
                // An editor on the host may have been faster than the machine.
                let present = inner.read_all()?;
                condition.met(file, &present)?;
                inner.put(verdict, &present, &note)
            })
            .await??;
        if written.changed && self.0.settings.running.is_some() {
            told = Some(self.take_up(&caller).await);
        }
        match told {
            Some(Ok(reloaded)) => written.reloaded = Some(reloaded),
            Some(Err(error)) => {
                let text = error.to_string();
                warn!("{file} was changed and not taken up: {text}");
                written.not_taken_up = Some(text);
            }
            None => {}
        }
        Ok(written)
    }

    /// Has the controller take up what its files say.
    ///
    /// # Errors
    /// Why it did not; then it goes on as before.
    pub async fn reload(&self, caller: Caller) -> Result<Reloaded, DeskError> {
        let _turn = self.0.writing.lock().await;
        self.take_up(&caller).await
    }

    async fn take_up(&self, caller: &Caller) -> Result<Reloaded, DeskError> {
        let read = self.work(|inner| {
            let bytes = inner.read_all()?;
            let reading = inner.reading(&bytes);
            let findings = reading.first_errors();
            if let Some(first) = findings.first() {
                let file = ConfigFile::named(&first.file).unwrap_or(ConfigFile::Controller);
                return Err(DeskError::Unacceptable { file, findings });
            }
            let config = inner.meaning(&reading)?;
            Ok((bytes, reading, config))
        });
        let (bytes, reading, config) = read.await??;
        let (Some(running), Some(config)) = (&self.0.settings.running, config) else {
            return Err(Refusal::Unavailable {
                reason: "no controller runs by these files".to_owned(),
            }
            .into());
        };
        let taken_up = self.ask_machine(caller, config, false).await?;
        let pending = running.values(&reading.settings);
        running.took(&bytes, reading.settings);
        Ok(Reloaded {
            taken_up,
            pending: (pending.into_iter())
                .filter(|row| row.pending && row.needs != RELOAD)
                .collect(),
        })
    }

    async fn ask_machine(
        &self,
        caller: &Caller,
        config: Reconfiguration,
        dry_run: bool,
    ) -> Result<Vec<ReconfiguredRow>, DeskError> {
        let Some(running) = &self.0.settings.running else {
            return Ok(Vec::new());
        };
        let config = Box::new(config);
        let verb = Verb::Reconfigure { config, dry_run };
        match running.ask(caller.clone(), verb).await? {
            Response::Reconfigured(rows) => Ok(rows),
            other => Err(bewildered(&other)),
        }
    }

    /// How the data nodes of the files stand; empty where no controller runs by them.
    async fn standings(&self, caller: &Caller) -> Result<Vec<NodeConfigRow>, DeskError> {
        let Some(running) = &self.0.settings.running else {
            return Ok(Vec::new());
        };
        let told = match running
            .ask(caller.clone(), Verb::ListConfigurations)
            .await?
        {
            Response::Configurations(rows) => rows,
            other => return Err(bewildered(&other)),
        };
        self.work(move |inner| {
            let reading = inner.reading(&inner.read_all()?);
            let config = inner.meaning(&reading).ok().flatten();
            let members = config.map(|config| config.members).unwrap_or_default();
            Ok(taken::standings(&members, &told))
        })
        .await?
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

/// The machine answered something else than was asked.
fn bewildered(_: &Response) -> DeskError {
    let reason =
        "the controller answered with something that was not asked for; this is a bug, please \
                  report it"
            .to_owned();
    Refusal::Unavailable { reason }.into()
}
