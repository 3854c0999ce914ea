use askama::Template;
use vaquita_core::admin::NodeRow;
use vaquita_core::figures::FiguresReport;
use vaquita_core::ids::Role;

use super::table::order;
use super::volumes::VolumeView;
use crate::measures::MEASURES;
use crate::{Chart, Frame, State, charts, format, words};

/// One node.
#[derive(Debug, Template)]
#[template(path = "node.html")]
pub struct NodePage {
    f: Frame,
    row: NodeRow,
    state: State,
    is_data_node: bool,
    facts: Vec<(&'static str, String)>,
    volumes: Option<Vec<VolumeView>>,
    charts: Vec<Chart>,
    may_operate: bool,
    may_read_logs: bool,
    remove_word: String,
}

impl NodePage {
    /// Puts it together; `volumes` are the node's, for who may see them.
    #[must_use]
    pub fn new(
        f: Frame,
        row: NodeRow,
        figures: Option<&FiguresReport>,
        volumes: Option<Vec<VolumeView>>,
        may_operate: bool,
        may_read_logs: bool,
    ) -> Self {
        let t = f.t;
        let mut facts = vec![
            (t.mode, words::mode(t, row.mode).to_owned()),
            (t.site, row.site.clone()),
        ];
        let mut fact = |word, value: Option<String>| {
            facts.extend(value.map(|value| (word, value)));
        };
        fact(t.agent, row.agent.as_ref().map(ToString::to_string));
        fact(t.process_id, row.pid.map(|pid| pid.to_string()));
        fact(t.epoch, row.epoch.map(|epoch| epoch.to_string()));
        fact(t.heard, row.silent_ms.map(format::span));
        let ordered = order(t, row.admin);
        fact(t.orders, (!ordered.is_empty()).then(|| ordered.to_owned()));
        if let Some(figures) = row.figures.as_ref().filter(|it| it.age_ms.is_some()) {
            let known = MEASURES.iter().filter_map(|measure| {
                let value = (measure.of)(figures)?;
                Some(((measure.word)(t), (measure.written)(value)))
            });
            facts.extend(known);
        }
        Self {
            charts: figures.map_or_else(Vec::new, |report| charts(t, report)),
            state: State::of_node(t, row.state),
            is_data_node: row.mode == Role::DataNode,
            facts,
            volumes,
            may_operate,
            may_read_logs,
            remove_word: words::fill(t.remove_node, &[row.alias.as_str()]),
            f,
            row,
        }
    }
}
