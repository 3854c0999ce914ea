//! The grammar of the console.
//!
//! ```text
//! command = word | word "(" [ names ] ")"
//! names   = name | "[" name { "," name } "]"
//! name    = '"' text '"' | "'" text "'"
//! ```

use thiserror::Error;

/// Something typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    Help,
    Status,
    Start(Vec<String>),
    Stop(Vec<String>),
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum CommandError {
    /// No command begins so.
    #[error(
        "`{word}` is no command. There are: quit, help, status, startDataNode([\"ALIAS\", …]), \
         stopDataNode([\"ALIAS\", …])"
    )]
    Unknown { word: String },
    /// The command is known and what follows it is not.
    #[error("{problem}. Write it so: {example}")]
    Malformed { problem: String, example: String },
}

/// Reads a line; nothing, if nothing stands in it.
pub(super) fn parse(line: &str) -> Result<Option<Command>, CommandError> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let end = line
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let rest = rest.trim();
    let plain = |command| match rest {
        "" | "()" => Ok(Some(command)),
        _ => Err(CommandError::Malformed {
            problem: format!("`{word}` takes nothing after it"),
            example: word.to_owned(),
        }),
    };
    match word {
        "" if rest.is_empty() => Ok(None),
        "quit" | "exit" => plain(Command::Quit),
        "help" => plain(Command::Help),
        "status" => plain(Command::Status),
        "startDataNode" => names(word, rest).map(|names| Some(Command::Start(names))),
        "stopDataNode" => names(word, rest).map(|names| Some(Command::Stop(names))),
        _ => Err(CommandError::Unknown {
            word: line
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .chars()
                .take(40)
                .collect(),
        }),
    }
}

/// Reads the names in parentheses behind a command.
fn names(word: &str, rest: &str) -> Result<Vec<String>, CommandError> {
    let malformed = |problem: &str| CommandError::Malformed {
        problem: problem.to_owned(),
        example: format!("{word}([\"P1-NODE1\", \"P2-NODE1\"])"),
    };
    if rest.contains(['“', '”', '‘', '’', '（', '）', '，', '【', '】']) {
        return Err(malformed(
            "quotes, parentheses and commas have to be the ASCII ones",
        ));
    }
    let inner = rest
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(|| malformed("the names of the nodes stand in parentheses"))?
        .trim();
    let list = match inner.strip_prefix('[') {
        Some(open) => open
            .strip_suffix(']')
            .ok_or_else(|| malformed("the list has no closing bracket"))?,
        None => inner,
    };
    let mut names = Vec::new();
    let mut left = list.trim();
    while !left.is_empty() {
        let quote = left
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''))
            .ok_or_else(|| malformed("each name stands in quotes"))?;
        let (name, behind) = left[1..]
            .split_once(quote)
            .ok_or_else(|| malformed("a name has no closing quote"))?;
        if name.trim().is_empty() {
            return Err(malformed("a name is empty"));
        }
        names.push(name.trim().to_owned());
        let behind = behind.trim_start();
        left = match behind.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if behind.is_empty() => "",
            None => return Err(malformed("between two names stands a comma")),
        };
    }
    if names.is_empty() {
        return Err(malformed("no node is named"));
    }
    if names.len() > 1 && !inner.starts_with('[') {
        return Err(malformed("several names stand in brackets"));
    }
    Ok(names)
}
