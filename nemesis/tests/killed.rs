//! A nemesis that is killed leaves no process and no loop device, whatever the machine has let it have.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What stands in for the program that is tested: it is never ready, so that the nemesis waits for it.
const NEVER_READY: &str = "#!/bin/sh\nwhile :; do sleep 0.1; done\n";
/// How many servers the smallest cluster has: a controller and three agents.
const SERVERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// It is killed in any case.
struct Nemesis(Child);

impl Drop for Nemesis {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).unwrap();
    }
}

/// Servers with something in a directory on their command line.
fn servers(directory: &Path) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    let home = format!("\0-home\0{}/", directory.display());
    lines
        .filter(|line| line.contains("\0-mode\0") && line.contains(&home))
        .count()
}

/// Loop devices whose files are in a directory.
fn loop_devices(directory: &Path) -> usize {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let files =
        entries.filter_map(|it| fs::read_to_string(it.path().join("loop/backing_file")).ok());
    files
        .filter(|it| Path::new(it).starts_with(directory))
        .count()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn leaves_nothing(more: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let vaquita = path.join("never-ready");
    fs::write(&vaquita, NEVER_READY).unwrap();
    fs::set_permissions(&vaquita, fs::Permissions::from_mode(0o755)).unwrap();
    let nemesis = Command::new(env!("CARGO_BIN_EXE_nemesis"))
        .args(["--hosts", "3", "--seed", "1", "--dir"])
        .arg(&path)
        .arg("--vaquita")
        .arg(&vaquita)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let nemesis = Nemesis(nemesis.unwrap());
    wait_until("the servers run", || servers(&path) == SERVERS);
    drop(nemesis);
    wait_until("all servers are gone", || servers(&path) == 0);
    wait_until("all loop devices are gone", || loop_devices(&path) == 0);
}

#[test]
fn a_nemesis_that_is_killed_leaves_nothing() {
    leaves_nothing(&[]);
}

#[test]
fn one_without_namespaces_that_is_killed_leaves_nothing() {
    leaves_nothing(&["--loopback"]);
}
