//! How repair is while a step is taken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use vaquita_bench::http::Client;
use vaquita_bench::load::some_unwell;
use vaquita_bench::stop::Stop;

/// What was copied during a step, and how long something was.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) over: AtomicBool,
    pub(crate) seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) copies: u64,
    pub(crate) bytes: u64,
    pub(crate) busy: Duration,
}

/// Ends a watch when it is dropped.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Looks again and again how repair is. A controller that was started anew counts from zero, and one
    /// that is not there is looked for again.
    pub(crate) fn look(&self, mut controller: Client, stop: &Stop) -> Result<(), String> {
        let mut last: Option<(u64, u64)> = None;
        let mut looked = Instant::now();
        let mut was_over = false;
        while !was_over && !stop.is_wanted() {
            // Once more behind the end: what was copied last counts too.
            was_over = self.over.load(Ordering::SeqCst);
            if let Ok(status) = repair(&mut controller) {
                let count = |name: &str| status[name].as_u64().unwrap_or_default();
                let now = (count("copied"), count("copied_bytes"));
                let (copies, bytes) = last.filter(|last| last.0 <= now.0).unwrap_or_default();
                let under_way = status["copies"].as_array().is_some_and(|it| !it.is_empty());
                let mut seen = lock(&self.seen);
                if last.is_some() {
                    seen.copies += now.0 - copies;
                    seen.bytes += now.1.saturating_sub(bytes);
                    if under_way || now.0 > copies {
                        seen.busy += looked.elapsed();
                    }
                }
                last = Some(now);
            }
            looked = Instant::now();
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// How repair is, and the first chunks that are not as they should be, for whoever has to find out why.
pub(crate) fn what_is_wrong(controller: &mut Client) -> String {
    let status = repair(controller).unwrap_or_else(Value::String);
    let unwell = some_unwell(controller).map_or_else(Value::String, |rows| {
        rows.into_iter().take(3).collect::<Value>()
    });
    let nodes = controller
        .json("/api/v1/nodes")
        .map_or_else(|failure| failure.to_string(), |rows| rows.to_string());
    format!("{status}; {unwell}; {nodes}")
}

/// Whether every chunk is as it should be, and nothing is on its way.
pub(crate) fn is_well(controller: &mut Client) -> Option<()> {
    let now = repair(controller).ok()?;
    let nothing = ["last_copy", "degraded", "misplaced", "leaving"]
        .iter()
        .all(|name| now[name] == 0);
    let idle = nothing && now["copies"].as_array()?.is_empty() && now["surveying"] == false;
    (idle && some_unwell(controller).ok()?.is_empty()).then_some(())
}

pub(crate) fn repair(controller: &mut Client) -> Result<Value, String> {
    controller
        .json("/api/v1/repair")
        .map_err(|failure| format!("the controller does not say how repair is: {failure}"))
}
