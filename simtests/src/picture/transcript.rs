//! A run as a text, in the order of time.

use std::fmt::Write as _;

use super::recording::{Head, Outcome, Recording};
use crate::time::SimTime;

/// Notices of this severity and above are told.
const TOLD_FROM: u8 = 1;

/// What happened, a line each: what was disturbed, what nodes became, what machines told, what clients
/// wanted and were told.
#[must_use]
pub fn transcript(head: &Head, recording: &Recording) -> String {
    let name = |node: crate::world::NodeIx| {
        let node = recording.nodes.get(node.index());
        node.map_or("?", |(name, _)| name.as_str())
    };
    let mut lines: Vec<(SimTime, String)> = Vec::new();
    for (at, text) in &recording.faults {
        lines.push((*at, format!("!! {text}")));
    }
    for (at, node, state) in &recording.states {
        lines.push((*at, format!("{:<10} is {state}", name(*node))));
    }
    for told in recording.told.iter().filter(|it| it.severity >= TOLD_FROM) {
        let words = &told.words;
        lines.push((
            told.at,
            format!("{:<10} [{}] {words}", name(told.node), told.name),
        ));
    }
    for (began, ended, order, outcome, words) in &recording.orders {
        lines.push((*began, format!("client     wants {order}")));
        let became = match outcome {
            Outcome::Done => "has",
            Outcome::Refused => "is refused",
            Outcome::Unknown => "does not know what became of",
        };
        lines.push((*ended, format!("client     {became} {order}{words}")));
    }
    if let Some(failure) = &recording.failure {
        lines.push((failure.at, format!("XX {failure}")));
    }
    lines.sort_by_key(|(at, _)| *at);
    let mut text = format!("{}\n\n{}\n\n", head.title, head.card);
    for (at, line) in lines {
        writeln!(text, "{at:>14} {line}").expect("a string takes any text");
    }
    text
}
