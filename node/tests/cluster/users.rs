use crate::rig::Cluster;

async fn controller_alone() -> Cluster {
    let mut cluster = Cluster::of_seed();
    cluster.start_controller();
    cluster
}

#[tokio::test]
async fn the_known_password_is_good_for_its_own_change_and_nothing_else() {
    let cluster = controller_alone().await;
    cluster.log_in_first().await;
    for line in [
        "node list",
        "status",
        "node start --all",
        "node log P1-NODE1",
        "user list",
        "user remove admin",
        "user grant admin dfs-read",
    ] {
        let err = cluster.vaquita(line).await.failed(77);
        assert!(err.contains("has to be changed"), "{line}: {err}");
        assert!(err.contains("vaquita user passwd"), "{line}: {err}");
    }
    let same = cluster
        .place
        .run_with("user passwd --password-stdin", "123456\n123456\n")
        .await;
    assert_ne!(same.status, 0, "the known password is no new one: {same:?}");
    cluster
        .place
        .run_with("user passwd --password-stdin", "123456\nlong enough\n")
        .await
        .ok();
    cluster.vaquita("node list").await.ok();
    cluster
        .place
        .run_with("login --password-stdin", "123456\n")
        .await
        .failed(77);
}

#[tokio::test]
async fn users_are_added_granted_rights_and_removed() {
    let cluster = controller_alone().await;
    cluster.log_in().await;
    let place = &cluster.place;
    place
        .run_with("user add alice --password-stdin", "her first one\n")
        .await
        .ok();
    place
        .run_with("login --user alice --password-stdin", "her first one\n")
        .await
        .ok();
    place
        .run_with(
            "user passwd --password-stdin",
            "her first one\nher second one\n",
        )
        .await
        .ok();
    // Whoever is logged in sees the nodes; orders and logs need a right.
    cluster.vaquita("node list").await.ok();
    let err = cluster.vaquita("node start --all").await.failed(77);
    assert!(err.contains("lacks the right `operate`"), "{err}");
    let err = cluster.vaquita("node log master").await.failed(77);
    assert!(err.contains("lacks the right `log-read`"), "{err}");

    cluster.log_in_again().await;
    cluster.vaquita("user grant alice log-read").await.ok();
    let users = cluster.vaquita("user list").await.ok();
    assert!(users.contains("log-read"), "{users}");
    place
        .run_with("login --user alice --password-stdin", "her second one\n")
        .await
        .ok();
    let log = cluster.vaquita("node log master").await.ok();
    assert!(log.contains("Controller initialization completed"), "{log}");

    cluster.log_in_again().await;
    cluster.vaquita("user revoke alice log-read").await.ok();
    cluster.vaquita("user remove alice").await.ok();
    let users = cluster.vaquita("user list").await.ok();
    assert!(!users.contains("alice"), "{users}");
    place
        .run_with("login --user alice --password-stdin", "her second one\n")
        .await
        .failed(77);
}

#[tokio::test]
async fn an_operators_program_starts_nodes_and_the_audit_tells_of_it() {
    let mut cluster = controller_alone().await;
    cluster.log_in().await;
    let place = &cluster.place;
    place
        .run_with("user add alice --password-stdin", "her first one\n")
        .await
        .ok();
    cluster.vaquita("user grant alice operate").await.ok();
    place
        .run_with("login --user alice --password-stdin", "her first one\n")
        .await
        .ok();
    let token = cluster
        .vaquita("token create starter --right operate")
        .await
        .ok();
    cluster.place.set("VAQUITA_TOKEN", token.trim_end());
    cluster.vaquita("node start P1-NODE1").await.ok();
    cluster.vaquita("repair status").await.ok();
    cluster.vaquita("volume list").await.ok();
    for line in ["user list", "node replace P1-NODE1", "audit"] {
        let err = cluster.vaquita(line).await.failed(77);
        assert!(err.contains("lacks the right `admin`"), "{line}: {err}");
    }
    cluster.vaquita("token create another").await.failed(77);
    cluster.place.set("VAQUITA_TOKEN", "");
    cluster.log_in_again().await;
    let audit = cluster.vaquita("audit --actor alice").await.ok();
    for expected in ["node.start", "P1-NODE1", "token.create", "starter", "login"] {
        assert!(audit.contains(expected), "{audit}");
    }
    let secret = token.trim_end().rsplit('_').next().unwrap();
    let all = cluster.vaquita("audit --all --json").await.ok();
    for canary in [secret, "her first one"] {
        assert!(!all.contains(canary), "{all}");
    }
}

#[tokio::test]
async fn the_log_of_a_node_is_read_through_its_agent_whether_it_runs_or_not() {
    let cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    let running = cluster.vaquita("node log P1-NODE1").await.ok();
    assert!(running.contains("starts as datanode"), "{running}");
    cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
    let stopped = cluster.vaquita("node log P1-NODE1").await.ok();
    assert!(stopped.contains("MainServer shutdown"), "{stopped}");
    let last = cluster.vaquita("node log P1-NODE1 --lines 1").await.ok();
    assert_eq!(last.lines().count(), 1, "{last}");
    let agent = cluster.vaquita("node log P1-agent").await.ok();
    assert!(agent.contains("P1-NODE1 started"), "{agent}");
    let never = cluster.vaquita("node log P2-NODE1").await;
    assert_ne!(never.status, 0, "it has never run: {never:?}");
    assert!(never.err.contains("P2-NODE1"), "{never:?}");
}
