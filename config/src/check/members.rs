//! The members of the cluster: unique, and each node with an agent.

use std::collections::BTreeMap;

use super::{ClusterFiles, typed};
use crate::cluster_nodes::Member;
use crate::codes;
use crate::diagnostic::{Diagnostic, Label};
use crate::document::Document;
use crate::mode::Mode;
use crate::site::Site;
use crate::span::Span;
use crate::value::Value;

pub(super) fn check(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    let Some(nodes) = &files.nodes else { return };
    let document = &nodes.document;
    let members = &nodes.value.members;
    unique(files, document, members, diagnostics);
    agents(files, document, members, diagnostics);
    addresses(files, document, members, diagnostics);
    zones(files, document, members, diagnostics);
}

/// The site of the controller with its place, if `controller.cfg` gives one.
pub(super) fn controller_site(files: &ClusterFiles) -> Option<(Site, &Document, Span)> {
    let parsed = files.controller.as_ref()?;
    let entry = parsed.value.last("localSite")?;
    match typed(entry)? {
        Value::Site(site) => Some((site, &parsed.document, entry.value_span)),
        _ => None,
    }
}

/// No alias and no site twice; the controller counts as well.
fn unique(
    files: &ClusterFiles,
    document: &Document,
    members: &[Member],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut aliases: BTreeMap<String, Label> = BTreeMap::new();
    let mut folded: BTreeMap<String, (String, Label)> = BTreeMap::new();
    let mut addresses: BTreeMap<(String, u16), Label> = BTreeMap::new();
    let address = |site: &Site| (site.host.to_ascii_lowercase(), site.port);
    let controller = controller_site(files);
    if let Some((site, document, span)) = &controller {
        let label = document.label(*span, "the controller");
        aliases.insert(site.alias.clone(), label.clone());
        folded.insert(
            site.alias.to_ascii_lowercase(),
            (site.alias.clone(), label.clone()),
        );
        addresses.insert(address(site), label);
    }
    for member in members {
        let Member {
            site, mode, span, ..
        } = member;
        let listed = controller
            .as_ref()
            .is_some_and(|(controller, ..)| controller.same_address(site));
        if *mode == Mode::Controller && listed {
            continue;
        }
        let label = document.label(*span, format!("first here, as {}", article(*mode)));
        if let Some(earlier) = aliases.get(&site.alias) {
            let message = format!("the alias `{}` is taken already", site.alias);
            let help = "give each member an alias of its own";
            diagnostics.push(
                document
                    .report(codes::DUPLICATE_ALIAS, *span, message, help)
                    .with_label(earlier.clone()),
            );
        } else {
            aliases.insert(site.alias.clone(), label.clone());
            let lower = site.alias.to_ascii_lowercase();
            if let Some((other, earlier)) = folded.get(&lower) {
                let message = format!(
                    "`{}` and `{other}` differ in nothing but capital letters, and so would the \
                     names of their directories and logs",
                    site.alias
                );
                let help = "give one of them another alias";
                diagnostics.push(
                    document
                        .report(codes::ALIAS_CASE, *span, message, help)
                        .with_label(earlier.clone()),
                );
            } else {
                folded.insert(lower, (site.alias.clone(), label.clone()));
            }
        }
        if let Some(earlier) = addresses.get(&address(site)) {
            let message = format!("{}:{} is taken already", site.host, site.port);
            let help = "give each member of a host a port of its own";
            diagnostics.push(
                document
                    .report(codes::DUPLICATE_SITE, *span, message, help)
                    .with_label(earlier.clone()),
            );
        } else {
            addresses.insert(address(site), label);
        }
    }
}

fn article(mode: Mode) -> String {
    match mode {
        Mode::Agent => format!("an {mode}"),
        _ => format!("a {mode}"),
    }
}

/// Each host with nodes has exactly one agent.
fn agents(
    files: &ClusterFiles,
    document: &Document,
    members: &[Member],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let unreadable = |host: &str| {
        files
            .members()
            .is_some_and(|nodes| nodes.unreadable.iter().any(|row| row.contains(host)))
    };
    let mut first: BTreeMap<String, &Member> = BTreeMap::new();
    for agent in members.iter().filter(|member| member.mode == Mode::Agent) {
        let host = agent.site.host.to_ascii_lowercase();
        match first.get(&host) {
            None => {
                first.insert(host, agent);
            }
            Some(earlier) => {
                let message = format!(
                    "the host {} has an agent already; its nodes are started by `{}`",
                    agent.site.host, earlier.site.alias
                );
                let label = document.label(earlier.span, "the first agent");
                diagnostics.push(
                    document
                        .report(
                            codes::SEVERAL_AGENTS,
                            agent.span,
                            message,
                            "delete one of the rows",
                        )
                        .with_label(label),
                );
            }
        }
    }
    for node in members
        .iter()
        .filter(|member| member.mode.reads_cluster_cfg())
    {
        let host = &node.site.host;
        if first.contains_key(&host.to_ascii_lowercase()) || unreadable(host) {
            continue;
        }
        let message = format!(
            "the host {host} has no agent, so `{}` cannot be started",
            node.site.alias
        );
        // `P3-NODE1` goes with `P3-agent`, where the aliases are made like that.
        let prefix = match node.site.alias.rsplit_once('-') {
            Some((prefix, _)) => prefix.to_owned(),
            None => node.site.alias.clone(),
        };
        let help = format!(
            "add a row such as `{host}:8960:{prefix}-agent,agent`; the host must be written alike in both rows"
        );
        diagnostics.push(document.report(codes::MISSING_AGENT, node.span, message, help));
    }
}

/// Addresses that other hosts can reach.
fn addresses(
    files: &ClusterFiles,
    document: &Document,
    members: &[Member],
    diagnostics: &mut Vec<Diagnostic>,
) {
    for member in members.iter().filter(|member| member.site.is_unspecified()) {
        let message = format!("nobody can connect to {}", member.site.host);
        let help = "write the address of the host in the cluster's network";
        diagnostics.push(document.report(codes::UNSPECIFIED_HOST, member.span, message, help));
    }
    let hidden = |site: &Site| site.is_loopback();
    let controller = controller_site(files);
    let reachable = members
        .iter()
        .map(|member| &member.site)
        .any(|site| !hidden(site))
        || controller
            .as_ref()
            .is_some_and(|(site, ..)| !hidden(site) && !site.is_unspecified());
    if !reachable {
        // A cluster on one host may use nothing but loopback addresses.
        return;
    }
    let message = |site: &Site| {
        format!(
            "{} is a loopback address, which only its own host can reach; other members are elsewhere",
            site.host
        )
    };
    let help = "write the address of the host in the cluster's network";
    if let Some((site, document, span)) = controller.filter(|(site, ..)| hidden(site)) {
        diagnostics.push(document.report(codes::LOOPBACK_SITE, span, message(&site), help));
    }
    for member in members.iter().filter(|member| hidden(&member.site)) {
        diagnostics.push(document.report(
            codes::LOOPBACK_SITE,
            member.span,
            message(&member.site),
            help,
        ));
    }
}

/// Zones: all nodes or none are in one, and `controller.cfg` names those that there are.
fn zones(
    files: &ClusterFiles,
    document: &Document,
    members: &[Member],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let nodes = || {
        members
            .iter()
            .filter(|member| member.mode.reads_cluster_cfg())
    };
    let zoned = nodes().find(|member| member.zone.is_some());
    if let Some(zoned) = zoned {
        for member in nodes().filter(|member| member.zone.is_none()) {
            let message = format!("`{}` is in no zone, while others are", member.site.alias);
            let help = "give every node a zone, or none";
            let label = document.label(zoned.span, "in a zone");
            diagnostics.push(
                document
                    .report(codes::ZONE_INCOMPLETE, member.span, message, help)
                    .with_label(label),
            );
        }
    }
    let Some(controller) = &files.controller else {
        return;
    };
    for entry in controller.value.effective() {
        let Some(qualifier) = &entry.qualifier else {
            continue;
        };
        let known = nodes().any(|member| member.zone.as_deref() == Some(&qualifier.text));
        if !known {
            let message = format!("no data node is in a zone `{}`", qualifier.text);
            let help = "name the zone in the column `zone` of `cluster.nodes`, or delete the line";
            diagnostics.push(controller.document.report(
                codes::UNKNOWN_ZONE,
                qualifier.span,
                message,
                help,
            ));
        }
    }
}
