use super::*;

fn trace(mode: TraceMode) -> Trace {
    Trace::new(mode)
}

#[test]
fn a_fingerprint_tells_time_node_kind_number_bytes_and_order() {
    let of = |entries: &[(u64, usize, Kind, u64, &[u8])]| {
        let mut trace = trace(TraceMode::Fingerprint);
        for (at, node, kind, number, bytes) in entries {
            trace.event(SimTime::from_nanos(*at), *node, *kind, *number, bytes);
        }
        trace.hash()
    };
    let base = of(&[(1, 2, Kind::Datagram, 3, b"abc")]);
    assert_eq!(base, of(&[(1, 2, Kind::Datagram, 3, b"abc")]));
    for other in [
        of(&[(2, 2, Kind::Datagram, 3, b"abc")]),
        of(&[(1, 3, Kind::Datagram, 3, b"abc")]),
        of(&[(1, 2, Kind::Received, 3, b"abc")]),
        of(&[(1, 2, Kind::Datagram, 4, b"abc")]),
        of(&[(1, 2, Kind::Datagram, 3, b"abd")]),
        of(&[]),
    ] {
        assert_ne!(base, other);
    }
    let (one, two) = (
        (1, 0, Kind::Start, 0, b"".as_slice()),
        (1, 1, Kind::Start, 0, b"".as_slice()),
    );
    assert_ne!(of(&[one, two]), of(&[two, one]));
}

#[test]
fn only_the_last_lines_are_kept_if_so_many_are_asked_for() {
    let mut trace = trace(TraceMode::Last(3));
    for n in 0..10 {
        trace.line(SimTime::from_secs(n), "D1", 1, "<-", "Deadline");
    }
    let lines: Vec<&str> = trace.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2], "       9.000000s D1         #1   <- Deadline");
}

#[test]
fn a_long_line_is_cut_between_characters() {
    let mut trace = trace(TraceMode::All);
    trace.line(SimTime::ZERO, "D1", 1, "->", &"é".repeat(500));
    let line = trace.lines().next().unwrap();
    assert!(line.ends_with("é…") && line.len() <= 410);
}

#[test]
fn the_first_difference_is_shown_with_what_came_before() {
    let left = ["a", "b", "c", "d"];
    let found = first_difference(left, ["a", "b", "x", "d"]).unwrap();
    assert_eq!((found.line, found.before.len()), (2, 2));
    assert_eq!(found.to_string(), "    a\n    b\n  < c\n  > x");
    assert_eq!(first_difference(left, left), None);
    let shorter = first_difference(left, ["a"]).unwrap();
    assert_eq!(shorter.right, None);
    assert!(shorter.to_string().ends_with("< b\n  > (the trace ends)"));
}
