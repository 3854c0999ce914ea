//! The program `vaquita`.

use std::process::ExitCode;

use vaquita_node::cli::{self, Failure, ServerPlan, Status, Terminal};

fn main() -> ExitCode {
    let mut terminal = Terminal::of_process();
    ExitCode::from(cli::run(std::env::args_os(), &mut terminal, serve))
}

/// Runs a server process.
fn serve(plan: ServerPlan, _terminal: &mut Terminal) -> Result<u8, Failure> {
    Err(Failure::new(
        Status::Unavailable,
        format!(
            "the configuration of this {} is in order, and this build does not contain the role",
            plan.mode
        ),
    ))
}
