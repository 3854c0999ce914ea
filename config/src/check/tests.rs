use super::{CheckOptions, ClusterFiles, check};
use crate::file_kind::FileKind;
use crate::host::HostFacts;
use crate::key_value::parse_key_value;

fn controller(text: &str) -> ClusterFiles {
    let parsed = parse_key_value(FileKind::Controller, "controller.cfg", text.as_bytes());
    ClusterFiles {
        controller: Some(parsed),
        ..ClusterFiles::default()
    }
}

#[test]
fn no_files_have_no_problems() {
    let report = check(&ClusterFiles::default(), &CheckOptions::default());
    assert_eq!((report.exit_status(), report.diagnostics.len()), (0, 0));
}

#[test]
fn strictness_makes_errors_of_lines_without_effect_only() {
    let files = controller("localSite=10.1.1.7:8990:master\nworkNum=1\nlogLevel=info\n");
    let report = check(&files, &CheckOptions::default());
    assert_eq!(
        (report.errors(), report.warnings(), report.exit_status()),
        (0, 2, 0)
    );
    let report = check(
        &files,
        &CheckOptions {
            strict: true,
            host: None,
        },
    );
    assert_eq!(
        (report.errors(), report.warnings(), report.exit_status()),
        (1, 1, 1)
    );
}

#[test]
fn memory_is_checked_where_the_host_is_known() {
    let files = controller("localSite=10.1.1.7:8990:master\nmaxMemSize=16\n");
    let with = |gibibytes: u64| {
        let host = Some(HostFacts {
            cores: 2,
            memory_bytes: gibibytes << 30,
        });
        check(
            &files,
            &CheckOptions {
                strict: false,
                host,
            },
        )
        .diagnostics
        .len()
    };
    assert_eq!((with(15), with(16)), (1, 0));
}
