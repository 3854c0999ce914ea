//! The one table of routes: what each is for and who may use it.
//!
//! The router is built from this table and from nothing else, so that there is no way to serve a
//! path without having said who may use it. A request for anything that is not in the table needs
//! a login before it is told so.

use axum::http::Method;
use vaquita_core::admin::Right;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Everybody, without a login.
    Public,
    /// Every user, even one who still has to change a first password.
    SignedIn,
    /// Every user who has a password of their own.
    Settled,
    /// Every user with a login, not a program with a token of its own.
    SettledLogin,
    /// Users who have this right.
    Needs(Right),
    /// Users who have one of these rights.
    NeedsAny(&'static [Right]),
    /// The user whom the path names, even one who still has to change a first password, and those
    /// who have this right.
    OneselfOr(Right),
}

/// What a route does: the name under which the router finds its handler, and its operation id in
/// the API's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is described by its row of the table")]
pub enum Endpoint {
    OverviewPage,
    LoginPage,
    SubmitLogin,
    SubmitLogout,
    PasswordPage,
    SubmitPassword,
    AccountPage,
    NodePage,
    OwnPage,
    OpenPage,
    EnterPage,
    LogsPage,
    LogPage,
    FilesPage,
    FileTreePage,
    ChunkPage,
    VolumesPage,
    RepairPage,
    UsersPage,
    OrderNodes,
    OrderVolume,
    OrderRepair,
    OrderFiles,
    OrderUsers,
    MakeToken,
    OrderTokens,
    AuditPage,
    ConfigPage,
    OrderConfig,
    ConfigFilePage,
    ChangeConfigFile,
    Events,
    Asset,
    Alive,
    Ready,
    Metrics,
    OpenApi,
    ShowTls,
    Login,
    Logout,
    Me,
    Status,
    ListNodes,
    ShowFigures,
    StartNodes,
    StopNodes,
    ReplaceNode,
    RemoveNode,
    DrainNodes,
    MaintainNodes,
    ServeNodes,
    NodeLog,
    ShowConfig,
    ShowConfigFile,
    ConfigKeys,
    ReloadConfig,
    CheckConfig,
    WriteConfig,
    ConfigHistory,
    UndoConfig,
    ListUsers,
    AddUser,
    RemoveUser,
    SetPassword,
    Grant,
    Revoke,
    ListTokens,
    CreateToken,
    RevokeToken,
    ListAudit,
    StatPath,
    ListDirectory,
    PathUsage,
    MakeDirectory,
    RemovePath,
    RenamePath,
    ListChunks,
    ShowChunk,
    ListVolumes,
    RescanVolumes,
    AdoptVolume,
    ForgetVolume,
    DrainVolume,
    ServeVolume,
    ShowRepair,
    SuspendRepair,
    ListUnknown,
    RepairHistory,
    SettleLoss,
    ResumeRepair,
    ReadRoot,
    ReadFile,
    WriteFile,
    RemoveFile,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method; `HEAD` counts as `GET`.
    pub method: Method,
    /// The path, with `{name}` for what varies.
    pub path: &'static str,
    /// What it does.
    pub endpoint: Endpoint,
    /// Who may use it.
    pub permission: Permission,
}

impl Route {
    /// Whether it is a file itself that is at the path.
    pub(super) fn is_file(&self) -> bool {
        self.path.starts_with("/dfs/")
    }

    /// Whether it is for people: read in a browser, and answered with pages.
    pub(super) fn is_page(&self) -> bool {
        let for_programs = ["/api/", "/dfs/", "/healthz", "/readyz", "/metrics"];
        !for_programs.iter().any(|it| self.path.starts_with(it))
    }

    /// Whether it gives up data or an identity, or makes somebody who could, so that it takes more than an open
    /// session.
    pub(super) const fn takes_password(&self) -> bool {
        matches!(
            self.endpoint,
            Endpoint::ReplaceNode
                | Endpoint::RemoveNode
                | Endpoint::SettleLoss
                | Endpoint::ForgetVolume
                | Endpoint::CreateToken
                | Endpoint::AddUser
                | Endpoint::SetPassword
                | Endpoint::Grant
        )
    }

    /// Whether paths of files come in its address.
    pub(super) fn names_files(&self) -> bool {
        self.is_file()
            || self.path.starts_with("/files/")
            || self.path.starts_with("/api/v1/dfs/")
            || self.path == "/api/v1/chunks"
    }
}

const fn route(
    method: Method,
    path: &'static str,
    endpoint: Endpoint,
    permission: Permission,
) -> Route {
    Route {
        method,
        path,
        endpoint,
        permission,
    }
}

use Endpoint as E;
use Permission::{Needs, NeedsAny, OneselfOr, Public, Settled, SettledLogin, SignedIn};

/// What those see who run the cluster, and those who may read what is in it. The names of files are for
/// the latter alone.
const UPKEEP: &[Right] = &[Right::DfsRead, Right::Operate];

/// Every route there is.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route(Method::GET,    "/",                                E::OverviewPage, Settled),
    route(Method::GET,    "/login",                           E::LoginPage,   Public),
    route(Method::POST,   "/login",                           E::SubmitLogin, Public),
    route(Method::POST,   "/logout",                          E::SubmitLogout, SignedIn),
    route(Method::GET,    "/password",                        E::PasswordPage, SignedIn),
    route(Method::POST,   "/password",                        E::SubmitPassword, SignedIn),
    route(Method::GET,    "/account",                         E::AccountPage, Settled),
    route(Method::GET,    "/nodes/{alias}",                   E::NodePage,    Settled),
    route(Method::GET,    "/nodes/{alias}/own",               E::OwnPage,     SettledLogin),
    route(Method::POST,   "/nodes/{alias}/open",              E::OpenPage,    SettledLogin),
    route(Method::POST,   "/enter",                           E::EnterPage,   Public),
    route(Method::GET,    "/logs",                            E::LogsPage,    Needs(Right::LogRead)),
    route(Method::GET,    "/logs/{alias}",                    E::LogPage,     Needs(Right::LogRead)),
    route(Method::GET,    "/files/",                          E::FilesPage,   Needs(Right::DfsRead)),
    route(Method::GET,    "/files/{*path}",                   E::FileTreePage, Needs(Right::DfsRead)),
    route(Method::GET,    "/chunks/{chunk}",                  E::ChunkPage,   NeedsAny(UPKEEP)),
    route(Method::GET,    "/volumes",                         E::VolumesPage, NeedsAny(UPKEEP)),
    route(Method::GET,    "/repair",                          E::RepairPage,  NeedsAny(UPKEEP)),
    route(Method::GET,    "/users",                           E::UsersPage,   Needs(Right::Admin)),
    route(Method::POST,   "/account",                         E::MakeToken,   SettledLogin),
    route(Method::POST,   "/ui/tokens",                       E::OrderTokens, Settled),
    route(Method::GET,    "/config",                          E::ConfigPage,  Needs(Right::LogRead)),
    route(Method::POST,   "/config",                          E::OrderConfig, Needs(Right::Admin)),
    route(Method::GET,    "/config/{file}",                   E::ConfigFilePage, Needs(Right::LogRead)),
    route(Method::POST,   "/config/{file}",                   E::ChangeConfigFile, Needs(Right::Admin)),
    route(Method::GET,    "/audit",                           E::AuditPage,   Needs(Right::Admin)),
    route(Method::POST,   "/ui/nodes",                        E::OrderNodes,  Needs(Right::Operate)),
    route(Method::POST,   "/ui/volumes",                      E::OrderVolume, Needs(Right::Operate)),
    route(Method::POST,   "/ui/repair",                       E::OrderRepair, Needs(Right::Operate)),
    route(Method::POST,   "/ui/files",                        E::OrderFiles,  Needs(Right::DfsWrite)),
    route(Method::POST,   "/ui/users",                        E::OrderUsers,  Needs(Right::Admin)),
    route(Method::GET,    "/ui/events",                       E::Events,      Settled),
    route(Method::GET,    "/static/{version}/{name}",         E::Asset,       Public),
    route(Method::GET,    "/healthz",                         E::Alive,       Public),
    route(Method::GET,    "/readyz",                          E::Ready,       Public),
    route(Method::GET,    "/metrics",                         E::Metrics,     Settled),
    route(Method::GET,    "/api/v1/openapi.json",             E::OpenApi,     Public),
    route(Method::GET,    "/api/v1/tls",                      E::ShowTls,     Public),
    route(Method::POST,   "/api/v1/login",                    E::Login,       Public),
    route(Method::POST,   "/api/v1/logout",                   E::Logout,      SignedIn),
    route(Method::GET,    "/api/v1/me",                       E::Me,          SignedIn),
    route(Method::GET,    "/api/v1/status",                   E::Status,      Settled),
    route(Method::GET,    "/api/v1/nodes",                    E::ListNodes,   Settled),
    route(Method::GET,    "/api/v1/figures",                  E::ShowFigures, Settled),
    route(Method::POST,   "/api/v1/nodes/start",              E::StartNodes,  Needs(Right::Operate)),
    route(Method::POST,   "/api/v1/nodes/stop",               E::StopNodes,   Needs(Right::Operate)),
    route(Method::POST,   "/api/v1/nodes/replace",            E::ReplaceNode, Needs(Right::Admin)),
    route(Method::POST,   "/api/v1/nodes/remove",             E::RemoveNode,  Needs(Right::Admin)),
    route(Method::POST,   "/api/v1/nodes/drain",              E::DrainNodes,  Needs(Right::Operate)),
    route(Method::POST,   "/api/v1/nodes/maintenance",        E::MaintainNodes, Needs(Right::Operate)),
    route(Method::POST,   "/api/v1/nodes/serve",              E::ServeNodes,  Needs(Right::Operate)),
    route(Method::GET,    "/api/v1/nodes/{alias}/log",        E::NodeLog,     Needs(Right::LogRead)),
    route(Method::GET,    "/api/v1/config",                   E::ShowConfig,  Needs(Right::LogRead)),
    route(Method::GET,    "/api/v1/config/keys",              E::ConfigKeys,  Needs(Right::LogRead)),
    route(Method::POST,   "/api/v1/config/reload",            E::ReloadConfig, Needs(Right::Admin)),
    route(Method::GET,    "/api/v1/config/{file}",            E::ShowConfigFile, Needs(Right::LogRead)),
    route(Method::PUT,    "/api/v1/config/{file}",            E::WriteConfig, Needs(Right::Admin)),
    route(Method::POST,   "/api/v1/config/{file}/check",      E::CheckConfig, Needs(Right::LogRead)),
    route(Method::GET,    "/api/v1/config/{file}/history",    E::ConfigHistory, Needs(Right::LogRead)),
    route(Method::POST,   "/api/v1/config/{file}/undo",       E::UndoConfig,  Needs(Right::Admin)),
    route(Method::GET,    "/api/v1/users",                    E::ListUsers,   Needs(Right::Admin)),
    route(Method::POST,   "/api/v1/users",                    E::AddUser,     Needs(Right::Admin)),
    route(Method::DELETE, "/api/v1/users/{user}",             E::RemoveUser,  Needs(Right::Admin)),
    route(Method::PUT,    "/api/v1/users/{user}/password",    E::SetPassword, OneselfOr(Right::Admin)),
    route(Method::PUT,    "/api/v1/users/{user}/rights/{right}", E::Grant,    Needs(Right::Admin)),
    route(Method::DELETE, "/api/v1/users/{user}/rights/{right}", E::Revoke,   Needs(Right::Admin)),
    route(Method::GET,    "/api/v1/tokens",                   E::ListTokens,  Settled),
    route(Method::POST,   "/api/v1/tokens",                   E::CreateToken, SettledLogin),
    route(Method::DELETE, "/api/v1/tokens/{id}",              E::RevokeToken, Settled),
    route(Method::GET,    "/api/v1/audit",                    E::ListAudit,   Needs(Right::Admin)),
    route(Method::GET,    "/api/v1/dfs/stat",                 E::StatPath,    Needs(Right::DfsRead)),
    route(Method::GET,    "/api/v1/dfs/list",                 E::ListDirectory, Needs(Right::DfsRead)),
    route(Method::GET,    "/api/v1/dfs/usage",                E::PathUsage,   Needs(Right::DfsRead)),
    route(Method::POST,   "/api/v1/dfs/mkdir",                E::MakeDirectory, Needs(Right::DfsWrite)),
    route(Method::POST,   "/api/v1/dfs/remove",               E::RemovePath,  Needs(Right::DfsWrite)),
    route(Method::POST,   "/api/v1/dfs/rename",               E::RenamePath,  Needs(Right::DfsWrite)),
    route(Method::GET,    "/api/v1/chunks",                   E::ListChunks,  NeedsAny(UPKEEP)),
    route(Method::GET,    "/api/v1/chunks/{chunk}",           E::ShowChunk,   NeedsAny(UPKEEP)),
    route(Method::GET,    "/api/v1/volumes",                  E::ListVolumes, NeedsAny(UPKEEP)),
    route(Method::POST,   "/api/v1/volumes/rescan",           E::RescanVolumes, Needs(Right::Operate)),
    route(Method::POST,   "/api/v1/volumes/adopt",            E::AdoptVolume, Needs(Right::Admin)),
    route(Method::POST,   "/api/v1/volumes/forget",           E::ForgetVolume, Needs(Right::Admin)),
    route(Method::POST,   "/api/v1/volumes/drain",            E::DrainVolume, Needs(Right::Operate)),
    route(Method::POST,   "/api/v1/volumes/serve",            E::ServeVolume, Needs(Right::Operate)),
    route(Method::GET,    "/api/v1/repair",                   E::ShowRepair,  NeedsAny(UPKEEP)),
    route(Method::POST,   "/api/v1/repair/suspend",           E::SuspendRepair, Needs(Right::Operate)),
    route(Method::POST,   "/api/v1/repair/settle",            E::SettleLoss,  Needs(Right::Admin)),
    route(Method::GET,    "/api/v1/repair/history",           E::RepairHistory, NeedsAny(UPKEEP)),
    route(Method::GET,    "/api/v1/repair/unknown",           E::ListUnknown, NeedsAny(UPKEEP)),
    route(Method::POST,   "/api/v1/repair/resume",            E::ResumeRepair, Needs(Right::Operate)),
    route(Method::GET,    "/dfs/",                            E::ReadRoot,    Needs(Right::DfsRead)),
    route(Method::GET,    "/dfs/{*path}",                     E::ReadFile,    Needs(Right::DfsRead)),
    route(Method::PUT,    "/dfs/{*path}",                     E::WriteFile,   Needs(Right::DfsWrite)),
    route(Method::DELETE, "/dfs/{*path}",                     E::RemoveFile,  Needs(Right::DfsWrite)),
];

/// The row of a method and a path template, if there is one.
pub(super) fn find(method: &Method, path: &str) -> Option<&'static Route> {
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    ROUTES
        .iter()
        .find(|route| route.method == *method && route.path == path)
}
