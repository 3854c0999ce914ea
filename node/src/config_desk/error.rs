//! Why the desk did not do what it was asked for.

use thiserror::Error;
use vaquita_config::Diagnostic;
use vaquita_core::admin::Refusal;

use super::files::ConfigFile;

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum DeskError {
    /// The controller was started without such a file.
    #[error(
        "this controller was started without a {file}: its settings are on its command line. Start it \
         with `-config FILE` to have some that can be changed here"
    )]
    NoFile {
        /// The file.
        file: ConfigFile,
    },
    /// It was not said which text is to be replaced.
    #[error(
        "say which text of {file} this replaces, with the header `If-Match` and the `ETag` that came \
         with the text: else a change of somebody else would be lost"
    )]
    NoCondition {
        /// The file.
        file: ConfigFile,
    },
    /// Another text is there than the one that was to be replaced.
    #[error(
        "{file} was changed meanwhile: nothing was written. The present text is with this answer; make \
         the change again in it"
    )]
    Stale {
        /// The file.
        file: ConfigFile,
        /// The entity tag of what is there.
        etag: String,
        /// What is there.
        text: String,
    },
    /// An edit cannot be made.
    #[error("edit {nth}: {why}")]
    BadEdit {
        /// Which, from 1.
        nth: usize,
        /// Why not.
        why: String,
    },
    /// The text is longer than any configuration.
    #[error("the text has {bytes} bytes; a configuration file has at most {most}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// Keys that bear on security or identity would change.
    #[error(
        "{} can be changed on the controller's host alone, with an editor: whoever has a browser only \
         could weaken the cluster with it", keys.join(", ")
    )]
    Protected {
        /// The keys.
        keys: Vec<String>,
    },
    /// The text has errors.
    #[error("{file} was not written: {}", wrong(findings))]
    Unacceptable {
        /// The file.
        file: ConfigFile,
        /// What is wrong with it.
        findings: Vec<Diagnostic>,
    },
    /// There is no such version.
    #[error(
        "there is no version {number} of {file}; `vaquita config history {file}` lists those there are"
    )]
    NoVersion {
        /// The file.
        file: ConfigFile,
        /// What was asked for.
        number: u64,
    },
    /// There is no version before the present one.
    #[error("{file} was not changed here yet: there is nothing to undo")]
    NothingToUndo {
        /// The file.
        file: ConfigFile,
    },
    /// The comment is too long, or no line of text.
    #[error("a comment is one line of at most {most} characters")]
    BadComment {
        /// How long it may be.
        most: usize,
    },
    /// A disk did not do its part. The file is as it was.
    #[error("{what}: {why}. {file} is as it was")]
    Disk {
        /// The file.
        file: ConfigFile,
        /// What was tried.
        what: String,
        /// The operating system's words.
        why: String,
    },
    /// Too many changes wait for the disk.
    #[error("too much is being read and written here; try again in a moment")]
    Busy,
    /// The controller itself refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The first of what is wrong, and how much more there is.
fn wrong(findings: &[Diagnostic]) -> String {
    let Some(first) = findings.first() else {
        return "it has errors".to_owned();
    };
    let Diagnostic {
        file,
        line,
        column,
        message,
        help,
        ..
    } = first;
    let more = match findings.len() {
        1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    format!("{file}:{line}:{column}: {message}{more}: {help}")
}
