//! A controller on a real file system that is really full.
//!
//! The file system is a small one in memory, mounted in a namespace of its own that goes with the
//! process: nothing is left behind, and no privilege is needed where users may make namespaces. The
//! test starts itself in there; where that cannot be done it says so and proves nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use vaquita_core::admin::{Caller, Refusal, Reply, Request, Response, Selection, Verb};
use vaquita_core::controller::{Controller, ControllerConfig, FilesConfig, Member};
use vaquita_core::disk::FileName;
use vaquita_core::ids::{Alias, Endpoint, RequestId, Role, Site};
use vaquita_core::io::{Effect, Input, Job, JobOutcome, Machine};
use vaquita_core::limits::Limits;
use vaquita_core::message::RestartPolicy;
use vaquita_core::planted::Planted;
use vaquita_core::prng::Seed;
use vaquita_core::state::build_checkpoint;
use vaquita_core::time::Timestamp;

use crate::env::{Disk, OpenDiskError};
use crate::os_env::OsDisk;

/// Set for the test that runs inside: where the small file system is.
const INSIDE: &str = "VAQUITA_SMALL_FILE_SYSTEM";
const NAME: &str =
    "os_env::tests::full_disk::a_full_disk_makes_the_controller_read_only_until_there_is_space";
/// What the shell ends with if there is no file system.
const NOT_MOUNTED: i32 = 77;

/// Says that a test cannot be run here for want of something; fails it where the gate has found that
/// the machine has it.
fn skip(needs: &str, why: &str) {
    let there = std::env::var("VAQUITA_NO_SKIPS").unwrap_or_default();
    let there = there.split_whitespace().any(|it| it == needs);
    assert!(!there, "skipped though this machine has {needs}: {why}");
    println!("SKIPPED: {why}");
}

#[tokio::test]
async fn a_full_disk_makes_the_controller_read_only_until_there_is_space() {
    if let Some(directory) = std::env::var_os(INSIDE) {
        return live_on(Path::new(&directory)).await;
    }
    let directory = TempDir::new().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=4m,mode=700 none \"$1\" || exit {NOT_MOUNTED}; \
         exec \"$2\" --exact {NAME} --nocapture"
    );
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            &script,
            "sh",
        ])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, directory.path())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return skip("mounts", &format!("`unshare` cannot be run: {error}")),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(NOT_MOUNTED) || complained.starts_with("unshare:") {
        let why = format!("no file system may be mounted here: {complained}");
        return skip("mounts", &why);
    }
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("1 passed"), "{said}{complained}");
}

/// A controller whose disk is real and whose time is not.
struct Life {
    controller: Controller,
    disk: OsDisk,
    now: Timestamp,
    told: Vec<String>,
    replies: BTreeMap<u64, Reply>,
    asked: u64,
}

fn site(alias: &str, port: u16) -> Site {
    Site {
        endpoint: Endpoint {
            host: "127.0.0.1".to_owned(),
            port,
        },
        alias: Alias::new(alias).unwrap(),
    }
}

impl Life {
    fn begin(disk: OsDisk) -> Self {
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
                segment_bytes: 16 * 1024,
                checkpoint_records: 200,
                ..Limits::default()
            },
            planted: Planted::default(),
        };
        let files = BTreeMap::<FileName, Vec<u8>>::new();
        let controller =
            Controller::new(config, &files, Seed::from_number(1), Timestamp::ZERO).unwrap();
        Self {
            controller,
            disk,
            now: Timestamp::ZERO,
            told: Vec::new(),
            replies: BTreeMap::new(),
            asked: 0,
        }
    }

    /// Does what the controller wants done until it wants nothing more.
    async fn settle(&mut self) {
        while let Some(effect) = self.controller.poll_effect() {
            match effect {
                Effect::Disk(batch) => {
                    let ticket = batch.ticket;
                    let result = self.disk.apply(batch).await;
                    self.tell(Input::DiskDone { ticket, result });
                }
                Effect::Job { job, work } => {
                    let Job::BuildCheckpoint(plan) = work else {
                        continue;
                    };
                    let mut files = BTreeMap::new();
                    for name in plan.base.iter().chain(&plan.segments) {
                        files.insert(name.clone(), self.disk.read(name).await.unwrap());
                    }
                    let built = build_checkpoint(&plan, &files);
                    let outcome = JobOutcome::CheckpointBuilt(built);
                    self.tell(Input::JobDone { job, outcome });
                }
                Effect::Notify(event) => self.told.push(event.name.to_owned()),
                Effect::Reply { id, reply } => {
                    self.replies.insert(id.0, reply);
                }
                Effect::Exit(reason) => panic!("it gave up: {reason:?}"),
                _ => {}
            }
        }
    }

    fn tell(&mut self, input: Input) {
        self.controller.handle(self.now, input);
    }

    /// Seconds go by.
    async fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.after(Duration::from_secs(1));
            self.tell(Input::Deadline);
            self.settle().await;
        }
    }

    /// One record more, if it is taken.
    async fn change(&mut self) -> Option<Reply> {
        self.asked += 1;
        let names = Selection::Aliases(vec!["P1-NODE1".to_owned()]);
        let verb = if self.asked.is_multiple_of(2) {
            Verb::StopNodes(names)
        } else {
            Verb::StartNodes(names)
        };
        self.ask(verb).await
    }

    async fn ask(&mut self, verb: Verb) -> Option<Reply> {
        let id = RequestId(1_000 + self.asked);
        let caller = Caller::CONSOLE;
        self.tell(Input::Request {
            id,
            request: Request { caller, verb },
        });
        self.settle().await;
        self.replies.remove(&id.0)
    }

    async fn files(&self) -> BTreeMap<FileName, u64> {
        self.disk.list().await.unwrap().files
    }

    fn was_told(&mut self, event: &str) -> bool {
        let told = self.told.iter().any(|name| name == event);
        self.told.retain(|name| name != event);
        told
    }
}

async fn live_on(directory: &Path) {
    let home = directory.join("home");
    let mut life = Life::begin(OsDisk::open(&home, super::disk::io()).unwrap());
    life.settle().await;
    let reserve = FileName::fixed("reserve.bin");
    let size = rustix::fs::statvfs(directory).unwrap();
    let twentieth = size.f_blocks * size.f_frsize / 20;
    assert_eq!(life.files().await[&reserve], twentieth);
    for _ in 0..500 {
        assert!(matches!(life.change().await, Some(Ok(_))));
    }
    let of_log = |name: &FileName| name.as_str().starts_with("seg-");
    let files = life.files().await;
    let oldest = files.into_keys().find(of_log).unwrap();

    // Somebody else fills the disk.
    let ballast = directory.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);
    let refused = loop {
        match life.change().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(life.was_told("metalog.full"));
    let Some(Err(Refusal::Unavailable { reason })) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("is full"), "{reason}");
    let Some(Ok(Response::Status(report))) = life.ask(Verb::Status).await else {
        panic!("it does not say how it is");
    };
    let alarm = |alarm: &String| alarm.starts_with("MetaReadOnly");
    assert!(report.alarms.iter().any(alarm), "{:?}", report.alarms);
    let files = life.files().await;
    assert!(!files.contains_key(&reserve), "the reserve was given up");
    assert!(
        life.was_told("metalog.checkpoint"),
        "a checkpoint was made of it"
    );
    assert!(
        !files.contains_key(&oldest),
        "and let {oldest} go: {files:?}"
    );

    // It stays so while the disk is full, also as far as the reserve goes.
    let mut file = std::fs::File::create(directory.join("more")).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);
    life.wait(30).await;
    assert!(matches!(
        life.change().await,
        Some(Err(Refusal::Unavailable { .. }))
    ));
    assert!(!life.was_told("metalog.space"));

    // Whoever starts anew now is not refused: a full disk is there to be read.
    let other = directory.join("other");
    let opened = OsDisk::open(&other, super::disk::io()).unwrap();
    let refused = OsDisk::open(&other, super::disk::io()).unwrap_err();
    assert!(matches!(refused, OpenDiskError::InUse { .. }), "{refused}");
    drop(opened);

    std::fs::remove_file(ballast).unwrap();
    life.wait(6).await;
    assert!(life.was_told("metalog.space"));
    assert_eq!(life.files().await[&reserve], twentieth, "for the next time");
    for _ in 0..10 {
        assert!(
            matches!(life.change().await, Some(Ok(_))),
            "it serves again"
        );
    }
}
