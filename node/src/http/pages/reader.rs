//! Who reads a page, before it is known who that is: language, theme, and how to be told a refusal.

use axum::extract::MatchedPath;
use axum::http::header::{ACCEPT, ACCEPT_LANGUAGE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use tokio::sync::watch;
use vaquita_web::pages::ProblemPage;
use vaquita_web::{Frame, Lang, Live, Theme};

use super::{local, page, see_other};
use crate::http::app::App;
use crate::http::problem::Problem;
use crate::http::routes::{self, Endpoint, Route};
use crate::http::session::{self, session_cookie};

/// Turns true when the process, and so this connection, begins to end: for answers that have no end.
#[derive(Clone, Debug)]
pub(in crate::http) struct Ending(pub(in crate::http) watch::Receiver<bool>);

/// Names of the cookies that remember what somebody likes.
pub(super) const LANG_COOKIE: &str = "vqlang";
pub(super) const THEME_COOKIE: &str = "vqtheme";

/// How somebody reads pages.
#[derive(Clone, Debug)]
pub(in crate::http) struct Reader {
    lang: Lang,
    theme: Theme,
    path: String,
    asks: bool,
    has_session: bool,
    /// Whether the page is drawn anew by itself, while nobody looks for notices.
    live: bool,
}

impl Reader {
    /// The reader, if the request is for a page; somebody who came upon an address that is none reads too.
    pub(in crate::http) fn of<F>(app: &App<F>, head: &Parts) -> Option<Self> {
        let template = head.extensions.get::<MatchedPath>();
        let route = template.and_then(|path| routes::find(&head.method, path.as_str()));
        let is_page = match route.map(|it| it.endpoint) {
            Some(Endpoint::Events | Endpoint::Asset) => false,
            Some(_) => route.is_some_and(Route::is_page),
            None => wants_pages(&head.headers) && !head.uri.path().starts_with("/api/"),
        };
        is_page.then(|| Self::new(app, head))
    }

    /// The reader of what is a page for sure.
    pub(super) fn new<F>(app: &App<F>, head: &Parts) -> Self {
        let cookie = |name| session::cookie(&head.headers, name);
        let accepted = head.headers.get(ACCEPT_LANGUAGE);
        let accepted = accepted.and_then(|it| it.to_str().ok()).unwrap_or_default();
        let path = head.uri.path_and_query().map_or("/", |it| it.as_str());
        Self {
            lang: cookie(LANG_COOKIE)
                .and_then(Lang::named)
                .unwrap_or_else(|| Lang::preferred(accepted)),
            theme: cookie(THEME_COOKIE)
                .and_then(Theme::named)
                .unwrap_or_default(),
            path: path.to_owned(),
            asks: head.method == Method::GET || head.method == Method::HEAD,
            live: head.headers.contains_key(session::LIVE_HEADER),
            has_session: cookie(&app.settings.session_cookie).is_some(),
        }
    }

    /// Whether this reader is shown the notices that wait.
    pub(in crate::http) const fn is_told(&self) -> bool {
        self.asks && !self.live
    }

    /// What surrounds a page for this reader, of whom no more is known.
    pub(super) fn frame<F>(&self, app: &App<F>) -> Frame {
        Frame {
            t: self.lang.words(),
            lang: self.lang,
            theme: self.theme,
            cluster: app.settings.title.clone(),
            visitor: None,
            csrf: String::new(),
            path: self.path.clone(),
            flashes: Vec::new(),
            live: Live::Never,
            own: app.settings.manager.is_some(),
        }
    }

    /// Tells a refusal: by a page, or by leading to the one that helps.
    pub(in crate::http) fn told<F>(&self, app: &App<F>, problem: Problem) -> Response {
        if problem.is_unauthenticated() {
            let next = match self.asks {
                true => local(&self.path),
                false => "/",
            };
            let mut query = form_urlencoded::Serializer::new(String::new());
            if next != "/" {
                query.append_pair("next", next);
            }
            if self.has_session {
                query.append_pair("why", "ended");
            }
            let query = query.finish();
            let mut response = match query.is_empty() {
                true => see_other("/login"),
                false => see_other(&format!("/login?{query}")),
            };
            if self.has_session {
                let ended = session_cookie(&app.settings.session_cookie, None);
                response.headers_mut().append(SET_COOKIE, ended);
            }
            return response;
        }
        if problem.kind() == "password-change-required" {
            return see_other("/password");
        }
        let frame = self.frame(app);
        let t = frame.t;
        let title = match problem.status() {
            StatusCode::NOT_FOUND => t.not_found,
            StatusCode::FORBIDDEN => t.not_allowed,
            _ => t.something_is_wrong,
        };
        // A process that is not the controller says where that is.
        let site = problem.text_detail("site");
        let scheme = app.settings.scheme();
        let link = site.map(|site| (format!("{scheme}://{site}/"), t.ask_controller));
        let drawn = ProblemPage {
            f: frame,
            title: title.to_owned(),
            message: problem.message().to_owned(),
            link,
        };
        let mut response = page(problem.status(), &drawn);
        for (name, value) in problem.headers() {
            response.headers_mut().append(name, value.clone());
        }
        response
    }
}

fn wants_pages(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|it| it.to_str().ok());
    accepted.is_some_and(|it| it.contains("text/html"))
}
