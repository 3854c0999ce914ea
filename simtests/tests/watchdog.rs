//! A machine that never returns does not hang the tests: the process ends and says which seed it was.

use std::process::Command;
use std::time::Duration;

use simtests::run::{Scenario, run_one};
use simtests::trace::TraceMode;
use simtests::world::{Factory, Failure, NodeSpec, Settings, Start, World};
use vaquita_core::io::{Effect, ExitReason, Input, Machine};
use vaquita_core::time::Timestamp;

const CHILD: &str = "VAQUITA_WATCHDOG_CHILD";

/// Never returns from its first deadline.
#[derive(Debug)]
struct Stuck(Timestamp);

impl Machine for Stuck {
    fn handle(&mut self, _: Timestamp, _: Input) {
        loop {
            std::hint::spin_loop();
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        None
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        Some(self.0.after(Duration::from_secs(1)))
    }

    fn check_invariants(&self) {}
}

struct Stucks;

impl Factory for Stucks {
    type Machine = Stuck;

    fn start(&mut self, start: &Start<'_>) -> Result<Stuck, ExitReason> {
        Ok(Stuck(start.now))
    }
}

struct Hangs;

impl Scenario for Hangs {
    type Factory = Stucks;

    fn name(&self) -> &'static str {
        "hangs"
    }

    fn target(&self) -> &'static str {
        "watchdog"
    }

    fn build(&self, seed: u64, trace: TraceMode) -> World<Stucks> {
        let mut world = World::new(
            seed,
            Settings {
                trace,
                ..Settings::default()
            },
            Stucks,
        );
        let host = world.add_host("h0");
        world.add_node(NodeSpec::new("a", host, 7_000));
        world.start_all();
        world
    }

    fn drive(&self, world: &mut World<Stucks>) -> Result<(), Failure> {
        world.run_for(Duration::from_secs(2))
    }

    fn watchdog(&self) -> Duration {
        Duration::from_millis(200)
    }
}

#[test]
fn hangs() {
    if std::env::var_os(CHILD).is_some() {
        run_one(&Hangs, 77, TraceMode::Fingerprint);
    }
}

#[test]
fn a_machine_that_never_returns_ends_the_process_with_its_seed() {
    let program = std::env::current_exe().expect("a test knows its own program");
    let output = Command::new(program)
        .args(["--exact", "hangs", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("a test can run its own program");
    assert_eq!(output.status.code(), Some(101));
    let text = String::from_utf8_lossy(&output.stderr);
    for words in [
        "seed      77",
        "scenario  hangs",
        "trace     not finished",
        "replay    VAQUITA_SEED=77 cargo test -p simtests --test watchdog hangs",
        "of real time",
    ] {
        assert!(text.contains(words), "{words} is missing:\n{text}");
    }
}
