use askama::Template;
use vaquita_core::admin::{Right, UserRow};

use crate::words::{self, Words};
use crate::{Frame, Visitor};

/// A right that a user has or could be given.
#[derive(Clone, Debug)]
pub struct RightView {
    key: &'static str,
    word: &'static str,
    has: bool,
    confirm: bool,
}

/// A user, with what is drawn of it.
#[derive(Clone, Debug)]
pub struct UserView {
    user: String,
    role: &'static str,
    must_change: bool,
    is_self: bool,
    rights: Vec<RightView>,
}

impl UserView {
    fn new(t: &Words, row: UserRow, reader: &str) -> Self {
        let rights = Right::ALL.into_iter().map(|right| RightView {
            key: right.as_str(),
            word: words::right(t, right),
            has: row.rights.contains(&right) || (right == Right::Admin && row.admin),
            confirm: right == Right::Admin,
        });
        let rights = rights.collect();
        let visitor = Visitor {
            name: row.user,
            admin: row.admin,
            rights: row.rights,
        };
        Self {
            role: visitor.role_word(t),
            is_self: visitor.name == reader,
            must_change: row.must_change_password,
            user: visitor.name,
            rights,
        }
    }
}

/// Users and their rights.
#[derive(Debug, Template)]
#[template(path = "users.html")]
pub struct UsersPage {
    f: Frame,
    rows: Vec<UserView>,
}

impl UsersPage {
    /// Puts it together.
    #[must_use]
    pub fn new(f: Frame, users: Vec<UserRow>) -> Self {
        let reader = f.visitor.as_ref().map_or("", |visitor| &visitor.name);
        let rows = users
            .into_iter()
            .map(|row| UserView::new(f.t, row, reader))
            .collect();
        Self { rows, f }
    }
}
