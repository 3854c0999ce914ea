//! Programs of the system that make networks and disks.

use std::process::{Command, Stdio};

/// Runs a program, and returns what it printed.
///
/// # Errors
/// Its complaint, if it does not end well.
pub(crate) fn run(program: &str, words: &[&str]) -> Result<String, String> {
    let line = || format!("`{program} {}`", words.join(" "));
    let ran = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", line()))?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(format!("{}: {}", line(), said.trim()))
}
