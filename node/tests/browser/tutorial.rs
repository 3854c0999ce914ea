//! What a reader of the deployment guide does in the browser, step by step (its sections 5.3.4 to 5.3.6).

use crate::driver::{Browser, Width};
use crate::rig::{Cluster, SEED_HOSTS};

const PASSWORD: &str = "a good long one";

/// Agents and controller run, as after section 5.3.2; nobody has logged in yet.
fn deployed() -> Cluster {
    let mut cluster = Cluster::of_seed();
    cluster.start_agents();
    cluster.start_controller();
    cluster
}

async fn answers(cluster: &Cluster) {
    cluster
        .until_log("P4/log/controller.log", "first account")
        .await;
}

#[tokio::test]
async fn a_new_cluster_is_opened_taken_over_and_started() {
    let cluster = deployed();
    answers(&cluster).await;
    let Some(browser) = Browser::open(&cluster, "en").await else {
        return;
    };
    // 5.3.4: the address of the controller.
    browser.go("/").await;
    browser.until_path("/login").await;
    browser.picture("01-login").await;
    // 5.3.5: the account that everybody knows, which may do nothing but change its password.
    browser.log_in("admin", "123456", "/password").await;
    browser.picture("02-first-password").await;
    browser.go("/").await;
    browser.until_path("/password").await;
    browser.type_into("[name=old]", "123456").await;
    browser.type_into("[name=new]", PASSWORD).await;
    browser.type_into("[name=again]", "another one!").await;
    browser.click("form.stack button").await;
    let problem = browser.until_text(".flash.bad", |it| !it.is_empty()).await;
    assert!(problem.contains("not the same"), "{problem}");
    browser.type_into("[name=old]", "123456").await;
    browser.type_into("[name=new]", PASSWORD).await;
    browser.type_into("[name=again]", PASSWORD).await;
    browser.click("form.stack button").await;
    browser.until_path("/login?why=changed").await;
    browser.log_in("admin", "123456", "/login").await;
    browser
        .until_text("[role=alert]", |it| {
            it.contains("wrong user name or password")
        })
        .await;
    browser.log_in("admin", PASSWORD, "/").await;
    let summary = browser.text(".summary").await;
    assert!(summary.contains('4'), "{summary}");
    browser.picture("03-before-the-start").await;
    // 5.3.6: tick all data nodes, press start, and watch them turn green without touching anything.
    browser.click("[data-all]").await;
    let chosen = browser.text("[data-chosen]").await;
    assert_eq!(chosen, "4 selected");
    browser.click("button[value=start]").await;
    for (host, _) in SEED_HOSTS {
        let state = format!("#node-{host}-NODE1 .state");
        browser.until_text(&state, |it| it == "online").await;
    }
    let tile = browser.until_text(".tile dd", |it| it == "4 / 4").await;
    assert_eq!(tile, "4 / 4");
    browser.picture("04-all-green").await;
    // And one is stopped again, which asks first; the page hears of the end by itself.
    browser.click("#node-P2-NODE1 input").await;
    browser.press_and_confirm("button[value=stop]").await;
    browser
        .until_text("#node-P2-NODE1 .state", |it| it == "stopped")
        .await;
    browser.picture("05-one-stopped").await;
    let row = cluster_row(&browser).await;
    assert_eq!(row, "stopped");
    browser.close().await;
}

/// The state of P2's node by the API, with the browser's own session.
async fn cluster_row(browser: &Browser) -> String {
    let script = "return fetch('/api/v1/nodes').then((it) => it.json())";
    let rows = browser.run(script, Vec::new()).await;
    let rows = rows.as_array().unwrap();
    let row = rows.iter().find(|row| row["alias"] == "P2-NODE1").unwrap();
    row["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_main_page_in_chinese_for_a_browser_that_prefers_it() {
    let mut cluster = deployed();
    answers(&cluster).await;
    let Some(browser) = Browser::open(&cluster, "zh-CN").await else {
        return;
    };
    cluster.log_in().await;
    browser.log_in("admin", crate::rig::PASSWORD, "/").await;
    assert_eq!(browser.text("h1").await, "总览");
    browser.click("[data-all]").await;
    browser.click("button[value=start]").await;
    for (host, _) in SEED_HOSTS {
        let state = format!("#node-{host}-NODE1 .state");
        browser.until_text(&state, |it| it == "在线").await;
    }
    browser.picture("04-all-green-zh").await;
    browser.resize(Width::Phone).await;
    browser.picture("04-all-green-zh-phone").await;
    // The controller goes, and the page says so; it comes back, and the page does.
    cluster.take("P4").kill().await;
    browser
        .until_text("#lost", |it| it.contains("连接已断开"))
        .await;
    cluster.start_controller();
    browser.until_text("#lost", str::is_empty).await;
    browser
        .until_text("#node-P1-NODE1 .state", |it| it == "在线")
        .await;
    browser.close().await;
}
