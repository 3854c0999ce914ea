use askama::Template;
use vaquita_core::dfs::ask::{Entry, EntryKind};
use vaquita_core::dfs::path::DfsPath;

use super::chunk::ChunkView;
use crate::format::{self, Moment};
use crate::{Frame, Tone};

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crumb {
    /// The name.
    pub name: String,
    /// Where it leads; `None` for the page itself.
    pub href: Option<String>,
}

/// The steps to a path; `href` says where the page of a path is.
#[must_use]
pub fn crumbs(path: &DfsPath, href: impl Fn(&DfsPath) -> String) -> Vec<Crumb> {
    let mut steps = Vec::new();
    let mut here = Some(path.clone());
    while let Some(step) = here {
        let above = step.split_last();
        steps.push(Crumb {
            name: name_of(&step),
            href: (!steps.is_empty()).then(|| href(&step)),
        });
        here = above.map(|(directory, _)| directory);
    }
    steps.reverse();
    steps
}

/// The last name of a path; the scheme for the root.
#[must_use]
pub fn name_of(path: &DfsPath) -> String {
    path.split_last()
        .map_or_else(|| "dfs://".to_owned(), |(_, name)| name.to_owned())
}

/// An entry of a directory, with what is drawn of it.
#[derive(Clone, Debug)]
pub struct EntryView {
    name: String,
    href: String,
    icon: &'static str,
    size: String,
    chunks: String,
    replicas: String,
    tone: Tone,
    modified: Option<Moment>,
    download: Option<String>,
}

impl EntryView {
    /// Puts it together; `href` leads to its page, `download` to its bytes.
    #[must_use]
    pub fn new(entry: &Entry, href: String, download: String) -> Self {
        let is_file = entry.kind == EntryKind::File;
        let of_file = |text: String| if is_file { text } else { String::new() };
        Self {
            name: name_of(&entry.path),
            href,
            icon: if is_file { "file" } else { "files" },
            size: of_file(format::bytes(entry.len)),
            chunks: of_file(format::count(entry.count)),
            replicas: entry.replicas.map(|it| it.to_string()).unwrap_or_default(),
            tone: match entry.replicas {
                Some(0) => Tone::Bad,
                Some(1) => Tone::Warn,
                _ => Tone::Idle,
            },
            modified: format::moment(entry.modified_unix_ms),
            download: is_file.then_some(download),
        }
    }
}

/// What is in a directory.
#[derive(Debug, Template)]
#[template(path = "files.html")]
pub struct DirectoryPage {
    /// What surrounds it.
    pub f: Frame,
    /// The steps to it.
    pub crumbs: Vec<Crumb>,
    /// Its own name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// How much is in it.
    pub usage: Option<String>,
    /// What is in it.
    pub entries: Vec<EntryView>,
    /// Where more of it is.
    pub more: Option<String>,
    /// Where uploads go; each name is put behind it.
    pub target: String,
    /// Whether the reader may change something.
    pub may_write: bool,
}

/// One file.
#[derive(Debug, Template)]
#[template(path = "file.html")]
pub struct FilePage {
    /// What surrounds it.
    pub f: Frame,
    /// The steps to it.
    pub crumbs: Vec<Crumb>,
    /// Its own name.
    pub name: String,
    /// The path of its directory.
    pub parent: String,
    /// Where its bytes are.
    pub download: String,
    /// What is known of it.
    pub facts: Vec<(&'static str, String)>,
    /// Its chunks.
    pub chunks: Vec<ChunkView>,
    /// Where more of them are.
    pub more: Option<String>,
    /// Whether the reader may change something.
    pub may_write: bool,
}
