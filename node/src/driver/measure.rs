//! Measures the process now and then.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::sleep;
use vaquita_core::figures::Figures;
use vaquita_core::io::Input;

use super::DriverLimits;
use crate::data::Data;
use crate::env::Env;

/// Measures at once, and then each [`measure_period`](DriverLimits::measure_period). What the machine
/// has no time for is lost: the next one says as much.
pub(super) async fn measure<E: Env>(
    env: E,
    data: Option<Data<E>>,
    limits: Arc<DriverLimits>,
    inputs: mpsc::Sender<Input>,
) {
    loop {
        let figures = look(&env, data.as_ref(), &limits);
        match inputs.try_send(Input::Measured(Box::new(figures))) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
        sleep(limits.measure_period).await;
    }
}

fn look<E: Env>(env: &E, data: Option<&Data<E>>, limits: &DriverLimits) -> Figures {
    let usage = env.usage();
    let figures = Figures {
        uptime_ms: env.now().as_nanos() / 1_000_000,
        memory_bytes: usage.memory_bytes,
        memory_max_bytes: limits.memory_max,
        cpu_us: usage.cpu_us,
        load_milli: usage.load_milli,
        connections: usage.connections,
        connections_max: limits.connections_max as u64,
        workers: limits.workers as u64,
        threads: usage.threads,
        disk_read_bytes: usage.disk_read_bytes,
        disk_written_bytes: usage.disk_written_bytes,
        sent_bytes: usage.sent_bytes,
        received_bytes: usage.received_bytes,
        ..Figures::default()
    };
    data.map_or(figures, |data| data.tally().tell(figures))
}
