//! Which passwords are accepted, and what is kept of them.

use core::fmt;

use minicbor::{Decode, Encode};

use crate::admin::Refusal;
use crate::ids::Alias;
use crate::secret::Password;

/// What the cluster keeps of a password: a PHC string with algorithm, parameters, salt and hash.
///
/// Opaque here; the job that checks a password reads it. It prints as dots, because whoever has it
/// can guess at leisure.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a PHC string.
    #[must_use]
    pub const fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string, for the check and nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// The password of the first account of a new cluster.
///
/// Everybody knows it, so that it opens one door only: the one to choose another.
#[must_use]
pub fn first_password() -> Password {
    Password::new(WELL_KNOWN.to_owned())
}

const WELL_KNOWN: &str = "123456";

/// The shortest new password, in bytes.
const MIN_LEN: usize = 10;

/// Passwords of [`MIN_LEN`] bytes and more that every guesser tries first, in lower case, one a
/// line. Shorter ones are refused for their length.
pub(super) static COMMON: &str = include_str!("common_passwords.txt");

/// Words with which guessers make longer ones, by putting digits and punctuation around them.
pub(super) static COMMON_WORDS: &str = include_str!("common_words.txt");

/// Whether `password` may become the password of `user` in a cluster that has nodes of these names.
///
/// There is no rule on kinds of characters and none on age: both make people choose worse
/// passwords (NIST SP 800-63B, section 5.1.1.2).
///
/// # Errors
/// [`Refusal::Invalid`] with what would be right; the text does not contain the password.
pub fn check_new_password(
    password: &Password,
    user: &str,
    aliases: &[Alias],
) -> Result<(), Refusal> {
    let text = password.reveal();
    let refuse = |reason: String| Err(Refusal::Invalid { reason });
    if text.starts_with(WELL_KNOWN) {
        return refuse(format!(
            "a new password may not start with {WELL_KNOWN}, which everybody tries first"
        ));
    }
    if text.len() < MIN_LEN || text.len() > Password::MAX_LEN {
        return refuse(format!(
            "the new password has {} bytes; it takes {MIN_LEN} to {}",
            text.len(),
            Password::MAX_LEN
        ));
    }
    if text.chars().any(char::is_control) {
        return refuse(
            "the new password contains a control character (a tab or a line break?), which cannot \
             be typed at the next login"
                .to_owned(),
        );
    }
    if text.eq_ignore_ascii_case(user) {
        return refuse("the new password is the user's name; choose another".to_owned());
    }
    if let Some(alias) = aliases
        .iter()
        .find(|alias| text.eq_ignore_ascii_case(alias.as_str()))
    {
        return refuse(format!(
            "the new password is the name of the node {alias}; choose another"
        ));
    }
    if is_common(&text.to_lowercase()) {
        return refuse(
            "the new password is one of those that guessers try first; take several words that \
             have nothing to do with each other"
                .to_owned(),
        );
    }
    Ok(())
}

/// Whether a password, in lower case, is one of the commonest, one character over and over, or a
/// common word with nothing but digits and punctuation around it.
fn is_common(folded: &str) -> bool {
    let word = folded.trim_matches(|character: char| !character.is_alphabetic());
    let mut characters = folded.chars();
    let first = characters.next();
    COMMON.lines().any(|common| common == folded)
        || COMMON_WORDS.lines().any(|common| common == word)
        || characters.all(|character| Some(character) == first)
}
