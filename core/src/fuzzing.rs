//! Bodies for fuzzers: processes start on homes that nobody wrote, and names are read that nobody has.
//!
//! The bodies of this and of the other crates are compiled always, and hidden from the documentation. They
//! are called from three sides that build the crates each in their own way: property tests beside them, a
//! test of all corpora (`simtests/tests/fuzz_corpora.rs`), and the workspace of the fuzzers. A feature
//! would have the crates built twice for that, and the bodies go stale where it is off; a program has
//! nothing of them, since the linker leaves out what nobody calls.

mod names;
#[cfg(test)]
mod tests;

use core::time::Duration;

use arbitrary::{Result, Unstructured};

pub use self::names::fuzz_names;
use crate::agent::{Agent, AgentConfig};
use crate::controller::{Controller, ControllerConfig, FilesConfig, Member};
use crate::datanode::{DataNode, DataNodeConfig, VolumesConfig};
use crate::disk::FileName;
use crate::ids::{Alias, Endpoint, HostId, LineageId, Role, Site};
use crate::io::{CloseReason, Effect, ExitCode, ExitReason, Input, Job, JobOutcome, Machine};
use crate::io::{Piece, PieceAsk};
use crate::limits::Limits;
use crate::message::RestartPolicy;
use crate::mirror::{self, Shelf};
use crate::node_machine::Files;
use crate::planted::Planted;
use crate::prng::Seed;
use crate::process::ProcessIdentity;
use crate::rebuild::{Rebuild, RebuildConfig};
use crate::state;
use crate::state_file;
use crate::store::{VolumeTrouble, VolumeTroubleKind};
use crate::time::Timestamp;
use crate::uplink::NodeFacts;

/// Inputs that a process is told before it is stopped.
const STEPS: usize = 60;

/// Starts a process of some role on the files that `data` describes, lets it run by itself for a
/// while, and starts it once more on what it has left.
///
/// # Panics
/// If it is not said which file is in the way of a start, if a process contradicts itself, or if what it
/// has written keeps it from starting.
pub fn fuzz_home(data: &[u8]) {
    let _ = home(&mut Unstructured::new(data));
}

fn home(input: &mut Unstructured<'_>) -> Result<()> {
    let role = input.int_in_range(0..=3)?;
    let mut files = Files::new();
    while !input.is_empty() && files.len() < 8 {
        let (name, bytes) = file(input)?;
        files.insert(name, bytes);
    }
    let before = files.clone();
    let mut machine = match start(role, &files) {
        Ok(machine) => machine,
        Err(refusal) => {
            refused(&refusal, &files);
            return Ok(());
        }
    };
    let ended = run(&mut *machine, &mut files);
    for fault in &ended.faults {
        assert!(says_where(fault, &before), "which file? {fault}");
    }
    if let Some(reason) = ended.reason.filter(|it| it.code != ExitCode::Success) {
        assert!(!reason.message.is_empty(), "an end without a reason");
        if reason.code == ExitCode::CorruptData {
            refused(&reason, &before);
        }
        if matches!(reason.code, ExitCode::CorruptData | ExitCode::Refused) {
            assert!(files == before, "a home that is refused was changed");
        }
        return Ok(());
    }
    if let Err(reason) = start(role, &files) {
        panic!("what a process has written keeps it from starting: {reason:?}");
    }
    Ok(())
}

/// Panics unless somebody can tell from the refusal what is wrong where.
fn refused(refusal: &ExitReason, files: &Files) {
    let says_what = match refusal.code {
        ExitCode::CorruptData => says_where(&refusal.message, files),
        // The one mistake that is the caller's and not the disk's.
        ExitCode::Usage => refusal.message.starts_with("this home belongs to "),
        _ => false,
    };
    assert!(says_what, "what is wrong where? {refusal:?}");
}

/// Whether these words begin with the file that is damaged, or are about no file of those there are.
fn says_where(fault: &str, files: &Files) -> bool {
    const OF_NONE: [&str; 5] = [
        "a repair of this home was begun and not finished",
        "there is a metadata log and no cluster.id",
        "there is a log, and no cluster.id",
        "the home has no log at all",
        "the metadata log cannot be replayed",
    ];
    let begins_with = |file: &FileName| {
        let rest = fault.strip_prefix(file.as_str());
        rest.is_some_and(|rest| rest.starts_with(" is damaged (") || rest.starts_with(" at byte "))
    };
    files.keys().any(begins_with) || OF_NONE.iter().any(|it| fault.starts_with(it))
}

/// A file of a home: bytes as they are, or a whole state file with these bytes in it.
fn file(input: &mut Unstructured<'_>) -> Result<(FileName, Vec<u8>)> {
    const NAMES: [&str; 14] = [
        "node.id",
        "agent.state",
        "volumes.state",
        "cluster.id",
        "repair.id",
        "cluster.id.tmp",
        "seg-00000000000000000001.log",
        "snap-00000000000000000004.snap",
        "seg-00000000000000000005.log",
        "mirror-seg-00000000000000000001.log",
        "mirror-snap-00000000000000000004.snap",
        "aside-seg-00000000000000000001.log",
        "reserve",
        "something-else",
    ];
    let name = FileName::fixed(input.choose(&NAMES)?);
    let is_whole = input.arbitrary()?;
    let len = input.arbitrary::<u16>()?;
    let bytes = input.bytes(input.len().min(len.into()))?;
    let bytes = match is_whole {
        true => state_file::frame(bytes),
        false => bytes.to_vec(),
    };
    Ok((name, bytes))
}

fn site(host: u8, port: u16, alias: &str) -> Site {
    Site {
        endpoint: Endpoint {
            host: format!("127.0.0.{host}"),
            port,
        },
        alias: Alias::new(alias).expect("an alias"),
    }
}

fn facts(site: Site, role: Role) -> NodeFacts {
    NodeFacts {
        site,
        role,
        controller_site: self::site(1, 8990, "master"),
        lan_cluster: true,
        host: HostId::new([2; 16]),
        process: ProcessIdentity {
            pid: 101,
            start_ticks: 707,
            boot_id: "boot-1".to_owned(),
            executable: (1, 2),
        },
        build: "test".to_owned(),
    }
}

/// What the controllers of fuzzers are started with, here and behind the HTTP interface.
#[must_use]
pub fn controller_config() -> ControllerConfig {
    let member = |site, role| Member {
        site,
        role,
        host: "127.0.0.2".to_owned(),
        node_cfg: String::new(),
    };
    ControllerConfig {
        site: site(1, 8990, "master"),
        members: vec![
            member(site(2, 8960, "P1-agent"), Role::Agent),
            member(site(2, 8961, "P1-NODE1"), Role::DataNode),
        ],
        heartbeat_timeout: Duration::from_secs(8),
        recovery_wait: Some(Duration::from_secs(300)),
        lan_cluster: true,
        restart: RestartPolicy::Backoff,
        restart_stopped: false,
        secret: None,
        bootstrap: None,
        files: FilesConfig::default(),
        mirrors: 0,
        build: "test".to_owned(),
        limits: limits(),
        planted: Planted::default(),
    }
}

/// A reserve that fits into memory a thousand times a second.
fn limits() -> Limits {
    Limits {
        reserve_bytes: 4096,
        ..Limits::default()
    }
}

/// Sites are those of the tests' own clusters, so that homes can be had from there.
fn start(role: u8, files: &Files) -> core::result::Result<Box<dyn Machine>, ExitReason> {
    let seed = Seed::from_number(7);
    let now = Timestamp::ZERO;
    let limits = limits();
    let planted = Planted::default();
    let agent = site(2, 8960, "P1-agent");
    let node = site(2, 8961, "P1-NODE1");
    Ok(match role {
        0 => {
            let config = AgentConfig {
                facts: facts(agent, Role::Agent),
                secret: None,
                node_lines: String::new(),
                limits,
                planted,
            };
            Box::new(Agent::new(config, files, seed, now)?)
        }
        1 => {
            let config = DataNodeConfig {
                facts: facts(node, Role::DataNode),
                agent: Some(agent.endpoint),
                volumes: VolumesConfig::default(),
                secret: None,
                limits,
                planted,
            };
            Box::new(DataNode::new(config, files, seed, now)?)
        }
        2 => {
            let config = controller_config();
            Box::new(Controller::new(config, files, seed, now)?)
        }
        _ => {
            let config = RebuildConfig {
                site: site(1, 8990, "master"),
                members: vec![(node, Role::DataNode)],
                secret: None,
                lineage: LineageId::new([0x33; 16]),
                write: true,
                accept_loss: true,
                from: None,
                patience: Duration::from_secs(5),
                build: "test".to_owned(),
                limits,
            };
            Box::new(Rebuild::new(config, files, seed, now))
        }
    })
}

/// What came of a process.
#[derive(Default)]
struct Ended {
    /// How it ended, if it did.
    reason: Option<ExitReason>,
    /// What it said of why a log in the home cannot be used.
    faults: Vec<String>,
}

/// Runs a process with a disk that keeps what it is given, and nobody to talk to.
fn run(machine: &mut dyn Machine, files: &mut Files) -> Ended {
    let mut now = Timestamp::ZERO;
    let mut inputs = std::collections::VecDeque::new();
    let mut ended = Ended::default();
    for _ in 0..STEPS {
        machine.check_invariants();
        while let Some(effect) = machine.poll_effect() {
            match effect {
                Effect::Exit(reason) => {
                    ended.reason = Some(reason);
                    return ended;
                }
                // A rebuild is for logs that cannot be used: it says why, and asks others for theirs.
                Effect::Notify(event) if event.name == "rebuild.home" => {
                    ended.faults.extend(fault_told(&event.message));
                }
                effect => inputs.extend(carry_out(effect, files)),
            }
        }
        let input = match inputs.pop_front() {
            Some(input) => input,
            None => match machine.poll_timeout() {
                Some(timeout) => {
                    now = now.max(timeout);
                    Input::Deadline
                }
                None => return ended,
            },
        };
        machine.handle(now, input);
    }
    ended
}

/// Why the log of a home cannot be used, if this is what a rebuild says of one that cannot.
fn fault_told(message: &str) -> Option<String> {
    if message.contains("its log ends with record ") || message.ends_with("there is no log in it") {
        return None;
    }
    let (_, fault) = (message.split_once("its log cannot be used: "))
        .unwrap_or_else(|| panic!("what is the matter with the log? {message}"));
    Some(fault.to_owned())
}

fn carry_out(effect: Effect, files: &mut Files) -> Option<Input> {
    Some(match effect {
        Effect::Disk(batch) => {
            batch.ops.iter().for_each(|op| op.apply_in_memory(files));
            Input::DiskDone {
                ticket: batch.ticket,
                result: Ok(()),
            }
        }
        Effect::Connect { conn, .. } => Input::Closed {
            conn,
            reason: CloseReason::Refused,
        },
        Effect::OpenVolume { slot, .. } => Input::VolumeOpened {
            slot,
            result: Err(VolumeTrouble {
                kind: VolumeTroubleKind::Missing,
                reason: "there is none".to_owned(),
            }),
        },
        Effect::ReadLabel { slot, ticket } => Input::LabelRead {
            slot,
            ticket,
            result: Err("there is none".to_owned()),
        },
        Effect::Job { job, work } => Input::JobDone {
            job,
            outcome: outcome(work, files),
        },
        _ => return None,
    })
}

fn outcome(work: Job, files: &Files) -> JobOutcome {
    match work {
        Job::HashPassword { .. } => JobOutcome::PasswordHashed("a hash".to_owned()),
        Job::VerifyPassword { .. } => JobOutcome::PasswordVerified(false),
        Job::BuildCheckpoint(plan) => {
            JobOutcome::CheckpointBuilt(state::build_checkpoint(&plan, files))
        }
        Job::ReadPiece(ask) => JobOutcome::PieceRead(piece(&ask, files)),
        Job::SurveyMirrors { cluster, deep } => {
            let survey = |shelf| mirror::survey(files, shelf, cluster, deep);
            let copies = (survey(Shelf::Present), survey(Shelf::Aside));
            JobOutcome::MirrorsSurveyed(Ok(Box::new(copies)))
        }
    }
}

fn piece(ask: &PieceAsk, files: &Files) -> core::result::Result<Piece, String> {
    match files.get(&ask.file) {
        Some(bytes) => Ok(Piece::cut(bytes, ask)),
        None => Err(format!("there is no {}", ask.file)),
    }
}
