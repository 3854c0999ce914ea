use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::address::{Server, ServerOption, choose};
use super::dial::{Known, trust};
use super::logins::{Login, Logins};
use crate::cli::exit::Status;

fn server(text: &str) -> String {
    Server::parse(text).unwrap().to_string()
}

#[test]
fn a_server_is_written_in_one_way() {
    assert_eq!(server("10.1.1.7:8990"), "10.1.1.7:8990");
    assert_eq!(server("10.1.1.7"), "10.1.1.7:8990");
    assert_eq!(server("P4.Example:80"), "p4.example:80");
    assert_eq!(server("http://p4:8990/"), "p4:8990");
    assert_eq!(server("10.1.1.7:8990:master"), "10.1.1.7:8990");
    assert_eq!(server("[::1]:8990"), "[::1]:8990");
    assert_eq!(server("[::1]"), "[::1]:8990");
    assert_eq!(server("https://P4/"), "https://p4:8990");
    assert_eq!(server("https://[::1]:1:master"), "https://[::1]:1");
}

#[test]
fn what_is_no_server_is_refused_with_an_example() {
    for text in [
        "",
        ":8990",
        "host:0",
        "host:65536",
        "host:port",
        "a b:1",
        "[::1:80",
        "[nonsense]:1",
        "https://",
        "ftp://host",
        "https://user@host",
        "host/path",
        "user@host",
        "host:1\r\nX: y",
    ] {
        let failure = Server::parse(text).unwrap_err();
        assert_eq!(failure.status, Status::Usage, "{text:?}");
        assert!(
            failure.message.contains("127.0.0.1:8990"),
            "{text:?}: {failure}"
        );
    }
}

fn logins(directory: &tempfile::TempDir) -> Logins {
    Logins::read_from(path(directory)).unwrap()
}

fn path(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("vaquita").join("logins.json")
}

fn login(server: &str, user: &str, token: &str) -> Login {
    Login {
        server: server.to_owned(),
        user: user.to_owned(),
        token: token.to_owned(),
    }
}

#[test]
fn the_server_is_the_flag_else_the_variable_else_the_last_login_else_the_usual_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut logins = logins(&directory);
    let chosen = |flag: Option<&str>, variable: Option<&str>, logins: &Logins| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        choose(owned(flag), owned(variable), false, logins)
            .unwrap()
            .to_string()
    };
    assert_eq!(chosen(None, None, &logins), "127.0.0.1:8990");
    logins.keep(login("c:3", "u", "t")).unwrap();
    assert_eq!(chosen(None, None, &logins), "c:3");
    assert_eq!(chosen(None, Some("b:2"), &logins), "b:2");
    assert_eq!(chosen(Some("a:1"), Some("b:2"), &logins), "a:1");
}

#[test]
fn whoever_names_what_to_trust_is_not_asked_for_a_password_in_the_clear() {
    let directory = tempfile::tempdir().unwrap();
    let kept = logins(&directory);
    let choose = |text: &str| choose(Some(text.to_owned()), None, true, &kept);
    assert_eq!(choose("a:1").unwrap().to_string(), "https://a:1");
    assert_eq!(choose("https://a:1").unwrap().to_string(), "https://a:1");
    assert!(
        choose("http://a:1").is_err(),
        "a certificate proves nothing there"
    );
}

#[test]
fn a_login_in_the_clear_from_before_does_not_win() {
    let directory = tempfile::tempdir().unwrap();
    let mut kept = logins(&directory);
    kept.keep(login("a:1", "alice", "t1")).unwrap();
    kept.keep(login("https://a:1", "alice", "t2")).unwrap();
    let server = choose(Some("a:1".to_owned()), None, false, &kept).unwrap();
    assert_eq!(server.to_string(), "https://a:1");
    let plain = choose(Some("http://a:1".to_owned()), None, false, &kept).unwrap();
    assert_eq!(plain.to_string(), "a:1", "as it was said");
}

#[test]
fn a_server_that_is_known_over_https_is_not_spoken_to_in_the_clear_by_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let mut kept = logins(&directory);
    kept.know("https://a:1".to_owned(), Known::Cluster("00".repeat(32)));
    kept.keep(login("https://a:1", "alice", "t1")).unwrap();
    kept.keep(login("b:2", "alice", "t2")).unwrap();
    let read = logins(&directory);
    let chosen = |text: &str| {
        let server = choose(Some(text.to_owned()), None, false, &read).unwrap();
        server.to_string()
    };
    assert_eq!(chosen("a:1"), "https://a:1");
    assert_eq!(chosen("http://a:1"), "a:1");
    assert_eq!(chosen("b:2"), "b:2");
    assert_eq!(chosen("https://b:2"), "https://b:2");
    assert_eq!(chosen("c:3"), "c:3");
}

#[test]
fn by_what_a_server_is_known_is_kept_and_a_flag_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut kept = logins(&directory);
    let fingerprint = Known::Fingerprint("AB".repeat(32));
    kept.know("https://a:1".to_owned(), fingerprint.clone());
    kept.keep(login("https://a:1", "alice", "t1")).unwrap();
    let read = logins(&directory);
    let known = |option: &ServerOption, text: &str| {
        let server = Server::parse(text).unwrap();
        option.known(&server, &read)
    };
    let nothing = ServerOption::default();
    assert_eq!(known(&nothing, "https://a:1"), Some(fingerprint));
    assert_eq!(known(&nothing, "https://b:2"), None);
    let file = ServerOption {
        ca: Some("/etc/ca.pem".into()),
        ..ServerOption::default()
    };
    let by_file = Some(Known::Ca("/etc/ca.pem".into()));
    assert_eq!(known(&file, "https://a:1"), by_file);
}

#[test]
fn what_is_no_fingerprint_and_no_file_is_refused_before_anything_is_sent() {
    let server = Server::parse("https://a:1").unwrap();
    for known in [
        Known::Fingerprint("AB:CD".to_owned()),
        Known::Ca("/nonexistent/ca.pem".into()),
        Known::Cluster("key".to_owned()),
    ] {
        let failure = trust(&server, Some(&known)).unwrap_err();
        assert_eq!(failure.status, Status::Usage, "{failure}");
    }
}

#[test]
fn logins_are_kept_a_server_and_user_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut kept = logins(&directory);
    kept.keep(login("a:1", "alice", "t1")).unwrap();
    kept.keep(login("a:1", "bob", "t2")).unwrap();
    kept.keep(login("b:2", "alice", "t3")).unwrap();
    kept.keep(login("a:1", "alice", "t4")).unwrap();
    let mode = fs::metadata(path(&directory)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let read = logins(&directory);
    assert_eq!(read.current(), Some("a:1"));
    assert_eq!(read.find("a:1", None).unwrap().token, "t4");
    assert_eq!(read.find("a:1", Some("bob")).unwrap().token, "t2");
    assert_eq!(read.find("b:2", None).unwrap().token, "t3");
    assert!(read.find("c:3", None).is_none());
}

#[test]
fn a_login_by_the_environment_takes_nobodys_place() {
    let directory = tempfile::tempdir().unwrap();
    let mut kept = logins(&directory);
    kept.keep(login("a:1", "alice", "t1")).unwrap();
    kept.keep_aside(login("b:2", "ci", "t2")).unwrap();
    kept.keep_aside(login("a:1", "ci", "t3")).unwrap();
    assert_eq!(kept.current(), Some("a:1"));
    assert_eq!(kept.find("a:1", None).unwrap().user, "alice");
    assert_eq!(kept.find("a:1", Some("ci")).unwrap().token, "t3");
}

#[test]
fn a_login_is_kept_for_the_other_servers_of_a_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let mut kept = logins(&directory);
    let token = login("a:1", "admin", "t2");
    kept.keep(login("b:2", "admin", "t1")).unwrap();
    kept.keep(token.clone()).unwrap();
    let others = ["b:2", "c:3"].map(str::to_owned);
    kept.keep_beside(&token, others).unwrap();
    let read = logins(&directory);
    assert_eq!(read.current(), Some("a:1"));
    for server in ["a:1", "b:2", "c:3"] {
        assert_eq!(read.find(server, None).unwrap().token, "t2");
    }
}

#[test]
fn a_forgotten_login_is_gone_and_its_server_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut kept = logins(&directory);
    kept.keep(login("a:1", "alice", "t1")).unwrap();
    kept.keep(login("a:1", "bob", "t2")).unwrap();
    kept.forget("a:1", "bob").unwrap();
    kept.forget("a:1", "alice").unwrap();
    assert_eq!(logins(&directory).current(), Some("a:1"));
    assert!(logins(&directory).find("a:1", None).is_none());
    let text = fs::read_to_string(path(&directory)).unwrap();
    assert!(!text.contains("t1") && !text.contains("t2"), "{text}");
}

#[test]
fn logins_that_others_can_read_are_not_used() {
    let directory = tempfile::tempdir().unwrap();
    logins(&directory)
        .keep(login("a:1", "alice", "t1"))
        .unwrap();
    fs::set_permissions(path(&directory), fs::Permissions::from_mode(0o640)).unwrap();
    let failure = Logins::read_from(path(&directory)).unwrap_err();
    assert_eq!(failure.status, Status::Denied);
    assert!(failure.message.contains("chmod 600"), "{failure}");
}

#[test]
fn damaged_logins_are_reported_with_the_cure() {
    let directory = tempfile::tempdir().unwrap();
    logins(&directory)
        .keep(login("a:1", "alice", "secret"))
        .unwrap();
    fs::write(path(&directory), "{\"logins\": [{\"token\": \"secret\"").unwrap();
    let failure = Logins::read_from(path(&directory)).unwrap_err();
    assert_eq!(failure.status, Status::Damaged);
    assert!(failure.message.contains("remove the file"), "{failure}");
    assert!(!failure.message.contains("secret"), "{failure}");
}

#[test]
fn fields_of_a_later_version_do_not_disturb() {
    let directory = tempfile::tempdir().unwrap();
    logins(&directory)
        .keep(login("a:1", "alice", "t1"))
        .unwrap();
    let text = fs::read_to_string(path(&directory)).unwrap();
    let later = text.replacen('{', "{\"color\": 1,", 1);
    fs::write(path(&directory), later).unwrap();
    assert_eq!(logins(&directory).current(), Some("a:1"));
}
