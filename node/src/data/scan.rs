//! Reading what is on a volume when it is opened.

use std::collections::BTreeMap;

use vaquita_core::disk::FileName;
use vaquita_core::store::scan::{Found, LabelFound, ReadFault, ScanFault, VolumeRead, scan};

use crate::env::ReadFiles;

/// Looks at a volume's files. Called where it may block, once for each time the volume is opened.
pub(super) fn look(files: &dyn ReadFiles) -> Result<(LabelFound, Found), ScanFault> {
    let listing = files.list().map_err(fault)?;
    scan(&Looked {
        files,
        lens: listing.files,
        foreign: listing.foreign,
    })
}

/// A directory as the core's reader sees it.
struct Looked<'a> {
    files: &'a dyn ReadFiles,
    lens: BTreeMap<FileName, u64>,
    foreign: Vec<String>,
}

impl VolumeRead for Looked<'_> {
    fn list(&self) -> Result<Vec<String>, ReadFault> {
        let own = self.lens.keys().map(ToString::to_string);
        Ok(own.chain(self.foreign.iter().cloned()).collect())
    }

    fn len(&self, file: &FileName) -> Result<u64, ReadFault> {
        self.lens
            .get(file)
            .copied()
            .ok_or_else(|| ReadFault(format!("{file} is not there any more")))
    }

    fn read_at(&self, file: &FileName, offset: u64, buf: &mut [u8]) -> Result<usize, ReadFault> {
        let read = self
            .files
            .read_at(file, offset, buf.len())
            .map_err(|error| ReadFault(format!("{file}: {error}")))?;
        let len = read.len().min(buf.len());
        buf[..len].copy_from_slice(&read[..len]);
        Ok(len)
    }
}

fn fault(error: std::io::Error) -> ReadFault {
    ReadFault(error.to_string())
}
