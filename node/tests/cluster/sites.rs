//! The controller's `localSite` changed in one place only, and other sites that do not agree.

use crate::rig::{Cluster, MIB, assert_same, content};

#[tokio::test]
async fn another_alias_of_the_controller_is_named_on_both_sides_and_works() {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    cluster.replace("P4/config/controller.cfg", ":master", ":boss");
    cluster.start_all().await;
    let both = [
        format!(
            "controllerSite of P1-agent is {}.7:8990:master",
            cluster.subnet
        ),
        format!(
            "localSite of the controller is {}.7:8990:boss",
            cluster.subnet
        ),
        "write the same in both places".to_owned(),
    ];
    let agents = cluster.until_log("P1/log/agent.log", &both[0]).await;
    let controllers = cluster.until_log("P4/log/controller.log", &both[0]).await;
    let row = cluster
        .until_row("P1-agent", |row| !row.conditions.is_empty())
        .await;
    assert_eq!(row.state, "online");
    let list = cluster.vaquita("node list").await.ok();
    let status = cluster.vaquita("status").await.ok();
    for part in &both {
        for text in [&agents, &controllers, &row.conditions[0], &list, &status] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }
    // Found by host and port, the cluster works.
    cluster.vaquita("node start --all --wait").await.ok();
}

#[tokio::test]
async fn another_port_of_the_controller_is_named_on_both_sides() {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    cluster.replace("P4/config/controller.cfg", ":8990:", ":8991:");
    let server = format!("{}.7:8991", cluster.subnet);
    cluster.place.set("VAQUITA_SERVER", &server);
    cluster.start_all().await;

    let old = format!("{}.7:8990:master", cluster.subnet);
    let new = format!("{}.7:8991:master", cluster.subnet);
    // The agent hears of the right place from the controller itself, which knows where the agent is.
    let line = cluster
        .until_log("P1/log/agent.log", &format!("a controller at {new}"))
        .await;
    assert!(
        line.contains(&format!("controllerSite here is {old}")),
        "{line}"
    );
    assert!(line.contains("write the same site"), "{line}");
    let line = cluster
        .until_log(
            "P4/log/controller.log",
            &format!("its controllerSite is {old}"),
        )
        .await;
    assert!(
        line.contains(&format!("localSite of this controller is {new}")),
        "{line}"
    );
    let row = cluster
        .until_row("P1-agent", |row| row.reason.contains(&old))
        .await;
    assert!(row.reason.contains(&new), "{row:?}");
    let status = cluster.vaquita("status").await.ok();
    assert!(status.contains(&row.reason), "{status}");
}

#[tokio::test]
async fn a_mistyped_port_of_an_agent_is_named_with_both_spellings() {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    cluster.replace("P1/config/agent.cfg", ":8960:", ":8906:");
    cluster.start_all().await;
    let typed = format!("{}.1:8906:P1-agent", cluster.subnet);
    let listed = format!("{}.1:8960:P1-agent", cluster.subnet);
    let row = cluster
        .until_row("P1-agent", |row| row.reason.contains(&typed))
        .await;
    assert!(row.reason.contains(&listed), "{row:?}");
    let line = cluster.until_log("P1/log/agent.log", "refuses").await;
    assert!(line.contains(&typed) && line.contains(&listed), "{line}");
}

#[tokio::test]
async fn a_mistyped_alias_of_an_agent_is_named_with_the_right_one() {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    cluster.replace("P1/config/agent.cfg", "P1-agent", "P1-agnet");
    cluster.start_all().await;
    let line = cluster.until_log("P1/log/agent.log", "refuses").await;
    for part in ["P1-agnet", "P1-agent", "cluster.nodes"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    let line = cluster.until_log("P4/log/controller.log", "refused").await;
    assert!(line.contains("P1-agnet"), "{line}");
    // The row that waits for it says who is there instead.
    let row = cluster
        .until_row("P1-agent", |row| row.reason.contains("P1-agnet"))
        .await;
    assert!(
        row.reason.contains("write the same in both places"),
        "{row:?}"
    );
}

#[tokio::test]
async fn a_mistyped_address_of_the_controller_is_named_by_the_agent() {
    let mut cluster = Cluster::of_seed();
    let there = format!("{}.7:8990:master", cluster.subnet);
    let nowhere = format!("{}.77:8990:master", cluster.subnet);
    cluster.replace("P1/config/agent.cfg", &there, &nowhere);
    cluster.start_agent("P1");
    let line = cluster
        .until_log("P1/log/agent.log", "nothing listens at")
        .await;
    for part in [
        nowhere.as_str(),
        "correct controllerSite",
        "localSite in controller.cfg",
    ] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

#[tokio::test]
async fn an_address_that_no_interface_has_ends_the_start_with_place_and_cure() {
    let cluster = Cluster::of_seed();
    let here = format!("{}.1:8960", cluster.subnet);
    // An address that is set aside for documentation: nobody has it.
    cluster.replace("P1/config/agent.cfg", &here, "192.0.2.1:8960");
    let secret = cluster.path("P1/config");
    let mut command = cluster.place.command();
    let made = command.args(["secret", "generate"]).arg(&secret).output();
    assert!(made.await.unwrap().status.success());
    let agent = cluster.run_agent("P1", "agent.out");
    let printed = agent.ended().await.with(69);
    for part in [
        "Failed to bind the socket on 8960",
        "192.0.2.1:8960",
        "no network interface of this host has that address",
        "correct the host in localSite",
    ] {
        assert!(printed.contains(part), "no {part:?} in {printed}");
    }
    assert!(
        cluster
            .read("P1/log/agent.log")
            .contains("no network interface")
    );
}

#[tokio::test]
async fn beyond_loopback_nothing_starts_without_a_secret() {
    let cluster = Cluster::of_seed();
    let here = format!("{}.1:8960", cluster.subnet);
    cluster.replace("P1/config/agent.cfg", &here, "192.0.2.1:8960");
    let agent = cluster.run_agent("P1", "agent.out");
    let printed = agent.ended().await.with(64);
    assert!(printed.contains("there is no cluster secret"), "{printed}");
    assert!(printed.contains("run `vaquita secret`"), "{printed}");
}

#[tokio::test]
async fn heartbeats_configured_otherwise_at_one_agent_are_named_on_both_sides_and_work() {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    cluster.add_line("P1/config/agent.cfg", "lanCluster=0");
    cluster.start_all().await;
    let words = "lanCluster is 0 at P1-agent and 1 at the controller, whose value rules";
    cluster.until_log("P1/log/agent.log", words).await;
    cluster.until_log("P4/log/controller.log", words).await;
    cluster
        .until_row("P1-agent", |row| {
            row.state == "online" && row.conditions.iter().any(|it| it.contains(words))
        })
        .await;
    let other = cluster
        .until_row("P2-agent", |row| row.state == "online")
        .await;
    assert_eq!(other.conditions, [""; 0]);
}

#[tokio::test]
async fn a_host_that_gets_another_address_is_the_same_with_the_same_chunks() {
    let mut cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start --all --wait").await.ok();
    cluster.until_volumes(2).await;
    let bytes = content(7, MIB);
    cluster.put("1:8961", "moved", &bytes).await.with(201);
    cluster.until_chunks(1).await;
    let (old, new) = (
        format!("{}.1:", cluster.subnet),
        format!("{}.11:", cluster.subnet),
    );
    cluster.replace("P4/config/cluster.nodes", &old, &new);
    // Not while it runs: nobody would find it.
    let refused = cluster.vaquita("config reload").await.failed(1);
    assert!(refused.contains("cannot get the site"), "{refused}");
    cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
    cluster.take("P1").stop().await;
    let said = cluster
        .until("the address is taken up", async || {
            let ran = cluster.vaquita("config reload").await;
            (ran.status == 0).then_some(ran.out)
        })
        .await;
    assert!(
        said.contains(&format!("{new}8961:P1-NODE1 from now on")),
        "{said}"
    );
    // An agent that still has the old one is told so.
    cluster.start_agent("P1");
    cluster.until_log("P1/log/agent.log", &new).await;
    cluster.take("P1").stop().await;
    cluster.replace("P1/config/agent.cfg", &old, &new);
    cluster.start_agent("P1");
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    cluster.until_chunks(1).await;
    for entry in ["11:8961", "3:8961"] {
        let read = cluster.get_file(entry, "moved").await.with(200);
        assert_same(&read.body, &bytes, entry);
    }
    // It is the member it was, and not one more.
    let rows = cluster.rows().await;
    assert_eq!(
        rows.iter()
            .filter(|row| row.alias.starts_with("P1-"))
            .count(),
        2
    );
}
