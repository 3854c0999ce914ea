//! Small charts, drawn as paths.

use std::fmt::Write as _;

use vaquita_core::figures::FiguresReport;

use crate::format;
use crate::words::{Words, fill};

/// Size of a chart in its own units.
const WIDTH: u64 = 240;
const HEIGHT: u64 = 48;

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Curve {
    /// What it is, where a chart has several.
    pub(crate) word: &'static str,
    /// The path of the line, with gaps where nothing is known.
    pub(crate) line: String,
    /// What it is at now, and was at most.
    pub(crate) note: String,
}

/// A chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    pub(crate) word: &'static str,
    pub(crate) curves: Vec<Curve>,
}

/// A chart's title, its series with their words, and how values are written.
type Plan = (
    fn(&Words) -> &'static str,
    &'static [(&'static str, fn(&Words) -> &'static str)],
    fn(u64) -> String,
);

const LOAD: Plan = (|t| t.load, &[("load", |_| "")], format::thousandths);
const CPU: Plan = (|t| t.cpu, &[("cpu", |_| "")], format::share);
const MEMORY: Plan = (|t| t.memory, &[("memory", |_| "")], format::bytes);
const DISK: Plan = (
    |t| t.disk,
    &[
        ("disk_read", |t| t.chart_reads),
        ("disk_write", |t| t.chart_writes),
    ],
    format::rate,
);
const NETWORK: Plan = (
    |t| t.network,
    &[
        ("sent", |t| t.chart_sent),
        ("received", |t| t.chart_received),
    ],
    format::rate,
);
const COMMITS: Plan = (|t| t.commits, &[("commits", |_| "")], format::per_second);
const LATENCY: Plan = (|t| t.latency, &[("latency", |_| "")], format::nanoseconds);

/// What there is a chart of for the cluster, and for a process.
const CLUSTER: [Plan; 6] = [LOAD, CPU, MEMORY, DISK, NETWORK, COMMITS];
const NODE: [Plan; 6] = [LOAD, CPU, MEMORY, DISK, NETWORK, LATENCY];

/// The charts of the cluster, or of a process.
#[must_use]
pub fn charts(t: &Words, report: &FiguresReport) -> Vec<Chart> {
    let plans = match report.node {
        None => &CLUSTER,
        Some(_) => &NODE,
    };
    plans
        .iter()
        .filter_map(|plan| chart(t, report, plan))
        .collect()
}

/// Points of an hour, so that a line that has just begun stands at the right.
const HOUR_MS: u64 = 3_600_000;

fn chart(t: &Words, report: &FiguresReport, (word, series, written): &Plan) -> Option<Chart> {
    let known: Vec<(&'static str, &Vec<Option<u64>>)> = series
        .iter()
        .filter_map(|(name, word)| Some((word(t), report.series.get(name)?)))
        .filter(|(_, points)| points.iter().any(Option::is_some))
        .collect();
    let most = |points: &[Option<u64>]| points.iter().copied().flatten().max().unwrap_or(0);
    let top = known.iter().map(|(_, points)| most(points)).max()?;
    let steps = (HOUR_MS / report.step_ms.max(1)).max(2);
    let curves = known.into_iter().map(|(word, points)| {
        let latest = points.iter().rev().copied().flatten().next().unwrap_or(0);
        Curve {
            word,
            line: line(points, top, steps),
            note: fill(t.chart_latest, &[&written(latest), &written(most(points))]),
        }
    });
    Some(Chart {
        word: word(t),
        curves: curves.collect(),
    })
}

/// The path of a line whose newest point is at the right edge.
fn line(points: &[Option<u64>], top: u64, steps: u64) -> String {
    let mut path = String::new();
    let mut draws = false;
    let count = points.len() as u64;
    for (at, point) in points.iter().enumerate() {
        let Some(value) = point else {
            draws = false;
            continue;
        };
        let from_right = count - 1 - at as u64;
        let x = WIDTH.saturating_sub(from_right * WIDTH / (steps - 1));
        let share = u128::from(*value) * u128::from(HEIGHT) / u128::from(top.max(1));
        let y = HEIGHT - u64::try_from(share).unwrap_or(HEIGHT).min(HEIGHT);
        let letter = if draws { 'L' } else { 'M' };
        // Writing to a String cannot fail.
        let _ = write!(path, "{letter}{x} {y}");
        if !draws && points.get(at + 1).is_none_or(Option::is_none) {
            // A point by itself, which would leave no mark.
            path.push_str("h1");
        }
        draws = true;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_the_right_and_has_gaps_where_nothing_is_known() {
        let points = [Some(0), Some(10), None, Some(5)];
        assert_eq!(line(&points, 10, 241), "M237 48L238 0M240 24h1");
        assert_eq!(line(&[], 10, 241), "");
        assert_eq!(line(&[Some(0)], 0, 241), "M240 48h1");
    }

    #[test]
    fn more_points_than_there_is_room_for_stay_within() {
        let points = vec![Some(u64::MAX); 1000];
        let path = line(&points, u64::MAX, 360);
        assert!(path.starts_with("M0 0") && path.ends_with("L240 0"));
    }

    #[test]
    fn a_series_of_which_nothing_is_known_has_no_chart() {
        let report = FiguresReport {
            node: None,
            step_ms: 10_000,
            newest_age_ms: None,
            newest_unix_ms: None,
            series: [
                ("load", vec![None, Some(420)]),
                ("commits", vec![None, None]),
            ]
            .into_iter()
            .collect(),
        };
        let charts = charts(&crate::words::ENGLISH, &report);
        assert_eq!(charts.len(), 1);
        assert_eq!(charts[0].curves[0].note, "0.42 now, 0.42 at most");
    }
}
