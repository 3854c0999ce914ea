use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use tempfile::TempDir;
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;
use vaquita_core::admin::LogRange;

use super::file::Appender;
use super::{LINE_MAX, LogFile, LogSettings, Target, escape, format, last_lines, start};

/// 2023-10-26 01:01:31.349118 UTC, in microseconds since 1970.
const NOW: i64 = 1_698_282_091_349_118;
const SECOND: i64 = 1_000_000;

/// Eight hours east of Greenwich, as where the format comes from.
fn zone() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(8))
}

fn settings(folder: &Path) -> LogSettings {
    let mut settings = LogSettings::new(folder.join("P1-NODE1.log"));
    settings.retention = None;
    settings
}

fn appender(settings: &LogSettings) -> Appender {
    Appender::open(settings, zone(), NOW).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn from(offset: u64, len: u32) -> LogRange {
    LogRange::From { offset, len }
}

#[test]
fn a_line_looks_as_operators_know_it() {
    let line = format::line(NOW, &zone(), Level::ERROR, "Failed to bind");
    assert_eq!(line, "2023-10-26 09:01:31.349118 <ERROR> :Failed to bind\n");
    let words = [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE].map(|level| {
        format::line(NOW, &zone(), level, "")[27..]
            .trim_end()
            .to_owned()
    });
    assert_eq!(words, ["<WARNING> :", "<INFO> :", "<DEBUG> :", "<DEBUG> :"]);
}

#[test]
fn a_clock_that_was_never_set_does_not_stop_the_log() {
    for now in [i64::MIN, i64::MAX, -1, 0] {
        let line = format::line(now, &zone(), Level::INFO, "text");
        assert!(line.ends_with(" <INFO> :text\n"), "{line}");
    }
}

#[test]
fn nobody_can_forge_a_line_or_command_a_terminal() {
    let mut line = String::new();
    escape(
        &mut line,
        "a\n2023 <INFO> :b\r\t\u{1b}[2J\u{7}\u{202e}gro\u{2028}ü端",
    );
    assert_eq!(
        line,
        "a\\n2023 <INFO> :b\\r\\t\\u{1b}[2J\\u{7}\\u{202e}gro\\u{2028}ü端"
    );
}

#[test]
fn a_long_text_is_cut_between_two_characters_and_says_so() {
    let mut line = String::new();
    escape(&mut line, &"端".repeat(2000));
    assert!(line.ends_with("端… (1905 bytes more)"), "{line}");
    let kept = line.matches('端').count();
    assert_eq!(kept, LINE_MAX / 3);
}

proptest! {
    #[test]
    fn whatever_is_logged_is_one_line_of_bounded_length(text: String) {
        let line = format::line(NOW, &zone(), Level::INFO, &text);
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert!(!line.trim_end_matches('\n').contains(char::is_control));
        prop_assert!(line.len() <= 100 + 10 * LINE_MAX);
    }
}

#[test]
fn a_full_file_is_put_aside_under_the_time_of_that_moment() {
    let folder = TempDir::new().unwrap();
    let mut settings = settings(folder.path());
    settings.max_bytes = 64 * 1024;
    let mut log = appender(&settings);
    let half = vec![b'x'; 40 * 1024];
    log.append(&half, NOW).unwrap();
    log.append(&half, NOW + SECOND).unwrap();
    // Twice in one second, and once after the clock was set back by a day.
    log.append(&half, NOW + SECOND).unwrap();
    log.append(&half, NOW - 86_400 * SECOND).unwrap();
    let expected = [
        "20231026090132000_P1-NODE1.log",
        "20231026090132001_P1-NODE1.log",
        "20231026090132002_P1-NODE1.log",
        "P1-NODE1.log",
    ];
    assert_eq!(names(folder.path()), expected);
}

#[test]
fn a_log_that_cannot_be_put_aside_grows_on() {
    let folder = TempDir::new().unwrap();
    // As long as a name may be: there is no room for a time in front of it.
    let mut settings = LogSettings::new(folder.path().join("x".repeat(250)));
    settings.max_bytes = 64 * 1024;
    let mut log = appender(&settings);
    let half = vec![b'x'; 40 * 1024];
    for minute in 0..3 {
        log.append(&half, NOW + 60 * SECOND * minute).unwrap();
    }
    assert_eq!(fs::metadata(&settings.file).unwrap().len(), 120 * 1024);
}

#[test]
fn generations_count_back_from_the_present_file() {
    let folder = TempDir::new().unwrap();
    let mut settings = settings(folder.path());
    settings.max_bytes = 0; // The least there is, 64 KiB.
    let mut log = appender(&settings);
    for (number, text) in ["first", "second", "third"].iter().enumerate() {
        let mut piece = text.as_bytes().to_vec();
        piece.resize(60 * 1024, b'.');
        let now = NOW + SECOND * i64::try_from(number).unwrap();
        log.append(&piece, now).unwrap();
    }
    let log = LogFile::new(settings.file);
    for (generation, text) in [(0, "third"), (1, "second"), (2, "first")] {
        let len = u32::try_from(text.len()).unwrap();
        let piece = log.read_piece(generation, from(0, len)).unwrap();
        assert_eq!(piece.bytes, text.as_bytes());
        assert_eq!(piece.file_len, 60 * 1024);
    }
    let missing = log.read_piece(3, from(0, 10)).unwrap_err().to_string();
    assert!(missing.contains("rotated fewer than 3 times"), "{missing}");
}

#[test]
fn what_is_too_old_is_removed_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let old = |name: &str| {
        let path = folder.path().join(name);
        let file = fs::File::create(&path).unwrap();
        let day = Duration::from_secs(86_400);
        let then = std::time::UNIX_EPOCH + Duration::from_secs(1_698_282_091) - 3 * day;
        file.set_modified(then).unwrap();
        path
    };
    let ours = old("20231001000000000_P1-NODE1.log");
    let others = [
        old("20231001000000000_P1-NODE2.log"),
        old("20231001000000000_P1-NODE1.log.gz"),
        old("20231001000000_P1-NODE1.log"),
        old("2023100100000000x_P1-NODE1.log"),
        old("notes.txt"),
    ];
    let mut settings = settings(folder.path());
    drop(appender(&settings));
    assert!(ours.exists(), "without a retention everything is kept");
    settings.retention = Some(Duration::from_secs(4 * 86_400));
    drop(appender(&settings));
    assert!(ours.exists(), "it is not old enough yet");
    settings.retention = Some(Duration::from_secs(2 * 86_400));
    let mut log = appender(&settings);
    assert!(!ours.exists());
    assert!(others.iter().all(|path| path.exists()));
    // A process that never rotates removes what has become too old meanwhile as well.
    let ours = old("20231002000000000_P1-NODE1.log");
    log.append(b"line\n", NOW + 1800 * SECOND).unwrap();
    assert!(ours.exists());
    log.append(b"line\n", NOW + 3600 * SECOND).unwrap();
    assert!(!ours.exists());
}

#[test]
fn a_log_is_for_its_user_alone_and_its_folder_is_made() {
    let above = TempDir::new().unwrap();
    let folder = above.path().join("with blank").join("log");
    let settings = settings(&folder);
    drop(appender(&settings));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&settings.file), 0o600);
}

#[test]
fn a_planted_link_is_not_followed() {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("target");
    fs::write(&target, "secret").unwrap();
    let settings = settings(folder.path());
    std::os::unix::fs::symlink(&target, &settings.file).unwrap();
    assert!(Appender::open(&settings, zone(), NOW).is_err());
    assert!(
        LogFile::new(settings.file.clone())
            .read_piece(0, from(0, 10))
            .is_err()
    );
    let refusal = start(&settings).unwrap_err().to_string();
    assert!(refusal.contains("-logFile"), "{refusal}");
}

#[test]
fn a_file_that_was_moved_away_is_begun_anew() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let mut log = appender(&settings);
    log.append(b"before\n", NOW).unwrap();
    log.reopen_if_replaced().unwrap();
    log.append(b"same\n", NOW).unwrap();
    fs::rename(&settings.file, folder.path().join("moved")).unwrap();
    log.reopen_if_replaced().unwrap();
    log.append(b"after\n", NOW).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("moved"), "before\nsame\n");
    assert_eq!(read("P1-NODE1.log"), "after\n");
}

/// Logs through the whole way, from the macro to the file.
fn logged(level: Level, body: impl FnOnce(&super::LogHandle)) -> String {
    let folder = TempDir::new().unwrap();
    let mut settings = settings(folder.path());
    settings.level = level;
    let (layer, handle) = start(&settings).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || body(&handle));
    handle.flush();
    fs::read_to_string(&settings.file).unwrap()
}

/// The lines without their times.
fn texts(log: &str) -> Vec<&str> {
    log.lines().map(|line| &line[27..]).collect()
}

#[test]
fn an_event_is_its_sentence_and_its_name_is_for_programs() {
    let log = logged(Level::INFO, |_| {
        tracing::warn!(name = "node.offline", "P1-NODE1 went offline");
        tracing::info!(count = 3, what = "a\nb", "counted");
        tracing::debug!("not wanted");
    });
    assert_eq!(
        texts(&log),
        [
            "<WARNING> :P1-NODE1 went offline",
            "<INFO> :counted count=3 what=a\\nb",
        ]
    );
}

#[test]
fn libraries_are_heard_only_when_they_warn() {
    let log = logged(Level::DEBUG, |_| {
        tracing::info!(target: "hyper::proto", "chatter");
        tracing::warn!(target: "hyper::proto", "trouble");
        tracing::debug!("own");
    });
    assert_eq!(texts(&log), ["<WARNING> :trouble", "<DEBUG> :own"]);
}

#[test]
fn the_level_can_be_changed_while_the_process_runs() {
    let log = logged(Level::INFO, |handle| {
        let speak = |text| tracing::debug!("{text}");
        speak("unheard");
        handle.set_level(Level::DEBUG);
        speak("heard");
        handle.set_level(Level::ERROR);
        tracing::warn!("unheard again");
    });
    assert_eq!(texts(&log), ["<DEBUG> :heard"]);
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_the_log_goes_on() {
    let folder = TempDir::new().unwrap();
    let logs = folder.path().join("log");
    let settings = settings(&logs);
    let (layer, handle) = start(&settings).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("one");
        handle.flush();
        // The folder is gone, and a file stands in its place: nothing can be opened there.
        fs::remove_dir_all(&logs).unwrap();
        fs::write(&logs, "").unwrap();
        let path = folder.path().join("gone");
        // Whether the file is still the one of its name is looked at once in a second; lines are
        // written into the lost file until then.
        let lost = |log: &super::LogHandle| {
            tracing::info!("two");
            log.flush();
            log.lost() > 0
        };
        while !lost(&handle) {}
        fs::rename(&logs, path).unwrap();
        fs::create_dir(&logs).unwrap();
        tracing::info!("three");
        handle.flush();
    });
    let log = fs::read_to_string(&settings.file).unwrap();
    let texts = texts(&log);
    assert!(texts[0].starts_with("<WARNING> :1 lines of this log were lost: "));
    assert_eq!(texts[1], "<INFO> :three");
    assert_eq!(handle.lost(), 0);
}

#[test]
fn pieces_are_cut_where_asked_and_never_beyond_the_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.log");
    fs::write(&path, "0123456789").unwrap();
    let log = LogFile::new(path.clone());
    let piece = |range| log.read_piece(0, range).unwrap();
    assert_eq!(piece(from(2, 3)).bytes, b"234");
    assert_eq!(piece(from(8, 100)).bytes, b"89");
    let beyond = piece(from(u64::MAX, 10));
    assert_eq!((beyond.offset, beyond.file_len), (10, 10));
    assert!(beyond.bytes.is_empty());
    let tail = piece(LogRange::Tail { len: 4 });
    assert_eq!(
        (tail.offset, tail.bytes.as_slice()),
        (6, b"6789".as_slice())
    );
    assert_eq!(piece(LogRange::Tail { len: 99 }).bytes, b"0123456789");
    // No more than 256 KiB, whatever is asked for.
    fs::write(&path, vec![b'x'; 300_000]).unwrap();
    assert_eq!(piece(from(0, u32::MAX)).bytes.len(), 256 * 1024);
    assert_eq!(
        piece(LogRange::Tail { len: u32::MAX }).bytes.len(),
        256 * 1024
    );
}

#[test]
fn only_regular_files_are_read() {
    let folder = TempDir::new().unwrap();
    let log = LogFile::new(folder.path().to_owned());
    let refusal = log.read_piece(0, from(0, 10)).unwrap_err().to_string();
    assert!(refusal.contains("not a regular file"), "{refusal}");
    let none = LogFile::new(folder.path().join("none.log"));
    let refusal = none.read_piece(0, from(0, 10)).unwrap_err().to_string();
    assert!(refusal.contains("has not been started"), "{refusal}");
}

/// A log whose present file and the one before have these texts.
fn two_generations(folder: &Path, before: &str, present: &str) -> LogFile {
    let path: PathBuf = folder.join("n.log");
    fs::write(folder.join("20231026090132000_n.log"), before).unwrap();
    fs::write(&path, present).unwrap();
    LogFile::new(path)
}

#[test]
fn the_last_lines_reach_back_over_a_rotation() {
    let folder = TempDir::new().unwrap();
    let log = two_generations(folder.path(), "1\n2\n3\n", "4\n5\n");
    assert_eq!(log.tail_lines(1), ["5"]);
    assert_eq!(log.tail_lines(2), ["4", "5"]);
    assert_eq!(log.tail_lines(4), ["2", "3", "4", "5"]);
    assert_eq!(log.tail_lines(50), ["1", "2", "3", "4", "5"]);
    let none = LogFile::new(folder.path().join("none.log"));
    assert!(none.tail_lines(50).is_empty());
}

#[test]
fn the_rest_of_a_line_is_no_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("n.log");
    // The tail that is looked at begins within the first, very long line.
    fs::write(&path, format!("{}END\nlast\n", "x".repeat(300_000))).unwrap();
    assert_eq!(LogFile::new(path).tail_lines(50), ["last"]);
}

#[test]
fn last_lines_are_shown_without_what_a_terminal_would_obey() {
    let bytes = b"one\ntwo \x1b[31m\xff\nthree";
    assert_eq!(last_lines(bytes, 2), ["two \\u{1b}[31m\u{fffd}", "three"]);
    assert!(last_lines(b"", 5).is_empty());
}

#[test]
fn the_words_of_the_configuration_mean_levels_and_targets() {
    use super::level_from_word as level;
    assert_eq!(level("WARNING"), Some(Level::WARN));
    assert_eq!(level("DEBUG"), Some(Level::DEBUG));
    assert_eq!(level("warning"), None);
    assert_eq!(Target::from_number(2), Some(Target::Both));
    assert_eq!(Target::from_number(3), None);
}
