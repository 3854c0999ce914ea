use askama::Template;

use crate::Frame;

/// Why there is no page, and what to do.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub struct ProblemPage {
    /// What surrounds it.
    pub f: Frame,
    /// In a few words.
    pub title: String,
    /// In full.
    pub message: String,
    /// Where to go, and the word for it.
    pub link: Option<(String, &'static str)>,
}
