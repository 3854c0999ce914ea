use std::path::PathBuf;

use vaquita_config::Mode;

use super::ServerFlags;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn parse(line: &str) -> ServerFlags {
    ServerFlags::parse(&words(line)).unwrap_or_else(|errors| panic!("{line}: {:?}", errors.0))
}

fn errors(line: &str) -> Vec<String> {
    match ServerFlags::parse(&words(line)) {
        Ok(flags) => panic!("{line}: {flags:?}"),
        Err(errors) => errors.0,
    }
}

#[test]
fn the_tutorials_command_lines_are_read_as_they_are() {
    let agent =
        parse("-console 0 -mode agent -home data -config config/agent.cfg -logFile log/agent.log");
    assert_eq!(agent.mode, Some(Mode::Agent));
    assert_eq!(agent.console, Some(false));
    assert_eq!(agent.home, Some(PathBuf::from("data")));
    assert_eq!(agent.config, Some(PathBuf::from("config/agent.cfg")));
    assert_eq!(agent.log_file, Some(PathBuf::from("log/agent.log")));
    let controller = parse(
        "-console 0 -mode controller -home data -config config/controller.cfg \
         -clusterConfig config/cluster.cfg -logFile log/controller.log \
         -nodesFile config/cluster.nodes",
    );
    assert_eq!(controller.mode, Some(Mode::Controller));
    assert_eq!(
        controller.cluster_config,
        Some(PathBuf::from("config/cluster.cfg"))
    );
    assert_eq!(
        controller.nodes_file,
        Some(PathBuf::from("config/cluster.nodes"))
    );
}

#[test]
fn one_dash_two_dashes_and_equals_signs_are_the_same() {
    let expected = parse("-mode agent -home a=b");
    for line in [
        "--mode agent --home a=b",
        "-mode=agent -home=a=b",
        "--MODE=agent -Home a=b",
    ] {
        assert_eq!(parse(line), expected, "{line}");
    }
}

#[test]
fn any_configuration_key_is_a_flag() {
    let flags = parse("-mode controller -workerNum 4 -localSite 10.1.1.7:8990:master");
    assert_eq!(
        flags.settings,
        [
            ("mode", "controller"),
            ("workerNum", "4"),
            ("localSite", "10.1.1.7:8990:master")
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn the_later_of_two_equal_flags_rules() {
    let flags = parse("-home a -mode agent -home b");
    assert_eq!(flags.home, Some(PathBuf::from("b")));
}

#[test]
fn a_value_may_begin_with_a_dash_unless_it_is_a_flag() {
    assert_eq!(parse("-home -x").home, Some(PathBuf::from("-x")));
    assert_eq!(parse("-home=-mode").home, Some(PathBuf::from("-mode")));
    let errors = errors("-home -mode agent");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].contains("`-home` needs a value, and `-mode`"),
        "{errors:?}"
    );
}

#[test]
fn a_misspelt_flag_gets_a_suggestion_and_its_value_no_second_error() {
    let errors = errors("-mod agent -home data");
    assert_eq!(errors, ["there is no flag `-mod`; did you mean `-mode`?"]);
}

#[test]
fn a_misspelt_value_gets_a_suggestion() {
    let errors = errors("-mode agnet");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("`agent`"), "{errors:?}");
}

#[test]
fn every_error_is_told_at_once() {
    let errors = errors("-workerNum many stray -frobnicate 1 -home");
    assert_eq!(errors.len(), 4, "{errors:?}");
}

#[test]
fn noconfig_is_no_file() {
    assert_eq!(parse("-mode datanode -config /noconfig").config, None);
}

#[test]
fn an_empty_value_is_a_value() {
    let flags = ServerFlags::parse(&["-home".to_owned(), String::new()]);
    let told = format!("{flags:?}");
    assert!(flags.is_ok() || told.contains("home"), "{told}");
}
