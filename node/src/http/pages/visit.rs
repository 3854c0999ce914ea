//! Somebody who may see a page: who that is, and what surrounds the page for them.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use vaquita_core::admin::{self, Caller, Refusal, Right, UserRow, Verb};
use vaquita_web::{Frame, Visitor};

use super::reader::{LANG_COOKIE, Reader, THEME_COOKIE};
use super::see_other;
use crate::http::app::{App, SignedIn};
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::problem::Problem;
use crate::http::session;

/// Somebody who has got through the gate to a page.
#[derive(Clone, Debug)]
pub(in crate::http) struct Visit {
    pub(super) caller: Caller,
    pub(super) user: UserRow,
    pub(super) frame: Frame,
    /// The session's token; `None` for a program that shows its token in a header.
    pub(super) token: Option<String>,
    signed_in: SignedIn,
}

impl Visit {
    pub(super) fn has(&self, right: Right) -> bool {
        (self.frame.visitor.as_ref()).is_some_and(|visitor| visitor.has(right))
    }

    /// Who it is, for the machine.
    pub(in crate::http) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The token, where a cookie brought it.
    pub(in crate::http) fn session(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(in crate::http) fn user_name(&self) -> &str {
        &self.user.user
    }

    /// The texts in the visitor's language.
    pub(in crate::http) const fn words(&self) -> &'static vaquita_web::words::Words {
        self.frame.t
    }

    pub(super) const fn signed_in(&self) -> &SignedIn {
        &self.signed_in
    }
}

impl<F: Front> FromRequestParts<Arc<App<F>>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, app: &Arc<App<F>>) -> Result<Self, Response> {
        if let Some(answer) = chosen(head) {
            return Err(answer);
        }
        let reader = Reader::new(app, head);
        let signed_in = head.extensions.get::<SignedIn>().cloned();
        let refused = || Problem::from(Refusal::Unauthenticated).into_response();
        let signed_in = signed_in.ok_or_else(refused)?;
        let caller = signed_in.caller.clone();
        let user = match &signed_in.user {
            Some(user) => user.clone(),
            None => match app.ask(caller.clone(), Verb::WhoAmI).await {
                Ok(admin::Response::You(user)) => user,
                Ok(other) => return Err(unexpected(&other).into_response()),
                Err(refusal) => return Err(Problem::from(refusal).into_response()),
            },
        };
        let mut frame = reader.frame(app);
        let token = signed_in.session.clone();
        if let Some(token) = &token {
            frame.csrf = session::csrf(token);
            if reader.is_told() {
                frame.flashes = app.sessions.to_tell(token);
            }
        }
        frame.visitor = Some(Visitor {
            name: user.user.clone(),
            admin: user.admin,
            rights: user.rights.clone(),
        });
        Ok(Self {
            caller,
            user,
            frame,
            token,
            signed_in,
        })
    }
}

/// Remembers a choice of language or theme, and leads to the page without it in its address.
pub(super) fn chosen(head: &Parts) -> Option<Response> {
    let query = head.uri.query().filter(|_| head.method == "GET")?;
    let mut cookies = Vec::new();
    let mut kept = form_urlencoded::Serializer::new(String::new());
    let mut keeps = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let cookie = match &*name {
            "lang" => vaquita_web::Lang::named(&value).map(|it| (LANG_COOKIE, it.name())),
            "theme" => vaquita_web::Theme::named(&value).map(|it| (THEME_COOKIE, it.word())),
            _ => {
                kept.append_pair(&name, &value);
                keeps = true;
                continue;
            }
        };
        let cookie = cookie.and_then(|(name, value)| session::preference_cookie(name, value));
        cookies.extend(cookie);
    }
    if cookies.is_empty() {
        return None;
    }
    let path = super::local(head.uri.path());
    let mut response = match keeps {
        true => see_other(&format!("{path}?{}", kept.finish())),
        false => see_other(path),
    };
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Some(response)
}
