//! `vaquita login`: a token in the place of a password, for the commands that follow.

use clap::Args;

use crate::cli::client::{Api, ServerOption, block_on};
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::prompt::Passwords;
use crate::cli::terminal::{Terminal, harmless};

/// Log in to a cluster, for the commands that follow
///
/// The token is kept in vaquita/logins.json under $XDG_CONFIG_HOME or ~/.config, for its owner
/// alone, and is good for 30 days. Commands go to the cluster that was logged in to last.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita login
  vaquita login --server 10.1.1.7:8990 --user alice
  vaquita login --password-stdin < admin.password
  VAQUITA_USER=ci VAQUITA_PASSWORD=… vaquita node list     without a login")]
pub(in crate::cli) struct LogIn {
    #[command(flatten)]
    server: ServerOption,
    /// The user
    #[arg(long, default_value = "admin")]
    user: String,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

impl LogIn {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        let what = format!("password of {} at {}", self.user, api.server());
        let password = Passwords::choose(self.password_stdin)?.next(&what)?;
        block_on(async {
            let told = api.login(&self.user, &password).await?;
            api.keep_login()?;
            if let Some(warning) = &told.warning {
                terminal.warn(&harmless(warning));
            }
            terminal.say(format!("logged in at {} as {}", api.server(), self.user))?;
            if told.must_change_password {
                terminal.note(format!(
                    "nothing else works until the first password is changed: \
                     `vaquita user passwd {}`",
                    self.user
                ))?;
            }
            Ok(())
        })
    }
}

/// The failure of a command that cannot know who one is.
pub(super) fn not_logged_in(server: &str) -> Failure {
    Failure::new(
        Status::Denied,
        format!(
            "not logged in at {server}: `vaquita login --server {server}`, or set VAQUITA_USER and \
             VAQUITA_PASSWORD"
        ),
    )
}
