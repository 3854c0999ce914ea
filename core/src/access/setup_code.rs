//! The setup code: what a first login from another machine needs beside the password that
//! everybody knows.
//!
//! With that password alone the first stranger to arrive would choose the next one. The code stands
//! where only somebody on the controller's host can read it, in its log and in a file, so that it
//! proves what the password cannot.
//!
//! It lives in memory and is drawn anew at each start: nothing about it is logged as a record, and a
//! backup holds none that still opens anything.

use core::fmt;

use subtle::ConstantTimeEq;

use super::gate::{Access, Asker, busy};
use super::name::UserName;
use super::password::first_password;
use super::state::AccessState;
use super::throttle::Source;
use crate::admin::{Refusal, SETUP_CODE_FILE};
use crate::event::Event;
use crate::prng::SecretPrng;
use crate::secret::Password;
use crate::time::Timestamp;

/// Characters of a code: 50 random bits.
const LEN: usize = 10;
/// Wrong codes after which a new one is made, which has to be looked up again.
pub const WRONG_CODES_MAX: u32 = 5;
/// Base32 of RFC 4648: no digit that looks like a letter.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A code that a controller has drawn.
#[derive(Clone)]
pub struct SetupCode([u8; LEN]);

impl SetupCode {
    /// Draws a code that nobody has seen.
    pub fn draw(secrets: &mut SecretPrng) -> Self {
        let mut bits = secrets.next_u64();
        Self(core::array::from_fn(|_| {
            let character = ALPHABET[usize::try_from(bits % 32).unwrap_or(0)];
            bits /= 32;
            character
        }))
    }

    /// The code as it is shown and typed, `ABCDE-FGHIJ`: for the log and the file.
    #[must_use]
    pub fn reveal(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let (left, right) = text.split_at(LEN / 2);
        format!("{left}-{right}")
    }

    /// Whether somebody has typed this code. Case, blanks and hyphens do not matter; the time that
    /// the comparison takes does not depend on how much of it is right.
    #[must_use]
    pub fn is(&self, typed: &Password) -> bool {
        let typed: Vec<u8> = typed
            .reveal()
            .bytes()
            .filter(|byte| !matches!(byte, b' ' | b'-'))
            .map(|byte| byte.to_ascii_uppercase())
            .collect();
        self.0.as_slice().ct_eq(&typed).into()
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetupCode(..)")
    }
}

/// The code in force, and how often it was missed.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    code: Option<SetupCode>,
    wrong: u32,
}

/// What has to happen to the file that holds the code.
#[derive(Clone, PartialEq, Eq)]
pub enum SetupFile {
    /// It is to hold this line.
    Write(String),
    /// It is to be gone.
    Remove,
}

/// Leaves the code out.
impl fmt::Debug for SetupFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write(_) => "Write(..)",
            Self::Remove => "Remove",
        })
    }
}

impl Access {
    /// Draws a code if one is needed and there is none, and forgets it once none is. To be called
    /// whenever the state or the code may have changed; does nothing otherwise.
    pub fn tend_setup_code(
        &mut self,
        state: &AccessState,
        secrets: &mut SecretPrng,
    ) -> Option<SetupFile> {
        if !state.has_well_known_password() {
            return self.setup.code.take().map(|_| SetupFile::Remove);
        }
        if self.setup.code.is_some() {
            return None;
        }
        let code = SetupCode::draw(secrets);
        let shown = code.reveal();
        self.notify(Event::info(
            "access.setup_code",
            format!(
                "Setup code {shown}, needed for the first login from another machine; the file \
                 {SETUP_CODE_FILE} beside the metadata log holds it too, until the first password \
                 is changed"
            ),
        ));
        self.setup = Setup {
            code: Some(code),
            wrong: 0,
        };
        Some(SetupFile::Write(format!("{shown}\n")))
    }

    /// Whether a login has to show the setup code, and shows the right one: an account with the
    /// password that everybody knows, and somebody who knows it, on another machine.
    ///
    /// A wrong code counts as a wrong password does. A missing one does not, and costs no hash:
    /// whoever leaves it out guesses nothing.
    pub(super) fn check_setup_code(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        asker: &Asker,
        user: &UserName,
        password: &Password,
        typed: Option<&Password>,
    ) -> Result<(), Refusal> {
        let known = state
            .user(user.as_str())
            .is_some_and(|account| account.has_well_known_password());
        let elsewhere = asker
            .origin
            .is_some_and(|origin| !origin.address.to_canonical().is_loopback());
        if !known || !elsewhere || *password != first_password() {
            return Ok(());
        }
        let Some(typed) = typed else {
            return Err(Refusal::SetupCodeRequired);
        };
        if self.setup.code.as_ref().is_some_and(|code| code.is(typed)) {
            return Ok(());
        }
        self.wrong_setup_code(now, asker, user)
    }

    fn wrong_setup_code(
        &mut self,
        now: Timestamp,
        asker: &Asker,
        user: &UserName,
    ) -> Result<(), Refusal> {
        let Some(origin) = asker.origin else {
            return Err(Refusal::SetupCodeRequired);
        };
        let source = Source::from(origin.address);
        let check = self.throttle.admit(now, source, user).map_err(busy)?;
        let toll = self.throttle.failed(now, check, source, user);
        self.setup.wrong += 1;
        let replaced = self.setup.wrong >= WRONG_CODES_MAX;
        let text = format!("wrong setup code for `{user}`: {asker}");
        if replaced {
            self.setup.code = None;
            self.notify(Event::warning(
                "access.setup_code_void",
                format!("{text}. It was the {WRONG_CODES_MAX}th: a new code follows"),
            ));
        } else {
            self.notify(Event::info("access.login_failed", text));
        }
        self.tell_toll(&toll, user, asker);
        Err(Refusal::WrongSetupCode { replaced })
    }
}
