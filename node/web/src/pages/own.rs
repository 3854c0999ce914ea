use askama::Template;

use crate::{Frame, State, Tone, format};

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct OwnView {
    /// In one sentence.
    pub summary: String,
    /// Whether it can do its work.
    pub ready: bool,
    /// Milliseconds since its process was started.
    pub uptime_ms: u64,
    /// What somebody should look at.
    pub alarms: Vec<String>,
}

/// A node as it sees itself.
#[derive(Debug, Template)]
#[template(path = "own.html")]
pub struct OwnPage {
    f: Frame,
    alias: String,
    view: OwnView,
    state: State,
    uptime: String,
    manager: Option<String>,
}

impl OwnPage {
    /// Puts it together; `manager` is where the cluster manager has its page.
    #[must_use]
    pub fn new(f: Frame, alias: String, view: OwnView, manager: Option<String>) -> Self {
        let (tone, word) = match view.ready {
            true => (Tone::Good, f.t.ready),
            false => (Tone::Warn, f.t.not_ready),
        };
        Self {
            state: State { tone, word },
            uptime: format::span(view.uptime_ms),
            f,
            alias,
            view,
            manager,
        }
    }
}

/// A page that has the browser show a token to another process of the cluster.
#[derive(Debug, Template)]
#[template(path = "open.html")]
pub struct OpenPage {
    /// What surrounds it.
    pub f: Frame,
    /// What is opened.
    pub title: String,
    /// Where.
    pub target: String,
    /// With what.
    pub token: String,
}

/// A page that goes on to the first one of this process.
#[derive(Debug, Template)]
#[template(path = "enter.html")]
pub struct EnterPage {
    /// What surrounds it.
    pub f: Frame,
}
