//! `vaquita logout`: the token becomes void.

use clap::Args;

use crate::cli::client::{Api, ServerOption, block_on};
use crate::cli::exit::Outcome;
use crate::cli::terminal::Terminal;

/// Void the login at a cluster, there and here
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct LogOut {
    #[command(flatten)]
    server: ServerOption,
}

impl LogOut {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            api.logout().await?;
            Ok(terminal.say(format!("logged out at {}", api.server()))?)
        })
    }
}
