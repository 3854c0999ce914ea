//! What clients were told, sorted by the files that it is about.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::model::{Act, Seen};
use crate::search::{self, Found};

/// A moment: the time since the history began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Later than everything.
    pub const NEVER: Self = Self(Duration::MAX);

    /// So long after the beginning.
    #[must_use]
    pub const fn after(begun: Duration) -> Self {
        Self(begun)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        write!(f, "{:.6}s", self.0.as_secs_f64())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) act: Act,
    pub(crate) began: Moment,
    pub(crate) ended: Moment,
    pub(crate) seen: Seen,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            act,
            began,
            ended,
            seen,
        } = self;
        write!(f, "{began} to {ended}: {act}: {seen}")
    }
}

/// What clients were told.
#[derive(Clone, Debug, Default)]
pub struct History {
    deeds: Vec<Deed>,
}

/// What a check has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Searches: one for each file, and one for files together that have exchanged names.
    pub searches: usize,
    /// Deeds.
    pub deeds: usize,
    /// Deeds of the largest search.
    pub most: usize,
    /// Ways in which things can have gone that were gone on with: what a check costs.
    pub ways: usize,
}

/// Files of which clients were told what no order of events explains, or for which none was found in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The files.
    pub paths: Vec<String>,
    /// Whether the search was given up, so that nothing is known.
    pub undecided: bool,
    /// What was told, around the answer that nothing explains.
    pub story: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.paths.join(", ");
        let what = if self.undecided {
            "the search for an order of events takes too long"
        } else {
            "no order of events explains what clients were told"
        };
        write!(f, "{paths}: {what}:\n{}", self.story)
    }
}

/// One line for each deed, in the order in which they were noted.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deeds.iter().try_for_each(|deed| writeln!(f, "{deed}"))
    }
}

impl History {
    /// Notes a deed. One with an unknown outcome has no end.
    pub fn note(&mut self, act: Act, began: Moment, ended: Moment, seen: Seen) {
        let ended = match seen {
            Seen::Unknown => Moment::NEVER,
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
    pub fn check(&self) -> Result<Checked, Vec<Wrong>> {
        let (checked, wrongs) = self.examine();
        if wrongs.is_empty() {
            Ok(checked)
        } else {
            Err(wrongs)
        }
    }

    /// Looks for an order that explains everything, like [`History::check`]: what was looked at, also where there is
    /// something wrong, and the files for which there is no order.
    #[must_use]
    pub fn examine(&self) -> (Checked, Vec<Wrong>) {
        let mut checked = Checked::default();
        let mut wrongs = Vec::new();
        for group in self.groups() {
            checked.searches += 1;
            checked.deeds += group.len();
            checked.most = checked.most.max(group.len());
            let mut paths: Vec<&str> = group.iter().flat_map(|deed| deed.act.paths()).collect();
            paths.sort_unstable();
            paths.dedup();
            let (undecided, story) = match search::run(&group, &paths) {
                Found::Order(ways) => {
                    checked.ways += ways;
                    continue;
                }
                Found::Nothing(story) => (false, story),
                Found::TooMuch(story) => (true, story),
            };
            wrongs.push(Wrong {
                paths: paths.into_iter().map(str::to_owned).collect(),
                undecided,
                story,
            });
        }
        (checked, wrongs)
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
            let paths = deed.act.paths();
            let first = find(&root, paths[0]);
            for path in paths {
                let other = find(&root, path);
                root.insert(other, first);
            }
        }
        let mut groups: BTreeMap<&str, Vec<&Deed>> = BTreeMap::new();
        for deed in &self.deeds {
            let group = find(&root, deed.act.paths()[0]);
            groups.entry(group).or_default().push(deed);
        }
        groups.into_values().collect()
    }
}
