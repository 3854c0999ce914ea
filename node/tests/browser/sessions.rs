//! Sessions: who is thrown out when, and what the buttons of somebody else's page achieve.

use crate::driver::Browser;
use crate::rig::{Cluster, PASSWORD};

#[tokio::test]
async fn rights_are_given_and_taken_and_each_sees_what_they_may() {
    let mut cluster = Cluster::of_seed();
    cluster.start_controller();
    cluster.log_in().await;
    let Some(browser) = Browser::open(&cluster, "en").await else {
        return;
    };
    browser.log_in("admin", PASSWORD, "/").await;
    browser.go("/users").await;
    browser.type_into("section.card [name=user]", "eve").await;
    browser
        .type_into("section.card [name=password]", "a poor one, 1")
        .await;
    browser.click("section.card button").await;
    let said = browser.until_text("#flashes", |it| !it.is_empty()).await;
    assert_eq!(said, "The user eve is there.");
    browser.click("#user-eve [value=dfs-read] + button").await;
    browser
        .until_text(
            "#user-eve [value=dfs-read] + button[aria-pressed=true]",
            |it| !it.is_empty(),
        )
        .await;
    browser.picture("20-users").await;
    browser.click(".who button").await;
    browser.until_path("/login?why=out").await;
    // The page that was left cannot be used any more.
    browser.go("/users").await;
    browser.until_path("/login?next=%2Fusers").await;
    browser.log_in("eve", "a poor one, 1", "/").await;
    browser.go("/password").await;
    browser.type_into("[name=old]", "a poor one, 1").await;
    browser.type_into("[name=new]", "a good one, 2").await;
    browser.type_into("[name=again]", "a good one, 2").await;
    browser.click("form.stack button").await;
    browser.until_path("/login?why=changed").await;
    browser.log_in("eve", "a good one, 2", "/").await;
    assert!(browser.has("nav a[href='/files/']").await);
    for hidden in [
        "nav a[href='/users']",
        "button[value=stop]",
        "nav a[href='/logs']",
    ] {
        assert!(!browser.has(hidden).await, "{hidden}");
    }
    browser.go("/users").await;
    assert_eq!(browser.text("h1").await, "Not allowed");
    browser.go("/").await;
    // Whoever is thrown out while a page is open is led to the login by the page itself.
    cluster.vaquita("user remove eve").await.ok();
    crate::rig::until("the login", async || {
        browser.path().await.starts_with("/login").then_some(())
    })
    .await;
    browser.close().await;
}
