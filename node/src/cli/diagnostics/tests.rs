use vaquita_config::{
    CheckOptions, ClusterFiles, FileKind, check, parse_cluster_nodes, parse_key_value,
};

use super::{marked, render};

#[test]
fn a_problem_is_shown_with_its_place_its_line_and_its_help() {
    let files = ClusterFiles {
        controller: Some(parse_key_value(
            FileKind::Controller,
            "config/controller.cfg",
            b"localSite=10.1.1.7:8990:master\nworkNum=4\n",
        )),
        ..ClusterFiles::default()
    };
    let report = check(&files, &CheckOptions::default());
    let text = render(&report.diagnostics[0], &files, false);
    for part in [
        "warning[unknown-key]: there is no key `workNum`",
        "--> config/controller.cfg:2:1",
        "2 | workNum=4",
        "^^^^^^^",
        "= help: ",
        "workerNum",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains('\x1b'), "{text}");
    assert!(render(&report.diagnostics[0], &files, true).contains('\x1b'));
}

#[test]
fn a_related_place_is_shown_with_its_line() {
    let rows = b"localSite,mode\n10.1.1.1:8960:A,agent\n10.1.1.1:8961:N,datanode\n10.1.1.1:8962:N,datanode\n";
    let files = ClusterFiles {
        nodes: Some(parse_cluster_nodes("cluster.nodes", rows)),
        ..ClusterFiles::default()
    };
    let report = check(&files, &CheckOptions::default());
    let twice = report
        .diagnostics
        .iter()
        .find(|it| it.is_error())
        .expect("an alias twice is an error");
    let text = render(twice, &files, false);
    assert!(text.contains("--> cluster.nodes:4:"), "{text}");
    assert!(text.contains("3 | 10.1.1.1:8961:N,datanode"), "{text}");
}

#[test]
fn marks_cover_whole_characters_and_never_leave_the_line() {
    let text = "端口：8990";
    assert_eq!(marked(text, 3, 3), 6..9);
    assert_eq!(marked(text, 3, 4), 6..10);
    assert_eq!(marked(text, 1, 1), 0..3);
    assert_eq!(marked(text, 7, 100), 12..13);
    assert_eq!(marked(text, 100, 5), 13..13);
    assert_eq!(marked("", 1, 0), 0..0);
}

#[test]
fn whatever_bytes_a_file_holds_its_problems_can_be_shown() {
    for bytes in [
        &b"\xff\xfe\x00"[..],
        b"\xef\xbb\xbf\n\n=\n",
        b"a\xc3=\xff\n\t\x00=1\n",
        b"localSite\xef\xbc\x9a10.1.1.1\r\rx",
    ] {
        let files = ClusterFiles {
            controller: Some(parse_key_value(FileKind::Controller, "c", bytes)),
            nodes: Some(parse_cluster_nodes("n", bytes)),
            ..ClusterFiles::default()
        };
        let report = check(&files, &CheckOptions::default());
        assert!(!report.diagnostics.is_empty(), "{bytes:?}");
        for diagnostic in &report.diagnostics {
            assert!(render(diagnostic, &files, true).contains(diagnostic.code));
        }
    }
}
