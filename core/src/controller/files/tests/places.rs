//! Which places are good ones.

use super::*;

/// New chunks go elsewhere as far as they can, and readers ask the others first.
#[test]
fn a_node_whose_disks_are_slow_is_asked_last() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let chunk = open_write(&mut cluster);
    let controller = cluster.controller();
    assert!(try_commit(controller, now, &[chunk]).is_none());
    let nodes = data_nodes(controller);
    for (slow, ..) in &nodes {
        for (slot, ..) in &nodes {
            let volumes = vec![VolumeFacts {
                for_ms: 0,
                label: None,
                removed: false,
                draining: None,
                slot: VolumeSlot(0),
                path: "/disk".to_owned(),
                id: None,
                state: match slot == slow {
                    true => VolumeState::Slow,
                    false => VolumeState::Good,
                },
                capacity: 1 << 40,
                free: 1 << 39,
                promised: 0,
                reason: String::new(),
                chunks: 1,
                chunk_bytes: LEN,
            }];
            controller.volumes_now(now, *slot, VolumesNow { volumes });
        }
        for (slot, ..) in &nodes {
            let fitness = controller.files.candidates.get(*slot).unwrap().fitness;
            let expected = match slot == slow {
                true => Fitness::Slow,
                false => Fitness::Fit,
            };
            assert_eq!(fitness, expected);
        }
        let view = controller.names().chunk_version(chunk).unwrap();
        for turn in 0..4 {
            let place = controller.place_of(&view, turn);
            assert_eq!(place.replicas.len(), 2);
            let last = controller.slot_of(place.replicas[1].node);
            assert_eq!(last, Some(*slow), "turn {turn}");
        }
    }
}
