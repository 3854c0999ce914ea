//! The text of a data node's own file.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::document::Document;
use crate::file_kind::FileKind;
use crate::key_value;

/// Why settings cannot be written to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderError {
    /// This key is no key, or its value would not be read back as it is: it holds a line end, a
    /// control character, or what would be taken for a comment, or begins or ends with a blank.
    NotRepresentable {
        /// The key.
        key: String,
    },
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RenderError::NotRepresentable { key } = self;
        write!(
            f,
            "the value of `{key}` cannot be written to a configuration file"
        )
    }
}

impl std::error::Error for RenderError {}

const HEADING: &str = "# Settings of one data node, written by its agent at each start of the node.\n\
                       # Change `cluster.cfg` on the controller's host instead of this file.\n";

/// The text of the `node.cfg` of a data node with these settings, one a line.
///
/// The pairs are those of [`crate::ResolvedNode::order`], with whatever the agent adds. The text
/// is read back and compared before it is returned, so that no value can smuggle in a second line.
///
/// # Errors
///
/// The first setting that would not be read back as it is.
pub fn render_node_cfg(settings: &[(String, String)]) -> Result<String, RenderError> {
    let mut text = HEADING.to_owned();
    for (key, value) in settings {
        text.push_str(&format!("{key}={value}\n"));
    }
    let read = key_value::parse_key_value(FileKind::Node, "node.cfg", text.as_bytes());
    let mut entries = read.value.entries.iter();
    for (key, value) in settings {
        let same = entries.next().is_some_and(|entry| {
            entry.qualifier.is_none()
                && entry.name == *key
                && entry.value == *value
                && entry.key.is_some()
        });
        if !same {
            return Err(RenderError::NotRepresentable { key: key.clone() });
        }
    }
    // The lines must be exactly ours: a value with a line end and a comment adds no entry.
    let expected = HEADING.lines().count() + settings.len();
    match Document::parse("node.cfg", text.as_bytes()).lines().len() == expected {
        true => Ok(text),
        false => Err(RenderError::NotRepresentable {
            key: settings
                .iter()
                .find(|(_, value)| value.contains(['\r', '\n']))
                .map_or(String::new(), |(key, _)| key.clone()),
        }),
    }
}
