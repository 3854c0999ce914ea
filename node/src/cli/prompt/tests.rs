use super::{LINE_BYTES, lines, typed_line};

fn typed(keys: &[u8]) -> Option<String> {
    typed_line(&mut &keys[..])
        .unwrap()
        .map(|secret| secret.to_string())
}

#[test]
fn return_ends_a_password_and_blanks_belong_to_it() {
    assert_eq!(typed(b" a b \r").as_deref(), Some(" a b "));
    assert_eq!(typed("пароль\n".as_bytes()).as_deref(), Some("пароль"));
    assert_eq!(typed(b"\r").as_deref(), Some(""));
}

#[test]
fn backspace_takes_a_character_and_ctrl_u_all() {
    assert_eq!(typed("aé\x7f\x7fb\r".as_bytes()).as_deref(), Some("b"));
    assert_eq!(typed(b"\x7f\x08x\r").as_deref(), Some("x"));
    assert_eq!(typed(b"abc\x15d\r").as_deref(), Some("d"));
}

#[test]
fn ctrl_c_and_ctrl_d_and_a_closed_terminal_give_up() {
    assert_eq!(typed(b"abc\x03\r"), None);
    assert_eq!(typed(b"\x04"), None);
    assert_eq!(typed(b"abc"), None);
    assert_eq!(typed(b"a\x04\r").as_deref(), Some("a\x04"));
}

#[test]
fn passwords_of_standard_input_are_its_lines() {
    let read = |text: &str| {
        let lines = lines(text.as_bytes(), 2).unwrap();
        lines
            .iter()
            .map(|line| line.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(read("old\nnew\n"), ["old", "new"]);
    assert_eq!(read("old\r\nnew"), ["old", "new"]);
    assert_eq!(read(" a b \n"), [" a b "]);
    assert_eq!(read("1\n2\n3\n"), ["1", "2"]);
    assert_eq!(read(""), Vec::<String>::new());
    assert_eq!(read("\n"), [""]);
}

#[test]
fn a_line_that_is_no_password_is_refused() {
    let long = "x".repeat(LINE_BYTES + 1);
    assert!(lines(long.as_bytes(), 1).is_err());
    assert!(lines(&b"\xff\n"[..], 1).is_err());
    let longest = "x".repeat(LINE_BYTES - 1) + "\n";
    assert_eq!(lines(longest.as_bytes(), 1).unwrap().len(), 1);
}
