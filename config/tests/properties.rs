//! Properties that hold for all texts, and resolution against a model of its own.

use proptest::prelude::*;
use vaquita_config::{
    ClusterFiles, FileKind, Origin, fuzzing, parse_cluster_nodes, parse_key_value, render_node_cfg,
    resolve_node,
};

/// Text that looks like configuration often enough to get past the first line of a parser.
fn configuration() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => proptest::sample::select(vec![
            "localSite", "controllerSite", "volumes", "workerNum", "maxMemSize", "lanCluster",
            "mode", "dataSync", "webWorkNum", "P1-NODE1", "P1-%", "P?-NODE1", "%", "?", "<ALIAS>",
            "<alias>", "10.1.1.1", ":8960:", ":8961:", "agent", "datanode", "controller", "/VOL1/",
            "/VOL1:/VOL2", "C:\\data", "data", "4", "-1", "99999999999999999999", "1e308", "0.5",
            "16G", "true", "\"4\"", "localSite,mode", "localSite,mode,computeGroup,zone", "s3://b",
            "[fd00::1]", "fd00::1", "~",
        ])
        .prop_map(str::to_owned),
        8 => proptest::sample::select(vec![
            "=", ".", ",", ":", ";", " ", "\t", "#", "//", " # x", " // x", "\n", "\r\n", "\r",
            "\n\n", "\u{feff}", "\0", "：", "％", "，", "＝", "\u{3000}", "\u{200b}", "é", "数",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Well-formed lines of `cluster.cfg`.
fn entry() -> impl Strategy<Value = String> {
    let qualifier = proptest::sample::select(vec![
        "",
        "P1-NODE1.",
        "P2-NODE1.",
        "P1-%.",
        "%1.",
        "P?-NODE1.",
        "%.",
        "P1-NODE?.",
        "%NODE%.",
    ]);
    let key = proptest::sample::select(vec!["workerNum", "maxConnections", "webWorkerNum"]);
    (qualifier, key, 1..50_i64)
        .prop_map(|(qualifier, key, value)| format!("{qualifier}{key}={value}"))
}

proptest! {
    #[test]
    fn any_bytes_are_kept(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzzing::fuzz_document(&bytes);
        fuzzing::fuzz_parsers(&bytes);
    }

    #[test]
    fn any_text_is_kept_and_parsed_without_panic(text in configuration()) {
        fuzzing::fuzz_document(text.as_bytes());
        fuzzing::fuzz_parsers(text.as_bytes());
    }

    #[test]
    fn any_files_are_checked_and_resolved_without_panic(
        files in proptest::collection::vec(configuration(), 4),
    ) {
        fuzzing::fuzz_cluster(files.join("\u{1e}").as_bytes());
    }

    #[test]
    fn the_matcher_is_the_rule(pattern in "[ab%?]{0,12}", alias in "[ab]{0,12}") {
        fuzzing::fuzz_pattern(format!("{pattern}\n{alias}").as_bytes());
    }

    #[test]
    fn the_macro_is_replaced_and_nothing_else(
        alias in "[A-Za-z0-9-]{1,6}",
        value in "(<ALIAS>|<alias>|<ALIAS|<AlIaS>|<HOST>|[<>/a数]){0,9}",
    ) {
        fuzzing::fuzz_macro(format!("{alias}\n{value}").as_bytes());
    }

    #[test]
    fn a_site_is_written_as_it_reads(
        text in "( ?(10\\.1\\.1\\.1|h|\\[::1\\]|\\[fd00::7\\]|主机)? ?: ?[0-9]{0,5} ?: ?[A-Z1-9-]{0,5} ?)|\\PC{0,20}",
    ) {
        fuzzing::fuzz_site(text.as_bytes());
    }

    #[test]
    fn an_edit_changes_one_line(value in "[a-z0-9/,<>#= \t]{0,12}|\\PC{0,6}", text in configuration()) {
        let value = value.replace('\n', " ");
        for line in 0_u8..12 {
            let line = char::from(line);
            fuzzing::fuzz_edit(format!("{line}{value}\n{text}").as_bytes());
            let nodes = format!("{line}10.1.1.3:8961:P3-NODE1\nlocalSite,mode\n{text}");
            fuzzing::fuzz_edit(nodes.as_bytes());
        }
    }

    #[test]
    fn resolution_is_filter_and_sort(lines in proptest::collection::vec(entry(), 0..25)) {
        let nodes = "localSite,mode\n10.1.1.1:8960:P1-agent,agent\n10.1.1.1:8961:P1-NODE1,datanode\n";
        let text = lines.join("\n");
        let files = ClusterFiles {
            nodes: Some(parse_cluster_nodes("cluster.nodes", nodes.as_bytes())),
            cluster: Some(parse_key_value(FileKind::Cluster, "cluster.cfg", text.as_bytes())),
            ..ClusterFiles::default()
        };
        let resolved = resolve_node("P1-NODE1", &files, &[], None).unwrap();
        for key in ["workerNum", "maxConnections", "webWorkerNum"] {
            // The model: keep the lines for this key and node, sort them by class and line.
            let mut model: Vec<(usize, usize, usize, &str)> = Vec::new();
            for (index, line) in lines.iter().enumerate() {
                let (left, value) = line.split_once('=').unwrap();
                let (qualifier, name) = left.rsplit_once('.').unwrap_or(("", left));
                let literals = qualifier.chars().filter(|it| !"%?".contains(*it)).count();
                let class = match qualifier {
                    "" => 0,
                    "P1-NODE1" => 2,
                    "P1-%" | "%1" | "P?-NODE1" | "%" | "P1-NODE?" | "%NODE%" => 1,
                    _ => continue,
                };
                if name == key {
                    model.push((class, if class == 1 { literals } else { 0 }, index + 1, value));
                }
            }
            model.sort();
            model.reverse();
            let setting = resolved.setting(key).unwrap();
            match model.split_first() {
                None => prop_assert_eq!(&setting.origin, &Origin::Default),
                Some(((_, _, line, value), beaten)) => {
                    prop_assert_eq!(&setting.raw, value);
                    let found = match &setting.origin {
                        Origin::File(place) => place.line,
                        other => panic!("{key} comes from {other:?}"),
                    };
                    prop_assert_eq!(found, *line);
                    let lost: Vec<&str> = setting.beaten.iter().map(|it| it.raw.as_str()).collect();
                    let wanted: Vec<&str> = beaten.iter().map(|it| it.3).collect();
                    prop_assert_eq!(lost, wanted);
                }
            }
        }
    }

    #[test]
    fn node_cfg_says_what_was_resolved(lines in proptest::collection::vec(entry(), 0..25)) {
        let nodes = "localSite,mode\n10.1.1.1:8960:P1-agent,agent\n10.1.1.1:8961:P1-NODE1,datanode\n";
        let text = format!("volumes=/a b/<ALIAS>,/数据/<ALIAS>\n{}", lines.join("\n"));
        let files = ClusterFiles {
            controller: Some(parse_key_value(
                FileKind::Controller, "controller.cfg", b"localSite=h:1:m\ndataSync=0\nlanCluster=0\n",
            )),
            nodes: Some(parse_cluster_nodes("cluster.nodes", nodes.as_bytes())),
            cluster: Some(parse_key_value(FileKind::Cluster, "cluster.cfg", text.as_bytes())),
            ..ClusterFiles::default()
        };
        let resolved = resolve_node("P1-NODE1", &files, &[], None).unwrap();
        let order = resolved.order();
        let written = render_node_cfg(&order).unwrap();
        let parsed = parse_key_value(FileKind::Node, "node.cfg", written.as_bytes());
        prop_assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
        let node = vaquita_config::resolve_node_file(Some(&parsed), &[], None);
        for (key, _) in &order {
            prop_assert_eq!(node.value(key), resolved.value(key), "{}", key);
        }
        prop_assert_eq!(node.site, resolved.site);
    }
}
