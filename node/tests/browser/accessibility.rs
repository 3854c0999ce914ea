//! Every page, wide and on a phone, light and dark: nothing wider than the screen, and nothing that keeps
//! somebody out.

use serde_json::{Value, json};

use crate::driver::{Browser, Width};
use crate::rig::{Cluster, PASSWORD, skip};

/// Pages of a cluster with a file in it, and their names in the book.
const PAGES: [(&str, &str); 19] = [
    ("overview", "/"),
    ("node", "/nodes/P1-NODE1"),
    ("agent", "/nodes/P1-agent"),
    ("own", "/nodes/P1-NODE1/own"),
    ("files", "/files/"),
    ("directory", "/files/data"),
    ("file", "/files/data/a.bin"),
    ("volumes", "/volumes"),
    ("repair", "/repair"),
    ("config", "/config"),
    ("config-controller", "/config/controller.cfg"),
    ("config-nodes", "/config/cluster.nodes"),
    ("config-cluster", "/config/cluster.cfg"),
    ("audit", "/audit"),
    ("logs", "/logs"),
    ("log", "/logs/P1-NODE1"),
    ("users", "/users"),
    ("account", "/account"),
    ("password", "/password"),
];

/// A page with all that it is made of has to be lighter.
const PAGE_MAX: u64 = 100 * 1000;

/// The checker, as the gate has fetched it; it is no part of this program.
fn checker() -> Option<String> {
    let text = std::env::var_os("VAQUITA_AXE").map(std::fs::read_to_string);
    match text {
        Some(Ok(text)) => Some(text),
        _ => {
            skip(
                "axe",
                "VAQUITA_AXE does not name axe-core's axe.min.js: pages are not checked by it",
            );
            None
        }
    }
}

#[tokio::test]
async fn every_page_fits_the_screen_and_keeps_nobody_out() {
    let cluster = Cluster::green().await;
    let file = cluster.path("P4/a.bin");
    std::fs::write(&file, vec![7; 300_000]).unwrap();
    cluster.vaquita("dfs mkdir dfs://data").await.ok();
    let words = ["dfs", "put", file.to_str().unwrap(), "dfs://data/a.bin"];
    cluster.place.run_words(&words, "").await.ok();
    let Some(browser) = Browser::open(&cluster, "en").await else {
        return;
    };
    let checker = checker();
    look(&browser, "login", "/login", checker.as_deref()).await;
    browser.log_in("admin", PASSWORD, "/").await;
    for (name, path) in PAGES {
        look(&browser, name, path, checker.as_deref()).await;
    }
    browser.close().await;
}

async fn look(browser: &Browser, name: &str, path: &str, checker: Option<&str>) {
    let join = if path.contains('?') { '&' } else { '?' };
    for theme in ["light", "dark"] {
        browser.go(&format!("{path}{join}theme={theme}")).await;
        assert_eq!(browser.path().await, path, "{name}");
        assert!(browser.has("h1").await, "{name} has no title");
        let bytes = weight(browser).await;
        assert!(bytes < PAGE_MAX, "{name} takes {bytes} bytes");
        for width in [Width::Wide, Width::Phone] {
            browser.resize(width).await;
            assert!(!browser.overflows().await, "{name} is wider than {width:?}");
            let suffix = match width {
                Width::Wide => "",
                Width::Phone => "-phone",
            };
            browser
                .picture(&format!("page-{name}-{theme}{suffix}"))
                .await;
            if let Some(checker) = checker {
                let found = findings(browser, checker).await;
                assert!(found.is_empty(), "{name}, {theme}, {width:?}: {found:#?}");
            }
        }
    }
    browser.resize(Width::Wide).await;
}

/// What came for the page that is shown, all that it is made of together.
async fn weight(browser: &Browser) -> u64 {
    let script = "return ['navigation', 'resource'].flatMap((it) => performance.getEntriesByType(it)) \
                  .reduce((sum, it) => sum + it.encodedBodySize, 0)";
    let bytes = browser.run(script, Vec::new()).await;
    bytes
        .as_u64()
        .filter(|bytes| *bytes > 0)
        .expect("it took something")
}

/// What the checker finds and calls serious or critical.
async fn findings(browser: &Browser, checker: &str) -> Vec<String> {
    browser.run(checker, Vec::new()).await;
    let script =
        "return axe.run(document, { resultTypes: ['violations'] }).then((it) => it.violations)";
    let found = browser.run(script, vec![json!(null)]).await;
    let serious = |it: &&Value| it["impact"] == "serious" || it["impact"] == "critical";
    let found = found.as_array().expect("the checker has run").clone();
    found
        .iter()
        .filter(serious)
        .map(|it| {
            let places: Vec<String> = it["nodes"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|node| node["target"].to_string())
                .collect();
            format!("{}: {} at {}", it["id"], it["help"], places.join(", "))
        })
        .collect()
}
