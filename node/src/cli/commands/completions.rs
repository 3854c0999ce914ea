//! `vaquita completions`: what a shell needs to complete this command line.

use clap::{Arg, Args};
use clap_complete::{Shell, generate};
use vaquita_config::keys::{self, KeyType, Status};

use crate::cli::exit::Outcome;
use crate::cli::terminal::Terminal;

/// Print a script by which a shell completes this command line
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita completions bash > ~/.local/share/bash-completion/completions/vaquita
  vaquita completions zsh > ~/.zfunc/_vaquita
  vaquita completions fish > ~/.config/fish/completions/vaquita.fish")]
pub(in crate::cli) struct Completions {
    /// Which shell
    #[arg(value_parser = clap::builder::EnumValueParser::<Shell>::new())]
    shell: Shell,
}

impl Completions {
    pub(in crate::cli) fn run(self, command: clap::Command, terminal: &mut Terminal) -> Outcome {
        let mut script = Vec::new();
        let mut command = with_server_flags(command);
        generate(self.shell, &mut command, "vaquita", &mut script);
        terminal.out.write_all(&script)?;
        Ok(terminal.out.flush()?)
    }
}

/// Adds the flags of server processes, which clap does not parse, so that shells know them.
fn with_server_flags(command: clap::Command) -> clap::Command {
    let flags = keys::TABLE
        .iter()
        .filter(|key| key.status == Status::Active)
        .map(|key| {
            let flag = Arg::new(key.name)
                .long(key.name)
                .value_name("VALUE")
                .help(key.meaning);
            match key.kind {
                KeyType::Word { words } => flag.value_parser(words.to_vec()),
                _ => flag,
            }
        });
    command.args(flags)
}
