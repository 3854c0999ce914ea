//! Plain files: what the machine does without a cluster.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use vaquita_bench::http::Failure;

/// Bytes that are read at once, as from a connection.
const PIECE: usize = 256 * 1024;

/// Directories, each of which gets a copy of every file.
#[derive(Debug)]
pub(super) struct Copies {
    directories: Vec<(PathBuf, File)>,
}

impl Copies {
    /// Makes them.
    pub(super) fn make(below: &Path, count: usize) -> Result<Self, String> {
        let make = |number: usize| {
            let path = below.join(format!("copy{number}"));
            fs::create_dir_all(&path)?;
            let directory = File::open(&path)?;
            Ok((path, directory))
        };
        let directories: io::Result<_> = (0..count.max(1)).map(make).collect();
        let directories = directories.map_err(|error| format!("{}: {error}", below.display()))?;
        Ok(Self { directories })
    }

    /// Writes all copies of a file, one behind the other, each durable with its name.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.write(name, bytes).map_err(failed)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        for (path, directory) in &self.directories {
            let mut file = File::create(path.join(name))?;
            file.write_all(bytes)?;
            file.sync_all()?;
            directory.sync_all()?;
        }
        Ok(())
    }

    /// Reads a copy, which has to be `expected`. `which` chooses among the copies.
    pub(super) fn get(
        &self,
        which: usize,
        name: &str,
        expected: &[u8],
        piece: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        piece.resize(PIECE.min(expected.len()).max(1), 0);
        let (path, _) = &self.directories[which % self.directories.len()];
        let mut file = File::open(path.join(name)).map_err(failed)?;
        let mut at = 0;
        loop {
            let read = file.read(piece).map_err(failed)?;
            if read == 0 {
                break;
            }
            if expected.get(at..at + read) != Some(&piece[..read]) {
                return Err(Failure::WrongBytes);
            }
            at += read;
        }
        match at == expected.len() {
            true => Ok(()),
            false => Err(Failure::WrongBytes),
        }
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::Disk(error.kind().to_string())
}
