//! Who may do what: users, their rights, the tokens they carry, and the passwords they prove
//! themselves by.
//!
//! Two halves that never mix:
//!
//! * [`AccessState`] is what the controller's log says. It changes by [`AccessState::apply`] alone,
//!   and two replays of one log agree byte for byte.
//! * [`Access`] is what this process merely remembers: which passwords are being checked, and who
//!   has guessed wrong lately. It starts empty, it is bounded, and it knows no date.
//!
//! A request takes three steps, each a pure function of what it is given:
//!
//! ```text
//! authorize(state, caller, verb)       one table, default deny; touches nothing
//!   `-> Identity
//! begin(now, state, identity, ..)      Reply now | Compute a hash | Append records, then reply
//!   `-> Pending ── job ── finish(now, state, pending, outcome)     … the same three again
//! ```
//!
//! Hashing takes a tenth of a second, in which anything may happen. What [`Access::begin`] found to
//! be so is therefore asked again in [`Access::finish`], of the state at that moment: a user who was
//! removed meanwhile gets no token, an administrator who was deprived meanwhile adds nobody.
//!
//! # Invariants
//!
//! 1. A token belongs to a user who exists, and its user's password and rights are those under
//!    which it was issued.
//! 2. Once there is an administrator, there is one for ever.
//! 3. A token's secret is nowhere but in the one reply that tells it; a password is nowhere but in
//!    the job that hashes it. No `Debug` output, event or refusal contains either.

mod change;
mod deed;
mod gate;
mod login;
mod name;
mod network;
mod password;
mod record;
mod service;
mod setup_code;
mod state;
#[cfg(test)]
mod tests;
mod throttle;
mod token;

pub use change::Change;
pub(crate) use deed::is_counted;
pub use deed::{Deed, Writing, ask_deed, deed};
pub(crate) use gate::who_am_i;
pub use gate::{Access, Identity, Need, Pending, Session, Step, ask_need, need};
pub use login::LoginAttempt;
pub use name::{UserName, UserNameError};
pub use network::{Network, NetworkError};
pub use password::{PasswordHash, check_new_password, first_password};
pub use record::{AccessRecord, Bootstrap, TokenScope, bootstrap_records, initial_records};
pub use setup_code::{SetupCode, SetupFile, WRONG_CODES_MAX};
pub use state::{
    AccessState, IssuedToken, SERVICE_TOKENS_PER_USER_MAX, TOKENS_PER_USER_MAX, USERS_MAX, User,
};
pub use throttle::ThrottleRules;
pub use token::{Token, TokenDigest, TokenId};
