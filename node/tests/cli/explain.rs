use serde_json::Value;

use crate::program::Place;

fn place() -> Place {
    Place::with(&[
        (
            "controller.cfg",
            "localSite=10.1.1.7:8990:master\ndfsReplicationFactor=1\n",
        ),
        (
            "cluster.nodes",
            "localSite,mode\n10.1.1.1:8960:P1-agent,agent\n10.1.1.1:8961:P1-NODE1,datanode\n",
        ),
        (
            "cluster.cfg",
            "workerNum=8\nP1-%.workerNum=4\nP1-NODE1.workerNum=2\n",
        ),
        (
            "P1/agent.cfg",
            "localSite=10.1.1.1:8960:P1-agent\ncontrollerSite=10.1.1.7:8990:master\nworkerNum=3\n",
        ),
    ])
}

#[tokio::test]
async fn a_value_is_shown_with_its_line_and_the_lines_it_beat() {
    let out = place().run("explain P1-NODE1 --key workerNum").await.ok();
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "datanode 10.1.1.1:8961:P1-NODE1",
            "workerNum = 2  (cluster.cfg:3:1, this alias)",
            "instead of 4  (cluster.cfg:2:1, pattern with 3 literal characters)",
            "instead of 8  (cluster.cfg:1:1, no qualifier)",
        ]
    );
}

#[tokio::test]
async fn controller_and_agent_are_explained_by_their_aliases() {
    let out = place().run("explain master").await.ok();
    assert!(
        out.starts_with("controller 10.1.1.7:8990:master\n"),
        "{out}"
    );
    let out = place().run("explain P1-agent --key workerNum").await.ok();
    assert!(out.contains("= 3  (P1/agent.cfg:3:1"), "{out}");
}

#[tokio::test]
async fn every_setting_of_a_node_is_there_defaults_too() {
    let out = place().run("explain P1-NODE1").await.ok();
    assert!(out.contains("(default)"), "{out}");
    let json = place().run("explain P1-NODE1 --json").await.ok();
    let value: Value = serde_json::from_str(&json).unwrap();
    let settings = value["settings"].as_array().unwrap();
    let worker = settings.iter().find(|it| it["key"] == "workerNum").unwrap();
    assert_eq!(worker["raw"], "2");
    assert_eq!(worker["beaten"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_unknown_alias_or_key_gets_the_nearest_one_and_status_1() {
    let err = place().run("explain P1-NODE2").await.failed(1);
    assert!(err.contains("did you mean `P1-NODE1`?"), "{err}");
    let err = place().run("explain --key workNum").await.failed(1);
    assert!(err.contains("did you mean `workerNum`?"), "{err}");
}

#[tokio::test]
async fn a_key_is_explained_without_any_file() {
    let out = Place::new()
        .run("explain --key dfsReplicationFactor")
        .await
        .ok();
    for part in [
        "dfsReplicationFactor: ",
        "default",
        "controller.cfg",
        "change",
    ] {
        assert!(out.contains(part), "no {part} in\n{out}");
    }
    let json = Place::new()
        .run("explain --key DFSREPLICATIONFACTOR --json")
        .await
        .ok();
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["name"], "dfsReplicationFactor");
}

#[tokio::test]
async fn a_directory_without_files_is_status_2() {
    let err = Place::new().run("explain A --config .").await.failed(2);
    assert!(err.contains("no configuration file is here"), "{err}");
}
