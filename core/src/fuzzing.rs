//! Bodies for fuzzers: processes start on homes that nobody wrote, and names are read that nobody has.

#[cfg(test)]
mod tests;

use core::time::Duration;

use arbitrary::{Result, Unstructured};

use crate::access::UserName;
use crate::agent::{Agent, AgentConfig};
use crate::controller::{Controller, ControllerConfig, FilesConfig, Member};
use crate::datanode::{DataNode, DataNodeConfig, VolumesConfig};
use crate::dfs::path::DfsPath;
use crate::disk::FileName;
use crate::ids::{Alias, Endpoint, HostId, LineageId, Role, Site};
use crate::io::{CloseReason, Effect, ExitCode, ExitReason, Input, Job, JobOutcome, Machine};
use crate::io::{Piece, PieceAsk};
use crate::limits::Limits;
use crate::message::RestartPolicy;
use crate::metalog;
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

/// Reads `data` as a name of each kind.
///
/// # Panics
/// If a name that can be read is not written as it reads, or a path is not that of its names.
pub fn fuzz_names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(alias) = Alias::new(&text) {
        assert_eq!(alias.as_str(), text);
    }
    if let Ok(user) = UserName::new(&text) {
        assert_eq!(user.as_str(), text);
    }
    if let Some(file) = FileName::new(&text) {
        assert_eq!(file.as_str(), text);
        assert!(!text.contains('/') && !text.starts_with('.'), "{text:?}");
    }
    let Ok(path) = DfsPath::parse(&text) else {
        return;
    };
    assert_eq!(DfsPath::parse(&path.to_string()).as_ref(), Ok(&path));
    let again = path.names().try_fold(DfsPath::root(), |path, name| {
        assert!(!matches!(name, "" | "." | ".."), "{text:?}");
        path.join(name)
    });
    assert_eq!(again.as_ref(), Ok(&path), "{text:?}");
    assert!(DfsPath::root().contains(&path) && path.contains(&path));
    if let Some((parent, name)) = path.split_last() {
        assert_eq!(parent.join(name).as_ref(), Ok(&path));
        assert!(parent.contains(&path) && !path.contains(&parent));
    }
}

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
    if let Some(reason) = ended.filter(|reason| reason.code != ExitCode::Success) {
        assert!(!reason.message.is_empty(), "an end without a reason");
        if reason.code == ExitCode::CorruptData {
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
    assert!(
        matches!(refusal.code, ExitCode::CorruptData | ExitCode::Usage),
        "{refusal:?}"
    );
    let names_it = files
        .keys()
        .any(|name| refusal.message.contains(name.as_str()));
    let about_the_home = ["metadata log", "this home", "the home"]
        .iter()
        .any(|it| refusal.message.contains(it));
    assert!(
        names_it || about_the_home,
        "which file? {}",
        refusal.message
    );
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

/// Sites are those of the tests' own clusters, so that homes can be had from there.
fn start(role: u8, files: &Files) -> core::result::Result<Box<dyn Machine>, ExitReason> {
    let seed = Seed::from_number(7);
    let now = Timestamp::ZERO;
    let limits = Limits {
        reserve_bytes: 4096,
        ..Limits::default()
    };
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
            let member = |site, role| Member {
                site,
                role,
                host: "127.0.0.2".to_owned(),
                node_cfg: String::new(),
            };
            let config = ControllerConfig {
                site: site(1, 8990, "master"),
                members: vec![member(agent, Role::Agent), member(node, Role::DataNode)],
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
                limits,
                planted,
            };
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

/// Runs a process with a disk that keeps what it is given, and nobody to talk to. Returns how it ended,
/// if it did.
fn run(machine: &mut dyn Machine, files: &mut Files) -> Option<ExitReason> {
    let mut now = Timestamp::ZERO;
    let mut inputs = std::collections::VecDeque::new();
    for _ in 0..STEPS {
        machine.check_invariants();
        while let Some(effect) = machine.poll_effect() {
            if let Effect::Exit(reason) = effect {
                return Some(reason);
            }
            inputs.extend(carry_out(effect, files));
        }
        let input = match inputs.pop_front() {
            Some(input) => input,
            None => {
                now = now.max(machine.poll_timeout()?);
                Input::Deadline
            }
        };
        machine.handle(now, input);
    }
    None
}

fn carry_out(effect: Effect, files: &mut Files) -> Option<Input> {
    Some(match effect {
        Effect::Disk(batch) => {
            metalog::apply(files, &batch.ops);
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
