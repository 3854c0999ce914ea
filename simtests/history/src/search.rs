//! The search for an order of events.
//!
//! Events are gone through in the order of time. What is kept are all *ways* in which things can have gone so
//! far: what the files have, and which deeds that wait for their answers have happened already. A deed happens
//! as late as possible: when its answer comes, and whatever has to happen before it just before (Lowe, "Testing
//! for linearizability", 2017). So the work grows with the length of the history, and not with its power.
//!
//! Deeds without an answer never have to happen, and would multiply the ways. Three thoughts keep them few. Of
//! two ways that differ in nothing but the unanswered deeds that were used, the one that has used fewer can do
//! whatever the other can. Unanswered deeds that do the same to the same file are as good as one another, so
//! that the oldest unused one stands for all. And contents that nobody has read or named are all alike.
//!
//! Most histories are right, and most of what is without an answer has not happened or does not matter. So a first
//! pass lets such deeds happen only where no way goes on without them, and as few as do. An order that it finds is
//! one; where it finds none, a second pass keeps all ways.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use crate::history::{Deed, Moment};
use crate::model::{Act, Expected, Move, Seen, Table};

/// What became of a search.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is an order, found after a look at so many ways.
    Order(usize),
    /// There is none; the story of the answer that nothing explains.
    Nothing(String),
    /// It was given up there.
    TooMuch(String),
}

/// Deeds that may wait for their answers at one moment: one bit each.
const WAITING_MAX: u32 = u64::BITS;
/// Ways that are kept at one moment before the search is given up.
const WAYS_MAX: usize = 200_000;
/// Deeds before the inexplicable one that its story tells.
const TOLD: usize = 20;
/// The number of all contents that nobody has read or named.
const UNREAD: u64 = u64::MAX;

/// How things can have gone, but for the unanswered deeds that were used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    table: Table,
    /// The deeds that have happened and wait for their answers, by their bits.
    happened: u64,
}

/// Unanswered deeds that were used, in rising order.
type Used = Vec<usize>;

/// Ways with the least sets of used deeds by which they are reached.
#[derive(Debug, Default)]
struct Ways {
    reached: BTreeMap<Way, Vec<Used>>,
    count: usize,
}

fn is_subset(few: &Used, many: &Used) -> bool {
    let mut many = many.iter();
    few.iter().all(|one| many.any(|other| one == other))
}

impl Ways {
    /// Adds a way; `false` if one that can do whatever this one can is there.
    fn add(&mut self, way: Way, used: Used) -> bool {
        let known = match self.reached.entry(way) {
            Entry::Vacant(new) => {
                new.insert(vec![used]);
                self.count += 1;
                return true;
            }
            Entry::Occupied(known) => known.into_mut(),
        };
        if known.iter().any(|fewer| is_subset(fewer, &used)) {
            return false;
        }
        self.count -= known.len();
        known.retain(|more| !is_subset(&used, more));
        known.push(used);
        self.count += known.len();
        true
    }

    fn holds(&self, way: &Way, used: &Used) -> bool {
        self.reached
            .get(way)
            .is_some_and(|known| known.contains(used))
    }
}

/// An event: a deed is asked for, or answered. Of one moment, questions come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Asked,
    Answered,
}

/// When, what, and of which deed.
type Event = (Moment, Side, usize);

/// A deed that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    deed: usize,
    bit: u32,
}

struct Search<'a> {
    deeds: &'a [&'a Deed],
    moves: Vec<Move>,
    waiting: Vec<Waiting>,
    /// Deeds without an answer that were asked for and may still happen, the oldest of each kind first.
    open: BTreeMap<Move, Vec<usize>>,
    ways: Ways,
    /// Whether deeds without an answer happen only where no way goes on without them.
    sparing: bool,
    /// Ways that were gone on with.
    looked_at: usize,
}

/// Looks for an order that explains what was told of these files.
pub(crate) fn run(deeds: &[&Deed], paths: &[&str]) -> Found {
    let mut events: Vec<Event> = Vec::new();
    for (at, deed) in deeds.iter().enumerate() {
        // A read without an answer changes nothing and says nothing.
        let unanswered = deed.seen == Seen::Unknown;
        if unanswered && matches!(deed.act, Act::Get { .. }) {
            continue;
        }
        events.push((deed.began, Side::Asked, at));
        if !unanswered {
            events.push((deed.ended, Side::Answered, at));
        }
    }
    events.sort_unstable();
    let first = Search::new(deeds, paths, true).go_through(&events);
    let found = first.or_else(|_| Search::new(deeds, paths, false).go_through(&events));
    found.map_or_else(|wrong| wrong, Found::Order)
}

impl<'a> Search<'a> {
    fn new(deeds: &'a [&'a Deed], paths: &[&str], sparing: bool) -> Self {
        let place = |path: &str| paths.binary_search(&path).expect("a path of the deeds");
        let mut named = BTreeSet::new();
        for deed in deeds {
            if let Seen::Value(Some(number)) = deed.seen {
                named.insert(number);
            }
            if let Act::Put {
                expect: Expected::Number(number),
                ..
            } = deed.act
            {
                named.insert(number);
            }
        }
        let moves = deeds.iter().map(|deed| match &deed.act {
            Act::Put {
                path,
                number,
                expect,
            } => {
                let number = named.get(number).copied().unwrap_or(UNREAD);
                Move::Put(place(path), number, *expect)
            }
            Act::Get { path } => Move::Get(place(path)),
            Act::Remove { path } => Move::Remove(place(path)),
            Act::Rename { from, to, replace } => Move::Rename(place(from), place(to), *replace),
        });
        let mut ways = Ways::default();
        let empty = Way {
            table: vec![None; paths.len()],
            happened: 0,
        };
        ways.add(empty, Used::new());
        Self {
            deeds,
            moves: moves.collect(),
            waiting: Vec::new(),
            open: BTreeMap::new(),
            ways,
            sparing,
            looked_at: 0,
        }
    }

    fn go_through(mut self, events: &[Event]) -> Result<usize, Found> {
        for (_, side, at) in events {
            match side {
                Side::Asked => self.asked(*at)?,
                Side::Answered => self.answered(*at)?,
            }
        }
        Ok(self.looked_at)
    }

    fn asked(&mut self, deed: usize) -> Result<(), Found> {
        if self.deeds[deed].seen == Seen::Unknown {
            let kind = self.moves[deed].clone();
            self.open.entry(kind).or_default().push(deed);
            return Ok(());
        }
        let is_free = |bit: &u32| self.waiting.iter().all(|it| it.bit != *bit);
        let Some(bit) = (0..WAITING_MAX).find(is_free) else {
            return Err(Found::TooMuch(self.story(deed, &self.ways)));
        };
        self.waiting.push(Waiting { deed, bit });
        Ok(())
    }

    /// Has a deed happen in every way in which it can, and whatever has to happen before.
    fn answered(&mut self, deed: usize) -> Result<(), Found> {
        let at = self.waiting.iter().position(|it| it.deed == deed);
        let this = self.waiting.swap_remove(at.expect("it was asked for"));
        let before = std::mem::take(&mut self.ways);
        let mut after = Ways::default();
        let mut tried = Ways::default();
        let mut left: VecDeque<(Way, Used)> = VecDeque::new();
        for (way, used) in &before.reached {
            for used in used {
                if way.happened & (1 << this.bit) != 0 {
                    let mut way = way.clone();
                    way.happened &= !(1 << this.bit);
                    after.add(way, used.clone());
                } else if tried.add(way.clone(), used.clone()) {
                    left.push_back((way.clone(), used.clone()));
                }
            }
        }
        // Ways in which one deed without an answer more has happened than in those that are left.
        let mut further: VecDeque<(Way, Used)> = VecDeque::new();
        loop {
            let Some((way, used)) = left.pop_front() else {
                if further.is_empty() || (self.sparing && after.count > 0) {
                    break;
                }
                left = std::mem::take(&mut further);
                continue;
            };
            self.looked_at += 1;
            // Something better may have come since.
            if !tried.holds(&way, &used) {
                continue;
            }
            if let Some(table) = self.happen(deed, &way.table) {
                let happened = way.happened;
                after.add(Way { table, happened }, used.clone());
            }
            for other in &self.waiting {
                let bit = 1 << other.bit;
                if way.happened & bit == 0
                    && let Some(table) = self.happen(other.deed, &way.table)
                {
                    let happened = way.happened | bit;
                    let next = Way { table, happened };
                    if tried.add(next.clone(), used.clone()) {
                        left.push_back((next, used.clone()));
                    }
                }
            }
            for (table, used) in self.unanswered(&way.table, &used) {
                let happened = way.happened;
                let next = Way { table, happened };
                if tried.add(next.clone(), used.clone()) {
                    further.push_back((next, used));
                }
            }
            if tried.count + after.count > WAYS_MAX {
                return Err(Found::TooMuch(self.story(deed, &before)));
            }
        }
        if after.count == 0 {
            return Err(Found::Nothing(self.story(deed, &before)));
        }
        self.ways = after;
        self.forget_settled();
        Ok(())
    }

    /// Forgets unanswered deeds that have happened whichever way things have gone.
    fn forget_settled(&mut self) {
        let mut sets = self.ways.reached.values().flatten();
        let mut settled = sets.next().cloned().unwrap_or_default();
        for used in sets {
            settled.retain(|deed| used.binary_search(deed).is_ok());
        }
        if settled.is_empty() {
            return;
        }
        let is_settled = |deed: &usize| settled.binary_search(deed).is_ok();
        let sets = self.ways.reached.values_mut().flatten();
        sets.for_each(|used| used.retain(|deed| !is_settled(deed)));
        for deed in &settled {
            if let Some(alike) = self.open.get_mut(&self.moves[*deed]) {
                alike.retain(|other| other != deed);
            }
        }
        self.open.retain(|_, alike| !alike.is_empty());
    }

    fn happen(&self, deed: usize, table: &Table) -> Option<Table> {
        self.moves[deed].happen(self.deeds[deed].seen, table)
    }

    /// What unanswered deeds can make of a table, each kind of them by its oldest.
    fn unanswered(&self, table: &Table, used: &Used) -> Vec<(Table, Used)> {
        let mut nexts = Vec::new();
        for alike in self.open.values() {
            let unused = alike
                .iter()
                .find_map(|deed| Some((*deed, used.binary_search(deed).err()?)));
            let Some((deed, place)) = unused else {
                continue;
            };
            let next = self.happen(deed, table).filter(|next| next != table);
            if let Some(next) = next {
                let mut used = used.clone();
                used.insert(place, deed);
                nexts.push((next, used));
            }
        }
        nexts
    }

    /// What was told before an answer, what the files can have had, and the answer.
    fn story(&self, deed: usize, before: &Ways) -> String {
        let this = self.deeds[deed];
        let earlier = |other: &&&Deed| other.began <= this.ended && !std::ptr::eq(**other, this);
        let mut told: Vec<&&Deed> = self.deeds.iter().filter(earlier).collect();
        told.sort_by_key(|deed| (deed.ended.min(this.ended), deed.began));
        let skipped = told.len().saturating_sub(TOLD);
        let mut story = String::new();
        if skipped > 0 {
            let _ = writeln!(story, "  ({skipped} earlier ones)");
        }
        for deed in &told[skipped..] {
            let _ = writeln!(story, "  {deed}");
        }
        let tables: BTreeSet<String> = (before.reached.keys())
            .map(|way| {
                let values = way.table.iter().map(|value| match value {
                    None => "nothing".to_owned(),
                    Some(UNREAD) => "a content that nobody has read".to_owned(),
                    Some(number) => number.to_string(),
                });
                values.collect::<Vec<_>>().join(" and ")
            })
            .take(TOLD)
            .collect();
        let tables: Vec<String> = tables.into_iter().collect();
        let _ = writeln!(
            story,
            "  by then there can have been {}",
            tables.join("; or ")
        );
        let _ = write!(story, "  {this}   <- this fits none of it");
        story
    }
}
