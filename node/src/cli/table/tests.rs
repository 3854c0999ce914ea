use super::{Cell, Table};
use crate::cli::terminal::testing::captured;
use crate::cli::terminal::{Colour, Terminal};

fn table() -> Table {
    let mut table = Table::new(&["ALIAS", "STATE", "REASON"]);
    table.row([
        Cell::new("P1-NODE1"),
        Cell::new("online").coloured(Colour::Green),
        Cell::new(""),
    ]);
    table.row([Cell::new("X"), Cell::new(""), Cell::new("no agent")]);
    table
}

#[test]
fn columns_are_aligned_and_lines_end_with_a_word() {
    let (terminal, _, _) = captured();
    assert_eq!(
        table().render(&terminal),
        "ALIAS     STATE   REASON\n\
         P1-NODE1  online\n\
         X                 no agent\n"
    );
}

#[test]
fn colours_change_no_column() {
    let (mut terminal, _, _) = captured();
    let plain = table().render(&terminal);
    terminal.out_colours = true;
    let coloured = table().render(&terminal);
    assert!(coloured.contains("\x1b[32monline\x1b[0m"), "{coloured:?}");
    assert_eq!(without_colours(&coloured), plain);
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once('m').map_or(part, |(_, rest)| rest)
    })
}

#[test]
fn wide_characters_take_two_columns() {
    let (terminal, _, _) = captured();
    let mut table = Table::new(&["HOST", "STATE"]);
    table.row([Cell::new("北京一"), Cell::new("online")]);
    table.row([Cell::new("P2"), Cell::new("lost")]);
    assert_eq!(
        table.render(&terminal),
        "HOST    STATE\n北京一  online\nP2      lost\n"
    );
}

#[test]
fn a_text_from_a_peer_cannot_steer_the_terminal() {
    let (terminal, _, _): (Terminal, _, _) = captured();
    let mut table = Table::new(&["REASON"]);
    table.row([Cell::new("a\x1b[2Jb\nc\td")]);
    assert_eq!(
        table.render(&terminal),
        "REASON\na\u{fffd}[2Jb\u{fffd}c d\n"
    );
}
