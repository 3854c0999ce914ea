use askama::Template;
use vaquita_core::admin::{NodeRow, NodeState, StatusReport};
use vaquita_core::dfs::ask::{RepairStatus, Usage, VolumeRow};
use vaquita_core::figures::FiguresReport;
use vaquita_core::ids::Role;

use super::table::{Cell, NodeTable, TableView, both};
use crate::words::Words;
use crate::{Chart, Flash, Frame, State, Tone, charts, format};

/// A figure, large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// What it is.
    pub word: &'static str,
    /// How much.
    pub value: String,
    /// What belongs to it.
    pub note: String,
    /// How good that is.
    pub tone: Tone,
    /// Where more of it is.
    pub href: Option<&'static str>,
}

/// An agent, with its data nodes.
#[derive(Clone, Debug)]
pub struct AgentView {
    row: NodeRow,
    state: State,
    nodes: usize,
    online: usize,
}

impl AgentView {
    fn reason(&self) -> String {
        both(&self.row.reason, &self.row.conditions.join(", "))
    }
}

/// How the cluster is.
#[derive(Debug, Template)]
#[template(path = "overview.html")]
pub struct OverviewPage {
    f: Frame,
    status: StatusReport,
    summary_tone: Tone,
    tiles: Vec<Tile>,
    nodes: NodeTable,
    agents: Vec<AgentView>,
    rolling: Option<Flash>,
    charts: Vec<Chart>,
    may_operate: bool,
}

/// What the overview tells of.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The cluster's state.
    pub status: StatusReport,
    /// All its nodes, with what they have measured.
    pub nodes: Vec<NodeRow>,
    /// The charts of the cluster, where they can be had.
    pub figures: Option<FiguresReport>,
    /// What is known of the files.
    pub stored: Stored,
    /// What there is to tell of nodes that are being restarted.
    pub rolling: Option<Flash>,
}

/// What is known of the files, for who may know.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// How much there is.
    pub usage: Option<Usage>,
    /// Where.
    pub volumes: Option<Vec<VolumeRow>>,
    /// What is lacking.
    pub repair: Option<RepairStatus>,
}

impl OverviewPage {
    /// Puts it together.
    #[must_use]
    pub fn new(f: Frame, seen: Seen, view: &TableView, may_operate: bool) -> Self {
        let Seen {
            status,
            nodes,
            figures,
            stored,
            rolling,
        } = seen;
        let t = f.t;
        let data_nodes = || status.nodes.iter().filter(|it| it.mode == Role::DataNode);
        let agents = status.nodes.iter().filter(|it| it.mode == Role::Agent);
        let agents = agents.map(|agent| {
            let own = || data_nodes().filter(|it| it.agent.as_ref() == Some(&agent.alias));
            AgentView {
                row: agent.clone(),
                state: State::of_node(t, agent.state),
                nodes: own().count(),
                online: own().filter(|it| it.state == NodeState::Online).count(),
            }
        });
        Self {
            summary_tone: summary_tone(&status),
            tiles: tiles(t, &status, &stored),
            nodes: NodeTable::new(t, nodes.iter().filter(|it| it.mode != Role::Agent), view),
            charts: figures.map_or_else(Vec::new, |report| charts(t, &report)),
            agents: agents.collect(),
            rolling,
            may_operate,
            f,
            status,
        }
    }
}

/// The worst of what the cluster's nodes are in, unless an operator wants it so.
fn summary_tone(status: &StatusReport) -> Tone {
    let worst = status
        .nodes
        .iter()
        .map(|row| State::of_node(&crate::words::ENGLISH, row.state).tone)
        .filter(|tone| *tone != Tone::Idle)
        .max();
    let worst = worst.unwrap_or(Tone::Idle);
    match status.alarms.is_empty() {
        true => worst,
        false => worst.max(Tone::Warn),
    }
}

fn tiles(t: &Words, status: &StatusReport, stored: &Stored) -> Vec<Tile> {
    let plain = |word, value: String| Tile {
        word,
        value,
        note: String::new(),
        tone: Tone::Idle,
        href: None,
    };
    let nodes: Vec<&NodeRow> = status
        .nodes
        .iter()
        .filter(|row| row.mode == Role::DataNode)
        .collect();
    let online = |row: &&&NodeRow| matches!(row.state, NodeState::Online | NodeState::Draining);
    let online = nodes.iter().filter(online).count();
    let mut tiles = vec![Tile {
        tone: match online == nodes.len() {
            true => Tone::Good,
            false => Tone::Warn,
        },
        ..plain(t.nodes_online, format!("{online} / {}", nodes.len()))
    }];
    if let Some(usage) = &stored.usage {
        tiles.push(Tile {
            note: format!(
                "{} {}",
                format::count(usage.chunks),
                t.chunks.to_lowercase()
            ),
            href: Some("/files/"),
            ..plain(t.files_and_chunks, format::count(usage.files))
        });
        tiles.push(Tile {
            note: match &stored.volumes {
                None => String::new(),
                Some(volumes) => {
                    let free: u64 = volumes.iter().map(|it| it.free).sum();
                    format!("{} {}", format::bytes(free), t.free.to_lowercase())
                }
            },
            href: Some("/volumes"),
            ..plain(t.stored, format::bytes(usage.stored_bytes))
        });
    }
    if let Some(repair) = &stored.repair {
        let lacking = super::repair::lacking(repair);
        tiles.push(Tile {
            tone: super::repair::tone(repair),
            href: Some("/repair"),
            ..plain(
                t.chunks_unwell,
                match lacking {
                    0 => t.all_well.to_owned(),
                    some => format::count(some),
                },
            )
        });
    }
    tiles.push(plain(t.uptime, format::span(status.uptime_ms)));
    tiles
}
