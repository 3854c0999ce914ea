//! Counts panics, so that one that a runtime or a driver swallows still fails its test.

use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

static INSTALLED: Once = Once::new();

/// Panics on this thread so far. A whole simulation runs on the thread of its test.
pub(super) fn on_this_thread() -> u64 {
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.with(|panics| panics.set(panics.get() + 1));
            before(info);
        }));
    });
    PANICS.with(Cell::get)
}
