use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::program::Place;

#[tokio::test]
async fn a_secret_is_made_once_for_its_owner_alone() {
    let place = Place::new();
    let ran = place.run("secret").await;
    assert!(ran.err.contains("copy it to every host"), "{ran:?}");
    assert!(ran.ok().contains("cluster.secret"));
    let secret = place.read("cluster.secret");
    assert_eq!(secret.len(), 45, "44 characters of base64 and a line end");
    let mode = fs::metadata(place.path("cluster.secret"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let err = place.run("secret generate").await.failed(73);
    assert!(err.contains("cluster.secret"), "{err}");
    assert_eq!(place.read("cluster.secret"), secret, "it stays as it is");
}

#[tokio::test]
async fn two_secrets_differ() {
    let place = Place::new();
    place.run("secret generate a").await.ok();
    place.run("secret generate b").await.ok();
    assert_ne!(place.read("a"), place.read("b"));
}

#[tokio::test]
async fn the_path_is_shown_if_processes_would_take_the_file() {
    let place = Place::new();
    let err = place.run("secret path").await.failed(1);
    assert!(err.contains("vaquita secret"), "{err}");
    place.run("secret").await.ok();
    let out = place.run("secret path").await.ok();
    assert!(out.trim_end().ends_with("/cluster.secret"), "{out}");
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(place.path("cluster.secret"), open).unwrap();
    let err = place.run("secret path").await.failed(77);
    assert!(err.contains("cluster.secret"), "{err}");
    place.write("cluster.secret", "short\n");
    fs::set_permissions(
        place.path("cluster.secret"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    place.run("secret path").await.failed(65);
}

#[tokio::test]
async fn a_secret_is_never_printed() {
    let place = Place::new();
    let made = place.run("secret").await;
    let shown = place.run("secret path").await;
    let secret = place.read("cluster.secret");
    for text in [made.out, made.err, shown.out, shown.err] {
        assert!(!text.contains(secret.trim()), "{text}");
    }
}
