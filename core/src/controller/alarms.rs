//! What an operator should look at, with what to do about it; worst first.

use super::Controller;
use super::members::ORPHANED;
use crate::admin::{NodeRow, NodeState};
use crate::metalog::SpaceMode;
use crate::time::Timestamp;

/// Names that one alarm lists.
const NAMES_MAX: usize = 5;

impl Controller {
    /// The alarms, given the rows of all members.
    pub(super) fn alarm_texts(&self, now: Timestamp, rows: &[NodeRow]) -> Vec<String> {
        let mut alarms = self.alarms.clone();
        if self.mass_event {
            alarms.push("many nodes went offline at once; nothing is given up as lost".to_owned());
        }
        if self.log.space_mode() == SpaceMode::ReadOnly {
            alarms.push(
                "MetaReadOnly: the disk of the controller's home is full, and changes are refused \
                 until there is space"
                    .to_owned(),
            );
        }
        alarms.extend(self.mirror_alarm(now));
        alarms.extend(self.orphan_alarms());
        alarms.extend(self.replica_alarm());
        for row in rows {
            let wants_a_look = !row.reason.is_empty()
                && !matches!(row.state, NodeState::Starting | NodeState::Stopping);
            if wants_a_look {
                alarms.push(format!(
                    "{} is {}: {}",
                    row.alias,
                    row.state.as_str(),
                    row.reason
                ));
            }
            // What is to be done about an orphan is told above.
            let conditions = row.conditions.iter().filter(|it| *it != ORPHANED);
            alarms.extend(conditions.map(|condition| self.condition_alarm(row, condition)));
        }
        alarms.extend(self.volume_alarms(now));
        alarms.extend(self.first_password_alarm());
        alarms.extend(self.configuration_alarm(now));
        alarms
    }

    fn replica_alarm(&self) -> Option<String> {
        let (degraded, last) = (self.degraded_chunks(), self.last_copies());
        let few = match degraded {
            0 => return None,
            1 => "1 chunk has".to_owned(),
            _ => format!("{degraded} chunks have"),
        };
        let last = match last {
            0 => String::new(),
            1 => ", one of them a single one".to_owned(),
            _ => format!(", {last} of them a single one"),
        };
        Some(format!(
            "{few} fewer good replicas than there should be{last}: copies are made as soon as they can be, \
             and `vaquita repair status` tells what that waits for"
        ))
    }

    /// What a condition of a member means, and its cure.
    fn condition_alarm(&self, row: &NodeRow, condition: &str) -> String {
        let alias = &row.alias;
        let port = self.site.endpoint.port;
        let told = match condition {
            "udp-blocked" => format!(
                "its heartbeats by UDP do not arrive, so that its connection carries them and its end is \
                 noticed later; open UDP to port {port} of the controller's host"
            ),
            "tcp-blocked" => format!(
                "its heartbeats arrive and its session carries nothing, so that it can be told nothing and is \
                 given no new chunks; look for a firewall: TCP port {port} of the controller's host has to be \
                 open to it"
            ),
            "self-fenced" => {
                "it hears nothing from the controller and takes no writes until it does; look \
                              at the network between the two"
                    .to_owned()
            }
            "quarantined" => {
                "it comes and goes, and is given no new chunks until it has stayed for a \
                              while; its log and the network say why it leaves"
                    .to_owned()
            }
            "crash-loop" => {
                "its process ends again and again, and is started less and less often; its log \
                             says why"
                    .to_owned()
            }
            "removed" => {
                "it was removed from the cluster; take its row out of cluster.nodes".to_owned()
            }
            // A remark of the node itself, which is a sentence.
            _ => return format!("{alias}: {condition}"),
        };
        format!("{alias}: {condition}: {told}")
    }

    fn first_password_alarm(&self) -> Option<String> {
        let names = self.first_passwords();
        (!names.is_empty()).then(|| {
            format!(
                "{} can be logged in as with the password that everybody knows: log in and change it",
                listed(&names)
            )
        })
    }

    /// Users whose password is the one that every new cluster has.
    pub(super) fn first_passwords(&self) -> Vec<String> {
        let access = &self.state.access;
        if access.is_empty() {
            // The first login makes that user.
            return vec![crate::access::UserName::first().to_string()];
        }
        let well_known = access.names().filter(|name| {
            let user = access.user(name.as_str());
            user.is_some_and(crate::access::User::has_well_known_password)
        });
        well_known.map(ToString::to_string).collect()
    }

    fn configuration_alarm(&self, now: Timestamp) -> Option<String> {
        let rows = self.configurations(now).into_iter();
        let outdated = rows
            .filter(|row| row.runs && row.started_with.is_some_and(|digest| digest != row.next));
        let names: Vec<String> = outdated.map(|row| row.alias.to_string()).collect();
        let (run, them) = match names.len() {
            0 => return None,
            1 => ("runs", "it"),
            _ => ("run", "them one after the other"),
        };
        Some(format!(
            "{} {run} with another configuration than the files have now: restart {them} (the page of the \
             configuration has a button for it)",
            listed(&names)
        ))
    }
}

/// The first of some names, and how many more there are.
fn listed(names: &[String]) -> String {
    let first = names.iter().take(NAMES_MAX).map(String::as_str);
    let first: Vec<&str> = first.collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
