use askama::Template;

use crate::Frame;

/// Who one is.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    /// What surrounds it.
    pub f: Frame,
    /// The name.
    pub user: String,
    /// The word for the role.
    pub role: &'static str,
    /// The words for the rights.
    pub rights: String,
}
