//! One line after the other: the header, then the rows.

use std::ops::Range;

use super::{ClusterNodes, Member};
use crate::alias;
use crate::character;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::Document;
use crate::mode::Mode;
use crate::nearest;
use crate::scan::{self, Content, Finding};
use crate::site;
use crate::span::Span;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    LocalSite,
    Mode,
    ComputeGroup,
    Zone,
}

const COLUMNS: [(&str, Column); 4] = [
    ("localSite", Column::LocalSite),
    ("mode", Column::Mode),
    ("computeGroup", Column::ComputeGroup),
    ("zone", Column::Zone),
];

pub(super) struct Reader<'a> {
    pub(super) document: &'a Document,
    pub(super) diagnostics: Vec<Diagnostic>,
    columns: Vec<Option<Column>>,
    header_seen: bool,
    pub(super) nodes: ClusterNodes,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a Document, diagnostics: Vec<Diagnostic>) -> Reader<'a> {
        Reader {
            document,
            diagnostics,
            columns: COLUMNS.iter().map(|(_, column)| Some(*column)).collect(),
            header_seen: false,
            nodes: ClusterNodes::default(),
        }
    }

    pub(super) fn find(&mut self, finding: Finding, piece: Span) {
        self.diagnostics.push(finding.at(self.document, piece));
    }

    pub(super) fn line(&mut self, content: Content<'_>) {
        let Content { text, span, .. } = content;
        let first = !self.header_seen;
        if let Some(finding) = scan::fullwidth(text, character::ascii_of) {
            // A header beyond reading still was the header.
            self.header_seen |= !text.contains(|it: char| it.is_ascii_digit());
            self.find(finding, span);
            return;
        }
        let fields = scan::split(text, ',');
        if is_header(text, &fields) {
            self.header_seen = true;
            if first {
                self.header(text, &fields, span);
            } else {
                let message = "the header stands here again; the line has no effect";
                let finding = Finding::new(
                    codes::REPEATED_HEADER,
                    0..text.len(),
                    message,
                    "delete the line",
                );
                self.find(finding, span);
            }
            return;
        }
        if !text.contains([',', ':']) {
            let message = "the line is no row of the form `host:port:alias,mode` and has no effect";
            let help = "delete the line, or put `#` before a comment";
            self.find(
                Finding::new(codes::NOT_CONFIGURATION, 0..text.len(), message, help),
                span,
            );
            return;
        }
        if first {
            self.header_seen = true;
            let message = "the header is missing; the row is read here, but DolphinDB takes the \
                           first line for the header";
            let help = "write `localSite,mode` above the first row";
            self.find(
                Finding::new(codes::MISSING_HEADER, 0..0, message, help)
                    .with_fix(0..0, format!("localSite,mode{}", self.line_end())),
                span,
            );
        }
        if let Some(member) = self.row(content, &fields) {
            self.nodes.members.push(member);
        }
    }

    /// How the lines of the file end, for a line to be added.
    fn line_end(&self) -> &'static str {
        match self
            .document
            .lines()
            .first()
            .map(|line| line.ending.as_str())
        {
            None | Some("") => "\n",
            Some(ending) => ending,
        }
    }

    fn header(&mut self, text: &str, fields: &[Range<usize>], span: Span) {
        self.columns.clear();
        for field in fields {
            let name = &text[field.clone()];
            let known = COLUMNS
                .iter()
                .find(|(column, _)| column.eq_ignore_ascii_case(name));
            if let Some((right, _)) = known
                && *right != name
            {
                self.find(
                    Finding::new(
                        codes::KEY_CASE,
                        field.clone(),
                        format!("the column `{name}` is read as `{right}`"),
                        format!("write `{right}`"),
                    )
                    .with_fix(field.clone(), *right),
                    span,
                );
            }
            if known.is_none() && !name.is_empty() {
                let near = nearest::nearest(name, COLUMNS.iter().map(|(column, _)| *column));
                let help = match near {
                    Some(column) => format!("did you mean `{column}`?"),
                    None => "the columns are localSite, mode, computeGroup and zone".to_owned(),
                };
                let message = format!("there is no column `{name}`; it is skipped");
                self.find(
                    Finding::new(codes::UNKNOWN_COLUMN, field.clone(), message, help),
                    span,
                );
            }
            self.columns.push(known.map(|(_, column)| *column));
        }
        if !self.columns.contains(&Some(Column::Mode)) {
            let message = "the header has no column `mode`";
            let help = "write `localSite,mode`";
            self.find(
                Finding::new(codes::MISSING_MODE, 0..text.len(), message, help),
                span,
            );
            // Rows usually have the mode second all the same.
            self.columns.truncate(1);
            self.columns.push(Some(Column::Mode));
        }
    }

    fn row(&mut self, content: Content<'_>, fields: &[Range<usize>]) -> Option<Member> {
        let Content { text, span, .. } = content;
        let field = |column: Column| {
            let index = self.columns.iter().position(|it| *it == Some(column))?;
            fields.get(index).filter(|field| !field.is_empty()).cloned()
        };
        let Some(site_range) = field(Column::LocalSite) else {
            let message = "the row has no site";
            let help = "write `host:port:alias,mode`";
            self.find(
                Finding::new(codes::MALFORMED_ROW, 0..text.len(), message, help),
                span,
            );
            return None;
        };
        let (group, zone) = (field(Column::ComputeGroup), field(Column::Zone));
        let mode = field(Column::Mode);
        if let Some(member) = self.wrong_separator(content, fields, &site_range) {
            return Some(member);
        }
        let site = match site::read(&text[site_range.clone()]) {
            Ok(site) => Some(site),
            Err(finding) => {
                self.find(finding.moved(site_range.start), span);
                None
            }
        };
        let mode = self.mode(text, mode, span);
        for extra in fields
            .iter()
            .skip(self.columns.len())
            .filter(|field| !field.is_empty())
        {
            let message = format!(
                "`{}` stands behind the last column and is skipped",
                &text[extra.clone()]
            );
            let help = match self.columns.len() {
                2 => "delete it, or write the header `localSite,mode,computeGroup,zone`",
                _ => "delete it, or name its column in the header",
            };
            self.find(
                Finding::new(codes::EXTRA_COLUMN, extra.clone(), message, help),
                span,
            );
        }
        let (site, mode) = (site?, mode?);
        let compute_group = self.group(
            text,
            group,
            span,
            "compute group",
            mode == Mode::Computenode,
        );
        let zone = self.group(text, zone, span, "zone", mode.reads_cluster_cfg());
        self.without_effect(mode, 0..text.len(), span);
        let span = span.part(site_range);
        Some(Member {
            site,
            mode,
            compute_group,
            zone,
            place: self.document.place(span.start),
            span,
        })
    }

    fn mode(&mut self, text: &str, range: Option<Range<usize>>, span: Span) -> Option<Mode> {
        let Some(range) = range else {
            let message = "the row does not say what the member is";
            let help = format!(
                "write `{},agent` or `{},datanode`",
                text.trim_end_matches(','),
                text.trim_end_matches(',')
            );
            self.find(
                Finding::new(codes::MISSING_MODE, 0..text.len(), message, help),
                span,
            );
            return None;
        };
        let word = &text[range.clone()];
        match word.parse::<Mode>() {
            Ok(mode) if mode != Mode::Single => {
                if mode.as_str() != word {
                    let finding = Finding::new(
                        codes::VALUE_CASE,
                        range.clone(),
                        format!("the mode `{word}` is read as `{mode}`"),
                        format!("write `{mode}`"),
                    );
                    self.find(finding.with_fix(range, mode.as_str()), span);
                }
                Some(mode)
            }
            Ok(_) => {
                let message = "a process of mode `single` is no member of a cluster";
                let help = "write `datanode`, or delete the row";
                self.find(
                    Finding::new(codes::UNKNOWN_MODE, range, message, help),
                    span,
                );
                None
            }
            Err(unknown) => {
                let message = format!("there is no mode `{word}`");
                let finding = match unknown.suggestion {
                    Some(mode) => Finding::new(
                        codes::UNKNOWN_MODE,
                        range.clone(),
                        message,
                        format!("did you mean `{mode}`?"),
                    )
                    .with_fix(range, mode.as_str()),
                    None => {
                        let help = "write `agent` or `datanode`";
                        Finding::new(codes::UNKNOWN_MODE, range, message, help)
                    }
                };
                self.find(finding, span);
                None
            }
        }
    }

    pub(super) fn without_effect(&mut self, mode: Mode, range: Range<usize>, span: Span) {
        let (message, help) = match mode {
            Mode::Controller => (
                "a controller in `cluster.nodes` has no effect: there is one controller, and its \
                 site is the `localSite` of `controller.cfg`",
                "delete the row",
            ),
            Mode::Computenode => (
                "compute nodes are read but never started: this system stores files and computes nothing",
                "delete the row, or make the member a `datanode`",
            ),
            Mode::Agent | Mode::Datanode | Mode::Single => return,
        };
        self.find(
            Finding::new(codes::ROW_WITHOUT_EFFECT, range, message, help),
            span,
        );
    }

    fn group(
        &mut self,
        text: &str,
        range: Option<Range<usize>>,
        span: Span,
        what: &str,
        allowed: bool,
    ) -> Option<String> {
        let range = range?;
        let name = &text[range.clone()];
        if !allowed {
            let message = format!("the member can be in no {what}; `{name}` is skipped");
            let finding = Finding::new(
                codes::GROUP_MISPLACED,
                range,
                message,
                "leave the column empty",
            );
            self.find(finding, span);
            return None;
        }
        if let Err(error) = alias::check(name) {
            let what = format!("`{name}` cannot name a {what}: {error}");
            let help = "write letters, digits, `_` and `-`";
            self.find(Finding::new(codes::MALFORMED_ROW, range, what, help), span);
            return None;
        }
        Some(name.to_owned())
    }
}

/// Whether a line is the header: its first field names a column, or any field is `localSite`.
fn is_header(text: &str, fields: &[Range<usize>]) -> bool {
    let names: Vec<&str> = fields.iter().map(|field| &text[field.clone()]).collect();
    names
        .iter()
        .any(|name| name.eq_ignore_ascii_case("localSite"))
        || (!text.contains(':')
            && names.iter().any(|name| name.eq_ignore_ascii_case("mode"))
            && names.len() > 1)
}
