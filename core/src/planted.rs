//! What tests plant in a machine: bugs, to see that the tests for them can fail, and the ways of a
//! version to come.

/// Which protections are left out, and what else is not as it is in production. Nothing, except
/// where a test asks for it: the binary passes [`Planted::default`], and a test holds it to that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// The metadata log commits without `Sync`.
    pub skip_sync: bool,
    /// The metadata log creates and renames without `SyncDir`.
    pub skip_dir_sync: bool,
    /// The metadata log reports records as durable when they are written, and syncs them later.
    pub ack_before_sync: bool,
    /// The metadata log removes what a checkpoint replaces before the checkpoint has its name.
    pub remove_checkpoint_early: bool,
    /// The controller tells what it decided without waiting for its log.
    pub tell_before_synced: bool,
    /// The controller takes messages of an earlier controller's epoch for its own.
    pub ignore_controller_epoch: bool,
    /// The controller takes messages of a void registration.
    pub ignore_node_epoch: bool,
    /// The controller counts a heartbeat that it has seen before.
    pub accept_replays: bool,
    /// The controller blames the nodes for its own stand-still.
    pub never_doubt_itself: bool,
    /// The controller admits a second process under an alias whose first one lives.
    pub admit_duplicates: bool,
    /// The controller shows what a node measured that has gone since.
    pub show_old_figures: bool,
    /// The controller shows of a node what its process before has measured.
    pub keep_old_figures: bool,
    /// A node stays on UDP when nothing comes back.
    pub no_tcp_beats: bool,
    /// An agent takes whatever has a recorded process id for its node.
    pub adopt_unproven: bool,
    /// An agent forgets on a restart what it had started.
    pub forget_children: bool,
    /// An agent starts a node again that was stopped by order.
    pub restart_after_stop: bool,
    /// A volume acknowledges chunks without `Sync` of their segment.
    pub store_skip_sync: bool,
    /// A volume gives files their names without `SyncDir`.
    pub store_skip_dir_sync: bool,
    /// A volume acknowledges chunks when they are written, and syncs them later.
    pub store_ack_before_sync: bool,
    /// Reading a volume believes a header whose payload a crash may have lost.
    pub store_trust_headers: bool,
    /// A volume forgets a released chunk before its tombstone is durable.
    pub store_purge_early: bool,
    /// A volume goes on in the segment that a crash has torn.
    pub store_reuse_torn: bool,
    /// A data node takes chunks under tokens of void epochs.
    pub take_old_tokens: bool,
    /// A data node gives up chunks on the word of a controller that is behind what it has seen.
    pub obey_old_releases: bool,
    /// The controller takes a writer's word for replicas whose nodes have registered anew since.
    pub commit_unchecked_epochs: bool,
    /// The controller takes a writer's word for chunks that an earlier controller allocated.
    pub trust_old_lists: bool,
    /// The controller does an operation again that was done before.
    pub forget_ops: bool,
    /// The controller has chunks given up before the record that gives them up is synced.
    pub release_before_synced: bool,
    /// The controller takes what open writes have prepared for useless.
    pub release_open_writes: bool,
    /// The controller places two replicas on one host, and commits them, where that is forbidden.
    pub share_hosts: bool,
    /// The controller never has removed what no file has.
    pub keep_orphans: bool,
    /// The controller does not miss what a report leaves out.
    pub miss_nothing: bool,
    /// The controller says that an operation was not carried out, and may carry it out afterwards.
    pub abort_by_word: bool,
    /// The controller commits whatever version of the file is there.
    pub ignore_expectations: bool,
    /// A data node opens a volume again while writes to it are under way.
    pub reopen_amid_writes: bool,
    /// A data node does not tell of what is on a volume that was opened again.
    pub report_nothing_reopened: bool,
    /// A data node goes on with a copy of a volume that was given to another one.
    pub ignore_volume_owners: bool,
    /// A data node looks for what it has on volumes that have failed as soon as on those that can be read.
    pub seek_on_failed_volumes: bool,
    /// A data node takes chunks for scrubbed that it has not read.
    pub scrub_nothing: bool,
    /// The controller says that a node is drained although writes are under way there.
    pub drained_early: bool,
    /// The controller gives new replicas to nodes that are being drained.
    pub place_on_draining: bool,
    /// The controller takes a replica from a node that is being drained before another has it.
    pub drain_without_copies: bool,
    /// The controller notes a copy in its log when it orders it, and not when it was made.
    pub count_copies_ordered: bool,
    /// The controller gives up places of replicas that are away although there are too few others.
    pub give_up_absent: bool,
    /// A controller that starts forgets what operators use nodes for.
    pub forget_duties: bool,
    /// The controller ends no maintenance.
    pub endless_maintenance: bool,
    /// The controller moves replicas for whatever difference there is.
    pub endless_balance: bool,
    /// A controller that starts knows nothing of nodes that have chunks and no row in the nodes file.
    pub forget_orphans: bool,
    /// The controller gives new replicas to such nodes, and leaves what they have there.
    pub orphans_serve: bool,
    /// The controller takes nodes out of the cluster whatever is lost with them.
    pub remove_regardless: bool,
    /// The controller waits for no node that is away.
    pub await_nobody: bool,
    /// The controller repairs whatever stands against it.
    pub repair_regardless: bool,
    /// The controller sends to mirrors what its disk has not confirmed.
    pub mirror_unsynced: bool,
    /// The controller gives up chunks that the lost end of its log may have named.
    pub forget_accepted_loss: bool,
    /// A controller whose log has lost its end gives the same indexes to other records.
    pub reuse_indexes: bool,
    /// The controller waits for nodes that are away as long as they like to be.
    pub await_for_ever: bool,
    /// The controller tries again at once what has failed.
    pub retry_at_once: bool,
    /// The controller has as many copies made at a time as there are to make.
    pub copy_without_bound: bool,
    /// The controller gives up all replicas that are too many as soon as it sees them.
    pub trim_without_bound: bool,
    /// The controller counts replicas of nodes that are away where it gives up what is too many.
    pub trim_in_hope: bool,
    /// The controller gives up what is too many, and what no file has, while many nodes are away.
    pub trim_in_mass_event: bool,
    /// A volume counts as drained although its node has not heard of the order.
    pub drained_unheard: bool,
    /// A node puts new chunks on a volume that is drained.
    pub put_on_drained_volumes: bool,
    /// The controller gives up at once what writes of before its start have prepared.
    pub sweep_at_once: bool,
    /// The controller counts replicas of nodes that are away where it takes one from a drained node.
    pub drain_in_hope: bool,
    /// The controller calls a node drained although it alone has what others lack.
    pub drained_with_needed: bool,
    /// The controller takes a replica from the full node before the empty one has it.
    pub move_without_copies: bool,
    /// The controller does not miss what a node says that it lost.
    pub pass_over_losses: bool,
    /// The controller goes on believing what a node had by an earlier report.
    pub keep_old_extras: bool,
    /// The controller changes where replicas are, and does not write so into its log.
    pub change_past_log: bool,
    /// A data node keeps to itself what it finds damaged.
    pub keep_damage_quiet: bool,
    /// A data node tells how its volumes are whenever anything happens.
    pub tell_volumes_always: bool,
    /// The controller writes down what is ordered, and not by whom.
    pub leave_out_entries: bool,
    /// The controller forgets that its home once had a log.
    pub forget_history: bool,
    /// The controller takes a datagram for a node's whoever sealed it.
    pub believe_datagrams: bool,
    /// A node follows a controller whose history contradicts what the node has seen.
    pub ignore_witness: bool,
    /// A node goes on as if it were heard when nothing is answered.
    pub never_fence: bool,
    /// Not a bug: what is sent has fields that this version does not know, and messages of a kind
    /// that it does not know come in between, as from a version to come.
    pub speak_later_version: bool,
}
