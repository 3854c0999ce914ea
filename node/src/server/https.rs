//! TLS of a server process, from its settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use vaquita_config::Resolved;
use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::secret::ClusterSecret;

use super::failed;
use crate::cli::ServerPlan;
use crate::env::{Effort, Env};
use crate::http::AllowedHosts;
use crate::tls::{ClusterIdentity, Connector, Peers, Serving, Source, Trust};

/// How often the files of the certificate are looked at, without being told to.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// By what the processes of the cluster know one another through TLS; `None` where there is none.
///
/// # Errors
/// If there is no secret that it could follow from.
pub(super) fn identity(
    plan: &ServerPlan,
    secret: Option<&ClusterSecret>,
) -> Result<Option<ClusterIdentity>, ExitReason> {
    let wants = |key: &&str| plan.settings.flag(key).unwrap_or(false);
    let Some(key) = ["enableHTTPS", "enableRpcSSL"].into_iter().find(wants) else {
        return Ok(None);
    };
    let Some(secret) = secret else {
        return Err(failed(
            ExitCode::Usage,
            format!(
                "`{key}=1` needs the cluster secret, by which the processes of the cluster know one another \
                 through TLS: run `vaquita secret` and copy the file to {} on each host",
                plan.secret_file.display()
            ),
        ));
    };
    ClusterIdentity::derive(secret)
        .map(Some)
        .map_err(|words| no_key(&words))
}

fn no_key(words: &str) -> ExitReason {
    failed(
        ExitCode::Bug,
        format!("no key can be made from the cluster secret: {words}; please report it"),
    )
}

/// What this process shows to those who connect; `None` without `enableHTTPS`.
///
/// # Errors
/// If there is no certificate that it could show.
pub(super) fn serving(
    plan: &ServerPlan,
    identity: Option<&ClusterIdentity>,
    hosts: &AllowedHosts,
    now: u64,
) -> Result<Option<Serving>, ExitReason> {
    let settings = &plan.settings;
    let Some(identity) = identity.filter(|_| settings.flag("enableHTTPS").unwrap_or(false)) else {
        return Ok(None);
    };
    let source = source(settings, &plan.home)?;
    Serving::start(source, names(hosts), identity, now)
        .map(Some)
        .map_err(|error| failed(error.exit_code(), error.to_string()))
}

/// How this process speaks TLS with the others of its cluster; `None` without `enableRpcSSL`.
///
/// # Errors
/// Never for a key that could be made.
pub(super) fn peers(
    settings: &Resolved,
    identity: Option<&ClusterIdentity>,
) -> Result<Option<Peers>, ExitReason> {
    identity
        .filter(|_| settings.flag("enableRpcSSL").unwrap_or(false))
        .map(|identity| Peers::new(identity).map_err(|words| no_key(&words)))
        .transpose()
}

/// Where the certificate comes from. Data nodes share the one of their host with their agent.
fn source(settings: &Resolved, home: &Path) -> Result<Source, ExitReason> {
    let path = |key| match settings.text(key) {
        Some(path) => std::path::absolute(path)
            .map(Some)
            .map_err(|error| failed(ExitCode::Usage, format!("{key}={path} is no path: {error}"))),
        None => Ok(None),
    };
    match (path("tlsCert")?, path("tlsKey")?) {
        (Some(certificate), key) => Ok(Source::Given {
            key: key.unwrap_or_else(|| certificate.clone()),
            certificate,
        }),
        (None, Some(key)) => Err(failed(
            ExitCode::Usage,
            format!(
                "`tlsKey` names {} and `tlsCert` names nothing: name the file with the certificate of \
                 this key in `tlsCert`, or remove both to have a certificate made",
                key.display()
            ),
        )),
        (None, None) => {
            let home = settings.text("agentHome").map_or(home, Path::new);
            Ok(Source::Made(home.join("keys")))
        }
    }
}

/// What this process is called, and what a host calls itself.
fn names(hosts: &AllowedHosts) -> Vec<String> {
    let mut names = hosts.names().to_vec();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    // What cannot stand in a certificate, such as `*.example`, nobody can ask for by it either.
    names.retain(|name| crate::tls::can_be_certified(name));
    names.sort();
    names.dedup();
    names
}

/// Looks at the files of the certificate now and then, and whenever it is called to.
pub(super) async fn watch(env: impl Env, serving: Serving, calls: Arc<Notify>) {
    loop {
        // Whichever comes first.
        let _ = timeout(LOOK_EVERY, calls.notified()).await;
        let now = env.unix_ms() / 1000;
        let looking = serving.clone();
        // Not now is soon enough: what it found it has told.
        let _ = env.compute(Effort::Config, move || looking.look(now)).await;
    }
}

/// By what this process knows the others of its cluster over HTTPS.
pub(super) fn connector(serving: &Serving) -> Connector {
    Connector::new(Trust::Cluster(serving.cluster_key()))
}

/// What an agent hands on to the data nodes of its host: the certificate that its operator gave.
pub(super) fn node_lines(settings: &Resolved) -> Result<String, ExitReason> {
    match source(settings, Path::new(""))? {
        Source::Given { certificate, key } => Ok(format!(
            "tlsCert={}\ntlsKey={}\n",
            certificate.display(),
            key.display()
        )),
        Source::Made(_) => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_names_that_somebody_can_ask_for() {
        let hosts = AllowedHosts::new(["10.1.1.7:8990", "*.example.com", "p4.example"]);
        let wanted = ["10.1.1.7", "127.0.0.1", "::1", "localhost", "p4.example"];
        assert_eq!(names(&hosts), wanted);
    }
}
