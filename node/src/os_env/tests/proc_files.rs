use crate::os_env::proc::{boot_id, describe, executable, parse_stat, stat};
use crate::os_env::proc_net::parse_table;

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
