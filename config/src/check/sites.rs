//! Where the processes look for one another, and by which transport.

use std::net::IpAddr;

use super::members::controller_site;
use super::{ClusterFiles, flag, typed};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, Parsed};
use crate::key_value::KeyValueFile;
use crate::mode::Mode;
use crate::site::Site;
use crate::span::Span;
use crate::value::Value;

pub(super) fn check(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    controller(files, diagnostics);
    agents(files, diagnostics);
    lan_cluster(files, diagnostics);
}

fn site_of(parsed: &Parsed<KeyValueFile>, key: &str) -> Option<(Site, Span)> {
    let entry = parsed.value.last(key)?;
    match typed(entry)? {
        Value::Site(site) => Some((site, entry.value_span)),
        _ => None,
    }
}

/// Each agent's `controllerSite` is the controller's `localSite`.
fn controller(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    let Some((local, controller, local_span)) = controller_site(files) else {
        return;
    };
    let mut others: Option<Diagnostic> = None;
    for agent in &files.agents {
        let Some((site, span)) = site_of(agent, "controllerSite") else {
            continue;
        };
        let document = &agent.document;
        let here = controller.label(local_span, "the controller's own site");
        let same_host = site.same_host(&local.host) || local.is_unspecified();
        if site.port != local.port || !same_host {
            diagnostics.push(elsewhere(document, span, &site, &local, same_host).with_label(here));
        } else if site.alias != local.alias {
            let message = format!(
                "the agent calls the controller `{}`, and the controller calls itself `{}`; they \
                 find each other here by host and port, but not in DolphinDB",
                site.alias, local.alias
            );
            let help = format!("write `{local}`");
            diagnostics.push(
                document
                    .report(codes::SITE_ALIAS_DIFFERS, span, message, help)
                    .with_fix(span, local.to_string())
                    .with_label(here),
            );
            let message = format!(
                "the controller calls itself `{}`, and not all agents call it so",
                local.alias
            );
            let other_side = others.get_or_insert_with(|| {
                let help = "write the same alias in `localSite` here and in each `controllerSite`";
                controller.report(codes::SITE_ALIAS_DIFFERS, local_span, message, help)
            });
            other_side
                .related
                .push(document.label(span, format!("called `{}` here", site.alias)));
        }
    }
    diagnostics.extend(others);
}

/// The agent looks for the controller where it is not, or where nobody can tell whether it is.
fn elsewhere(
    document: &Document,
    span: Span,
    site: &Site,
    local: &Site,
    same_host: bool,
) -> Diagnostic {
    let address = |site: &Site| site.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    // A name and an address may well be one host.
    if site.port == local.port && !same_host && !(address(site) && address(local)) {
        let message = format!(
            "the agent looks for the controller on `{}`, and the controller names its host `{}`",
            site.host, local.host
        );
        let help = format!("write `{local}`, unless both are names of one host");
        return document.report(codes::CONTROLLER_HOST_DIFFERS, span, message, help);
    }
    let message = format!(
        "the agent looks for the controller at {}:{}, and the controller is at {}:{}, so the \
         agent never joins",
        site.host, site.port, local.host, local.port
    );
    document
        .report(
            codes::CONTROLLER_SITE_DIFFERS,
            span,
            message,
            format!("write `{local}`"),
        )
        .with_fix(span, local.to_string())
}

/// Each agent's `localSite` is the row of `cluster.nodes` for it, and no two agents have one site.
fn agents(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: Vec<(Site, &Document, Span)> = Vec::new();
    for agent in &files.agents {
        let Some((site, span)) = site_of(agent, "localSite") else {
            continue;
        };
        let document = &agent.document;
        if let Some((_, other, place)) = seen.iter().find(|(other, ..)| other.same_address(&site)) {
            let message = format!(
                "{}:{} is the site of another agent too",
                site.host, site.port
            );
            let help = "write the address of the host that the file is for";
            diagnostics.push(
                document
                    .report(codes::DUPLICATE_SITE, span, message, help)
                    .with_label(other.label(*place, "the other agent")),
            );
        }
        against_nodes(files, document, &site, span, diagnostics);
        seen.push((site, document, span));
    }
}

fn against_nodes(
    files: &ClusterFiles,
    document: &Document,
    site: &Site,
    span: Span,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(nodes) = &files.nodes else { return };
    let at_address = nodes
        .value
        .members
        .iter()
        .find(|member| member.site.same_address(site));
    if let Some(member) = at_address {
        if member.mode != Mode::Agent {
            let message = format!(
                "{}:{} is the site of {} `{}` in `cluster.nodes`",
                site.host, site.port, member.mode, member.site.alias
            );
            let help = "write the site of the agent of this host";
            let label = nodes.document.label(member.span, "the row");
            diagnostics.push(
                document
                    .report(codes::AGENT_SITE_DIFFERS, span, message, help)
                    .with_label(label),
            );
        } else if member.site.alias != site.alias {
            let message = format!(
                "the agent calls itself `{}`, and `cluster.nodes` calls it `{}`; host and port decide",
                site.alias, member.site.alias
            );
            let help = format!("write `{}`", member.site);
            let label = nodes.document.label(member.span, "the row of the agent");
            diagnostics.push(
                document
                    .report(codes::SITE_ALIAS_DIFFERS, span, message, help)
                    .with_fix(span, member.site.to_string())
                    .with_label(label),
            );
            let message = format!(
                "the agent at {}:{} calls itself `{}`",
                site.host, site.port, site.alias
            );
            let help = "write the same alias in the row and in the agent's `localSite`";
            diagnostics.push(
                nodes
                    .document
                    .report(codes::SITE_ALIAS_DIFFERS, member.span, message, help)
                    .with_label(document.label(span, "the agent's own site")),
            );
        }
        return;
    }
    if let Some(member) = nodes
        .value
        .agents()
        .find(|member| member.site.alias == site.alias)
    {
        let message = format!(
            "`{}` is at {}:{} here and at {}:{} in `cluster.nodes`, so the controller does not \
             find it",
            site.alias, site.host, site.port, member.site.host, member.site.port
        );
        let help = "write the same host and port in both files";
        let label = nodes.document.label(member.span, "the row of the agent");
        diagnostics.push(
            document
                .report(codes::AGENT_SITE_DIFFERS, span, message, help)
                .with_label(label),
        );
        return;
    }
    if nodes
        .value
        .unreadable
        .iter()
        .any(|row| row.contains(&site.alias))
    {
        return;
    }
    let message = format!("the agent `{}` is not in `cluster.nodes`", site.alias);
    let help = format!("add the row `{site},agent` to `cluster.nodes`");
    diagnostics.push(document.report(codes::UNLISTED_AGENT, span, message, help));
}

/// `lanCluster` is the same everywhere. A file that does not set it has the default, except
/// `cluster.cfg`, whose nodes get the controller's value.
fn lan_cluster(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    let mut sides: Vec<Side<'_>> = Vec::new();
    for parsed in files.controller.iter().chain(&files.agents) {
        let document = &parsed.document;
        let value = flag(&parsed.value, "lanCluster");
        sides.push(match parsed.value.last("lanCluster") {
            Some(entry) => Side {
                document,
                span: entry.value_span,
                value,
                set: true,
            },
            None => Side {
                document,
                span: document.start(),
                value,
                set: false,
            },
        });
    }
    if let Some(cluster) = &files.cluster {
        let document = &cluster.document;
        for entry in cluster
            .value
            .effective()
            .filter(|entry| entry.is("lanCluster"))
        {
            if let Some(Value::Flag(value)) = typed(entry) {
                sides.push(Side {
                    document,
                    span: entry.value_span,
                    value,
                    set: true,
                });
            }
        }
    }
    let Some(first) = sides.first() else { return };
    let rules = match (&files.controller, first.value) {
        (Some(_), true) => "the controller's value rules, so heartbeats go by UDP",
        (Some(_), false) => "the controller's value rules, so heartbeats go over TCP",
        (None, _) => "the controller's value will rule",
    };
    for side in &sides {
        let Some(other) = sides.iter().find(|other| other.value != side.value) else {
            continue;
        };
        let message = format!("{} here, but not everywhere; {rules}", side.says());
        let help = "write the same value in `controller.cfg`, in every `agent.cfg` and, if at all, \
                    in `cluster.cfg`: `lanCluster=0` where UDP does not work";
        diagnostics.push(
            side.document
                .report(codes::LAN_CLUSTER_DIFFERS, side.span, message, help)
                .with_label(
                    other
                        .document
                        .label(other.span, format!("{} here", other.says())),
                ),
        );
    }
}

/// What one file, or one line of `cluster.cfg`, says of `lanCluster`.
struct Side<'a> {
    document: &'a Document,
    span: Span,
    value: bool,
    set: bool,
}

impl Side<'_> {
    fn says(&self) -> String {
        let value = u8::from(self.value);
        if self.set {
            format!("`lanCluster` is {value}")
        } else {
            format!("`lanCluster` is {value} (not set)")
        }
    }
}
