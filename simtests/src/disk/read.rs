//! Reading a disk as a volume: what a process finds there, or what a power cut would leave.

use vaquita_core::dfs::digest::BLOCK;
use vaquita_core::disk::FileName;
use vaquita_core::store::Fill;
use vaquita_core::store::scan::{ReadFault, VolumeRead};

use super::SimDisk;

/// A disk as a process reads it.
#[derive(Debug)]
pub struct Cached<'a>(pub &'a SimDisk);

/// A disk as a loss of power would leave it at worst: what syncs have promised, and nothing else.
#[derive(Debug)]
pub struct Promised<'a>(pub &'a SimDisk);

impl VolumeRead for Cached<'_> {
    fn list(&self) -> Result<Vec<String>, ReadFault> {
        let Self(disk) = self;
        answers(disk)?;
        Ok(disk
            .names
            .iter()
            .map(|(name, _)| name.to_string())
            .collect())
    }

    fn len(&self, file: &FileName) -> Result<u64, ReadFault> {
        answers(self.0)?;
        Ok(self.0.read(file).ok_or_else(missing)?.len() as u64)
    }

    fn read_at(&self, file: &FileName, offset: u64, buf: &mut [u8]) -> Result<usize, ReadFault> {
        answers(self.0)?;
        Ok(copy(self.0.read(file).ok_or_else(missing)?, offset, buf))
    }
}

impl VolumeRead for Promised<'_> {
    fn list(&self) -> Result<Vec<String>, ReadFault> {
        let Self(disk) = self;
        let there = disk.names.iter().map(|(name, _)| name);
        let promised = there.filter(|name| disk.name_promised(name));
        Ok(promised.map(ToString::to_string).collect())
    }

    fn len(&self, file: &FileName) -> Result<u64, ReadFault> {
        Ok(self.0.promised(file).unwrap_or_default().len() as u64)
    }

    fn read_at(&self, file: &FileName, offset: u64, buf: &mut [u8]) -> Result<usize, ReadFault> {
        Ok(copy(self.0.promised(file).unwrap_or_default(), offset, buf))
    }
}

impl SimDisk {
    /// The bytes of a run of blocks, each held against its checksum.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub(crate) fn read_verified(
        &self,
        file: &FileName,
        crcs_at: u64,
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, String> {
        answers(self).map_err(|fault| fault.to_string())?;
        let all = self.read(file).ok_or("No such file or directory")?;
        let part = |from: u64, len: u64| {
            let from = usize::try_from(from).ok()?;
            all.get(from..from.checked_add(usize::try_from(len).ok()?)?)
        };
        let bytes = part(offset, len).ok_or_else(|| format!("{file} is too short"))?;
        for (at, block) in (0_u64..).zip(bytes.chunks(BLOCK)) {
            let crc = part(crcs_at + 4 * at, 4).ok_or_else(|| format!("{file} is too short"))?;
            if crc32fast::hash(block).to_le_bytes() != *crc {
                return Err(format!("block {at} of {file} does not fit its checksum"));
            }
        }
        Ok(bytes.to_vec())
    }

    /// The bytes that a copy takes, checksums first.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub(super) fn copied(&self, fill: &Fill) -> Result<Vec<u8>, String> {
        let Fill::Copy { file, crcs_at, len } = fill else {
            return Err("a stage is no copy".to_owned());
        };
        let table = fill.copied().unwrap_or_default() - len;
        let payload = self.read_verified(file, *crcs_at, crcs_at + table, *len)?;
        let mut bytes = vec![0; usize::try_from(table).unwrap_or(0)];
        copy(self.read(file).unwrap_or_default(), *crcs_at, &mut bytes);
        bytes.extend_from_slice(&payload);
        Ok(bytes)
    }
}

fn copy(from: &[u8], offset: u64, buf: &mut [u8]) -> usize {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let there = from.get(offset..).unwrap_or_default();
    let len = there.len().min(buf.len());
    buf[..len].copy_from_slice(&there[..len]);
    len
}

fn answers(disk: &SimDisk) -> Result<(), ReadFault> {
    if disk.dead {
        return Err(ReadFault("Input/output error (os error 5)".to_owned()));
    }
    Ok(())
}

fn missing() -> ReadFault {
    ReadFault("No such file or directory (os error 2)".to_owned())
}
