//! Whom the lines of `cluster.cfg` are for.

use std::collections::BTreeSet;

use super::ClusterFiles;
use crate::cluster_nodes::Member;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::nearest;

/// Every qualifier names a data node, or a pattern that matches one.
pub(super) fn check(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    let (Some(cluster), Some(nodes)) = (&files.cluster, &files.nodes) else {
        return;
    };
    let members = &nodes.value.members;
    if members.is_empty() {
        return;
    }
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for entry in cluster.value.effective() {
        let Some(qualifier) = &entry.qualifier else {
            continue;
        };
        let text = qualifier.text.as_str();
        let meant: Vec<&Member> = members
            .iter()
            .filter(|member| qualifier.matches(&member.site.alias))
            .collect();
        let in_unreadable_row = nodes.value.unreadable.iter().any(|row| row.contains(text));
        if meant.iter().any(|member| member.mode.reads_cluster_cfg())
            || in_unreadable_row
            || !told.insert(text)
        {
            // One message for a qualifier is enough, however many lines have it.
            continue;
        }
        let (code, message, help) = match meant.first() {
            Some(member) => (
                if qualifier.is_pattern() {
                    codes::PATTERN_MATCHES_NOTHING
                } else {
                    codes::UNKNOWN_ALIAS
                },
                if qualifier.is_pattern() {
                    format!(
                        "`{text}` matches the {} `{}` and no data node; the line has no effect",
                        member.mode, member.site.alias
                    )
                } else {
                    format!(
                        "`{text}` is no data node but the {}; the line has no effect",
                        member.mode
                    )
                },
                format!("set the key in the own file of the {}", member.mode),
            ),
            None if qualifier.is_pattern() => (
                codes::PATTERN_MATCHES_NOTHING,
                format!("the pattern `{text}` matches no data node; the line has no effect"),
                "`%` stands for any characters, `?` for one, and capital letters count".to_owned(),
            ),
            None => {
                let aliases = nodes.value.nodes().map(|member| member.site.alias.as_str());
                let help = match nearest::nearest(text, aliases) {
                    Some(alias) if alias.eq_ignore_ascii_case(text) => {
                        format!("did you mean `{alias}`? Capital letters count")
                    }
                    Some(alias) => format!("did you mean `{alias}`?"),
                    None => "write the alias of a data node of `cluster.nodes`".to_owned(),
                };
                let message = format!("there is no data node `{text}`; the line has no effect");
                (codes::UNKNOWN_ALIAS, message, help)
            }
        };
        diagnostics.push(cluster.document.report(code, qualifier.span, message, help));
    }
}
