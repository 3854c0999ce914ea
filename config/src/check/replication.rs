//! Whether there are as many nodes and hosts as replicas.

use std::collections::BTreeSet;

use super::{ClusterFiles, typed};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::Parsed;
use crate::key_value::{Entry, KeyValueFile};
use crate::mode::Mode;
use crate::value::Value;

fn integer<'a>(file: &'a Parsed<KeyValueFile>, name: &str) -> Option<(i64, &'a Entry)> {
    let entry = file.value.last(name)?;
    match typed(entry)? {
        Value::Integer(number) => Some((number, entry)),
        _ => None,
    }
}

pub(super) fn check(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    let Some(controller) = &files.controller else {
        return;
    };
    let document = &controller.document;
    let set = integer(controller, "dfsReplicationFactor");
    let factor = set.map_or(2, |(factor, _)| factor);
    let place = match (set, controller.value.last("localSite")) {
        (Some((_, entry)), _) => entry.value_span,
        (None, Some(entry)) => entry.name_span,
        (None, None) => document.start(),
    };
    if let Some((least, entry)) = integer(controller, "dfsMinWriteReplicas")
        && least > factor
    {
        diagnostics.push(document.report(
            codes::WRITE_REPLICAS_ABOVE_FACTOR,
            entry.value_span,
            format!(
                "`dfsMinWriteReplicas` is {least} and `dfsReplicationFactor` {factor}: a write \
                 would wait for replicas that are never made"
            ),
            format!("write {factor} or less, or raise `dfsReplicationFactor`"),
        ));
    }
    let Some(nodes) = files.members() else { return };
    if !nodes.unreadable.is_empty() {
        // Nobody knows how many nodes the rows that cannot be read stand for.
        return;
    }
    let count = nodes.data_nodes().count();
    if count == 0 {
        return;
    }
    if factor > i64::try_from(count).unwrap_or(i64::MAX) {
        let given = if set.is_some() { "" } else { " by default" };
        let nodes = if count == 1 {
            "1 data node"
        } else {
            &format!("{count} data nodes")
        };
        diagnostics.push(document.report(
            codes::FACTOR_ABOVE_NODES,
            place,
            format!(
                "`dfsReplicationFactor` is {factor}{given}, and there {} {nodes}: no chunk can \
                 have all its replicas",
                if count == 1 { "is" } else { "are" }
            ),
            format!("write `dfsReplicationFactor={count}`, or add data nodes"),
        ));
        return;
    }
    let hosts: BTreeSet<String> = nodes
        .data_nodes()
        .filter(|member| member.mode == Mode::Datanode)
        .map(|member| member.site.host.to_ascii_lowercase())
        .collect();
    let level = integer(controller, "dfsReplicaReliabilityLevel");
    if let Some((1, entry)) = level
        && factor > i64::try_from(hosts.len()).unwrap_or(i64::MAX)
    {
        let count = hosts.len();
        diagnostics.push(
            document
                .report(
                    codes::TOO_FEW_HOSTS,
                    entry.value_span,
                    format!(
                        "`dfsReplicaReliabilityLevel=1` keeps the {factor} replicas of a chunk on \
                         different hosts, and there {} {count}: every write is refused",
                        if count == 1 { "is" } else { "are" }
                    ),
                    "write 2 to keep them apart only while there are hosts enough, or add hosts",
                )
                .with_label(document.label(place, format!("{factor} replicas are asked for"))),
        );
    }
}
