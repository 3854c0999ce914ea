use askama::Template;
use vaquita_core::dfs::ask::{VolumeAdmin, VolumeRow, VolumeState};

use crate::words::{self, Words};
use crate::{Frame, State, format};

/// A volume, with what is drawn of it.
#[derive(Clone, Debug)]
pub struct VolumeView {
    pub(super) row: VolumeRow,
    pub(super) state: State,
    pub(super) order: Option<&'static str>,
    pub(super) percent: u64,
    pub(super) free: String,
    pub(super) chunks: String,
    pub(super) can_rescan: bool,
}

impl VolumeView {
    /// Puts it together.
    #[must_use]
    pub fn new(t: &Words, row: VolumeRow) -> Self {
        Self {
            state: State::of_volume(t, row.state),
            order: match row.admin {
                VolumeAdmin::None => None,
                VolumeAdmin::Draining => Some(t.state_draining),
                VolumeAdmin::Drained => Some(t.state_drained),
            },
            percent: format::percent(row.capacity.saturating_sub(row.free), row.capacity),
            free: format::bytes(row.free),
            chunks: format::count(row.chunks),
            can_rescan: !row.state.is_readable() && row.state != VolumeState::Opening,
            row,
        }
    }
}

/// All volumes.
#[derive(Debug, Template)]
#[template(path = "volumes.html")]
pub struct VolumesPage {
    f: Frame,
    volumes: Vec<VolumeView>,
    total: String,
    may_operate: bool,
}

impl VolumesPage {
    /// Puts it together.
    #[must_use]
    pub fn new(f: Frame, rows: Vec<VolumeRow>, may_operate: bool) -> Self {
        let t = f.t;
        let sum = |of: fn(&VolumeRow) -> u64| rows.iter().map(of).sum::<u64>();
        let parts = [
            rows.len().to_string(),
            format::bytes(sum(|it| it.free)),
            format::bytes(sum(|it| it.capacity)),
        ];
        let parts = parts.each_ref().map(String::as_str);
        Self {
            total: words::fill(t.volumes_total, &parts),
            volumes: rows
                .into_iter()
                .map(|row| VolumeView::new(t, row))
                .collect(),
            may_operate,
            f,
        }
    }
}
