use std::io::Cursor;

use tokio::sync::mpsc;

use crate::os_env::stdio::forward;

#[test]
fn lines_are_forwarded_until_the_end_of_input() {
    let (sender, mut lines) = mpsc::channel(16);
    forward(Cursor::new("status\r\n  quit \nlast"), &sender);
    drop(sender);
    let mut seen = Vec::new();
    while let Some(line) = lines.blocking_recv() {
        seen.push(line);
    }
    assert_eq!(seen, ["status", "quit", "last"]);
}

#[test]
fn a_line_without_end_is_cut_and_not_collected_for_ever() {
    let (sender, mut lines) = mpsc::channel(16);
    forward(Cursor::new(vec![b'x'; 200_000]), &sender);
    drop(sender);
    let mut lengths = Vec::new();
    while let Some(line) = lines.blocking_recv() {
        lengths.push(line.len());
    }
    assert_eq!(lengths, [65_536, 65_536, 65_536, 3392]);
}
