use serde_json::Value;

use crate::program::{Place, example};

const NODES: &str = "localSite,mode\n10.1.1.1:8960:P1-agent,agent\n\
                     10.1.1.1:8961:P1-NODE1,datanode\n10.1.1.1:8962:P1-NODE1,datanode\n";

#[tokio::test]
async fn the_tutorials_files_are_clean() {
    let line = format!("check {}", example("seed").display());
    let out = Place::new().run(&line).await.ok();
    assert!(out.contains("checked: nothing is wrong"), "{out}");
}

#[tokio::test]
async fn problems_are_shown_with_file_line_and_column_and_a_summary() {
    let place = Place::with(&[
        (
            "controller.cfg",
            "localSite=10.1.1.7:8990:master\n\nworkNum=4\ndfsReplicationFactor=1\n",
        ),
        ("cluster.nodes", NODES),
    ]);
    let ran = place.run("check").await;
    assert_eq!(ran.status, 1);
    assert_eq!(ran.err, "", "diagnostics are the result");
    for part in [
        "--> controller.cfg:3:1",
        "3 | workNum=4",
        "workerNum",
        "--> cluster.nodes:4:",
        "2 files checked: 1 error, 1 warning",
    ] {
        assert!(ran.out.contains(part), "no {part:?} in\n{}", ran.out);
    }
}

#[tokio::test]
async fn warnings_alone_are_no_failure_unless_strict() {
    let place = Place::with(&[(
        "controller.cfg",
        "localSite=10.1.1.7:8990:master\nworkNum=4\n",
    )]);
    assert_eq!(place.run("check").await.status, 0);
    assert_eq!(place.run("check --strict").await.status, 1);
    assert_eq!(place.run("check controller.cfg").await.status, 0);
}

#[tokio::test]
async fn json_is_one_array_with_stable_fields() {
    let place = Place::with(&[("cluster.nodes", NODES)]);
    let ran = place.run("check --json").await;
    assert_eq!(ran.status, 1);
    let rows: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(rows.len(), 1, "{}", ran.out);
    assert_eq!(rows[0]["severity"], "error");
    assert_eq!(rows[0]["file"], "cluster.nodes");
    assert_eq!(rows[0]["line"], 4);
    for field in ["code", "column", "text", "message", "help"] {
        assert!(rows[0].get(field).is_some(), "no {field} in {}", rows[0]);
    }
    let clean = Place::with(&[("controller.cfg", "localSite=10.1.1.7:8990:master\n")]);
    assert_eq!(clean.run("check --json").await.ok(), "[]\n");
}

#[tokio::test]
async fn what_cannot_be_read_is_status_2() {
    let place = Place::with(&[("notes.txt", "x")]);
    for (line, part) in [
        ("check", "no configuration file is here"),
        ("check nowhere.cfg", "nowhere.cfg: there is no such file"),
        (
            "check nowhere",
            "nowhere: there is no such file or directory",
        ),
        (
            "check controller.cfg",
            "controller.cfg: there is no such file",
        ),
        ("check notes.txt", "does not say which file"),
    ] {
        let ran = place.run(line).await;
        assert_eq!(ran.out, "", "{line}");
        let err = ran.failed(2);
        assert!(err.contains(part), "{line}: {err}");
    }
}

#[tokio::test]
async fn files_are_found_in_config_and_in_a_directory_a_host() {
    let agent = |host: &str| {
        format!("localSite=10.1.1.{host}:8960:P{host}-agent\ncontrollerSite=10.1.1.7:8990:master\n")
    };
    let place = Place::with(&[
        (
            "config/controller.cfg",
            "localSite=10.1.1.7:8990:master\ndfsReplicationFactor=1\n",
        ),
        (
            "config/cluster.nodes",
            &NODES.replace("10.1.1.1:8962:P1-NODE1,datanode\n", ""),
        ),
        ("P1/agent.cfg", &agent("1")),
        ("P2/config/agent.cfg", &agent("2")),
        ("P2/config/controller.cfg", "broken\n"),
        (".git/agent.cfg", "broken\n"),
    ]);
    let ran = place.run("check").await;
    assert!(ran.out.contains("4 files checked"), "{}", ran.out);
    assert!(!ran.out.contains("broken"), "{}", ran.out);
}

#[tokio::test]
async fn the_same_kind_of_file_twice_is_a_mistake() {
    let place = Place::with(&[("a/controller.cfg", ""), ("b/controller.cfg", "")]);
    let err = place
        .run("check a/controller.cfg b/controller.cfg")
        .await
        .failed(64);
    assert!(
        err.contains("a/controller.cfg and b/controller.cfg"),
        "{err}"
    );
    assert_eq!(
        place
            .run("check a/controller.cfg ./a/controller.cfg")
            .await
            .status,
        1
    );
}
