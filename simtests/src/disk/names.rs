//! The names of a directory: present, durable, promised.

use std::collections::{BTreeMap, BTreeSet};

use vaquita_core::disk::FileName;

use super::{Inode, Tear};
use crate::streams::{Draw, Rate, index};

/// A change of names that a power cut may undo.
#[derive(Clone, Debug)]
enum Change {
    Link(FileName, Inode),
    Rename(FileName, FileName),
    Unlink(FileName),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    present: BTreeMap<FileName, Inode>,
    durable: BTreeMap<FileName, Inode>,
    /// What turns `durable` into `present`, in order.
    pending: Vec<Change>,
    /// Names of which the process was told that they are durable and which it has not touched
    /// since except by putting another file in the place.
    promised: BTreeSet<FileName>,
}

impl Names {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&FileName, &Inode)> {
        self.present.iter()
    }

    pub(super) fn get(&self, name: &FileName) -> Option<Inode> {
        self.present.get(name).copied()
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn is_promised(&self, name: &FileName) -> bool {
        self.promised.contains(name)
    }

    pub(super) fn install(&mut self, name: FileName, inode: Inode) {
        self.present.insert(name.clone(), inode);
        self.durable.insert(name.clone(), inode);
        self.promised.insert(name);
    }

    pub(super) fn link(&mut self, name: FileName, inode: Inode) {
        self.present.insert(name.clone(), inode);
        self.pending.push(Change::Link(name, inode));
    }

    /// Returns whether there was a file to rename.
    pub(super) fn rename(&mut self, from: &FileName, to: &FileName) -> bool {
        let Some(inode) = self.present.remove(from) else {
            return false;
        };
        self.present.insert(to.clone(), inode);
        self.promised.remove(from);
        self.pending.push(Change::Rename(from.clone(), to.clone()));
        true
    }

    pub(super) fn unlink(&mut self, name: &FileName) {
        if self.present.remove(name).is_some() {
            self.promised.remove(name);
            self.pending.push(Change::Unlink(name.clone()));
        }
    }

    /// A sync of the directory that succeeds; a lying one makes nothing durable.
    pub(super) fn sync(&mut self, lying: bool) {
        self.promised = self.present.keys().cloned().collect();
        if !lying {
            self.durable.clone_from(&self.present);
            self.pending.clear();
        }
    }

    /// A sync that fails: some of the changes are durable now, the others not before a later sync
    /// succeeds.
    pub(super) fn fail_sync(&mut self, tear: Tear, draw: &mut Draw) {
        self.durable = self.torn(tear, draw);
        self.pending.clear();
    }

    /// The power is cut. Returns the promised names that are gone.
    pub(super) fn power_cut(&mut self, tear: Tear, draw: &mut Draw) -> Vec<FileName> {
        self.durable = self.torn(tear, draw);
        self.present.clone_from(&self.durable);
        self.pending.clear();
        let gone = |name: &&FileName| !self.present.contains_key(*name);
        let lost: Vec<FileName> = self.promised.iter().filter(gone).cloned().collect();
        for name in &lost {
            self.promised.remove(name);
        }
        lost
    }

    /// Every file that a name leads to, or may lead to after a power cut.
    pub(super) fn reachable(&self) -> BTreeSet<Inode> {
        let linked = self.pending.iter().filter_map(|change| match change {
            Change::Link(_, inode) => Some(*inode),
            Change::Rename(..) | Change::Unlink(_) => None,
        });
        self.present
            .values()
            .chain(self.durable.values())
            .copied()
            .chain(linked)
            .collect()
    }

    fn torn(&self, tear: Tear, draw: &mut Draw) -> BTreeMap<FileName, Inode> {
        let kept = match tear {
            Tear::Prefix => index(draw.below(self.pending.len() as u64 + 1)),
            Tear::Subset | Tear::Garbage => self.pending.len(),
        };
        let mut names = self.durable.clone();
        for change in &self.pending[..kept] {
            if tear != Tear::Prefix && draw.chance(Rate::percent(50)) {
                continue;
            }
            match change {
                Change::Link(name, inode) => {
                    names.insert(name.clone(), *inode);
                }
                Change::Rename(from, to) => {
                    // If the creation of `from` was lost, so is this.
                    if let Some(inode) = names.remove(from) {
                        names.insert(to.clone(), inode);
                    }
                }
                Change::Unlink(name) => {
                    names.remove(name);
                }
            }
        }
        names
    }
}
