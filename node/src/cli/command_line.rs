//! The commands and their flags.

use std::str::FromStr;

use clap::{Parser, Subcommand};

use super::commands::audit::Audit;
use super::commands::check::Check;
use super::commands::chunk::Chunk;
use super::commands::completions::Completions;
use super::commands::config::Config;
use super::commands::dfs::{self, Dfs};
use super::commands::explain::Explain;
use super::commands::login::LogIn;
use super::commands::logout::LogOut;
use super::commands::meta::Meta;
use super::commands::node::Node;
use super::commands::repair::Repair;
use super::commands::secret::MakeSecret;
use super::commands::status::ShowStatus;
use super::commands::token::TokenCommand;
use super::commands::user::User;
use super::commands::volume::Volume;
use super::local::Local;

/// A storage cluster that is deployed from four short text files
#[derive(Clone, Debug, Parser)]
#[command(
    name = "vaquita",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Server processes:
  vaquita -mode controller -home DIR -config controller.cfg -clusterConfig cluster.cfg
          -nodesFile cluster.nodes -logFile LOG -console 0
  vaquita -mode agent -home DIR -config agent.cfg -logFile LOG -console 0
  Every configuration key is a flag too: `vaquita explain --key NAME` tells about each.

Examples:
  vaquita local                      a whole cluster on this machine
  vaquita check /etc/vaquita         what is wrong with configuration files
  vaquita login --server P4:8990     then `vaquita node start --all --wait`

Exit status: 0 done, 1 the answer is no, 2 a file cannot be read, 64 wrong command line, 69 not
available, 75 busy, 77 not allowed; the manual lists all of them."
)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    Local(Local),
    Check(Check),
    Config(Config),
    Explain(Explain),
    #[command(name = "login")]
    LogIn(LogIn),
    #[command(name = "logout")]
    LogOut(LogOut),
    Node(Node),
    Meta(Meta),
    Dfs(Dfs),
    Chunk(Chunk),
    Volume(Volume),
    Repair(Repair),
    Status(ShowStatus),
    User(User),
    Token(TokenCommand),
    Audit(Audit),
    Secret(MakeSecret),
    Completions(Completions),
}

/// Lets `-json` pass for `--json`: server processes take one dash, and nobody should have to
/// remember which commands do. Flags of one letter there are in `vaquita dfs` alone, beside `-h` and
/// `-V`; there `-lR` stands for two of them.
pub(super) fn with_two_dashes(words: &[String]) -> Vec<String> {
    let mut literal = false;
    let letters = words.first().is_some_and(|word| word == "dfs");
    let bundled = |word: &str| {
        letters && word.len() > 2 && word.chars().skip(1).all(|it| dfs::LETTERS.contains(it))
    };
    words
        .iter()
        .map(|word| {
            literal |= word == "--";
            let mut characters = word.chars();
            let one_dash = characters.next() == Some('-')
                && characters.next().is_some_and(|it| it.is_ascii_alphabetic())
                && characters.next().is_some();
            if one_dash && !literal && !bundled(word) {
                format!("-{word}")
            } else {
                word.clone()
            }
        })
        .collect()
}

/// Reads a number that somebody has typed.
pub(super) fn whole_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "a whole number is wanted, as in 60".to_owned())
}
