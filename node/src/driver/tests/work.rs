use std::sync::Arc;

use vaquita_core::disk::{DiskBatch, DiskOp, FileName, Lane};
use vaquita_core::ids::{ClusterId, DiskTicket, JobId, LineageId, LogIndex};
use vaquita_core::io::{Effect, Input, Job, JobOutcome};
use vaquita_core::metalog::CheckpointPlan;
use vaquita_core::secret::Password;

use super::{Running, Setup, idle};

fn append(ticket: u64, offset: u64, bytes: &[u8]) -> Effect {
    Effect::Disk(DiskBatch {
        ticket: DiskTicket(ticket),
        lane: Lane::Foreground,
        ops: vec![
            DiskOp::Append {
                file: FileName::fixed("log"),
                offset,
                bytes: bytes.to_vec(),
            },
            DiskOp::Sync {
                file: FileName::fixed("log"),
            },
        ],
    })
}

fn create() -> Effect {
    Effect::Disk(DiskBatch {
        ticket: DiskTicket(0),
        lane: Lane::Foreground,
        ops: vec![DiskOp::CreateNew {
            file: FileName::fixed("log"),
        }],
    })
}

#[tokio::test]
async fn batches_of_a_lane_are_done_in_order_and_each_is_reported() {
    let mut first = vec![create()];
    first.extend((0..50).map(|number| {
        let text = format!("{number:02}");
        append(1 + number, 2 * number, text.as_bytes())
    }));
    let mut driver = Setup::new().first(first).start(idle).await;
    for number in 0..=50 {
        let done = Input::DiskDone {
            ticket: DiskTicket(number),
            result: Ok(()),
        };
        assert_eq!(driver.told().await, done);
    }
    let written = std::fs::read_to_string(driver.home().join("log")).unwrap();
    let expected: String = (0..50).map(|number| format!("{number:02}")).collect();
    assert_eq!(written, expected);
}

#[tokio::test]
async fn a_fault_of_the_disk_is_told_to_the_machine() {
    let mut driver = Setup::new()
        .first(vec![append(9, 0, b"no such file")])
        .start(idle)
        .await;
    let Input::DiskDone { ticket, result } = driver.told().await else {
        panic!("no completion");
    };
    assert_eq!(ticket, DiskTicket(9));
    let fault = result.unwrap_err();
    assert!(fault.message.contains("No such file"), "{fault}");
}

fn job(number: u64, work: Job) -> Effect {
    let job = JobId(number);
    Effect::Job { job, work }
}

async fn outcome(driver: &mut Running) -> (JobId, JobOutcome) {
    match driver.told().await {
        Input::JobDone { job, outcome } => (job, outcome),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn passwords_are_hashed_with_a_new_salt_and_recognised_again() {
    let password = || Password::new("correct horse".to_owned());
    let verify = |number, password, stored| {
        let work = Job::VerifyPassword { password, stored };
        job(number, work)
    };
    let mut driver = Setup::new()
        .first(vec![job(
            1,
            Job::HashPassword {
                password: password(),
            },
        )])
        .start(move |toy, _, input| {
            let Input::JobDone { outcome, .. } = input else {
                return;
            };
            if let JobOutcome::PasswordHashed(hash) = outcome {
                assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
                let wrong = Password::new("Correct horse".to_owned());
                toy.emit(verify(2, password(), Some(hash.clone())));
                toy.emit(verify(3, wrong, Some(hash.clone())));
                toy.emit(verify(4, password(), None));
                toy.emit(verify(5, password(), Some("no hash at all".to_owned())));
                // What a hostile hash would cost is not paid.
                let greedy = hash.replace("m=64,", "m=4000000000,");
                toy.emit(verify(6, password(), Some(greedy)));
            }
        })
        .await;
    outcome(&mut driver).await;
    let mut verdicts = Vec::new();
    for _ in 2..=6 {
        match outcome(&mut driver).await {
            (JobId(number), JobOutcome::PasswordVerified(yes)) => verdicts.push((number, yes)),
            other => panic!("{other:?}"),
        }
    }
    verdicts.sort_unstable();
    let expected = [(2, true), (3, false), (4, false), (5, false), (6, false)];
    assert_eq!(verdicts, expected);
}

#[tokio::test]
async fn a_checkpoint_is_built_from_the_files_of_its_plan_in_order() {
    let plan = CheckpointPlan {
        base: Some(FileName::fixed("snap")),
        segments: vec![FileName::fixed("seg-2"), FileName::fixed("seg-1")],
        upto: LogIndex(7),
        upto_crc: 0,
        cluster: ClusterId::new([1; 16]),
        lineage: LineageId::new([2; 16]),
    };
    let missing = CheckpointPlan {
        base: Some(FileName::fixed("gone")),
        ..plan.clone()
    };
    let mut setup = Setup::new();
    for (name, text) in [("snap", "base "), ("seg-1", "one "), ("seg-2", "two ")] {
        std::fs::write(setup.home.path().join(name), text).unwrap();
    }
    setup.build_checkpoint = Some(Arc::new(|plan, files| {
        let mut state = plan.upto.to_string().into_bytes();
        for (name, bytes) in files {
            state.extend_from_slice(format!(" {name}:").as_bytes());
            state.extend_from_slice(bytes);
        }
        Ok(state)
    }));
    let mut driver = setup
        .first(vec![job(1, Job::BuildCheckpoint(plan))])
        .start(move |toy, _, input| {
            if matches!(input, Input::JobDone { job: JobId(1), .. }) {
                toy.emit(job(2, Job::BuildCheckpoint(missing.clone())));
            }
        })
        .await;
    let built = Ok(b"7 snap:base  seg-2:two  seg-1:one ".to_vec());
    let expected = (JobId(1), JobOutcome::CheckpointBuilt(built));
    assert_eq!(outcome(&mut driver).await, expected);
    let (_, JobOutcome::CheckpointBuilt(Err(reason))) = outcome(&mut driver).await else {
        panic!("a file that is gone cannot be built from");
    };
    assert!(reason.contains("cannot open gone"), "{reason}");
}
