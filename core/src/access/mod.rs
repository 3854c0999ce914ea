//! Who may do what: users, rights, tokens and logins.
//!
//! [`AccessState`] is what the log replays; [`Access`] is the gate in front of everything that is
//! asked over HTTP. One table, [`needed`], says which right each verb takes; what it does not name
//! cannot be asked. Nothing else in the cluster hangs on a password: nodes prove themselves by the
//! cluster's secret.

mod gate;
mod password;
mod state;
#[cfg(test)]
mod tests;
mod throttle;

pub use gate::{Access, Identity, Needed, Pending, Step, needed};
pub use password::{FIRST_PASSWORD, FIRST_USER, first_password};
pub use state::{
    AccessRecord, AccessState, Bootstrap, TOKEN_PREFIX, bootstrap_records, initial_records,
};
