use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use vaquita_config::{CheckOptions, Mode, Site, check};

use super::files::{self, read_bootstrap, read_password};
use super::layout::{Addresses, Layout};
use super::{Keep, Local, lock, ports, processes, refuse_foreign, stop_running_under, subnet};
use crate::cli::config_files;
use crate::cli::exit::{Failure, Status};
use crate::cli::terminal::testing::captured;
use crate::os_env::OsEnv;

mod starting;

const USUAL: Addresses = Addresses::OnePerHost {
    subnet: [127, 0, 0],
};

/// Bytes that differ from each other and are the same in every run.
fn counting() -> impl Fn(&mut [u8]) -> Result<(), Failure> {
    let next = std::cell::Cell::new(0_u8);
    move |bytes| {
        for byte in bytes {
            *byte = next.replace(next.get().wrapping_add(37));
        }
        Ok(())
    }
}

fn written(hosts: u8) -> (tempfile::TempDir, Layout) {
    written_with(hosts, USUAL)
}

fn written_with(hosts: u8, addresses: Addresses) -> (tempfile::TempDir, Layout) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let layout = Layout::plan(&path, hosts, addresses);
    files::write(&layout, counting()).unwrap();
    (directory, layout)
}

fn sites<'a>(sites: impl IntoIterator<Item = &'a Site>) -> Vec<String> {
    sites.into_iter().map(ToString::to_string).collect()
}

#[test]
fn hosts_have_the_tutorials_names_and_an_address_each() {
    let layout = Layout::plan(Path::new("/c"), 4, USUAL);
    assert_eq!(
        sites(layout.sites()),
        [
            "127.0.0.1:8990:master",
            "127.0.0.2:8960:P1-agent",
            "127.0.0.3:8960:P2-agent",
            "127.0.0.4:8960:P3-agent",
            "127.0.0.5:8960:P5-agent",
            "127.0.0.2:8961:P1-NODE1",
            "127.0.0.3:8961:P2-NODE1",
            "127.0.0.4:8961:P3-NODE1",
            "127.0.0.5:8961:P5-NODE1",
        ]
    );
}

#[test]
fn on_one_address_every_process_has_a_port_of_its_own() {
    for hosts in 1..=super::layout::HOSTS_MAX {
        let layout = Layout::plan(Path::new("/c"), hosts, Addresses::OneHost);
        let mut places: Vec<(String, u16)> = layout
            .sites()
            .map(|site| (site.host.clone(), site.port))
            .collect();
        assert!(places.iter().all(|(host, _)| host == "127.0.0.1"));
        let all = places.len();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), all, "{hosts} hosts");
    }
}

#[test]
fn the_files_of_a_new_cluster_have_nothing_wrong_and_say_what_was_planned() {
    let (directory, layout) = written(4);
    let found = config_files::read(&[directory.path().to_path_buf()]).unwrap();
    assert_eq!(
        found.count, 7,
        "three of the cluster and an agent.cfg a host"
    );
    let report = check(
        &found.files,
        &CheckOptions {
            strict: true,
            host: None,
        },
    );
    assert_eq!(report.diagnostics, []);
    let read = Layout::of_files(&layout.directory, &found.files).unwrap();
    assert_eq!(read.controller, layout.controller);
    assert_eq!(read.data_nodes, layout.data_nodes);
    let agents = |layout: &Layout| -> Vec<_> {
        layout
            .hosts
            .iter()
            .map(|it| (it.agent.clone(), it.agent_cfg.clone()))
            .collect()
    };
    assert_eq!(agents(&read), agents(&layout));
    let controller = vaquita_config::resolve_controller(&found.files, &[], None);
    assert_eq!(controller.integer("dfsReplicationFactor"), Some(2));
}

#[test]
fn the_files_of_a_cluster_on_one_address_have_nothing_wrong_either() {
    let (directory, layout) = written_with(4, Addresses::OneHost);
    let found = config_files::read(&[directory.path().to_path_buf()]).unwrap();
    let options = CheckOptions {
        strict: true,
        host: None,
    };
    assert_eq!(check(&found.files, &options).diagnostics, []);
    let read = Layout::of_files(&layout.directory, &found.files).unwrap();
    assert_eq!(read.data_nodes, layout.data_nodes);
    assert_eq!(
        sites(&read.data_nodes)[3],
        "127.0.0.1:8964:P1-NODE4",
        "one agent has them all"
    );
}

#[test]
fn secrets_are_for_their_owner_alone_and_the_same_on_every_host() {
    let (_directory, layout) = written(2);
    let secret = layout.directory.join("cluster.secret");
    let copies = layout
        .hosts
        .iter()
        .map(|host| host.directory.join("cluster.secret"));
    for copy in copies {
        assert_eq!(fs::read(&copy).unwrap(), fs::read(&secret).unwrap());
        assert_eq!(
            fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
            0o600
        );
        crate::secret_file::read(&copy).unwrap();
    }
    for path in [secret, layout.password_file(), layout.bootstrap()] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn the_bootstrap_file_and_the_kept_password_agree() {
    let (_directory, layout) = written(1);
    let bootstrap = read_bootstrap(&layout).unwrap();
    assert_eq!(
        read_password(&layout),
        Some(bootstrap.admin_password.clone())
    );
    assert_eq!(bootstrap.admin_password.len(), 20);
    let parts: Vec<&str> = bootstrap.token.split('_').collect();
    assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("vqt", 16, 64));
    assert!(!format!("{bootstrap:?}").contains(&bootstrap.admin_password));
    fs::remove_file(layout.bootstrap()).unwrap();
    assert_eq!(read_bootstrap(&layout), None);
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let (_directory, layout) = written(1);
    let failure = files::write(&layout, counting()).unwrap_err();
    assert_eq!(failure.status, Status::Exists);
}

#[test]
fn roles_are_started_with_the_tutorials_flags() {
    let layout = Layout::plan(Path::new("/c"), 1, USUAL);
    assert_eq!(
        layout.controller_arguments().join(" "),
        "-mode controller -console 0 -home /c/data -config /c/controller.cfg \
         -clusterConfig /c/cluster.cfg -nodesFile /c/cluster.nodes -logFile /c/log/controller.log"
    );
    assert_eq!(
        layout.hosts[0].agent_arguments().join(" "),
        "-mode agent -console 0 -home /c/P1/data -config /c/P1/agent.cfg \
         -logFile /c/P1/log/agent.log"
    );
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    refuse_foreign(directory.path()).unwrap();
    refuse_foreign(&directory.path().join("new")).unwrap();
    fs::write(directory.path().join("thesis.tex"), "").unwrap();
    let failure = refuse_foreign(directory.path()).unwrap_err();
    assert_eq!(failure.status, Status::Exists);
}

#[test]
fn what_an_unfinished_run_has_written_is_cleared_and_nothing_else() {
    let (directory, layout) = written(2);
    let last = directory.path().join("controller.cfg");
    let finished = refuse_foreign(directory.path()).unwrap_err();
    assert_eq!(finished.status, Status::Exists, "no lock: not begun by us");
    drop(lock(directory.path()).unwrap());
    fs::rename(&last, directory.path().join("controller.cfg.new")).unwrap();
    let unfinished = refuse_foreign(directory.path()).unwrap();
    assert_eq!(unfinished.len(), 4 + 2 * 2 + 2, "{unfinished:?}");
    super::unfinished::clear(&unfinished).unwrap();
    assert_eq!(refuse_foreign(directory.path()), Ok(Vec::new()));
    files::write(&layout, counting()).unwrap();
    assert!(last.exists());
}

#[test]
fn a_cluster_that_has_run_is_not_written_anew_for_want_of_a_file() {
    let (directory, _layout) = written(1);
    drop(lock(directory.path()).unwrap());
    fs::remove_file(directory.path().join("controller.cfg")).unwrap();
    let log = directory.path().join("log/controller.log");
    fs::write(&log, "").unwrap();
    let failure = refuse_foreign(directory.path()).unwrap_err();
    assert!(failure.message.contains("log/controller.log"), "{failure}");
    fs::remove_file(&log).unwrap();
    let home = directory.path().join("P1/data/P1-agent");
    fs::create_dir(&home).unwrap();
    let failure = refuse_foreign(directory.path()).unwrap_err();
    assert!(failure.message.contains("P1/data/P1-agent"), "{failure}");
    fs::remove_dir(&home).unwrap();
    refuse_foreign(directory.path()).unwrap();
}

#[test]
fn a_directory_serves_one_program_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let held = lock(directory.path()).unwrap();
    let failure = lock(directory.path()).unwrap_err();
    assert_eq!(failure.status, Status::Exists);
    let pid = std::process::id().to_string();
    assert!(failure.message.contains(&format!("pid {pid}")), "{failure}");
    drop(held);
    lock(directory.path()).unwrap();
}

#[test]
fn subnets_are_three_numbers_of_the_loopback() {
    assert_eq!(subnet("127.0.7"), Ok([127, 0, 7]));
    for text in ["10.0.0", "127.0", "127.0.0.1", "127.0.256", "", "127..0"] {
        assert!(subnet(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_holder() {
    #[expect(clippy::disallowed_methods, reason = "the port that is taken")]
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = |host: &str, port, alias: &str| Site {
        host: host.to_owned(),
        port,
        alias: alias.to_owned(),
    };
    let taken_port = listener.local_addr().unwrap().port();
    let sites = [
        site("127.0.0.1", 0, "free"),
        site("127.0.0.1", taken_port, "P1-agent"),
        site("192.0.2.1", 0, "foreign"),
    ];
    let env = OsEnv::new().unwrap();
    let taken = ports::taken(&env, &sites).await.unwrap();
    let aliases: Vec<&str> = taken.iter().map(|it| it.site.alias.as_str()).collect();
    assert_eq!(aliases, ["P1-agent", "foreign"]);
    let text = taken[0].to_string();
    let held = format!("127.0.0.1:{taken_port}, which P1-agent needs, is held by pid");
    assert!(text.starts_with(&held), "{text}");
    assert!(
        text.contains(&format!("pid {}", std::process::id())),
        "{text}"
    );
    assert!(taken[1].why.starts_with("cannot be had"), "{}", taken[1]);
}

#[tokio::test]
async fn a_machine_without_the_addresses_gets_ports_instead() {
    let env = OsEnv::new().unwrap();
    let addresses = ports::choose(&env, [127, 0, 0], 2).await.unwrap();
    assert_eq!(addresses, USUAL);
    let foreign = ports::choose(&env, [192, 0, 2], 2).await.unwrap();
    assert_eq!(foreign, Addresses::OneHost);
}

/// A program that takes the flags of a server process, waits until it is ended, and does nothing
/// else; the role `failing` says why and ends at once.
pub(super) fn fake_program(directory: &Path, failing: &str) -> PathBuf {
    let program = directory.join("fake");
    let script = format!(
        "#!/bin/sh\n\
         [ \"$2\" = {failing} ] && echo 'no such port' && exit 69\n\
         read line < \"$0.fifo\"\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let fifo = directory.join("fake.fifo");
    let made = command("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    program
}

fn command(program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    #[expect(clippy::disallowed_methods, reason = "processes that are looked for")]
    std::process::Command::new(program)
}

/// A fake process, which does not outlive its test, however that ends.
struct Pretended(std::process::Child);

impl Drop for Pretended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the fake as a role with its home in a directory.
fn pretend_server(program: &Path, directory: &Path, mode: &str) -> Pretended {
    let home = directory.join("home");
    let child = command(program)
        .args(["-mode", mode, "-home"])
        .arg(home)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    Pretended(child)
}

/// The processes of a directory once there are so many: for a moment after its start, a process has
/// no command line yet.
async fn until_running(directory: &Path, count: usize) -> Vec<processes::Running> {
    let looking = async {
        loop {
            let running = processes::running_under(directory);
            if running.len() == count {
                return running;
            }
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(30);
    let found = tokio::time::timeout(patience, looking).await;
    found.unwrap_or_else(|_| panic!("not {count}: {:?}", processes::running_under(directory)))
}

#[tokio::test]
async fn processes_of_a_directory_are_found_by_their_command_lines_and_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let program = fake_program(other.path(), "nobody");
    let children = [
        pretend_server(&program, directory.path(), "controller"),
        pretend_server(&program, directory.path(), "datanode"),
    ];
    let _foreign = pretend_server(&program, other.path(), "datanode");
    let running = until_running(directory.path(), 2).await;
    let modes: Vec<Mode> = running.iter().map(|it| it.mode).collect();
    assert_eq!(
        modes,
        [Mode::Datanode, Mode::Controller],
        "in the order to stop them"
    );
    assert_eq!(running[1].pid, children[0].0.id());
    let (mut terminal, _, _) = captured();
    stop_running_under(directory.path(), Keep::Nothing, &mut terminal)
        .await
        .unwrap();
    assert_eq!(processes::running_under(directory.path()), []);
    until_running(other.path(), 1).await;
}

#[test]
fn the_number_of_hosts_is_checked_by_the_command_line() {
    use clap::{Args as _, FromArgMatches as _};
    let command = Local::augment_args(clap::Command::new("local"));
    let parse = |hosts: &str| {
        let matches = command
            .clone()
            .try_get_matches_from(["local", "--hosts", hosts])?;
        Local::from_arg_matches(&matches)
    };
    assert_eq!(parse("64").unwrap().hosts, Some(64));
    for hosts in ["0", "65", "-1", "many"] {
        assert!(parse(hosts).is_err(), "{hosts}");
    }
}
