//! How the cluster is.

use axum::extract::State;
use axum::http::header::{HeaderMap, SET_COOKIE};
use axum::http::{StatusCode, Uri};
use vaquita_core::admin::{Response as Told, Right, Verb};
use vaquita_core::dfs::ask::{Answer as Said, Ask};
use vaquita_core::dfs::path::DfsPath;
use vaquita_web::Live;
use vaquita_web::pages::{Column, OverviewPage, Seen, Sorting, Stored, TableView};

use super::{Answer, Shared, Visit, nodes, page};
use crate::config_desk::ConfigDesk;
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::handlers::dfs::ask;
use crate::http::session::{cookie, preference_cookie};
use crate::percent;

/// Longest text that rows are searched for, in characters.
const FILTER_MAX: usize = 60;

/// What somebody likes to see, remembered in a cookie each.
const COLUMNS_COOKIE: &str = "vqcols";
const SORTING_COOKIE: &str = "vqsort";
const FILTER_COOKIE: &str = "vqfilter";

pub(in crate::http) async fn show<F: Front>(
    State(app): Shared<F>,
    mut visit: Visit,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let chosen = Chosen::in_address(uri.query().unwrap_or_default());
    let view = chosen.or_remembered(&headers);
    let mut status = match app.work(visit.caller.clone(), Verb::Status).await? {
        Told::Status(status) => *status,
        other => return Err(unexpected(&other)),
    };
    if app.settings.manager.is_some() {
        return super::own::here(&app, visit, status);
    }
    if let Some(desk) = &app.settings.desk
        && visit.has(Right::LogRead)
    {
        let _worker = app.worker().await?;
        status.alarms.extend(waiting(desk, &visit).await);
    }
    let nodes = nodes::rows(&app, &visit).await?;
    let figures = nodes::figures(&app, &visit, None).await;
    let stored = match visit.has(Right::DfsRead) {
        true => stored(&app, &visit).await,
        false => Stored::default(),
    };
    visit.frame.live = Live::Ticks;
    let may_operate = visit.has(Right::Operate);
    let seen = Seen {
        rolling: app.rolling.told(visit.frame.t),
        status,
        nodes,
        figures,
        stored,
    };
    let drawn = OverviewPage::new(visit.frame, seen, &view, may_operate);
    let mut response = page(StatusCode::OK, &drawn);
    for cookie in chosen.cookies() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// What of the configuration does not count yet, and what that takes. The nodes' part of it is among the
/// controller's own alarms.
async fn waiting(desk: &ConfigDesk, visit: &Visit) -> Vec<String> {
    // What cannot be read just now is told on the page of the configuration.
    let Ok(overview) = desk.overview(&visit.caller).await else {
        return Vec::new();
    };
    let not_taken_up = overview
        .files
        .iter()
        .filter(|it| it.taken_up == Some(false));
    let mut alarms: Vec<String> = not_taken_up
        .map(|it| {
            format!(
                "{} was changed and is not taken up: `vaquita config reload`",
                it.file
            )
        })
        .collect();
    if !overview.pending.is_empty() {
        let keys: Vec<&str> = overview.pending.iter().map(|it| it.key).collect();
        alarms.push(format!(
            "{} in controller.cfg does not count yet: restart the controller",
            keys.join(", ")
        ));
    }
    alarms
}

/// What is known of the files. What cannot be had just now is left out: the rest of the page matters more.
async fn stored<F: Front>(app: &App<F>, visit: &Visit) -> Stored {
    let path = DfsPath::root();
    let usage = ask(app, visit.caller.clone(), Ask::Usage { path }).await;
    let volumes = ask(app, visit.caller.clone(), Ask::Volumes).await;
    let repair = ask(app, visit.caller.clone(), Ask::Repairs).await;
    Stored {
        usage: match usage {
            Ok(Said::Usage(usage)) => Some(usage),
            _ => None,
        },
        volumes: match volumes {
            Ok(Said::Volumes(rows)) => Some(rows),
            _ => None,
        },
        repair: match repair {
            Ok(Said::Repairs(status)) => Some(status),
            _ => None,
        },
    }
}

/// What an address says of the table of nodes.
#[derive(Default)]
struct Chosen {
    columns: Option<Vec<Column>>,
    /// Inside: `None` for the order of the configuration.
    sorting: Option<Option<Sorting>>,
    filter: Option<String>,
}

impl Chosen {
    fn in_address(query: &str) -> Self {
        let mut chosen = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                // One that names nothing says at least that somebody chose.
                "cols" => {
                    let columns = chosen.columns.get_or_insert_default();
                    columns.extend(Column::named(&value));
                }
                "sort" => chosen.sorting = Some(Sorting::named(&value)),
                "q" => chosen.filter = Some(value.chars().take(FILTER_MAX).collect()),
                _ => {}
            }
        }
        chosen
    }

    fn or_remembered(&self, headers: &HeaderMap) -> TableView {
        let usual = TableView::default();
        let remembered = |name| cookie(headers, name);
        TableView {
            columns: match (&self.columns, remembered(COLUMNS_COOKIE)) {
                (Some(columns), _) => columns.clone(),
                (None, Some(text)) => text.split('.').filter_map(Column::named).collect(),
                (None, None) => usual.columns,
            },
            sorting: match (self.sorting, remembered(SORTING_COOKIE)) {
                (Some(sorting), _) => sorting,
                (None, text) => text.and_then(Sorting::named),
            },
            filter: match (&self.filter, remembered(FILTER_COOKIE)) {
                (Some(filter), _) => filter.clone(),
                (None, text) => text
                    .and_then(|text| percent::decoded(text).ok())
                    .unwrap_or_default(),
            },
        }
    }

    fn cookies(&self) -> impl Iterator<Item = axum::http::HeaderValue> {
        let columns = self.columns.as_ref().map(|columns| {
            let keys: Vec<&str> = columns.iter().map(|it| it.key()).collect();
            preference_cookie(COLUMNS_COOKIE, &keys.join("."))
        });
        let sorting = self.sorting.map(|sorting| {
            let text = sorting.map_or_else(String::new, |it| {
                let sign = if it.descending { "-" } else { "" };
                format!("{sign}{}", it.column.key())
            });
            preference_cookie(SORTING_COOKIE, &text)
        });
        let filter = (self.filter.as_ref())
            .map(|filter| preference_cookie(FILTER_COOKIE, &percent::segment(filter)));
        [columns, sorting, filter].into_iter().flatten().flatten()
    }
}
