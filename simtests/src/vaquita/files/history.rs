//! What clients were told, and whether any order of events explains it.
//!
//! The check is the search of Wing and Gong ("Testing and verifying concurrent objects", 1993), with
//! a memory of what was tried (Lowe, "Testing for linearizability", 2017): an order is looked for in
//! which each thing happened at one moment between its question and its answer, and in which the
//! plainest of all file systems, a table of names, gives the same answers. What has an unknown outcome
//! may have happened at any moment since it was asked, or never.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::SimTime;

/// What somebody wanted. Contents are numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// To make this the file's content.
    Put {
        /// The file.
        path: String,
        /// The content.
        number: u64,
        /// What has to be there.
        expect: Expected,
    },
    /// To read the file.
    Get {
        /// The file.
        path: String,
    },
    /// To remove the file.
    Remove {
        /// The file.
        path: String,
    },
    /// To give the file another name.
    Rename {
        /// The present name.
        from: String,
        /// The new one.
        to: String,
        /// Whether what has the new name gives way.
        replace: bool,
    },
}

/// What has to be there for a content to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Anything,
    /// No file.
    Nothing,
    /// Any file.
    Something,
    /// A file with this content.
    Number(u64),
}

/// What they were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is done.
    Done,
    /// It is not done, since what is there forbids it.
    Refused,
    /// The file has this content, or is not there.
    Value(Option<u64>),
    /// Nothing is known.
    Unknown,
}

#[derive(Clone, Debug)]
struct Deed {
    act: Act,
    began: SimTime,
    ended: SimTime,
    seen: Seen,
}

/// What clients were told.
#[derive(Clone, Debug, Default)]
pub struct History {
    deeds: Vec<Deed>,
}

/// Deeds that one search can take.
const DEEDS_MAX: usize = 128;
/// States that one search looks at before it gives up.
const STATES_MAX: usize = 2_000_000;

type Table = Vec<Option<u64>>;

impl History {
    /// Notes a deed. One with an unknown outcome has no end.
    pub fn note(&mut self, act: Act, began: SimTime, ended: SimTime, seen: Seen) {
        let ended = match seen {
            Seen::Unknown => SimTime::NEVER,
            _ => ended,
        };
        self.deeds.push(Deed {
            act,
            began,
            ended,
            seen,
        });
    }

    /// How many deeds there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.deeds.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deeds.is_empty()
    }

    /// How many deeds have an unknown outcome.
    #[must_use]
    pub fn unknown(&self) -> usize {
        let unknown = self.deeds.iter().filter(|deed| deed.seen == Seen::Unknown);
        unknown.count()
    }

    /// Looks for an order that explains everything.
    ///
    /// # Errors
    /// The files for which there is none, with what was told about them.
    pub fn check(&self) -> Result<(), String> {
        for group in self.groups() {
            let paths: BTreeSet<&str> = group.iter().flat_map(|deed| paths(&deed.act)).collect();
            let paths: Vec<&str> = paths.into_iter().collect();
            if group.len() > DEEDS_MAX {
                return Err(format!(
                    "{} deeds about {} are too many for one search",
                    group.len(),
                    paths.join(", ")
                ));
            }
            if !Search::new(&group, &paths).run()? {
                let told: Vec<String> = group
                    .iter()
                    .map(|deed| {
                        format!(
                            "{} to {}: {:?} {:?}",
                            deed.began, deed.ended, deed.act, deed.seen
                        )
                    })
                    .collect();
                return Err(format!(
                    "no order of events explains what clients were told:\n{}",
                    told.join("\n")
                ));
            }
        }
        Ok(())
    }

    /// Deeds about the same files, files that exchange names taken together.
    fn groups(&self) -> Vec<Vec<&Deed>> {
        let mut root: BTreeMap<&str, &str> = BTreeMap::new();
        fn find<'a>(root: &BTreeMap<&'a str, &'a str>, mut path: &'a str) -> &'a str {
            while let Some(up) = root.get(path).filter(|up| **up != path) {
                path = up;
            }
            path
        }
        for deed in &self.deeds {
            let paths = paths(&deed.act);
            let first = find(&root, paths[0]);
            for path in paths {
                let other = find(&root, path);
                root.insert(other, first);
            }
        }
        let mut groups: BTreeMap<&str, Vec<&Deed>> = BTreeMap::new();
        for deed in &self.deeds {
            let group = find(&root, paths(&deed.act)[0]);
            groups.entry(group).or_default().push(deed);
        }
        groups.into_values().collect()
    }
}

fn paths(act: &Act) -> Vec<&str> {
    match act {
        Act::Put { path, .. } | Act::Get { path } | Act::Remove { path } => vec![path],
        Act::Rename { from, to, .. } => vec![from, to],
    }
}

struct Search<'a> {
    deeds: &'a [&'a Deed],
    paths: &'a [&'a str],
    tried: BTreeSet<(u128, Table)>,
}

impl<'a> Search<'a> {
    const fn new(deeds: &'a [&'a Deed], paths: &'a [&'a str]) -> Self {
        Self {
            deeds,
            paths,
            tried: BTreeSet::new(),
        }
    }

    fn run(mut self) -> Result<bool, String> {
        let certain = self.deeds.iter().enumerate();
        let certain = certain.filter(|(_, deed)| deed.seen != Seen::Unknown);
        let goal = certain.fold(0_u128, |goal, (at, _)| goal | 1 << at);
        let mut open = vec![(0_u128, vec![None; self.paths.len()])];
        while let Some((done, table)) = open.pop() {
            if done & goal == goal {
                return Ok(true);
            }
            if !self.tried.insert((done, table.clone())) {
                continue;
            }
            if self.tried.len() > STATES_MAX {
                return Err("the search for an order takes too long".to_owned());
            }
            let missing = (0..self.deeds.len()).filter(|at| done & (1 << at) == 0);
            let first_end = missing
                .clone()
                .map(|at| self.deeds[at].ended)
                .min()
                .unwrap_or(SimTime::NEVER);
            for at in missing {
                let deed = self.deeds[at];
                if deed.began <= first_end
                    && let Some(next) = self.happen(deed, &table)
                {
                    open.push((done | 1 << at, next));
                }
            }
        }
        Ok(false)
    }

    fn at(&self, path: &str) -> usize {
        let found = self.paths.iter().position(|known| *known == path);
        found.unwrap_or_default()
    }

    /// The table after a deed; `None` if it cannot have been told what it was told.
    fn happen(&self, deed: &Deed, table: &Table) -> Option<Table> {
        let mut next = table.clone();
        let possible = match &deed.act {
            Act::Get { path } => {
                return (deed.seen == Seen::Value(table[self.at(path)])).then_some(next);
            }
            Act::Put {
                path,
                number,
                expect,
            } => {
                let there = &mut next[self.at(path)];
                let fits = match expect {
                    Expected::Anything => true,
                    Expected::Nothing => there.is_none(),
                    Expected::Something => there.is_some(),
                    Expected::Number(number) => *there == Some(*number),
                };
                *there = Some(*number);
                fits
            }
            Act::Remove { path } => next[self.at(path)].take().is_some(),
            Act::Rename { from, to, replace } => {
                let (from, to) = (self.at(from), self.at(to));
                let possible = table[from].is_some() && (*replace || table[to].is_none());
                let moved = next[from].take();
                next[to] = moved;
                possible
            }
        };
        match deed.seen {
            Seen::Done | Seen::Unknown => possible.then_some(next),
            Seen::Refused => (!possible).then(|| table.clone()),
            Seen::Value(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(s: u64) -> SimTime {
        SimTime::ZERO.after(Duration::from_secs(s))
    }

    fn put(number: u64) -> Act {
        Act::Put {
            path: "a".to_owned(),
            number,
            expect: Expected::Anything,
        }
    }

    fn get() -> Act {
        Act::Get {
            path: "a".to_owned(),
        }
    }

    #[test]
    fn what_was_acknowledged_is_read_afterwards() {
        let mut history = History::default();
        history.note(put(1), at(0), at(1), Seen::Done);
        history.note(get(), at(2), at(3), Seen::Value(Some(1)));
        assert_eq!(history.check(), Ok(()));
        history.note(get(), at(4), at(5), Seen::Value(None));
        assert!(history.check().is_err(), "it is gone and nobody removed it");
    }

    #[test]
    fn two_readers_see_two_writes_in_one_order() {
        let mut history = History::default();
        history.note(put(1), at(0), at(9), Seen::Done);
        history.note(put(2), at(0), at(9), Seen::Done);
        history.note(get(), at(1), at(2), Seen::Value(Some(1)));
        history.note(get(), at(3), at(4), Seen::Value(Some(2)));
        assert_eq!(history.check(), Ok(()));
        history.note(get(), at(5), at(6), Seen::Value(Some(1)));
        assert!(history.check().is_err(), "it went back");
    }

    #[test]
    fn an_unknown_write_may_show_at_any_time_or_never() {
        let mut history = History::default();
        history.note(put(1), at(0), at(1), Seen::Unknown);
        history.note(get(), at(2), at(3), Seen::Value(None));
        history.note(get(), at(4), at(5), Seen::Value(Some(1)));
        assert_eq!(history.check(), Ok(()));
        history.note(get(), at(6), at(7), Seen::Value(None));
        assert!(history.check().is_err(), "it came and went");
    }

    #[test]
    fn of_two_who_expect_the_same_one_is_refused() {
        let mut history = History::default();
        let expect = Expected::Number(1);
        let replace = |number| Act::Put {
            path: "a".to_owned(),
            number,
            expect,
        };
        history.note(put(1), at(0), at(1), Seen::Done);
        history.note(replace(2), at(2), at(5), Seen::Done);
        history.note(replace(3), at(2), at(5), Seen::Refused);
        assert_eq!(history.check(), Ok(()));
        let mut history = History::default();
        history.note(put(1), at(0), at(1), Seen::Done);
        history.note(replace(2), at(2), at(5), Seen::Done);
        history.note(replace(3), at(2), at(5), Seen::Done);
        assert!(history.check().is_err(), "both were taken");
    }

    #[test]
    fn a_rename_moves_the_content() {
        let mut history = History::default();
        let rename = Act::Rename {
            from: "a".to_owned(),
            to: "b".to_owned(),
            replace: false,
        };
        history.note(put(1), at(0), at(1), Seen::Done);
        history.note(rename, at(2), at(3), Seen::Done);
        history.note(get(), at(4), at(5), Seen::Value(None));
        assert_eq!(history.check(), Ok(()));
        history.note(get(), at(6), at(7), Seen::Value(Some(1)));
        assert!(history.check().is_err(), "a renamed file is still there");
    }
}
