//! What an operator is told to look at.

use super::{seconds, start, stop};
use crate::admin::{Response, StatusReport, Verb};
use crate::ideal::{Ideal, alias};
use crate::secret::Password;

fn status(cluster: &mut Ideal) -> StatusReport {
    match cluster.ask(Verb::Status) {
        Ok(Response::Status(status)) => *status,
        other => panic!("{other:?}"),
    }
}

/// The alarms that say so.
fn saying(cluster: &mut Ideal, what: &str) -> Vec<String> {
    let alarms = status(cluster).alarms;
    alarms.into_iter().filter(|it| it.contains(what)).collect()
}

#[test]
fn the_password_that_everybody_knows_is_an_alarm_until_it_is_changed() {
    let mut cluster = Ideal::running(1);
    let told = "the password that everybody knows";
    assert!(status(&mut cluster).first_password);
    assert_eq!(saying(&mut cluster, told).len(), 1);
    let new = Verb::ChangePassword {
        user: Some("admin".to_owned()),
        old: None,
        new: Password::new("seventeen wet otters".to_owned()),
    };
    cluster.ask(new).unwrap();
    assert!(!status(&mut cluster).first_password);
    assert_eq!(status(&mut cluster).alarms, [""; 0]);
}

#[test]
fn nodes_that_run_with_an_older_configuration_are_named_until_they_are_restarted() {
    let mut cluster = Ideal::running(3);
    let mut config = cluster.configuration();
    for name in ["P1-NODE1", "P2-NODE1"] {
        let mut members = config.members.iter_mut();
        let member = members.find(|it| it.site.alias == alias(name)).unwrap();
        member.node_cfg = "workerNum=8\n".to_owned();
    }
    let config = Box::new(config);
    let dry_run = false;
    cluster.ask(Verb::Reconfigure { config, dry_run }).unwrap();
    let told = "another configuration";
    let [alarm] = &saying(&mut cluster, told)[..] else {
        panic!("{:?}", status(&mut cluster).alarms);
    };
    assert!(alarm.starts_with("P1-NODE1, P2-NODE1 run"), "{alarm}");
    cluster.ask(stop(&["P1-NODE1", "P2-NODE1"])).unwrap();
    cluster.run_for(seconds(2));
    assert_eq!(saying(&mut cluster, told), [""; 0], "they run no more");
    cluster.ask(start(&["P1-NODE1", "P2-NODE1"])).unwrap();
    cluster.run_for(seconds(2));
    assert_eq!(saying(&mut cluster, told), [""; 0]);
}
