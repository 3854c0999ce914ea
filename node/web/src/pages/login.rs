use askama::Template;

use crate::Frame;

/// Logging in.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// What surrounds it.
    pub f: Frame,
    /// Why the attempt before failed.
    pub problem: Option<String>,
    /// The name that was typed then.
    pub user: String,
    /// Where to go afterwards.
    pub next: String,
    /// Whether the setup code is asked for.
    pub asks_code: bool,
    /// Whether nobody has logged in here yet, as far as can be told.
    pub first_time: bool,
    /// What to know about the way the password takes.
    pub warning: Option<&'static str>,
}

/// Changing one's own password.
#[derive(Debug, Template)]
#[template(path = "password.html")]
pub struct PasswordPage {
    /// What surrounds it.
    pub f: Frame,
    /// Why the attempt before failed.
    pub problem: Option<String>,
    /// Whose.
    pub user: String,
    /// Whether nothing else is allowed before.
    pub forced: bool,
}
