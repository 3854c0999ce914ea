//! The texts that a file had before it was changed here: the last few, each with who changed it.
//!
//! A version is the file `<number>` in a folder of its own for each file, and `<number>.json` beside it
//! with what is known of the change that ended it. The latter comes first: a version is there if its text is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vaquita_core::dfs::digest::Digest;

use super::disk::{self, Fault, Hand};

/// The folders that the history makes: one of all files, and one of each.
const OWN_FOLDERS: usize = 2;
/// Versions kept of each file.
pub const VERSIONS_MAX: usize = 10;

/// A change that was made here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Who made it.
    pub(super) by: String,
    /// When, in milliseconds since 1970.
    pub(super) unix_ms: u64,
    /// What for, in the words of who made it.
    pub(super) comment: String,
    /// The version that was brought back, if it was an undoing.
    pub(super) undid: Option<u64>,
    /// Whether there was a file before.
    pub(super) existed: bool,
    /// The entity tag of the text that the change wrote; `None` in notes of an earlier version.
    #[serde(default)]
    pub(super) wrote: Option<String>,
}

/// A text that a file had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) number: u64,
    /// `None` where the note was lost.
    pub(super) note: Option<Note>,
    pub(super) text: Vec<u8>,
}

impl Version {
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.text)
    }

    /// Whether the text that came next, the present one or that of the next version, is another one
    /// than the change wrote: somebody has changed the file on the host since.
    pub(super) fn was_changed_on_host(&self, next: &str) -> bool {
        let wrote = self.note.as_ref().and_then(|note| note.wrote.as_deref());
        wrote.is_some_and(|wrote| wrote != next)
    }
}

/// The history of one file.
#[derive(Clone, Debug)]
pub(super) struct History {
    folder: PathBuf,
}

impl History {
    pub(super) const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The versions, oldest first.
    pub(super) fn versions(&self) -> io::Result<Vec<Version>> {
        let mut versions = Vec::new();
        for number in self.numbers()? {
            // Gone since it was listed: it was the oldest.
            let Some(text) = disk::read(&self.text(number))? else {
                continue;
            };
            versions.push(Version {
                number,
                note: self.note(number),
                text,
            });
        }
        Ok(versions)
    }

    pub(super) fn version(&self, number: u64) -> io::Result<Option<Version>> {
        let text = disk::read(&self.text(number))?;
        Ok(text.map(|text| Version {
            number,
            note: self.note(number),
            text,
        }))
    }

    pub(super) fn newest(&self) -> io::Result<Option<u64>> {
        Ok(self.numbers()?.last().copied())
    }

    /// Keeps a text that is about to be replaced. Returns its number.
    pub(super) fn keep(&self, hand: &dyn Hand, text: &[u8], note: &Note) -> Result<u64, Fault> {
        let fault = |what: &'static str| {
            move |error| Fault {
                what: format!("{} cannot be {what}", self.folder.display()),
                error,
                replaced: false,
            }
        };
        let newest = self.newest().map_err(fault("listed"))?;
        if newest.is_none() {
            make_folder(hand, &self.folder).map_err(fault("made"))?;
        }
        let number = newest.unwrap_or(0) + 1;
        let written = serde_json::to_vec(note).map_err(io::Error::other);
        let written = written.map_err(fault("written to"))?;
        disk::replace(hand, &self.json(number), &written)?;
        disk::replace(hand, &self.text(number), text)?;
        Ok(number)
    }

    /// Takes back what was kept for a change that was not made.
    pub(super) fn take_back(&self, hand: &dyn Hand, number: u64) {
        let _ = hand.remove(&self.text(number));
        let _ = hand.remove(&self.json(number));
    }

    /// Removes what is too old. What cannot be removed is tried again after the next change.
    pub(super) fn prune(&self, hand: &dyn Hand) {
        let numbers = self.numbers().unwrap_or_default();
        let surplus = numbers.len().saturating_sub(VERSIONS_MAX);
        for number in &numbers[..surplus] {
            self.take_back(hand, *number);
        }
    }

    /// Removes what an end in the middle of a change has left: files that were to take a place, notes
    /// without a text, and a version that is what the file still is, since the change was never made.
    pub(super) fn clean(&self, hand: &dyn Hand, present: Option<&[u8]>) -> io::Result<()> {
        let names = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in names {
            let path = entry?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let alone = name
                .strip_suffix(".json")
                .and_then(parsed)
                .is_some_and(|number| !self.text(number).exists());
            if disk::is_new_name(&name) || alone {
                hand.remove(&path)?;
            }
        }
        if let Some(number) = self.newest()?
            && let Some(version) = self.version(number)?
        {
            let existed = version.note.as_ref().is_none_or(|note| note.existed);
            let kept = existed.then_some(version.text.as_slice());
            if kept == present {
                self.take_back(hand, number);
            }
        }
        self.prune(hand);
        Ok(())
    }

    /// The numbers there are, smallest first. What else lies there is left alone.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            numbers.extend(entry?.file_name().to_str().and_then(parsed));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn note(&self, number: u64) -> Option<Note> {
        let bytes = disk::read(&self.json(number)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    fn text(&self, number: u64) -> PathBuf {
        self.folder.join(number.to_string())
    }

    fn json(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}.json"))
    }
}

/// Makes a folder, and those above it that are not there, and has the disk keep the name of each in the
/// one above it: what is synced in a folder is lost with the folder.
fn make_folder(hand: &dyn Hand, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let missing = folder.ancestors().take_while(|it| !it.exists()).count();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // An earlier process may have ended between making the folders of the history and syncing them.
    let above = folder.ancestors().skip(1).take(missing.max(OWN_FOLDERS));
    for parent in above {
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        hand.sync_directory(parent)?;
    }
    Ok(())
}

/// A number as it is written here, and in no other way.
fn parsed(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    (number.to_string() == name).then_some(number)
}
