//! `vaquita login`: a token in the place of a password, for the commands that follow.

use clap::Args;

use vaquita_core::admin::SETUP_CODE_FILE;

use crate::cli::client::{Api, ServerOption, TokenView, block_on};
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
  vaquita login --server https://10.1.1.7:8990 --fingerprint 5A:0C:…      as its log tells it
  vaquita login --password-stdin < admin.password
  vaquita login --setup-code K7QXA-2MFPD      first login from another machine
  VAQUITA_USER=ci VAQUITA_PASSWORD=… vaquita node list     without a login")]
pub(in crate::cli) struct LogIn {
    #[command(flatten)]
    server: ServerOption,
    /// The user
    #[arg(long, default_value = "admin")]
    user: String,
    /// Read the password from the first line of standard input, and the setup code, if one is
    /// needed, from the second
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    setup: SetupOption,
}

/// What a first login from another machine needs.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct SetupOption {
    /// The setup code of a new cluster, for the first login from another machine; it is in the
    /// controller's log. Asked for if it is needed and not given
    #[arg(long, value_name = "CODE")]
    setup_code: Option<String>,
}

impl SetupOption {
    /// Logs in; if that needs the setup code and there was none, it is the next thing to be read.
    pub(super) async fn log_in(
        self,
        api: &mut Api,
        user: &str,
        password: &str,
        passwords: &mut Passwords,
        terminal: &mut Terminal,
    ) -> Result<TokenView, Failure> {
        let first = api.login(user, password, self.setup_code.as_deref()).await;
        match first {
            Err(error) if error.wants_setup_code() && passwords.left() != Some(0) => {
                if passwords.left().is_none() {
                    terminal.note(format!(
                        "the first login from another machine needs the setup code as well: it is \
                         in the controller's log, and in <home>/<alias>/meta/{SETUP_CODE_FILE} on \
                         its host"
                    ))?;
                }
                let code = passwords.next("setup code")?;
                Ok(api.login(user, password, Some(&code)).await?)
            }
            other => Ok(other?),
        }
    }
}

impl LogIn {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        let what = format!("password of {} at {}", self.user, api.server());
        let mut passwords = Passwords::choose(self.password_stdin)?;
        let password = passwords.next(&what)?;
        block_on(async {
            let told = self
                .setup
                .log_in(&mut api, &self.user, &password, &mut passwords, terminal)
                .await?;
            api.keep_login()?;
            if let Some(warning) = &told.warning {
                terminal.warn(&harmless(warning));
            }
            terminal.say(format!(
                "logged in at {} as {}",
                api.logged_in_at(),
                self.user
            ))?;
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
