//! Pieces of log files. The file is chosen by the server from an alias and a number: no part of
//! a path ever comes from a client.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use vaquita_core::admin::{LogPiece, LogRange, Refusal, Response as Told, Verb};
use vaquita_core::ids::Alias;

use super::{Answer, Segments, Shared};
use crate::http::app::SignedIn;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::problem::Problem;

/// How much of the end is shown if nothing is asked for.
const TAIL_BYTES: u32 = 64 * 1024;
/// Rotations are counted in small numbers; a larger one is a mistake.
const GENERATIONS: u32 = 10_000;

pub(super) async fn read<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    path: Segments,
    RawQuery(query): RawQuery,
) -> Answer {
    let alias = alias(path.named("alias"))?;
    let max = app.settings.limits.log_piece_bytes;
    let (generation, range) = piece(query.as_deref().unwrap_or_default(), max)?;
    let verb = Verb::ReadLog {
        alias,
        generation,
        range,
    };
    match app.work(caller, verb).await? {
        Told::Log(piece) => Ok(text(piece)),
        other => Err(unexpected(&other)),
    }
}

/// A name that no node can have is the name of no node.
fn alias(text: &str) -> Result<Alias, Problem> {
    Alias::new(text).map_err(|error| {
        let what = format!("there is no such node: {error}");
        Refusal::NotFound { what }.into()
    })
}

/// Which piece `gen=…&offset=…&len=…` or `gen=…&tail=…` names.
fn piece(query: &str, max: u32) -> Result<(u32, LogRange), Problem> {
    let (mut generation, mut offset, mut len, mut tail) = (None, None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slot = match name {
            "gen" => &mut generation,
            "offset" => &mut offset,
            "len" => &mut len,
            "tail" => &mut tail,
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(Problem::invalid(format!(
                    "there is no parameter `{other}`; there are `gen`, `offset`, `len` and `tail`"
                )));
            }
        };
        let number = value
            .parse::<u64>()
            .map_err(|_| Problem::invalid(format!("`{name}` takes a whole number, 0 or more")))?;
        if slot.replace(number).is_some() {
            return Err(Problem::invalid(format!("`{name}` was given twice")));
        }
    }
    let bounded = |name: &str, value: u64, max: u32| {
        u32::try_from(value)
            .ok()
            .filter(|value| *value <= max)
            .ok_or_else(|| Problem::invalid(format!("`{name}` goes up to {max}")))
    };
    let generation = bounded("gen", generation.unwrap_or(0), GENERATIONS)?;
    let range = match (offset, len, tail) {
        (None, None, None) => LogRange::Tail {
            len: TAIL_BYTES.min(max),
        },
        (None, None, Some(tail)) => LogRange::Tail {
            len: bounded("tail", tail, max)?,
        },
        (offset, len, None) => LogRange::From {
            offset: offset.unwrap_or(0),
            len: match len {
                Some(len) => bounded("len", len, max)?,
                None => max,
            },
        },
        (_, _, Some(_)) => {
            return Err(Problem::invalid(
                "`tail` counts from the end and goes with neither `offset` nor `len`",
            ));
        }
    };
    Ok((generation, range))
}

/// Text that no browser takes for anything else. Where it stands in the file is in the headers.
fn text(piece: LogPiece) -> Response {
    let LogPiece {
        offset,
        file_len,
        bytes,
    } = piece;
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert("x-log-offset", HeaderValue::from(offset));
    headers.insert("x-log-length", HeaderValue::from(file_len));
    response
}
