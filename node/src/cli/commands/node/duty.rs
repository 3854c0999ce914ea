//! `vaquita node maintenance`: nodes that are left in peace for a while.

use std::time::Duration;

use clap::Args;

use super::{Chosen, order_json, tell};
use crate::cli::client::{Api, block_on};
use crate::cli::exit::Outcome;
use crate::cli::json;
use crate::cli::terminal::Terminal;

/// Order a maintenance.
#[derive(Args, Clone, Debug)]
pub(super) struct Maintenance {
    #[command(flatten)]
    chosen: Chosen,
    /// How long it lasts: 90s, 15m or 2h, and 24h at most
    #[arg(long = "for", value_name = "TIME", default_value = "15m", value_parser = span)]
    length: Duration,
    /// Print one JSON array: what became of the order
    #[arg(long)]
    json: bool,
}

impl Maintenance {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.chosen.server)?;
        block_on(async {
            let rows = api.maintain(&self.chosen.aliases, self.length).await?;
            if self.json {
                let rows: Vec<_> = rows.iter().map(order_json).collect();
                return json::array(terminal, &rows);
            }
            tell(&rows, terminal)
        })
    }
}

/// Reads a time such as `15m`.
fn span(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    match read {
        Some(seconds) if (1..=86_400).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("it lasts from 1s to 24h".to_owned()),
        None => Err("a whole number with its unit is wanted, such as 90s, 15m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_a_bound() {
        let seconds = |text: &str| span(text).map(|it| it.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("24h"), Ok(86_400));
        for wrong in [
            "",
            "15",
            "m",
            "0s",
            "25h",
            "-1m",
            "1.5h",
            "99999999999999999999h",
            "1d",
        ] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
