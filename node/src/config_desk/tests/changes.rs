//! What may be changed, and what is told of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::config_desk::{LineMeaning, VERSIONS_MAX};

#[tokio::test]
async fn a_set_value_changes_its_line_and_nothing_else() {
    let office = Office::new();
    let desk = office.desk();
    let written = edit(
        &desk,
        ConfigFile::Controller,
        set("dfsReplicationFactor", "1"),
    )
    .await
    .unwrap();
    assert!(written.changed);
    assert_eq!((written.diff.added, written.diff.removed), (1, 1));
    let expected = CONTROLLER.replace("= 2 ", "= 1 ");
    assert_eq!(office.text(ConfigFile::Controller), expected);
}

#[tokio::test]
async fn edits_keep_comments_order_and_line_ends() {
    let office = Office::new();
    let desk = office.desk();
    let text = CLUSTER.replace('\n', "\r\n");
    office.put(ConfigFile::Cluster, &text);
    let edits = vec![
        set("P1-%.workerNum", "16"),
        Edit::Insert {
            line: 2,
            key: "P2-NODE1.maxConnections".to_owned(),
            value: "32".to_owned(),
        },
        Edit::Unset {
            key: "workerNum".to_owned(),
        },
        set("logLevel", "DEBUG"),
    ];
    change(&desk, ConfigFile::Cluster, Change::Edits(edits))
        .await
        .unwrap();
    assert_eq!(
        office.text(ConfigFile::Cluster),
        "# All nodes.\r\nP2-NODE1.maxConnections=32\r\nmaxConnections=64\r\nP1-%.workerNum=16\r\n\
         volumes=/disk1/<ALIAS>\r\nlogLevel=DEBUG\r\n"
    );
}

#[tokio::test]
async fn members_come_move_and_go_by_their_rows() {
    let office = Office::new();
    let desk = office.desk();
    let add = |site: &str, mode: &str| Edit::AddMember {
        site: site.to_owned(),
        mode: mode.to_owned(),
    };
    let edits = vec![
        add("10.1.1.3:8960:P3-agent", "agent"),
        add("10.1.1.3:8961:P3-NODE1", "datanode"),
        Edit::MoveMember {
            alias: "P2-NODE1".to_owned(),
            site: "10.1.1.2:8970:P2-NODE1".to_owned(),
        },
        Edit::RemoveMember {
            alias: "P1-NODE1".to_owned(),
        },
    ];
    change(&desk, ConfigFile::Nodes, Change::Edits(edits))
        .await
        .unwrap();
    assert_eq!(
        office.text(ConfigFile::Nodes),
        "localSite,mode\n10.1.1.1:8960:P1-agent,agent\n10.1.1.2:8960:P2-agent,agent\n\
         10.1.1.2:8970:P2-NODE1,datanode\n10.1.1.3:8960:P3-agent,agent\n\
         10.1.1.3:8961:P3-NODE1,datanode\n"
    );
}

#[tokio::test]
async fn a_member_that_moves_keeps_the_rest_of_its_row() {
    let office = Office::new();
    let desk = office.desk();
    let row = "10.1.1.2:8961:P2-NODE1 , datanode,,  # the old rack\n";
    let header = "localSite,mode,computeGroup,zone\n";
    let text = NODES
        .replace("10.1.1.2:8961:P2-NODE1,datanode\n", row)
        .replace("localSite,mode\n", header);
    office.put(ConfigFile::Nodes, &text);
    let moved = Edit::MoveMember {
        alias: "P2-NODE1".to_owned(),
        site: "10.1.1.2:8970:P2-NODE1".to_owned(),
    };
    edit(&desk, ConfigFile::Nodes, moved).await.unwrap();
    assert_eq!(
        office.text(ConfigFile::Nodes),
        text.replace(":8961:P2", ":8970:P2")
    );
}

#[tokio::test]
async fn the_names_that_a_browser_may_use_are_not_set_over_the_api() {
    let office = Office::new();
    let desk = office.desk();
    for (file, key) in [
        (ConfigFile::Controller, "publicName"),
        (ConfigFile::Controller, "allowedHosts"),
        (ConfigFile::Cluster, "P1-NODE1.publicName"),
    ] {
        let refused = edit(&desk, file, set(key, "evil.example")).await;
        assert!(
            matches!(refused, Err(DeskError::Protected { .. })),
            "{key}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn an_error_is_refused_and_told_at_its_line() {
    let office = Office::new();
    let desk = office.desk();
    for (file, text, line, code) in [
        (
            ConfigFile::Controller,
            CONTROLLER.replace("= 2 ", "= two "),
            3,
            "invalid-value",
        ),
        (
            ConfigFile::Nodes,
            format!("{NODES}10.1.1.9:8961:P9-NODE1,datanode\n"),
            6,
            "missing-agent",
        ),
        (
            ConfigFile::Cluster,
            format!("{CLUSTER}wokerNum=4\n"),
            6,
            "unknown-key",
        ),
        (
            ConfigFile::Cluster,
            CLUSTER.replace("/disk1", "disk1"),
            5,
            "relative-volume",
        ),
    ] {
        let before = office.text(file);
        let Err(DeskError::Unacceptable { findings, .. }) = write(&desk, file, &text).await else {
            panic!("{text}");
        };
        assert_eq!(
            (
                findings[0].file.as_str(),
                findings[0].line,
                findings[0].code
            ),
            (file.name(), line, code)
        );
        assert_eq!(office.text(file), before);
        assert_eq!(desk.history(file).await.unwrap().versions.len(), 0);
    }
}

#[tokio::test]
async fn what_was_wrong_before_elsewhere_does_not_stand_in_the_way() {
    let office = Office::new();
    let desk = office.desk();
    // Somebody has broken another file with an editor, and an odd line stands in this one.
    office.put(
        ConfigFile::Nodes,
        format!("{NODES}10.1.1.3:8961,datanode\n"),
    );
    office.put(ConfigFile::Cluster, format!("{CLUSTER}wokerNum=4\n"));
    edit(&desk, ConfigFile::Cluster, set("maxConnections", "65"))
        .await
        .unwrap();
    // An error of the file itself has to be mended with the change.
    let refused = edit(
        &desk,
        ConfigFile::Nodes,
        Edit::RemoveMember {
            alias: "P2-NODE1".to_owned(),
        },
    )
    .await;
    assert!(
        matches!(refused, Err(DeskError::Unacceptable { .. })),
        "{refused:?}"
    );
    write(&desk, ConfigFile::Nodes, NODES).await.unwrap();
}

#[tokio::test]
async fn keys_of_security_and_identity_are_read_and_never_changed() {
    let office = Office::new();
    let desk = office.desk();
    for (file, text, key) in [
        (
            ConfigFile::Controller,
            CONTROLLER.replace("cluster.secret", "other.secret"),
            "clusterSecretFile",
        ),
        (
            ConfigFile::Controller,
            CONTROLLER.replace("clusterSecretFile", "#clusterSecretFile"),
            "clusterSecretFile",
        ),
        (
            ConfigFile::Controller,
            CONTROLLER.replace(":8990:", ":8991:"),
            "localSite",
        ),
        (
            ConfigFile::Controller,
            format!("{CONTROLLER}insecureCluster=1\n"),
            "insecureCluster",
        ),
        (
            ConfigFile::Controller,
            format!("{CONTROLLER}STRICTDEFAULTS=0\n"),
            "strictDefaults",
        ),
        (
            ConfigFile::Cluster,
            format!("{CLUSTER}P1-NODE1.allowPlainHttp=1\n"),
            "allowPlainHttp",
        ),
    ] {
        let before = office.text(file);
        let refused = write(&desk, file, &text).await;
        assert_eq!(
            refused.unwrap_err(),
            DeskError::Protected {
                keys: vec![key.to_owned()]
            }
        );
        assert_eq!(office.text(file), before);
    }
    let shown = desk.show(ConfigFile::Controller).await.unwrap();
    let LineMeaning::Setting {
        protected, value, ..
    } = &shown.lines[3].meaning
    else {
        panic!("{:?}", shown.lines[3]);
    };
    assert_eq!(
        (*protected, value.as_str()),
        (true, "/etc/vaquita/cluster.secret")
    );
    // A change beside them, and their lines at another place, change nothing about them.
    let moved = format!(
        "clusterSecretFile=/etc/vaquita/cluster.secret\n{}",
        CONTROLLER.replace("clusterSecretFile=/etc/vaquita/cluster.secret\n", "")
    );
    write(&desk, ConfigFile::Controller, &moved).await.unwrap();
}

#[tokio::test]
async fn nothing_can_be_smuggled_in_with_a_value() {
    let office = Office::new();
    let desk = office.desk();
    let huge = "x".repeat(5000);
    for (key, value) in [
        ("workerNum", "4\nlocalSite=10.9.9.9:1:evil"),
        ("workerNum", "4\rinsecureCluster=1"),
        ("workerNum=8\ninsecureCluster", "1"),
        ("workerNum=8", "1"),
        ("workerNum", "4\0"),
        ("workerNum", "4\u{2028}insecureCluster=1"),
        ("workerNum", "\u{feff}4"),
        ("workerNum", " 4"),
        ("workerNum", "4 # not a value"),
        ("volumes", huge.as_str()),
        ("", "4"),
        ("%..workerNum", "4"),
    ] {
        let refused = edit(&desk, ConfigFile::Cluster, set(key, value)).await;
        assert!(
            matches!(refused, Err(DeskError::BadEdit { nth: 1, .. })),
            "{key:?}={value:?}: {refused:?}"
        );
    }
    // As a whole text it is what it looks like, and is judged as such.
    for text in [
        format!("{CLUSTER}workerNum=4\0\n"),
        format!("{CLUSTER}logLevel=\u{feff}INFO\n"),
        format!("{CLUSTER}logLevel=INFO\u{1b}[2J\n"),
        format!("{CLUSTER}volumes=/{}\n", "x".repeat(5000)),
    ] {
        let refused = write(&desk, ConfigFile::Cluster, &text).await;
        assert!(
            matches!(refused, Err(DeskError::Unacceptable { .. })),
            "{refused:?}"
        );
    }
    let refused = write(&desk, ConfigFile::Cluster, &"# long\n".repeat(160_000)).await;
    assert!(
        matches!(refused, Err(DeskError::TooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(office.text(ConfigFile::Cluster), CLUSTER);
}

#[tokio::test]
async fn each_line_says_for_whom_it_gives_the_value() {
    let office = Office::new();
    let shown = office.desk().show(ConfigFile::Cluster).await.unwrap();
    let rules = |line: usize| match &shown.lines[line - 1].meaning {
        LineMeaning::Setting {
            nodes, rules_for, ..
        } => (nodes.unwrap(), rules_for.clone().unwrap().names),
        other => panic!("{other:?}"),
    };
    assert!(matches!(shown.lines[0].meaning, LineMeaning::Comment));
    assert_eq!(rules(3), (2, vec!["P2-NODE1".to_owned()]));
    assert_eq!(rules(4), (1, vec!["P1-NODE1".to_owned()]));
    assert_eq!(rules(5).1.len(), 2);
}

#[tokio::test]
async fn the_mode_of_a_file_stays_and_a_link_stays_a_link() {
    let office = Office::new();
    let path = office.path(ConfigFile::Cluster);
    let target = office.config().join("shared.cfg");
    fs::rename(&path, &target).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o604)).unwrap();
    edit(
        &office.desk(),
        ConfigFile::Cluster,
        set("maxConnections", "65"),
    )
    .await
    .unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o604);
    assert!(
        office
            .text(ConfigFile::Cluster)
            .contains("maxConnections=65")
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_is_made_for_a_condition_that_says_so() {
    let office = Office::new();
    let desk = office.desk();
    fs::remove_file(office.path(ConfigFile::Cluster)).unwrap();
    assert!(!desk.show(ConfigFile::Cluster).await.unwrap().row.exists);
    edit(&desk, ConfigFile::Cluster, set("workerNum", "2"))
        .await
        .unwrap();
    assert_eq!(office.text(ConfigFile::Cluster), "workerNum=2\n");
}

#[tokio::test]
async fn the_texts_before_are_kept_with_who_changed_them_and_come_back_by_an_undoing() {
    let office = Office::new();
    let desk = office.desk();
    let file = ConfigFile::Cluster;
    for number in 0..VERSIONS_MAX + 3 {
        let author = Author {
            by: format!("user{number}"),
            comment: format!("change {number}"),
            caller: Caller::CONSOLE,
        };
        let condition = etag(&desk, file).await;
        let to = Change::Edits(vec![set("maxConnections", &(100 + number).to_string())]);
        desk.write(file, to, condition, author).await.unwrap();
    }
    let shown = desk.history(file).await.unwrap();
    let numbers: Vec<u64> = shown.versions.iter().map(|it| it.number).collect();
    assert_eq!(numbers, (4..=13).rev().collect::<Vec<u64>>());
    let newest = &shown.versions[0];
    assert_eq!(newest.by.as_deref(), Some("user12"));
    assert_eq!(newest.comment.as_deref(), Some("change 12"));
    assert!(newest.diff.unified.contains("+maxConnections=112"));
    assert!(newest.unix_ms.is_some_and(|at| at > 0));

    // An undoing brings back the text before the newest change, and is a change itself.
    let undone = desk
        .undo(file, None, etag(&desk, file).await, author("admin"))
        .await
        .unwrap();
    assert_eq!(undone.kept_as, Some(14));
    assert!(office.text(file).contains("maxConnections=111"));
    let back = desk
        .undo(file, Some(14), etag(&desk, file).await, author("admin"))
        .await
        .unwrap();
    assert!(back.changed);
    assert!(office.text(file).contains("maxConnections=112"));
    let newest = desk.history(file).await.unwrap().versions.remove(0);
    assert_eq!(newest.undid, Some(14));
    for (number, missing) in [(1, true), (13, false)] {
        let condition = etag(&desk, file).await;
        let undone = desk.undo(file, Some(number), condition, author("a")).await;
        let none = matches!(undone, Err(DeskError::NoVersion { .. }));
        assert_eq!(none, missing, "{undone:?}");
    }
}

#[tokio::test]
async fn an_undoing_is_judged_like_any_other_change() {
    let office = Office::new();
    let desk = office.desk();
    let file = ConfigFile::Controller;
    edit(&desk, file, set("maxConnections", "64"))
        .await
        .unwrap();
    // On the host, somebody moves the secret; the text before has the old place.
    let text = office.text(file).replace("cluster.secret", "moved.secret");
    office.put(file, text);
    let condition = etag(&desk, file).await;
    let undone = desk.undo(file, None, condition, author("admin")).await;
    assert!(
        matches!(undone, Err(DeskError::Protected { .. })),
        "{undone:?}"
    );
    let condition = etag(&desk, ConfigFile::Nodes).await;
    let nothing = desk
        .undo(ConfigFile::Nodes, None, condition, author("admin"))
        .await;
    assert!(
        matches!(nothing, Err(DeskError::NothingToUndo { .. })),
        "{nothing:?}"
    );
}

#[tokio::test]
async fn the_same_text_once_more_is_no_change() {
    let office = Office::new();
    let desk = office.desk();
    let written = write(&desk, ConfigFile::Cluster, CLUSTER).await.unwrap();
    assert_eq!((written.changed, written.kept_as), (false, None));
    assert_eq!(names(&office.history()), Vec::<String>::new());
}

#[tokio::test]
async fn a_check_tells_what_would_come_of_a_change_and_writes_nothing() {
    let office = Office::new();
    let desk = office.desk();
    let change = Change::Edits(vec![set("workerNum", "many"), set("logLevel", "DEBUG")]);
    let checked = desk.check(ConfigFile::Cluster, change, None).await.unwrap();
    assert!(checked.changed && !checked.acceptable);
    assert_eq!(checked.blocking[0].line, 3);
    assert!(checked.diff.unified.contains("+workerNum=many"));
    assert!(checked.text.contains("logLevel=DEBUG"));
    assert_eq!(office.text(ConfigFile::Cluster), CLUSTER);
    assert_eq!(names(&office.config()).len(), 3);
}
