//! What tests plant in a machine: bugs, to see that the tests for them can fail, and the ways of a
//! version to come.

macro_rules! planted {
    ($($(#[$doc:meta])+ $name:ident;)+) => {
        /// Which protections are left out, and what else is not as it is in production. Nothing, except
        /// where a test asks for it: the binary passes [`Planted::default`], and a test holds it to that.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Planted {
            $($(#[$doc])+ pub $name: bool,)+
        }

        impl Planted {
            /// The names of all that can be planted, in the order of the fields.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// With this planted as well.
            ///
            /// # Errors
            /// With the name, if nothing is called so.
            pub fn with(mut self, name: &str) -> Result<Self, UnknownPlant> {
                match name {
                    $(stringify!($name) => self.$name = true,)+
                    _ => return Err(UnknownPlant(name.to_owned())),
                }
                Ok(self)
            }

            /// What is planted, by name.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((stringify!($name), self.$name)),+]
                    .into_iter()
                    .filter_map(|(name, is_planted)| is_planted.then_some(name))
            }
        }
    };
}

/// Nothing that can be planted has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing that can be planted is called `{0}`")]
pub struct UnknownPlant(String);

planted! {
    /// The metadata log commits without `Sync`.
    skip_sync;
    /// The metadata log creates and renames without `SyncDir`.
    skip_dir_sync;
    /// The metadata log reports records as durable when they are written, and syncs them later.
    ack_before_sync;
    /// The metadata log removes what a checkpoint replaces before the checkpoint has its name.
    remove_checkpoint_early;
    /// The controller tells what it decided without waiting for its log.
    tell_before_synced;
    /// The controller takes messages of an earlier controller's epoch for its own.
    ignore_controller_epoch;
    /// The controller takes messages of a void registration.
    ignore_node_epoch;
    /// The controller counts a heartbeat that it has seen before.
    accept_replays;
    /// The controller blames the nodes for its own stand-still.
    never_doubt_itself;
    /// The controller admits a second process under an alias whose first one lives.
    admit_duplicates;
    /// The controller shows what a node measured that has gone since.
    show_old_figures;
    /// The controller shows of a node what its process before has measured.
    keep_old_figures;
    /// A node stays on UDP when nothing comes back.
    no_tcp_beats;
    /// An agent takes whatever has a recorded process id for its node.
    adopt_unproven;
    /// An agent forgets on a restart what it had started.
    forget_children;
    /// An agent starts a node again that was stopped by order.
    restart_after_stop;
    /// A volume acknowledges chunks without `Sync` of their segment.
    store_skip_sync;
    /// A volume gives files their names without `SyncDir`.
    store_skip_dir_sync;
    /// A volume acknowledges chunks when they are written, and syncs them later.
    store_ack_before_sync;
    /// Reading a volume believes a header whose payload a crash may have lost.
    store_trust_headers;
    /// A volume forgets a released chunk before its tombstone is durable.
    store_purge_early;
    /// A volume goes on in the segment that a crash has torn.
    store_reuse_torn;
    /// A data node takes chunks under tokens of void epochs.
    take_old_tokens;
    /// A data node gives up chunks on the word of a controller that is behind what it has seen.
    obey_old_releases;
    /// The controller takes a writer's word for replicas whose nodes have registered anew since.
    commit_unchecked_epochs;
    /// The controller takes a writer's word for chunks that an earlier controller allocated.
    trust_old_lists;
    /// The controller does an operation again that was done before.
    forget_ops;
    /// The controller has chunks given up before the record that gives them up is synced.
    release_before_synced;
    /// The controller takes what open writes have prepared for useless.
    release_open_writes;
    /// The controller places two replicas on one host, and commits them, where that is forbidden.
    share_hosts;
    /// The controller never has removed what no file has.
    keep_orphans;
    /// The controller does not miss what a report leaves out.
    miss_nothing;
    /// The controller says that an operation was not carried out, and may carry it out afterwards.
    abort_by_word;
    /// The controller commits whatever version of the file is there.
    ignore_expectations;
    /// A data node opens a volume again while writes to it are under way.
    reopen_amid_writes;
    /// A data node does not tell of what is on a volume that was opened again.
    report_nothing_reopened;
    /// A data node goes on with a copy of a volume that was given to another one.
    ignore_volume_owners;
    /// A data node looks for what it has on volumes that have failed as soon as on those that can be read.
    seek_on_failed_volumes;
    /// A data node takes chunks for scrubbed that it has not read.
    scrub_nothing;
    /// A data node looks at the labels of its volumes when it opens them only.
    leave_labels;
    /// A data node writes the label of a volume in use again whatever it finds there.
    relabel_regardless;
    /// The controller says that a node is drained although writes are under way there.
    drained_early;
    /// The controller gives new replicas to nodes that are being drained.
    place_on_draining;
    /// The controller takes a replica from a node that is being drained before another has it.
    drain_without_copies;
    /// The controller notes a copy in its log when it orders it, and not when it was made.
    count_copies_ordered;
    /// The controller gives up places of replicas that are away although there are too few others.
    give_up_absent;
    /// A controller that starts forgets what operators use nodes for.
    forget_duties;
    /// The controller ends no maintenance.
    endless_maintenance;
    /// The controller moves replicas for whatever difference there is.
    endless_balance;
    /// A controller that starts knows nothing of nodes that have chunks and no row in the nodes file.
    forget_orphans;
    /// The controller gives new replicas to such nodes, and leaves what they have there.
    orphans_serve;
    /// The controller takes nodes out of the cluster whatever is lost with them.
    remove_regardless;
    /// The controller waits for no node that is away.
    await_nobody;
    /// The controller repairs whatever stands against it.
    repair_regardless;
    /// The controller sends to mirrors what its disk has not confirmed.
    mirror_unsynced;
    /// The controller gives up chunks that the lost end of its log may have named.
    forget_accepted_loss;
    /// A controller whose log has lost its end gives the same indexes to other records.
    reuse_indexes;
    /// The controller waits for nodes that are away as long as they like to be.
    await_for_ever;
    /// The controller tries again at once what has failed.
    retry_at_once;
    /// The controller has as many copies made at a time as there are to make.
    copy_without_bound;
    /// The controller gives up all replicas that are too many as soon as it sees them.
    trim_without_bound;
    /// The controller counts replicas of nodes that are away where it gives up what is too many.
    trim_in_hope;
    /// The controller gives up what is too many, and what no file has, while many nodes are away.
    trim_in_mass_event;
    /// A volume counts as drained although its node has not heard of the order.
    drained_unheard;
    /// A node puts new chunks on a volume that is drained.
    put_on_drained_volumes;
    /// The controller gives up at once what writes of before its start have prepared.
    sweep_at_once;
    /// The controller counts replicas of nodes that are away where it takes one from a drained node.
    drain_in_hope;
    /// The controller calls a node drained although it alone has what others lack.
    drained_with_needed;
    /// The controller takes a replica from the full node before the empty one has it.
    move_without_copies;
    /// The controller does not miss what a node says that it lost.
    pass_over_losses;
    /// The controller goes on believing what a node had by an earlier report.
    keep_old_extras;
    /// The controller changes where replicas are, and does not write so into its log.
    change_past_log;
    /// A data node keeps to itself what it finds damaged.
    keep_damage_quiet;
    /// A data node tells how its volumes are whenever anything happens.
    tell_volumes_always;
    /// The controller writes down what is ordered, and not by whom.
    leave_out_entries;
    /// The controller forgets that its home once had a log.
    forget_history;
    /// The controller takes a datagram for a node's whoever sealed it.
    believe_datagrams;
    /// A node follows a controller whose history contradicts what the node has seen.
    ignore_witness;
    /// A node goes on as if it were heard when nothing is answered.
    never_fence;
    /// Not a bug: what is sent has fields that this version does not know, and messages of a kind
    /// that it does not know come in between, as from a version to come.
    speak_later_version;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_plants_what_is_called_so_and_nothing_else() {
        for name in Planted::NAMES {
            let planted = Planted::default().with(name).unwrap();
            assert_eq!(planted.names().collect::<Vec<_>>(), [*name]);
            let shown = format!("{planted:?}");
            assert!(shown.contains(&format!(" {name}: true")), "{shown}");
        }
        assert!(Planted::default().with("nothing").is_err());
        assert_eq!(Planted::default().names().count(), 0);
    }
}
