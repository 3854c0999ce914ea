//! The configuration files over HTTP.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::harness::{
    ADMIN, Answered, FakeFront, PLAIN, READER, Sent, request, server_with, settings,
};
use crate::config_desk::{Beside, ConfigDesk, DeskPaths, DeskSettings};
use crate::http::{HttpServer, HttpSettings};
use crate::os_env::OsEnv;

const NODES: &str =
    "localSite,mode\n10.1.1.1:8960:P1-agent,agent\n10.1.1.1:8961:P1-NODE1,datanode\n";
const CONTROLLER: &str = "localSite=10.1.1.7:8990:master\ndfsReplicationFactor=1\n";

/// A controller's interface, with its files.
pub(super) struct Controller {
    directory: tempfile::TempDir,
    pub(super) server: HttpServer,
    pub(super) front: FakeFront,
}

impl Controller {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("controller.cfg"), CONTROLLER).unwrap();
        fs::write(at("cluster.nodes"), NODES).unwrap();
        fs::write(at("cluster.cfg"), "workerNum=4\n").unwrap();
        let desk = DeskSettings {
            paths: DeskPaths {
                controller: Some(at("controller.cfg")),
                nodes: at("cluster.nodes"),
                cluster: at("cluster.cfg"),
            },
            beside: Beside::default(),
            history: at("history"),
            running: None,
        };
        let desk = ConfigDesk::new(OsEnv::with_io_workers(1).unwrap(), desk);
        let settings = HttpSettings {
            desk: Some(desk),
            ..settings()
        };
        let front = FakeFront::default();
        let server = server_with(&front, settings);
        Self {
            directory,
            server,
            front,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(super) async fn ask(&self, sent: Sent) -> Answered {
        sent.token(ADMIN).to(&self.server).await
    }

    pub(super) async fn etag(&self, name: &str) -> String {
        let answer = self
            .ask(request("GET", format!("/api/v1/config/{name}")))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let etag = answer.header("etag").unwrap().to_owned();
        assert_eq!(answer.json()["etag"], Value::String(etag.clone()));
        etag
    }

    async fn put(&self, name: &str, body: Value) -> Answered {
        let etag = self.etag(name).await;
        let sent = request("PUT", format!("/api/v1/config/{name}")).header("If-Match", &etag);
        self.ask(sent.json(&body.to_string())).await
    }
}

#[tokio::test]
async fn the_files_are_listed_and_each_is_shown_with_what_its_lines_mean() {
    let controller = Controller::new();
    let answer = controller.ask(request("GET", "/api/v1/config")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let names: Vec<&str> = body["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["file"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["controller.cfg", "cluster.nodes", "cluster.cfg"]);
    assert_eq!(body["findings"], json!([]));
    let answer = controller
        .ask(request("GET", "/api/v1/config/cluster.cfg"))
        .await;
    let body = answer.json();
    assert_eq!(body["text"], "workerNum=4\n");
    assert_eq!(
        body["lines"],
        json!([{
            "line": 1, "is": "setting", "key": "workerNum", "qualifier": null, "value": "4",
            "effective": true, "protected": false, "nodes": 1,
            "rules_for": {"count": 1, "names": ["P1-NODE1"]},
        }])
    );
    let body = controller
        .ask(request("GET", "/api/v1/config/cluster.nodes"))
        .await
        .json();
    assert_eq!(body["lines"][0]["is"], "header");
    assert_eq!(body["lines"][2]["alias"], "P1-NODE1");
}

#[tokio::test]
async fn a_change_is_written_kept_and_undone() {
    let controller = Controller::new();
    let edits = json!({
        "edits": [{"op": "set", "key": "P1-NODE1.workerNum", "value": "8"}],
        "comment": "more for the first",
    });
    let answer = controller.put("cluster.cfg", edits).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        controller.text("cluster.cfg"),
        "workerNum=4\nP1-NODE1.workerNum=8\n"
    );
    assert_eq!(answer.json()["kept_as"], 1);
    let etag = controller.etag("cluster.cfg").await;
    assert_eq!(answer.header("etag"), Some(etag.as_str()));
    let history = controller
        .ask(request("GET", "/api/v1/config/cluster.cfg/history"))
        .await
        .json();
    assert_eq!(history["versions"][0]["by"], "admin");
    assert_eq!(history["versions"][0]["comment"], "more for the first");
    let undo = request("POST", "/api/v1/config/cluster.cfg/undo")
        .header("If-Match", &etag)
        .json("{}");
    assert_eq!(controller.ask(undo).await.status, 200);
    assert_eq!(controller.text("cluster.cfg"), "workerNum=4\n");
}

#[tokio::test]
async fn each_refusal_has_its_status_and_what_is_needed_to_go_on() {
    let controller = Controller::new();
    let text = json!({"text": "workerNum=5\n"}).to_string();
    let put = || request("PUT", "/api/v1/config/cluster.cfg");
    for without in [put(), put().header("If-Match", "*")] {
        let answer = controller.ask(without.json(&text)).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (428, "precondition-required")
        );
    }
    let stale = put().header("If-Match", "\"00\"").json(&text);
    let answer = controller.ask(stale).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (412, "precondition")
    );
    assert_eq!(answer.json()["error"]["text"], "workerNum=4\n");
    let etag = controller.etag("cluster.cfg").await;
    assert_eq!(answer.json()["error"]["etag"], Value::String(etag));

    let answer = controller
        .put("cluster.cfg", json!({"text": "workerNum=4\nworkerNum=x\n"}))
        .await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (422, "invalid-configuration")
    );
    let finding = &answer.json()["error"]["findings"][0];
    assert_eq!(
        (&finding["line"], &finding["column"], &finding["code"]),
        (&json!(2), &json!(11), &json!("invalid-value"))
    );
    let answer = controller
        .put(
            "controller.cfg",
            json!({"edits": [{"op": "set", "key": "insecureCluster", "value": "1"}]}),
        )
        .await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (403, "protected-key")
    );
    assert_eq!(answer.json()["error"]["keys"], json!(["insecureCluster"]));
    for (body, status) in [
        (json!({}), 422),
        (json!({"text": "", "edits": []}), 422),
        (json!({"edits": [{"op": "explode"}]}), 422),
        (json!({"edits": [{"op": "remove-line", "line": 7}]}), 422),
        (json!({"text": "", "force": true}), 422),
        (json!({"text": "", "comment": "two\nlines"}), 422),
    ] {
        let answer = controller.put("cluster.cfg", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    for name in [
        "agent.cfg",
        "..%2fcluster.cfg",
        "cluster.cfg%00",
        "Cluster.cfg",
    ] {
        let path = format!("/api/v1/config/{name}");
        let answer = controller.ask(request("GET", path)).await;
        assert_eq!(answer.status, 404, "{name}: {answer:?}");
    }
    assert_eq!(controller.text("cluster.cfg"), "workerNum=4\n");
    assert_eq!(controller.text("controller.cfg"), CONTROLLER);
}

#[tokio::test]
async fn whoever_may_read_may_check_and_not_write() {
    let controller = Controller::new();
    let body = json!({"edits": [{"op": "set", "key": "workerNum", "value": "many"}]}).to_string();
    let check = || request("POST", "/api/v1/config/cluster.cfg/check").json(&body);
    let answer = check().token(READER).to(&controller.server).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let checked = answer.json();
    assert_eq!(checked["acceptable"], false);
    assert_eq!(checked["blocking"][0]["line"], 1);
    assert!(
        checked["diff"]["unified"]
            .as_str()
            .unwrap()
            .contains("-workerNum=4\n+workerNum=many\n")
    );
    let answer = check().token(PLAIN).to(&controller.server).await;
    assert_eq!(answer.status, 403);
    let put = request("PUT", "/api/v1/config/cluster.cfg").json(&body);
    let answer = put.token(READER).to(&controller.server).await;
    assert_eq!((answer.status, answer.kind().as_str()), (403, "forbidden"));
    assert_eq!(controller.text("cluster.cfg"), "workerNum=4\n");
}

#[tokio::test]
async fn a_process_without_the_files_says_so() {
    let answer = request("GET", "/api/v1/config")
        .token(ADMIN)
        .send(&FakeFront::default())
        .await;
    assert_eq!((answer.status, answer.kind().as_str()), (421, "not-here"));
}
