//! What one text has and another has not.

use std::time::Duration;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

/// Bytes of a diff that are shown.
const SHOWN_MAX: usize = 256 * 1024;
/// How long a shortest diff is looked for; then a longer one is good enough.
const PATIENCE: Duration = Duration::from_millis(500);
/// Lines around a change that are shown with it.
const AROUND: usize = 3;

/// The difference of two texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// In the unified format; empty if there is none.
    pub unified: String,
    /// Lines that the second text has more.
    pub added: usize,
    /// Lines that the first text had more.
    pub removed: usize,
    /// Whether it is too long to be shown in full.
    pub cut: bool,
}

impl Diff {
    /// The difference of two versions of a file. Bytes that are no text are shown as `U+FFFD`.
    pub(super) fn of(name: &str, before: &[u8], after: &[u8]) -> Self {
        if before == after {
            return Self::default();
        }
        let (before, after) = (
            String::from_utf8_lossy(before),
            String::from_utf8_lossy(after),
        );
        let diff = TextDiff::configure()
            .timeout(PATIENCE)
            .diff_lines(before.as_ref(), after.as_ref());
        let (mut added, mut removed) = (0, 0);
        for change in diff.iter_all_changes() {
            match change.tag() {
                ChangeTag::Insert => added += 1,
                ChangeTag::Delete => removed += 1,
                ChangeTag::Equal => {}
            }
        }
        let mut unified = diff
            .unified_diff()
            .context_radius(AROUND)
            .header(&format!("a/{name}"), &format!("b/{name}"))
            .to_string();
        let cut = unified.len() > SHOWN_MAX;
        if cut {
            let end = unified.floor_char_boundary(SHOWN_MAX);
            unified.truncate(end);
        }
        Self {
            unified,
            added,
            removed,
            cut,
        }
    }
}
