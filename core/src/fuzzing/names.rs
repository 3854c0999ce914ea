//! A body for fuzzers: names that nobody has.

use core::fmt::Debug;

use minicbor::{Decode, Encode};

use crate::access::UserName;
use crate::dfs::path::DfsPath;
use crate::disk::FileName;
use crate::ids::Alias;
use crate::wire::codec;

/// Reads `data` as a name of each kind.
///
/// # Panics
/// If a name is taken that its grammar does not have, or one refused that it has; if a name is not written
/// as it reads, or a path is not that of its names.
pub fn fuzz_names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let alias = Alias::new(&text);
    let is_alias = follows(&text, ALNUM, &[ALNUM, "_-"], 63);
    assert_eq!(alias.is_ok(), is_alias, "the alias {text:?}");
    if let Ok(alias) = alias {
        assert_eq!(alias.as_str(), text);
        there_and_back("an alias", &alias);
    }
    let user = UserName::new(&text);
    let is_user = follows(&text, LETTERS, &[ALNUM, "_-"], 30) && text.to_lowercase() != "console";
    assert_eq!(user.is_ok(), is_user, "the user {text:?}");
    if let Ok(user) = user {
        assert_eq!(user.as_str(), text);
        there_and_back("a user", &user);
    }
    let file = FileName::new(&text);
    let is_file = follows(&text, FILE_FIRST, &[FILE_FIRST, "."], 100);
    assert_eq!(file.is_some(), is_file, "the file {text:?}");
    if let Some(file) = file {
        assert_eq!(file.as_str(), text);
    }
    let Ok(path) = DfsPath::parse(&text) else {
        return;
    };
    assert_eq!(DfsPath::parse(&path.to_string()).as_ref(), Ok(&path));
    let again = path.names().try_fold(DfsPath::root(), |path, name| {
        assert!(!matches!(name, "" | "." | ".."), "{text:?}");
        path.join(name)
    });
    assert_eq!(again.as_ref(), Ok(&path), "{text:?}");
    assert!(DfsPath::root().contains(&path) && path.contains(&path));
    if let Some((parent, name)) = path.split_last() {
        assert_eq!(parent.join(name).as_ref(), Ok(&path));
        assert!(parent.contains(&path) && !path.contains(&parent));
    }
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const FILE_FIRST: &str = "abcdefghijklmnopqrstuvwxyz0123456789-_";

/// Whether a text is one of `first` and then some of `rest`, `max` characters at most.
fn follows(text: &str, first: &str, rest: &[&str], max: usize) -> bool {
    let mut characters = text.chars();
    let starts = characters.next().is_some_and(|it| first.contains(it));
    let goes_on = |it: char| rest.iter().any(|alphabet| alphabet.contains(it));
    starts && text.chars().count() <= max && characters.all(goes_on)
}

/// A name goes over the wire and into the log as it is.
fn there_and_back<T>(what: &str, name: &T)
where
    T: for<'b> Decode<'b, ()> + Encode<()> + PartialEq + Debug,
{
    let again = codec::decode::<T>(what, &codec::encode(name));
    assert_eq!(again.as_ref(), Ok(name), "{what} reads as it was written");
}
