//! The table of nodes: which columns, in which order, which rows.

use std::cmp::Ordering;

use vaquita_core::admin::NodeRow;
use vaquita_core::ids::Role;

use crate::measures::MEASURES;
use crate::words::{self, Words};
use crate::{State, format};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Its name.
    Node,
    /// How it is.
    State,
    /// Why.
    Reason,
    /// Its host.
    Host,
    /// Its port.
    Port,
    /// `host:port:alias`.
    Site,
    /// The agent of its host.
    Agent,
    /// Process id.
    Process,
    /// Its registration.
    Epoch,
    /// When it was last heard.
    Heard,
    /// What an operator has ordered.
    Order,
    /// The word for what it is.
    Mode,
    /// Something that it has measured, by its number among all.
    Measure(usize),
}

impl Column {
    /// Those that come before and after what processes measure.
    const FIRST: [Self; 9] = [
        Self::Node,
        Self::State,
        Self::Mode,
        Self::Host,
        Self::Port,
        Self::Site,
        Self::Agent,
        Self::Process,
        Self::Epoch,
    ];
    const LAST: [Self; 3] = [Self::Heard, Self::Order, Self::Reason];

    /// All, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        let measures = (0..MEASURES.len()).map(Self::Measure);
        Self::FIRST.into_iter().chain(measures).chain(Self::LAST)
    }

    /// Those that are shown to who has chosen none.
    pub fn usual() -> impl Iterator<Item = Self> {
        let keys = [
            "node", "state", "host", "port", "cpu", "memory", "free", "heard", "reason",
        ];
        Self::all().filter(move |it| keys.contains(&it.key()))
    }

    /// Its name in addresses and cookies.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::State => "state",
            Self::Reason => "reason",
            Self::Host => "host",
            Self::Port => "port",
            Self::Site => "site",
            Self::Agent => "agent",
            Self::Process => "pid",
            Self::Epoch => "epoch",
            Self::Heard => "heard",
            Self::Order => "order",
            Self::Mode => "mode",
            Self::Measure(at) => MEASURES[at].key,
        }
    }

    /// The column of that name.
    #[must_use]
    pub fn named(key: &str) -> Option<Self> {
        Self::all().find(|it| it.key() == key)
    }

    fn word(self, t: &Words) -> &'static str {
        match self {
            Self::Node => t.node,
            Self::State => t.state,
            Self::Reason => t.reason,
            Self::Host => t.host,
            Self::Port => t.port,
            Self::Site => t.site,
            Self::Agent => t.agent,
            Self::Process => t.process_id,
            Self::Epoch => t.epoch,
            Self::Heard => t.heard,
            Self::Order => t.orders,
            Self::Mode => t.mode,
            Self::Measure(at) => (MEASURES[at].word)(t),
        }
    }

    const fn is_number(self) -> bool {
        matches!(
            self,
            Self::Port | Self::Process | Self::Epoch | Self::Heard | Self::Measure(_)
        )
    }

    fn compare(self, one: &NodeRow, other: &NodeRow) -> Ordering {
        match self {
            Self::Node => one.alias.cmp(&other.alias),
            Self::State => one.state.cmp(&other.state),
            Self::Reason => one.reason.cmp(&other.reason),
            Self::Host => one.host.cmp(&other.host),
            Self::Port => one.port.cmp(&other.port),
            Self::Site => one.site.cmp(&other.site),
            Self::Agent => one.agent.cmp(&other.agent),
            Self::Process => one.pid.cmp(&other.pid),
            Self::Epoch => one.epoch.cmp(&other.epoch),
            Self::Heard => one.silent_ms.cmp(&other.silent_ms),
            Self::Order => one.admin.cmp(other.admin),
            Self::Mode => one.mode.cmp(&other.mode),
            Self::Measure(at) => measured(one, at).cmp(&measured(other, at)),
        }
    }

    fn cell(self, t: &Words, row: &NodeRow) -> Cell {
        let label = self.word(t);
        let text = |text: String| Cell::Text { label, text };
        let number = |number: Option<String>| Cell::Number {
            label,
            text: number.unwrap_or_default(),
        };
        match self {
            Self::Node => Cell::Node,
            Self::State => Cell::State {
                state: State::of_node(t, row.state),
            },
            Self::Reason => Cell::English {
                label,
                text: both(&row.reason, &row.admin_reason),
            },
            Self::Host => text(row.host.clone()),
            Self::Port => number(Some(row.port.to_string())),
            Self::Site => text(row.site.clone()),
            Self::Agent => match &row.agent {
                Some(agent) => Cell::Link {
                    label,
                    text: agent.to_string(),
                    href: format!("/nodes/{agent}"),
                },
                None => text(String::new()),
            },
            Self::Process => number(row.pid.map(|pid| pid.to_string())),
            Self::Epoch => number(row.epoch.map(|epoch| epoch.to_string())),
            Self::Heard => number(row.silent_ms.map(format::span)),
            Self::Order => text(order(t, row.admin).to_owned()),
            Self::Mode => text(words::mode(t, row.mode).to_owned()),
            Self::Measure(at) => number(measured(row, at).map(MEASURES[at].written)),
        }
    }
}

/// What a node has measured, if it is there and has.
fn measured(row: &NodeRow, at: usize) -> Option<u64> {
    let figures = row.figures.as_ref().filter(|it| it.age_ms.is_some())?;
    (MEASURES.get(at)?.of)(figures)
}

/// The word for what an operator has ordered; empty for nothing.
pub(super) fn order(t: &Words, admin: &'static str) -> &'static str {
    match admin {
        "none" => "",
        "maintenance" => t.state_maintenance,
        "draining" => t.state_draining,
        "drained" => t.state_drained,
        other => other,
    }
}

pub(super) fn both(one: &str, other: &str) -> String {
    match (one.is_empty(), other.is_empty()) {
        (false, false) => format!("{one}; {other}"),
        _ => format!("{one}{other}"),
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// The node's name, with what follows from it.
    Node,
    /// Its state.
    State { state: State },
    /// A text.
    Text { label: &'static str, text: String },
    /// What the controller says in a sentence.
    English { label: &'static str, text: String },
    /// A number.
    Number { label: &'static str, text: String },
    /// A text that leads elsewhere.
    Link {
        label: &'static str,
        text: String,
        href: String,
    },
}

/// By which column rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sorting {
    /// The column.
    pub column: Column,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl Sorting {
    /// Reads `state`, or `-state` for the other way round.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let (key, descending) = match text.strip_prefix('-') {
            Some(key) => (key, true),
            None => (text, false),
        };
        let column = Column::named(key)?;
        Some(Self { column, descending })
    }
}

/// What a reader has chosen to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableView {
    /// Which columns.
    pub columns: Vec<Column>,
    /// In which order; that of the configuration if none was chosen.
    pub sorting: Option<Sorting>,
    /// A text that is in each row that is shown.
    pub filter: String,
}

impl Default for TableView {
    fn default() -> Self {
        Self {
            columns: Column::usual().collect(),
            sorting: None,
            filter: String::new(),
        }
    }
}

/// A column as the table's head shows it.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) word: &'static str,
    pub(super) number: bool,
    pub(super) sorted: Option<&'static str>,
    pub(super) sort_href: String,
}

/// A column that can be chosen.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) key: &'static str,
    pub(super) word: &'static str,
    pub(super) shown: bool,
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) alias: String,
    /// Whether orders are given to it here.
    pub(super) chosen: bool,
    pub(super) conditions: Vec<String>,
    pub(super) cells: Vec<Cell>,
}

/// The table as it is drawn.
#[derive(Clone, Debug)]
pub struct NodeTable {
    pub(super) filter: String,
    pub(super) columns: Vec<Head>,
    pub(super) choices: Vec<Choice>,
    pub(super) rows: Vec<Row>,
}

impl NodeTable {
    /// Puts it together.
    #[must_use]
    pub fn new<'a>(
        t: &Words,
        nodes: impl IntoIterator<Item = &'a NodeRow>,
        view: &TableView,
    ) -> Self {
        let columns: Vec<Column> = Column::all()
            .filter(|it| *it == Column::Node || view.columns.contains(it))
            .collect();
        let wanted = view.filter.trim().to_lowercase();
        let mut rows: Vec<&NodeRow> = nodes
            .into_iter()
            .filter(|row| wanted.is_empty() || has_text(t, row, &wanted))
            .collect();
        if let Some(Sorting { column, descending }) = view.sorting {
            // What is not known comes first, or last. Stable: what is equal stays in the order of the configuration.
            rows.sort_by(|one, other| match descending {
                false => column.compare(one, other),
                true => column.compare(other, one),
            });
        }
        let heads = columns.iter().map(|column| head(t, *column, view.sorting));
        let choices = Column::all().filter(|it| *it != Column::Node);
        Self {
            filter: view.filter.clone(),
            columns: heads.collect(),
            choices: choices
                .map(|column| Choice {
                    key: column.key(),
                    word: column.word(t),
                    shown: columns.contains(&column),
                })
                .collect(),
            rows: rows
                .into_iter()
                .map(|row| Row {
                    alias: row.alias.to_string(),
                    chosen: row.mode == Role::DataNode,
                    conditions: row.conditions.clone(),
                    cells: columns.iter().map(|column| column.cell(t, row)).collect(),
                })
                .collect(),
        }
    }
}

fn head(t: &Words, column: Column, sorting: Option<Sorting>) -> Head {
    let here = sorting.filter(|it| it.column == column);
    // Once more on the same column turns it round, and once more forgets it.
    let next = match here {
        None => column.key().to_owned(),
        Some(Sorting {
            descending: false, ..
        }) => format!("-{}", column.key()),
        Some(_) => String::new(),
    };
    Head {
        word: column.word(t),
        number: column.is_number(),
        sorted: here.map(|it| match it.descending {
            false => "ascending",
            true => "descending",
        }),
        sort_href: format!("/?sort={next}"),
    }
}

fn has_text(t: &Words, row: &NodeRow, wanted: &str) -> bool {
    let state = words::node_state(t, row.state);
    let texts = [
        row.site.as_str(),
        row.state.as_str(),
        state,
        row.reason.as_str(),
        order(t, row.admin),
        row.agent.as_ref().map_or("", |agent| agent.as_str()),
    ];
    let more = row.conditions.iter().map(String::as_str);
    texts
        .into_iter()
        .chain(more)
        .any(|text| text.to_lowercase().contains(wanted))
}
