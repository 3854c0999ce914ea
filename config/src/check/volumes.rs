//! Directories that two nodes of one host would share.

use std::collections::BTreeMap;

use super::ClusterFiles;
use crate::codes;
use crate::diagnostic::{Diagnostic, Label};
use crate::key_value::Entry;
use crate::keys::{Key, KeyType};
use crate::resolve::{self, Origin, Resolved};
use crate::span::Place;
use crate::value::{self, Value};

/// A directory that a node would use, and the line that says so.
struct Use {
    alias: String,
    host: String,
    path: String,
    label: Label,
}

pub(super) fn check(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    let (Some(nodes), Some(cluster)) = (&files.nodes, &files.cluster) else {
        return;
    };
    let per_node = |entry: &Entry| entry.key.is_some_and(|key| key.per_node);
    if !cluster.value.effective().any(per_node) {
        return;
    }
    let resolved: Vec<Resolved> = nodes
        .value
        .nodes()
        .filter_map(|member| resolve::resolve_node(&member.site.alias, files, &[], None).ok())
        .collect();
    for key in crate::keys::TABLE.iter().filter(|key| key.per_node) {
        let mut uses: BTreeMap<String, Vec<Use>> = BTreeMap::new();
        for node in &resolved {
            for used in uses_of(node, key, cluster) {
                uses.entry(used.host.clone()).or_default().push(used);
            }
        }
        let mut found: Vec<Clash> = Vec::new();
        for uses in uses.values() {
            clashes(key, uses, &mut found);
        }
        diagnostics.extend(found.into_iter().map(|clash| clash.report(key, cluster)));
    }
}

type Cluster = crate::document::Parsed<crate::key_value::KeyValueFile>;

fn uses_of(node: &Resolved, key: &Key, cluster: &Cluster) -> Vec<Use> {
    let (Some(setting), Some(site)) = (node.setting(key.name), &node.site) else {
        return Vec::new();
    };
    let Origin::File(place) = &setting.origin else {
        return Vec::new();
    };
    let Some(entry) = cluster
        .value
        .entries
        .iter()
        .find(|entry| entry.line == place.line)
    else {
        return Vec::new();
    };
    let paths: Vec<String> = match (&setting.value, key.kind) {
        (Some(Value::Paths(paths)), _) => paths.clone(),
        // A relative path counts from the node's own home, so that nothing is shared.
        (Some(Value::Path(path)), _) if path.starts_with('/') => vec![path.clone()],
        (Some(Value::Integer(port)), KeyType::Integer) => vec![port.to_string()],
        _ => Vec::new(),
    };
    let label = cluster.document.label(entry.value_span, String::new());
    paths
        .into_iter()
        .map(|path| Use {
            alias: site.alias.clone(),
            host: site.host.to_ascii_lowercase(),
            path,
            label: label.clone(),
        })
        .collect()
}

/// Two nodes, or two volumes, in each other's way. Clashes of one pair of lines on many hosts are
/// one problem.
struct Clash {
    nested: bool,
    path: String,
    outer: String,
    aliases: (String, String),
    host: String,
    more_hosts: usize,
    later: Label,
    earlier: Label,
}

fn clashes(key: &Key, uses: &[Use], found: &mut Vec<Clash>) {
    for (index, later) in uses.iter().enumerate() {
        for earlier in &uses[..index] {
            let same = value::same_path(&later.path, &earlier.path);
            let nested = key.name == "volumes"
                && (value::is_inside(&later.path, &earlier.path)
                    || value::is_inside(&earlier.path, &later.path));
            if !(same && later.alias != earlier.alias || nested) {
                continue;
            }
            let known = found.iter_mut().find(|clash| {
                let same_path = value::same_path(&clash.path, &later.path) || clash.nested;
                clash.nested == nested
                    && same_path
                    && clash.later.span == later.label.span
                    && clash.earlier.span == earlier.label.span
            });
            if let Some(clash) = known {
                clash.more_hosts += usize::from(clash.host != later.host);
                continue;
            }
            found.push(Clash {
                nested,
                path: later.path.clone(),
                outer: earlier.path.clone(),
                aliases: (earlier.alias.clone(), later.alias.clone()),
                host: later.host.clone(),
                more_hosts: 0,
                later: later.label.clone(),
                earlier: earlier.label.clone(),
            });
            // The first other node is enough to tell of a use.
            break;
        }
    }
}

impl Clash {
    fn report(self, key: &Key, cluster: &Cluster) -> Diagnostic {
        let Clash {
            nested,
            path,
            outer,
            aliases: (first, second),
            host,
            more_hosts,
            later,
            earlier,
        } = self;
        let mut place = format!("of the host {host}");
        if more_hosts > 0 {
            place.push_str(&format!(" (and so on {more_hosts} more)"));
        }
        let name = key.name;
        let per_alias = format!("`{name}=…/<ALIAS>` gives each node its own");
        let (code, message, help) = if nested {
            let inner_outer = if value::is_inside(&path, &outer) {
                format!("`{path}` of `{second}` lies inside `{outer}` of `{first}`")
            } else {
                format!("`{outer}` of `{first}` lies inside `{path}` of `{second}`")
            };
            let message = format!("the volume {inner_outer} {place}");
            (
                codes::NESTED_VOLUME,
                message,
                "give volumes directories side by side".to_owned(),
            )
        } else if name == "volumes" {
            let message = format!("`{first}` and `{second}` {place} both have the volume `{path}`");
            (codes::SHARED_VOLUME, message, per_alias)
        } else {
            let message =
                format!("`{first}` and `{second}` {place} both have `{path}` for `{name}`");
            let help = match key.kind {
                KeyType::Integer => format!("write a line `ALIAS.{name}=…` for each node"),
                _ => per_alias,
            };
            (codes::SHARED_DIRECTORY, message, help)
        };
        let diagnostic = cluster.document.report(code, later.span, message, help);
        let Place { line, .. } = later.place;
        if earlier.place.line == line && earlier.span == later.span {
            return diagnostic;
        }
        diagnostic.with_label(Label {
            message: format!("`{first}` gets it here"),
            ..earlier
        })
    }
}
