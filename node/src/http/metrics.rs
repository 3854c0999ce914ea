//! The numbers that a monitoring system collects.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use vaquita_core::admin::{NodeState, StatusReport};

use super::figures::ProcessMetrics;

/// The media type of the answer.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const STATES: [NodeState; 10] = [
    NodeState::Stopped,
    NodeState::Starting,
    NodeState::Joining,
    NodeState::Online,
    NodeState::Suspect,
    NodeState::Offline,
    NodeState::Lost,
    NodeState::Draining,
    NodeState::Stopping,
    NodeState::Failed,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    mode: String,
    state: &'static str,
}

/// The metrics of one process. Cloning gives another handle on the same numbers.
///
/// There is no registry of the process: two processes simulated in one program must not count into
/// each other's numbers.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    events: Family<EventLabels, Counter>,
    nodes: Family<NodeLabels, Gauge>,
    alarms: Gauge,
    ready: Gauge,
    commit_index: Gauge,
    uptime_ms: Gauge,
    workers: Family<PoolLabels, Gauge>,
    web_requests: Family<StageLabels, Gauge>,
    process: ProcessMetrics,
}

impl Metrics {
    /// Enters the metrics into the process's registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "vaquita_http_requests",
            "HTTP requests answered, by route and status",
            metrics.requests.clone(),
        );
        registry.register(
            "vaquita_events",
            "Events that the process told its operator, by name",
            metrics.events.clone(),
        );
        registry.register(
            "vaquita_nodes",
            "Members of the cluster by mode and state, as this process sees them",
            metrics.nodes.clone(),
        );
        registry.register(
            "vaquita_alarms",
            "Things that an operator should look at",
            metrics.alarms.clone(),
        );
        registry.register(
            "vaquita_ready",
            "1 if the process can do its work, else 0",
            metrics.ready.clone(),
        );
        registry.register(
            "vaquita_commit_index",
            "Newest synced index of the metadata log; 0 where there is no log",
            metrics.commit_index.clone(),
        );
        registry.register(
            "vaquita_uptime_milliseconds",
            "Milliseconds since the process started",
            metrics.uptime_ms.clone(),
        );
        registry.register(
            "vaquita_workers",
            "Workers of each pool, as the settings have it",
            metrics.workers.clone(),
        );
        registry.register(
            "vaquita_web_requests",
            "Requests that a web worker works on, and that wait for one",
            metrics.web_requests.clone(),
        );
        metrics.process.register(registry);
        metrics
    }

    /// Notes how many workers a pool has: `request` (`workerNum`), `io` (`localExecutors`) or `web`
    /// (`webWorkerNum`).
    pub fn pool(&self, pool: &'static str, workers: usize) {
        let labels = PoolLabels { pool };
        self.workers
            .get_or_create(&labels)
            .set(clamp(workers as u64));
    }

    /// Counts a request into a stage, `working` or `waiting`, until what is returned is dropped.
    pub(super) fn web_request(&self, stage: &'static str) -> Counted {
        let gauge = self
            .web_requests
            .get_or_create_owned(&StageLabels { stage });
        gauge.inc();
        Counted(gauge)
    }

    /// Counts an event.
    pub fn event(&self, name: &'static str) {
        self.events.get_or_create(&EventLabels { name }).inc();
    }

    /// Counts an answer. `route` is the template, never the path: what a client writes there must
    /// not become a time series of its own.
    pub(super) fn answered(&self, method: &Method, route: String, status: StatusCode) {
        let known = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
        ];
        let method = if known.contains(method) {
            method.as_str()
        } else {
            "other"
        };
        let labels = RequestLabels {
            method: method.to_owned(),
            route,
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Takes over what a state says.
    pub(super) fn observe(&self, status: &StatusReport) {
        let mut counts: BTreeMap<(String, NodeState), i64> = BTreeMap::new();
        for row in &status.nodes {
            for state in STATES {
                counts.entry((row.mode.to_string(), state)).or_default();
            }
            *counts.entry((row.mode.to_string(), row.state)).or_default() += 1;
        }
        for ((mode, state), count) in counts {
            let state = state.as_str();
            self.nodes
                .get_or_create(&NodeLabels { mode, state })
                .set(count);
        }
        self.alarms.set(clamp(status.alarms.len() as u64));
        self.ready.set(i64::from(status.ready));
        self.commit_index
            .set(clamp(status.commit_index.map_or(0, |index| index.0)));
        self.uptime_ms.set(clamp(status.uptime_ms));
        if let Some(figures) = &status.figures {
            self.process.observe(figures);
        }
    }
}

/// Something that counts as long as it lives.
#[derive(Debug)]
pub(super) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

pub(super) fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
