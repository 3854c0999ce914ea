//! The file that lines are appended to, with its rotation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::{LogSettings, format, names};

/// An open log file.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    max_bytes: u64,
    retention: Option<Duration>,
    zone: TimeZone,
    file: File,
    len: u64,
    /// When it was last looked for files that are too old.
    last_cleaning: i64,
    /// When putting the file aside failed last.
    rotation_failed: Option<i64>,
}

/// How often it is looked for files that are too old, beside each rotation.
const CLEANING_PERIOD_MICROS: i64 = 3600 * 1_000_000;
/// How long a file that could not be put aside is left as it is.
const ROTATION_RETRY_MICROS: i64 = 60 * 1_000_000;

impl Appender {
    /// Opens the file, creating it and its folder if need be, and removes what is too old.
    pub(super) fn open(settings: &LogSettings, zone: TimeZone, now: i64) -> io::Result<Self> {
        let (folder, _) = names::split(&settings.file);
        if !folder.is_dir() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let (file, len) = open(&settings.file)?;
        let mut appender = Self {
            path: settings.file.clone(),
            // Every line must fit into some file.
            max_bytes: settings.max_bytes.max(64 * 1024),
            retention: settings.retention,
            zone,
            file,
            len,
            last_cleaning: now,
            rotation_failed: None,
        };
        appender.remove_old(now);
        Ok(appender)
    }

    /// Appends whole lines. `now` is the date in microseconds since 1970.
    pub(super) fn append(&mut self, lines: &[u8], now: i64) -> io::Result<()> {
        let added = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let full = self.len > 0 && self.len.saturating_add(added) > self.max_bytes;
        let retry = self
            .rotation_failed
            .is_none_or(|failed| (now - failed).abs() >= ROTATION_RETRY_MICROS);
        if full && retry {
            // A log that cannot be rotated grows on: better too long than with a hole.
            self.rotation_failed = self.rotate(now).is_err().then_some(now);
        } else if (now - self.last_cleaning).abs() >= CLEANING_PERIOD_MICROS {
            self.remove_old(now);
        }
        let written = self.file.write_all(lines);
        // What part of it was written is not known after an error.
        self.len = match written {
            Ok(()) => self.len.saturating_add(added),
            Err(_) => self.file.metadata()?.len(),
        };
        written
    }

    /// Opens the file again if the name has come to mean another one, or none: somebody removed or
    /// moved it, or the write to it failed.
    pub(super) fn reopen_if_replaced(&mut self) -> io::Result<()> {
        let mine = self.file.metadata()?;
        let same = fs::symlink_metadata(&self.path)
            .is_ok_and(|named| (named.dev(), named.ino()) == (mine.dev(), mine.ino()));
        if same { Ok(()) } else { self.reopen() }
    }

    /// Opens the file again.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.len) = open(&self.path)?;
        Ok(())
    }

    /// Puts the file aside and begins a new one.
    fn rotate(&mut self, now: i64) -> io::Result<()> {
        let rotated = names::rotated(&self.path)?;
        let local = format::local(now, &self.zone);
        let aside = names::next(&self.path, local, rotated.first());
        fs::rename(&self.path, aside)?;
        self.reopen()?;
        self.remove_old(now);
        Ok(())
    }

    /// Removes the files that were put aside and are too old. One that cannot be removed is tried
    /// again an hour later.
    fn remove_old(&mut self, now: i64) {
        self.last_cleaning = now;
        let Some(retention) = self.retention else {
            return;
        };
        let oldest = now.saturating_sub(i64::try_from(retention.as_micros()).unwrap_or(i64::MAX));
        for rotated in names::rotated(&self.path).unwrap_or_default() {
            let written = fs::symlink_metadata(&rotated.path)
                .map(|metadata| metadata.mtime().saturating_mul(1_000_000));
            if written.is_ok_and(|written| written < oldest) {
                let _ = fs::remove_file(&rotated.path);
            }
        }
    }
}

/// Opens a log file for appending, for this user alone. A symbolic link is refused: whoever could
/// plant one would choose which file this process appends to.
fn open(path: &std::path::Path) -> io::Result<(File, u64)> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits();
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(i32::from_ne_bytes(no_follow.to_ne_bytes()))
        .open(path)?;
    let len = file.metadata()?.len();
    Ok((file, len))
}
