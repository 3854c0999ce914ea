//! `vaquita config`: the controller's files, while it runs.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::client::{Api, ServerOption, block_on};
use crate::cli::commands::check::counted;
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json as output;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Terminal, harmless};

/// Show and change the files of a running controller: controller.cfg, cluster.nodes, cluster.cfg
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
A change is checked as at a start, beside the other files; comments and the order of lines stay. The text
before is kept, ten of each file. Keys of security and identity are changed with an editor, on the
controller's host.

Examples:
  vaquita config show
  vaquita config show cluster.cfg
  vaquita config set cluster.cfg P1-%.workerNum 8 --comment 'more cores there'
  vaquita config set controller.cfg dfsReplicationFactor 3 --dry-run
  vaquita config add-member 10.1.1.9:8960:P9-agent,agent 10.1.1.9:8961:P9-NODE1,datanode
  vaquita config history cluster.nodes
  vaquita config undo cluster.nodes
  vaquita config reload                   after a change with an editor")]
pub(in crate::cli) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List the files, or print one
    Show {
        #[command(flatten)]
        server: ServerOption,
        /// The file; all of them in a list, if none is given
        #[arg(value_name = "FILE")]
        file: Option<String>,
        /// Print what the server says, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a key a value
    ///
    /// The last line that sets exactly this key gets the value; if there is none, a line is added.
    Set {
        #[command(flatten)]
        change: Change,
        /// The file
        #[arg(value_name = "FILE")]
        file: String,
        /// `key`, and in cluster.cfg also `ALIAS.key` or `PATTERN.key`
        #[arg(value_name = "KEY")]
        key: String,
        /// The value
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Take out all lines that set exactly this key, so that its default rules
    Unset {
        #[command(flatten)]
        change: Change,
        /// The file
        #[arg(value_name = "FILE")]
        file: String,
        /// `key`, and in cluster.cfg also `ALIAS.key` or `PATTERN.key`
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Add rows to cluster.nodes
    AddMember {
        #[command(flatten)]
        change: Change,
        /// A row: `host:port:alias,mode`
        #[arg(value_name = "ROW", required = true)]
        rows: Vec<String>,
    },
    /// Take the row of a member out of cluster.nodes
    RemoveMember {
        #[command(flatten)]
        change: Change,
        /// The member
        #[arg(value_name = "ALIAS")]
        alias: String,
    },
    /// List the texts that a file had, newest first, with the changes that ended them
    History {
        #[command(flatten)]
        server: ServerOption,
        /// The file
        #[arg(value_name = "FILE")]
        file: String,
        /// Show what each change was, line by line
        #[arg(long)]
        diff: bool,
        /// Print what the server says, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the controller take up its files after they were changed with an editor
    ///
    /// New members are let in, new texts of data nodes count from their next start. Prints what changed,
    /// and what counts after a restart of something.
    Reload {
        #[command(flatten)]
        server: ServerOption,
        /// Print what the server says, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring back the text that a file had before the last change, or an older one
    Undo {
        #[command(flatten)]
        server: ServerOption,
        /// The file
        #[arg(value_name = "FILE")]
        file: String,
        /// Its number, as `vaquita config history` shows it
        #[arg(value_name = "VERSION")]
        version: Option<u64>,
        /// What for: one line, kept in the history
        #[arg(long, value_name = "TEXT", default_value = "")]
        comment: String,
    },
}

/// How a change is made.
#[derive(Args, Clone, Debug)]
struct Change {
    #[command(flatten)]
    server: ServerOption,
    /// What for: one line, kept in the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    /// Say what would come of it, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Config {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        match self.action {
            Action::Show { server, file, json } => show(&server, file.as_deref(), json, terminal),
            Action::Set {
                change,
                file,
                key,
                value,
            } => {
                let edit = json!({ "op": "set", "key": key, "value": value });
                change.make(&file, &json!([edit]), terminal)
            }
            Action::Unset { change, file, key } => {
                let edit = json!({ "op": "unset", "key": key });
                change.make(&file, &json!([edit]), terminal)
            }
            Action::AddMember { change, rows } => {
                let edits = rows.iter().map(|row| member(row));
                let edits: Result<Vec<Value>, Failure> = edits.collect();
                change.make("cluster.nodes", &json!(edits?), terminal)
            }
            Action::RemoveMember { change, alias } => {
                let edit = json!({ "op": "remove-member", "alias": alias });
                change.make("cluster.nodes", &json!([edit]), terminal)
            }
            Action::History {
                server,
                file,
                diff,
                json,
            } => history(&server, &file, diff, json, terminal),
            Action::Reload { server, json } => {
                let mut api = Api::choose(&server)?;
                let answer: Value = block_on(async { Ok(api.reload_config().await?) })?;
                if json {
                    return output::object(terminal, &answer);
                }
                let reloaded: Reloaded = read(answer)?;
                if reloaded.taken_up.is_empty() {
                    terminal.note("nothing is new in the files")?;
                }
                reloaded.tell(terminal)
            }
            Action::Undo {
                server,
                file,
                version,
                comment,
            } => {
                let mut api = Api::choose(&server)?;
                let written: Written = block_on(async {
                    let etag = api.config_etag(&file).await?;
                    let mut body = json!({ "comment": comment });
                    if let Some(version) = version {
                        body["version"] = version.into();
                    }
                    Ok(api.undo_config(&file, &etag, body).await?)
                })?;
                written.tell(&file, terminal)
            }
        }
    }
}

fn member(row: &str) -> Result<Value, Failure> {
    match row.split_once(',') {
        Some((site, mode)) => Ok(json!({ "op": "add-member", "site": site, "mode": mode })),
        None => Err(Failure::new(
            Status::Usage,
            format!(
                "`{row}` is no row: write `host:port:alias,agent` or `host:port:alias,datanode`"
            ),
        )),
    }
}

/// One finding, as the server tells it.
#[derive(Clone, Debug, Deserialize)]
struct Finding {
    severity: String,
    code: String,
    file: String,
    line: u64,
    column: u64,
    message: String,
    help: String,
}

fn tell_findings(findings: &[Finding], terminal: &mut Terminal) -> Outcome {
    for finding in findings {
        let Finding {
            severity,
            code,
            file,
            line,
            column,
            message,
            help,
        } = finding;
        let text = format!("{file}:{line}:{column}: {severity}[{code}]: {message}\n  help: {help}");
        terminal.note(text.lines().map(harmless).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(())
}

#[derive(Clone, Debug, Deserialize)]
struct Diff {
    unified: String,
}

impl Diff {
    fn tell(&self, terminal: &mut Terminal) -> Outcome {
        for line in self.unified.lines() {
            terminal.say(harmless(line))?;
        }
        Ok(())
    }
}

/// What the controller has taken up.
#[derive(Clone, Debug, Deserialize)]
struct Reloaded {
    taken_up: Vec<TakenUp>,
    pending: Vec<PendingKey>,
}

#[derive(Clone, Debug, Deserialize)]
struct TakenUp {
    text: String,
}

#[derive(Clone, Debug, Deserialize)]
struct PendingKey {
    key: String,
    running: String,
    next: String,
    needs: String,
}

impl Reloaded {
    fn tell(&self, terminal: &mut Terminal) -> Outcome {
        for TakenUp { text } in &self.taken_up {
            terminal.say(harmless(text))?;
        }
        tell_pending(&self.pending, terminal)
    }
}

fn tell_pending(pending: &[PendingKey], terminal: &mut Terminal) -> Outcome {
    for row in pending {
        let PendingKey {
            key,
            running,
            next,
            needs,
        } = row;
        let text = format!("{key}={next} counts after a {needs}; until then it is {running}");
        terminal.say(harmless(&text))?;
    }
    Ok(())
}

#[derive(Clone, Debug, Deserialize)]
struct Written {
    changed: bool,
    reloaded: Option<Reloaded>,
    not_taken_up: Option<String>,
    kept_as: Option<u64>,
    diff: Diff,
    findings: Vec<Finding>,
}

impl Written {
    fn tell(&self, file: &str, terminal: &mut Terminal) -> Outcome {
        tell_findings(&self.findings, terminal)?;
        self.diff.tell(terminal)?;
        let text = match (self.changed, self.kept_as) {
            (false, _) => format!("{file} says that already: nothing was written"),
            (true, Some(kept)) => {
                format!("{file} was changed; the text before is version {kept}")
            }
            (true, None) => format!("{file} was changed"),
        };
        terminal.note(text)?;
        if let Some(why) = &self.not_taken_up {
            let text = format!("the controller has not taken it up: {}", harmless(why));
            return Err(Failure::new(Status::No, text));
        }
        match &self.reloaded {
            Some(reloaded) => reloaded.tell(terminal),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Checked {
    acceptable: bool,
    blocking: Vec<Finding>,
    protected: Vec<String>,
    findings: Vec<Finding>,
    diff: Diff,
}

impl Change {
    fn make(&self, file: &str, edits: &Value, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        let body = json!({ "edits": edits, "comment": self.comment });
        if self.dry_run {
            let checked: Checked = block_on(async { Ok(api.check_config(file, body).await?) })?;
            return checked.tell(terminal);
        }
        let written: Written = block_on(async {
            // The edits say what they mean by keys and names, whatever else has changed meanwhile.
            let etag = api.config_etag(file).await?;
            Ok(api.write_config(file, &etag, body).await?)
        })?;
        written.tell(file, terminal)
    }
}

impl Checked {
    fn tell(&self, terminal: &mut Terminal) -> Outcome {
        self.diff.tell(terminal)?;
        if self.acceptable {
            tell_findings(&self.findings, terminal)?;
            return Ok(terminal.note("it would be written")?);
        }
        tell_findings(&self.blocking, terminal)?;
        let why = match self.protected.as_slice() {
            [] => "it would not be written: it has errors".to_owned(),
            keys => format!(
                "it would not be written: {} can be changed on the controller's host alone",
                keys.iter()
                    .map(|key| harmless(key))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        Err(Failure::new(Status::No, why))
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Overview {
    files: Vec<FileRow>,
    findings: Vec<Finding>,
    pending: Vec<PendingKey>,
    nodes: Vec<NodeRow>,
}

#[derive(Clone, Debug, Deserialize)]
struct NodeRow {
    alias: String,
    standing: String,
}

#[derive(Clone, Debug, Deserialize)]
struct FileRow {
    file: String,
    path: Option<String>,
    exists: bool,
    errors: u64,
    warnings: u64,
    taken_up: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
struct FileText {
    text: String,
    findings: Vec<Finding>,
}

fn show(server: &ServerOption, file: Option<&str>, json: bool, terminal: &mut Terminal) -> Outcome {
    let mut api = Api::choose(server)?;
    let answer: Value = block_on(async { Ok(api.config(file).await?) })?;
    if json {
        return output::object(terminal, &answer);
    }
    if file.is_some() {
        let FileText { text, findings } = read(answer)?;
        tell_findings(&findings, terminal)?;
        for line in text.lines() {
            terminal.say(harmless(line))?;
        }
        return Ok(());
    }
    let Overview {
        files,
        findings,
        pending,
        nodes,
    } = read(answer)?;
    let mut table = Table::new(&["FILE", "FINDINGS", "TAKEN UP", "PATH"]);
    for row in files {
        let count =
            |number: u64, what: &str| counted(usize::try_from(number).unwrap_or(usize::MAX), what);
        let findings = match (row.exists, row.errors, row.warnings) {
            (false, ..) => "not there".to_owned(),
            (true, 0, 0) => "none".to_owned(),
            (true, 0, warnings) => count(warnings, "warning"),
            (true, errors, _) => count(errors, "error"),
        };
        let path = row.path.unwrap_or_else(|| "-".to_owned());
        let taken_up = match row.taken_up {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        table.row([
            Cell::new(&row.file),
            Cell::new(findings),
            Cell::new(taken_up),
            Cell::new(path),
        ]);
    }
    let text = table.render(terminal);
    terminal.say(text.trim_end())?;
    tell_findings(&findings, terminal)?;
    tell_pending(&pending, terminal)?;
    let standing = |word: &str| -> Vec<String> {
        let those = nodes.iter().filter(|node| node.standing == word);
        those.map(|node| harmless(&node.alias)).collect()
    };
    for (word, what) in [
        (
            "restart-pending",
            "run with an earlier configuration until they are restarted",
        ),
        (
            "reload-pending",
            "are not known to the controller as the files have them: `vaquita config reload`",
        ),
    ] {
        let names = standing(word);
        if !names.is_empty() {
            terminal.say(format!("{} {what}", names.join(", ")))?;
        }
    }
    Ok(())
}

#[derive(Clone, Debug, Deserialize)]
struct History {
    versions: Vec<Version>,
}

#[derive(Clone, Debug, Deserialize)]
struct Version {
    number: u64,
    by: Option<String>,
    unix_ms: Option<u64>,
    comment: Option<String>,
    undid: Option<u64>,
    /// Controllers of an earlier version do not tell.
    #[serde(default)]
    then_changed_on_host: bool,
    diff: CountedDiff,
}

#[derive(Clone, Debug, Deserialize)]
struct CountedDiff {
    unified: String,
    added: u64,
    removed: u64,
}

fn history(
    server: &ServerOption,
    file: &str,
    diff: bool,
    json: bool,
    terminal: &mut Terminal,
) -> Outcome {
    let mut api = Api::choose(server)?;
    let answer: Value = block_on(async { Ok(api.config_history(file).await?) })?;
    if json {
        return output::object(terminal, &answer);
    }
    let History { versions } = read(answer)?;
    if versions.is_empty() {
        return Ok(terminal.note(format!("{file} was not changed here yet"))?);
    }
    for version in versions {
        let when = (version.unix_ms)
            .and_then(|ms| jiff::Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok())
            .map_or_else(|| "?".to_owned(), |at| at.strftime("%F %T UTC").to_string());
        let by = version.by.as_deref().unwrap_or("?");
        let CountedDiff {
            unified,
            added,
            removed,
        } = version.diff;
        let undid = match version.undid {
            Some(undid) => format!(", brought back {undid}"),
            None => String::new(),
        };
        let comment = match version.comment.as_deref().unwrap_or_default() {
            "" => String::new(),
            comment => format!(": {comment}"),
        };
        let by = match version.then_changed_on_host {
            true => format!("{by}, and then on the host"),
            false => by.to_owned(),
        };
        let line = format!(
            "{}  until {when}, changed by {by} (+{added} -{removed}{undid}){comment}",
            version.number
        );
        terminal.say(harmless(&line))?;
        if diff {
            for line in unified.lines() {
                terminal.say(format!("    {}", harmless(line)))?;
            }
        }
    }
    Ok(())
}

/// What an answer says, of what this command needs.
fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::new(
            Status::Bug,
            format!("the answer makes no sense: {error}. Is the controller of this version?"),
        )
    })
}
