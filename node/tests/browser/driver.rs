//! A browser that does what a person does.

use std::path::PathBuf;

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

use crate::rig::{Cluster, SEED_HOSTS, Server, skip, until};
use crate::webdriver::Session;

/// One browser at a time: each takes a processor for itself.
static ONE: Mutex<()> = Mutex::const_new(());

/// A browser on a cluster's manager.
pub(crate) struct Browser {
    session: Session,
    pub(crate) manager: String,
    // The cluster's sweeper ends what is left of them, since they name its directory.
    _driver: Server,
    _one: MutexGuard<'static, ()>,
}

/// How wide a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Wide,
    Phone,
}

impl Browser {
    /// Opens one that prefers a language; `None`, with a word about it, where there is none.
    pub(crate) async fn open(cluster: &Cluster, language: &str) -> Option<Self> {
        let one = ONE.lock().await;
        let found = chromedriver().arg("--version").output().await;
        if !found.is_ok_and(|it| it.status.success()) {
            skip(
                "browser",
                "Chromium and its driver (`chromedriver`) are not installed",
            );
            return None;
        }
        let mut command = chromedriver();
        command
            .args(["--port=0", "--log-level=WARNING"])
            .current_dir(cluster.path("P4"));
        let output = cluster.path("chromedriver.out");
        let driver = Server::start(command, output.clone());
        let port = until("the driver of the browser", async || {
            let said = std::fs::read_to_string(&output).unwrap();
            let (_, port) = said.split_once("started successfully on port ")?;
            let (port, _) = port.split_once('.')?;
            port.parse::<u16>().ok()
        })
        .await;
        let profile = cluster.path("P4/browser");
        // Names as from outside, for those who give them out as `publicName`.
        let hosts = SEED_HOSTS.iter().copied().chain([("P4", 7)]);
        let hosts = hosts.map(|(host, last)| {
            let name = host.to_lowercase();
            format!("MAP {name}.vaquita.test {}.{last}", cluster.subnet)
        });
        let hosts: Vec<String> = hosts.collect();
        let capabilities = json!({
            // The certificates of the tests are those that processes make for themselves.
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                    "--disable-dev-shm-usage",
                    format!("--lang={language}"),
                    format!("--host-resolver-rules={}", hosts.join(", ")),
                    format!("--user-data-dir={}", profile.display()),
                ],
                "prefs": {
                    "intl.accept_languages": language,
                    "download.default_directory": cluster.path("P4"),
                },
            },
        });
        let session = match Session::open(port, capabilities).await {
            Ok(session) => session,
            Err(why) => {
                skip("browser", &format!("the browser does not start: {why}"));
                return None;
            }
        };
        let browser = Self {
            session,
            manager: format!("http://{}.7:8990", cluster.subnet),
            _driver: driver,
            _one: one,
        };
        browser.resize(Width::Wide).await;
        Some(browser)
    }

    pub(crate) async fn go(&self, path: &str) {
        let address = format!("{}{path}", self.manager);
        self.session.post("url", json!({ "url": address })).await;
    }

    /// The path of the page that is shown.
    pub(crate) async fn path(&self) -> String {
        let address = self.session.get("url").await;
        let address = address.as_str().unwrap();
        let path = address.strip_prefix(&self.manager).unwrap_or(address);
        path.to_owned()
    }

    pub(crate) async fn click(&self, css: &str) {
        let element = self.session.find(css).await;
        let click = format!("element/{element}/click");
        self.session.post(&click, json!({})).await;
    }

    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        let element = self.session.find(css).await;
        let keys = format!("element/{element}/value");
        self.session.post(&keys, json!({ "text": text })).await;
    }

    pub(crate) async fn has(&self, css: &str) -> bool {
        let script = "return document.querySelector(arguments[0]) !== null";
        self.run(script, vec![json!(css)]).await == json!(true)
    }

    /// The text of the first element, as it is shown; empty if there is none.
    pub(crate) async fn text(&self, css: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        let text = self.run(script, vec![json!(css)]).await;
        text.as_str().unwrap().trim().to_owned()
    }

    /// Waits until the text of an element is as wanted.
    pub(crate) async fn until_text(&self, css: &str, wanted: impl Fn(&str) -> bool) -> String {
        until(css, async || {
            let text = self.text(css).await;
            wanted(&text).then_some(text)
        })
        .await
    }

    /// Waits until the page at this path is shown.
    pub(crate) async fn until_path(&self, wanted: &str) {
        until(wanted, async || (self.path().await == wanted).then_some(())).await;
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        let call = json!({ "script": script, "args": arguments });
        self.session.post("execute/sync", call).await
    }

    pub(crate) async fn resize(&self, width: Width) {
        let (width, height) = match width {
            Width::Wide => (1280, 800),
            Width::Phone => (360, 740),
        };
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Logs in by the form, and waits for the page that follows.
    pub(crate) async fn log_in(&self, user: &str, password: &str, then: &str) {
        self.go("/login").await;
        self.type_into("[name=user]", user).await;
        self.type_into("[name=password]", password).await;
        self.click("form.stack button").await;
        self.until_path(then).await;
    }

    /// Presses a button that asks first, and says yes.
    pub(crate) async fn press_and_confirm(&self, css: &str) {
        self.click(css).await;
        until("the question", async || {
            self.has("#confirm[open]").await.then_some(())
        })
        .await;
        self.click("#confirm-yes").await;
    }

    /// Leaves a picture of the whole page, where pictures are wanted.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(directory) = std::env::var_os("VAQUITA_SCREENSHOTS") else {
            return;
        };
        let shot = json!({ "captureBeyondViewport": true });
        let shot = self.devtools("Page.captureScreenshot", shot).await;
        let bytes = Base64::decode_vec(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(PathBuf::from(directory).join(format!("{name}.png")), bytes).unwrap();
    }

    /// The cookies that the browser has for the page that is shown.
    pub(crate) async fn cookies(&self) -> Vec<Value> {
        let cookies = self.session.get("cookie").await;
        cookies.as_array().cloned().unwrap_or_default()
    }

    /// Whether something is wider than the screen.
    pub(crate) async fn overflows(&self) -> bool {
        let script = "return document.documentElement.scrollWidth > innerWidth";
        self.run(script, Vec::new()).await == json!(true)
    }

    /// What the browser complained of since it was asked last: scripts that failed, what the policy
    /// forbade. Refusals that a test provoked are left out.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self
            .session
            .post("se/log", json!({ "type": "browser" }))
            .await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter(|entry| entry["level"] == "SEVERE" && entry["source"] != "network")
            .map(|entry| entry["message"].to_string())
            // Without HTTPS a browser takes this header of a named host for nothing, and says so.
            .filter(|said| !said.contains("Cross-Origin-Opener-Policy header has been ignored"))
            .collect()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let call = json!({ "cmd": command, "params": parameters });
        self.session.post("goog/cdp/execute", call).await
    }

    /// Ends it. One that a failed test left is ended with its cluster.
    pub(crate) async fn close(self) {
        assert_eq!(self.complaints().await, Vec::<String>::new());
        self.session.close().await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a browser is no process of the cluster"
)]
fn chromedriver() -> Command {
    Command::new("chromedriver")
}
