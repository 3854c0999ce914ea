//! The JSON that programs read: names of fields are a promise.

use serde_json::{Value, json};
use vaquita_config::{
    CheckOptions, ClusterFiles, FileKind, check, keys, parse_cluster_nodes, parse_key_value,
    resolve_node,
};

fn files() -> ClusterFiles {
    ClusterFiles {
        nodes: Some(parse_cluster_nodes(
            "cluster.nodes",
            b"localSite,mode\nh:1:a,agent\nh:2:n1,datanode\nh:2:n2,datanode\n",
        )),
        cluster: Some(parse_key_value(
            FileKind::Cluster,
            "cluster.cfg",
            "n1.wrokerNum=4\nworkerNum=2\nn%.workerNum=3\nvolumes=/数/<ALIAS>\n".as_bytes(),
        )),
        ..ClusterFiles::default()
    }
}

fn json(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain data can be written as JSON")
}

#[test]
fn a_diagnostic() {
    let report = json(check(&files(), &CheckOptions::default()));
    assert_eq!(
        report["diagnostics"][0],
        json!({
            "code": "duplicate-site",
            "severity": "error",
            "file": "cluster.nodes",
            "line": 4,
            "column": 1,
            "span": { "start": 43, "end": 49 },
            "text": "h:2:n2,datanode",
            "message": "h:2 is taken already",
            "help": "give each member of a host a port of its own",
            "fix": null,
            "related": [{
                "file": "cluster.nodes",
                "line": 3,
                "column": 1,
                "span": { "start": 27, "end": 33 },
                "message": "first here, as a datanode",
            }],
        })
    );
    assert_eq!(
        report["diagnostics"][1]["fix"],
        json!({ "range": { "start": 3, "end": 12 }, "text": "workerNum" })
    );
}

#[test]
fn an_explanation() {
    let resolved = resolve_node("n1", &files(), &[], None).expect("n1 is a data node");
    let explanation = json(resolved.explain());
    assert_eq!(explanation["mode"], "datanode");
    assert_eq!(explanation["site"], "h:2:n1");
    let settings = explanation["settings"]
        .as_array()
        .expect("settings are a list");
    let find = |key: &str| {
        settings
            .iter()
            .find(|it| it["key"] == key)
            .expect("the key is there")
    };
    assert_eq!(
        find("workerNum"),
        &json!({
            "key": "workerNum",
            "value": { "type": "integer", "value": 3 },
            "raw": "3",
            "origin": { "from": "file", "file": "cluster.cfg", "line": 3, "column": 1 },
            "precedence": { "class": "wildcard", "literal_characters": 1 },
            "beaten": [{
                "raw": "2",
                "precedence": { "class": "unqualified" },
                "origin": { "from": "file", "file": "cluster.cfg", "line": 2, "column": 1 },
            }],
        })
    );
    assert_eq!(
        find("volumes")["value"],
        json!({ "type": "paths", "value": ["/数/n1"] })
    );
    assert_eq!(
        find("tcpUserTimeout")["value"],
        json!({ "type": "duration", "value": 300_000 })
    );
    assert_eq!(
        find("tcpUserTimeout")["origin"],
        json!({ "from": "default" })
    );
}

#[test]
fn a_key() {
    assert_eq!(
        json(keys::find("dfsRecoveryWaitTime")),
        json!({
            "name": "dfsRecoveryWaitTime",
            "files": ["controller.cfg"],
            "kind": { "name": "duration", "unit": "milliseconds" },
            "default": { "kind": "value", "value": "300000" },
            "range": { "min": 0.0, "max": null, "clamps": false },
            "change": "nothing",
            "status": { "status": "active" },
            "web_editable": true,
            "passed_on": false,
            "per_node": false,
            "meaning": "How long a node may be away before its replicas are rebuilt elsewhere; 0 is never by itself.",
        })
    );
}
