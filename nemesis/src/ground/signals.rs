//! Signals that ask a program to end.

use std::fs;
use std::thread;

use rustix::process::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{self, SignalKind};

/// Has a function called, by a thread of its own, for each Ctrl-C, SIGTERM and SIGHUP that comes from now on; none
/// of them ends the program by itself any more. One that whoever started the program has it ignore (`nohup`) stays
/// ignored.
///
/// # Errors
/// Why they cannot be watched.
pub fn on_signals(mut act: impl FnMut(Signal) + Send + 'static) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("signals cannot be watched: {error}");
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let ignored = ignored();
    let of = |signal: Signal| {
        let number = signal.as_raw();
        if ignored >> (number - 1) & 1 == 1 {
            return Ok(None);
        }
        unix::signal(SignalKind::from_raw(number)).map(Some)
    };
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _entered = runtime.enter();
        let of = |signal| of(signal).map_err(failed);
        (of(Signal::INT)?, of(Signal::TERM)?, of(Signal::HUP)?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                act(tokio::select! {
                    () = next(&mut interrupt) => Signal::INT,
                    () = next(&mut terminate) => Signal::TERM,
                    () = next(&mut hang_up) => Signal::HUP,
                });
            }
        });
    });
    Ok(())
}

async fn next(watched: &mut Option<unix::Signal>) {
    match watched {
        Some(watched) => drop(watched.recv().await),
        None => std::future::pending().await,
    }
}

/// The signals that this process ignores, the first one the lowest bit; none, where the kernel does not tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_which_signals_are_ignored() {
        // Every program in this language begins so.
        let pipe = Signal::PIPE.as_raw();
        assert_eq!(ignored() >> (pipe - 1) & 1, 1);
    }
}
