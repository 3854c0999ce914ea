//! Files of whole chunks, that nobody changes.

use vaquita_bench::cluster::Access;
use vaquita_bench::content::Content;
use vaquita_bench::http::{Client, Failure};
use vaquita_bench::stop::Stop;

use super::{DIRECTORY, LARGE};

/// Files that are there before the first step, and nobody changes.
#[derive(Debug)]
pub(crate) struct Large {
    count: u64,
    content: Option<Content>,
}

impl Large {
    pub(crate) fn new(count: u64) -> Self {
        let content = (count > 0).then(|| Content::new(LARGE));
        Self { count, content }
    }

    pub(crate) fn put(
        &self,
        access: &Access,
        entries: &[String],
        stop: &Stop,
    ) -> Result<(), String> {
        self.each(entries, access, stop, |client, path, bytes| {
            client.put(path, bytes)
        })
    }

    /// Reads them through whatever nodes there are now.
    pub(crate) fn verify(&self, access: &Access, stop: &Stop) -> Result<(), String> {
        let entries = access.data_nodes(stop)?;
        self.each(&entries, access, stop, |client, path, bytes| {
            client.get(path, bytes)
        })?;
        if self.count > 0 {
            println!("{} files of 64 MiB were read and are equal", self.count);
        }
        Ok(())
    }

    fn each(
        &self,
        entries: &[String],
        access: &Access,
        stop: &Stop,
        what: impl Fn(&mut Client, &str, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), String> {
        let Some(content) = &self.content else {
            return Ok(());
        };
        for number in 0..self.count {
            let entry = &entries[usize::try_from(number).unwrap_or_default() % entries.len()];
            let mut client = Client::new(entry, Some(&access.token), stop)?;
            let path = format!("{DIRECTORY}/large{number}");
            what(&mut client, &path, content.of(number << 8 | 0xff, LARGE))
                .map_err(|failure| format!("dfs://{path}: {failure}"))?;
        }
        Ok(())
    }
}
