//! Reading a log in pieces, whether its process runs or not.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use vaquita_core::admin::{LogPiece, LogRange};

use super::names;

/// The most that is read at once, whatever is asked for.
const PIECE_MAX: u32 = 256 * 1024;
/// The longest end of a file in which lines are looked for.
const TAIL_BYTES: u32 = 256 * 1024;

/// A log file with the files that were put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    path: PathBuf,
}

/// Why a piece of a log cannot be had.
#[derive(Debug, Error)]
pub enum LogReadError {
    /// The node has never written one, or not so many.
    #[error("{}", missing(path, *generation))]
    Missing {
        /// The log file.
        path: String,
        /// Which was asked for; 0 is the present one.
        generation: u32,
    },
    /// The operating system refused.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The log file.
        path: String,
        /// The operating system's words.
        source: io::Error,
    },
}

fn missing(path: &str, generation: u32) -> String {
    if generation == 0 {
        format!("there is no log file {path}: the node has not been started on this host yet")
    } else {
        format!(
            "{path} has been rotated fewer than {generation} times, or the older files were removed"
        )
    }
}

impl LogFile {
    /// The log at `path`.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// A piece of the present file (generation 0) or of one that was put aside (1 is the newest of
    /// them). At most 256 KiB; a piece beyond the end is empty.
    ///
    /// # Errors
    /// If there is no such file, or it cannot be read.
    pub fn read_piece(&self, generation: u32, range: LogRange) -> Result<LogPiece, LogReadError> {
        let path = self.generation(generation)?;
        read(&path, range).map_err(|source| self.error(source, generation))
    }

    /// The last lines, oldest first, from the file before as well if the present one is short.
    /// Empty if there are none or they cannot be read.
    #[must_use]
    pub fn tail_lines(&self, count: usize) -> Vec<String> {
        let tail = |generation| {
            let range = LogRange::Tail { len: TAIL_BYTES };
            let piece = self.read_piece(generation, range).unwrap_or_default();
            let mut lines = last_lines(&piece.bytes, count + 1);
            let from_the_start = piece.offset == 0;
            // Unless it is the whole file, its first line is the rest of one.
            let skip = lines.len().saturating_sub(count);
            let skip = skip.max(usize::from(!from_the_start && lines.len() <= count));
            lines.drain(..skip.min(lines.len()));
            (lines, from_the_start)
        };
        let (present, complete) = tail(0);
        if present.len() >= count || !complete {
            return present;
        }
        let (mut lines, _) = tail(1);
        lines.drain(..lines.len().saturating_sub(count - present.len()));
        lines.extend(present);
        lines
    }

    /// The file of a generation.
    fn generation(&self, generation: u32) -> Result<PathBuf, LogReadError> {
        let Some(before) = generation.checked_sub(1) else {
            return Ok(self.path.clone());
        };
        let rotated =
            names::rotated(&self.path).map_err(|source| self.error(source, generation))?;
        usize::try_from(before)
            .ok()
            .and_then(|before| rotated.into_iter().nth(before))
            .map(|rotated| rotated.path)
            .ok_or_else(|| self.missing(generation))
    }

    fn missing(&self, generation: u32) -> LogReadError {
        LogReadError::Missing {
            path: self.path.display().to_string(),
            generation,
        }
    }

    fn error(&self, source: io::Error, generation: u32) -> LogReadError {
        if source.kind() == io::ErrorKind::NotFound {
            return self.missing(generation);
        }
        LogReadError::Io {
            path: self.path.display().to_string(),
            source,
        }
    }
}

fn read(path: &Path, range: LogRange) -> io::Result<LogPiece> {
    let mut file = open(path)?;
    let file_len = file.metadata()?.len();
    let (offset, len) = match range {
        LogRange::From { offset, len } => (offset.min(file_len), len.min(PIECE_MAX)),
        LogRange::Tail { len } => {
            let len = len.min(PIECE_MAX);
            (file_len.saturating_sub(u64::from(len)), len)
        }
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    // What was written since the length was taken is for the next piece.
    let rest = file_len - offset;
    file.take(rest.min(u64::from(len)))
        .read_to_end(&mut bytes)?;
    Ok(LogPiece {
        offset,
        file_len,
        bytes,
    })
}

/// Opens a regular file and nothing else: a link could lead anywhere, and a pipe would never end.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::from_ne_bytes(flags.bits().to_ne_bytes()))
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    Ok(file)
}

/// The last lines of a text, oldest first.
#[must_use]
pub fn last_lines(bytes: &[u8], count: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(count);
    lines[first..]
        .iter()
        .map(|line| {
            let mut escaped = String::with_capacity(line.len());
            super::escape(&mut escaped, line);
            escaped
        })
        .collect()
}
