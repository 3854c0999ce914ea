//! The pages, each a struct of what it shows.

mod account;
mod audit;
mod chunk;
mod config;
mod files;
mod login;
mod logs;
mod node;
mod overview;
mod own;
mod problem;
mod repair;
mod table;
mod users;
mod volumes;

pub use account::AccountPage;
pub use audit::AuditPage;
pub use chunk::{ChunkPage, ChunkView, ReplicaView};
pub use config::{
    AddedView, ConfigFilePage, ConfigFileView, ConfigPage, DiffLine, FindingView, MemberView,
    PendingView, SettingView, StandingView, VersionView, diff_lines,
};
pub use files::{Crumb, DirectoryPage, EntryView, FilePage, crumbs, name_of};
pub use login::{LoginPage, PasswordPage};
pub use logs::{LogChoice, LogLine, LogPage, LogRow, LogsPage};
pub use node::NodePage;
pub use overview::{AgentView, OverviewPage, Seen, Stored, Tile};
pub use own::{EnterPage, OpenPage, OwnPage, OwnView};
pub use problem::ProblemPage;
pub use repair::RepairPage;
pub use table::{Column, NodeTable, Sorting, TableView};
pub use users::{RightView, UserView, UsersPage};
pub use volumes::{VolumeView, VolumesPage};
