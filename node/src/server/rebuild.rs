//! Rebuilding a controller's home, from its configuration files.

use std::sync::mpsc;
use std::time::Duration;

use vaquita_core::ids::{Alias, LineageId};
use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::limits::Limits;
use vaquita_core::prng::SecretPrng;
use vaquita_core::rebuild::RebuildConfig;

use super::{Start, failed, https, roles, secret, settings};
use crate::cli::ServerPlan;
use crate::driver::{self, NoHttp, PasswordCost};
use crate::env::Env as _;
use crate::os_env::{self, Hangup, OsEnv, watch_signals};
use crate::tls::{PeerEnv, PortTls};

/// How a home is rebuilt.
#[derive(Clone, Debug)]
pub struct Rebuilding {
    /// Whether it is written; else only what would be done is told.
    pub write: bool,
    /// Whether to go on although records are lost, or may be.
    pub accept_loss: bool,
    /// The node whose copy is to be taken, whatever else there is.
    pub from: Option<Alias>,
    /// How long nodes are waited for.
    pub patience: Duration,
}

/// Rebuilds the home that a controller with this plan would have. What is found and done goes to
/// `told`, a line each; the result is in the reason.
pub async fn rebuild(plan: ServerPlan, how: Rebuilding, told: mpsc::Sender<String>) -> ExitReason {
    match try_rebuild(plan, how, told).await {
        Ok(reason) | Err(reason) => reason,
    }
}

async fn try_rebuild(
    plan: ServerPlan,
    how: Rebuilding,
    told: mpsc::Sender<String>,
) -> Result<ExitReason, ExitReason> {
    let env = OsEnv::new().map_err(|error| failed(ExitCode::Unavailable, error.to_string()))?;
    let secret = secret(&plan)?;
    let identity = https::identity(&plan, secret.as_ref())?;
    let env = PeerEnv::new(env, https::peers(&plan.settings, identity.as_ref())?);
    let controller = settings::controller(&plan.files, &plan.settings, secret, None)?;
    let limits = settings::driver_limits(&plan.settings, os_env::memory_bytes())
        .with_open_files(os_env::raise_open_files());
    let (_front, questions) = driver::front(&limits);
    let (terminator, termination) = driver::terminator();
    watch_signals(&terminator, &Hangup::Ends).map_err(|error| {
        let text = format!("cannot watch signals: {error}");
        failed(ExitCode::Unavailable, text)
    })?;
    let alias = controller.site.alias.clone();
    let members = controller.members.into_iter();
    let config = RebuildConfig {
        site: controller.site,
        members: members.map(|member| (member.site, member.role)).collect(),
        secret: controller.secret,
        lineage: LineageId::new(SecretPrng::new(env.seed()).next_16()),
        write: how.write,
        accept_loss: how.accept_loss,
        from: how.from,
        patience: how.patience,
        build: controller.build,
        limits: Limits::default(),
    };
    let start = Start {
        directory: plan.home.join(alias.as_str()).join("meta"),
        folders: None,
        limits,
        http: NoHttp,
        tls: PortTls::default(),
        questions,
        termination,
        password_cost: PasswordCost::default(),
        on_event: Some(Box::new(move |event| {
            if event.name.starts_with("rebuild.") {
                // Whoever listened may be gone.
                let _ = told.send(event.message.clone());
            }
        })),
    };
    Ok(roles::run_rebuild(env, config, start).await)
}
