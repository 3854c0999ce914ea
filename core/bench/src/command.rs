//! What the commands have alike: where they write, which program they measure, and how they end.
#![expect(clippy::print_stderr, reason = "a measurement prints")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tempfile::TempDir;

use crate::stop::Stop;

/// Where a command writes and what it measures.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Where everything is written, and removed again [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The program [default: the one beside this one]
    #[arg(long, value_name = "FILE")]
    vaquita: Option<PathBuf>,
}

impl Place {
    /// The program that is measured: the one that was named, or the one beside this one, as
    /// `cargo build --release` leaves it.
    ///
    /// # Errors
    /// If there is none; the error says how to make one.
    pub fn program(&self) -> Result<PathBuf, String> {
        if let Some(path) = &self.vaquita {
            return Ok(path.clone());
        }
        let own = std::env::current_exe()
            .map_err(|error| format!("the path of this program is not known: {error}"))?;
        let beside = own.with_file_name("vaquita");
        if beside.is_file() {
            return Ok(beside);
        }
        Err(format!(
            "there is no {}: build it with `cargo build --release`, or name another with --vaquita",
            beside.display()
        ))
    }

    /// A directory that is removed with this value. Says so where it is kept in memory.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn room(&self, prefix: &str) -> Result<TempDir, String> {
        let base = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        let room = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(&base)
            .map_err(|error| format!("{}: {error}", base.display()))?;
        if is_in_memory(room.path()) {
            eprintln!(
                "warning: {} is kept in memory, where a sync costs nothing; name a directory on a \
                 disk with --dir",
                base.display()
            );
        }
        Ok(room)
    }
}

/// Whether a directory's file system lives in memory.
fn is_in_memory(directory: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    rustix::fs::statfs(directory).is_ok_and(|it| matches!(it.f_type, TMPFS | RAMFS))
}

/// Measures, until somebody wants it to end, and tells what has failed.
pub fn main(measure: impl FnOnce(&Stop) -> Result<(), String>) -> ExitCode {
    match Stop::by_signals().and_then(|stop| measure(&stop)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
