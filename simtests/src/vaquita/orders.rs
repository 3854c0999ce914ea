//! What a plan has operators order, in words: `drain P1-NODE1`, `repair suspend`, `configure factor 2`.

use vaquita_core::admin::{Selection, Verb};
use vaquita_core::controller::FilesConfig;
use vaquita_core::dfs::ask::Ask;
use vaquita_core::dfs::placement::ReliabilityLevel;
use vaquita_core::state::Duty;

/// What is ordered.
pub enum Ordered {
    /// Something of the controller.
    Verb(Verb),
    /// That it take up its files, after this has been done to them.
    Files(Box<dyn FnOnce(&mut FilesConfig)>),
}

impl std::fmt::Debug for Ordered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Verb(verb) => verb.fmt(f),
            Self::Files(_) => f.write_str("Files(..)"),
        }
    }
}

/// How long a maintenance lasts that a plan orders, in milliseconds.
const MAINTENANCE_MS: u64 = 60_000;

/// Every order, for whoever has made a mistake.
const ORDERS: &str = "start, stop, replace, drain, serve, maintain or rescan NAME|all; volume drain|serve \
                      NAME PATH; repair suspend|resume; configure factor|min-write|level N; status";

/// Reads an order. It names data nodes by alias, or `all` of them.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Ordered, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let verb = match *words.as_slice() {
        ["status"] => Verb::Status,
        ["start", name] => Verb::StartNodes(selected(name)),
        ["stop", name] => Verb::StopNodes(selected(name)),
        ["replace", name] => Verb::ReplaceNode {
            node: name.to_owned(),
        },
        ["rescan", name] => Verb::RescanVolumes(selected(name)),
        [duty @ ("drain" | "serve" | "maintain"), name] => Verb::SetDuty {
            nodes: selected(name),
            duty: match duty {
                "drain" => Duty::Drain,
                "serve" => Duty::Serve,
                _ => Duty::Maintenance {
                    for_ms: MAINTENANCE_MS,
                },
            },
        },
        ["volume", what @ ("drain" | "serve"), name, path] => Verb::SetVolumeDuty {
            node: name.to_owned(),
            path: path.to_owned(),
            drain: what == "drain",
        },
        ["repair", what @ ("suspend" | "resume")] => Verb::Dfs(Ask::SuspendRepair {
            suspend: what == "suspend",
        }),
        ["configure", what, number] => {
            return configure(what, number)
                .ok_or_else(|| wrong(text))
                .map(Ordered::Files);
        }
        _ => return Err(wrong(text)),
    };
    Ok(Ordered::Verb(verb))
}

fn wrong(text: &str) -> String {
    format!("`{text}` is no order; there are {ORDERS}")
}

fn selected(name: &str) -> Selection {
    match name {
        "all" => Selection::All,
        name => Selection::Aliases(vec![name.to_owned()]),
    }
}

type Change = Box<dyn FnOnce(&mut FilesConfig)>;

fn configure(what: &str, number: &str) -> Option<Change> {
    let number: u8 = number.parse().ok()?;
    Some(match what {
        "factor" => Box::new(move |files| files.factor = usize::from(number).max(files.min_write)),
        "min-write" => {
            Box::new(move |files| files.min_write = usize::from(number).min(files.factor))
        }
        "level" => {
            let level = ReliabilityLevel::from_number(number)?;
            Box::new(move |files| files.level = level)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_told_from_what_is_none() {
        for text in [
            "status",
            "start all",
            "drain P1-NODE1",
            "maintain P1-NODE1",
            "volume drain P1-NODE1 /P1-NODE1/0",
            "repair resume",
        ] {
            assert!(matches!(parse(text), Ok(Ordered::Verb(_))), "{text}");
        }
        let mut files = FilesConfig::default();
        for text in [
            "configure factor 3",
            "configure level 1",
            "configure min-write 1",
        ] {
            match parse(text) {
                Ok(Ordered::Files(change)) => change(&mut files),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!((files.factor, files.min_write), (3, 1));
        assert_eq!(files.level, ReliabilityLevel::NeverShare);
        for text in [
            "",
            "start",
            "drain",
            "configure level 9",
            "configure it 1",
            "repair it",
        ] {
            assert!(
                parse(text)
                    .unwrap_err()
                    .contains("is no order; there are start"),
                "{text}"
            );
        }
    }
}
