//! Requests as fuzzers make them: such as a route would take, and beside it.

use arbitrary::{Result, Unstructured};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::http::ROUTES;
use crate::http::session::{self, CSRF_HEADER};

/// Who sends a request, and how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    /// A token that nobody has issued.
    MadeUp,
    /// A token in a header.
    Token,
    /// A token in a cookie, as browsers send it for whoever asks them to.
    CookieAlone,
    /// The same with the proof that a page of the session sends it.
    CookieAndProof,
}

/// A request that changes something only if whoever sends it may.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) request: Request<Body>,
    pub(super) shown: Shown,
}

/// Words that mean something to some route.
const WORDS: [&str; 26] = [
    "P1-NODE1",
    "P1-agent",
    "master",
    "admin",
    "plain",
    "cluster.cfg",
    "controller.cfg",
    "app.css",
    "/data/a.csv",
    "/",
    "dfs://data",
    "dfs-read",
    "operate",
    "0",
    "1",
    "18446744073709551615",
    "-1",
    "true",
    "0000010000000001",
    "a%00b",
    "..",
    "%2e%2e",
    "数据",
    "",
    "all",
    "60",
];

/// Names of members of JSON bodies, fields of forms and parameters of queries.
const NAMES: [&str; 38] = [
    "user",
    "password",
    "old",
    "new",
    "valid_seconds",
    "admin",
    "aliases",
    "nodes",
    "all",
    "alias",
    "path",
    "from",
    "to",
    "replace",
    "recursive",
    "parents",
    "limit",
    "after",
    "before",
    "below",
    "unwell",
    "action",
    "name",
    "note",
    "rights",
    "right",
    "csrf",
    "text",
    "version",
    "key",
    "value",
    "lines",
    "lang",
    "next",
    "chunk",
    "volume",
    "for_seconds",
    "kind",
];

const HEADERS: [&str; 22] = [
    "accept",
    "accept-language",
    "authorization",
    "content-encoding",
    "content-type",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "origin",
    "range",
    "referer",
    "sec-fetch-mode",
    "sec-fetch-site",
    "transfer-encoding",
    "x-vq-csrf",
    "x-vq-live",
    "x-vq-op",
    "connection",
];

const VALUES: [&str; 24] = [
    "bytes=0-",
    "bytes=-5",
    "bytes=3-2",
    "bytes=0-1,4-5",
    "bytes=99999999999999999999-",
    "*",
    "\"1\"",
    "W/\"1\"",
    "\"1\", \"2\"",
    "same-origin",
    "cross-site",
    "http://localhost:8990",
    "http://evil.example",
    "null",
    "text/html",
    "application/json",
    "*/*;q=0",
    "gzip",
    "100-continue",
    "zh-CN,zh;q=0.9",
    "Basic YWRtaW46c2V2ZW50ZWVuIHdldCBvdHRlcnM=",
    "Basic %%%",
    "navigate",
    "Thu, 01 Jan 1970 00:00:00 GMT",
];

/// A request; `None` where the bytes make none that HTTP knows.
pub(super) fn draw(
    input: &mut Unstructured<'_>,
    shown: Shown,
    token: &str,
    cookie: &str,
) -> Result<Option<Drawn>> {
    let route = input.choose(ROUTES)?;
    let method = match input.int_in_range(0..=9)? {
        0 => Method::HEAD,
        1 => Method::OPTIONS,
        2 => Method::from_bytes(word(input)?.as_bytes()).unwrap_or(Method::TRACE),
        3 => {
            [Method::GET, Method::POST, Method::PUT, Method::DELETE][input.choose_index(4)?].clone()
        }
        _ => route.method.clone(),
    };
    let Ok(uri) = target(input, route.path)?.parse::<Uri>() else {
        return Ok(None);
    };
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert("host", HeaderValue::from_static("localhost:8990"));
    for _ in 0..input.int_in_range(0..=3)? {
        let name = HeaderName::from_static(input.choose(&HEADERS)?);
        // Whoever shows something shows that alone: what else is shown is no secret of anybody's.
        let value = match input.arbitrary()? {
            true => HeaderValue::from_static(input.choose(&VALUES)?),
            false => match HeaderValue::from_str(&word(input)?) {
                Ok(value) => value,
                Err(_) => continue,
            },
        };
        headers.append(name, value);
    }
    let (content_type, body) = body(input)?;
    if let Some(content_type) = content_type {
        headers.insert("content-type", HeaderValue::from_static(content_type));
    }
    show(headers, shown, token, cookie);
    *request.body_mut() = Body::from(body);
    Ok(Some(Drawn { request, shown }))
}

pub(super) fn show(headers: &mut axum::http::HeaderMap, shown: Shown, token: &str, cookie: &str) {
    let text = |text: String| HeaderValue::try_from(text).expect("a token is plain text");
    for name in ["authorization", "cookie", CSRF_HEADER] {
        headers.remove(name);
    }
    match shown {
        Shown::Nothing => {}
        Shown::MadeUp => {
            headers.insert("authorization", text("Bearer made-up".to_owned()));
            headers.insert("cookie", text(format!("{cookie}=made-up")));
        }
        Shown::Token => {
            headers.insert("authorization", text(format!("Bearer {token}")));
        }
        Shown::CookieAlone => {
            headers.insert("cookie", text(format!("{cookie}={token}")));
        }
        Shown::CookieAndProof => {
            headers.insert("cookie", text(format!("{cookie}={token}")));
            headers.insert(CSRF_HEADER, text(session::csrf(token)));
        }
    }
}

/// The path of a route with something in its gaps, or beside it, and a query.
fn target(input: &mut Unstructured<'_>, template: &str) -> Result<String> {
    let mut path = String::new();
    for part in template.split('/').skip(1) {
        path.push('/');
        match part.starts_with('{') {
            true if part.starts_with("{*") && input.arbitrary()? => path.push_str("data/a.csv"),
            true => path.push_str(&word(input)?),
            false => path.push_str(part),
        }
    }
    if input.ratio(1, 8)? {
        path.push_str(&word(input)?);
    }
    for nth in 0..input.int_in_range(0..=3)? {
        path.push(if nth == 0 { '?' } else { '&' });
        path.push_str(input.choose(&NAMES)?);
        path.push('=');
        path.push_str(&word(input)?);
    }
    Ok(path)
}

/// One of the words that mean something, or another one.
fn word(input: &mut Unstructured<'_>) -> Result<String> {
    if input.ratio(3, 4)? {
        return Ok((*input.choose(&WORDS)?).to_owned());
    }
    let len = input.int_in_range(0..=24)?;
    let bytes = input.bytes(len)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn body(input: &mut Unstructured<'_>) -> Result<(Option<&'static str>, Vec<u8>)> {
    Ok(match input.int_in_range(0..=5)? {
        0 => (None, Vec::new()),
        1 | 2 => (Some("application/json"), json(input, 3)?.into_bytes()),
        3 => {
            let mut form = String::new();
            for _ in 0..input.int_in_range(0..=4)? {
                let pair = [(*input.choose(&NAMES)?, word(input)?)];
                let pair = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pair)
                    .finish();
                form.push_str(&pair);
                form.push('&');
            }
            (Some("application/x-www-form-urlencoded"), form.into_bytes())
        }
        what => {
            let len = input.int_in_range(0..=60)?;
            let bytes = input.bytes(len)?.to_vec();
            ((what == 4).then_some("application/json"), bytes)
        }
    })
}

fn json(input: &mut Unstructured<'_>, depth: u8) -> Result<String> {
    Ok(match input.int_in_range(0..=7)? {
        0 => "null".to_owned(),
        1 => input.arbitrary::<bool>()?.to_string(),
        2 => input.arbitrary::<i64>()?.to_string(),
        3 => serde_json::Value::from(word(input)?).to_string(),
        4 if depth > 0 => format!("[{}]", json(input, depth - 1)?),
        _ if depth > 0 => {
            let members: Vec<String> = (0..input.int_in_range(0..=4)?)
                .map(|_| {
                    let name = *input.choose(&NAMES)?;
                    Ok(format!("\"{name}\":{}", json(input, depth - 1)?))
                })
                .collect::<Result<_>>()?;
            format!("{{{}}}", members.join(","))
        }
        _ => "1e400".to_owned(),
    })
}
