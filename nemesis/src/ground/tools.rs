//! Programs of the system that make networks and disks.

use std::process::{Command, Output, Stdio};

/// Runs a program, and returns what it printed.
///
/// # Errors
/// Its complaint, if it does not end well.
pub(crate) fn run(program: &str, words: &[&str]) -> Result<String, String> {
    let (status, said) = run_up_to(program, words, 0)?;
    debug_assert_eq!(status, 0, "others are complaints");
    Ok(said)
}

/// Runs a program whose status says more than whether it ended well; returns the status, and what it printed.
///
/// # Errors
/// Its complaint, if its status is beyond `good`.
pub(crate) fn run_up_to(program: &str, words: &[&str], good: i32) -> Result<(i32, String), String> {
    let line = || format!("`{program} {}`", words.join(" "));
    let ran: Output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", line()))?;
    let said = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
    match ran.status.code() {
        Some(status) if status <= good => Ok((status, said)),
        _ => {
            let complaint = String::from_utf8_lossy(&ran.stderr);
            let complaint = complaint.trim();
            Err(format!("{}, {}: {complaint}", line(), ran.status))
        }
    }
}
