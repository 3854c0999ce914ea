//! The pages.

mod config;
mod events;
mod forms;
mod login;
mod rolling;
mod shown;

use vaquita_core::admin::{OrderRow, Response};
use vaquita_core::ids::Alias;

use super::harness::Answered;
use crate::http::Route;

const FORM: &str = "application/x-www-form-urlencoded";

fn cookie(token: &str) -> String {
    format!("vq8990={token}")
}

fn location(answer: &Answered) -> &str {
    answer.header("location").unwrap_or("nowhere")
}

fn logged_in(must_change_password: bool) -> Response {
    Response::LoggedIn {
        token: "vqt_0_1".to_owned(),
        must_change_password,
    }
}

fn ordered(alias: &str, note: &str) -> Response {
    Response::Ordered(vec![OrderRow {
        alias: Alias::new(alias).unwrap(),
        changed: true,
        note: note.to_owned(),
    }])
}

/// An address of the route.
fn sample(route: &Route) -> String {
    route
        .path
        .replace("{alias}", "P1-NODE1")
        .replace("{user}", "u")
        .replace("{right}", "dfs-read")
        .replace("{chunk}", "0000010000000001")
        .replace("{file}", "cluster.cfg")
        .replace("{version}", "0")
        .replace("{name}", "app.css")
        .replace("{*path}", "data/a.csv")
}
