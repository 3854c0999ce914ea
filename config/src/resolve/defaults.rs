//! Defaults, and the one setting that the host limits.

use std::collections::BTreeMap;

use super::{Origin, Precedence, Setting};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::Document;
use crate::file_kind::FileKind;
use crate::host::HostFacts;
use crate::keys::{self, Derivation, KeyDefault, Status};
use crate::span::Span;
use crate::value::{self, Value};

type Settings = BTreeMap<&'static str, Setting>;

/// Adds the default of every key that takes effect in such a process and is not set.
pub(super) fn fill(
    settings: &mut Settings,
    kind: FileKind,
    data_nodes: usize,
    host: Option<&HostFacts>,
) {
    // Two rounds, because derived defaults depend on settings and on plain defaults.
    for derived in [false, true] {
        for key in keys::TABLE {
            let belongs = key.files.contains(kind) || key.command_line_only();
            let is_derived = matches!(key.default, KeyDefault::Derived(_));
            if !belongs
                || key.status != Status::Active
                || is_derived != derived
                || settings.contains_key(key.name)
            {
                continue;
            }
            let value = match key.default {
                KeyDefault::Value(text) => value::read(key, text).value,
                KeyDefault::Unset(_) => None,
                KeyDefault::Derived(derivation) => {
                    derive(derivation, settings, kind, data_nodes, host)
                }
            };
            let setting = Setting {
                key,
                value,
                raw: key.default.description().to_owned(),
                origin: Origin::Default,
                precedence: Precedence::Default,
                beaten: Vec::new(),
                span: Span::default(),
            };
            settings.insert(key.name, setting);
        }
    }
}

fn derive(
    derivation: Derivation,
    settings: &Settings,
    kind: FileKind,
    data_nodes: usize,
    host: Option<&HostFacts>,
) -> Option<Value> {
    let integer = |name: &str| match settings.get(name)?.value {
        Some(Value::Integer(number)) => Some(number),
        _ => None,
    };
    let cores = || host.map(|host| i64::from(host.cores.max(1)));
    let workers = || integer("workerNum").or_else(cores);
    let factor =
        || integer("dfsReplicationFactor").unwrap_or(if kind == FileKind::Single { 1 } else { 2 });
    let number = match derivation {
        Derivation::Cores => cores()?,
        Derivation::CoresLessOne => (cores()? - 1).max(1),
        Derivation::ConnectionsPerSite => (workers()? + integer("webWorkerNum")? + 1).max(16),
        Derivation::TwiceTheDataNodes => 2 * i64::try_from(data_nodes.max(1)).ok()?,
        Derivation::ReplicationFactor => factor(),
        Derivation::WriteReplicas => factor().min(2),
        Derivation::ThreeQuartersOfMemory => {
            return match settings.get("maxMemSize")?.value {
                Some(Value::Size(bytes)) if bytes > 0 => Some(Value::Size(bytes / 4 * 3)),
                _ => host.map(|host| Value::Size(host.memory_bytes / 4 * 3)),
            };
        }
        Derivation::Storage => {
            return match &settings.get("home")?.value {
                Some(Value::Path(home)) if home.starts_with('/') => {
                    Some(Value::Paths(vec![format!(
                        "{}/storage",
                        home.trim_end_matches('/')
                    )]))
                }
                _ => None,
            };
        }
    };
    Some(Value::Integer(number))
}

/// Limits `maxMemSize` to what the host has. "No limit" silently becomes the host's memory.
pub(super) fn cap_memory(
    settings: &mut Settings,
    host: &HostFacts,
    document: Option<&Document>,
) -> Option<Diagnostic> {
    let setting = settings.get_mut("maxMemSize")?;
    let Some(Value::Size(bytes)) = setting.value else {
        return None;
    };
    if bytes != 0 && bytes <= host.memory_bytes {
        return None;
    }
    setting.value = Some(Value::Size(host.memory_bytes));
    if bytes == 0 {
        return None;
    }
    let command_line = format!("-maxMemSize {}", setting.raw);
    let command_line = Document::parse(crate::command_line::NAME, command_line.as_bytes());
    let (document, span) = match (&setting.origin, document) {
        (Origin::File(_), Some(document)) => (document, setting.span),
        _ => (&command_line, Span::new(1, command_line.bytes().len())),
    };
    Some(above_memory(document, span, &setting.raw, host))
}

/// The warning that a process is granted more memory than its host has.
pub(crate) fn above_memory(
    document: &Document,
    span: Span,
    raw: &str,
    host: &HostFacts,
) -> Diagnostic {
    let gigabytes = host.memory_bytes as f64 / f64::from(1 << 30);
    document.report(
        codes::MEMORY_CAPPED,
        span,
        format!("`maxMemSize` is {raw} GB, and the host has {gigabytes:.1} GB; that is the limit"),
        format!("write {} or less", gigabytes.floor().max(1.0)),
    )
}
