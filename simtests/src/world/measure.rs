//! What drivers measure of their processes: the same for the same moment, so that it is known before.

use vaquita_core::figures::Figures;
use vaquita_core::io::Input;
use vaquita_core::limits::Limits;

use super::event::Event;
use super::{Factory, NodeIx, World};

impl<F: Factory> World<F> {
    /// Tells a process what was measured, and again after a while.
    pub(super) fn process_is_measured(&mut self, node: NodeIx, start: u32) {
        let Some(uptime) = self.local_time(node) else {
            return;
        };
        if self.nodes[node.index()].process_of(start).is_none() {
            return;
        }
        let at = self.now.after(Limits::default().figures_period);
        self.schedule(node, at, Event::Measure { node, start });
        let millis = uptime.as_nanos() / 1_000_000;
        let figures = Figures {
            uptime_ms: millis,
            memory_bytes: 32 << 20,
            cpu_us: millis * 6,
            sent_bytes: millis * 2,
            received_bytes: millis * 3,
            connections: 1,
            ..Figures::default()
        };
        self.tell(node, start, Input::Measured(Box::new(figures)));
    }
}
