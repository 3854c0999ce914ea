//! The first login from another machine.
//!
//! Loopback needs no code; [`crate::users`] logs in from there. Where the kernel lets a test have no
//! networks of its own, these tests say so and end, as those of [`crate::firewalls`] do.

use std::os::unix::fs::PermissionsExt as _;

use crate::firewalls::joined;
use crate::rig::{Cluster, TwoNetworks};

const FILE: &str = "P4/data/master/meta/setup-code";

/// A controller, and commands that come from another machine.
async fn controller_elsewhere() -> Option<(TwoNetworks, Cluster)> {
    let (networks, mut cluster) = joined().await?;
    cluster.start_controller();
    cluster.place.launcher = networks.far_launcher();
    Some((networks, cluster))
}

async fn code(cluster: &Cluster) -> String {
    cluster
        .until("the setup code", async || {
            let code = cluster.read(FILE);
            (!code.is_empty()).then(|| code.trim_end().to_owned())
        })
        .await
}

fn times_in_log(cluster: &Cluster, code: &str) -> usize {
    cluster.read("P4/log/controller.log").matches(code).count()
}

#[tokio::test]
async fn a_first_login_from_another_machine_needs_what_stands_on_the_controllers_host() {
    let Some((_networks, cluster)) = controller_elsewhere().await else {
        return;
    };
    let code = code(&cluster).await;
    let mode = std::fs::metadata(cluster.path(FILE)).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert_eq!(times_in_log(&cluster, &code), 1);
    let place = &cluster.place;
    let err = place
        .run_with("login --password-stdin", "123456\n")
        .await
        .failed(77);
    assert!(err.contains("setup code"), "{err}");
    assert!(err.contains("meta/setup-code"), "{err}");
    // What somebody without the password learns has nothing to do with a code.
    let err = place
        .run_with(
            &format!("login --password-stdin --setup-code {code}"),
            "1234567\n",
        )
        .await
        .failed(77);
    assert!(err.contains("wrong user name or password"), "{err}");
    let line = format!("login --password-stdin --setup-code {code}");
    place.run_with(&line, "123456\n").await.ok();
    place.run("node list").await.failed(77);
    let change = format!("123456\nlong enough\n{code}\n");
    place
        .run_with("user passwd --password-stdin", &change)
        .await
        .ok();
    assert!(!cluster.path(FILE).exists());
    place.run("node list").await.ok();
    place
        .run_with("login --password-stdin", "long enough\n")
        .await
        .ok();
    assert_eq!(times_in_log(&cluster, &code), 1);
}

#[tokio::test]
async fn a_code_is_void_after_five_wrong_ones_and_after_a_restart() {
    let Some((networks, mut cluster)) = controller_elsewhere().await else {
        return;
    };
    let first = code(&cluster).await;
    for _ in 0..5 {
        let line = "login --password-stdin --setup-code AAAAA-AAAAA";
        let err = cluster.place.run_with(line, "123456\n").await.failed(77);
        assert!(err.contains("not the setup code"), "{err}");
    }
    let second = cluster
        .until("another code", async || {
            let code = cluster.read(FILE);
            (!code.is_empty() && code.trim_end() != first).then(|| code.trim_end().to_owned())
        })
        .await;
    assert_eq!(times_in_log(&cluster, &second), 1);

    cluster.place.launcher = networks.near_launcher();
    cluster.take("P4").kill().await;
    cluster.start_controller();
    cluster.place.launcher = networks.far_launcher();
    let third = cluster
        .until("the code of the next process", async || {
            let code = cluster.read(FILE);
            let code = code.trim_end();
            (!code.is_empty() && code != second).then(|| code.to_owned())
        })
        .await;
    for (code, status) in [(first, 77), (second, 77), (third, 0)] {
        let line = format!("login --password-stdin --setup-code {code}");
        let ran = cluster.place.run_with(&line, "123456\n").await;
        assert_eq!(ran.status, status, "{ran:?}");
    }
}
