use askama::Template;
use vaquita_core::admin::{Right, TokenRow};

use crate::format::{self, Moment};
use crate::words::{self, Words};
use crate::{Frame, Visitor};

/// A token, with what is drawn of it.
#[derive(Clone, Debug)]
pub(super) struct TokenView {
    row: TokenRow,
    rights: String,
    issued: Option<Moment>,
    expires: Option<Moment>,
}

impl TokenView {
    fn new(t: &Words, row: TokenRow) -> Self {
        let rights = row.rights.as_ref().map(|rights| in_words(t, rights));
        Self {
            rights: rights.unwrap_or_else(|| t.all_rights.to_owned()),
            issued: format::moment(row.issued_unix_ms),
            expires: format::moment(row.expires_unix_ms),
            row,
        }
    }
}

fn in_words(t: &Words, rights: &[Right]) -> String {
    let words: Vec<&str> = rights.iter().map(|right| words::right(t, *right)).collect();
    words.join(", ")
}

/// Who one is, and with what one's programs come.
#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    f: Frame,
    user: String,
    role: &'static str,
    rights: String,
    tokens: Vec<TokenView>,
    all: bool,
    fresh: Option<String>,
    grantable: Vec<(&'static str, &'static str)>,
}

impl AccountPage {
    /// Puts it together. `all` says whether the tokens are those of everybody; `fresh` is a token that was
    /// just made, which is told this once.
    #[must_use]
    pub fn new(
        f: Frame,
        visitor: &Visitor,
        tokens: Vec<TokenRow>,
        all: bool,
        fresh: Option<String>,
    ) -> Self {
        let t = f.t;
        let held: Vec<Right> = Right::ALL
            .into_iter()
            .filter(|right| visitor.has(*right))
            .collect();
        Self {
            user: visitor.name.clone(),
            role: visitor.role_word(t),
            rights: in_words(t, &held),
            tokens: tokens
                .into_iter()
                .map(|row| TokenView::new(t, row))
                .collect(),
            all,
            fresh,
            grantable: held
                .into_iter()
                .map(|right| (right.as_str(), words::right(t, right)))
                .collect(),
            f,
        }
    }
}
