//! `vaquita dfs get`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::path::DfsPath;

use super::jobs::{self, Manner};
use super::list::tree;
use super::part::{Part, is_there, unwritable};
use super::{counted, entry_at, path_sent};
use crate::cli::client::{
    Api, Carrier, Entries, EntryView, FileSumming, ServerOption, Sink, Trouble, Wanted, block_on,
};
use crate::cli::commands::status::duration;
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json;
use crate::cli::progress::{Progress, Tally};
use crate::cli::size;
use crate::cli::terminal::{Terminal, harmless};

/// Read files of the cluster
///
/// Bytes are written beside the file and checked against its digest; only then does the file get
/// its name. What came before a failure is kept there, and `--continue` goes on behind it.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita dfs get dfs://data/a.csv
  vaquita dfs get dfs://data/a.csv b.csv
  vaquita dfs get --continue dfs://backup/logs.tar
  vaquita dfs get -r dfs://data copy-of-data --jobs 8
  vaquita dfs get dfs://backup/logs.tar - | tar t")]
pub(super) struct Get {
    #[command(flatten)]
    server: ServerOption,
    /// The file, or with -r the directory
    #[arg(value_name = "DFS_PATH", value_parser = super::path)]
    from: DfsPath,
    /// The directory to write to, or the new name; `-` for standard output
    #[arg(value_name = "LOCAL", default_value = ".")]
    to: PathBuf,
    /// Get a directory with all that is in it
    #[arg(short, long)]
    recursive: bool,
    /// Go on behind what an earlier command has left of the same content
    #[arg(long)]
    r#continue: bool,
    /// Replace local files that are there already
    #[arg(short, long, conflicts_with = "no_clobber")]
    force: bool,
    /// Pass over local files that are there already
    #[arg(long)]
    no_clobber: bool,
    /// How many files at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Print one JSON array, an object a file
    #[arg(long)]
    json: bool,
    /// Tell each file, and each data node that fails
    #[arg(short, long)]
    verbose: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// One file on its way.
struct Job {
    wanted: Wanted,
    chunks: u64,
    to: PathBuf,
    continues: bool,
    /// Whether it may take the place of a local file.
    replaces: bool,
    /// Whether one that has come up meanwhile is passed over.
    passes_over: bool,
}

/// One that has come.
#[derive(Clone, Debug)]
struct Got {
    path: String,
    to: PathBuf,
    len: u64,
    digest: String,
}

impl Get {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            let entry = entry_at(&mut api, &self.from).await?;
            if entry.is_directory() && !self.recursive {
                return Err(Failure::new(
                    Status::Usage,
                    format!("{} is a directory: `-r` gets directories", self.from),
                ));
            }
            if self.to == Path::new("-") {
                return self.to_stdout(&mut api, &entry, terminal).await;
            }
            let (files, directories) = self.plan(&mut api, entry).await?;
            let entries = Entries::find(&mut api).await?;
            for directory in &directories {
                make_directory(directory)?;
            }
            let mut jobs = Vec::new();
            let mut over = 0;
            for job in files {
                if fs::symlink_metadata(&job.to).is_err() || self.force {
                    jobs.push(job);
                } else if self.no_clobber {
                    over += 1;
                } else {
                    return Err(is_there(&job.to));
                }
            }
            let made = directories
                .iter()
                .filter_map(|it| Some(it.parent()?.to_owned()));
            self.carry(jobs, over, made.collect(), entries, terminal)
                .await
        })
    }

    /// What comes where, before anything is written.
    async fn plan(
        &self,
        api: &mut Api,
        entry: EntryView,
    ) -> Result<(Vec<Job>, Vec<PathBuf>), Failure> {
        let inside = self.to.is_dir();
        if !inside
            && self.to.as_os_str().as_encoded_bytes().ends_with(b"/")
            && !entry.is_directory()
        {
            return Err(Failure::new(
                Status::No,
                format!(
                    "there is no directory {} here: make it first",
                    self.to.display()
                ),
            ));
        }
        let top = match (inside, self.from.split_last()) {
            (true, Some((_, name))) => self.to.join(name),
            _ => self.to.clone(),
        };
        if !entry.is_directory() {
            return Ok((vec![self.job(&entry, top)?], Vec::new()));
        }
        let mut files = Vec::new();
        let mut directories = vec![top.clone()];
        for (name, entry) in tree(api, &self.from).await? {
            // Names of the file system are no paths: none is `..`, and none has a slash in it.
            let to = top.join(&name);
            if entry.is_directory() {
                directories.push(to);
            } else {
                files.push(self.job(&entry, to)?);
            }
        }
        Ok((files, directories))
    }

    fn job(&self, entry: &EntryView, to: PathBuf) -> Result<Job, Failure> {
        Ok(Job {
            wanted: wanted(entry)?,
            chunks: entry.count,
            to,
            continues: self.r#continue,
            replaces: self.force,
            passes_over: self.no_clobber,
        })
    }

    async fn carry(
        &self,
        jobs: Vec<Job>,
        mut over: usize,
        mut touched: BTreeSet<PathBuf>,
        entries: Entries,
        terminal: &mut Terminal,
    ) -> Outcome {
        let manner = Manner {
            jobs: usize::from(self.jobs),
            verbose: self.verbose,
        };
        let bytes = jobs.iter().map(|job| job.wanted.len).sum();
        let tally = Arc::new(Tally::default());
        let mut progress = Progress::new(terminal, self.quiet, "get", jobs.len(), Some(bytes));
        let counted_in = tally.clone();
        let work = move |carrier, job| get_one(carrier, job, counted_in.clone());
        let results = jobs::run(jobs, entries, &tally, manner, &mut progress, terminal, work).await;
        let mut done: Vec<Got> = results.done.iter().flatten().cloned().collect();
        over += results.done.len() - done.len();
        done.sort_by(|a, b| a.path.cmp(&b.path));
        touched.extend(
            done.iter()
                .filter_map(|it| Some(it.to.parent()?.to_owned())),
        );
        for directory in &touched {
            sync_directory(directory, terminal);
        }
        self.tell(&done, over, &progress, terminal)?;
        results.failure().map_or(Ok(()), Err)
    }

    fn tell(
        &self,
        done: &[Got],
        over: usize,
        progress: &Progress,
        terminal: &mut Terminal,
    ) -> Outcome {
        if self.json {
            let rows: Vec<_> = done
                .iter()
                .map(|it| {
                    json!({
                        "path": it.path,
                        "local": it.to.display().to_string(),
                        "len": it.len,
                        "digest": it.digest,
                    })
                })
                .collect();
            return json::array(terminal, &rows);
        }
        if self.verbose || (done.len() == 1 && over == 0) {
            for it in done {
                let to = it.to.display().to_string();
                terminal.say(format!("{}  {}", harmless(&to), size::human(it.len)))?;
            }
        }
        if over > 0 || done.len() > 1 {
            let bytes = done.iter().map(|it| it.len).sum();
            let ms = u64::try_from(progress.elapsed().as_millis()).unwrap_or(u64::MAX);
            let passed = match over {
                0 => String::new(),
                over => format!(", {over} that were there already passed over"),
            };
            terminal.say(format!(
                "{}, {} in {}{passed}",
                counted(done.len() as u64, "file", "files"),
                size::human(bytes),
                duration(ms)
            ))?;
        }
        Ok(())
    }

    async fn to_stdout(
        &self,
        api: &mut Api,
        entry: &EntryView,
        terminal: &mut Terminal,
    ) -> Outcome {
        if entry.is_directory() || self.json || self.r#continue {
            return Err(Failure::new(
                Status::Usage,
                "standard output takes one file, from its beginning, and nothing beside it",
            ));
        }
        let wanted = wanted(entry)?;
        let entries = Arc::new(Entries::find(api).await?);
        let tally = Arc::new(Tally::default());
        let mut carrier = Carrier::new(entries, tally.clone(), 0);
        let mut sink = StdoutSink {
            summing: None,
            chunks: entry.count,
        };
        let fetched = carrier.fetch(&wanted, 0, &mut sink).await;
        if self.verbose {
            for note in tally.notes() {
                terminal.note(harmless(&note))?;
            }
        }
        fetched.map_err(|trouble| changed(trouble, &wanted))?;
        let digest = sink.summing.unwrap_or_else(|| FileSumming::new(0)).finish();
        if digest.to_string() == wanted.digest {
            return Ok(());
        }
        Err(Failure::new(
            Status::Damaged,
            format!(
                "{}: what was printed is not what is stored, and must not be used (digest {digest} \
                 in place of {})",
                wanted.path, wanted.digest
            ),
        ))
    }
}

fn wanted(entry: &EntryView) -> Result<Wanted, Failure> {
    let digest = entry
        .digest
        .clone()
        .filter(|text| Digest::parse(text).is_some());
    Ok(Wanted {
        path: path_sent(&entry.path)?,
        len: entry.len,
        digest: digest.ok_or_else(|| {
            Failure::new(
                Status::Bug,
                format!("the server gives no digest of {}", entry.path),
            )
        })?,
    })
}

/// A content that is gone in the middle is told as what it is.
fn changed(trouble: Trouble, wanted: &Wanted) -> Failure {
    match trouble {
        Trouble::There(error) if error.is_precondition() || error.is_not_found() => Failure::new(
            Status::No,
            format!(
                "{} was replaced or removed while it was read: get it once more",
                wanted.path
            ),
        ),
        other => other.into(),
    }
}

/// Makes the names in a directory durable. Where that cannot be, a power cut may take the names and
/// no more.
fn sync_directory(path: &Path, terminal: &mut Terminal) {
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    match synced {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => terminal.warn(&format!(
            "the names in {} may not outlive a power cut: {error}",
            path.display()
        )),
        _ => {}
    }
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| unwritable(path, &error))
}

async fn get_one(
    mut carrier: Carrier,
    job: Job,
    tally: Arc<Tally>,
) -> (Carrier, Result<Option<Got>, Failure>) {
    let result = match get_file(&mut carrier, &job, &tally).await {
        Ok(()) => Ok(Some(Got {
            path: job.wanted.path.to_string(),
            to: job.to,
            len: job.wanted.len,
            digest: job.wanted.digest,
        })),
        Err(failure) if failure.status == Status::Exists && job.passes_over => Ok(None),
        Err(failure) => Err(failure),
    };
    (carrier, result)
}

async fn get_file(carrier: &mut Carrier, job: &Job, tally: &Tally) -> Result<(), Failure> {
    let Job { wanted, to, .. } = job;
    let part = Part::open(to, &wanted.digest, wanted.len, job.continues)?;
    tally.add(part.there);
    let mut sink = FileSink {
        part: &part,
        chunks: job.chunks,
        summing: None,
        written: part.there,
    };
    if let Err(trouble) = carrier.fetch(wanted, part.there, &mut sink).await {
        let mut failure = changed(trouble, wanted);
        if sink.written == 0 || failure.status == Status::No {
            part.discard();
        } else {
            failure.message.push_str(&format!(
                "; {} of it are kept in {}, and the same command with `--continue` goes on behind \
                 them",
                size::human(sink.written),
                part.path.display()
            ));
        }
        return Err(failure);
    }
    let digest = sink.summing.unwrap_or_else(|| FileSumming::new(0)).finish();
    if digest.to_string() != wanted.digest {
        part.discard();
        return Err(Failure::new(
            Status::Damaged,
            format!(
                "{}: what came is not what is stored (digest {digest} in place of {}), and was \
                 thrown away: get it once more",
                wanted.path, wanted.digest
            ),
        ));
    }
    // The syncs of several files are done at once, and hold up none that is on its way.
    let (to, replaces) = (to.clone(), job.replaces);
    #[expect(
        clippy::disallowed_methods,
        reason = "a command of a person, which no simulator runs"
    )]
    let finishing = tokio::task::spawn_blocking(move || part.finish(&to, replaces));
    finishing.await.unwrap_or_else(|error| {
        let words = format!("a part of the command ended in the middle: {error}");
        Err(Failure::new(Status::Bug, words))
    })
}

/// Digests what comes, once it is known how long the chunks are.
fn summing(chunk_bytes: u64, chunks: u64) -> Result<FileSumming, Failure> {
    if chunks > 1 && chunk_bytes == 0 {
        return Err(Failure::new(
            Status::Bug,
            "the data node does not say how long the chunks of the file are, so that what comes \
             cannot be checked",
        ));
    }
    Ok(FileSumming::new(if chunks > 1 { chunk_bytes } else { 0 }))
}

/// Writes to a file that has no name yet.
struct FileSink<'a> {
    part: &'a Part,
    chunks: u64,
    summing: Option<FileSumming>,
    written: u64,
}

impl Sink for FileSink<'_> {
    fn begin(&mut self, chunk_bytes: u64) -> Result<(), Failure> {
        if self.summing.is_some() {
            return Ok(());
        }
        let mut summing = summing(chunk_bytes, self.chunks)?;
        // What an earlier command has got is part of the digest.
        let mut left = self.part.there;
        let mut piece = vec![0; 256 * 1024];
        while left > 0 {
            let most = usize::try_from(left)
                .unwrap_or(piece.len())
                .min(piece.len());
            let read = (&self.part.file)
                .read(&mut piece[..most])
                .map_err(|error| {
                    Failure::new(
                        Status::Disk,
                        format!("{} cannot be read: {error}", self.part.path.display()),
                    )
                })?;
            if read == 0 {
                return Err(Failure::new(
                    Status::Disk,
                    format!("{} was changed by somebody else", self.part.path.display()),
                ));
            }
            summing.update(&piece[..read]);
            left -= read as u64;
        }
        self.summing = Some(summing);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        (&self.part.file)
            .write_all(bytes)
            .map_err(|error| unwritable(&self.part.path, &error))?;
        self.written += bytes.len() as u64;
        if let Some(summing) = &mut self.summing {
            summing.update(bytes);
        }
        Ok(())
    }
}

/// Writes to standard output.
struct StdoutSink {
    summing: Option<FileSumming>,
    chunks: u64,
}

impl Sink for StdoutSink {
    fn begin(&mut self, chunk_bytes: u64) -> Result<(), Failure> {
        if self.summing.is_none() {
            self.summing = Some(summing(chunk_bytes, self.chunks)?);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        if let Some(summing) = &mut self.summing {
            summing.update(bytes);
        }
        Ok(())
    }
}
