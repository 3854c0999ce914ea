//! What users are called.

use core::borrow::Borrow;
use core::fmt;
use std::sync::Arc;

use minicbor::{Decode, Decoder, Encode, Encoder};
use thiserror::Error;

/// The name of a user; case counts.
///
/// The grammar `[A-Za-z][A-Za-z0-9_-]{0,29}` leaves no way to write a line break into a log or a
/// path into an address. `console` is nobody's name: it is how whoever sits at the process's own
/// console appears in the log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

/// Why a text is no user name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "that is no user name: it takes 1 to {} letters, digits, `-` and `_`, the first a letter; \
     `console` is taken",
    UserName::MAX_LEN
)]
pub struct UserNameError;

impl UserName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 30;

    /// How whoever sits at the console is called.
    pub const CONSOLE: &'static str = "console";

    /// Checks `text` against the grammar.
    ///
    /// # Errors
    /// If it is empty, too long, does not begin with a letter, contains anything but letters,
    /// digits, `-` and `_`, or is `console`.
    pub fn new(text: &str) -> Result<Self, UserNameError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        let well_formed = starts_well && text.len() <= Self::MAX_LEN && text.bytes().all(legal);
        if well_formed && !text.eq_ignore_ascii_case(Self::CONSOLE) {
            Ok(Self(text.into()))
        } else {
            Err(UserNameError)
        }
    }

    /// The name of the first account.
    #[must_use]
    pub fn first() -> Self {
        Self("admin".into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for UserName {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for UserName {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = decoder.position();
        let text = decoder.str()?;
        Self::new(text).map_err(|error| minicbor::decode::Error::message(error).at(at))
    }
}
