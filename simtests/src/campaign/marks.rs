//! The marks of a campaign: which kinds of notice machines can give, and which were never given. One that
//! is never given says that something is never put to the test.

use std::collections::BTreeMap;

/// Every kind of notice that a machine of the core can give.
pub const KNOWN: &[&str] = &[
    "access.first_account",
    "access.login",
    "access.login_failed",
    "access.setup_code",
    "access.setup_code_void",
    "access.setup_file",
    "access.throttled",
    "access.well_known_password",
    "agent.disk",
    "agent.ending",
    "audit.broken",
    "audit.left_out",
    "balance.changed",
    "child.adopted",
    "child.crashed",
    "child.ended_by_hand",
    "child.failed",
    "child.killed",
    "child.launch_failed",
    "child.port_held",
    "child.started",
    "child.stopped",
    "child.unproven",
    "cluster.all_green",
    "cluster.mass_event",
    "config.taken_up",
    "controller.datagrams_dropped",
    "controller.ending",
    "controller.home",
    "controller.not_allowed",
    "controller.rollback_seen",
    "controller.serving",
    "files.damaged",
    "files.divergent",
    "files.drift",
    "files.loss_settled",
    "files.settled",
    "files.write_given_up",
    "metalog.checkpoint",
    "metalog.checkpoint_failed",
    "metalog.damaged_checkpoint",
    "metalog.fault",
    "metalog.full",
    "metalog.lineage",
    "metalog.no_reserve",
    "metalog.reserved",
    "metalog.skip",
    "metalog.space",
    "metalog.torn",
    "mirror.anew",
    "mirror.complete",
    "mirror.disk",
    "mirror.trouble",
    "node.absent",
    "node.auto_start",
    "node.configuration_differs",
    "node.drained",
    "node.duty",
    "node.ending",
    "node.failed",
    "node.left",
    "node.lost",
    "node.offline",
    "node.online",
    "node.orphaned",
    "node.quarantined",
    "node.refused",
    "node.registered",
    "node.removed",
    "node.replaced",
    "node.suspect",
    "node.tcp_back",
    "node.tcp_blocked",
    "node.udp_back",
    "node.udp_blocked",
    "node.unsuspected",
    "rebuild.choice",
    "rebuild.found",
    "rebuild.home",
    "rebuild.plan",
    "release.refused",
    "repair.adopted",
    "repair.copied",
    "repair.failed",
    "repair.given_up",
    "repair.node_given_up",
    "repair.suspended",
    "report.wanted",
    "scrub.pass",
    "uplink.disk",
    "uplink.down",
    "uplink.fenced",
    "uplink.mute",
    "uplink.not_a_controller",
    "uplink.online",
    "uplink.other_controller",
    "uplink.refused",
    "uplink.remark",
    "uplink.rollback_seen",
    "uplink.self_fenced",
    "uplink.silent",
    "uplink.stale_controller",
    "uplink.udp_back",
    "uplink.udp_blocked",
    "uplink.unfenced",
    "volume.adopted",
    "volume.back",
    "volume.damage",
    "volume.damaged_chunk",
    "volume.duty",
    "volume.exchanged",
    "volume.forgotten",
    "volume.given",
    "volume.label",
    "volume.memory",
    "volume.new",
    "volume.out",
    "volume.slow",
    "volume.state",
    "volume.unequal",
    "volume.well",
    "wire.malformed",
    "wire.too_long",
    "wire.unknown_kind",
];

/// Those that no campaign reaches, and where they are put to the test instead.
pub const ELSEWHERE: &[(&str, &str)] = &[
    (
        "access.first_account",
        "no client of a campaign logs in: core/src/access/tests",
    ),
    ("access.login", "core/src/access/tests"),
    ("access.login_failed", "core/src/access/tests"),
    ("access.setup_code", "core/src/access/tests"),
    ("access.setup_code_void", "core/src/access/tests"),
    ("access.setup_file", "core/src/access/tests"),
    ("access.throttled", "core/src/access/tests"),
    ("access.well_known_password", "core/src/access/tests"),
    ("audit.broken", "core/src/audit/tests.rs"),
    ("audit.left_out", "core/src/audit/tests.rs"),
    ("controller.not_allowed", "core/src/controller/tests"),
    (
        "controller.rollback_seen",
        "the controller's disk lies in no campaign: simtests/tests/world/damage.rs",
    ),
    ("files.divergent", "simtests/tests/files/rebuilt.rs"),
    (
        "files.loss_settled",
        "nobody accepts a loss in a campaign: simtests/tests/files/rebuilt.rs",
    ),
    (
        "metalog.damaged_checkpoint",
        "simtests/tests/world/damage.rs",
    ),
    ("metalog.lineage", "simtests/tests/files/rebuilt.rs"),
    ("metalog.no_reserve", "core/src/metalog/tests"),
    ("metalog.skip", "simtests/tests/files/rebuilt.rs"),
    ("node.auto_start", "core/src/controller/tests"),
    ("node.configuration_differs", "core/src/controller/tests"),
    (
        "node.orphaned",
        "no row is taken out of the nodes file in a campaign: simtests/tests/files/orphans.rs",
    ),
    ("node.removed", "simtests/tests/files/orphans.rs"),
    ("node.replaced", "simtests/tests/world/replaced.rs"),
    ("rebuild.choice", "simtests/tests/files/rebuilt.rs"),
    ("rebuild.found", "simtests/tests/files/rebuilt.rs"),
    ("rebuild.home", "simtests/tests/files/rebuilt.rs"),
    ("rebuild.plan", "simtests/tests/files/rebuilt.rs"),
    ("uplink.other_controller", "simtests/tests/world/damage.rs"),
    (
        "volume.adopted",
        "no disk goes to another node in a campaign: simtests/tests/files/wrong_disks.rs",
    ),
    ("volume.exchanged", "simtests/tests/files/wrong_disks.rs"),
    ("volume.forgotten", "simtests/tests/files/rescans.rs"),
    ("volume.given", "simtests/tests/files/wrong_disks.rs"),
    ("volume.unequal", "simtests/tests/files/wrong_disks.rs"),
    (
        "wire.malformed",
        "what is damaged on its way is no frame: core/src/wire/tests",
    ),
    ("wire.too_long", "core/src/wire/tests"),
    ("wire.unknown_kind", "simtests/tests/world/versions.rs"),
];

/// The marks that a campaign should have reached and has not.
#[must_use]
pub fn never_reached(marks: &BTreeMap<&'static str, u64>) -> Vec<&'static str> {
    let elsewhere = |mark: &str| ELSEWHERE.iter().any(|(name, _)| *name == mark);
    let missing = KNOWN
        .iter()
        .filter(|mark| !marks.contains_key(**mark) && !elsewhere(mark));
    missing.copied().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The names in the sources below a directory: the first string behind each `Event::warning(` and
    /// its like.
    fn names_below(directory: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_below(&path, names);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                // The last one is how an uplink tells of trouble, once for each spell of it.
                for made in ["debug(", "info(", "warning(", "error(", "trouble(now, "] {
                    for kind in ["Event::", "Notice::", "self."] {
                        let made = format!("{kind}{made}");
                        let behind = text.split(&made).skip(1);
                        let quoted = behind.filter_map(|it| it.trim_start().strip_prefix('"'));
                        names
                            .extend(quoted.filter_map(|it| Some(it.split_once('"')?.0.to_owned())));
                    }
                }
            }
        }
    }

    #[test]
    fn every_kind_of_notice_is_known() {
        let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
        let mut names = BTreeSet::new();
        names_below(&core, &mut names);
        let known: BTreeSet<String> = KNOWN.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(names, known);
        assert_eq!(KNOWN.len(), known.len());
        for (mark, place) in ELSEWHERE {
            assert!(known.contains(*mark), "{mark} is no kind of notice");
            let place = place.rsplit(' ').next().unwrap_or_default();
            let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(place);
            assert!(there.exists(), "{mark}: there is no {place}");
        }
    }
}
