//! `vaquita audit`: who did what.

use clap::Args;

use super::local_time;
use crate::cli::client::{Api, AuditFilter, AuditView, ServerOption, block_on};
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Colour, Terminal};

/// The most entries of one answer.
const PAGE: u32 = 1000;

/// Show who did what, the newest first
///
/// What was `ordered` was written down before it was done: if it was refused afterwards, another entry says
/// so. The cluster keeps the newest 10,000 entries. Each has a hash that covers all before it: whoever notes
/// the newest elsewhere sees later whether anything up to there was changed.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita audit
  vaquita audit --actor alice --action node.
  vaquita audit --action login.failed --limit 20
  vaquita audit --all --json > audit.json")]
pub(in crate::cli) struct Audit {
    #[command(flatten)]
    server: ServerOption,
    /// Only what this user did
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// Only actions that begin so: node., login.failed
    #[arg(long, value_name = "WORD")]
    action: Option<String>,
    /// Only entries before the one of this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// How many entries
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 50,
        conflicts_with = "all"
    )]
    limit: u32,
    /// All entries that are kept
    #[arg(long)]
    all: bool,
    /// Print one JSON array instead of a table
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            let mut rows = Vec::new();
            let mut filter = AuditFilter {
                actor: self.actor.clone(),
                action: self.action.clone(),
                before: self.before,
            };
            let wanted = match self.all {
                true => usize::MAX,
                false => self.limit as usize,
            };
            let (mut head, mut intact) = (None, true);
            while rows.len() < wanted {
                let left = wanted - rows.len();
                let count = u32::try_from(left).map_or(PAGE, |left| left.min(PAGE));
                let page = api.audit(&filter, count).await?;
                head.get_or_insert((page.newest, page.head));
                intact &= page.intact;
                let last = page.rows.last().and_then(|row| row["sequence"].as_u64());
                rows.extend(page.rows);
                match last {
                    Some(_) if page.more => filter.before = last,
                    _ => break,
                }
            }
            if self.json {
                json::array(terminal, &rows)?;
            } else {
                let rows = rows.into_iter().map(serde_json::from_value);
                let rows: Vec<AuditView> = rows.collect::<Result<_, _>>().map_err(|error| {
                    Failure::new(
                        Status::Bug,
                        format!("the server sent an entry that is none: {error}"),
                    )
                })?;
                let text = table(&rows).render(terminal);
                terminal.say(text.trim_end())?;
                if let Some((newest, head)) = head {
                    terminal.note(format!("entry {newest} has the hash {head}"))?;
                }
            }
            if intact {
                return Ok(());
            }
            Err(Failure::new(
                Status::No,
                "the entries do not fit to one another: the audit was changed behind the cluster's back",
            ))
        })
    }
}

fn table(rows: &[AuditView]) -> Table {
    let mut table = Table::new(&[
        "ENTRY", "WHEN", "WHO", "FROM", "ACTION", "OBJECT", "RESULT", "DETAIL",
    ])
    .right(0);
    for row in rows {
        let when = match row.unix_ms {
            0 => "-".to_owned(),
            at => local_time(at),
        };
        let who = match row.actor.as_str() {
            "" => "-",
            actor => actor,
        };
        let result = match row.result.as_str() {
            // What came of it is not known by this entry.
            result @ ("done" | "ordered") => Cell::new(result),
            other => Cell::new(other).coloured(Colour::Yellow),
        };
        let mut detail = row.detail.clone();
        let times = (row.count > 1).then(|| format!("{} times", row.count));
        let reason = (!row.reason.is_empty()).then(|| row.reason.clone());
        for more in [times, reason].into_iter().flatten() {
            if !detail.is_empty() {
                detail.push_str("; ");
            }
            detail.push_str(&more);
        }
        table.row([
            Cell::new(row.sequence.to_string()),
            Cell::new(when),
            Cell::new(who),
            Cell::new(row.address.as_deref().unwrap_or("-")),
            Cell::new(&row.action),
            Cell::new(&row.object),
            result,
            Cell::new(detail),
        ]);
    }
    table
}
