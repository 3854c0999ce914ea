use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;
use vaquita_core::io::ExitCode;

use super::{DAY, NOW, give, identity, private, replace};
use crate::tls::made::temporary;
use crate::tls::{CertificateError, Fingerprint, Looked, Serving, Source};

fn start(source: &Source, names: &[&str], now: u64) -> Result<Serving, CertificateError> {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Serving::start(source.clone(), names, &identity(1), now)
}

fn fingerprint(serving: &Serving) -> Fingerprint {
    serving.facts().fingerprint
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_certificate_is_made_once_for_the_names_of_the_process_with_a_key_for_its_owner_alone() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("keys");
    let source = Source::Made(folder.clone());
    let names = ["10.1.1.7", "localhost", "p4.example"];
    let first = start(&source, &names, NOW).unwrap();
    assert_eq!(first.facts().names, names);
    assert!(first.facts().not_before <= NOW);
    assert!(first.facts().not_after >= NOW + 729 * DAY);
    assert!(first.facts().not_after <= NOW + 731 * DAY);
    assert_eq!(mode(&folder.join("server.pem")), 0o600);
    let public = fs::read_to_string(folder.join("server.crt")).unwrap();
    assert!(
        public.starts_with("-----BEGIN CERTIFICATE-----"),
        "{public}"
    );
    assert!(!public.contains("PRIVATE"));
    let again = start(&source, &names, NOW + DAY).unwrap();
    assert_eq!(fingerprint(&first), fingerprint(&again));
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["server.crt", "server.pem"]);
}

#[test]
fn processes_of_one_home_share_a_certificate_and_none_takes_a_name_away() {
    let home = TempDir::new().unwrap();
    let source = Source::Made(home.path().to_path_buf());
    let agent = start(&source, &["10.1.1.1"], NOW).unwrap();
    let node = start(&source, &["10.1.1.1", "p1.example"], NOW).unwrap();
    assert_eq!(node.facts().names, ["10.1.1.1", "p1.example"]);
    assert_eq!(agent.look(NOW), Looked::Taken);
    assert_eq!(fingerprint(&agent), fingerprint(&node));
    assert_eq!(node.look(NOW), Looked::Same);
}

#[test]
fn a_self_made_certificate_is_made_anew_before_it_ends() {
    let home = TempDir::new().unwrap();
    let serving = start(&Source::Made(home.path().to_path_buf()), &["a"], NOW).unwrap();
    let (before, ends) = (fingerprint(&serving), serving.facts().not_after);
    assert_eq!(serving.look(ends - 31 * DAY), Looked::Same);
    assert_eq!(serving.look(ends - 29 * DAY), Looked::Taken);
    assert_ne!(fingerprint(&serving), before);
    assert!(serving.facts().not_after > ends);
}

#[test]
fn what_cannot_be_made_anew_is_shown_on_and_only_the_first_one_has_to_be_made() {
    let home = TempDir::new().unwrap();
    let source = Source::Made(home.path().to_path_buf());
    let serving = start(&source, &["a"], NOW).unwrap();
    let (before, ends) = (fingerprint(&serving), serving.facts().not_after);
    // Nothing can be written where the new one would be.
    let pair = home.path().join("server.pem");
    fs::create_dir(temporary(&pair)).unwrap();
    assert_eq!(serving.look(ends - 29 * DAY), Looked::Same);
    let names = start(&source, &["a", "b"], NOW).unwrap();
    let near_its_end = start(&source, &["a"], ends - DAY).unwrap();
    for started in [&serving, &names, &near_its_end] {
        assert_eq!(fingerprint(started), before);
    }
    fs::remove_file(&pair).unwrap();
    let none = start(&source, &["a"], NOW).unwrap_err();
    assert!(matches!(none, CertificateError::Io { .. }), "{none}");
}

#[test]
fn a_damaged_self_made_certificate_is_named_with_the_cure() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("server.pem");
    private(&path, b"-----BEGIN NONSENSE");
    let error = start(&Source::Made(home.path().to_path_buf()), &["a"], NOW).unwrap_err();
    let words = error.to_string();
    assert!(words.contains(path.to_str().unwrap()), "{words}");
    assert!(words.contains("remove it"), "{words}");
}

#[test]
fn a_key_of_another_certificate_is_refused_by_both_names() {
    let folder = TempDir::new().unwrap();
    let Source::Given { certificate, .. } = give(&folder, "one", &["a"], (2026, 2027)) else {
        unreachable!()
    };
    let Source::Given { key, .. } = give(&folder, "other", &["a"], (2026, 2027)) else {
        unreachable!()
    };
    let error = start(&Source::Given { certificate, key }, &["a"], NOW).unwrap_err();
    assert!(
        matches!(error, CertificateError::Mismatch { .. }),
        "{error}"
    );
    let words = error.to_string();
    for part in ["one.crt", "other.key", "tlsKey"] {
        assert!(words.contains(part), "{words}");
    }
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let folder = TempDir::new().unwrap();
    let source = give(&folder, "it", &["a"], (2026, 2027));
    let Source::Given { key, .. } = &source else {
        unreachable!()
    };
    for (bits, fine) in [(0o640, true), (0o644, false), (0o620, false), (0o600, true)] {
        fs::set_permissions(key, fs::Permissions::from_mode(bits)).unwrap();
        let outcome = start(&source, &["a"], NOW);
        assert_eq!(outcome.is_ok(), fine, "{bits:o}");
        if let Err(error) = outcome {
            assert_eq!(error.exit_code(), ExitCode::Denied);
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
}

#[test]
fn what_is_no_certificate_is_refused_with_the_file_and_what_belongs_there() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file.pem");
    let source = Source::Given {
        certificate: path.clone(),
        key: path.clone(),
    };
    let missing = start(&source, &["a"], NOW).unwrap_err();
    assert_eq!(missing.exit_code(), ExitCode::Usage);
    assert!(missing.to_string().contains("tlsCert"), "{missing}");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let other = give(&folder, "x", &["a"], (2026, 2027));
    let Source::Given { certificate, .. } = other else {
        unreachable!()
    };
    let without_key = fs::read_to_string(certificate).unwrap();
    for text in ["", "no certificate", garbage, &without_key] {
        private(&path, text.as_bytes());
        let error = start(&source, &["a"], NOW).unwrap_err();
        assert!(
            matches!(error, CertificateError::Unusable { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("file.pem"), "{error}");
        assert!(error.to_string().contains("PEM"), "{error}");
    }
}

#[test]
fn a_chain_that_is_out_of_order_is_refused() {
    let folder = TempDir::new().unwrap();
    let source = give(&folder, "leaf", &["a"], (2026, 2027));
    let mut stranger = rcgen::CertificateParams::new(vec!["b".to_owned()]).unwrap();
    stranger.distinguished_name = rcgen::DistinguishedName::new();
    stranger
        .distinguished_name
        .push(rcgen::DnType::CommonName, "somebody else");
    let pair = rcgen::KeyPair::generate().unwrap();
    let Source::Given { certificate, .. } = &source else {
        unreachable!()
    };
    let mut text = fs::read_to_string(certificate).unwrap();
    text.push_str(&stranger.self_signed(&pair).unwrap().pem());
    fs::write(certificate, text).unwrap();
    let error = start(&source, &["a"], NOW).unwrap_err();
    assert!(error.to_string().contains("issued by"), "{error}");
}

#[test]
fn a_start_goes_on_with_a_certificate_that_has_ended() {
    let folder = TempDir::new().unwrap();
    let old = give(&folder, "old", &["a"], (2020, 2021));
    start(&old, &["a"], NOW).unwrap();
}

#[test]
fn new_files_are_taken_up_and_bad_ones_leave_what_was_shown() {
    let folder = TempDir::new().unwrap();
    let source = give(&folder, "live", &["a"], (2026, 2027));
    let serving = start(&source, &["a"], NOW).unwrap();
    let first = fingerprint(&serving);
    assert_eq!(serving.look(NOW), Looked::Same);

    replace(&source, &give(&folder, "old", &["a"], (2020, 2021)));
    assert_eq!(serving.look(NOW), Looked::Refused);
    replace(&source, &give(&folder, "early", &["a"], (2040, 2041)));
    assert_eq!(serving.look(NOW), Looked::Refused);
    replace(&source, &give(&folder, "other", &["b"], (2026, 2027)));
    assert_eq!(serving.look(NOW), Looked::Refused);
    let Source::Given { certificate, key } = &source else {
        unreachable!()
    };
    fs::write(certificate, "half a cert").unwrap();
    assert_eq!(serving.look(NOW), Looked::Refused);
    fs::remove_file(key).unwrap();
    assert_eq!(serving.look(NOW), Looked::Refused);
    assert_eq!(fingerprint(&serving), first);

    let good = give(&folder, "good", &["a", "b"], (2026, 2028));
    replace(&source, &good);
    assert_eq!(serving.look(NOW), Looked::Taken);
    assert_ne!(fingerprint(&serving), first);
    assert_eq!(serving.facts().names, ["a", "b"]);
}

#[test]
fn a_fingerprint_is_read_as_browsers_and_tools_write_it() {
    let print = Fingerprint::of(b"certificate");
    let text = print.to_string();
    assert_eq!(text.len(), 95);
    let plain = text.replace(':', "").to_lowercase();
    for text in [
        &text,
        &plain,
        &format!("SHA256:{plain}"),
        &text.replace(':', " "),
    ] {
        assert_eq!(text.parse(), Ok(print), "{text}");
    }
    for text in [
        "",
        "AB",
        &plain[1..],
        &format!("{plain}0"),
        &format!("G{}", &plain[1..]),
        "ä",
    ] {
        assert!(text.parse::<Fingerprint>().is_err(), "{text}");
    }
}
