//! Several people at one file.

use super::*;

#[tokio::test]
async fn of_two_administrators_the_second_is_told_and_loses_nothing() {
    let office = Office::new();
    let desk = office.desk();
    let file = ConfigFile::Cluster;
    let both = etag(&desk, file).await;
    let first = Change::Edits(vec![set("maxConnections", "65")]);
    desk.write(file, first, both.clone(), author("anna"))
        .await
        .unwrap();
    let second = Change::Edits(vec![set("logLevel", "DEBUG")]);
    let refused = desk
        .write(file, second.clone(), both, author("ben"))
        .await
        .unwrap_err();
    let DeskError::Stale { etag, text, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(text, CLUSTER.replace("=64", "=65"));
    // With what came along the second makes the change again, and both are there.
    desk.write(file, second, Condition(vec![etag]), author("ben"))
        .await
        .unwrap();
    let expected = CLUSTER.replace("=64", "=65") + "logLevel=DEBUG\n";
    assert_eq!(office.text(file), expected);
    let versions = desk.history(file).await.unwrap().versions;
    let by: Vec<_> = versions.iter().map(|it| it.by.as_deref()).collect();
    assert_eq!(by, [Some("ben"), Some("anna")]);
}

#[tokio::test]
async fn of_many_at_the_same_moment_one_wins() {
    let office = Office::new();
    let desk = office.desk();
    let file = ConfigFile::Cluster;
    let condition = etag(&desk, file).await;
    let mut writers = Vec::new();
    for number in 0..8 {
        let (desk, condition) = (desk.clone(), condition.clone());
        let change = Change::Edits(vec![set("maxConnections", &(100 + number).to_string())]);
        writers.push(tokio::spawn(async move {
            desk.write(file, change, condition, author("somebody"))
                .await
        }));
    }
    let mut won = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(written) => {
                won += 1;
                assert_eq!(written.kept_as, Some(1));
            }
            Err(DeskError::Stale { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn whoever_does_not_say_what_is_replaced_is_refused() {
    let office = Office::new();
    let desk = office.desk();
    let change = Change::Text(CLUSTER.to_owned());
    let refused = desk
        .write(
            ConfigFile::Cluster,
            change,
            Condition::default(),
            author("admin"),
        )
        .await;
    assert!(
        matches!(refused, Err(DeskError::NoCondition { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_editor_on_the_host_counts_like_anybody_else() {
    let office = Office::new();
    let desk = office.desk();
    let file = ConfigFile::Cluster;
    let condition = etag(&desk, file).await;
    office.put(file, format!("{CLUSTER}# by hand\n"));
    let change = Change::Edits(vec![set("maxConnections", "65")]);
    let refused = desk.write(file, change, condition, author("admin")).await;
    assert!(
        matches!(refused, Err(DeskError::Stale { .. })),
        "{refused:?}"
    );
    edit(&desk, file, set("maxConnections", "65"))
        .await
        .unwrap();
    assert!(office.text(file).ends_with("# by hand\n"));
}

#[tokio::test]
async fn what_somebody_did_on_the_host_is_not_laid_to_whoever_changed_it_before() {
    let office = Office::new();
    let file = ConfigFile::Cluster;
    let desk = office.desk();
    let on_host = async || {
        // The next process knows it too.
        let versions = office.desk().history(file).await.unwrap().versions;
        let rows = versions.into_iter();
        rows.map(|it| (it.number, it.then_changed_on_host))
            .collect::<Vec<_>>()
    };
    office.put(file, format!("{CLUSTER}# before anybody\n"));
    edit(&desk, file, set("maxConnections", "65"))
        .await
        .unwrap();
    assert_eq!(on_host().await, [(1, false)]);
    let text = office.text(file);
    office.put(file, format!("{text}# by hand\n"));
    assert_eq!(on_host().await, [(1, true)]);
    edit(&desk, file, set("maxConnections", "66"))
        .await
        .unwrap();
    assert_eq!(on_host().await, [(2, false), (1, true)]);
    std::fs::remove_file(office.path(file)).unwrap();
    assert_eq!(on_host().await, [(2, true), (1, true)]);
    write(&desk, file, "").await.unwrap();
    assert_eq!(on_host().await, [(3, false), (2, true), (1, true)]);
}
