//! The program `vaquita`.

use std::process::ExitCode;

use vaquita_node::cli::{self, Terminal};
use vaquita_node::server;

fn main() -> ExitCode {
    let mut terminal = Terminal::of_process();
    ExitCode::from(cli::run(std::env::args_os(), &mut terminal, server::serve))
}
