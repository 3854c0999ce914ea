//! The command line of a server process: `-mode agent -home data -config config/agent.cfg …`.
//!
//! Every configuration key is a flag with a value. One dash or two, a blank or `=` before the
//! value, capital letters as one likes; of a flag given twice the later rules. Which words are
//! flags is decided by position and by the table of keys, so that a value may begin with a dash.

use std::path::PathBuf;

use vaquita_config::keys::{self, Key};
use vaquita_config::{Mode, Value};

/// What the command line of a server process says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerFlags {
    /// `-mode`
    pub mode: Option<Mode>,
    /// `-home`
    pub home: Option<PathBuf>,
    /// `-config`; the word `/noconfig` counts as none.
    pub config: Option<PathBuf>,
    /// `-clusterConfig`
    pub cluster_config: Option<PathBuf>,
    /// `-nodesFile`
    pub nodes_file: Option<PathBuf>,
    /// `-logFile`
    pub log_file: Option<PathBuf>,
    /// `-console`; on if not given.
    pub console: Option<bool>,
    /// `-alias`
    pub alias: Option<String>,
    /// All flags under the names that the table of keys has for them, in their order. A flag that
    /// is given twice is there twice.
    pub settings: Vec<(String, String)>,
}

/// What is wrong with a command line, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagErrors(pub Vec<String>);

impl ServerFlags {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// A sentence for each word that cannot be read.
    pub fn parse(words: &[String]) -> Result<Self, FlagErrors> {
        let mut errors = Vec::new();
        let mut settings: Vec<(&'static Key, String)> = Vec::new();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let Some((name, attached)) = split(word) else {
                errors.push(stray(word));
                continue;
            };
            let Some(key) = keys::find_ignoring_case(name) else {
                errors.push(unknown(name));
                // What follows is most likely the unknown flag's value.
                if attached.is_none() && rest.as_slice().first().is_some_and(|it| !is_flag(it)) {
                    rest.next();
                }
                continue;
            };
            let value = match attached {
                Some(value) => value.to_owned(),
                None => match rest.as_slice().first() {
                    None => {
                        errors.push(format!("`-{}` needs a value; {}", key.name, takes(key)));
                        continue;
                    }
                    Some(next) if is_flag(next) => {
                        errors.push(format!(
                            "`-{}` needs a value, and `{next}` behind it is a flag itself; {}",
                            key.name,
                            takes(key)
                        ));
                        continue;
                    }
                    Some(next) => {
                        rest.next();
                        next.clone()
                    }
                },
            };
            if let Err(error) = key.parse(&value) {
                errors.push(format!("`-{} {value}`: {error}", key.name));
                continue;
            }
            settings.push((key, value));
        }
        if errors.is_empty() {
            Ok(Self::from_settings(settings))
        } else {
            Err(FlagErrors(errors))
        }
    }

    fn from_settings(settings: Vec<(&'static Key, String)>) -> Self {
        let mut flags = Self::default();
        for (key, value) in &settings {
            let path = || Some(PathBuf::from(value));
            match key.canonical().name {
                "mode" => flags.mode = value.parse().ok(),
                "home" => flags.home = path(),
                "config" => flags.config = path().filter(|_| value != "/noconfig"),
                "clusterConfig" => flags.cluster_config = path(),
                "nodesFile" => flags.nodes_file = path(),
                "logFile" => flags.log_file = path(),
                "console" => flags.console = flag(key, value),
                "alias" => flags.alias = Some(value.clone()),
                _ => {}
            }
        }
        flags.settings = settings
            .into_iter()
            .map(|(key, value)| (key.name.to_owned(), value))
            .collect();
        flags
    }
}

fn flag(key: &Key, value: &str) -> Option<bool> {
    match key.parse(value) {
        Ok(Value::Flag(flag)) => Some(flag),
        _ => None,
    }
}

/// The name and the attached value of `-name`, `--name`, `-name=value` or `--name=value`.
fn split(word: &str) -> Option<(&str, Option<&str>)> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    Some(match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    })
}

/// Whether a word is the flag of a known key: then it cannot be the value of the flag before it.
fn is_flag(word: &str) -> bool {
    split(word).is_some_and(|(name, _)| keys::find_ignoring_case(name).is_some())
}

fn unknown(name: &str) -> String {
    match keys::nearest(name) {
        Some(key) => format!("there is no flag `-{name}`; did you mean `-{}`?", key.name),
        None => format!(
            "there is no flag `-{name}`; flags are the configuration keys, and \
             `vaquita explain --key NAME` tells about each"
        ),
    }
}

fn stray(word: &str) -> String {
    format!(
        "`{word}` is no flag and stands behind none; flags look like `-home data`, and a value \
         with blanks needs quotation marks"
    )
}

fn takes(key: &Key) -> String {
    format!("it takes {}", key.kind.description())
}

#[cfg(test)]
mod tests;
