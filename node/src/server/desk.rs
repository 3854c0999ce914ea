//! A controller's own files, beside its machine.

use std::sync::Arc;

use tokio::sync::Notify;
use tracing::{info, warn};
use vaquita_config::{HostFacts, Mode};
use vaquita_core::admin::{Caller, Request, Verb};
use vaquita_core::ids::Site;

use super::settings;
use crate::cli::{FilePaths, ServerPlan};
use crate::config_desk::{Beside, ConfigDesk, DeskPaths, DeskSettings, Meaning, Running};
use crate::driver::Front;
use crate::os_env::{self, Hangup, OsEnv};

/// The files of a controller, as it reads and changes them while it runs.
pub(super) fn desk(
    plan: &ServerPlan,
    env: &OsEnv,
    site: &Site,
    front: &Front,
    renewals: &Arc<Notify>,
) -> Option<ConfigDesk> {
    let FilePaths {
        config,
        cluster_config: Some(cluster),
        nodes_file: Some(nodes),
    } = plan.paths.clone()
    else {
        return None;
    };
    let (front, own) = (front.clone(), site.clone());
    let renewals = Arc::clone(renewals);
    let ask = move |request: Request| {
        let (front, renewals) = (front.clone(), Arc::clone(&renewals));
        async move {
            let takes_up = matches!(request.verb, Verb::Reconfigure { .. });
            let reply = front.ask(request).await;
            if takes_up {
                // The certificate is a file like the others, and whoever changes one may have changed it.
                renewals.notify_one();
            }
            reply
        }
    };
    let meaning: Meaning = Box::new(move |files, settings| {
        settings::reconfiguration(files, settings, &own).map_err(|reason| reason.message)
    });
    let running = Running::new(ask, meaning, &plan.files, plan.settings.clone());
    let settings = DeskSettings {
        running: Some(running),
        paths: DeskPaths {
            controller: config,
            nodes,
            cluster,
        },
        beside: Beside {
            arguments: plan.arguments.clone(),
            host: host_facts(),
        },
        history: plan.home.join(site.alias.as_str()).join("config-history"),
    };
    Some(ConfigDesk::new(env.clone(), settings))
}

/// A controller without a console has no terminal either, and takes SIGHUP as daemons do.
pub(super) fn hangup(plan: &ServerPlan, calls: &Arc<Notify>) -> Hangup {
    match plan.mode {
        Mode::Controller if !plan.console => Hangup::Calls(Arc::clone(calls)),
        _ => Hangup::Ends,
    }
}

/// Has the controller take up its files at each call.
pub(super) async fn take_up_at(calls: Arc<Notify>, desk: ConfigDesk, renewals: Arc<Notify>) {
    loop {
        calls.notified().await;
        renewals.notify_one();
        match desk.reload(Caller::Signal { unix_ms: 0 }).await {
            Ok(reloaded) => {
                info!(
                    "SIGHUP: the files were taken up, {} changes",
                    reloaded.taken_up.len()
                );
                for row in reloaded.pending {
                    warn!("{}={} counts after a {}", row.key, row.next, row.needs);
                }
            }
            Err(error) => warn!("SIGHUP: the files were not taken up: {error}"),
        }
    }
}

/// What settings are judged by that depend on the host.
fn host_facts() -> Option<HostFacts> {
    os_env::memory_bytes().map(|memory_bytes| HostFacts {
        cores: os_env::cores(),
        memory_bytes,
    })
}
