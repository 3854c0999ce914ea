//! Files: what is sent by one browser is what comes back.

use serde_json::json;

use crate::driver::{Browser, Width};
use crate::rig::{Cluster, PASSWORD, assert_same, content, until};

#[tokio::test]
async fn files_are_sent_looked_at_fetched_and_deleted() {
    let cluster = Cluster::green().await;
    let Some(browser) = Browser::open(&cluster, "en").await else {
        return;
    };
    browser.log_in("admin", PASSWORD, "/").await;
    browser.go("/files/").await;
    browser.type_into("#new-name", "日本 & <b>").await;
    browser.click("button[value=mkdir]").await;
    let made = browser.until_text("#flashes", |it| !it.is_empty()).await;
    assert!(made.contains("日本 & <b>"), "{made}");
    browser.click("tbody th a").await;
    browser.until_text("h1", |it| it == "日本 & <b>").await;
    // One that takes several pieces, and an empty one.
    let bytes = content(7, 5 * 1024 * 1024 + 17);
    let big = cluster.path("P4/big one.bin");
    std::fs::write(&big, &bytes).unwrap();
    std::fs::write(cluster.path("P4/empty"), b"").unwrap();
    let both = format!("{}\n{}", big.display(), cluster.path("P4/empty").display());
    browser.type_into(".upload input", &both).await;
    until("both files", async || {
        let rows = "return document.querySelectorAll('tbody tr').length";
        (browser.run(rows, Vec::new()).await == json!(2)).then_some(())
    })
    .await;
    browser.picture("10-files").await;
    // What is there already is not replaced without a question.
    browser
        .type_into(".upload input", &big.display().to_string())
        .await;
    until("the question", async || {
        browser.has("#confirm[open]").await.then_some(())
    })
    .await;
    browser.click("#confirm button[value=no]").await;
    let failed = browser
        .until_text(".progress", |it| it.contains("failed"))
        .await;
    assert!(failed.contains("big one.bin"), "{failed}");
    browser
        .go("/files/%E6%97%A5%E6%9C%AC%20&%20%3Cb%3E/big%20one.bin")
        .await;
    assert_eq!(browser.text("h1").await, "big one.bin");
    let state = browser.text("tbody .state").await;
    assert_eq!(state, "well");
    browser.picture("11-file").await;
    browser.resize(Width::Phone).await;
    assert!(!browser.overflows().await);
    browser.picture("11-file-phone").await;
    browser.resize(Width::Wide).await;
    browser.click("tbody th a").await;
    browser.until_text("h1 code", |it| !it.is_empty()).await;
    assert_eq!(browser.text("#main .state").await, "well");
    browser.picture("12-chunk").await;
    browser
        .go("/files/%E6%97%A5%E6%9C%AC%20&%20%3Cb%3E/big%20one.bin")
        .await;
    std::fs::remove_file(&big).unwrap();
    browser.click("a[download]").await;
    let got = until("the download", async || {
        let got = std::fs::read(&big).ok()?;
        (got.len() == bytes.len()).then_some(got)
    })
    .await;
    assert_same(&got, &bytes, "what came back");
    browser.press_and_confirm("button[value=remove]").await;
    let gone = browser.until_text("#flashes", |it| !it.is_empty()).await;
    assert_eq!(gone, "Deleted: big one.bin.");
    browser.close().await;
}
