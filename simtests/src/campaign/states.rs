//! Which states a campaign has reached, as fingerprints: how many there are says whether longer runs
//! still see anything new.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use vaquita_core::time::Timestamp;

use crate::vaquita::{Vaquita, VaquitaWorld, controller, rows};
use crate::world::Life;

/// The fingerprints of states that were reached, from any number of threads.
#[derive(Debug, Default)]
pub struct States {
    seen: Mutex<BTreeSet<u64>>,
}

impl States {
    /// Notes the state of a World, as coarsely as people talk of it: which nodes are how, by their own
    /// word and the controller's, and whether none, one, some or many chunks lack what.
    pub fn note(&self, world: &VaquitaWorld) {
        let fingerprint = fingerprint(world);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(fingerprint);
    }

    /// How many different ones there were.
    #[must_use]
    pub fn len(&self) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.len()
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// None, one, some, many.
const fn about(count: u64) -> char {
    match count {
        0 => '0',
        1 => '1',
        2..=9 => 's',
        _ => 'm',
    }
}

fn fingerprint(world: &VaquitaWorld) -> u64 {
    let mut words: Vec<String> = Vec::new();
    // Which node it is makes no difference, only what is the case somewhere.
    for node in world.nodes() {
        words.push(match world.machine(node) {
            Some(Vaquita::DataNode(machine)) => {
                let (_, _, _, fenced) = machine.identity();
                let state = machine.state().as_str();
                format!("n {state}{}", if fenced { " fenced" } else { "" })
            }
            Some(Vaquita::Agent(machine)) => format!("a {}", machine.running().count().min(1)),
            Some(Vaquita::Controller(_) | Vaquita::Rebuild(_)) => "c".to_owned(),
            None => format!("{:?}", world.life(node)),
        });
    }
    words.extend(
        rows(world)
            .iter()
            .map(|row| format!("row {}", row.state.as_str())),
    );
    if let Some((_, machine)) = controller(world) {
        let (epoch, serving) = machine.epoch();
        let repairs = machine.repairs(Timestamp::ZERO);
        let counts = [
            repairs.last_copy,
            repairs.degraded,
            repairs.leaving,
            repairs.misplaced,
            repairs.surplus,
            repairs.copies.len() as u64,
            machine.open_writes() as u64,
            repairs.holds.len() as u64,
        ];
        let counts: String = counts.into_iter().map(about).collect();
        words.push(format!("{} {serving} {counts}", about(epoch.0)));
        for row in rows(world) {
            let stock = machine.stock_of(&row.alias);
            let volumes = stock.iter().flat_map(|it| &it.volumes);
            words.extend(volumes.map(|it| format!("volume {:?}", it.state)));
        }
    } else {
        words.push(format!("{:?}", Life::Down));
    }
    words.push(format!("cut {}", world.net().any_cut()));
    words.sort_unstable();
    words.dedup();
    let mut text = String::new();
    for word in words {
        let written = writeln!(text, "{word}");
        debug_assert!(written.is_ok(), "a string takes any text");
    }
    let low = crc32fast::hash(text.as_bytes());
    text.push('.');
    u64::from(low) << 32 | u64::from(crc32fast::hash(text.as_bytes()))
}
