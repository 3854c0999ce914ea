use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use vaquita_core::admin::{Caller, Request, Selection, Verb};
use vaquita_core::controller::{Controller, ControllerConfig, FilesConfig, Member, inspect_home};
use vaquita_core::disk::FileName;
use vaquita_core::ids::{Alias, Endpoint, RequestId, Role, Site};
use vaquita_core::io::{Effect, ExitReason, Input, Machine};
use vaquita_core::limits::Limits;
use vaquita_core::message::RestartPolicy;
use vaquita_core::planted::Planted;
use vaquita_core::prng::Seed;
use vaquita_core::time::Timestamp;
use vaquita_node::env::Env as _;
use vaquita_node::os_env::OsEnv;

use crate::program::Place;

type Files = BTreeMap<FileName, Vec<u8>>;

/// Where a controller called `master` with the home `data` has its log.
const META: &str = "data/master/meta";

fn site(alias: &str, port: u16) -> Site {
    Site {
        endpoint: Endpoint {
            host: "127.0.0.1".to_owned(),
            port,
        },
        alias: Alias::new(alias).unwrap(),
    }
}

/// Starts a controller on `files` and has it take `orders` orders.
fn run_controller(files: &mut Files, orders: u64) -> Result<(), ExitReason> {
    let config = ControllerConfig {
        site: site("master", 8990),
        members: vec![Member {
            site: site("P1-NODE1", 8961),
            role: Role::DataNode,
            host: "P1".to_owned(),
            node_cfg: String::new(),
        }],
        heartbeat_timeout: Duration::from_secs(8),
        recovery_wait: None,
        lan_cluster: true,
        restart: RestartPolicy::Never,
        restart_stopped: false,
        secret: None,
        bootstrap: None,
        files: FilesConfig::default(),
        mirrors: 0,
        build: "test".to_owned(),
        limits: Limits {
            reserve_bytes: 0,
            segment_bytes: 500,
            ..Limits::default()
        },
        planted: Planted::default(),
    };
    let seed = Seed::from_number(files.len() as u64);
    let mut controller = Controller::new(config, files, seed, Timestamp::ZERO)?;
    let mut settle = |controller: &mut Controller| {
        while let Some(effect) = controller.poll_effect() {
            if let Effect::Disk(batch) = effect {
                batch.ops.iter().for_each(|op| op.apply_in_memory(files));
                let ticket = batch.ticket;
                let result = Ok(());
                controller.handle(Timestamp::ZERO, Input::DiskDone { ticket, result });
            }
        }
    };
    settle(&mut controller);
    for number in 0..orders {
        let nodes = Selection::All;
        let verb = if number % 2 == 0 {
            Verb::StartNodes(nodes)
        } else {
            Verb::StopNodes(nodes)
        };
        let request = Request {
            caller: Caller::CONSOLE,
            verb,
        };
        let id = RequestId(number);
        controller.handle(Timestamp::ZERO, Input::Request { id, request });
        settle(&mut controller);
    }
    Ok(())
}

fn read(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .filter_map(|entry| {
            let name = FileName::new(entry.file_name().to_str().unwrap())?;
            Some((name, fs::read(entry.path()).unwrap()))
        })
        .collect()
}

/// A home with a log of several segments.
fn home() -> (Place, Files) {
    let place = Place::new();
    let mut files = Files::new();
    run_controller(&mut files, 30).unwrap();
    put(&place, &files);
    (place, files)
}

fn put(place: &Place, files: &Files) {
    fs::create_dir_all(place.path(META)).unwrap();
    for (name, bytes) in files {
        fs::write(place.path(META).join(name.as_str()), bytes).unwrap();
    }
}

/// The same with a bit changed in the middle of its second segment.
fn damaged_home() -> (Place, Files) {
    let (place, mut files) = home();
    let mut segments = files
        .iter_mut()
        .filter(|(name, _)| name.as_str().starts_with("seg-"));
    let (_, bytes) = segments.nth(1).expect("there are several segments");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    put(&place, &files);
    (place, files)
}

#[tokio::test]
async fn a_log_in_order_is_said_to_be_and_not_repaired() {
    let (place, files) = home();
    let out = place.run("meta repair --home data").await.ok();
    assert!(out.contains("in order; the last record is 3"), "{out}");
    let err = place
        .run("meta repair --home data --truncate-at 5 --i-accept-loss")
        .await
        .failed(1);
    assert!(err.contains("nothing to repair"), "{err}");
    let mut left = read(&place.path(META));
    left.retain(|name, _| files.contains_key(name));
    assert_eq!(left, files, "nothing was changed");
}

#[tokio::test]
async fn damage_is_shown_with_what_a_repair_would_lose_and_nothing_is_changed() {
    let (place, files) = damaged_home();
    let report = inspect_home(&files).unwrap();
    let ran = place.run("meta repair --home data").await;
    for part in [
        format!("last good record: {}", report.last_good),
        "known to have been durable".to_owned(),
        "would take out of the log".to_owned(),
        "seg-00000000000000000001.log".to_owned(),
    ] {
        assert!(ran.out.contains(&part), "no {part:?} in\n{}", ran.out);
    }
    let err = ran.failed(65);
    let cure = format!("--truncate-at {} --i-accept-loss", report.last_good);
    assert!(err.contains("damaged") && err.contains(&cure), "{err}");
    assert_eq!(read(&place.path(META)), files);
}

#[tokio::test]
async fn a_controller_takes_a_repaired_home_and_what_was_lost_is_kept_beside_it() {
    let (place, mut files) = damaged_home();
    let refusal = run_controller(&mut files.clone(), 0).unwrap_err();
    assert!(
        refusal.message.contains("vaquita meta repair"),
        "{refusal:?}"
    );
    let last_good = inspect_home(&files).unwrap().last_good;
    let repair = format!("meta repair --home {META} --truncate-at {last_good} --i-accept-loss");
    let out = place.run(&repair).await.ok();
    let ends = format!("the log ends with record {last_good} now");
    assert!(out.contains(&ends) && out.contains("given up: "), "{out}");

    let mut left = read(&place.path(META));
    let lost: usize = (left.iter())
        .filter(|(name, _)| name.as_str().starts_with("lost-") && name.as_str().contains("seg-"))
        .map(|(_, bytes)| bytes.len())
        .sum();
    let length = |files: &Files| -> usize {
        let of_log = files
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("seg-"));
        of_log.map(|(_, bytes)| bytes.len()).sum()
    };
    assert_eq!(
        lost + length(&left),
        length(&files),
        "no byte was thrown away"
    );
    let before = inspect_home(&files).unwrap();
    let after = inspect_home(&left).unwrap();
    assert_eq!(after.verdict, Ok(last_good));
    assert_ne!(after.lineage, before.lineage);
    run_controller(&mut left, 5).unwrap();
    run_controller(&mut left, 5).unwrap();
    files.clear();
}

#[tokio::test]
async fn a_home_in_use_is_left_alone() {
    let (place, files) = damaged_home();
    let env = OsEnv::new().unwrap();
    let disk = env.open_disk(&place.path(META)).await.unwrap();
    let err = place.run("meta repair --home data").await.failed(73);
    assert!(err.contains("is in use by"), "{err}");
    drop(disk);
    assert_eq!(read(&place.path(META)), files);
}

#[tokio::test]
async fn both_flags_are_needed_and_a_home_without_a_log_is_named() {
    let (place, _) = damaged_home();
    for flags in ["--truncate-at 5", "--i-accept-loss"] {
        place
            .run(&format!("meta repair --home data {flags}"))
            .await
            .failed(64);
    }
    let err = place.run("meta repair --home nowhere").await.failed(1);
    assert!(err.contains("no directory nowhere"), "{err}");
    fs::create_dir(place.path("empty")).unwrap();
    let err = place.run("meta repair --home empty").await.failed(1);
    assert!(err.contains("no controller's log in empty"), "{err}");
    assert!(fs::read_dir(place.path("empty")).unwrap().next().is_none());
}
