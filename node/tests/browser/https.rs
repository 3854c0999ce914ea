//! The manager over HTTPS: what a browser does there is protected on its whole way.

use serde_json::json;

use crate::driver::Browser;
use crate::rig::{Cluster, PASSWORD, until};

#[tokio::test]
async fn the_manager_and_the_pages_of_nodes_over_https() {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    cluster.serve_https(&["P1", "P2"]);
    cluster.start_agents();
    cluster.start_controller();
    cluster
        .until_log("P4/log/controller.log", "SHA-256 fingerprint")
        .await;
    cluster
        .until_log("P4/log/controller.log", "first account")
        .await;
    let Some(mut browser) = Browser::open(&cluster, "en").await else {
        return;
    };
    // Who comes in the clear is led to where it is protected.
    browser.go("/").await;
    browser.manager = browser.manager.replace("http://", "https://");
    browser.until_path("/login").await;
    browser.log_in("admin", "123456", "/password").await;
    browser.type_into("[name=old]", "123456").await;
    browser.type_into("[name=new]", PASSWORD).await;
    browser.type_into("[name=again]", PASSWORD).await;
    browser.click("form.stack button").await;
    browser.until_path("/login?why=changed").await;
    browser.log_in("admin", PASSWORD, "/").await;
    let cookies = browser.cookies().await;
    let session = cookies.iter().find(|it| it["name"] == "__Host-vq8990");
    let session = session.unwrap_or_else(|| panic!("no session in {cookies:?}"));
    assert_eq!(
        (&session["secure"], &session["httpOnly"]),
        (&json!(true), &json!(true))
    );
    browser.click("[data-all]").await;
    browser.click("button[value=start]").await;
    for alias in ["P1-NODE1", "P2-NODE1"] {
        let state = format!("#node-{alias} .state");
        browser.until_text(&state, |it| it == "online").await;
    }
    // A file goes through the controller to a node, both of which speak TLS.
    let file = cluster.path("P4/a.bin");
    std::fs::write(&file, vec![7; 300_000]).unwrap();
    until("the file is there", async || {
        browser.go("/files/").await;
        if browser.has("tbody tr").await {
            return Some(());
        }
        let path = file.display().to_string();
        browser.type_into(".upload input", &path).await;
        let said = browser.until_text(".progress", |it| {
            it.contains("done") || it.contains("failed")
        });
        said.await;
        None
    })
    .await;
    browser.go("/nodes/P1-NODE1").await;
    browser.click("form[action$='/open'] button").await;
    let site = format!("https://{}.1:8961/", cluster.subnet);
    browser.until_path(&site).await;
    assert_eq!(browser.text("h1").await, "P1-NODE1");
    browser.close().await;
}
