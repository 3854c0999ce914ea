//! A small state kept in one file that is replaced as a whole.
//!
//! ```text
//! offset  bytes
//!      0      4  magic "VQST"
//!      4      4  version, 1
//!      8      4  length of the payload
//!     12      4  crc32 over version, length and payload
//!     16         payload
//! ```
//!
//! The file is written under a temporary name, synced, renamed and its directory synced; so a crash
//! leaves the old state or the new one. Changes that come while a write is under way are written
//! together once it has returned.

use thiserror::Error;

use crate::disk::{DiskFault, FileName};
use crate::ids::DiskTicket;
use crate::outbox::Outbox;

const MAGIC: &[u8; 4] = b"VQST";
const VERSION: u32 = 1;
const HEADER: usize = 16;

/// Why a state file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{file} is damaged ({reason}); nothing was changed. Restore it from a copy, or move it away to \
     start this node as a new one"
)]
pub struct StateFileError {
    /// The file.
    pub file: FileName,
    /// What is wrong with it.
    pub reason: String,
}

/// The writer of one state file.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    name: FileName,
    /// Checksum of the newest payload, to tell a change from none.
    last: Option<u32>,
    writing: Option<(DiskTicket, u64)>,
    next: Option<Vec<u8>>,
    /// Counts the states asked to be saved.
    wanted: u64,
    /// The newest of them that is on disk.
    durable: u64,
}

impl StateFile {
    pub(crate) const fn new(name: FileName) -> Self {
        Self {
            name,
            last: None,
            writing: None,
            next: None,
            wanted: 0,
            durable: 0,
        }
    }

    /// Has `payload` written; returns the number by which [`StateFile::durable`] tells that it is.
    pub(crate) fn save(&mut self, payload: &[u8], out: &mut Outbox) -> u64 {
        self.last = Some(crc32fast::hash(payload));
        self.wanted += 1;
        self.next = Some(frame(payload));
        self.write_next(out);
        self.wanted
    }

    /// Has `payload` written if it is not what was written last.
    pub(crate) fn save_if_changed(&mut self, payload: &[u8], out: &mut Outbox) {
        if self.last != Some(crc32fast::hash(payload)) {
            self.save(payload, out);
        }
    }

    /// The newest saved state that is on disk.
    pub(crate) const fn durable(&self) -> u64 {
        self.durable
    }

    /// Takes a disk completion. Returns `None` if it is not this file's.
    ///
    /// # Errors
    /// The fault, if the state could not be made durable; what is on disk is then unknown.
    pub(crate) fn disk_done(
        &mut self,
        ticket: DiskTicket,
        result: &Result<(), DiskFault>,
        out: &mut Outbox,
    ) -> Option<Result<(), DiskFault>> {
        let (_, version) = self.writing.take_if(|(writing, _)| *writing == ticket)?;
        if let Err(fault) = result {
            return Some(Err(fault.clone()));
        }
        self.durable = version;
        self.write_next(out);
        Some(Ok(()))
    }

    fn write_next(&mut self, out: &mut Outbox) {
        if self.writing.is_none()
            && let Some(bytes) = self.next.take()
        {
            let ticket = out.replace_file(&self.name, bytes);
            self.writing = Some((ticket, self.wanted));
        }
    }
}

/// The bytes of a state file with this payload.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a state file is far below 4 GiB");
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&checksum(len, payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn checksum(len: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&VERSION.to_le_bytes());
    hasher.update(&len.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The payload of a state file that was found on disk.
///
/// # Errors
/// If the file is not whole: unlike a log it has no tail that may be torn, so this is damage.
pub fn read_state_file<'a>(file: &FileName, bytes: &'a [u8]) -> Result<&'a [u8], StateFileError> {
    let damaged = |reason: &str| StateFileError {
        file: file.clone(),
        reason: reason.to_owned(),
    };
    let word = |at: usize| {
        let bytes = bytes
            .get(at..at + 4)
            .and_then(|slice| slice.try_into().ok());
        bytes.map(u32::from_le_bytes)
    };
    if bytes.get(..4) != Some(MAGIC.as_slice()) {
        return Err(damaged("it does not begin as a state file does"));
    }
    if word(4) != Some(VERSION) {
        return Err(damaged("it was written by another version"));
    }
    let (Some(len), Some(crc)) = (word(8), word(12)) else {
        return Err(damaged("it ends within its header"));
    };
    let payload = &bytes[HEADER..];
    if payload.len() != len as usize {
        return Err(damaged("its length is not the one it names"));
    }
    if checksum(len, payload) != crc {
        return Err(damaged("its checksum does not match"));
    }
    Ok(payload)
}
