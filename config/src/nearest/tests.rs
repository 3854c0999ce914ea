use super::nearest;
use crate::keys;

#[test]
fn a_slip_finds_the_key() {
    for (slip, key) in [
        ("webWorkNum", "webWorkerNum"),
        ("workNum", "workerNum"),
        ("wrokerNum", "workerNum"),
        ("volume", "volumes"),
        ("localsit", "localSite"),
        ("dfsReplicationFacter", "dfsReplicationFactor"),
    ] {
        assert_eq!(keys::nearest(slip).map(|key| key.name), Some(key), "{slip}");
    }
}

#[test]
fn what_is_far_from_everything_finds_nothing() {
    for word in ["dataDirectory", "nodeName", "x", "", "enableAuthentication"] {
        assert_eq!(keys::nearest(word).map(|key| key.name), None, "{word}");
    }
    assert_eq!(nearest(&"a".repeat(100_000), ["a"]), None);
}

#[test]
fn the_nearer_name_wins() {
    assert_eq!(
        nearest("P1-NODE3", ["P1-NODE11", "P1-NODE1"]),
        Some("P1-NODE1")
    );
}
