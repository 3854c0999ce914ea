//! Rows whose parts are right and whose separators are not.

use std::ops::Range;

use super::Member;
use super::reader::Reader;
use crate::codes;
use crate::mode::Mode;
use crate::scan::{Content, Finding};
use crate::site::{self, Site};

impl Reader<'_> {
    /// Rows with the right parts between the wrong separators: reported, and read as meant, so
    /// that the member does not seem to be missing elsewhere.
    pub(super) fn wrong_separator(
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
}
