//! Datagrams that nobody of the cluster has sent.

use std::time::Duration;

use vaquita_core::admin::NodeState;
use vaquita_core::ids::{Alias, ClusterId};
use vaquita_core::message::{Beat, BeatAck, Envelope, Message};
use vaquita_core::secret::ClusterSecret;
use vaquita_core::wire::datagram::{self, Direction};
use vaquita_core::wire::keys::Keyring;

use super::{MASTER, Vaquita, VaquitaWorld, bring_online, controller, row};
use crate::net::Cut;
use crate::plan::Step;
use crate::streams::Stream;
use crate::world::Failure;

/// The secret of some other cluster.
fn another_secret() -> Keyring {
    Keyring::new(ClusterSecret::new([0x5a; 32]).as_ref())
}

/// One kind of forgery.
#[derive(Clone, Copy, Debug)]
enum Forgery {
    /// Bytes by chance.
    Noise,
    /// A heartbeat without a tag.
    Untagged,
    /// A heartbeat with the tag of another cluster's secret.
    OtherSecret,
    /// A heartbeat with the right tag that names another cluster, as of a copy of this one.
    OtherCluster,
    /// A heartbeat with the right tag and the end of it missing.
    Piece,
    /// A heartbeat with the right tag of the other direction, as one that is sent back.
    SentBack,
}

const FORGERIES: [Forgery; 6] = [
    Forgery::Noise,
    Forgery::Untagged,
    Forgery::OtherSecret,
    Forgery::OtherCluster,
    Forgery::Piece,
    Forgery::SentBack,
];

/// What stands in a forged message: everything that can be seen on the wire is right, and the
/// number is a fresh one.
fn forge(world: &VaquitaWorld, forgery: Forgery, alias: &Alias, seq: u64) -> Option<[Vec<u8>; 2]> {
    let (_, machine) = controller(world)?;
    let registration = machine.state().registry.get(alias)?;
    let (controller_epoch, _) = machine.epoch();
    let mut envelope = Envelope {
        cluster: machine.state().cluster,
        controller_epoch,
        node: Some(registration.node),
        node_epoch: registration.epoch,
    };
    if matches!(forgery, Forgery::OtherCluster) {
        envelope.cluster = Some(ClusterId::new([9; 16]));
        // A node knows its controller by the epochs alone.
        envelope.node_epoch.0 += 1_000;
    }
    let keyring = match forgery {
        Forgery::Untagged => Keyring::new(None),
        Forgery::OtherSecret => another_secret(),
        _ => world.factory().keyring(),
    };
    let (_, commit_index) = machine.log_positions();
    let beat = Message::Beat(Beat {
        seq,
        acked: seq,
        udp_blocked: false,
        self_fenced: false,
        lag_ms: 0,
        seen_index: commit_index,
        inventory: 0,
        news: 0,
    });
    let ack = Message::BeatAck(BeatAck { seq, commit_index });
    let mut draw = world.streams().at(Stream::Fault, u64::MAX, seq);
    let mut seal = |message: Message, direction: Direction| {
        let direction = match (forgery, direction) {
            (Forgery::SentBack, Direction::ToController) => Direction::ToNode,
            (Forgery::SentBack, Direction::ToNode) => Direction::ToController,
            (_, direction) => direction,
        };
        let key = keyring.datagram_key(direction, registration.node);
        let kind = message.kind();
        let mut bytes = datagram::seal(&key, kind, seq, &message.encode(envelope.clone()));
        match forgery {
            Forgery::Noise => {
                for byte in &mut bytes {
                    *byte = draw.below(256).to_le_bytes()[0];
                }
            }
            Forgery::Piece => bytes.truncate(crate::streams::index(draw.below(bytes.len() as u64))),
            _ => {}
        }
        bytes
    };
    Some([
        seal(beat, Direction::ToController),
        seal(ack, Direction::ToNode),
    ])
}

/// A host loses its power while forged heartbeats of its node go on; later another is cut off while
/// forged answers to its node's heartbeats go on. Both must be noticed as if there were no forgeries.
///
/// # Errors
/// If one of them is not noticed in time.
pub fn forged_datagrams(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    world.run_for(Duration::from_secs(2))?;
    let forgery = FORGERIES[crate::streams::index(world.seed() % FORGERIES.len() as u64)];
    let stranger = world.host("h4");
    let (dead, cut) = (world.node("P2-NODE1"), world.node("P3-NODE1"));
    let (Some(stranger), Some(dead), Some(cut), Some(master)) =
        (stranger.or(world.host("h1")), dead, cut, world.node(MASTER))
    else {
        world.fail(None, "the cluster has too few hosts".to_owned());
        return world.finish();
    };
    let host = world.host_of(dead);
    world.power_cut(host);
    for (from, to) in [("h0", "h3"), ("h3", "h0")] {
        let (from, to) = (from.to_owned(), to.to_owned());
        let what = Cut::All;
        world.disturb(&Step::Cut { from, to, what });
    }
    let names = [world.alias(dead).clone(), world.alias(cut).clone()];
    for round in 0..90 {
        // Far above what the node has counted, and within it.
        let seq = if round % 2 == 0 {
            1_000 + round
        } else {
            20 + round
        };
        for (name, to_node) in [(&names[0], dead), (&names[1], cut)] {
            if let Some([beat, ack]) = forge(world, forgery, name, seq) {
                world.inject((stranger, 7), master, beat);
                world.inject((stranger, 7), to_node, ack);
            }
        }
        world.run_for(Duration::from_millis(100))?;
    }
    for name in &names {
        let state = row(world, name.as_str()).map(|row| row.state);
        if state != Some(NodeState::Offline) {
            let what = format!("{forgery:?}: {name} is {state:?} after 9 s without a heartbeat");
            world.fail(None, what);
        }
    }
    let fenced = match world.machine(cut) {
        Some(Vaquita::DataNode(node)) => node.identity().3,
        _ => false,
    };
    if !fenced {
        let what = format!("{forgery:?}: a node that is cut off has not fenced itself");
        world.fail(Some(cut), what);
    }
    world.disturb(&Step::HealAll);
    super::wait_until(world, "all online again", super::all_online)
}
