//! Paths under `dfs://`.

use core::fmt;
use core::str::FromStr;

use minicbor::{Decode, Decoder, Encode, Encoder};
use thiserror::Error;

/// An absolute path of the file system, in one spelling: names with one `/` before each, and none
/// for the root.
///
/// A name is any text of 1 to 255 bytes without `/`, control characters and the names `.` and `..`:
/// what a path means never depends on where it is resolved.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DfsPath(String);

/// Why a text is no path of the file system.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no path of the file system: {reason}")]
pub struct PathError {
    /// The text, cut to 120 characters.
    pub text: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl DfsPath {
    /// The longest path, in bytes.
    pub const MAX_LEN: usize = 4096;
    /// The longest name, in bytes.
    pub const NAME_MAX_LEN: usize = 255;
    /// The deepest path, in names.
    pub const MAX_DEPTH: usize = 64;

    /// The root directory.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Reads `dfs://a/b`, `dfs:///a/b` or `/a/b`. Doubled and trailing slashes are passed over.
    ///
    /// # Errors
    /// If it begins otherwise, is too long or too deep, or one of its names is not allowed.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let refuse = |reason: String| PathError {
            text: text.chars().take(120).collect(),
            reason,
        };
        let rest = match text.strip_prefix("dfs://") {
            Some(rest) => rest,
            None if text.starts_with('/') => text,
            None => {
                return Err(refuse(
                    "it begins with `dfs://`, as in dfs://data/a.csv".into(),
                ));
            }
        };
        let mut path = String::with_capacity(rest.len() + 1);
        let mut depth = 0;
        for name in rest.split('/').filter(|name| !name.is_empty()) {
            check_name(name).map_err(refuse)?;
            path.push('/');
            path.push_str(name);
            depth += 1;
        }
        if path.len() > Self::MAX_LEN {
            return Err(refuse(format!("it has more than {} bytes", Self::MAX_LEN)));
        }
        if depth > Self::MAX_DEPTH {
            return Err(refuse(format!(
                "it has more than {} names",
                Self::MAX_DEPTH
            )));
        }
        Ok(Self(path))
    }

    /// Whether this is the root directory.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its names, outermost first.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// Its last name, and the directory that is in; `None` for the root.
    #[must_use]
    pub fn split_last(&self) -> Option<(Self, &str)> {
        let (parent, name) = self.0.rsplit_once('/')?;
        Some((Self(parent.to_owned()), name))
    }

    /// The path of `name` in this directory.
    ///
    /// # Errors
    /// If that is no path.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        let joined = format!("{}/{name}", self.0);
        let refuse = |reason| PathError {
            text: joined.chars().take(120).collect(),
            reason,
        };
        check_name(name).map_err(refuse)?;
        Self::parse(&joined)
    }

    /// Whether `other` is this path or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other
            .0
            .strip_prefix(&self.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The path without its scheme: `/a/b`, or nothing for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text can be the name of a file or directory; if not, why.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name == "." || name == ".." {
        return Err(format!("the name `{name}` stands for no fixed place"));
    }
    if name.len() > DfsPath::NAME_MAX_LEN {
        return Err(format!(
            "one of its names has more than {} bytes",
            DfsPath::NAME_MAX_LEN
        ));
    }
    if name.is_empty() || name.contains('/') {
        return Err("a name has at least one character, and no `/`".to_owned());
    }
    if name.chars().any(char::is_control) {
        return Err("one of its names has a control character in it".to_owned());
    }
    Ok(())
}

impl fmt::Display for DfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dfs://{}", self.0.strip_prefix('/').unwrap_or_default())
    }
}

impl fmt::Debug for DfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DfsPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl serde::Serialize for DfsPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<C> Encode<C> for DfsPath {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for DfsPath {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = decoder.position();
        let text = decoder.str()?;
        if text.is_empty() {
            return Ok(Self::root());
        }
        let malformed = |reason: String| minicbor::decode::Error::message(reason).at(at);
        let path = Self::parse(text).map_err(|error| malformed(error.to_string()))?;
        if path.0 == text {
            Ok(path)
        } else {
            Err(malformed(format!(
                "`{text}` is not the one spelling of its path"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> DfsPath {
        DfsPath::parse(text).expect("the test means a path")
    }

    #[test]
    fn one_path_has_one_spelling() {
        for text in ["dfs://a/b", "dfs:///a/b", "/a/b", "dfs://a//b/", "//a/b"] {
            assert_eq!(path(text).to_string(), "dfs://a/b", "{text}");
        }
        for text in ["dfs://", "dfs:///", "/", "//"] {
            assert!(path(text).is_root(), "{text}");
            assert_eq!(path(text).to_string(), "dfs://");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "begins with"),
            ("a/b", "begins with"),
            ("file:///a", "begins with"),
            ("dfs:/a", "begins with"),
            ("dfs://a/../b", "no fixed place"),
            ("/.", "no fixed place"),
            ("/a\nb", "control character"),
            ("/a\u{7f}", "control character"),
        ] {
            let error = DfsPath::parse(text).expect_err(text);
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
        assert!(DfsPath::parse(&format!("/{}", "n".repeat(255))).is_ok());
        assert!(DfsPath::parse(&format!("/{}", "n".repeat(256))).is_err());
        assert!(DfsPath::parse(&"/n".repeat(64)).is_ok());
        assert!(DfsPath::parse(&"/n".repeat(65)).is_err());
    }

    #[test]
    fn a_directory_contains_itself_and_what_is_below() {
        assert!(path("/a").contains(&path("/a")));
        assert!(path("/a").contains(&path("/a/b/c")));
        assert!(!path("/a").contains(&path("/ab")));
        assert!(!path("/a/b").contains(&path("/a")));
        assert!(path("/").contains(&path("/a")));
    }

    #[test]
    fn the_last_name_is_split_off_and_joined_again() {
        let whole = path("/a/b c");
        let (parent, name) = whole.split_last().expect("it is not the root");
        assert_eq!((parent.to_string().as_str(), name), ("dfs://a", "b c"));
        assert_eq!(parent.join(name).as_ref(), Ok(&whole));
        assert!(parent.join("x/y").is_err());
        assert!(parent.join("").is_err());
        assert!(path("/").split_last().is_none());
        assert_eq!(path("/").names().count(), 0);
        assert_eq!(whole.names().collect::<Vec<_>>(), ["a", "b c"]);
    }
}
