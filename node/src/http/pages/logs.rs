//! Logs of every process.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use vaquita_core::admin::{LogPiece, LogRange, Refusal, Response as Told, Verb};
use vaquita_core::ids::Alias;
use vaquita_web::pages::{LogChoice, LogLine, LogPage, LogRow, LogsPage};
use vaquita_web::words::{self, fill};
use vaquita_web::{Live, State as Shown, format};

use super::{Answer, Segments, Shared, Visit, page};
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Bytes of a log on a page.
const PIECE: u32 = 64 * 1024;
/// Bytes of a log that are searched for one page.
const SEARCHED: u64 = 8 * 1024 * 1024;
/// Lines that a search shows on one page.
const FOUND_MAX: usize = 500;
/// Older files that can be chosen.
const GENERATIONS: u32 = 10;

pub(in crate::http) async fn list<F: Front>(State(app): Shared<F>, mut visit: Visit) -> Answer {
    let t = visit.frame.t;
    let status = match app.work(visit.caller.clone(), Verb::Status).await? {
        Told::Status(status) => status,
        other => return Err(unexpected(&other)),
    };
    let mut rows = vec![LogRow {
        alias: status.alias.to_string(),
        mode: words::mode(t, status.mode),
        state: None,
        host: String::new(),
    }];
    rows.extend(status.nodes.iter().map(|row| LogRow {
        alias: row.alias.to_string(),
        mode: words::mode(t, row.mode),
        state: Some(Shown::of_node(t, row.state)),
        host: row.host.clone(),
    }));
    visit.frame.live = Live::Nodes;
    let f = visit.frame;
    Ok(page(StatusCode::OK, &LogsPage { f, rows }))
}

pub(in crate::http) async fn show<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    path: Segments,
    uri: Uri,
) -> Answer {
    let query = Query::parse(uri.query(), &["q", "gen", "before"])?;
    let alias = Alias::new(path.named("alias")).map_err(|error| {
        let what = format!("there is no such process: {error}");
        Problem::from(Refusal::NotFound { what })
    })?;
    let number = |name| query.get(name).and_then(|text| text.parse::<u64>().ok());
    let generation = u32::try_from(number("gen").unwrap_or(0)).unwrap_or(u32::MAX);
    let before = number("before");
    let search: String = query
        .get("q")
        .unwrap_or_default()
        .trim()
        .chars()
        .take(200)
        .collect();
    let asked = Asked {
        app: &app,
        visit: &visit,
        alias: alias.clone(),
        generation,
    };
    let read = match search.is_empty() {
        true => asked.piece(before).await,
        false => asked.search(&search, before).await,
    };
    let (lines, problem) = match read {
        Ok(lines) => (lines, None),
        // The page with its choices helps more than a page that says nothing but this.
        Err(problem) if problem.is_unauthenticated() => return Err(problem),
        Err(problem) => (Lines::default(), Some(problem.message().to_owned())),
    };
    let t = visit.frame.t;
    let address = |before: Option<u64>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("gen", &generation.to_string());
        if !search.is_empty() {
            query.append_pair("q", &search);
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        format!("/logs/{alias}?{}", query.finish())
    };
    let choices = (0..=GENERATIONS).map(|number| LogChoice {
        number,
        word: match number {
            0 => t.log_present.to_owned(),
            _ => fill(t.log_before, &[&number.to_string()]),
        },
        chosen: number == generation,
    });
    let drawn = LogPage {
        place: fill(
            t.log_place,
            &[&format::bytes(lines.end), &format::bytes(lines.file_len)],
        ),
        tails: generation == 0 && before.is_none() && problem.is_none(),
        older: (lines.start > 0).then(|| address(Some(lines.start))),
        newer: before.is_some().then(|| address(None)),
        generations: choices.collect(),
        lines: lines.lines.iter().map(|line| LogLine::new(line)).collect(),
        end: lines.end,
        alias: alias.to_string(),
        search,
        problem,
        f: visit.frame.clone(),
    };
    Ok(page(StatusCode::OK, &drawn))
}

/// Whole lines of a log.
#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    /// Offset of the first byte that they come from.
    start: u64,
    /// Offset behind the last one.
    end: u64,
    file_len: u64,
}

struct Asked<'a, F> {
    app: &'a App<F>,
    visit: &'a Visit,
    alias: Alias,
    generation: u32,
}

impl<F: Front> Asked<'_, F> {
    async fn read(&self, range: LogRange) -> Result<LogPiece, Problem> {
        let verb = Verb::ReadLog {
            alias: self.alias.clone(),
            generation: self.generation,
            range,
        };
        match self.app.work(self.visit.caller.clone(), verb).await? {
            Told::Log(piece) => Ok(piece),
            other => Err(unexpected(&other)),
        }
    }

    /// The whole lines that end before an offset, or at the end of the file.
    async fn piece(&self, before: Option<u64>) -> Result<Lines, Problem> {
        let range = match before {
            None => LogRange::Tail { len: PIECE },
            Some(before) => {
                let offset = before.saturating_sub(u64::from(PIECE));
                let len = u32::try_from(before - offset).unwrap_or(PIECE);
                LogRange::From { offset, len }
            }
        };
        let piece = self.read(range).await?;
        let end = piece.offset + piece.bytes.len() as u64;
        let mut bytes = piece.bytes.as_slice();
        let mut start = piece.offset;
        if start > 0
            && let Some(at) = bytes.iter().position(|byte| *byte == b'\n')
            && at + 1 < bytes.len()
        {
            // The rest of a line that began before.
            start += at as u64 + 1;
            bytes = &bytes[at + 1..];
        }
        let text = String::from_utf8_lossy(bytes);
        let lines = text.lines().map(str::to_owned).collect();
        let file_len = piece.file_len;
        Ok(Lines {
            lines,
            start,
            end,
            file_len,
        })
    }

    /// The newest lines before an offset that have a text in them.
    async fn search(&self, wanted: &str, before: Option<u64>) -> Result<Lines, Problem> {
        let wanted = wanted.to_lowercase();
        let mut found = self.piece(before).await?;
        let mut searched = found.end - found.start;
        let has = |line: &String| line.to_lowercase().contains(&wanted);
        found.lines.retain(has);
        while found.start > 0 && searched < SEARCHED && found.lines.len() < FOUND_MAX {
            let mut piece = self.piece(Some(found.start)).await?;
            if piece.start >= found.start {
                break;
            }
            searched += found.start - piece.start;
            piece.lines.retain(has);
            piece.lines.append(&mut found.lines);
            found.lines = piece.lines;
            found.start = piece.start;
        }
        Ok(found)
    }
}
