//! What is remembered of one process: the figures of the last minute, and points for charts.

use core::time::Duration;
use std::collections::VecDeque;

use super::rows::NodeSeries;
use super::{Figures, HIGHEST, MINUTE, NONE, NodeFigures, Ring, per_second};
use crate::ids::{NodeEpoch, Role};
use crate::limits::Limits;
use crate::time::Timestamp;

/// Most figures that are remembered, however short the period.
const RECENT_MAX: usize = 64;

/// The periods that a history keeps to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    period: Duration,
    step: Duration,
    points: usize,
}

impl Rules {
    pub(crate) const fn of(limits: &Limits) -> Self {
        Self {
            period: limits.figures_period,
            step: limits.figures_step,
            points: limits.figures_points,
        }
    }

    /// Figures that cover a minute, and one at each end, be it that they come as fast as they are taken.
    fn recent(&self) -> usize {
        let period = (self.period.as_millis() / 2).max(1);
        let covering = usize::try_from(MINUTE.as_millis() / period).unwrap_or(RECENT_MAX);
        covering.saturating_add(2).min(RECENT_MAX)
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// When it came, by this process's own clock.
    came: Timestamp,
    figures: Figures,
}

/// What is remembered of one process.
#[derive(Clone, Debug)]
pub(crate) struct History {
    rules: Rules,
    /// The registration that the figures were sent under.
    epoch: NodeEpoch,
    recent: VecDeque<Sample>,
    points: Ring<{ NodeSeries::COUNT }>,
}

/// What counts from the start of a process.
type Counter = fn(&Figures) -> u64;

impl History {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            epoch: NodeEpoch(0),
            recent: VecDeque::new(),
            points: Ring::new(rules.points),
        }
    }

    /// Takes note of figures that came under a registration. Those that come much faster than they
    /// should are left out.
    pub(crate) fn take(&mut self, now: Timestamp, epoch: NodeEpoch, figures: &Figures) {
        let figures = figures.clamped();
        if epoch != self.epoch {
            self.recent.clear();
            self.epoch = epoch;
        }
        if let Some(last) = self.recent.back() {
            if now.since(last.came) < self.rules.period / 2 {
                return;
            }
            if figures.uptime_ms <= last.figures.uptime_ms {
                // The counters of another process.
                self.recent.clear();
            }
        }
        while self.recent.len() >= self.rules.recent() {
            self.recent.pop_front();
        }
        self.recent.push_back(Sample { came: now, figures });
    }

    /// The registration that the figures were sent under.
    pub(crate) const fn epoch(&self) -> NodeEpoch {
        self.epoch
    }

    /// The newest figures under a registration.
    fn newest(&self, epoch: NodeEpoch) -> Option<&Sample> {
        self.recent.back().filter(|_| self.epoch == epoch)
    }

    /// The newest figures that are at least `span` older than the newest of all by the clock of the
    /// process itself; where none is, the oldest.
    fn before(&self, span: Duration) -> Option<&Sample> {
        let (newest, older) = (self.recent.back()?, self.recent.len().checked_sub(1)?);
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let until = newest.figures.uptime_ms.saturating_sub(span);
        let mut older = self.recent.iter().take(older).rev();
        let oldest = self.recent.front();
        older
            .find(|it| it.figures.uptime_ms <= until)
            .or(oldest.filter(|_| self.recent.len() > 1))
    }

    /// How much a counter has grown in a second, times `scale`, over a span that ends with the newest
    /// figures. `None` for one that has gone back.
    fn rate(&self, of: Counter, span: Duration, scale: u64) -> Option<u64> {
        let (newest, before) = (&self.recent.back()?.figures, &self.before(span)?.figures);
        let grown = of(newest).checked_sub(of(before))?;
        let passed = newest.uptime_ms.checked_sub(before.uptime_ms)?;
        per_second(grown, passed, scale)
    }

    /// How much a counter has grown within the last minute, as far as that is remembered. `None` while
    /// nothing older than the newest figures is remembered of that minute: nothing known is not nothing.
    fn last_minute(&self, of: Counter) -> Option<u64> {
        let newest = &self.recent.back()?.figures;
        let minute = u64::try_from(MINUTE.as_millis()).unwrap_or(u64::MAX);
        if newest.uptime_ms <= minute {
            return Some(of(newest));
        }
        let half = u64::try_from(self.rules.period.as_millis() / 2).unwrap_or(0);
        let from = newest.uptime_ms - minute;
        let older = self.recent.len().saturating_sub(1);
        let mut within =
            (self.recent.iter().take(older)).filter(|it| it.figures.uptime_ms + half >= from);
        let oldest = &within.next()?.figures;
        of(newest).checked_sub(of(oldest))
    }

    /// What is shown of a process that is there: `None` before its first figures under this
    /// registration have come.
    pub(crate) fn row(&self, now: Timestamp, epoch: NodeEpoch, role: Role) -> Option<NodeFigures> {
        let newest = self.newest(epoch)?;
        let it = &newest.figures;
        let latest = Duration::ZERO;
        let stored = |value: u64| (role == Role::DataNode).then_some(value);
        let chunks = |of| stored(0).and_then(|_| self.rate(of, latest, 1000));
        let member = |value: u64| (role != Role::Controller).then_some(value);
        Some(NodeFigures {
            age_ms: Some(u64::try_from(now.since(newest.came).as_millis()).unwrap_or(u64::MAX)),
            uptime_ms: it.uptime_ms,
            cpu_milli: self.cpu(latest),
            memory_bytes: it.memory_bytes,
            memory_max_bytes: it.memory_max_bytes,
            load_milli: it.load_milli,
            connections: it.connections,
            connections_max: it.connections_max,
            workers: it.workers,
            threads: it.threads,
            disk_capacity: None,
            disk_free: None,
            disk_read_rate: self.rate(|it| it.disk_read_bytes, latest, 1),
            disk_write_rate: self.rate(|it| it.disk_written_bytes, latest, 1),
            last_minute_disk_read: self.last_minute(|it| it.disk_read_bytes),
            last_minute_disk_written: self.last_minute(|it| it.disk_written_bytes),
            send_rate: self.rate(|it| it.sent_bytes, latest, 1),
            receive_rate: self.rate(|it| it.received_bytes, latest, 1),
            last_minute_sent: self.last_minute(|it| it.sent_bytes),
            last_minute_received: self.last_minute(|it| it.received_bytes),
            chunk_reads_milli: chunks(|it| it.chunks_read),
            chunk_writes_milli: chunks(|it| it.chunks_written),
            reading: stored(it.reading),
            writing: stored(it.writing),
            operation_median_10_ns: stored(it.operation_median_10_ns),
            operation_max_10_ns: stored(it.operation_max_10_ns),
            operation_median_100_ns: stored(it.operation_median_100_ns),
            operation_max_100_ns: stored(it.operation_max_100_ns),
            last_msg_latency_ns: member(it.beat_latency_ns),
            cum_msg_latency_ns: member(it.beat_latency_total_ns),
        })
    }

    /// Thousandths of one core: microseconds in a second, by a thousand.
    fn cpu(&self, span: Duration) -> Option<u64> {
        Some(self.rate(|it| it.cpu_us, span, 1)? / 1000)
    }

    /// Adds a point to the charts, for a step of time that ends now. `epoch` is the registration of the
    /// process if it is there, `free` what its disks have left.
    pub(crate) fn step(&mut self, now: Timestamp, epoch: Option<NodeEpoch>, free: Option<u64>) {
        let point = self.point(now, epoch, free);
        self.points.push(point.unwrap_or([NONE; NodeSeries::COUNT]));
    }

    fn point(
        &self,
        now: Timestamp,
        epoch: Option<NodeEpoch>,
        free: Option<u64>,
    ) -> Option<[u64; NodeSeries::COUNT]> {
        let newest = self.newest(epoch?)?;
        let Rules { period, step, .. } = self.rules;
        if now.since(newest.came) > step + period / 2 {
            return None;
        }
        // One that came a little late is still the one before.
        let span = step.saturating_sub(period / 2);
        let it = &newest.figures;
        let value = |series: NodeSeries| match series {
            NodeSeries::Cpu => self.cpu(span),
            NodeSeries::Memory => Some(it.memory_bytes),
            NodeSeries::Load => Some(it.load_milli),
            NodeSeries::Connections => Some(it.connections),
            NodeSeries::DiskRead => self.rate(|it| it.disk_read_bytes, span, 1),
            NodeSeries::DiskWrite => self.rate(|it| it.disk_written_bytes, span, 1),
            NodeSeries::Sent => self.rate(|it| it.sent_bytes, span, 1),
            NodeSeries::Received => self.rate(|it| it.received_bytes, span, 1),
            NodeSeries::ChunkReads => self.rate(|it| it.chunks_read, span, 1000),
            NodeSeries::ChunkWrites => self.rate(|it| it.chunks_written, span, 1000),
            NodeSeries::Reading => Some(it.reading),
            NodeSeries::Writing => Some(it.writing),
            NodeSeries::Latency => Some(it.beat_latency_ns),
            NodeSeries::DiskFree => free,
        };
        Some(NodeSeries::ALL.map(|series| value(series).map_or(NONE, |it| it.min(HIGHEST))))
    }

    /// The points of the charts.
    pub(crate) const fn points(&self) -> &Ring<{ NodeSeries::COUNT }> {
        &self.points
    }

    /// Bytes that it has taken, and how many figures it remembers.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        let recent = self.recent.capacity() * core::mem::size_of::<Sample>();
        (recent + self.points.bytes(), self.recent.len())
    }
}
