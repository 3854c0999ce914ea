//! Whom the lines of `cluster.cfg` are for.

use std::collections::BTreeSet;

use super::ClusterFiles;
use crate::cluster_nodes::{ClusterNodes, Member};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::key_value::Qualifier;
use crate::nearest;

/// How many unknown aliases are compared with all known ones. A file with more of them belongs to
/// another cluster, and a suggestion for each would take its time and be wrong.
const SUGGESTIONS: usize = 100;

/// Every qualifier names a data node, or a pattern that matches one.
pub(super) fn check(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    let (Some(cluster), Some(nodes)) = (&files.cluster, &files.nodes) else {
        return;
    };
    let nodes = &nodes.value;
    if nodes.members.is_empty() {
        return;
    }
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut suggestions = SUGGESTIONS;
    for qualifier in cluster
        .value
        .effective()
        .filter_map(|entry| entry.qualifier.as_ref())
    {
        // One message for a qualifier is enough, however many lines have it.
        if !told.insert(&qualifier.text) || may_be_meant(qualifier, nodes) {
            continue;
        }
        let others = nodes
            .members
            .iter()
            .find(|member| qualifier.matches(&member.site.alias));
        let (message, help) = match others {
            Some(member) => for_another(qualifier, member),
            None if qualifier.is_pattern() => (
                format!(
                    "the pattern `{}` matches no data node; the line has no effect",
                    qualifier.text
                ),
                "`%` stands for any characters, `?` for one, and capital letters count".to_owned(),
            ),
            None => {
                suggestions = suggestions.saturating_sub(1);
                unknown(&qualifier.text, nodes, suggestions > 0)
            }
        };
        let code = match qualifier.is_pattern() {
            true => codes::PATTERN_MATCHES_NOTHING,
            false => codes::UNKNOWN_ALIAS,
        };
        diagnostics.push(cluster.document.report(code, qualifier.span, message, help));
    }
}

/// Whether the qualifier is for a data node, or perhaps for one on a row that cannot be read.
fn may_be_meant(qualifier: &Qualifier, nodes: &ClusterNodes) -> bool {
    let in_unreadable_row = match qualifier.is_pattern() {
        true => !nodes.unreadable.is_empty(),
        false => nodes
            .unreadable
            .iter()
            .any(|row| row.contains(&qualifier.text)),
    };
    in_unreadable_row
        || nodes
            .nodes()
            .any(|member| qualifier.matches(&member.site.alias))
}

fn for_another(qualifier: &Qualifier, member: &Member) -> (String, String) {
    let Qualifier { text, .. } = qualifier;
    let Member { mode, site, .. } = member;
    let message = if qualifier.is_pattern() {
        format!(
            "`{text}` matches the {mode} `{}` and no data node; the line has no effect",
            site.alias
        )
    } else {
        format!("`{text}` is no data node but the {mode}; the line has no effect")
    };
    (
        message,
        format!("set the key in the own file of the {mode}"),
    )
}

fn unknown(text: &str, nodes: &ClusterNodes, suggest: bool) -> (String, String) {
    let aliases = nodes.nodes().map(|member| member.site.alias.as_str());
    let near = if suggest {
        nearest::nearest(text, aliases)
    } else {
        None
    };
    let help = match near {
        Some(alias) if alias.eq_ignore_ascii_case(text) => {
            format!("did you mean `{alias}`? Capital letters count")
        }
        Some(alias) => format!("did you mean `{alias}`?"),
        None => "write the alias of a data node of `cluster.nodes`".to_owned(),
    };
    (
        format!("there is no data node `{text}`; the line has no effect"),
        help,
    )
}
