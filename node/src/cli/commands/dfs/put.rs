//! `vaquita dfs put`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use vaquita_core::dfs::path::DfsPath;

use super::counted;
use super::jobs::{self, Manner};
use crate::cli::client::{
    Api, Carrier, CommittedView, Condition, Entries, ServerOption, Source, Trouble, block_on,
    new_key,
};
use crate::cli::commands::status::duration;
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json;
use crate::cli::progress::{Progress, Tally};
use crate::cli::size;
use crate::cli::terminal::{Terminal, harmless};

/// Write local files to the cluster
///
/// Into the directory DFS_PATH, if there is one or it ends in `/`; else to that name. A file is
/// there when the command says so: all of it, on as many disks as the configuration asks for.
#[derive(Args, Clone, Debug)]
#[command(
    override_usage = "vaquita dfs put [OPTIONS] <LOCAL>... <DFS_PATH>",
    after_long_help = "\
Examples:
  vaquita dfs put a.csv dfs://data/
  vaquita dfs put a.csv dfs://data/b.csv --force        replaces what is there
  vaquita dfs put -r logs dfs://backup --jobs 8
  vaquita dfs put --parents a.csv dfs://data/2026/11/
  tar c logs | vaquita dfs put - dfs://backup/logs.tar"
)]
pub(super) struct Put {
    #[command(flatten)]
    server: ServerOption,
    // One list: of several arguments, the parser would take a word for the last one if what looks like
    // a flag stands behind it, even behind `--`. And one is enough for the parser, which counts anew behind
    // each flag: `operands` wants two.
    /// The files, `-` for standard input; and last of all DFS_PATH, where to
    #[arg(value_name = "PATH", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,
    /// Put directories too, with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Make missing directories
    #[arg(short, long)]
    parents: bool,
    /// Replace files that are there already
    #[arg(short, long, conflicts_with = "no_clobber")]
    force: bool,
    /// Pass over files that are there already
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
    source: Source,
    to: DfsPath,
    condition: Condition,
    passes_over: bool,
}

/// What is to be done.
#[derive(Default)]
struct Plan {
    directories: Vec<DfsPath>,
    files: Vec<(Source, DfsPath)>,
    /// Bytes of all files, while that is known.
    bytes: Option<u64>,
}

impl Put {
    /// What is to be put, and where to, as it was typed.
    fn operands(&self) -> Result<(&[PathBuf], &str), Failure> {
        let wrong = |message: String| Failure::new(Status::Usage, message);
        let Some((to, locals)) = self.paths.split_last().filter(|(_, it)| !it.is_empty()) else {
            let example = "vaquita dfs put a.csv dfs://data/";
            return Err(wrong(format!(
                "say last of all where to, as in `{example}`"
            )));
        };
        let to = to.to_str().ok_or_else(|| {
            let to = to.display();
            wrong(format!(
                "{to} is not UTF-8, and what stands last says where to: nothing in the cluster can have \
                 such a name"
            ))
        })?;
        Ok((locals, to))
    }

    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let (locals, typed) = self.operands()?;
        let to = DfsPath::parse(typed)
            .map_err(|error| Failure::new(Status::Usage, error.to_string()))?;
        let is_meant_as_directory = typed.ends_with('/') || locals.len() > 1;
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            let plan = self
                .plan(&mut api, locals, &to, is_meant_as_directory, terminal)
                .await?;
            let entries = Entries::find(&mut api).await?;
            for directory in &plan.directories {
                api.make_directory(directory, true, &new_key()).await?;
            }
            self.carry(plan, entries, terminal).await
        })
    }

    /// Looks at everything local before anything is changed.
    async fn plan(
        &self,
        api: &mut Api,
        locals: &[PathBuf],
        to: &DfsPath,
        is_meant_as_directory: bool,
        terminal: &mut Terminal,
    ) -> Result<Plan, Failure> {
        let there = api.stat(to).await?;
        let is_directory = there.as_ref().map(|it| it.is_directory());
        let mut plan = Plan {
            bytes: Some(0),
            ..Plan::default()
        };
        if is_meant_as_directory && is_directory == Some(false) {
            return Err(Failure::new(
                Status::Exists,
                format!("{to} is a file, and a directory is needed there"),
            ));
        }
        let into = is_directory == Some(true) || is_meant_as_directory;
        if into && is_directory.is_none() {
            self.need_directory(to, &mut plan)?;
        }
        for local in locals {
            if local == Path::new("-") {
                if into {
                    return Err(Failure::new(
                        Status::Usage,
                        format!(
                            "standard input has no name: say which file, as in {}",
                            to.join("name")
                                .map_or_else(|_| to.to_string(), |it| it.to_string())
                        ),
                    ));
                }
                self.need_parent(api, to, &mut plan).await?;
                plan.bytes = None;
                plan.files.push((Source::stdin().await?, to.clone()));
                continue;
            }
            let name = name_of(local)?;
            let target = if into { join(to, &name)? } else { to.clone() };
            let metadata = fs::metadata(local).map_err(|error| unreadable(local, &error))?;
            if metadata.is_dir() {
                if !self.recursive {
                    return Err(Failure::new(
                        Status::Usage,
                        format!("{} is a directory: `-r` puts directories", local.display()),
                    ));
                }
                if !into {
                    self.need_parent(api, to, &mut plan).await?;
                }
                plan.directories.push(target.clone());
                plan.walk(local, &target, terminal)?;
                continue;
            }
            if !metadata.is_file() {
                return Err(Failure::new(
                    Status::Usage,
                    format!("{} is no file; `-` reads standard input", local.display()),
                ));
            }
            if !into {
                self.need_parent(api, to, &mut plan).await?;
            }
            plan.file(local, metadata.len(), target);
        }
        Ok(plan)
    }

    fn need_directory(&self, directory: &DfsPath, plan: &mut Plan) -> Result<(), Failure> {
        if !self.parents {
            return Err(Failure::new(
                Status::No,
                format!(
                    "there is no directory {directory}: `--parents` makes it, and so does \
                     `vaquita dfs mkdir {directory}`"
                ),
            ));
        }
        plan.directories.push(directory.clone());
        Ok(())
    }

    async fn need_parent(
        &self,
        api: &mut Api,
        path: &DfsPath,
        plan: &mut Plan,
    ) -> Result<(), Failure> {
        let Some((parent, _)) = path.split_last() else {
            return Ok(());
        };
        if parent.is_root() || api.stat(&parent).await?.is_some() {
            return Ok(());
        }
        self.need_directory(&parent, plan)
    }

    async fn carry(&self, plan: Plan, entries: Entries, terminal: &mut Terminal) -> Outcome {
        let condition = if self.force {
            Condition::None
        } else {
            Condition::Free
        };
        let jobs: Vec<Job> = plan
            .files
            .into_iter()
            .map(|(source, to)| Job {
                source,
                to,
                condition,
                passes_over: self.no_clobber,
            })
            .collect();
        let manner = Manner {
            jobs: usize::from(self.jobs),
            verbose: self.verbose,
        };
        let tally = Arc::new(Tally::default());
        let mut progress = Progress::new(terminal, self.quiet, "put", jobs.len(), plan.bytes);
        let results = jobs::run(
            jobs,
            entries,
            &tally,
            manner,
            &mut progress,
            terminal,
            put_one,
        )
        .await;
        let mut done: Vec<CommittedView> = results.done.iter().flatten().cloned().collect();
        done.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        let over = results.done.len() - done.len();
        self.tell(&done, over, &progress, terminal)?;
        results.failure().map_or(Ok(()), Err)
    }

    fn tell(
        &self,
        done: &[CommittedView],
        over: usize,
        progress: &Progress,
        terminal: &mut Terminal,
    ) -> Outcome {
        for it in done.iter().filter(|it| it.degraded_chunks > 0) {
            let chunks = u64::from(it.degraded_chunks);
            terminal.warn(&format!(
                "{}: {} fewer replicas than the configuration asks for; `vaquita chunk list \
                 --unwell` shows what becomes of it",
                harmless(&it.entry.path),
                counted(chunks, "chunk has", "chunks have")
            ));
        }
        if self.json {
            let rows: Vec<_> = done.iter().map(row_json).collect();
            return json::array(terminal, &rows);
        }
        if self.verbose || (done.len() == 1 && over == 0) {
            for it in done {
                let how = if it.created { "new" } else { "replaced" };
                let path = harmless(&it.entry.path);
                terminal.say(format!("{path}  {}, {how}", size::human(it.entry.len)))?;
            }
        }
        if over > 0 || done.len() > 1 {
            let bytes = done.iter().map(|it| it.entry.len).sum();
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
}

fn row_json(committed: &CommittedView) -> serde_json::Value {
    let entry = &committed.entry;
    json!({
        "path": entry.path,
        "len": entry.len,
        "digest": entry.digest,
        "version": entry.version,
        "created": committed.created,
        "degraded_chunks": committed.degraded_chunks,
    })
}

/// Puts a file; `None` if it was there already and was to be passed over then.
async fn put_one(
    mut carrier: Carrier,
    job: Job,
) -> (Carrier, Result<Option<CommittedView>, Failure>) {
    let Job {
        source,
        to,
        condition,
        passes_over,
    } = job;
    let result = match carrier.put(&to, &source, condition, new_key()).await {
        Ok(committed) => Ok(Some(committed)),
        Err(Trouble::There(error)) if condition == Condition::Free && error.is_precondition() => {
            if passes_over {
                Ok(None)
            } else {
                Err(Failure::new(
                    Status::Exists,
                    format!(
                        "{to} is there already: `--force` replaces it, `--no-clobber` passes over \
                         it"
                    ),
                ))
            }
        }
        Err(trouble) => Err(trouble.into()),
    };
    (carrier, result)
}

impl Plan {
    fn file(&mut self, local: &Path, len: u64, to: DfsPath) {
        self.bytes = self.bytes.map(|bytes| bytes.saturating_add(len));
        self.files.push((Source::File(local.to_owned()), to));
    }

    /// Everything in a local directory, in the order of the names.
    fn walk(&mut self, local: &Path, to: &DfsPath, terminal: &mut Terminal) -> Result<(), Failure> {
        let mut names = Vec::new();
        for entry in fs::read_dir(local).map_err(|error| unreadable(local, &error))? {
            names.push(entry.map_err(|error| unreadable(local, &error))?.path());
        }
        names.sort();
        for path in names {
            let target = join(to, &name_of(&path)?)?;
            let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
            let link = fs::symlink_metadata(&path).is_ok_and(|it| it.is_symlink());
            if metadata.is_file() {
                self.file(&path, metadata.len(), target);
            } else if metadata.is_dir() && !link {
                self.directories.push(target.clone());
                self.walk(&path, &target, terminal)?;
            } else {
                let what = if link {
                    "a link to a directory"
                } else {
                    "no file"
                };
                let path = path.display().to_string();
                terminal.warn(&format!("{} is {what} and was left out", harmless(&path)));
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Status::Unreadable,
        format!("{} cannot be read: {error}", path.display()),
    )
}

/// The last name of a local path, `..` resolved.
fn name_of(path: &Path) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::new(Status::Usage, format!("{} {why}", path.display()));
    let name = match path.file_name() {
        Some(name) => name.to_owned(),
        None => fs::canonicalize(path)
            .map_err(|error| unreadable(path, &error))?
            .file_name()
            .map(std::ffi::OsStr::to_owned)
            .ok_or_else(|| wrong("has no name under which it could be put"))?,
    };
    name.into_string()
        .map_err(|_| wrong("has a name that is not UTF-8, which no file of the cluster can have"))
}

fn join(directory: &DfsPath, name: &str) -> Result<DfsPath, Failure> {
    directory
        .join(name)
        .map_err(|error| Failure::new(Status::Usage, error.to_string()))
}
