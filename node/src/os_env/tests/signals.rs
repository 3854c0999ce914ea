use std::sync::Arc;

use tokio::sync::Notify;

use crate::os_env::Hangup;
use crate::os_env::signals::{is_ignored, stays_ignored};

#[test]
fn what_nohup_and_shells_ignore_is_seen() {
    let nohup = "Name:\tvaquita\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
    assert!(is_ignored(nohup, 1));
    assert!(is_ignored(nohup, 13));
    assert!(!is_ignored(nohup, 2));
    assert!(!is_ignored(nohup, 15));
    let background = "SigIgn:\t0000000000000006\n";
    assert!(is_ignored(background, 2));
    assert!(!is_ignored(background, 1));
    for unreadable in ["", "SigIgn:\tnonsense", "SigIgn:"] {
        assert!(!is_ignored(unreadable, 15));
    }
}

#[test]
fn a_hangup_that_ends_nothing_is_heard_under_nohup() {
    let nohup = "SigIgn:\t0000000000000003\n";
    let calls = Hangup::Calls(Arc::new(Notify::new()));
    assert!(!stays_ignored(nohup, 1, &calls));
    assert!(stays_ignored(nohup, 1, &Hangup::Ends));
    // A shell has ignored SIGINT for what runs in the background, which would end.
    assert!(stays_ignored(nohup, 2, &calls));
    assert!(!stays_ignored(nohup, 15, &calls));
}
