//! What a password and a user's name may be.

use crate::admin::Refusal;
use crate::ids::Alias;
use crate::secret::Password;

/// The first account.
pub const FIRST_USER: &str = "admin";
/// Its password, which is in every manual and therefore opens nothing but the change of itself.
pub const FIRST_PASSWORD: &str = "123456";

/// The first account's password, to be hashed.
#[must_use]
pub fn first_password() -> Password {
    Password::new(FIRST_PASSWORD.to_owned())
}

const PASSWORD_MIN: usize = 10;
const USER_MAX: usize = 30;

/// Fragments that make up most guessed passwords; one that is nothing but such a fragment, digits
/// and punctuation is refused.
const COMMON: &[&str] = &[
    "abc",
    "access",
    "adm",
    "admin",
    "administrator",
    "asdf",
    "asdfgh",
    "baseball",
    "batman",
    "changeme",
    "cluster",
    "computer",
    "database",
    "default",
    "dolphin",
    "dolphindb",
    "dragon",
    "football",
    "freedom",
    "guest",
    "hello",
    "iloveyou",
    "letmein",
    "login",
    "master",
    "monkey",
    "mypassword",
    "pass",
    "passw",
    "password",
    "passwort",
    "princess",
    "qaz",
    "qazwsx",
    "qwe",
    "qwer",
    "qwert",
    "qwerty",
    "qwertyuiop",
    "root",
    "secret",
    "server",
    "shadow",
    "starwars",
    "storage",
    "sunshine",
    "superman",
    "system",
    "temp",
    "test",
    "toor",
    "trustno",
    "user",
    "vaquita",
    "welcome",
    "whatever",
    "zaq",
    "zxc",
    "zxcvbn",
    "zxcvbnm",
];

/// Checks a new password: long, and none of those that are tried first. No rules on the kinds of
/// characters; they make passwords worse.
pub(super) fn check(new: &Password, user: &str, aliases: &[Alias]) -> Result<(), Refusal> {
    let text = new.reveal();
    let refuse = |reason: String| Err(Refusal::Invalid { reason });
    if text.len() < PASSWORD_MIN || text.len() > Password::MAX_LEN {
        return refuse(format!(
            "a password takes {PASSWORD_MIN} to {} bytes; this one has {}",
            Password::MAX_LEN,
            text.len()
        ));
    }
    if text.chars().any(char::is_control) {
        return refuse("a password cannot contain control characters".to_owned());
    }
    let lower = text.to_lowercase();
    if lower.starts_with(FIRST_PASSWORD) {
        return refuse(format!(
            "a password that begins with {FIRST_PASSWORD} is guessed first"
        ));
    }
    let names = aliases.iter().map(Alias::as_str).chain([user]);
    if names.into_iter().any(|name| lower == name.to_lowercase()) {
        return refuse("the name of a user or node is no password".to_owned());
    }
    let letters: String = lower.chars().filter(|c| c.is_alphabetic()).collect();
    let mut characters = lower.chars();
    let first = characters.next();
    let one_character = characters.all(|character| Some(character) == first);
    if one_character || letters.is_empty() || COMMON.contains(&letters.as_str()) {
        return refuse(
            "this password is among those that are tried first; take several unrelated words"
                .to_owned(),
        );
    }
    Ok(())
}

/// Checks the name of a new user.
pub(super) fn check_user(user: &str) -> Result<(), Refusal> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let starts_well = user.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if starts_well && user.len() <= USER_MAX && user.bytes().all(legal) {
        Ok(())
    } else {
        let shown: String = user.chars().take(USER_MAX).collect();
        Err(Refusal::Invalid {
            reason: format!(
                "`{}` is no user name: it takes up to {USER_MAX} letters, digits, `-` and `_`, the \
                 first a letter",
                shown.escape_debug()
            ),
        })
    }
}
