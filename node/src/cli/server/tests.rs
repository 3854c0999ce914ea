use std::fs;
use std::path::{Path, PathBuf};

use vaquita_config::Mode;

use super::ServerPlan;
use crate::cli::exit::{Failure, Status};
use crate::cli::server_flags::ServerFlags;
use crate::cli::terminal::testing::captured;

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn of(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Reads a command line in which `@` stands for the directory.
    fn plan(&self, line: &str) -> (Result<ServerPlan, Failure>, String) {
        let directory = format!("{}/", self.directory.path().display());
        let words: Vec<String> = line
            .split(' ')
            .map(|word| word.replace('@', &directory))
            .collect();
        let flags = ServerFlags::parse(&words).unwrap_or_else(|errors| panic!("{:?}", errors.0));
        let (mut terminal, _, err) = captured();
        (ServerPlan::read(&flags, &mut terminal), err.text())
    }
}

const NODES: &str =
    "localSite,mode\n10.1.1.1:8960:P1-agent,agent\n10.1.1.1:8961:P1-NODE1,datanode\n";

fn controller() -> Files {
    Files::of(&[
        (
            "controller.cfg",
            "localSite=10.1.1.7:8990:master\ndfsReplicationFactor=1\n",
        ),
        ("cluster.nodes", NODES),
        ("cluster.cfg", "workerNum=8\n"),
    ])
}

#[test]
fn a_controller_is_planned_from_its_three_files() {
    let files = controller();
    let (plan, err) = files.plan(
        "-mode controller -home @data -config @controller.cfg -clusterConfig @cluster.cfg \
         -nodesFile @cluster.nodes -logFile @log/controller.log -console 0 -webWorkerNum 7",
    );
    let plan = plan.unwrap();
    assert_eq!(err, "");
    assert_eq!(plan.mode, Mode::Controller);
    assert_eq!(plan.home, files.path("data"));
    assert_eq!(plan.log_file, files.path("log/controller.log"));
    assert!(!plan.console);
    assert_eq!(plan.settings.site.as_ref().unwrap().alias, "master");
    assert_eq!(
        plan.settings.integer("webWorkerNum"),
        Some(7),
        "the command line rules"
    );
    assert_eq!(plan.paths.cluster_config, Some(files.path("cluster.cfg")));
    assert_eq!(plan.secret_file, files.path("cluster.secret"));
}

#[test]
fn the_secret_is_where_its_key_says() {
    let files = controller();
    let (plan, _) = files.plan(
        "-mode controller -config @controller.cfg -nodesFile @cluster.nodes \
         -clusterSecretFile /run/secrets/vaquita",
    );
    assert_eq!(plan.unwrap().secret_file, Path::new("/run/secrets/vaquita"));
}

#[test]
fn an_agent_may_be_started_without_a_file() {
    let files = Files::of(&[]);
    let (plan, _) = files.plan(
        "-mode agent -home @data -localSite 10.1.1.1:8960:P1-agent \
         -controllerSite 10.1.1.7:8990:master",
    );
    let plan = plan.unwrap();
    assert_eq!(
        plan.settings.site("controllerSite").unwrap().alias,
        "master"
    );
    assert!(plan.console, "the console is on if nobody turns it off");
}

#[test]
fn errors_in_a_file_are_shown_and_nothing_is_started() {
    let files = Files::of(&[(
        "agent.cfg",
        "localSite=10.1.1.1:8960:P1-agent\nworkerNum=many\n",
    )]);
    let (plan, err) = files.plan("-mode agent -config @agent.cfg");
    let failure = plan.unwrap_err();
    assert_eq!(failure.status, Status::Usage);
    assert!(err.contains("agent.cfg:2:"), "{err}");
    assert!(
        err.contains("controllerSite"),
        "the missing key too:\n{err}"
    );
}

#[test]
fn a_missing_file_is_named_with_the_reason() {
    let files = Files::of(&[("controller.cfg", "localSite=10.1.1.7:8990:master\n")]);
    let (plan, _) = files.plan("-mode controller -config @controller.cfg -nodesFile @nowhere");
    let failure = plan.unwrap_err();
    assert_eq!(failure.status, Status::Usage);
    assert!(
        failure.message.contains("nowhere: cannot be read"),
        "{failure}"
    );
}

#[test]
fn a_process_without_a_mode_is_asked_for_it() {
    let files = Files::of(&[]);
    let failure = files.plan("-home @data").0.unwrap_err();
    assert!(failure.message.contains("-mode controller"), "{failure}");
    let failure = files.plan("-mode single").0.unwrap_err();
    assert!(
        failure.message.contains("no process of the mode `single`"),
        "{failure}"
    );
}
