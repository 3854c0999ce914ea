//! Statuses of server processes that the page on exit statuses promises and that no other test
//! here asks for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::rig::Cluster;

const SECRET: &str = "P4/config/cluster.secret";

async fn with_secret() -> Cluster {
    let cluster = Cluster::of_seed();
    let mut command = cluster.place.command();
    let made = command
        .args(["secret", "generate"])
        .arg(cluster.path(SECRET))
        .output();
    assert!(made.await.unwrap().status.success());
    cluster
}

fn set_mode(cluster: &Cluster, name: &str, mode: u32) {
    fs::set_permissions(cluster.path(name), Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_secret_that_others_can_read_ends_a_server_process_with_77_path_and_mode() {
    let cluster = with_secret().await;
    for mode in [0o644, 0o640, 0o604, 0o620] {
        set_mode(&cluster, SECRET, mode);
        let printed = cluster
            .run_controller("controller.out")
            .ended()
            .await
            .with(77);
        let path = cluster.path(SECRET);
        assert!(printed.contains(path.to_str().unwrap()), "{printed}");
        assert!(printed.contains(&format!("mode {mode:04o}")), "{printed}");
        assert!(printed.contains("chmod 600"), "{printed}");
        let log = cluster.read("P4/log/controller.log");
        assert!(log.contains(&format!("mode {mode:04o}")), "{log}");
    }
}

#[tokio::test]
async fn a_bootstrap_file_that_others_can_read_ends_the_controller_with_77_path_and_mode() {
    let cluster = Cluster::of_seed();
    let file = "P4/data/bootstrap";
    fs::write(cluster.path(file), r#"{"admin_password":"x","token":"y"}"#).unwrap();
    set_mode(&cluster, file, 0o644);
    let printed = cluster
        .run_controller("controller.out")
        .ended()
        .await
        .with(77);
    assert!(printed.contains("/bootstrap"), "{printed}");
    assert!(printed.contains("mode 0644"), "{printed}");
}

#[tokio::test]
async fn a_secret_that_is_none_ends_a_server_process_with_65() {
    let cluster = with_secret().await;
    fs::write(cluster.path(SECRET), "not a secret\n").unwrap();
    let printed = cluster
        .run_controller("controller.out")
        .ended()
        .await
        .with(65);
    assert!(printed.contains("holds no cluster secret"), "{printed}");
    assert!(!printed.contains("not a secret"), "{printed}");
}

#[tokio::test]
async fn a_log_file_that_cannot_be_opened_ends_a_server_process_with_69() {
    let cluster = Cluster::of_seed();
    fs::create_dir(cluster.path("P4/log/controller.log")).unwrap();
    let printed = cluster
        .run_controller("controller.out")
        .ended()
        .await
        .with(69);
    assert!(printed.contains("log/controller.log"), "{printed}");
}

/// What takes from root the right to read whatever there is.
fn as_anybody(cluster: &mut Cluster) {
    let taken = "--bounding-set=-dac_override,-dac_read_search";
    cluster.place.launcher = ["setpriv", taken].map(Into::into).to_vec();
}

#[tokio::test]
async fn files_that_cannot_be_read_end_the_start_with_their_path_and_stay() {
    let mut cluster = Cluster::of_two_hosts().await;
    cluster.take("P4").stop().await;
    as_anybody(&mut cluster);
    let segment = cluster.newest_segment();
    let segment = segment.strip_prefix(cluster.path("")).unwrap();
    for (file, status) in [
        ("P4/config/controller.cfg", 64),
        ("P4/config/cluster.nodes", 64),
        (segment.to_str().unwrap(), 69),
        ("P4/data/master/meta", 69),
    ] {
        let mode = fs::metadata(cluster.path(file)).unwrap().permissions();
        set_mode(&cluster, file, 0);
        let controller = cluster.run_controller("controller.out");
        let printed = controller.ended().await.with(status);
        fs::set_permissions(cluster.path(file), mode).unwrap();
        let name = file.rsplit('/').next().unwrap();
        assert!(printed.contains(name), "{file}: {printed}");
        assert!(printed.contains("ermission denied"), "{file}: {printed}");
    }
    // Nothing was taken for lost, or made anew.
    cluster.start_controller();
    cluster.log_in_again().await;
    cluster
        .until_row("P1-agent", |row| row.state == "online")
        .await;
}

#[tokio::test]
async fn a_node_that_is_not_in_the_nodes_file_is_refused_with_78() {
    let cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    let config = cluster.read("P1/data/P1-NODE1/node.cfg");
    let config = config
        .replace("P1-NODE1", "P9-NODE9")
        .replace(":8961", ":8969");
    fs::create_dir_all(cluster.path("P1/data/P9-NODE9")).unwrap();
    fs::write(cluster.path("P1/data/P9-NODE9/node.cfg"), config).unwrap();
    let words = "-console 0 -mode datanode -alias P9-NODE9 -home data/P9-NODE9 -config \
                 data/P9-NODE9/node.cfg -logFile log/stranger.log";
    let stranger = cluster.run("P1", &words.split(' ').collect::<Vec<_>>(), "stranger.out");
    let printed = stranger.ended().await.with(78);
    assert!(printed.contains("P9-NODE9"), "{printed}");
    assert!(printed.contains("cluster.nodes"), "{printed}");
}

#[tokio::test]
async fn a_data_node_whose_secret_was_exposed_is_not_started_again_and_again() {
    let mut cluster = with_secret().await;
    cluster.keep_two_hosts();
    for host in ["P1", "P2"] {
        let copy = format!("{host}/config/cluster.secret");
        fs::copy(cluster.path(SECRET), cluster.path(&copy)).unwrap();
    }
    cluster.start_all().await;
    set_mode(&cluster, "P1/config/cluster.secret", 0o644);
    let ran = cluster.vaquita("node start P1-NODE1 --wait").await;
    assert_eq!(ran.status, 1, "{ran:?}");
    let row = cluster.row("P1-NODE1").await;
    assert_eq!(row.state, "failed");
    assert!(row.reason.contains("77"), "{row:?}");
    assert!(row.reason.contains("secret"), "{row:?}");
    let log = cluster.read("P1/log/agent.log");
    assert_eq!(log.matches("P1-NODE1 started").count(), 1, "{log}");
    set_mode(&cluster, "P1/config/cluster.secret", 0o600);
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
}

#[tokio::test]
async fn wrong_passwords_too_soon_are_told_with_75_and_the_time() {
    let mut cluster = Cluster::of_seed();
    cluster.start_controller();
    cluster.log_in().await;
    let mut last = None;
    for _ in 0..7 {
        let ran = cluster
            .place
            .run_with("login --password-stdin", "a wild guess\n")
            .await;
        if ran.status != 77 {
            last = Some(ran);
            break;
        }
    }
    let err = last
        .expect("seven guesses in a row are too many")
        .failed(75);
    assert!(err.contains("try again in"), "{err}");
}
