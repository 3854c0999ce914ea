//! What is printed when a scenario fails.

use std::process::Command;
use std::thread;

use super::Cluster;

/// Entries of the diary that are printed.
const LAST_ENTRIES: usize = 60;

/// The seed of the run that is to be repeated.
///
/// # Panics
/// If the variable is no number.
pub(super) fn seed_from_environment() -> Option<u64> {
    let text = std::env::var("VAQUITA_SEED").ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("VAQUITA_SEED is `{text}`, not a number")),
    )
}

/// The test that runs on this thread.
#[expect(
    clippy::disallowed_methods,
    reason = "the test harness tells a test's name by no other way; it decides nothing"
)]
pub(super) fn scenario() -> String {
    thread::current().name().unwrap_or("unnamed").to_owned()
}

fn commit() -> String {
    let asked = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    match asked {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

impl Cluster {
    /// Everything that is needed to see and to repeat a failure.
    pub(super) fn failure_report(&self) -> String {
        let state = self.shared.state();
        let entries = state.diary.entries();
        let skipped = entries.len().saturating_sub(LAST_ENTRIES);
        let mut report = format!("\n{skipped} earlier entries, then:\n");
        for entry in &entries[skipped..] {
            report.push_str(&format!("{entry}\n"));
        }
        let Self { scenario, seed, .. } = self;
        report.push_str(&format!(
            "time       {:?}\n\
             seed       {seed}\n\
             commit     {}\n\
             scenario   {scenario}\n\
             trace hash {:016x}\n\
             replay     VAQUITA_SEED={seed} cargo test -p simtests --test {} {scenario}\n",
            self.sim.elapsed(),
            commit(),
            state.diary.hash(),
            test_binary(),
        ));
        report
    }
}

/// The name of the test binary, without the hash that cargo appends.
fn test_binary() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let stem = stem.unwrap_or_default();
    stem.rsplit_once('-')
        .map_or(stem.clone(), |(name, _)| name.to_owned())
}

impl Drop for Cluster {
    #[expect(
        clippy::print_stderr,
        reason = "whoever reads a failed test reads this"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.failure_report());
        }
    }
}
