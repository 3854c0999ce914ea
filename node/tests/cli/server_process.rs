use crate::program::Place;

#[tokio::test]
async fn errors_of_the_configuration_are_shown_before_anything_is_started() {
    let place = Place::with(&[
        (
            "config/controller.cfg",
            "localSite=10.1.1.7:8990\nworkerNum=0\n",
        ),
        ("config/cluster.nodes", ""),
    ]);
    let line = "-mode controller -home data -config config/controller.cfg \
                -nodesFile config/cluster.nodes -logFile log/controller.log -console 0";
    let ran = place.run(line).await;
    assert_eq!(ran.out, "");
    let err = ran.failed(64);
    for part in [
        "controller.cfg:1:",
        "controller.cfg:2:",
        "cluster.nodes",
        "was not started",
    ] {
        assert!(err.contains(part), "no {part:?} in\n{err}");
    }
    assert!(!place.path("data").exists() && !place.path("log").exists());
}

#[tokio::test]
async fn every_wrong_flag_is_told_at_once() {
    let err = Place::new()
        .run("-mode agnet -workerNum many -hom data")
        .await
        .failed(64);
    assert_eq!(
        err.lines()
            .filter(|line| line.starts_with("error:"))
            .count(),
        3,
        "{err}"
    );
    for part in ["`agent`", "-workerNum many", "did you mean `-home`?"] {
        assert!(err.contains(part), "no {part:?} in\n{err}");
    }
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let err = Place::new()
        .run("-mode agent -home data -config nowhere.cfg")
        .await
        .failed(64);
    assert!(err.contains("nowhere.cfg: cannot be read"), "{err}");
}
