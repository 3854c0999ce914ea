use crate::os_env::signals::is_ignored;

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
