use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Child;

use crate::program::Place;
use crate::rig::{Addresses, Sweeper, interrupt, until};

/// A terminal in which `vaquita local` runs, and the directory it works in.
pub(crate) struct Terminal {
    program: Child,
    /// What was printed until everything was green.
    beginning: String,
    rest: BufReader<tokio::process::ChildStdout>,
}

pub(crate) const DIRECTORY: &str = "Größe 4 云";

impl Terminal {
    pub(crate) async fn open(place: &Place, subnet: &str) -> Self {
        let mut command = place.command();
        let mut program = command
            .args(["local", "--dir", DIRECTORY, "--subnet", subnet])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut rest = BufReader::new(program.stdout.take().unwrap());
        let mut beginning = String::new();
        until("`vaquita local` says how to stop it", async || {
            let read = rest.read_line(&mut beginning).await.unwrap();
            assert_ne!(read, 0, "it ended early: {beginning}");
            beginning.contains("Ctrl-C").then_some(())
        })
        .await;
        Self {
            program,
            beginning,
            rest,
        }
    }

    /// Ctrl-C, and what is printed from then on.
    pub(crate) async fn interrupt(mut self) -> String {
        interrupt(self.program.id().unwrap());
        let mut end = String::new();
        self.rest.read_to_string(&mut end).await.unwrap();
        let status = self.program.wait().await.unwrap();
        assert_eq!(status.code(), Some(0), "{end}");
        end
    }
}

/// The states of the data nodes, by alias.
async fn states(place: &Place) -> Vec<(String, String)> {
    let out = place.run("node list --json").await.ok();
    let rows: Vec<crate::rig::Row> = serde_json::from_str(&out).unwrap();
    rows.into_iter()
        .filter(|row| row.mode == "datanode")
        .map(|row| (row.alias, row.state))
        .collect()
}

#[tokio::test]
async fn local_runs_four_nodes_obeys_a_second_terminal_and_leaves_nothing_behind() {
    let place = Place::new();
    let addresses = Addresses::take();
    let sweeper = Sweeper::of(&place.path(""));
    let terminal = Terminal::open(&place, &addresses.subnet()).await;
    let controller = format!("http://{}.1:8990", addresses.subnet());
    let password = place.read(&format!("{DIRECTORY}/admin.password"));
    for part in [
        "all green after",
        controller.as_str(),
        "user admin",
        password.trim(),
    ] {
        assert!(
            terminal.beginning.contains(part),
            "no {part:?} in\n{}",
            terminal.beginning
        );
    }

    // A second terminal of the same user needs neither address nor password.
    let green = ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P5-NODE1"]
        .map(|alias| (alias.to_owned(), "online".to_owned()));
    let status = place.run("status").await.ok();
    assert!(status.contains("all 4 data nodes are online"), "{status}");
    assert_eq!(states(&place).await, green);
    place.run("node stop P1-NODE1 --wait").await.ok();
    assert_eq!(states(&place).await[0].1, "stopped");
    let status = place.run("status").await.ok();
    assert!(status.contains("3 of 4 data nodes are online"), "{status}");
    let ran = place.run("node start --all --wait").await;
    assert!(ran.err.contains("P1-NODE1 is online"), "{ran:?}");
    ran.ok();
    assert_eq!(states(&place).await, green);

    // The data nodes take the same login.
    let node = format!("{}.2:8961", addresses.subnet());
    let listed = place.run(&format!("dfs ls --server {node} dfs://")).await;
    assert_eq!(listed.ok(), "");

    let end = terminal.interrupt().await;
    assert!(end.ends_with("everything has stopped\n"), "{end}");
    assert_eq!(sweeper.found(), [0; 0]);
}

#[tokio::test]
async fn local_goes_on_with_the_same_cluster_after_its_end() {
    let place = Place::new();
    let addresses = Addresses::take();
    let _sweeper = Sweeper::of(&place.path(""));
    let first = Terminal::open(&place, &addresses.subnet()).await;
    place
        .run_with("user add alice --password-stdin", "her first one\n")
        .await
        .ok();
    first.interrupt().await;
    let second = Terminal::open(&place, &addresses.subnet()).await;
    assert!(second.beginning.contains("all green after"));
    let users = place.run("user list").await.ok();
    assert!(users.contains("alice"), "{users}");
    second.interrupt().await;
}

#[tokio::test]
async fn local_goes_on_over_https_if_its_files_say_so() {
    let place = Place::new();
    let addresses = Addresses::take();
    let _sweeper = Sweeper::of(&place.path(""));
    Terminal::open(&place, &addresses.subnet())
        .await
        .interrupt()
        .await;
    let hosts = ["P1", "P2", "P3", "P5"].map(|host| format!("{host}/agent.cfg"));
    for file in hosts.iter().map(String::as_str).chain(["controller.cfg"]) {
        let name = format!("{DIRECTORY}/{file}");
        let text = place.read(&name);
        assert!(!text.is_empty(), "{name}");
        place.write(&name, &format!("{text}enableHTTPS=1\n"));
    }
    let second = Terminal::open(&place, &addresses.subnet()).await;
    let address = format!("https://{}.1:8990", addresses.subnet());
    assert!(second.beginning.contains(&address), "{}", second.beginning);
    let status = place.run("status").await.ok();
    assert!(status.contains("all 4 data nodes are online"), "{status}");
    // The data nodes are known by the same key.
    let node = format!("https://{}.2:8961", addresses.subnet());
    place
        .run(&format!("dfs ls --server {node} dfs://"))
        .await
        .ok();
    second.interrupt().await;
}

#[tokio::test]
async fn local_whose_children_are_killed_with_it_starts_over_the_rest() {
    let place = Place::new();
    let addresses = Addresses::take();
    let sweeper = Sweeper::of(&place.path(""));
    let mut first = Terminal::open(&place, &addresses.subnet()).await;
    first.program.kill().await.unwrap();
    let left = sweeper.found();
    assert!(left.len() >= 4, "the data nodes run on: {left:?}");
    let second = Terminal::open(&place, &addresses.subnet()).await;
    assert!(
        second.beginning.contains("an earlier run left processes"),
        "{}",
        second.beginning
    );
    assert!(second.beginning.contains("all green after"));
    second.interrupt().await;
    assert_eq!(sweeper.found(), [0; 0]);
}
