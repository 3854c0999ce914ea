use askama::Template;
use vaquita_core::audit::{AuditPage as Entries, AuditRow};

use crate::format::{self, Moment};
use crate::words::fill;
use crate::{Frame, Tone};

/// An entry, with what is drawn of it.
#[derive(Clone, Debug)]
pub(super) struct EntryView {
    row: AuditRow,
    at: Option<Moment>,
}

/// Who did what.
#[derive(Debug, Template)]
#[template(path = "audit.html")]
pub struct AuditPage {
    f: Frame,
    page: Entries,
    rows: Vec<EntryView>,
    tone: Tone,
    summary: String,
    actor: String,
    action: String,
    older: Option<String>,
}

impl AuditPage {
    /// Puts it together; `older` is where the entries before these are.
    #[must_use]
    pub fn new(
        f: Frame,
        mut page: Entries,
        actor: String,
        action: String,
        older: Option<String>,
    ) -> Self {
        let t = f.t;
        let (oldest, newest) = (format::count(page.oldest), format::count(page.newest));
        let (tone, text) = match page.intact {
            true => (Tone::Good, t.audit_intact),
            false => (Tone::Bad, t.audit_broken),
        };
        let view = |row: AuditRow| EntryView {
            at: format::moment(row.unix_ms),
            row,
        };
        Self {
            rows: std::mem::take(&mut page.rows)
                .into_iter()
                .map(view)
                .collect(),
            tone,
            summary: fill(text, &[&oldest, &newest]),
            page,
            actor,
            action,
            older,
            f,
        }
    }
}
