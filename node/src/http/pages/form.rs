//! What a form of a page sends.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};

use super::Visit;
use crate::http::body::read_bytes;
use crate::http::limits::HttpLimits;
use crate::http::problem::Problem;

/// Fields that a form may have.
const FIELDS_MAX: usize = 2000;

/// The fields of a form, in order.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the form of a visitor, who proves that it is of this session's own page.
    pub(super) async fn of(
        visit: &Visit,
        request: Request<Body>,
        limits: &HttpLimits,
    ) -> Result<Self, Problem> {
        let form = Self::unproven(request, limits).await?;
        visit.signed_in().proves_its_page(form.get("csrf"))?;
        Ok(form)
    }

    /// Reads the form of somebody who has no session yet.
    pub(super) async fn unproven(
        request: Request<Body>,
        limits: &HttpLimits,
    ) -> Result<Self, Problem> {
        let media = request.headers().get(CONTENT_TYPE);
        let is_form = media
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|it| {
                it.trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        if !is_form {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "this takes the form of its page; programs use what is under /api/v1/",
            ));
        }
        let bytes = read_bytes(request, limits).await?;
        let fields = form_urlencoded::parse(&bytes).into_owned();
        let fields: Vec<(String, String)> = fields.take(FIELDS_MAX + 1).collect();
        if fields.len() > FIELDS_MAX {
            return Err(Problem::invalid(format!(
                "a form may have {FIELDS_MAX} fields"
            )));
        }
        Ok(Self(fields))
    }

    /// The first field of that name, unless it is empty.
    pub(in crate::http) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let (_, value) = fields.find(|(key, value)| key == name && !value.is_empty())?;
        Some(value)
    }

    /// The first field of that name, be it empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let (_, value) = fields.find(|(key, _)| key == name)?;
        Some(value)
    }

    /// All fields of that name that are not empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The same, which has to be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, Problem> {
        self.get(name)
            .ok_or_else(|| Problem::invalid(format!("the form's field `{name}` is missing")))
    }

    /// The problem of a form whose button nobody knows.
    pub(super) fn no_such_order(&self) -> Problem {
        let known: String = self
            .get("do")
            .unwrap_or_default()
            .chars()
            .take(40)
            .collect();
        Problem::invalid(format!("there is no order `{known}` here"))
    }
}
