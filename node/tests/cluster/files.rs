//! Files over HTTP at the data nodes of a cluster of real processes.

use serde_json::json;

use crate::rig::{Cluster, DATA_NODES, KIB, MIB, assert_same, content};

/// The example with two replicas, green.
pub(crate) async fn of_two_replicas() -> Cluster {
    let mut cluster = Cluster::of_seed();
    let file = "P4/config/controller.cfg";
    cluster.replace(file, "dfsReplicationFactor=1", "dfsReplicationFactor=2");
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    cluster
}

const FIRST: &str = DATA_NODES[0].1;
const SECOND: &str = DATA_NODES[1].1;

#[tokio::test]
async fn a_file_written_at_one_node_is_read_at_every_other_byte_for_byte() {
    let cluster = of_two_replicas().await;
    let sizes = [0, 1, 4 * KIB, MIB - 1, MIB, MIB + 1];
    for (number, len) in sizes.into_iter().enumerate() {
        let bytes = content(number as u64, len);
        let path = format!("f{len}");
        let (_, entry) = DATA_NODES[number % 4];
        let reply = cluster.put(entry, &path, &bytes).await.with(201);
        let committed = reply.json();
        assert_eq!(committed["entry"]["len"], len, "{committed}");
        assert_eq!(committed["degraded_chunks"], 0, "{committed}");
        let etag = reply.header("etag").unwrap().to_owned();
        for (_, site) in DATA_NODES {
            let got = cluster.get_file(site, &path).await.with(200);
            assert_same(&got.body, &bytes, &format!("{path} at {site}"));
            assert_eq!(got.header("etag"), Some(etag.as_str()));
        }
    }
}

#[tokio::test]
async fn a_file_of_three_chunks_is_read_as_a_whole_and_in_parts() {
    const CHUNK: usize = 64 * MIB;
    let cluster = of_two_replicas().await;
    let bytes = content(7, 130 * MIB + 5);
    cluster.put(FIRST, "large", &bytes).await.with(201);
    let got = cluster.get_file(SECOND, "large").await.with(200);
    assert_same(&got.body, &bytes, "the whole");
    assert_eq!(got.header("x-vaquita-chunk-bytes"), Some("67108864"));
    let last = bytes.len() - 1;
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=67108863-67108864", CHUNK - 1, CHUNK),
        ("bytes=67000000-134300000", 67_000_000, 134_300_000),
        ("bytes=136314880-", 130 * MIB, last),
        ("bytes=-3", last - 2, last),
        ("bytes=136314884-999999999", last, last),
    ] {
        let headers = [("Range", range)];
        let got = cluster
            .ask(DATA_NODES[2].1, "GET /dfs/large", &headers, b"")
            .await
            .with(206);
        assert_same(&got.body, &bytes[from..=to], range);
        let place = format!("bytes {from}-{to}/{}", bytes.len());
        assert_eq!(got.header("content-range"), Some(place.as_str()));
    }
    let headers = [("Range", "bytes=136314885-")];
    let refused = cluster
        .ask(FIRST, "GET /dfs/large", &headers, b"")
        .await
        .with(416);
    assert_eq!(refused.header("content-range"), Some("bytes */136314885"));
    let rows = cluster.json("chunk list").await;
    let lens: Vec<u64> = rows
        .iter()
        .map(|row| row["len"].as_u64().unwrap())
        .collect();
    assert_eq!(lens, [67_108_864, 67_108_864, 2 * 1_048_576 + 5]);
    for row in &rows {
        assert_eq!(row["state"], "healthy", "{row}");
        assert_eq!(row["replicas"].as_array().unwrap().len(), 2, "{row}");
    }
}

#[tokio::test]
async fn conditions_of_a_request_are_kept_to() {
    let cluster = of_two_replicas().await;
    let put = async |headers: &[(&str, &str)], body: &[u8]| {
        cluster.ask(FIRST, "PUT /dfs/c", headers, body).await
    };
    let refused = put(&[("If-Match", "*")], b"one").await.with(412);
    assert_eq!(refused.kind(), "precondition");
    let one = put(&[("If-None-Match", "*")], b"one").await.with(201);
    let one = one.header("etag").unwrap().to_owned();
    put(&[("If-None-Match", "*")], b"two").await.with(412);
    let two = put(&[("If-Match", &one)], b"two").await.with(200);
    let two = two.header("etag").unwrap().to_owned();
    put(&[("If-Match", &one)], b"three").await.with(412);
    let get =
        async |headers: &[(&str, &str)]| cluster.ask(SECOND, "GET /dfs/c", headers, b"").await;
    assert_eq!(get(&[("If-Match", &two)]).await.with(200).body, b"two");
    get(&[("If-Match", &one)]).await.with(412);
    let known = get(&[("If-None-Match", &two)]).await.with(304);
    assert_eq!(known.header("etag"), Some(two.as_str()));
    get(&[("If-None-Match", &one)]).await.with(200);
    let head = cluster.ask(SECOND, "HEAD /dfs/c", &[], b"").await.with(200);
    assert_eq!(head.header("content-length"), Some("3"));
    assert_eq!(head.header("etag"), Some(two.as_str()));
    // A range of another content than is there now: the whole of what is there.
    let stale = get(&[("Range", "bytes=0-0"), ("If-Range", &one)]).await;
    assert_eq!(stale.with(200).body, b"two");
    let headers = [("If-Match", one.as_str())];
    cluster
        .ask(FIRST, "DELETE /dfs/c", &headers, b"")
        .await
        .with(412);
    let headers = [("If-Match", two.as_str())];
    cluster
        .ask(FIRST, "DELETE /dfs/c", &headers, b"")
        .await
        .with(204);
    cluster.get_file(SECOND, "c").await.with(404);
}

#[tokio::test]
async fn a_write_that_is_sent_again_under_its_key_is_carried_out_once() {
    let cluster = of_two_replicas().await;
    let key = [("Idempotency-Key", "monday's load")];
    let put = async |site: &str, key: &[(&str, &str)], body: &[u8]| {
        cluster.ask(site, "PUT /dfs/k", key, body).await
    };
    let first = put(FIRST, &key, b"first").await.with(201).json();
    let again = put(SECOND, &key, b"first").await;
    assert!(matches!(again.status, 200 | 201), "{}", again.text());
    assert_eq!(again.json()["entry"]["version"], first["entry"]["version"]);
    put(FIRST, &[], b"second").await.with(200);
    // Whatever is answered, the old content does not come back.
    let late = put(SECOND, &key, b"first").await;
    assert!(late.status < 500, "{}", late.text());
    let got = cluster.get_file(SECOND, "k").await.with(200);
    assert_eq!(got.body, b"second");
    // The same for a change of names.
    let make = async || {
        let headers = [
            ("Idempotency-Key", "7"),
            ("Content-Type", "application/json"),
        ];
        let body = json!({ "path": "dfs://once" }).to_string();
        cluster
            .ask(FIRST, "POST /api/v1/dfs/mkdir", &headers, body.as_bytes())
            .await
            .with(201)
            .json()
    };
    assert_eq!(make().await["version"], make().await["version"]);
}

#[tokio::test]
async fn names_are_made_listed_renamed_and_removed() {
    let cluster = of_two_replicas().await;
    let post = async |name: &str, body: serde_json::Value| cluster.post(FIRST, name, &body).await;
    let missing = post("mkdir", json!({ "path": "dfs://a/b/c" })).await;
    assert_eq!(missing.with(404).kind(), "not-found");
    post("mkdir", json!({ "path": "dfs://a/b/c", "parents": true }))
        .await
        .with(201);
    post("mkdir", json!({ "path": "dfs://a/b/c" }))
        .await
        .with(409);
    for number in 0..25 {
        let path = format!("a/b/c/n{number:02}");
        cluster
            .put(DATA_NODES[number % 4].1, &path, path.as_bytes())
            .await
            .with(201);
    }
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let request = format!("GET /dfs/a/b/c/?limit=10{after}");
        let page = cluster.ask(SECOND, &request, &[], b"").await.with(200);
        let page = page.json();
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.len() <= 10, "{page}");
        let paths = entries.iter().map(|it| it["path"].as_str().unwrap());
        names.extend(paths.map(|path| path.rsplit('/').next().unwrap().to_owned()));
        if page["more"] == false {
            break;
        }
        after = format!("&after={}", names.last().unwrap());
    }
    let wanted: Vec<String> = (0..25).map(|number| format!("n{number:02}")).collect();
    assert_eq!(names, wanted);
    cluster.until_chunks(50).await;
    // Over another file only with leave to replace it.
    let rename = |replace: bool| json!({ "from": "dfs://a/b/c/n00", "to": "dfs://a/b/c/n01", "replace": replace });
    post("rename", rename(false)).await.with(409);
    post("rename", rename(true)).await.with(200);
    let got = cluster.get_file(SECOND, "a/b/c/n01").await.with(200);
    assert_eq!(got.body, b"a/b/c/n00");
    cluster.get_file(SECOND, "a/b/c/n00").await.with(404);
    // A directory takes along what is in it.
    let whole = json!({ "from": "dfs://a/b", "to": "dfs://moved" });
    post("rename", whole).await.with(200);
    let got = cluster.get_file(SECOND, "moved/c/n24").await.with(200);
    assert_eq!(got.body, b"a/b/c/n24");
    let full = cluster.ask(FIRST, "DELETE /dfs/moved", &[], b"").await;
    assert_eq!(full.with(409).kind(), "conflict");
    cluster
        .ask(FIRST, "DELETE /dfs/moved?recursive=true", &[], b"")
        .await
        .with(204);
    cluster.get_file(SECOND, "moved/c/n24").await.with(404);
    cluster.until_chunks(0).await;
}

#[tokio::test]
async fn a_name_of_any_letters_is_one_name_and_leads_nowhere_else() {
    let cluster = of_two_replicas().await;
    let name = "gr%C3%B6%C3%9Fe%20%25%3F%23.csv";
    cluster.put(FIRST, name, b"here").await.with(201);
    let got = cluster.get_file(SECOND, name).await.with(200);
    assert_eq!(got.body, b"here");
    let listed = cluster.vaquita("dfs ls").await.ok();
    assert!(listed.contains("größe %?#.csv"), "{listed}");
    for bad in ["a/../b", "%2E%2E/b", "a%2Fb", "a%00b", "%FF"] {
        let refused = cluster.put(FIRST, bad, b"x").await;
        assert!(
            matches!(refused.status, 400 | 422),
            "{bad}: {}",
            refused.text()
        );
    }
}

#[tokio::test]
async fn a_data_node_says_where_a_password_is_taken() {
    let cluster = of_two_replicas().await;
    let host = format!("{}.1", cluster.subnet);
    // `admin:long enough`.
    let request = format!(
        "GET /dfs/f HTTP/1.1\r\nHost: {host}\r\n\
         Authorization: Basic YWRtaW46bG9uZyBlbm91Z2g=\r\n\r\n"
    );
    let answer = cluster.connect(FIRST).await.ask(&request).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("token-required"), "{answer}");
    assert!(answer.contains("vaquita login"), "{answer}");
}

#[tokio::test]
async fn the_controller_and_the_agents_send_clients_of_files_to_the_data_nodes() {
    let cluster = of_two_replicas().await;
    cluster.put(FIRST, "f", b"x").await.with(201);
    let sent = cluster.get_file("7:8990", "f").await.with(307);
    let place = sent.header("location").unwrap();
    assert!(place.ends_with(":8961/dfs/f"), "{place}");
    let refused = cluster.get_file("1:8960", "f").await.with(421);
    assert_eq!(refused.kind(), "not-here");
    let mut stranger = cluster.connect(FIRST).await;
    let host = format!("{}.1", cluster.subnet);
    let refused = stranger.get("/dfs/f", &host).await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
}
