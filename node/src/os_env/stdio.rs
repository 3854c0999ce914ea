//! Standard input and output, without ever holding up a task or the end of the process.

use std::io::{self, BufRead, Read, Write};

use tokio::sync::mpsc;

use super::threads;

/// The longest line that is taken; what is beyond begins a new one.
const LINE_MAX: u64 = 64 * 1024;

/// The lines of standard input; the channel closes at its end.
///
/// A read of a terminal cannot be interrupted, so it happens on a thread that nobody waits for.
///
/// # Errors
/// If no thread can be started.
pub fn stdin_lines() -> io::Result<mpsc::Receiver<String>> {
    let (sender, lines) = mpsc::channel(16);
    threads::spawn("vaquita-stdin", move || {
        forward(io::stdin().lock(), &sender);
    })?;
    Ok(lines)
}

/// A channel whose texts are printed to standard output.
///
/// # Errors
/// If no thread can be started.
pub fn stdout_printer() -> io::Result<mpsc::Sender<String>> {
    let (texts, mut receiver) = mpsc::channel::<String>(16);
    threads::spawn("vaquita-stdout", move || {
        while let Some(text) = receiver.blocking_recv() {
            let mut stdout = io::stdout().lock();
            let printed = stdout.write_all(text.as_bytes());
            if printed.and_then(|()| stdout.flush()).is_err() {
                return;
            }
        }
    })?;
    Ok(texts)
}

/// Sends each line of `input` until its end, or until nobody listens.
pub(super) fn forward(mut input: impl BufRead, lines: &mpsc::Sender<String>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if lines.blocking_send(text).is_err() {
            return;
        }
    }
}
