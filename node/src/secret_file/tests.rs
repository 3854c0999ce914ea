use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use tempfile::TempDir;
use vaquita_core::secret::ClusterSecret;

use super::{SecretFileError, generate, read};

fn file(folder: &TempDir, text: &str, mode: u32) -> PathBuf {
    let path = folder.path().join("cluster.secret");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    path
}

fn good() -> ([u8; 32], String) {
    let bytes = std::array::from_fn(|at| u8::try_from(at).unwrap());
    (bytes, Base64::encode_string(&bytes))
}

fn refusal(path: &Path) -> String {
    read(path).unwrap_err().to_string()
}

#[test]
fn a_secret_that_was_made_can_be_read_by_its_user_alone() {
    let folder = TempDir::new().unwrap();
    let one = folder.path().join("one");
    let two = folder.path().join("two");
    generate(&one).unwrap();
    generate(&two).unwrap();
    assert!(read(&one).unwrap() != read(&two).unwrap());
    let mode = fs::metadata(&one).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // One line of text, so that it survives a copy through a terminal.
    let text = fs::read_to_string(&one).unwrap();
    assert_eq!(text.len(), 45);
    assert!(text.ends_with('\n'));
}

#[test]
fn a_secret_is_never_made_over_another() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cluster.secret");
    generate(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let refusal = generate(&path).unwrap_err();
    assert!(matches!(refusal, SecretFileError::Exists { .. }));
    assert!(refusal.to_string().contains("cut off every host"));
    assert_eq!(fs::read(&path).unwrap(), before);
    // Nor through a link that leads nowhere yet.
    let link = folder.path().join("link");
    symlink(folder.path().join("elsewhere"), &link).unwrap();
    assert!(generate(&link).is_err());
}

#[test]
fn blanks_and_line_ends_around_it_do_not_matter() {
    let folder = TempDir::new().unwrap();
    let (bytes, text) = good();
    let path = file(&folder, &format!("\n  {text}\r\n\n"), 0o600);
    assert!(read(&path).unwrap() == ClusterSecret::new(bytes).unwrap());
    let path = file(&folder, &text, 0o400);
    assert!(read(&path).is_ok());
}

#[test]
fn a_secret_that_others_can_read_or_change_is_refused_with_the_cure() {
    let folder = TempDir::new().unwrap();
    let (_, text) = good();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o660, 0o777] {
        let path = file(&folder, &text, mode);
        let refusal = refusal(&path);
        assert!(refusal.contains(&format!("mode {mode:04o}")), "{refusal}");
        assert!(refusal.contains("chmod 600"), "{refusal}");
    }
}

#[test]
fn what_is_no_secret_is_refused_without_showing_it() {
    let folder = TempDir::new().unwrap();
    let (_, text) = good();
    let short = Base64::encode_string(&[7, 8, 9]);
    let long = Base64::encode_string(&(0..33).collect::<Vec<u8>>());
    let zero = Base64::encode_string(&[0; 32]);
    let alike = Base64::encode_string(&[0x41; 32]);
    for (text, problem) in [
        ("", "0 bytes instead of 32"),
        ("hunter2hunter2", "base64"),
        (short.as_str(), "3 bytes instead of 32"),
        (long.as_str(), "base64"),
        (zero.as_str(), "nobody drew them at random"),
        (alike.as_str(), "nobody drew them at random"),
        (&text[..43], "base64"),
        (&format!("{text}{text}"), "base64"),
    ] {
        let path = file(&folder, text, 0o600);
        let refusal = refusal(&path);
        assert!(refusal.contains(problem), "{text}: {refusal}");
        assert!(text.is_empty() || !refusal.contains(text), "{refusal}");
    }
}

#[test]
fn no_secret_at_all_is_told_with_the_way_to_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cluster.secret");
    let refusal = refusal(&path);
    assert!(refusal.contains("`vaquita secret`"), "{refusal}");
    assert!(refusal.contains(&path.display().to_string()), "{refusal}");
}

#[test]
fn a_folder_is_no_secret() {
    let folder = TempDir::new().unwrap();
    assert!(read(folder.path()).is_err());
}
