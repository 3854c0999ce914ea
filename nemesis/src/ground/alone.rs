//! A process with a network and mounts of its own, so that nothing that is done there is seen by the machine, and
//! all of it is gone with the process.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Says that a process was started by [`again`].
const MARK: &str = "VAQUITA_NEMESIS_ALONE";

/// Whether this process was started with namespaces of its own.
#[must_use]
pub fn is_alone() -> bool {
    std::env::var_os(MARK).is_some()
}

/// How namespaces are had: as the administrator, whose mounts may be of loop devices, or as anybody.
const WAYS: [&[&str]; 2] = [
    &["--mount", "--net", "--propagation", "private"],
    &["--user", "--map-root-user", "--mount", "--net"],
];

/// The command that starts this program once more, with these words, a network and mounts of its own.
///
/// # Errors
/// Why the machine gives no namespaces.
pub fn again<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Command, String> {
    let own = std::env::current_exe()
        .map_err(|error| format!("the path of this program is not known: {error}"))?;
    let mut complaint = String::new();
    for way in WAYS {
        let tried = Command::new("unshare")
            .args(way)
            .args(["ip", "link", "set", "lo", "up"])
            .stdin(Stdio::null())
            .output();
        match tried {
            Ok(ran) if ran.status.success() => {
                let mut command = Command::new("unshare");
                command.args(way).arg(own).args(words).env(MARK, "1");
                return Ok(command);
            }
            Ok(ran) => complaint = String::from_utf8_lossy(&ran.stderr).trim().to_owned(),
            Err(error) => complaint = error.to_string(),
        }
    }
    Err(format!("unshare: {complaint}"))
}
