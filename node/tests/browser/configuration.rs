//! What a reader of the deployment guide changes in the browser afterwards (its sections 7.1 to 7.5), and what
//! two of them do who change the same at a time.

use serde_json::json;

use crate::driver::Browser;
use crate::rig::{Cluster, PASSWORD, until};

/// Types a value in the place of what stands in a field.
async fn replace(browser: &Browser, css: &str, text: &str) {
    let select = "document.querySelector(arguments[0]).select()";
    browser.run(select, vec![json!(css)]).await;
    browser.type_into(css, text).await;
}

/// Puts a text in the editor, as by typing it.
async fn write(browser: &Browser, text: &str) {
    let script = "const it = document.querySelector('textarea'); it.value = arguments[0]; \
                  it.dispatchEvent(new Event('input', { bubbles: true }))";
    browser.run(script, vec![json!(text)]).await;
}

async fn editor(browser: &Browser) -> String {
    let text = browser
        .run(
            "return document.querySelector('textarea').value",
            Vec::new(),
        )
        .await;
    text.as_str().unwrap().to_owned()
}

/// Looks at what would be written, which shows these lines; then saves it.
async fn save(browser: &Browser, lines: &[&str]) -> String {
    browser
        .until_text(".flash", |it| it.contains("would be written"))
        .await;
    let difference = browser.text(".diff").await;
    for line in lines {
        assert!(difference.contains(line), "{line}: {difference}");
    }
    browser.click("button[value=save]").await;
    browser
        .until_text("#flashes", |it| it.contains("Saved"))
        .await
}

async fn until_online(browser: &Browser, alias: &str) {
    let state = format!("#node-{alias} .state");
    browser.until_text(&state, |it| it == "online").await;
}

/// 7.1: a setting of the controller, which counts once that is started anew.
async fn change_the_controller(browser: &Browser, cluster: &mut Cluster) {
    browser.go("/config").await;
    browser.picture("30-configuration").await;
    browser.click("#file-controller\\.cfg a").await;
    browser.until_path("/config/controller.cfg").await;
    let field = "input[aria-label=maxConnections]";
    browser.picture("31-controller-config").await;
    replace(browser, field, "many").await;
    browser.click(&format!("{field} + button")).await;
    let refused = browser.until_text(".flash.bad", |it| !it.is_empty()).await;
    assert!(refused.contains("maxConnections"), "{refused}");
    browser.picture("32-error-at-its-line").await;
    replace(browser, field, "300").await;
    browser.click(&format!("{field} + button")).await;
    browser.picture("33-difference").await;
    save(browser, &["+maxConnections=300"]).await;
    browser.go("/config").await;
    let pending = browser.text("#pending-maxConnections").await;
    assert!(pending.contains("300"), "{pending}");
    browser.picture("34-counts-after-a-restart").await;
    browser.go("/").await;
    let alarm = browser.text("#alarms").await;
    assert!(
        alarm.contains("maxConnections in controller.cfg"),
        "{alarm}"
    );
    cluster.take("P4").stop().await;
    cluster.start_controller();
    until("the setting to count", async || {
        browser.go("/config").await;
        let is_there = browser.has("#file-controller\\.cfg").await;
        let waits = browser.has("#pending-maxConnections").await;
        (is_there && !waits).then_some(())
    })
    .await;
}

/// 7.2: a data node more, without restarting anything; and away again.
async fn add_and_remove_a_node(browser: &Browser, cluster: &Cluster) {
    let host = format!("{}.1", cluster.subnet);
    browser.go("/config/cluster.nodes").await;
    browser.picture("35-nodes-setup").await;
    browser.type_into("[name=host]", &host).await;
    browser.type_into("[name=prefix]", "P1-NODE").await;
    replace(browser, "[name=number]", "2").await;
    replace(browser, "[name=port]", "8971").await;
    browser.click("button[value=add-members]").await;
    let row = format!("+{host}:8971:P1-NODE2,datanode");
    let told = save(browser, &[&row]).await;
    assert!(told.contains("P1-NODE2,datanode is a member"), "{told}");
    browser.picture("36-a-node-more").await;
    browser.go("/").await;
    browser.click("#node-P1-NODE2 input").await;
    browser.click("button[value=start]").await;
    until_online(browser, "P1-NODE2").await;
    browser.picture("37-it-runs").await;

    // One that holds something, or runs, stays: nothing is written.
    let before = cluster.read("P4/config/cluster.nodes");
    browser.go("/config/cluster.nodes").await;
    browser
        .press_and_confirm("#member-P1-NODE2 button[value=remove-member]")
        .await;
    let said = browser
        .until_text(".flash", |it| it.contains("would be"))
        .await;
    assert!(said.contains("would be written"), "{said}");
    browser.click("button[value=save]").await;
    let refused = browser.until_text(".flash.bad", |it| !it.is_empty()).await;
    assert!(refused.contains("P1-NODE2 cannot go"), "{refused}");
    browser.picture("38-a-node-that-runs-stays").await;
    assert_eq!(cluster.read("P4/config/cluster.nodes"), before);
    browser.go("/").await;
    browser.click("#node-P1-NODE2 input").await;
    browser.press_and_confirm("button[value=stop]").await;
    browser
        .until_text("#node-P1-NODE2 .state", |it| it == "stopped")
        .await;
    browser.go("/config/cluster.nodes").await;
    // The text of the refused change is still in this tab: the file is what is wanted now.
    browser.click("[data-drop-draft]").await;
    browser
        .press_and_confirm("#member-P1-NODE2 button[value=remove-member]")
        .await;
    save(browser, &[&row.replace('+', "-")]).await;
    assert!(!cluster.read("P4/config/cluster.nodes").contains("P1-NODE2"));
    browser.go("/").await;
    assert!(!browser.has("#node-P1-NODE2").await);
}

/// 7.3: a setting of nodes by a pattern, and the button that restarts those that it is for.
async fn change_nodes(browser: &Browser) {
    browser.go("/config/cluster.cfg").await;
    browser.type_into("#new-key", "P1-%.maxConnections").await;
    browser.type_into("#new-value", "300").await;
    browser.picture("39-nodes-config").await;
    browser.click("#new-value + button").await;
    let told = save(browser, &["+P1-%.maxConnections=300"]).await;
    assert!(
        told.contains("P1-NODE1 has another configuration"),
        "{told}"
    );
    browser.go("/").await;
    let alarm = browser.text("#alarms").await;
    assert!(alarm.contains("P1-NODE1 runs with another"), "{alarm}");
    browser.go("/config").await;
    restart_those_that_wait(browser, "P1-NODE1").await;
    browser.picture("40-restarted").await;
}

async fn restart_those_that_wait(browser: &Browser, alias: &str) {
    browser
        .press_and_confirm("#s-standing button[value=restart]")
        .await;
    browser
        .until_text("#rolling", |it| it.contains("Restarted: 1."))
        .await;
    let standing = format!("#standing-{alias} .state");
    browser
        .until_text(&standing, |it| it == "as the files say")
        .await;
}

/// 7.5: volumes by the name of the node; a path that is not absolute is refused at its line.
async fn set_volumes(browser: &Browser, cluster: &Cluster) {
    browser.go("/config/cluster.cfg").await;
    let text = editor(browser).await;
    let own = cluster.path("P3/data/P3-NODE1/storage");
    let (more, own) = (cluster.path("P3/more"), own.display());
    for (value, is_fine) in [
        (format!("{own},relative/<ALIAS>"), false),
        (format!("{own},{}/<ALIAS>", more.display()), true),
    ] {
        write(browser, &format!("{text}P3-%.volumes={value}\n")).await;
        browser.click("button[value=preview]").await;
        if is_fine {
            save(browser, &[&format!("+P3-%.volumes={value}")]).await;
        } else {
            let line = text.lines().count() + 1;
            let found = browser.until_text(".findings", |it| !it.is_empty()).await;
            assert!(found.contains(&format!("cluster.cfg:{line}")), "{found}");
            browser.picture("41-a-relative-volume").await;
        }
    }
    browser.go("/config").await;
    restart_those_that_wait(browser, "P3-NODE1").await;
    browser.go("/volumes").await;
    let path = more.join("P3-NODE1");
    browser
        .until_text("#main", |it| it.contains(path.to_str().unwrap()))
        .await;
    browser.picture("42-volumes").await;
}

#[tokio::test]
async fn the_configuration_is_changed_in_the_browser_step_by_step() {
    let mut cluster = Cluster::green().await;
    cluster.until_volumes(4).await;
    let Some(browser) = Browser::open(&cluster, "en").await else {
        return;
    };
    browser.log_in("admin", PASSWORD, "/").await;
    change_the_controller(&browser, &mut cluster).await;
    browser.go("/").await;
    for alias in ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P5-NODE1"] {
        until_online(&browser, alias).await;
    }
    add_and_remove_a_node(&browser, &cluster).await;
    change_nodes(&browser).await;
    set_volumes(&browser, &cluster).await;
    browser.close().await;
}

#[tokio::test]
async fn of_two_who_change_a_file_at_a_time_neither_loses_anything() {
    let cluster = Cluster::green().await;
    let Some(browser) = Browser::open(&cluster, "en").await else {
        return;
    };
    browser.log_in("admin", PASSWORD, "/").await;
    browser.go("/config/cluster.cfg").await;
    let before = editor(&browser).await;
    let typed = format!("{before}P1-%.workerNum=3\n");
    write(&browser, &typed).await;
    // Somebody else is faster.
    cluster
        .vaquita("config set cluster.cfg P2-%.workerNum 5")
        .await
        .ok();
    let theirs = cluster.read("P4/config/cluster.cfg");
    browser.click("button[value=save]").await;
    let told = browser.until_text(".flash", |it| !it.is_empty()).await;
    assert!(told.contains("Somebody else"), "{told}");
    assert_eq!(cluster.read("P4/config/cluster.cfg"), theirs);
    assert_eq!(editor(&browser).await, typed, "what was typed is there");
    let difference = browser.text(".diff").await;
    assert!(difference.contains("-P2-%.workerNum=5"), "{difference}");
    browser.picture("43-somebody-else-was-faster").await;
    // Both are wanted.
    write(&browser, &format!("{theirs}P1-%.workerNum=3\n")).await;
    browser.click("button[value=preview]").await;
    browser
        .until_text(".diff", |it| !it.contains("-P2-%"))
        .await;
    save(&browser, &["+P1-%.workerNum=3"]).await;
    let both = cluster.read("P4/config/cluster.cfg");
    assert!(both.contains("P1-%.workerNum=3") && both.contains("P2-%.workerNum=5"));

    // What somebody had typed when their session ended is there when they have logged in again.
    browser.go("/config/cluster.cfg").await;
    write(&browser, &format!("{both}# not saved yet\n")).await;
    let out = "return fetch('/logout', { method: 'POST', body: new URLSearchParams({ csrf: \
               document.body.dataset.csrf }) }).then((it) => it.status)";
    browser.run(out, Vec::new()).await;
    browser.click("button[value=save]").await;
    until("the login", async || {
        browser.path().await.starts_with("/login").then_some(())
    })
    .await;
    // Meanwhile somebody else has changed the file: that is told, and not overwritten.
    cluster
        .vaquita("config set cluster.cfg P3-%.workerNum 4")
        .await
        .ok();
    let meanwhile = cluster.read("P4/config/cluster.cfg");
    browser.log_in("admin", PASSWORD, "/").await;
    browser.go("/config/cluster.cfg").await;
    assert!(editor(&browser).await.ends_with("# not saved yet\n"));
    assert!(browser.has("#draft-is-back:not([hidden])").await);
    browser.click("button[value=save]").await;
    browser
        .until_text(".flash", |it| it.contains("Somebody else"))
        .await;
    assert_eq!(cluster.read("P4/config/cluster.cfg"), meanwhile);
    assert!(editor(&browser).await.ends_with("# not saved yet\n"));
    // And every text that the file had can be had again.
    browser.click("[data-drop-draft]").await;
    until("the file's own text", async || {
        browser.has("#draft-is-back[hidden]").await.then_some(())
    })
    .await;
    assert_eq!(editor(&browser).await, meanwhile);
    browser.click(".version summary").await;
    browser
        .press_and_confirm(".version button[value=undo]")
        .await;
    browser
        .until_text("#flashes", |it| it.to_lowercase().contains("saved"))
        .await;
    assert_eq!(cluster.read("P4/config/cluster.cfg"), both);
    browser.close().await;
}

/// 7.4: names for browsers from outside, for the controller and by a pattern for nodes; each node has a page at
/// its own port, and the same can be had through the controller.
#[tokio::test]
async fn from_outside_the_manager_leads_to_the_pages_of_nodes() {
    let mut cluster = Cluster::of_seed();
    cluster.add_line("P4/config/controller.cfg", "publicName=p4.vaquita.test");
    cluster.add_line("P4/config/cluster.cfg", "P2-%.publicName=p2.vaquita.test");
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let Some(mut browser) = Browser::open(&cluster, "en").await else {
        return;
    };
    let inside = std::mem::replace(
        &mut browser.manager,
        "http://p4.vaquita.test:8990".to_owned(),
    );
    browser.log_in("admin", PASSWORD, "/").await;
    browser.go("/nodes/P2-NODE1").await;
    browser.click("form[action$='/open'] button").await;
    browser.until_path("http://p2.vaquita.test:8961/").await;
    assert_eq!(browser.text("h1").await, "P2-NODE1");
    assert!(browser.text("#main .state").await.contains("ready"));
    browser.picture("44-the-page-of-a-node").await;
    // A node without a name is where its site is.
    browser.go("/nodes/P1-NODE1").await;
    browser.click("form[action$='/open'] button").await;
    let site = format!("http://{}.1:8961/", cluster.subnet);
    browser.until_path(&site).await;
    assert_eq!(browser.text("h1").await, "P1-NODE1");
    // The manager's own session goes on, and what the node says is had through it as well.
    browser.go("/nodes/P2-NODE1/own").await;
    assert_eq!(browser.text("h1").await, "P2-NODE1");
    assert!(browser.text("#main .state").await.contains("ready"));
    // From inside it is the site.
    browser.manager = inside;
    browser.log_in("admin", PASSWORD, "/").await;
    browser.go("/nodes/P2-NODE1").await;
    browser.click("form[action$='/open'] button").await;
    let site = format!("http://{}.3:8961/", cluster.subnet);
    browser.until_path(&site).await;
    browser.close().await;
}
