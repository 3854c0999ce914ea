use askama::Template;

use crate::format::Moment;
use crate::{Flash, Frame, State, Tone};

/// A configuration file in the list.
#[derive(Clone, Debug)]
pub struct ConfigFileView {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: &'static str,
    /// Where it is on the controller's host.
    pub path: String,
    /// How it is.
    pub state: State,
    /// Errors and warnings in it.
    pub findings: String,
}

/// A value that is not in force yet.
#[derive(Clone, Debug)]
pub struct PendingView {
    /// The key.
    pub key: String,
    /// What the controller runs with.
    pub running: String,
    /// What its file says.
    pub next: String,
    /// What it takes.
    pub needs: &'static str,
}

/// A data node, and whether it runs with what the files say.
#[derive(Clone, Debug)]
pub struct StandingView {
    /// The node.
    pub alias: String,
    /// How it stands.
    pub state: State,
}

/// All files, and what waits for what.
#[derive(Debug, Template)]
#[template(path = "config.html")]
pub struct ConfigPage {
    /// What surrounds it.
    pub f: Frame,
    /// The files.
    pub files: Vec<ConfigFileView>,
    /// What is wrong with them.
    pub findings: Vec<FindingView>,
    /// Settings of the controller that wait for a restart of it.
    pub pending: Vec<PendingView>,
    /// The data nodes.
    pub nodes: Vec<StandingView>,
    /// Those that have to be restarted.
    pub outdated: Vec<String>,
    /// Whether a reload would change something.
    pub reloads: bool,
    /// What there is to tell of nodes that are being restarted.
    pub rolling: Option<Flash>,
    /// Whether the reader may change something.
    pub may_edit: bool,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug)]
pub struct FindingView {
    /// How bad it is.
    pub tone: Tone,
    /// Where: `cluster.cfg:3:1`.
    pub place: String,
    /// The name of the rule.
    pub code: &'static str,
    /// The line.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// A line of a difference.
#[derive(Clone, Debug)]
pub struct DiffLine {
    /// The line.
    pub text: String,
    /// Added, removed, or neither, for the style sheet.
    pub class: &'static str,
}

/// The lines of a difference in the unified format.
#[must_use]
pub fn diff_lines(unified: &str) -> Vec<DiffLine> {
    let lines = unified.lines().map(|line| DiffLine {
        text: line.to_owned(),
        class: match line.as_bytes().first() {
            _ if line.starts_with("+++") || line.starts_with("---") => "dim",
            Some(b'+') => "more",
            Some(b'-') => "less",
            Some(b'@') => "dim",
            _ => "",
        },
    });
    lines.collect()
}

/// A setting of a file, as a form has it.
#[derive(Clone, Debug)]
pub struct SettingView {
    /// The key, with whom it is for.
    pub key: String,
    /// Its line; `None` for one that the file does not have.
    pub line: Option<usize>,
    /// Its value in the file; what holds now where it has none.
    pub value: String,
    /// The value that the controller runs with, where that is another one.
    pub running: String,
    /// What it does, its unit and range, and what a change takes.
    pub about: String,
    /// What holds if it is not set.
    pub default: String,
    /// For which nodes it is, where that is to be said.
    pub rules: String,
    /// Whether it can be changed here.
    pub protected: bool,
}

/// A row of the members' file.
#[derive(Clone, Debug)]
pub struct MemberView {
    /// Its name.
    pub alias: String,
    /// `host:port:alias`
    pub site: String,
    /// The word for what it is.
    pub mode: String,
}

/// A text that a file had.
#[derive(Clone, Debug)]
pub struct VersionView {
    /// Its number.
    pub number: u64,
    /// Who ended it.
    pub by: String,
    /// When.
    pub at: Option<Moment>,
    /// What for.
    pub comment: String,
    /// What the change made of it.
    pub diff: Vec<DiffLine>,
}

/// The fields by which members are added.
#[derive(Clone, Debug)]
pub struct AddedView {
    /// The host.
    pub host: String,
    /// Port and alias of its agent, if it is new.
    pub agent: String,
    /// How many data nodes.
    pub count: String,
    /// What their aliases begin with.
    pub prefix: String,
    /// The number of the first one.
    pub number: String,
    /// The port of the first one.
    pub port: String,
}

impl Default for AddedView {
    fn default() -> Self {
        Self {
            host: String::new(),
            agent: String::new(),
            count: "1".to_owned(),
            prefix: String::new(),
            number: "1".to_owned(),
            port: "8961".to_owned(),
        }
    }
}

/// One file.
#[derive(Debug, Template)]
#[template(path = "config_file.html")]
pub struct ConfigFilePage {
    /// What surrounds it.
    pub f: Frame,
    /// Its name.
    pub name: String,
    /// Whose unsaved text a browser may keep.
    pub reader: String,
    /// What it is for.
    pub about: &'static str,
    /// Where it is.
    pub path: String,
    /// Which text the reader has before them.
    pub etag: String,
    /// The text in the editor.
    pub text: String,
    /// Whether that is the text of the file, and not one that somebody is at.
    pub is_file: bool,
    /// What was typed as a comment.
    pub comment: String,
    /// What there is to say of what was tried.
    pub outcome: Option<Flash>,
    /// What is wrong with the text.
    pub findings: Vec<FindingView>,
    /// What would change.
    pub diff: Vec<DiffLine>,
    /// Whether the text was looked at and may be written.
    pub previewed: bool,
    /// The settings in the text.
    pub settings: Vec<SettingView>,
    /// Key and value that were typed to be added.
    pub new_setting: (String, String),
    /// The keys that could be added.
    pub keys: Vec<&'static str>,
    /// Whether keys may be for single nodes.
    pub qualified: bool,
    /// The members in the text.
    pub members: Option<Vec<MemberView>>,
    /// What was typed of members to be added.
    pub added: AddedView,
    /// The texts it had.
    pub versions: Vec<VersionView>,
    /// Whether the reader may change something.
    pub may_edit: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_difference_are_told_apart() {
        let lines = diff_lines("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n same\n");
        let classes: Vec<&str> = lines.iter().map(|line| line.class).collect();
        assert_eq!(classes, ["dim", "dim", "dim", "less", "more", ""]);
    }
}
