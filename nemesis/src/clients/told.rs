//! What an answer says about an act, and how often what was said.

use std::collections::BTreeMap;
use std::fmt;

use vaquita_history::{Act, Seen};

use super::http::{Lost, Reply};
use super::number_of;

/// What one try of an act came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The answer belongs into the history.
    Seen(Seen),
    /// It was not done, and the answer says so; nothing about the file follows from it.
    NotDone,
    /// What no answer may be: bytes that nobody wrote, or a refusal to whom it is not due.
    Wrong(String),
}

/// What an answer to an act says.
pub(crate) fn told(act: &Act, answer: &Result<Reply, Lost>) -> Told {
    let reply = match answer {
        Ok(reply) => reply,
        Err(lost) if lost.sent => return Told::Seen(Seen::Unknown),
        Err(_) => return Told::NotDone,
    };
    let is_get = matches!(act, Act::Get { .. });
    match (reply.status.as_u16(), act) {
        (200, Act::Get { .. }) => match number_of(&reply.body) {
            Ok(number) => Told::Seen(Seen::Value(Some(number))),
            Err(what) => Told::Wrong(what),
        },
        (404, Act::Get { .. }) => Told::Seen(Seen::Value(None)),
        (200..=299, _) if !is_get => Told::Seen(Seen::Done),
        (412, Act::Put { .. }) | (404, Act::Remove { .. } | Act::Rename { .. }) => {
            Told::Seen(Seen::Refused)
        }
        (409, Act::Rename { .. }) if reply.kind() == "conflict" => Told::Seen(Seen::Refused),
        // Refusals that promise that nothing was done: held to their word.
        (408 | 421 | 429 | 507, _) => Told::NotDone,
        // Clients ask for what makes sense, and may do it.
        (400 | 401 | 403 | 413 | 422, _) => {
            Told::Wrong(format!("is refused with {}", reply.told()))
        }
        _ => Told::Seen(Seen::Unknown),
    }
}

/// How often acts of each kind came to what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies {
    counts: BTreeMap<(&'static str, &'static str), u64>,
    /// Answers that were neither a success nor a refusal for what is there.
    trouble: BTreeMap<String, u64>,
}

/// Kinds of trouble that are told.
const TOLD_MAX: usize = 12;

impl Tallies {
    /// Counts what an act came to in the end.
    pub(crate) fn count(&mut self, act: &Act, told: &Told) {
        let outcome = match told {
            Told::Seen(Seen::Done | Seen::Value(_)) => "done",
            Told::Seen(Seen::Refused) => "refused",
            Told::Seen(Seen::Unknown) => "unknown",
            Told::NotDone => "not done",
            Told::Wrong(_) => "wrong",
        };
        *self.counts.entry((name(act), outcome)).or_default() += 1;
    }

    /// Counts an answer that was none that one hopes for.
    pub(crate) fn trouble(&mut self, answer: &Result<Reply, Lost>) {
        let what = match answer {
            Ok(reply) if reply.status.is_server_error() || reply.status.as_u16() == 429 => {
                reply.told()
            }
            Ok(_) => return,
            Err(lost) => lost.why.clone(),
        };
        *self.trouble.entry(what).or_default() += 1;
    }

    /// Acts of a kind, such as `put`, that were told to be done.
    pub(crate) fn done(&self, name: &'static str) -> u64 {
        self.counts
            .get(&(name, "done"))
            .copied()
            .unwrap_or_default()
    }

    /// Acts in all.
    pub(crate) fn sum(&self) -> u64 {
        self.counts.values().sum()
    }
}

const fn name(act: &Act) -> &'static str {
    match act {
        Act::Put { .. } => "put",
        Act::Get { .. } => "get",
        Act::Remove { .. } => "remove",
        Act::Rename { .. } => "rename",
    }
}

impl fmt::Display for Tallies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const OUTCOMES: [&str; 5] = ["done", "refused", "unknown", "not done", "wrong"];
        write!(f, "  {:<8}", "")?;
        for outcome in OUTCOMES {
            write!(f, "{outcome:>10}")?;
        }
        for act in ["put", "get", "remove", "rename"] {
            write!(f, "\n  {act:<8}")?;
            for outcome in OUTCOMES {
                let count = self.counts.get(&(act, outcome)).unwrap_or(&0);
                write!(f, "{count:>10}")?;
            }
        }
        let mut trouble: Vec<(&String, &u64)> = self.trouble.iter().collect();
        trouble.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (what, count) in trouble.into_iter().take(TOLD_MAX) {
            write!(f, "\n  {count} x {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::StatusCode;

    use super::*;

    fn reply(status: u16, body: &str) -> Result<Reply, Lost> {
        Ok(Reply {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            body: Bytes::from(body.to_owned()),
        })
    }

    fn lost(sent: bool) -> Result<Reply, Lost> {
        Err(Lost {
            sent,
            why: String::new(),
        })
    }

    #[test]
    fn what_may_have_been_done_is_never_taken_for_not_done() {
        let remove = Act::Remove {
            path: "a".to_owned(),
        };
        let unknown = Told::Seen(Seen::Unknown);
        assert_eq!(told(&remove, &lost(true)), unknown);
        assert_eq!(told(&remove, &reply(503, "")), unknown);
        assert_eq!(told(&remove, &reply(500, "")), unknown);
        assert_eq!(told(&remove, &lost(false)), Told::NotDone);
        assert_eq!(told(&remove, &reply(507, "")), Told::NotDone);
        assert_eq!(told(&remove, &reply(404, "")), Told::Seen(Seen::Refused));
        assert_eq!(told(&remove, &reply(204, "")), Told::Seen(Seen::Done));
    }

    #[test]
    fn bytes_that_nobody_wrote_and_refusals_that_are_not_due_are_wrong() {
        let get = Act::Get {
            path: "a".to_owned(),
        };
        assert!(matches!(told(&get, &reply(200, "hello")), Told::Wrong(_)));
        assert!(matches!(told(&get, &reply(401, "")), Told::Wrong(_)));
        assert_eq!(told(&get, &reply(404, "")), Told::Seen(Seen::Value(None)));
        assert_eq!(told(&get, &reply(503, "")), Told::Seen(Seen::Unknown));
    }
}
