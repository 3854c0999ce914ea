//! Disks that do what they are asked, and keep in a loss of power what was synced and nothing else.

use std::collections::BTreeMap;

use vaquita_core::disk::{DiskOp, FileName};
use vaquita_core::store::scan::{ReadFault, VolumeRead};

use crate::fingerprint::{Fingerprint, Summing};

/// The files of a process's directory, as they are by name.
pub type Files = BTreeMap<FileName, Vec<u8>>;

/// A directory: what a process reads there, and what a loss of power would leave.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: BTreeMap<u64, File>,
    names: BTreeMap<FileName, u64>,
    /// The names that a sync of the directory has covered.
    durable_names: BTreeMap<FileName, u64>,
    created: u64,
}

#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// What a sync of the file has covered.
    durable: Vec<u8>,
}

impl Disk {
    /// Carries an operation out.
    ///
    /// # Errors
    /// If no file system could, in words: a machine that asks for it is wrong.
    pub fn apply(&mut self, op: DiskOp) -> Result<(), String> {
        match op {
            DiskOp::CreateNew { file } => {
                if self.names.contains_key(&file) {
                    return Err(format!("creates {file}, which is there"));
                }
                self.create(file);
            }
            DiskOp::CreateOrEmpty { file } => match self.names.get(&file) {
                Some(it) => self.files.entry(*it).or_default().bytes.clear(),
                None => self.create(file),
            },
            DiskOp::Append {
                file,
                offset,
                bytes,
            } => {
                let content = &mut self.named(&file)?.bytes;
                if content.len() as u64 != offset {
                    let len = content.len();
                    return Err(format!(
                        "appends to {file} at {offset}, which ends at {len}"
                    ));
                }
                content.extend_from_slice(&bytes);
            }
            DiskOp::Truncate { file, len } => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                self.named(&file)?.bytes.truncate(len);
            }
            DiskOp::Reserve { file, len } => {
                if !self.names.contains_key(&file) {
                    self.create(file.clone());
                }
                let len = usize::try_from(len).map_err(|error| error.to_string())?;
                self.named(&file)?.bytes.resize(len, 0);
            }
            DiskOp::Sync { file } => {
                let file = self.named(&file)?;
                file.durable.clone_from(&file.bytes);
            }
            DiskOp::Rename { from, to } => {
                let file = self.names.remove(&from);
                let file = file.ok_or_else(|| format!("renames {from}, which is not there"))?;
                self.names.insert(to, file);
            }
            DiskOp::Remove { file } => {
                self.names.remove(&file);
            }
            DiskOp::SyncDir => self.durable_names.clone_from(&self.names),
        }
        self.forget_the_nameless();
        Ok(())
    }

    fn create(&mut self, file: FileName) {
        self.created += 1;
        self.files.insert(self.created, File::default());
        self.names.insert(file, self.created);
    }

    fn named(&mut self, file: &FileName) -> Result<&mut File, String> {
        let number = self.names.get(file);
        number
            .and_then(|number| self.files.get_mut(number))
            .ok_or_else(|| format!("uses {file}, which is not there"))
    }

    fn forget_the_nameless(&mut self) {
        let Self {
            files,
            names,
            durable_names,
            ..
        } = self;
        let is_named = |it: &u64| {
            names
                .values()
                .chain(durable_names.values())
                .any(|n| n == it)
        };
        files.retain(|number, _| is_named(number));
    }

    /// What is left by a loss of power.
    pub fn lose_power(&mut self) {
        self.names.clone_from(&self.durable_names);
        for file in self.files.values_mut() {
            file.bytes.clone_from(&file.durable);
        }
        self.forget_the_nameless();
    }

    /// The files as a process finds them that starts now.
    #[must_use]
    pub fn files(&self) -> Files {
        let names = self.names.iter();
        names
            .filter_map(|(name, number)| {
                Some((name.clone(), self.files.get(number)?.bytes.clone()))
            })
            .collect()
    }

    /// The disk as a loss of power would leave it now.
    #[must_use]
    pub fn at_worst(&self) -> Self {
        let mut left = self.clone();
        left.lose_power();
        left
    }

    /// Of all that is there, and of what of it is durable.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut sum = Summing::default();
        for names in [&self.names, &self.durable_names] {
            sum.number(names.len() as u64);
            for (name, number) in names {
                sum.add(name.as_str().as_bytes());
                sum.number(*number);
            }
        }
        for (number, file) in &self.files {
            sum.number(*number);
            sum.add(&file.bytes);
            sum.add(&file.durable);
        }
        sum.number(self.created);
        sum.finish()
    }

    fn bytes_of(&self, file: &FileName) -> Result<&[u8], ReadFault> {
        let number = self.names.get(file);
        number
            .and_then(|number| self.files.get(number))
            .map(|file| file.bytes.as_slice())
            .ok_or_else(|| ReadFault(format!("there is no {file}")))
    }
}

impl VolumeRead for Disk {
    fn list(&self) -> Result<Vec<String>, ReadFault> {
        Ok(self.names.keys().map(ToString::to_string).collect())
    }

    fn len(&self, file: &FileName) -> Result<u64, ReadFault> {
        Ok(self.bytes_of(file)?.len() as u64)
    }

    fn read_at(&self, file: &FileName, offset: u64, buf: &mut [u8]) -> Result<usize, ReadFault> {
        let bytes = self.bytes_of(file)?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(at..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}
