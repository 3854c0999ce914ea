//! What each request is in the audit.

use crate::admin::{Selection, Verb};
use crate::audit::{AuditEntry, OBJECT_MAX};
use crate::dfs::ask::Ask;
use crate::state::Duty;

/// Characters for the rights of a token, and for its networks: with its id and its life they go into the
/// detail of an entry.
const RIGHTS_ROOM: usize = 80;
const NETWORKS_ROOM: usize = 140;

/// Whether what is done too often is counted in the audit, and not refused: to log in and out, to void a
/// token and to look for a fault is never too soon.
pub(crate) fn is_counted(action: &str) -> bool {
    matches!(action, "login" | "logout" | "token.revoke" | "log.read")
}

/// What a request is in the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// The word for it.
    pub action: &'static str,
    /// What it is done to.
    pub object: String,
    /// What else is to be known; never a password or a token.
    pub detail: String,
    /// When its entry is written.
    pub writing: Writing,
}

/// When the entry of a deed is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// With the change that it makes in the log, as one record; not at all if it makes none.
    WithChange,
    /// First, since the log has nothing else of it; it is done once the entry is durable.
    First,
    /// First, once in a while, and not at all while the log takes nothing: to look is allowed then.
    FirstAtTimes,
}

/// What each request is in the audit; `None` for what changes nothing, and for what is done to files.
///
/// It stands beside [`need`](super::need) and has no wildcard either: a verb that is added does not
/// compile before somebody has said what it is.
#[must_use]
pub fn deed(verb: &Verb) -> Option<Deed> {
    let with_change = |action, object: String, detail: String| {
        Some(Deed {
            action,
            object,
            detail,
            writing: Writing::WithChange,
        })
    };
    let first = |action, object: String| {
        Some(Deed {
            action,
            object,
            detail: String::new(),
            writing: Writing::First,
        })
    };
    let none = String::new;
    let text = AuditEntry::text;
    let volume = |node: &str, path: &str| AuditEntry::text(&format!("{node} {path}"));
    match verb {
        Verb::WhoAmI
        | Verb::Status
        | Verb::ListNodes
        | Verb::Figures { .. }
        | Verb::ListUsers
        | Verb::ListTokens { .. }
        | Verb::ListConfigurations
        | Verb::Reconfigure { dry_run: true, .. }
        | Verb::ListAudit(_)
        // It is counted as what was refused is.
        | Verb::NoteRefusal { .. } => None,
        Verb::Login { user, .. } => with_change("login", text(user), none()),
        Verb::Logout => with_change("logout", none(), none()),
        Verb::StartNodes(nodes) => with_change("node.start", chosen(nodes), none()),
        Verb::StopNodes(nodes) => with_change("node.stop", chosen(nodes), none()),
        Verb::ReplaceNode { node } => with_change("node.replace", text(node), none()),
        Verb::RemoveNode { node, accept_loss } => {
            let detail = accept_loss.as_ref().map(|_| "loss accepted".to_owned());
            with_change("node.remove", text(node), detail.unwrap_or_default())
        }
        Verb::SetDuty { nodes, duty } => match duty {
            Duty::Serve => with_change("node.serve", chosen(nodes), none()),
            Duty::Drain => with_change("node.drain", chosen(nodes), none()),
            Duty::Maintenance { for_ms } => {
                let detail = format!("for {} s", for_ms / 1000);
                with_change("node.maintenance", chosen(nodes), detail)
            }
        },
        Verb::AdoptVolume { node, path } => {
            with_change("volume.adopt", volume(node, path), none())
        }
        Verb::SetVolumeDuty { node, path, drain } => {
            let action = match drain {
                true => "volume.drain",
                false => "volume.serve",
            };
            with_change(action, volume(node, path), none())
        }
        Verb::Reconfigure { dry_run: false, .. } => first("config.reload", none()),
        Verb::RescanVolumes(nodes) => first("volume.rescan", chosen(nodes)),
        Verb::ForgetVolume { node, path } => first("volume.forget", volume(node, path)),
        Verb::ReadLog { alias, .. } => Some(Deed {
            action: "log.read",
            object: alias.to_string(),
            detail: none(),
            writing: Writing::FirstAtTimes,
        }),
        Verb::AddUser { user, admin, .. } => {
            let detail = admin.then(|| "administrator".to_owned());
            with_change("user.add", text(user), detail.unwrap_or_default())
        }
        Verb::RemoveUser { user } => with_change("user.remove", text(user), none()),
        Verb::ChangePassword { user, .. } => {
            let whose = user.as_deref().map(text).unwrap_or_default();
            with_change("user.password", whose, none())
        }
        Verb::Grant { user, right } => {
            with_change("user.grant", text(user), right.as_str().to_owned())
        }
        Verb::Revoke { user, right } => {
            with_change("user.revoke", text(user), right.as_str().to_owned())
        }
        Verb::IssueToken(new) => {
            let rights = new.rights.as_ref().map(|rights| {
                let words = rights.iter().map(|right| right.as_str());
                match rights.is_empty() {
                    true => "no right; ".to_owned(),
                    false => format!("rights {}; ", AuditEntry::names(words, RIGHTS_ROOM)),
                }
            });
            let networks = (!new.networks.is_empty()).then(|| {
                let texts = new.networks.iter().map(String::as_str);
                format!("networks {}; ", AuditEntry::names(texts, NETWORKS_ROOM))
            });
            let detail = format!(
                "{}{}for {} s",
                rights.unwrap_or_default(),
                networks.unwrap_or_default(),
                new.valid_for.as_secs()
            );
            with_change("token.create", text(&new.label), detail)
        }
        Verb::RevokeToken { token } => with_change("token.revoke", token.to_string(), none()),
        Verb::Dfs(ask) => ask_deed(ask),
    }
}

/// What each question or order about the file system is in the audit. What is done to files is for whoever
/// owns them, and there is too much of it.
#[must_use]
pub fn ask_deed(ask: &Ask) -> Option<Deed> {
    let deed = |action, writing| {
        Some(Deed {
            action,
            object: String::new(),
            detail: String::new(),
            writing,
        })
    };
    match ask {
        Ask::SuspendRepair { suspend: true } => deed("repair.suspend", Writing::First),
        Ask::SuspendRepair { suspend: false } => deed("repair.resume", Writing::First),
        Ask::SettleLoss => deed("repair.settle", Writing::WithChange),
        Ask::Stat { .. }
        | Ask::List { .. }
        | Ask::Usage { .. }
        | Ask::MakeDir { .. }
        | Ask::Remove { .. }
        | Ask::Rename { .. }
        | Ask::Lookup { .. }
        | Ask::Allocate { .. }
        | Ask::Replace { .. }
        | Ask::Renew { .. }
        | Ask::Commit(_)
        | Ask::Abort { .. }
        | Ask::Outcome { .. }
        | Ask::Chunks { .. }
        | Ask::Chunk { .. }
        | Ask::Volumes
        | Ask::Authorize { .. }
        | Ask::WhoAmI
        | Ask::Repairs
        | Ask::Unknown { .. }
        | Ask::History { .. } => None,
    }
}

fn chosen(nodes: &Selection) -> String {
    match nodes {
        Selection::All => "all".to_owned(),
        Selection::Aliases(names) => {
            AuditEntry::names(names.iter().map(String::as_str), OBJECT_MAX)
        }
    }
}
