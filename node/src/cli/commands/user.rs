//! `vaquita user`: who may do what.

use clap::{Args, Subcommand};
use vaquita_core::admin::Right;

use super::login::{SetupOption, not_logged_in};
use crate::cli::client::{Api, ServerOption, UserView, block_on};
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json;
use crate::cli::prompt::{Passwords, Secret};
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Colour, Terminal};

/// Manage users, their passwords and their rights
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita user list
  vaquita user add alice
  vaquita user grant alice operate             alice starts, stops and drains nodes
  vaquita user grant alice dfs-read
  vaquita user passwd                          one's own password
  printf '%s\\n%s\\n' OLD NEW | vaquita user passwd admin --password-stdin
  vaquita user remove alice")]
pub(in crate::cli) struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List the users
    List {
        #[command(flatten)]
        server: ServerOption,
        /// Print one JSON array instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Create a user
    Add {
        #[command(flatten)]
        server: ServerOption,
        /// The new user's name
        user: String,
        /// Let the user administer the cluster
        #[arg(long)]
        admin: bool,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Remove a user and void the user's logins
    Remove {
        #[command(flatten)]
        server: ServerOption,
        /// The user
        user: String,
    },
    /// Set a password
    ///
    /// One's own needs the present one, which is enough to log in with: `vaquita user passwd admin`
    /// is the first command on a new cluster. With --password-stdin the old and the new password
    /// are read, a line each, and the setup code from a third if one is needed; for another user's,
    /// set by an administrator, the new one is enough.
    Passwd {
        #[command(flatten)]
        server: ServerOption,
        /// The user; oneself if not given
        user: Option<String>,
        /// Read the old and the new password from standard input, a line each
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        setup: SetupOption,
    },
    /// Give a user a right
    Grant(RightOfUser),
    /// Take a right from a user
    Revoke(RightOfUser),
}

#[derive(Args, Clone, Debug)]
struct RightOfUser {
    #[command(flatten)]
    server: ServerOption,
    /// The user
    user: String,
    /// The right
    #[arg(value_parser = Right::ALL.map(Right::as_str))]
    right: String,
}

impl User {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        match self.action {
            Action::List { server, json } => list(&server, json, terminal),
            Action::Add {
                server,
                user,
                admin,
                password_stdin,
            } => {
                let mut api = Api::choose(&server)?;
                let what = format!("new password of {user}");
                let password = Passwords::choose(password_stdin)?.next_new(&what)?;
                block_on(async {
                    api.add_user(&user, &password, admin).await?;
                    Ok(terminal.say(format!("user {user} created"))?)
                })
            }
            Action::Remove { server, user } => {
                let mut api = Api::choose(&server)?;
                block_on(async {
                    api.remove_user(&user).await?;
                    Ok(terminal.say(format!("user {user} removed"))?)
                })
            }
            Action::Passwd {
                server,
                user,
                password_stdin,
                setup,
            } => passwd(&server, user, password_stdin, setup, terminal),
            Action::Grant(choice) => set_right(&choice, true, terminal),
            Action::Revoke(choice) => set_right(&choice, false, terminal),
        }
    }
}

fn list(server: &ServerOption, json: bool, terminal: &mut Terminal) -> Outcome {
    let mut api = Api::choose(server)?;
    block_on(async {
        if json {
            let users = api.raw("/api/v1/users").await?;
            return json::array_of(terminal, users);
        }
        let users = api.users().await?;
        let text = table(&users).render(terminal);
        Ok(terminal.say(text.trim_end())?)
    })
}

fn table(users: &[UserView]) -> Table {
    let mut table = Table::new(&["USER", "ROLE", "RIGHTS", "NOTE"]);
    for user in users {
        let mut rights = user.rights.clone();
        if user.admin && !rights.iter().any(|right| right == "admin") {
            rights.insert(0, "admin".to_owned());
        }
        let note = if user.must_change_password {
            Cell::new("has a first password").coloured(Colour::Yellow)
        } else {
            Cell::default()
        };
        let role = match user.role.as_str() {
            "" => "-",
            role => role,
        };
        table.row([
            Cell::new(&user.user),
            Cell::new(role),
            Cell::new(rights.join(", ")),
            note,
        ]);
    }
    table
}

fn set_right(choice: &RightOfUser, given: bool, terminal: &mut Terminal) -> Outcome {
    let mut api = Api::choose(&choice.server)?;
    let RightOfUser { user, right, .. } = choice;
    block_on(async {
        api.set_right(user, right, given).await?;
        let said = if given {
            format!("{user} has the right {right} now")
        } else {
            format!("{user} has no longer the right {right}")
        };
        Ok(terminal.say(said)?)
    })
}

fn passwd(
    server: &ServerOption,
    user: Option<String>,
    from_stdin: bool,
    setup: SetupOption,
    terminal: &mut Terminal,
) -> Outcome {
    let mut api = Api::choose(server)?;
    block_on(async {
        let oneself = match api.user() {
            Some(user) => Some(user.to_owned()),
            // A token from elsewhere: the server knows whose it is.
            None if api.has_login() => Some(api.me().await?.user),
            None => None,
        };
        let user = user
            .or_else(|| oneself.clone())
            .ok_or_else(|| not_logged_in(&api.server()))?;
        let mut passwords = Passwords::choose(from_stdin)?;
        if oneself.as_ref().is_some_and(|oneself| *oneself != user) {
            let new = anothers(&mut passwords, &user)?;
            api.set_password(&user, None, &new).await?;
            terminal.say(format!("the password of {user} is set"))?;
            return Ok(());
        }
        let old = passwords.next(&format!("old password of {user}"))?;
        let new = passwords.next_new(&format!("new password of {user}"))?;
        // The old password is a login as good as any, and a fresh one: an expired token does not
        // stand in the way.
        setup
            .log_in(&mut api, &user, &old, &mut passwords, terminal)
            .await?;
        api.set_password(&user, Some(&old), &new).await?;
        terminal.say(format!("the password of {user} is changed"))?;
        // The change voids all tokens, this one too.
        let told = api.login(&user, &new, None).await.map_err(|error| {
            let Failure { status, message } = error.into();
            Failure::new(status, format!("{message}; log in again: `vaquita login`"))
        })?;
        if told.must_change_password {
            return Err(Failure::new(
                Status::Bug,
                "the password was changed, and the server still wants it changed",
            ));
        }
        api.keep_login()
    })
}

/// The new password of somebody else: the only line, or the second of several, so that the same
/// lines serve in every case.
fn anothers(passwords: &mut Passwords, user: &str) -> Result<Secret, Failure> {
    if passwords.left().is_some_and(|left| left >= 2) {
        passwords.next("old password")?;
    }
    passwords.next_new(&format!("new password of {user}"))
}
