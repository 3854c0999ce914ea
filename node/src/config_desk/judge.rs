//! Whether a text may take the place of another.

use std::collections::BTreeSet;

use vaquita_config::codes::Code;
use vaquita_config::{Diagnostic, KeyValueFile, Parsed, keys};

use super::change::Change;
use super::diff::Diff;
use super::error::DeskError;
use super::files::{Beside, Bytes, ConfigFile, Reading};

/// What would come of a change.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) file: ConfigFile,
    /// What they would say.
    pub(super) reading: Reading,
    /// The new text.
    pub(super) after: Vec<u8>,
    /// Whether it is another one.
    pub(super) changed: bool,
    /// Findings for which it is not accepted.
    pub(super) blocking: Vec<Diagnostic>,
    /// Keys it must not change, and does.
    pub(super) protected: Vec<String>,
    pub(super) diff: Diff,
}

impl Verdict {
    /// What a change would make of the files.
    ///
    /// # Errors
    /// If the change cannot be made at all.
    pub(super) fn of(
        file: ConfigFile,
        change: &Change,
        present: &Bytes,
        beside: &Beside,
    ) -> Result<Self, DeskError> {
        let before = present.get(&file).map_or(&[][..], Vec::as_slice);
        let after = change.make(file, before)?;
        let mut bytes = present.clone();
        bytes.insert(file, after.clone());
        let was = Reading::of(present, beside, true);
        let strict = Reading::of(&bytes, beside, true);
        let reading = Reading::of(&bytes, beside, false);
        Ok(Self {
            file,
            changed: before != after.as_slice() || !present.contains_key(&file),
            blocking: blocking(file, &was.findings, strict.findings),
            protected: protected(&was, &reading, file),
            diff: Diff::of(file.name(), before, &after),
            reading,
            after,
        })
    }

    /// # Errors
    /// Why the change is not made.
    pub(super) fn accepted(&self) -> Result<(), DeskError> {
        if !self.protected.is_empty() {
            return Err(DeskError::Protected {
                keys: self.protected.clone(),
            });
        }
        if !self.blocking.is_empty() {
            return Err(DeskError::Unacceptable {
                file: self.file,
                findings: self.blocking.clone(),
            });
        }
        Ok(())
    }
}

/// Errors of the file, and those that it makes in others. A key that nobody knows is one too if the change
/// puts it in: in a file that is there already it may be somebody's memory of another program.
fn blocking(file: ConfigFile, was: &[Diagnostic], now: Vec<Diagnostic>) -> Vec<Diagnostic> {
    fn about(it: &Diagnostic) -> (&str, &str, &str) {
        (it.code, &it.file, &it.text)
    }
    let known: BTreeSet<_> = was.iter().map(about).collect();
    let mut blocking = now;
    blocking.retain(|it| {
        let new = !known.contains(&about(it));
        let only_strictly = Code::named(it.code).is_some_and(|code| code.strict);
        it.is_error() && (new || (it.file == file.name() && !only_strictly))
    });
    blocking
}

/// The protected keys that the files set otherwise than before.
fn protected(was: &Reading, now: &Reading, file: ConfigFile) -> Vec<String> {
    let of = |reading: &Reading| -> Vec<(String, String, String)> {
        let parsed: Option<&Parsed<KeyValueFile>> = match file {
            ConfigFile::Controller => reading.files.controller.as_ref(),
            ConfigFile::Cluster => reading.files.cluster.as_ref(),
            ConfigFile::Nodes => None,
        };
        let entries = parsed
            .into_iter()
            .flat_map(|parsed| parsed.value.effective());
        let entries = entries.filter_map(|entry| {
            let key = entry.key.filter(|key| key.is_protected())?;
            let qualifier = entry.qualifier.as_ref().map(|it| it.text.clone());
            let name = key.name.to_owned();
            Some((name, qualifier.unwrap_or_default(), entry.value.clone()))
        });
        entries.collect()
    };
    let (was, now) = (of(was), of(now));
    let sets = |all: &[(String, String, String)], name: &str| {
        let own = all.iter().filter(|(key, ..)| key == name);
        own.cloned().collect::<Vec<_>>()
    };
    keys::TABLE
        .iter()
        .filter(|key| key.is_protected() && sets(&was, key.name) != sets(&now, key.name))
        .map(|key| key.name.to_owned())
        .collect()
}
