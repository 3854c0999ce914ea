use crate::env::Env;
use crate::os_env::OsEnv;
use crate::os_env::proc::{boot_id, describe, executable, parse_size, parse_stat, stat};
use crate::os_env::proc_net::parse_table;
use crate::os_env::usage::parse_io;

#[test]
fn a_process_may_be_called_anything() {
    let line =
        "4711 (a (b) c) d) S 1 4711 4711 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1 18";
    let stat = parse_stat(line).unwrap();
    assert_eq!(stat.name, "a (b) c) d");
    assert_eq!(stat.start_ticks, 987_654);
}

#[test]
fn a_line_cut_short_is_refused_and_not_guessed() {
    let line = "4711 (x) S 1 4711 4711 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0";
    assert_eq!(parse_stat(line), None);
    assert_eq!(parse_stat(""), None);
    assert_eq!(parse_stat("no parentheses at all"), None);
}

#[test]
fn this_process_is_seen_as_the_kernel_sees_it() {
    let pid = std::process::id();
    let own = stat(pid).unwrap().unwrap();
    assert!(own.start_ticks > 0);
    assert!(describe(pid).starts_with(&format!("pid {pid} (")));
    assert_eq!(boot_id().unwrap().len(), 36);
    let exe = std::env::current_exe().unwrap();
    let metadata = std::fs::metadata(exe).unwrap();
    let id = {
        use std::os::unix::fs::MetadataExt;
        (metadata.dev(), metadata.ino())
    };
    assert_eq!(executable(pid).unwrap(), id);
}

#[test]
fn a_process_that_is_not_there_is_no_error() {
    assert_eq!(stat(u32::MAX).unwrap(), None);
    assert_eq!(describe(u32::MAX), format!("pid {}", u32::MAX));
}

#[test]
fn socket_tables_are_read_as_the_kernel_writes_them() {
    let tcp = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0000000000000000 100 0 0 10 0
   1: nonsense
";
    let rows: Vec<_> = parse_table(tcp).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].local, "127.0.0.1:8080".parse().unwrap());
    assert!(rows[0].listening);
    assert_eq!(rows[0].user, 1000);
    assert_eq!(rows[0].inode, 31_337);
    let udp6 = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 12: 00000000000000000000000001000000:2301 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0000000000000000 17
";
    let rows: Vec<_> = parse_table(udp6).collect();
    assert_eq!(rows[0].local, "[::1]:8961".parse().unwrap());
    assert!(!rows[0].listening);
}

#[test]
fn threads_and_pages_are_read_behind_whatever_name() {
    let line =
        "4711 (a (b) 7) S 1 4711 4711 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 13 0 987654 88 4242 18";
    assert_eq!(parse_size(line), Some((13, 4242)));
    assert_eq!(parse_size("4711 (x) S 1 2"), None);
    assert_eq!(parse_size(""), None);
}

#[test]
fn bytes_of_disks_are_told_from_those_of_caches() {
    let text = "rchar: 999\nwchar: 888\nsyscr: 1\nsyscw: 1\nread_bytes: 4096\n\
                write_bytes: 8192\ncancelled_write_bytes: 4096\n";
    assert_eq!(parse_io(text), (4096, 8192));
    assert_eq!(parse_io(""), (0, 0));
    assert_eq!(parse_io("read_bytes: many\n"), (0, 0));
}

#[test]
fn this_process_uses_memory_and_threads_and_time() {
    let env = OsEnv::new().unwrap();
    let before = env.usage();
    assert!(before.memory_bytes > 1 << 20, "{before:?}");
    assert!(before.threads >= 1, "{before:?}");
    let mut sum = 0_u64;
    while env.usage().cpu_us < before.cpu_us + 2000 {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
}
