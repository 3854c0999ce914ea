//! The members of the cluster: `cluster.nodes`.
//!
//! ```text
//! localSite,mode[,computeGroup[,zone]]
//! host:port:alias,mode[,group[,zone]]
//! ```
//!
//! Blanks around `,` and `:` mean nothing, comments and blank lines may stand anywhere, and the
//! columns of the header may stand in any order.

use std::ops::Range;

use serde::Serialize;

use crate::alias;
use crate::character;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, Parsed};
use crate::mode::Mode;
use crate::nearest;
use crate::scan::{self, Content, Finding};
use crate::site::{self, Site};
use crate::span::{Place, Span};

/// The members in the order of their rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNodes {
    /// The members.
    pub members: Vec<Member>,
    /// Rows that could not be read, so that what seems to be missing may stand in one of them.
    pub(crate) unreadable: Vec<String>,
}

impl ClusterNodes {
    /// The first member of that alias; capital letters count.
    pub fn member(&self, alias: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.site.alias == alias)
    }

    /// The members that read `cluster.cfg`: data nodes, and compute nodes where there are any.
    pub fn nodes(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.mode.reads_cluster_cfg())
    }

    /// The data nodes.
    pub fn data_nodes(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.mode == Mode::Datanode)
    }

    /// The agents.
    pub fn agents(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.mode == Mode::Agent)
    }

    /// The agent on the host of that name.
    pub fn agent_of(&self, host: &str) -> Option<&Member> {
        self.agents().find(|agent| agent.site.same_host(host))
    }
}

/// One member: a row of `cluster.nodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its host, port and alias.
    pub site: Site,
    /// What it is.
    pub mode: Mode,
    /// The compute group, for compute nodes that are in one.
    pub compute_group: Option<String>,
    /// The zone, for nodes that are in one.
    pub zone: Option<String>,
    /// Where the row stands.
    pub place: Place,
    /// The bytes of its site.
    pub span: Span,
}

impl Member {
    /// The row as `cluster.nodes` has it, with as many columns as it needs.
    pub fn row(&self) -> String {
        let Member {
            site,
            mode,
            compute_group,
            zone,
            ..
        } = self;
        let group = compute_group.as_deref().unwrap_or_default();
        match zone {
            Some(zone) => format!("{site},{mode},{group},{zone}"),
            None if group.is_empty() => format!("{site},{mode}"),
            None => format!("{site},{mode},{group}"),
        }
    }
}

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

/// Reads `cluster.nodes`. `name` is what diagnostics call the file.
///
/// Any bytes are accepted; what cannot be read is reported and left out. A row whose only fault
/// is a wrong separator is reported and read as it is meant.
pub fn parse_cluster_nodes(name: &str, bytes: &[u8]) -> Parsed<ClusterNodes> {
    let document = Document::parse(name, bytes);
    let mut diagnostics = Vec::new();
    let contents = scan::contents(&document, &mut diagnostics);
    let mut reader = Reader {
        document: &document,
        diagnostics,
        columns: COLUMNS.iter().map(|(_, column)| Some(*column)).collect(),
        header_seen: false,
        nodes: ClusterNodes::default(),
    };
    for content in contents {
        reader.line(content);
    }
    let Reader {
        mut diagnostics,
        mut nodes,
        ..
    } = reader;
    nodes.unreadable.extend(
        diagnostics
            .iter()
            .filter(|it| it.is_error())
            .map(|diagnostic| diagnostic.text.clone()),
    );
    if nodes.members.is_empty() && nodes.unreadable.is_empty() {
        // One message is enough for a file without content; the blank first line is part of it.
        diagnostics.retain(|it| it.code != codes::BLANK_FIRST_LINE.name);
        diagnostics.push(empty(&document));
    }
    scan::finish(&document, &mut diagnostics);
    Parsed {
        value: nodes,
        document,
        diagnostics,
    }
}

fn empty(document: &Document) -> Diagnostic {
    document.report(
        codes::EMPTY_NODES_FILE,
        document.start(),
        format!(
            "the file names no member, so there is nothing to start (DolphinDB: `Failed to load \
             the nodes file [{}] with error: The input file is empty.`)",
            document.name()
        ),
        "write the header `localSite,mode` and below it a row for each agent and each data node, \
         as in `10.1.1.1:8960:P1-agent,agent`",
    )
}

struct Reader<'a> {
    document: &'a Document,
    diagnostics: Vec<Diagnostic>,
    columns: Vec<Option<Column>>,
    header_seen: bool,
    nodes: ClusterNodes,
}

impl Reader<'_> {
    fn find(&mut self, finding: Finding, piece: Span) {
        self.diagnostics.push(finding.at(self.document, piece));
    }

    fn line(&mut self, content: Content<'_>) {
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

    /// Rows with the right parts between the wrong separators: reported, and read as meant, so
    /// that the member does not seem to be missing elsewhere.
    fn wrong_separator(
        &mut self,
        content: Content<'_>,
        fields: &[Range<usize>],
        site_range: &Range<usize>,
    ) -> Option<Member> {
        let Content { text, span, .. } = content;
        let site_text = &text[site_range.clone()];
        let parts = site::parts(site_text);
        let (finding, site, mode, end) = match (parts.len(), fields) {
            // host:port,alias,mode
            (2, [_, alias_range, mode_range, ..]) => {
                let mode: Mode = text[mode_range.clone()].parse().ok()?;
                let alias = &text[alias_range.clone()];
                if alias.parse::<Mode>().is_ok() {
                    return None;
                }
                let site: Site = format!("{site_text}:{alias}").parse().ok()?;
                let comma = site_range.end..alias_range.start;
                let finding = Finding::new(
                    codes::COMMA_FOR_COLON,
                    comma.clone(),
                    format!("the alias `{alias}` is separated from the port by a comma"),
                    format!("write a colon: `{site},{mode}`"),
                );
                (finding.with_fix(comma, ":"), site, mode, alias_range.end)
            }
            // host,port,alias,mode and host,port:alias,mode
            (1, [host, port, ..])
                if text[port.clone()].starts_with(|it: char| it.is_ascii_digit()) =>
            {
                let joined: Vec<&str> = fields.iter().map(|field| &text[field.clone()]).collect();
                let (mode, parts) = joined.split_last()?;
                let mode: Mode = mode.parse().ok()?;
                let site: Site = parts.join(":").parse().ok()?;
                let comma = host.end..port.start;
                let end = fields
                    .get(fields.len() - 2)
                    .map_or(port.end, |field| field.end);
                let finding = Finding::new(
                    codes::COMMA_FOR_COLON,
                    comma,
                    "the port is separated from the host by a comma",
                    format!("write colons between host, port and alias: `{site},{mode}`"),
                );
                (
                    finding.with_fix(host.start..end, site.to_string()),
                    site,
                    mode,
                    end,
                )
            }
            // host:port:alias:mode
            (4, [_]) => {
                let mode_range = parts.last()?;
                let mode: Mode = site_text[mode_range.clone()].parse().ok()?;
                let site: Site = site_text[..parts.get(2)?.end].parse().ok()?;
                let colon =
                    site_range.start + parts.get(2)?.end..site_range.start + mode_range.start;
                let finding = Finding::new(
                    codes::COLON_FOR_COMMA,
                    colon.clone(),
                    format!("the mode `{mode}` is separated from the alias by a colon"),
                    format!("write a comma: `{site},{mode}`"),
                );
                (
                    finding.with_fix(colon.clone(), ","),
                    site,
                    mode,
                    colon.start,
                )
            }
            _ => return None,
        };
        if mode == Mode::Single {
            return None;
        }
        self.find(finding, span);
        self.without_effect(mode, 0..text.len(), span);
        let span = span.part(site_range.start..end.max(site_range.start));
        let place = self.document.place(span.start);
        Some(Member {
            site,
            mode,
            compute_group: None,
            zone: None,
            place,
            span,
        })
    }

    fn without_effect(&mut self, mode: Mode, range: Range<usize>, span: Span) {
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
