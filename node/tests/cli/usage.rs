use crate::program::Place;

#[tokio::test]
async fn help_names_every_command_and_how_server_processes_are_started() {
    let out = Place::new().run("--help").await.ok();
    for word in [
        "local",
        "check",
        "explain",
        "login",
        "logout",
        "node",
        "dfs",
        "chunk",
        "volume",
        "status",
        "user",
        "secret",
        "completions",
        "-mode controller",
        "-mode agent",
        "Exit status",
    ] {
        assert!(out.contains(word), "no {word} in\n{out}");
    }
}

#[tokio::test]
async fn the_version_is_printed() {
    let out = Place::new().run("--version").await.ok();
    assert_eq!(out, format!("vaquita {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn completions_know_commands_and_configuration_keys() {
    for shell in ["bash", "zsh", "fish"] {
        let out = Place::new().run(&format!("completions {shell}")).await.ok();
        for word in [
            "check",
            "completions",
            "dfsReplicationFactor",
            "nodesFile",
            "no-clobber",
        ] {
            assert!(out.contains(word), "{shell}: no {word}");
        }
    }
    let err = Place::new().run("completions bsh").await.failed(64);
    assert!(err.contains("bash"), "{err}");
}

#[tokio::test]
async fn mistakes_go_to_standard_error_with_status_64_and_a_suggestion() {
    for (line, suggestion) in [
        ("statsu", "status"),
        ("node stat --all", "start"),
        ("status --wtach", "--watch"),
        ("dfs mkdri dfs://a", "mkdir"),
        ("dfs ls --recursiv", "--recursive"),
        ("dfs ls data", "begins with `dfs://`"),
        ("-mode controler", "controller"),
        ("-nodeFile cluster.nodes", "-nodesFile"),
    ] {
        let ran = Place::new().run(line).await;
        assert_eq!(ran.out, "", "{line}");
        let err = ran.failed(64);
        assert!(err.contains(suggestion), "{line}: {err}");
    }
}

#[tokio::test]
async fn nothing_is_coloured_without_a_terminal() {
    let place = Place::with(&[("controller.cfg", "nonsense\n")]);
    for line in ["check", "--help", "statsu"] {
        let ran = place.run(line).await;
        assert!(
            !ran.out.contains('\x1b') && !ran.err.contains('\x1b'),
            "{line}: {ran:?}"
        );
    }
}

#[tokio::test]
async fn output_that_cannot_be_written_is_status_74() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = place.command();
    command
        .args(["explain", "--key", "workerNum"])
        .stdout(full)
        .stderr(std::process::Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(74));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("cannot be written"), "{err}");
}
