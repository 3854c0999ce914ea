use askama::Template;

use crate::{Frame, State};

/// A process that has a log.
#[derive(Clone, Debug)]
pub struct LogRow {
    /// Its name.
    pub alias: String,
    /// The word for what it is.
    pub mode: &'static str,
    /// How it is, where that is known.
    pub state: Option<State>,
    /// Where it is.
    pub host: String,
}

/// Every process with its log.
#[derive(Debug, Template)]
#[template(path = "logs.html")]
pub struct LogsPage {
    /// What surrounds it.
    pub f: Frame,
    /// The processes.
    pub rows: Vec<LogRow>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The line.
    pub text: String,
    /// How bad it is, for the style sheet.
    pub class: &'static str,
}

impl LogLine {
    /// A line, with how bad it is by the word for its level.
    #[must_use]
    pub fn new(text: &str) -> Self {
        // The level stands near the start; what is quoted further on is no level.
        let start: String = text.chars().take(60).collect();
        let class = if start.contains("ERROR") {
            "bad"
        } else if start.contains("WARNING") {
            "warn"
        } else if start.contains("DEBUG") {
            "dim"
        } else {
            ""
        };
        let text = text.to_owned();
        Self { text, class }
    }
}

/// A file of a log that can be chosen.
#[derive(Clone, Debug)]
pub struct LogChoice {
    /// 0 for the present one.
    pub number: u32,
    /// The word for it.
    pub word: String,
    /// Whether it is shown.
    pub chosen: bool,
}

/// A piece of a log.
#[derive(Debug, Template)]
#[template(path = "log.html")]
pub struct LogPage {
    /// What surrounds it.
    pub f: Frame,
    /// Whose.
    pub alias: String,
    /// Which piece, in words.
    pub place: String,
    /// What is searched for.
    pub search: String,
    /// The files there are.
    pub generations: Vec<LogChoice>,
    /// Why there is nothing.
    pub problem: Option<String>,
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Offset of the first byte behind them.
    pub end: u64,
    /// Whether what is written from now on is shown too.
    pub tails: bool,
    /// Where older lines are.
    pub older: Option<String>,
    /// Where the newest lines are.
    pub newer: Option<String>,
}
