//! What the desk tells: the JSON of `/api/v1/config`.

use std::collections::BTreeMap;

use serde::Serialize;
use vaquita_config::{
    ClusterFiles, Diagnostic, Document, Entry, Origin, parse_key_value, resolve_node,
};
use vaquita_core::admin::ReconfiguredRow;
use vaquita_core::dfs::digest::Digest;

use super::diff::Diff;
use super::files::{Bytes, ConfigFile, DeskPaths, Reading};
use super::history::Version;
use super::judge::Verdict;
use super::taken::{KeyRow, NodeConfigRow};

/// Names that are listed of each line; the counts count all.
const NAMES_MAX: usize = 64;

/// The entity tag of a text, and of there being no file.
pub(super) fn etag(bytes: Option<&[u8]>) -> String {
    match bytes {
        Some(bytes) => format!("\"{}\"", Digest::of(bytes)),
        None => "\"none\"".to_owned(),
    }
}

/// One file in a list.
#[derive(Clone, Debug, Serialize)]
pub struct FileRow {
    /// Its name in addresses and messages.
    pub file: ConfigFile,
    /// Where it is; `None` for a controller that was started without it.
    pub path: Option<String>,
    /// Whether it is there.
    pub exists: bool,
    /// The entity tag of its text.
    pub etag: String,
    /// Its length.
    pub bytes: usize,
    /// Findings that are errors.
    pub errors: usize,
    /// Findings that are not.
    pub warnings: usize,
    /// Whether the controller that runs has taken up this text; `None` where none runs by it.
    pub taken_up: Option<bool>,
}

impl FileRow {
    pub(super) fn of(
        file: ConfigFile,
        paths: &DeskPaths,
        bytes: &Bytes,
        findings: &[Diagnostic],
    ) -> Self {
        let own = findings.iter().filter(|it| it.file == file.name());
        let (errors, warnings): (Vec<_>, Vec<_>) = own.partition(|it| it.is_error());
        let text = bytes.get(&file).map(Vec::as_slice);
        Self {
            file,
            path: paths.of(file).map(|path| path.display().to_string()),
            exists: text.is_some(),
            etag: etag(text),
            bytes: text.map_or(0, <[u8]>::len),
            errors: errors.len(),
            warnings: warnings.len(),
            taken_up: None,
        }
    }
}

/// All files, and what is wrong with them.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The files.
    pub files: Vec<FileRow>,
    /// What is wrong with them, taken together.
    pub findings: Vec<Diagnostic>,
    /// Settings of the controller that are not those of its file yet.
    pub pending: Vec<KeyRow>,
    /// The data nodes of the files, and whether they run with what the files say.
    pub nodes: Vec<NodeConfigRow>,
}

/// What a reload did.
#[derive(Clone, Debug, Serialize)]
pub struct Reloaded {
    /// What changed.
    pub taken_up: Vec<ReconfiguredRow>,
    /// Settings of the controller that count after a restart of it.
    pub pending: Vec<KeyRow>,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// What it is.
    #[serde(flatten)]
    pub row: FileRow,
    /// Its text; bytes that are no text are shown as `U+FFFD`.
    pub text: String,
    /// Whether the text is what the file has, byte for byte.
    pub exact: bool,
    /// What is wrong with it.
    pub findings: Vec<Diagnostic>,
    /// Its lines.
    pub lines: Vec<LineRow>,
    /// Of `controller.cfg`: each key, as the controller runs with it and as its file says.
    pub keys: Vec<KeyRow>,
}

impl Shown {
    pub(super) fn of(row: FileRow, bytes: &Bytes, reading: &Reading, keys: Vec<KeyRow>) -> Self {
        let file = row.file;
        let text = bytes.get(&file).map_or(&[][..], Vec::as_slice);
        let findings = (reading.findings.iter())
            .filter(|it| it.file == file.name())
            .cloned()
            .collect();
        Self {
            exact: std::str::from_utf8(text).is_ok(),
            findings,
            lines: lines(file, text, &reading.files),
            text: String::from_utf8_lossy(text).into_owned(),
            keys,
            row,
        }
    }
}

/// What a line is.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum LineMeaning {
    /// Blank.
    Blank,
    /// A comment.
    Comment,
    /// The header of the file of rows.
    Header,
    /// `[qualifier.]key=value`
    Setting {
        /// The key, under its present name where it is known.
        key: String,
        /// For whom the line is, where it says so.
        qualifier: Option<String>,
        /// The value as it is written.
        value: String,
        /// Whether the line takes effect at all.
        effective: bool,
        /// Whether the key can be changed on the controller's host alone.
        protected: bool,
        /// Of `cluster.cfg`: data nodes that the line is for.
        #[serde(skip_serializing_if = "Option::is_none")]
        nodes: Option<usize>,
        /// Those of them that get their value from it, or whether the controller does.
        #[serde(skip_serializing_if = "Option::is_none")]
        rules_for: Option<Rules>,
    },
    /// A member.
    Member {
        /// `host:port:alias`
        site: String,
        /// Its alias.
        alias: String,
        /// What it is.
        mode: String,
    },
    /// Nothing that can be read; a finding says why.
    Unreadable,
}

/// For whom a line gives the value.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rules {
    /// How many.
    pub count: usize,
    /// The names of the first of them.
    pub names: Vec<String>,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct LineRow {
    /// Its number, from 1.
    pub line: usize,
    /// What it is.
    #[serde(flatten)]
    pub meaning: LineMeaning,
}

fn lines(file: ConfigFile, bytes: &[u8], files: &ClusterFiles) -> Vec<LineRow> {
    let document = Document::parse(file.name(), bytes);
    let mut settings: BTreeMap<usize, LineMeaning> = BTreeMap::new();
    if let Some(kind) = file.kind() {
        let entries = parse_key_value(kind, file.name(), bytes).value.entries;
        let ruling = match file {
            ConfigFile::Cluster => ruling(files),
            _ => BTreeMap::new(),
        };
        for entry in entries {
            let line = entry.line;
            settings.insert(line, setting(file, entry, files, ruling.get(&line)));
        }
    } else if let Some(nodes) = &files.nodes {
        for member in &nodes.value.members {
            let meaning = LineMeaning::Member {
                site: member.site.to_string(),
                alias: member.site.alias.clone(),
                mode: member.mode.to_string(),
            };
            settings.insert(member.place.line, meaning);
        }
    }
    let first_member = settings.keys().next().copied();
    let meaning = |line: usize| {
        if let Some(meaning) = settings.remove(&line) {
            return LineRow { line, meaning };
        }
        let text = document.line_text(line).map(str::trim);
        let meaning = match text {
            Some("") => LineMeaning::Blank,
            Some(text) if text.starts_with('#') || text.starts_with("//") => LineMeaning::Comment,
            Some(text)
                if file == ConfigFile::Nodes
                    && first_member.is_none_or(|first| line < first)
                    && text.to_ascii_lowercase().contains("localsite") =>
            {
                LineMeaning::Header
            }
            _ => LineMeaning::Unreadable,
        };
        LineRow { line, meaning }
    };
    (1..=document.lines().len()).map(meaning).collect()
}

fn setting(
    file: ConfigFile,
    entry: Entry,
    files: &ClusterFiles,
    rules: Option<&Rules>,
) -> LineMeaning {
    let known = entry.key;
    let nodes = (file == ConfigFile::Cluster).then(|| {
        let data_nodes = files
            .nodes
            .iter()
            .flat_map(|nodes| nodes.value.data_nodes());
        let for_it = |alias: &str| entry.qualifier.as_ref().is_none_or(|it| it.matches(alias));
        data_nodes.filter(|node| for_it(&node.site.alias)).count()
    });
    let rules_for = match file {
        ConfigFile::Cluster => Some(rules.cloned().unwrap_or_default()),
        _ => None,
    };
    LineMeaning::Setting {
        key: known.map_or(entry.name, |key| key.name.to_owned()),
        qualifier: entry.qualifier.map(|it| it.text),
        value: entry.value,
        effective: known.is_some(),
        protected: known.is_some_and(vaquita_config::keys::Key::is_protected),
        nodes,
        rules_for,
    }
}

/// For which data nodes each line of `cluster.cfg` gives the value.
fn ruling(files: &ClusterFiles) -> BTreeMap<usize, Rules> {
    let mut ruling: BTreeMap<usize, Rules> = BTreeMap::new();
    let data_nodes = files
        .nodes
        .iter()
        .flat_map(|nodes| nodes.value.data_nodes());
    for node in data_nodes {
        let alias = &node.site.alias;
        let Ok(resolved) = resolve_node(alias, files, &[], None) else {
            continue;
        };
        for setting in resolved.settings() {
            if let Origin::File(place) = &setting.origin {
                let rules = ruling.entry(place.line).or_default();
                rules.count += 1;
                if rules.names.len() < NAMES_MAX {
                    rules.names.push(alias.clone());
                }
            }
        }
    }
    ruling
}

/// What would come of a change.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The file.
    pub file: ConfigFile,
    /// The entity tag of the text that would be replaced.
    pub replaces: String,
    /// The entity tag of the new text.
    pub etag: String,
    /// Whether it is another text.
    pub changed: bool,
    /// Whether it would be written.
    pub acceptable: bool,
    /// Why not: findings that have to go.
    pub blocking: Vec<Diagnostic>,
    /// Why not: keys that can be changed on the controller's host alone.
    pub protected: Vec<String>,
    /// Everything that is wrong with the new text, and with the other files beside it.
    pub findings: Vec<Diagnostic>,
    /// The new text.
    pub text: String,
    /// What would change.
    pub diff: Diff,
}

impl Checked {
    pub(super) fn of(verdict: &Verdict, present: &Bytes) -> Self {
        Self {
            file: verdict.file,
            replaces: etag(present.get(&verdict.file).map(Vec::as_slice)),
            etag: etag(Some(&verdict.after)),
            changed: verdict.changed,
            acceptable: verdict.accepted().is_ok(),
            blocking: verdict.blocking.clone(),
            protected: verdict.protected.clone(),
            findings: verdict.reading.findings.clone(),
            text: String::from_utf8_lossy(&verdict.after).into_owned(),
            diff: verdict.diff.clone(),
        }
    }
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// The file.
    pub file: ConfigFile,
    /// The entity tag of the text that is there now.
    pub etag: String,
    /// Whether it is another text than before; if not, nothing was written.
    pub changed: bool,
    /// The number under which the text before is kept.
    pub kept_as: Option<u64>,
    /// Everything that is wrong with the files all the same.
    pub findings: Vec<Diagnostic>,
    /// What changed.
    pub diff: Diff,
    /// What the controller has taken up; `None` where none runs by the files, or nothing was written.
    pub reloaded: Option<Reloaded>,
    /// Why the controller has not taken it up, although it was written.
    pub not_taken_up: Option<String>,
}

/// One text that a file had, and the change that ended it.
#[derive(Clone, Debug, Serialize)]
pub struct VersionRow {
    /// Its number; larger ones are newer.
    pub number: u64,
    /// The entity tag of the text.
    pub etag: String,
    /// Its length.
    pub bytes: usize,
    /// Who changed it.
    pub by: Option<String>,
    /// When, in milliseconds since 1970.
    pub unix_ms: Option<u64>,
    /// What for.
    pub comment: Option<String>,
    /// The version that the change brought back, if it was an undoing.
    pub undid: Option<u64>,
    /// Whether the file was changed on the host after this change and before the next one that is listed:
    /// the difference has that too, and whoever made this change did not make all of it.
    pub then_changed_on_host: bool,
    /// From the text to the next one that is listed, or to the present one.
    pub diff: Diff,
}

/// The texts that a file had.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryShown {
    /// The file.
    pub file: ConfigFile,
    /// The entity tag of the present text.
    pub etag: String,
    /// The versions, newest first.
    pub versions: Vec<VersionRow>,
}

impl HistoryShown {
    pub(super) fn of(file: ConfigFile, versions: &[Version], present: Option<&[u8]>) -> Self {
        let present_text = present.unwrap_or_default();
        let nexts = versions.iter().skip(1).map(|next| {
            let existed = next.note.as_ref().is_none_or(|note| note.existed);
            let text = next.text.as_slice();
            (etag(existed.then_some(text)), text)
        });
        let rows = versions
            .iter()
            .zip(nexts.chain([(etag(present), present_text)]))
            .map(|(version, (next_etag, next))| {
                let note = version.note.as_ref();
                VersionRow {
                    number: version.number,
                    etag: format!("\"{}\"", version.digest()),
                    bytes: version.text.len(),
                    by: note.map(|note| note.by.clone()),
                    unix_ms: note.map(|note| note.unix_ms),
                    comment: note.map(|note| note.comment.clone()),
                    undid: note.and_then(|note| note.undid),
                    then_changed_on_host: version.was_changed_on_host(&next_etag),
                    diff: Diff::of(file.name(), &version.text, next),
                }
            });
        let mut rows: Vec<VersionRow> = rows.collect();
        rows.reverse();
        Self {
            file,
            etag: etag(present),
            versions: rows,
        }
    }
}
