//! A run as a page that needs nothing beside itself.

use std::collections::BTreeSet;

use serde::Serialize;

use super::recording::{Fate, Head, Recording};
use crate::time::SimTime;

const PAGE: &str = include_str!("page.html");
/// Where the page has its data.
const PLACE: &str = "/* the run */";

/// What the script of the page reads: moments are microseconds, nodes and hosts numbers, and what there
/// are thousands of is told in tuples.
#[derive(Serialize)]
struct Data<'a> {
    title: &'a str,
    card: &'a str,
    plan: &'a str,
    ended: u64,
    hosts: &'a [String],
    /// Name, and the name of the host.
    nodes: &'a [(String, String)],
    kinds: Vec<&'a str>,
    /// Sent, arrives, from, to, kind, whether lost.
    messages: Vec<(u64, u64, usize, usize, usize, u8)>,
    /// When, node, state.
    states: Vec<(u64, usize, &'a str)>,
    faults: Vec<(u64, &'a str)>,
    /// When, node, severity, kind, words.
    told: Vec<(u64, usize, u8, &'a str, &'a str)>,
    /// When, from host, to host, whether cut.
    cuts: Vec<(u64, usize, usize, u8)>,
    /// When, host, whether it has power.
    power: Vec<(u64, usize, u8)>,
    /// When, and how many are well, degraded, on their last replica, otherwise to be tended.
    chunks: Vec<(u64, [u64; 4])>,
    /// Began, ended, outcome, words.
    orders: Vec<(u64, u64, u8, String)>,
    failure: Option<(u64, String)>,
}

const fn micros(at: SimTime) -> u64 {
    at.as_nanos() / 1_000
}

/// The page.
///
/// # Panics
/// Never: what is written has no keys but strings.
#[must_use]
pub fn html(head: &Head, recording: &Recording) -> String {
    let names: BTreeSet<&str> = recording.messages.iter().map(|it| it.kind).collect();
    let kinds: Vec<&str> = names.into_iter().collect();
    let kind = |name: &str| kinds.binary_search(&name).unwrap_or(0);
    let packets = recording.packets();
    let messages = packets.iter().map(|it| {
        let lost = u8::from(it.fate == Fate::Lost);
        let (from, to) = (it.from.index(), it.to.index());
        (
            micros(it.sent),
            micros(it.arrives),
            from,
            to,
            kind(it.kind),
            lost,
        )
    });
    let states = recording.states.iter();
    let told = recording.told.iter();
    let cuts = recording.cuts.iter();
    let power = recording.power.iter();
    let orders = recording
        .orders
        .iter()
        .map(|(began, ended, order, outcome, words)| {
            let words = format!("{order}{words}");
            (micros(*began), micros(*ended), *outcome as u8, words)
        });
    let data = Data {
        title: &head.title,
        card: &head.card,
        plan: &head.plan,
        ended: micros(recording.ended),
        hosts: &recording.hosts,
        nodes: &recording.nodes,
        messages: messages.collect(),
        states: states
            .map(|(at, node, state)| (micros(*at), node.index(), state.as_str()))
            .collect(),
        faults: recording
            .faults
            .iter()
            .map(|(at, text)| (micros(*at), text.as_str()))
            .collect(),
        told: told
            .map(|it| {
                (
                    micros(it.at),
                    it.node.index(),
                    it.severity,
                    it.name,
                    it.words.as_str(),
                )
            })
            .collect(),
        cuts: cuts
            .map(|(at, from, to, cut)| (micros(*at), from.index(), to.index(), u8::from(*cut)))
            .collect(),
        power: power
            .map(|(at, host, on)| (micros(*at), host.index(), u8::from(*on)))
            .collect(),
        chunks: recording
            .chunks
            .iter()
            .map(|(at, counts)| (micros(*at), *counts))
            .collect(),
        orders: orders.collect(),
        failure: recording
            .failure
            .as_ref()
            .map(|it| (micros(it.at), it.to_string())),
        kinds,
    };
    let json = serde_json::to_string(&data).expect("it has no keys but strings");
    // Outside of strings JSON has no such sign, and in them it could end the script.
    let json = json.replace('<', "\\u003c");
    PAGE.replacen(PLACE, &json, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_string_ends_the_script() {
        let head = Head {
            title: "</script><b>".to_owned(),
            ..Head::default()
        };
        let page = html(&head, &Recording::default());
        assert_eq!(
            page.matches("</script>").count(),
            PAGE.matches("</script>").count()
        );
        assert!(page.contains(r#""title":"\u003c/script>\u003cb>""#));
        assert!(!page.contains(PLACE));
    }
}
