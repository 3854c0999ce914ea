//! Directories that two nodes of one host would share.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::ClusterFiles;
use crate::alias_macro;
use crate::cluster_nodes::Member;
use crate::codes;
use crate::diagnostic::{Diagnostic, Label};
use crate::document::{Document, Parsed};
use crate::key_value::{Entry, KeyValueFile};
use crate::keys::{self, Key};
use crate::resolve::{self, Precedence};
use crate::span::Place;
use crate::value::{self, Value};

pub(super) fn check(files: &ClusterFiles, diagnostics: &mut Vec<Diagnostic>) {
    let (Some(nodes), Some(cluster)) = (&files.nodes, &files.cluster) else {
        return;
    };
    for key in keys::TABLE.iter().filter(|key| key.per_node) {
        let entries: Vec<&Entry> = cluster
            .value
            .effective()
            .filter(|entry| entry.is(key.name) && !entry.value.is_empty())
            .collect();
        if entries.is_empty() {
            continue;
        }
        let mut clashes = Clashes {
            key,
            document: &cluster.document,
            found: Vec::new(),
        };
        let mut hosts: BTreeMap<String, Taken<'_>> = BTreeMap::new();
        for member in nodes.value.nodes() {
            let taken = hosts
                .entry(member.site.host.to_ascii_lowercase())
                .or_default();
            clashes.add(member, &entries, taken);
        }
        diagnostics.extend(
            clashes
                .found
                .into_iter()
                .map(|clash| clash.report(key, cluster)),
        );
    }
}

/// What the nodes of one host use, by path: each component with a slash behind it, so that what
/// lies inside a directory follows it.
type Taken<'a> = BTreeMap<String, Use<'a>>;

#[derive(Clone, Copy)]
struct Use<'a> {
    member: &'a Member,
    entry: &'a Entry,
}

/// Two nodes, or two volumes, in each other's way. Clashes of one pair of lines on many hosts are
/// one problem.
struct Clash {
    nested: bool,
    path: String,
    other: String,
    aliases: (String, String),
    /// The hosts on which it happens, the first one seen apart.
    host: String,
    more_hosts: BTreeSet<String>,
    later: Label,
    earlier: Label,
}

struct Clashes<'a> {
    key: &'static Key,
    document: &'a Document,
    found: Vec<Clash>,
}

impl<'a> Clashes<'a> {
    /// Adds what one node uses, and holds it against what the others of its host do.
    fn add(&mut self, member: &'a Member, entries: &[&'a Entry], taken: &mut Taken<'a>) {
        let alias = &member.site.alias;
        let mut ruling: Option<(Precedence, &Entry)> = None;
        for entry in entries {
            if let Some(class) = resolve::precedence(entry, alias)
                && ruling.is_none_or(|(strongest, _)| class >= strongest)
            {
                ruling = Some((class, *entry));
            }
        }
        let Some((_, entry)) = ruling else { return };
        let raw = alias_macro::expand(&entry.value, alias);
        let used = Use { member, entry };
        for path in directories(value::read(self.key, &raw).value) {
            let whole = with_slashes(&path);
            if let Some(other) = taken.get(&whole) {
                if other.member.site.alias != *alias {
                    self.clash(used, *other, &path, &path, false);
                }
                continue;
            }
            if self.key.name == "volumes" {
                self.nested(used, &path, &whole, taken);
            }
            taken.insert(whole, used);
        }
    }

    /// Looks for a volume that lies around the new one, or inside it.
    fn nested(&mut self, used: Use<'a>, path: &str, whole: &str, taken: &Taken<'a>) {
        let ends = whole
            .match_indices('/')
            .map(|(end, _)| end + 1)
            .filter(|end| *end < whole.len());
        let around = ends
            .filter_map(|end| taken.get_key_value(&whole[..end]))
            .next_back();
        let behind = (Bound::Excluded(whole), Bound::Unbounded);
        let inside = taken
            .range::<str, _>(behind)
            .next()
            .filter(|(inner, _)| inner.starts_with(whole));
        if let Some((other, by)) = around.or(inside) {
            self.clash(used, *by, path, other.trim_end_matches('/'), true);
        }
    }

    fn clash(&mut self, later: Use<'a>, earlier: Use<'a>, path: &str, other: &str, nested: bool) {
        let host = &later.member.site.host;
        let known = self.found.iter_mut().find(|clash| {
            clash.nested == nested
                && (nested || value::same_path(&clash.path, path))
                && clash.later.span == later.entry.value_span
                && clash.earlier.span == earlier.entry.value_span
        });
        if let Some(clash) = known {
            if clash.host != *host {
                clash.more_hosts.insert(host.clone());
            }
            return;
        }
        let label = |used: Use<'_>| self.document.label(used.entry.value_span, String::new());
        let clash = Clash {
            nested,
            path: path.to_owned(),
            other: other.to_owned(),
            aliases: (
                earlier.member.site.alias.clone(),
                later.member.site.alias.clone(),
            ),
            host: host.clone(),
            more_hosts: BTreeSet::new(),
            later: label(later),
            earlier: label(earlier),
        };
        self.found.push(clash);
    }
}

/// What a value makes a node use for itself alone: directories, or a port.
fn directories(value: Option<Value>) -> Vec<String> {
    match value {
        Some(Value::Paths(paths)) => paths,
        // A relative path counts from the node's own home, so that nothing is shared.
        Some(Value::Path(path)) if path.starts_with('/') => vec![path],
        Some(Value::Integer(port)) => vec![port.to_string()],
        _ => Vec::new(),
    }
}

fn with_slashes(path: &str) -> String {
    let mut text = String::from(if path.starts_with('/') { "/" } else { "" });
    for component in path.split('/').filter(|component| !component.is_empty()) {
        text.push_str(component);
        text.push('/');
    }
    text
}

impl Clash {
    fn report(self, key: &Key, cluster: &Parsed<KeyValueFile>) -> Diagnostic {
        let Clash {
            nested,
            path,
            other,
            aliases: (first, second),
            host,
            more_hosts,
            later,
            earlier,
        } = self;
        let mut place = format!("of the host {host}");
        match more_hosts.len() {
            0 => {}
            1 => place.push_str(" (and on 1 more host)"),
            more => place.push_str(&format!(" (and on {more} more hosts)")),
        }
        let name = key.name;
        let per_alias = format!("`{name}=…/<ALIAS>` gives each node its own");
        let (code, message, help) = if nested {
            let inner_outer = if value::is_inside(&path, &other) {
                format!("`{path}` of `{second}` lies inside `{other}` of `{first}`")
            } else {
                format!("`{other}` of `{first}` lies inside `{path}` of `{second}`")
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
                keys::KeyType::Integer => format!("write a line `ALIAS.{name}=…` for each node"),
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
