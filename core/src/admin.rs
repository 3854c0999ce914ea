//! What people and programs ask of a process, and what they are told.
//!
//! The HTTP interface, the console and the tests all speak these types; none of them knows how the
//! answer comes about. Texts in here are shown to operators as they are.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use minicbor::{Decode, Encode};
use serde::Serialize;
use thiserror::Error;

use crate::access::TokenId;
use crate::audit::{AuditPage, AuditQuery};
use crate::controller::Reconfiguration;
use crate::dfs::ask::{Answer, Ask, VolumeState};
use crate::dfs::digest::Digest;
use crate::dfs::placement::NoPlace;
use crate::figures::{Figures, FiguresReport, NodeFigures};
use crate::ids::{Alias, LogIndex, NodeEpoch, Role};
use crate::secret::Password;
use crate::state::Duty;

/// One question or order, with who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who asks.
    pub caller: Caller,
    /// What for.
    pub verb: Verb,
}

/// Who asks, as the driver could establish it.
#[derive(Clone, PartialEq)]
pub enum Caller {
    /// Somebody at the process's own console: as powerful as the user the process runs under.
    Console {
        /// Date by the driver's wall clock, in milliseconds since 1970; 0 in stories without dates.
        unix_ms: u64,
    },
    /// Somebody who sent the process a signal: as powerful.
    Signal {
        /// The same.
        unix_ms: u64,
    },
    /// The process itself, which finishes or takes back what somebody began through it.
    Process {
        /// The same.
        unix_ms: u64,
    },
    /// Somebody over HTTP.
    Remote {
        /// The address that the connection comes from.
        address: IpAddr,
        /// The token that the request carries, unchecked.
        token: Option<String>,
        /// Date by the driver's wall clock, in milliseconds since 1970: tokens expire by it, and
        /// answers that name a date name it by this one; nothing else looks at it.
        unix_ms: u64,
    },
}

impl Caller {
    /// The console. The driver fills in the date, as it does for all.
    pub const CONSOLE: Self = Self::Console { unix_ms: 0 };
    /// The process itself; the same.
    pub const PROCESS: Self = Self::Process { unix_ms: 0 };
}

/// Says whether there is a token, not which.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Console { .. } => f.write_str("Console"),
            Self::Signal { .. } => f.write_str("Signal"),
            Self::Process { .. } => f.write_str("Process"),
            Self::Remote {
                address,
                token,
                unix_ms,
            } => f
                .debug_struct("Remote")
                .field("address", address)
                .field("token", &token.as_ref().map(|_| format_args!("..")))
                .field("unix_ms", unix_ms)
                .finish(),
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Exchange a name and a password for a token.
    Login {
        /// The user.
        user: String,
        /// The password.
        password: Password,
        /// How long the token is good for.
        valid_for: Duration,
        /// What a first login from another machine needs beside the password that everybody
        /// knows; looked at for nothing else.
        setup_code: Option<Password>,
    },
    /// Void the token that the request carries.
    Logout,
    /// Who the token belongs to.
    WhoAmI,
    /// The state of this process, and on a controller of the whole cluster.
    Status,
    /// The controller and every member, one row each, with what they have measured.
    ListNodes,
    /// Charts of what one process, or the cluster, has measured within the last hour.
    Figures {
        /// The process, by alias or by `host:port`; `None` for the cluster.
        node: Option<String>,
        /// Which charts; all if none is named.
        names: Vec<String>,
    },
    /// Have these data nodes run.
    StartNodes(Selection),
    /// Have these data nodes end, and stay so.
    StopNodes(Selection),
    /// Give the alias of a data node to whoever registers under it next; its identity so far is
    /// refused from then on.
    ReplaceNode {
        /// The node, by alias or by `host:port`.
        node: String,
    },
    /// Take a data node out of the cluster for good: its identity is refused from then on, and its replicas
    /// do not count any more.
    RemoveNode {
        /// The node, by alias or by `host:port`.
        node: String,
        /// The alias once more, of who accepts that chunks are lost with it of which no other good replica
        /// is there; `None` for who does not.
        accept_loss: Option<String>,
    },
    /// Say what data nodes are to be used for.
    SetDuty {
        /// Which nodes.
        nodes: Selection,
        /// What for.
        duty: Duty,
    },
    /// Have these data nodes open again each of their volumes that is not open.
    RescanVolumes(Selection),
    /// Give a volume that another node of the cluster labelled to the node that has it now.
    AdoptVolume {
        /// The node, by alias or by `host:port`.
        node: String,
        /// The volume's directory there.
        path: String,
    },
    /// Have a node forget which volume was at a directory, so that nobody misses it, and a new one may
    /// be made there.
    ForgetVolume {
        /// The node, by alias or by `host:port`.
        node: String,
        /// The directory.
        path: String,
    },
    /// Say whether a volume is to be emptied, so that its disk can be taken away without a loss.
    SetVolumeDuty {
        /// The node that has it, by alias or by `host:port`.
        node: String,
        /// The volume's directory there.
        path: String,
        /// Whether it is to be emptied, or to serve again.
        drain: bool,
    },
    /// Take up what the controller's files say by now.
    Reconfigure {
        /// All that they say.
        config: Box<Reconfiguration>,
        /// Whether it is only to be said what would come of it.
        dry_run: bool,
    },
    /// With which configurations data nodes run, and would be started.
    ListConfigurations,
    /// A piece of a node's log file, running or not.
    ReadLog {
        /// The node.
        alias: Alias,
        /// 0 for the present file, 1 for the one before the last rotation, and so on.
        generation: u32,
        /// Which piece.
        range: LogRange,
    },
    /// Every user.
    ListUsers,
    /// Create a user.
    AddUser {
        /// The name.
        user: String,
        /// The first password.
        password: Password,
        /// Whether the user administers the cluster.
        admin: bool,
    },
    /// Remove a user and void the user's tokens.
    RemoveUser {
        /// The name.
        user: String,
    },
    /// Set a password.
    ChangePassword {
        /// Whose password; `None` for the caller's.
        user: Option<String>,
        /// The present password of the caller; not asked of an administrator who sets another's.
        old: Option<Password>,
        /// The new password.
        new: Password,
    },
    /// Give a user a right.
    Grant {
        /// The user.
        user: String,
        /// The right.
        right: Right,
    },
    /// Take a right from a user.
    Revoke {
        /// The user.
        user: String,
        /// The right.
        right: Right,
    },
    /// The tokens that are issued.
    ListTokens {
        /// Whether everybody's are meant, and not the caller's alone.
        all: bool,
    },
    /// Make a token for a program of the caller's.
    IssueToken(NewToken),
    /// Void a token.
    RevokeToken {
        /// Which one.
        token: TokenId,
    },
    /// Who did what.
    ListAudit(AuditQuery),
    /// Somebody was refused something for want of a right, by the interface that asks: it is counted in the
    /// audit, if it is so.
    NoteRefusal {
        /// What they asked for.
        what: String,
        /// The right that they lack.
        right: Right,
    },
    /// Something about the file system.
    Dfs(Ask),
}

/// What a token for a program is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// What its user calls it.
    pub label: String,
    /// How long it is good for.
    pub valid_for: Duration,
    /// The rights of the user that it carries; `None` for all.
    pub rights: Option<Vec<Right>>,
    /// The networks that it may be used from, such as `10.1.0.0/16`; none for everywhere.
    pub networks: Vec<String>,
}

/// Which part of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum LogRange {
    /// So many bytes from an offset on.
    #[n(0)]
    From {
        /// First byte.
        #[n(0)]
        offset: u64,
        /// How many bytes at most.
        #[n(1)]
        len: u32,
    },
    /// The last so many bytes.
    #[n(1)]
    Tail {
        /// How many bytes at most.
        #[n(0)]
        len: u32,
    },
}

/// Which nodes an order is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every data node of the cluster.
    All,
    /// The nodes of these names.
    Aliases(Vec<String>),
}

/// What a user may be allowed beside what everybody may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    minicbor::Encode,
    minicbor::Decode,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Start and stop nodes, edit the configuration, manage users.
    #[n(0)]
    Admin,
    /// Read files under `dfs://`.
    #[n(1)]
    DfsRead,
    /// Write, rename and remove files under `dfs://`.
    #[n(2)]
    DfsWrite,
    /// Read log files of nodes.
    #[n(3)]
    LogRead,
    /// Run the cluster from day to day: start and stop nodes, drain nodes and volumes, have repair
    /// wait and go on, read logs.
    #[n(4)]
    Operate,
}

impl Right {
    /// Every right there is.
    pub const ALL: [Self; 5] = [
        Self::Admin,
        Self::Operate,
        Self::DfsRead,
        Self::DfsWrite,
        Self::LogRead,
    ];

    /// The word for it on the command line and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::DfsRead => "dfs-read",
            Self::DfsWrite => "dfs-write",
            Self::LogRead => "log-read",
            Self::Operate => "operate",
        }
    }

    /// Whether who has this right has the other one with it.
    ///
    /// Who administers the cluster operates it, and who operates it reads its logs. Files under
    /// `dfs://` are another matter: to keep a cluster running nobody needs to see what is in it.
    #[must_use]
    pub const fn implies(self, other: Self) -> bool {
        match self {
            Self::Admin => matches!(other, Self::Admin | Self::Operate | Self::LogRead),
            Self::Operate => matches!(other, Self::Operate | Self::LogRead),
            Self::DfsRead => matches!(other, Self::DfsRead),
            Self::DfsWrite => matches!(other, Self::DfsWrite),
            Self::LogRead => matches!(other, Self::LogRead),
        }
    }
}

/// What a user is to the cluster, in one word. Rights on files come beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// Sees how the cluster is.
    Viewer,
    /// Runs it: [`Right::Operate`].
    Operator,
    /// Decides who and what belongs to it: [`Right::Admin`].
    Admin,
}

impl UserRole {
    /// The role of whoever has these rights.
    #[must_use]
    pub fn of(admin: bool, rights: &[Right]) -> Self {
        if admin || rights.contains(&Right::Admin) {
            Self::Admin
        } else if rights.contains(&Right::Operate) {
            Self::Operator
        } else {
            Self::Viewer
        }
    }

    /// The word for it in lists and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// The answer to a [`Request`].
pub type Reply = Result<Response, Refusal>;

/// An answer that is no refusal.
#[derive(Clone, PartialEq)]
pub enum Response {
    /// Done; nothing to tell.
    Done,
    /// A token, told this once.
    LoggedIn {
        /// The token.
        token: String,
        /// Whether it serves for nothing but a change of the password.
        must_change_password: bool,
    },
    /// Who the caller is.
    You(UserRow),
    /// The state of the process.
    Status(Box<StatusReport>),
    /// The members of the cluster.
    Nodes(Vec<NodeRow>),
    /// Charts.
    Figures(FiguresReport),
    /// What became of an order for several nodes.
    Ordered(Vec<OrderRow>),
    /// What came of opening volumes again.
    Rescanned(Vec<RescanRow>),
    /// What a configuration changed, or would change.
    Reconfigured(Vec<ReconfiguredRow>),
    /// The configurations of data nodes.
    Configurations(Vec<ConfigurationRow>),
    /// A piece of a log file.
    Log(LogPiece),
    /// The users.
    Users(Vec<UserRow>),
    /// A token for a program, told this once.
    TokenIssued {
        /// The token.
        token: String,
        /// What it is.
        row: TokenRow,
    },
    /// The tokens.
    Tokens(Vec<TokenRow>),
    /// Who did what.
    Audit(AuditPage),
    /// Something about the file system.
    Dfs(Answer),
}

/// Leaves the token out.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::LoggedIn {
                token: _,
                must_change_password,
            } => f
                .debug_struct("LoggedIn")
                .field("must_change_password", must_change_password)
                .finish_non_exhaustive(),
            Self::You(user) => f.debug_tuple("You").field(user).finish(),
            Self::Status(report) => f.debug_tuple("Status").field(report).finish(),
            Self::Nodes(rows) => f.debug_tuple("Nodes").field(rows).finish(),
            Self::Figures(report) => f.debug_tuple("Figures").field(report).finish(),
            Self::Ordered(rows) => f.debug_tuple("Ordered").field(rows).finish(),
            Self::Rescanned(rows) => f.debug_tuple("Rescanned").field(rows).finish(),
            Self::Reconfigured(rows) => f.debug_tuple("Reconfigured").field(rows).finish(),
            Self::Configurations(rows) => f.debug_tuple("Configurations").field(rows).finish(),
            Self::Log(piece) => f.debug_tuple("Log").field(piece).finish(),
            Self::Users(rows) => f.debug_tuple("Users").field(rows).finish(),
            Self::TokenIssued { token: _, row } => f
                .debug_struct("TokenIssued")
                .field("row", row)
                .finish_non_exhaustive(),
            Self::Tokens(rows) => f.debug_tuple("Tokens").field(rows).finish(),
            Self::Audit(page) => f.debug_tuple("Audit").field(page).finish(),
            Self::Dfs(answer) => f.debug_tuple("Dfs").field(answer).finish(),
        }
    }
}

/// Name of the file in the controller's directory that holds the setup code.
pub const SETUP_CODE_FILE: &str = "setup-code";

/// Why a request was not carried out. Nothing was changed.
///
/// It travels between members as it is, so that its variants are numbered and never reused.
#[derive(Clone, Debug, PartialEq, Eq, Error, Encode, Decode)]
#[non_exhaustive]
pub enum Refusal {
    /// No token, or none that is known.
    #[n(0)]
    #[error("log in first: `vaquita login`, or send a token in the Authorization header")]
    Unauthenticated,
    /// Wrong name or wrong password.
    #[n(1)]
    #[error("wrong user name or password")]
    WrongPassword,
    /// A first login from another machine, without the setup code.
    #[n(13)]
    #[error(
        "the first login from another machine needs the setup code as well: it is in the \
         controller's log, and in `<home>/<alias>/meta/{}` on its host. `vaquita login` asks for \
         it, and takes it as `--setup-code CODE`",
        SETUP_CODE_FILE
    )]
    SetupCodeRequired,
    /// Such a login with another code.
    #[n(14)]
    #[error("{}", wrong_setup_code(*replaced))]
    WrongSetupCode {
        /// Whether it was one too many, so that there is a new code now.
        #[n(0)]
        replaced: bool,
    },
    /// The caller may not do that.
    #[n(2)]
    #[error("user `{user}` lacks the right `{}`; an administrator can grant it: `vaquita user grant {user} {}`", right.as_str(), right.as_str())]
    Forbidden {
        /// The caller.
        #[n(0)]
        user: String,
        /// The right that is missing.
        #[n(1)]
        right: Right,
    },
    /// The caller still has the first password.
    #[n(3)]
    #[error(
        "the password of `{user}` has to be changed before anything else: `vaquita user passwd {user}`"
    )]
    PasswordChangeRequired {
        /// The caller.
        #[n(0)]
        user: String,
    },
    /// The new password is too weak, or the name malformed.
    #[n(4)]
    #[error("{reason}")]
    Invalid {
        /// What is wrong and what would be right.
        #[n(0)]
        reason: String,
    },
    /// There is no such node, user or file.
    #[n(5)]
    #[error("{what}")]
    NotFound {
        /// What is missing, with the nearest name there is.
        #[n(0)]
        what: String,
    },
    /// It exists already, or the state forbids it.
    #[n(6)]
    #[error("{reason}")]
    Conflict {
        /// What stands in the way.
        #[n(0)]
        reason: String,
    },
    /// Too many attempts or too much at once.
    #[n(7)]
    #[error("{reason}; try again in {} s", retry_after.as_secs().max(1))]
    Busy {
        /// What is too much.
        #[n(0)]
        reason: String,
        /// When to come back.
        #[n(1)]
        retry_after: Duration,
    },
    /// Something that is needed is away at present.
    #[n(8)]
    #[error("{reason}")]
    Unavailable {
        /// What is away and what brings it back.
        #[n(0)]
        reason: String,
    },
    /// This process is not the one to ask.
    #[n(9)]
    #[error("this is {here}; ask the controller{}", site.as_ref().map(|s| format!(" at {s}")).unwrap_or_default())]
    NotHere {
        /// What this process is.
        #[n(0)]
        here: String,
        /// Where the controller is, if known.
        #[n(1)]
        site: Option<String>,
    },
    /// Another content of the file is there than the one that was expected.
    #[n(10)]
    #[error("{reason}")]
    Precondition {
        /// What is there instead.
        #[n(0)]
        reason: String,
    },
    /// There are no places for the replicas that the configuration asks for.
    #[n(11)]
    #[error("{0}")]
    NoPlace(#[n(0)] NoPlace),
    /// What was shown is void: an epoch has passed, or the write has ended. Begin again.
    #[n(12)]
    #[error("{reason}")]
    Stale {
        /// What is void, and since when.
        #[n(0)]
        reason: String,
    },
    /// No volume of the node that was asked has room for the chunk, or too few nodes had: free space.
    #[n(15)]
    #[error("{reason}")]
    NoRoom {
        /// Which volumes, and what they have left.
        #[n(0)]
        reason: String,
    },
    /// A program's token where a person has to be.
    #[n(16)]
    #[error(
        "a token that was made for a program cannot do that: log in with a password, `vaquita login`"
    )]
    LoginRequired,
}

impl From<NoPlace> for Refusal {
    fn from(none: NoPlace) -> Self {
        Self::NoPlace(none)
    }
}

fn wrong_setup_code(replaced: bool) -> String {
    let place = format!(
        "it is in the controller's log, and in `<home>/<alias>/meta/{SETUP_CODE_FILE}` on its host"
    );
    if replaced {
        format!(
            "that is not the setup code, and after so many wrong ones there is a new one: {place}"
        )
    } else {
        format!("that is not the setup code: {place}. Each start of the controller makes a new one")
    }
}

/// What an order did to one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderRow {
    /// The node.
    pub alias: Alias,
    /// Whether the order changed what the node should do.
    pub changed: bool,
    /// What happens now, or why nothing does.
    pub note: String,
}

/// One thing that a configuration changed, or would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReconfiguredRow {
    /// The alias of a member, or the name of a key.
    pub subject: String,
    /// `member-added`, `member-moved`, `member-removed`, `node-configuration` or `setting`.
    pub change: &'static str,
    /// What has to happen for it to count: `nothing`, or `node-restart`.
    pub needs: &'static str,
    /// The same as a sentence.
    pub text: String,
}

/// With what one data node runs, and would be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigurationRow {
    /// The node.
    pub alias: Alias,
    /// Whether a process of it runs, as far as is known.
    pub runs: bool,
    /// The digest of the configuration that it would be started with.
    pub next: Digest,
    /// The digest of the one that it was started with, if its agent started it and has said so.
    pub started_with: Option<Digest>,
}

/// What came of opening one volume again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RescanRow {
    /// Its node.
    pub node: Alias,
    /// Its directory; empty for a node that could not be asked, or has not answered.
    pub path: String,
    /// How it was; `None` for such a node.
    pub was: Option<VolumeState>,
    /// How it is.
    pub now: Option<VolumeState>,
    /// Whether it was opened again; one that is in use is left alone.
    pub opened: bool,
    /// Chunks on it.
    pub chunks: u64,
    /// Why it is not well, or why the node could not be asked, and what to do; empty when all is well.
    pub reason: String,
}

/// A piece of a log file.
#[derive(Clone, Debug, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct LogPiece {
    /// Offset of the first byte.
    #[n(0)]
    pub offset: u64,
    /// Length of the whole file.
    #[n(1)]
    pub file_len: u64,
    /// The bytes; control characters were escaped when they were written.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// A user, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserRow {
    /// The name.
    pub user: String,
    /// What the user is to the cluster.
    pub role: UserRole,
    /// Whether the user administers the cluster.
    pub admin: bool,
    /// The rights given.
    pub rights: Vec<Right>,
    /// Whether the user still has to change a first password.
    pub must_change_password: bool,
}

/// What kind of token one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A login.
    Session,
    /// Made for a program.
    Token,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenRow {
    /// Which token.
    pub id: String,
    /// What kind.
    pub kind: TokenKind,
    /// What its user calls it; `None` for a login.
    pub label: Option<String>,
    /// Whose it is.
    pub user: String,
    /// When it was issued, in milliseconds since 1970; 0 if nobody noted it.
    pub issued_unix_ms: u64,
    /// From when on it is void, in milliseconds since 1970.
    pub expires_unix_ms: u64,
    /// The rights of its user that it carries; `None` for all.
    pub rights: Option<Vec<Right>>,
    /// The networks that it may be used from; none for everywhere.
    pub networks: Vec<String>,
    /// Whether it is the one that the question came with.
    pub current: bool,
}

/// Where a member is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Does not run, and should not.
    Stopped,
    /// Should run; the agent is at it.
    Starting,
    /// Has registered; its report is not applied yet.
    Joining,
    /// Serves.
    Online,
    /// Has not been heard for a while.
    Suspect,
    /// Is taken for dead.
    Offline,
    /// Has been dead so long that its replicas are made anew elsewhere.
    Lost,
    /// Serves, and is being emptied.
    Draining,
    /// Should end; the agent is at it.
    Stopping,
    /// Should run, and cannot.
    Failed,
}

impl NodeState {
    /// The word for it in lists and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Joining => "joining",
            Self::Online => "online",
            Self::Suspect => "suspect",
            Self::Offline => "offline",
            Self::Lost => "lost",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

/// A member of the cluster, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeRow {
    /// Name.
    pub alias: Alias,
    /// What it is for.
    pub mode: Role,
    /// Host, as in the configuration.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `host:port:alias`.
    pub site: String,
    /// Where it is in its life.
    pub state: NodeState,
    /// The agent of its host; `None` for agents, and where there is none.
    pub agent: Option<Alias>,
    /// Why it is in that state and what to do; empty when all is well.
    pub reason: String,
    /// What an operator has set: `none`, `maintenance`, `draining`, `drained`.
    pub admin: &'static str,
    /// How far that is, and what it waits for; empty where there is nothing to tell.
    pub admin_reason: String,
    /// What else is to be known, such as `udp-blocked` or `quarantined`.
    pub conditions: Vec<String>,
    /// Process id, where known.
    pub pid: Option<u32>,
    /// Its registration, where it has one.
    pub epoch: Option<NodeEpoch>,
    /// Milliseconds since it was last heard, where it is watched.
    pub silent_ms: Option<u64>,
    /// What it has measured of itself: in lists of nodes alone, and once it has told the controller.
    pub figures: Option<Box<NodeFigures>>,
}

/// A copy of the controller's log on a data node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MirrorRow {
    /// The node.
    pub alias: Alias,
    /// All records up to here are on its disk.
    pub upto: LogIndex,
    /// Whether the copy is complete but for the newest records.
    pub complete: bool,
    /// What is being done about it, or why it does not get on; empty when all is well.
    pub state: String,
}

/// The state of a process, and on a controller of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusReport {
    /// The process asked.
    pub alias: Alias,
    /// What it is for.
    pub mode: Role,
    /// One sentence on how things are.
    pub summary: String,
    /// Whether it can do its work.
    pub ready: bool,
    /// Members by state, controller only.
    pub nodes: Vec<NodeRow>,
    /// What an operator should look at, worst first.
    pub alarms: Vec<String>,
    /// Whether somebody can log in with the password that every new cluster has, controller only.
    pub first_password: bool,
    /// The newest synced index of the metadata log, controller only.
    pub commit_index: Option<LogIndex>,
    /// The data nodes that keep a copy of that log, controller only.
    pub log_copies: Vec<MirrorRow>,
    /// Milliseconds since the process started.
    pub uptime_ms: u64,
    /// How long the cluster took from the controller's start until every node that should run was
    /// online, once that has happened; controller only.
    pub all_green_after_ms: Option<u64>,
    /// What the process has measured of itself, as it was measured.
    pub figures: Option<Box<Figures>>,
}
