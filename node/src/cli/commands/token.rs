//! `vaquita token`: what programs log in with.

use std::time::Duration;

use clap::{Args, Subcommand};
use vaquita_core::admin::Right;

use super::local_time;
use crate::cli::client::{Api, ServerOption, TokenRowView, block_on};
use crate::cli::exit::Outcome;
use crate::cli::json;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::Terminal;

/// Make, list and revoke tokens for programs
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita token create backup --right dfs-read --network 10.1.0.0/16 --expires-in 90d
  vaquita token list
  vaquita token revoke 3f2a9c0d11e48b75

A program sends the token as `Authorization: Bearer …`; `vaquita` takes it from VAQUITA_TOKEN.")]
pub(in crate::cli) struct TokenCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List one's logins and tokens
    List {
        #[command(flatten)]
        server: ServerOption,
        /// List everybody's, which takes an administrator
        #[arg(long)]
        all: bool,
        /// Print one JSON array instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Make a token for a program
    ///
    /// It carries one's own rights, or some of them, and is shown this once. A change of the password or
    /// of the rights voids it.
    Create {
        #[command(flatten)]
        server: ServerOption,
        /// What the token is for
        label: String,
        /// For how long it is good: 12h, 90d; 365d at most
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = life)]
        expires_in: Duration,
        /// A right that it carries; all that one has if none is given
        #[arg(long = "right", value_parser = Right::ALL.map(Right::as_str))]
        rights: Vec<String>,
        /// A network that it may be used from, such as 10.1.0.0/16; everywhere if none is given
        #[arg(long = "network", value_name = "CIDR")]
        networks: Vec<String>,
        /// Print one JSON object instead of the token alone
        #[arg(long)]
        json: bool,
    },
    /// Void a token or a login
    Revoke {
        #[command(flatten)]
        server: ServerOption,
        /// Its id, as the list shows it
        id: String,
    },
}

impl TokenCommand {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        match self.action {
            Action::List { server, all, json } => {
                let mut api = Api::choose(&server)?;
                block_on(async {
                    if json {
                        let path = if all {
                            "/api/v1/tokens?all=true"
                        } else {
                            "/api/v1/tokens"
                        };
                        let rows = api.raw(path).await?;
                        return json::array_of(terminal, rows);
                    }
                    let rows = api.tokens(all).await?;
                    let text = table(&rows).render(terminal);
                    Ok(terminal.say(text.trim_end())?)
                })
            }
            Action::Create {
                server,
                label,
                expires_in,
                rights,
                networks,
                json,
            } => {
                let mut api = Api::choose(&server)?;
                block_on(async {
                    let rights = (!rights.is_empty()).then_some(&rights[..]);
                    let made = api
                        .create_token(&label, expires_in, rights, &networks)
                        .await?;
                    if json {
                        return json::object(terminal, &made);
                    }
                    let token = made.get("token").and_then(|it| it.as_str());
                    terminal.say(token.unwrap_or_default())?;
                    terminal.note("the token is shown this once; whoever has it acts as you")?;
                    Ok(())
                })
            }
            Action::Revoke { server, id } => {
                let mut api = Api::choose(&server)?;
                block_on(async {
                    api.revoke_token(&id).await?;
                    Ok(terminal.say(format!("token {id} revoked"))?)
                })
            }
        }
    }
}

fn table(rows: &[TokenRowView]) -> Table {
    let mut table = Table::new(&[
        "ID", "KIND", "LABEL", "USER", "ISSUED", "EXPIRES", "RIGHTS", "NETWORKS",
    ]);
    for row in rows {
        let kind = match row.current {
            true => format!("{} (this one)", row.kind),
            false => row.kind.clone(),
        };
        let issued = match row.issued_unix_ms {
            0 => "-".to_owned(),
            at => local_time(at),
        };
        let rights = (row.rights.as_ref()).map_or("all".to_owned(), |it| it.join(","));
        let networks = match row.networks.is_empty() {
            true => "everywhere".to_owned(),
            false => row.networks.join(","),
        };
        table.row([
            Cell::new(&row.id),
            Cell::new(kind),
            Cell::new(row.label.as_deref().unwrap_or("-")),
            Cell::new(&row.user),
            Cell::new(issued),
            Cell::new(local_time(row.expires_unix_ms)),
            Cell::new(rights),
            Cell::new(networks),
        ]);
    }
    table
}

/// Reads a life such as `90d`.
fn life(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    match read {
        Some(seconds) if (1..=365 * 86_400).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("a token is good for 1s to 365d".to_owned()),
        None => Err("a whole number with its unit is wanted, such as 12h or 90d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_has_a_unit_and_a_bound() {
        let seconds = |text: &str| life(text).map(|it| it.as_secs());
        assert_eq!(seconds("90d"), Ok(7_776_000));
        assert_eq!(seconds("365d"), Ok(31_536_000));
        assert_eq!(seconds("12h"), Ok(43_200));
        for wrong in ["", "90", "366d", "0s", "-1d", "99999999999999999999d", "1w"] {
            assert!(life(wrong).is_err(), "{wrong}");
        }
    }
}
