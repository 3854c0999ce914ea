use super::{Change, Files, KeyDefault, KeyType, Status, TABLE, find, reference_markdown};
use crate::file_kind::FileKind;
use crate::value::Value;
use std::time::Duration;

fn default(name: &str) -> Option<Value> {
    let key = find(name).unwrap();
    match key.default {
        KeyDefault::Value(text) => Some(key.parse(text).unwrap()),
        _ => None,
    }
}

#[test]
fn every_plain_default_is_a_value_of_its_key() {
    for key in TABLE {
        if let KeyDefault::Value(text) = key.default {
            assert!(
                key.parse(text).is_ok(),
                "{}={text}: {:?}",
                key.name,
                key.parse(text)
            );
        }
    }
}

#[test]
fn every_key_is_described_by_a_sentence() {
    for key in TABLE {
        assert!(
            key.meaning.ends_with('.') && key.meaning.len() > 10,
            "{}",
            key.name
        );
        assert!(
            key.meaning.starts_with(|it: char| it.is_uppercase()),
            "{}",
            key.name
        );
    }
}

#[test]
fn a_renamed_key_leads_to_a_key_of_the_same_type_and_files() {
    for key in TABLE {
        if let Status::Renamed { to } = key.status {
            let new = find(to).unwrap_or_else(|| panic!("{} leads to no key", key.name));
            assert_eq!((new.kind, new.files), (key.kind, key.files), "{}", key.name);
            assert!(!matches!(
                new.status,
                Status::Renamed { .. } | Status::Retired { .. }
            ));
        }
    }
}

#[test]
fn the_keys_of_a_first_deployment_take_effect() {
    for name in [
        "localSite",
        "controllerSite",
        "localExecutors",
        "maxConnections",
        "maxMemSize",
        "workerNum",
        "webWorkerNum",
        "dfsReplicationFactor",
        "dfsReplicaReliabilityLevel",
        "lanCluster",
        "volumes",
        "publicName",
        "mode",
        "home",
        "config",
        "logFile",
        "console",
        "clusterConfig",
        "nodesFile",
    ] {
        assert_eq!(find(name).unwrap().status, Status::Active, "{name}");
    }
}

#[test]
fn defaults_are_those_of_the_design() {
    assert_eq!(
        default("dfsRecoveryWaitTime"),
        Some(Value::Duration(Duration::from_secs(300)))
    );
    assert_eq!(
        default("dfsChunkNodeHeartBeatTimeout"),
        Some(Value::Duration(Duration::from_secs(8)))
    );
    assert_eq!(default("dataSync"), Some(Value::Flag(true)));
    assert_eq!(default("lanCluster"), Some(Value::Flag(true)));
    assert_eq!(
        default("dfsReplicaReliabilityLevel"),
        Some(Value::Integer(0))
    );
    assert_eq!(default("webWorkerNum"), Some(Value::Integer(1)));
    assert_eq!(default("datanodeRestartInterval"), None);
}

#[test]
fn what_bears_on_security_or_identity_is_not_for_the_browser() {
    for name in [
        "clusterSecretFile",
        "tlsCert",
        "tlsKey",
        "enableHTTPS",
        "enableRpcSSL",
        "tlsClientCa",
        "trustedProxies",
        "allowedHosts",
        // It counts beside `allowedHosts`.
        "publicName",
        "allowedRoots",
        "user",
        "strictDefaults",
        "allowPlainHttp",
        "insecureCluster",
        "logFile",
        "home",
        "localSite",
        "controllerSite",
        "mode",
        "alias",
    ] {
        assert!(!find(name).unwrap().web_editable, "{name}");
    }
    assert!(find("workerNum").unwrap().web_editable);
}

#[test]
fn what_is_passed_on_can_stand_in_a_node_cfg() {
    for key in TABLE.iter().filter(|key| key.passed_on) {
        assert!(key.files.contains(FileKind::Controller), "{}", key.name);
        assert!(key.files.contains(FileKind::Node), "{}", key.name);
    }
}

#[test]
fn what_is_passed_on_changes_something_for_the_nodes() {
    // With another value a data node is listed as waiting for a restart.
    for key in TABLE.iter().filter(|key| key.passed_on) {
        let restarts_nodes = matches!(
            key.change,
            Change::ProcessRestart | Change::NodeRestart | Change::ClusterRestart
        );
        assert!(restarts_nodes, "{}", key.name);
    }
    assert!(!find("dfsReplicationFactor").unwrap().passed_on);
}

#[test]
fn a_name_that_a_process_answers_to_counts_from_its_next_start() {
    for name in ["publicName", "allowedHosts"] {
        let key = find(name).unwrap();
        for (kind, change) in [
            (FileKind::Controller, Change::ControllerRestart),
            (FileKind::Cluster, Change::NodeRestart),
        ] {
            assert_eq!(key.change_in(kind), change, "{name}");
        }
    }
}

#[test]
fn a_change_takes_the_restart_of_whose_file_it_is_in() {
    let workers = find("workerNum").unwrap();
    assert_eq!(
        workers.change_in(FileKind::Controller),
        Change::ControllerRestart
    );
    assert_eq!(workers.change_in(FileKind::Cluster), Change::NodeRestart);
    assert_eq!(
        find("localSite").unwrap().change_in(FileKind::Agent),
        Change::ClusterRestart
    );
}

#[test]
fn a_form_field_is_judged_like_a_line() {
    let key = find("dfsReplicationFactor").unwrap();
    assert_eq!(key.parse("3"), Ok(Value::Integer(3)));
    assert_eq!(key.parse("0").unwrap_err().code, "out-of-range");
    assert_eq!(key.parse("").unwrap_err().code, "empty-value");
    assert_eq!(
        find("maxLogSize").unwrap().parse("1"),
        Ok(Value::Size(100 << 20))
    );
}

#[test]
fn sets_of_files_are_named_for_a_person() {
    assert_eq!(Files::NONE.to_string(), "the command line");
    assert_eq!(Files::CLUSTER.to_string(), "`cluster.cfg`");
    assert_eq!(Files::NODE.to_string(), "`node.cfg`");
    assert_eq!(
        Files::ALL.to_string(),
        "`controller.cfg`, `agent.cfg`, `cluster.cfg` or `dolphindb.cfg`"
    );
}

#[test]
fn the_reference_names_every_key_once_and_is_a_table() {
    let page = reference_markdown();
    for key in TABLE {
        let row = format!("\n| `{}`", key.name);
        let rows = page.matches(&format!("{row} ")).count();
        assert_eq!(rows, 1, "{}", key.name);
    }
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let columns = line.matches(" | ").count();
        assert!(matches!(columns, 2 | 6), "{line}");
    }
}

#[test]
fn words_of_a_key_are_spelt_in_one_way() {
    for key in TABLE {
        if let KeyType::Word { words } = key.kind {
            for word in words {
                assert_eq!(key.parse(word), Ok(Value::Word(word)), "{}", key.name);
            }
        }
    }
}
