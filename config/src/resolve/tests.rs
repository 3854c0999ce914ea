use std::time::Duration;

use super::{
    Origin, Precedence, resolve_agent, resolve_controller, resolve_node, resolve_node_file,
    resolve_single,
};
use crate::check::ClusterFiles;
use crate::cluster_nodes::parse_cluster_nodes;
use crate::file_kind::FileKind;
use crate::host::HostFacts;
use crate::key_value::parse_key_value;
use crate::mode::Mode;
use crate::value::Value;

const NODES: &str =
    "localSite,mode\n10.1.1.1:8960:P1-agent,agent\n10.1.1.1:8961:P1-NODE1,datanode\n";
const HOST: HostFacts = HostFacts {
    cores: 4,
    memory_bytes: 16 << 30,
};

fn files(controller: &str, cluster: &str) -> ClusterFiles {
    ClusterFiles {
        controller: Some(parse_key_value(
            FileKind::Controller,
            "controller.cfg",
            controller.as_bytes(),
        )),
        nodes: Some(parse_cluster_nodes("cluster.nodes", NODES.as_bytes())),
        cluster: Some(parse_key_value(
            FileKind::Cluster,
            "cluster.cfg",
            cluster.as_bytes(),
        )),
        ..ClusterFiles::default()
    }
}

fn arguments(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

#[test]
fn getters_give_typed_values() {
    let files = files(
        "localSite=10.1.1.7:8990:master\nworkerNum=4\nmaxMemSize=0.5\nlogLevel=DEBUG\n\
         dfsChunkNodeHeartBeatTimeout=20\npublicName=a.example;b.example\ndfsMetaDir=/meta/<ALIAS>\n",
        "",
    );
    let controller = resolve_controller(&files, &[], None);
    assert_eq!(controller.mode, Mode::Controller);
    assert_eq!(controller.integer("workerNum"), Some(4));
    assert_eq!(controller.size("maxMemSize"), Some(512 << 20));
    assert_eq!(controller.word("logLevel"), Some("DEBUG"));
    let timeout = controller.duration("dfsChunkNodeHeartBeatTimeout");
    assert_eq!(timeout, Some(Duration::from_secs(20)));
    assert_eq!(controller.hosts("publicName").map(<[String]>::len), Some(2));
    assert_eq!(controller.text("dfsMetaDir"), Some("/meta/master"));
    assert_eq!(controller.flag("lanCluster"), Some(true));
    assert_eq!(controller.site("localSite"), controller.site.as_ref());
    assert!(controller.diagnostics.is_empty());
}

#[test]
fn a_key_that_a_process_does_not_have_gives_nothing() {
    let agent = resolve_agent(None, &[], None);
    assert_eq!(agent.paths("volumes"), None);
    assert_eq!(agent.setting("volumes"), None);
}

#[test]
#[should_panic(expected = "there is no key `workerNumber` in the table")]
fn a_misspelt_getter_is_a_bug_of_the_caller() {
    resolve_agent(None, &[], None).integer("workerNumber");
}

#[test]
#[should_panic(expected = "is not asked for by its type")]
fn a_getter_of_the_wrong_type_is_a_bug_of_the_caller() {
    resolve_agent(None, &[], None).integer("lanCluster");
}

#[test]
fn the_later_of_two_arguments_rules() {
    let overrides = arguments(&[("workerNum", "2"), ("WORKERNUM", "3")]);
    let single = resolve_single(None, &overrides, None);
    assert_eq!(single.integer("workerNum"), Some(3));
    assert_eq!(single.origin("workerNum"), Some(&Origin::CommandLine));
    assert_eq!(single.setting("workerNum").unwrap().beaten[0].raw, "2");
}

#[test]
fn mandatory_keys_may_come_from_the_command_line() {
    let missing = resolve_agent(None, &[], None);
    assert_eq!(missing.diagnostics.len(), 2);
    assert!(
        missing
            .diagnostics
            .iter()
            .all(|it| it.code == "missing-key" && it.is_error())
    );
    let overrides = arguments(&[
        ("localSite", "10.1.1.1:8960:P1-agent"),
        ("controllerSite", "10.1.1.7:8990:m"),
    ]);
    let agent = resolve_agent(None, &overrides, None);
    assert!(agent.diagnostics.is_empty());
    assert_eq!(agent.site.unwrap().alias, "P1-agent");
}

#[test]
fn defaults_follow_from_the_host_and_other_keys() {
    let overrides = arguments(&[("home", "/srv/agent/P1-NODE1/"), ("workerNum", "20")]);
    let node = resolve_node_file(None, &overrides, Some(&HOST));
    assert_eq!(
        node.paths("volumes"),
        Some(&["/srv/agent/P1-NODE1/storage".to_owned()][..])
    );
    assert_eq!(node.integer("localExecutors"), Some(3));
    assert_eq!(node.integer("maxConnectionPerSite"), Some(22));
    assert_eq!(
        node.size("maxMemSize"),
        Some(16 << 30),
        "the host's memory is the limit"
    );
    assert_eq!(node.size("warningMemSize"), Some(12 << 30));
    let unknown_host = resolve_node_file(None, &arguments(&[("home", "data")]), None);
    assert_eq!(unknown_host.integer("workerNum"), None);
    assert_eq!(
        unknown_host.paths("volumes"),
        None,
        "a relative home is the caller's to resolve"
    );
    assert_eq!(
        unknown_host.setting("workerNum").unwrap().raw,
        "number of cores"
    );
}

#[test]
fn memory_above_the_host_is_capped_with_a_warning() {
    let file = parse_key_value(FileKind::Single, "dolphindb.cfg", b"maxMemSize=64\n");
    let single = resolve_single(Some(&file), &[], Some(&HOST));
    assert_eq!(single.size("maxMemSize"), Some(16 << 30));
    assert_eq!(
        single.diagnostics[0].place().to_string(),
        "dolphindb.cfg:1:12"
    );
    let single = resolve_single(None, &arguments(&[("maxMemSize", "17")]), Some(&HOST));
    assert_eq!(single.diagnostics[0].code, "memory-capped");
    assert_eq!(single.diagnostics[0].file, "command line");
}

#[test]
fn a_stand_alone_process_has_one_replica_and_a_cluster_two() {
    assert_eq!(
        resolve_single(None, &[], None).integer("dfsReplicationFactor"),
        Some(1)
    );
    let files = files("localSite=10.1.1.7:8990:master\n", "");
    let controller = resolve_controller(&files, &[], None);
    assert_eq!(controller.integer("dfsReplicationFactor"), Some(2));
    assert_eq!(controller.integer("dfsRecoveryConcurrency"), Some(2));
}

#[test]
fn an_unknown_node_is_refused_with_the_nearest_alias() {
    let files = files("", "");
    let unknown = resolve_node("P1-NOED1", &files, &[], None).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "`cluster.nodes` has no data node `P1-NOED1`; did you mean `P1-NODE1`?"
    );
    assert!(
        resolve_node("P1-agent", &files, &[], None).is_err(),
        "an agent has its own file"
    );
}

#[test]
fn a_node_gets_its_site_from_the_nodes_file_whatever_else_is_said() {
    let files = files("localSite=10.1.1.7:8990:master\n", "");
    let overrides = arguments(&[("localSite", "10.9.9.9:1:x")]);
    let node = resolve_node("P1-NODE1", &files, &overrides, None).unwrap();
    assert_eq!(
        node.site("localSite").unwrap().to_string(),
        "10.1.1.1:8961:P1-NODE1"
    );
    assert_eq!(
        node.setting("localSite").unwrap().precedence,
        Precedence::Fixed
    );
    assert_eq!(node.site("controllerSite").unwrap().alias, "master");
}

#[test]
fn an_order_holds_what_is_set_and_takes_effect() {
    let files = files(
        "localSite=10.1.1.7:8990:master\ndataSync=0\nworkerNum=9\n",
        "volumes=\"/VOL1/<ALIAS>\"\npersistenceDir=/p/<ALIAS>\nmaxMemSize=x\nlogLevel=debug\n",
    );
    let node = resolve_node("P1-NODE1", &files, &[], None).unwrap();
    let order = node.order();
    let find = |name: &str| {
        order
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(find("volumes"), Some("/VOL1/P1-NODE1"));
    assert_eq!(find("dataSync"), Some("0"));
    assert_eq!(find("logLevel"), Some("DEBUG"));
    assert_eq!(find("mode"), Some("datanode"));
    assert_eq!(find("persistenceDir"), None, "it changes nothing");
    assert_eq!(find("maxMemSize"), None, "it is no value");
    assert_eq!(find("workerNum"), None, "the controller keeps its own");
}

#[test]
fn a_value_that_cannot_be_read_is_no_default_in_disguise() {
    let files = files("localSite=10.1.1.7:8990:master\nworkerNum=x\n", "");
    let controller = resolve_controller(&files, &[], Some(&HOST));
    assert_eq!(controller.integer("workerNum"), None);
    assert_eq!(controller.setting("workerNum").unwrap().raw, "x");
    assert_eq!(controller.value("webWorkerNum"), Some(&Value::Integer(1)));
}
