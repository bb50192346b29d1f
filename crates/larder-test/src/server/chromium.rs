//! A real browser without a screen, with a profile of its own.
//!
//! It knows how to start one, open tabs and look at what they loaded, over the pipe of the
//! `DevTools` protocol; what the pages do is the test's business.

mod wire;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use serde_json::{Value, json};

use super::{Place, Program, Server, find_program};
use wire::Wire;

/// The pipes that orders and answers go through, in the folder of the browser.
const ORDERS: &str = "orders";
const ANSWERS: &str = "answers";

/// What `Resource Timing` counts for the head of a response that was transferred, however long
/// that is.
const HEAD_BYTES: u64 = 300;

/// What a tab has loaded so far, the page itself first.
const RESOURCES: &str = "
    JSON.stringify(['navigation', 'resource']
        .flatMap(type => performance.getEntriesByType(type))
        .map(({name, transferSize}) => [name, transferSize]))
";

/// A running Chromium. All its tabs share one HTTP cache, which is empty when it starts.
///
/// It isn't a [`Server`] to its users: one that was started again would not listen to the same
/// pipe.
///
/// ```no_run
/// use larder_test::{Chromium, Origin, origin::Response};
///
/// let origin = Origin::start();
/// origin.put("/", Response::new("text/html", "<title>Hello</title>"));
/// if let Some(browser) = Chromium::start() {
///     let tab = browser.tab();
///     tab.load(&origin.url());
///     assert_eq!(tab.evaluate("document.title"), "Hello");
/// }
/// ```
#[derive(Debug)]
pub struct Chromium {
    wire: Mutex<Wire>,
    /// Ends after the wire, whose thread reads until the browser is gone.
    _server: Server,
}

/// A tab of a browser.
#[derive(Debug)]
pub struct Tab<'a> {
    browser: &'a Chromium,
    session: String,
}

/// Something that a page has loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its address.
    pub url: String,
    /// Where its body came from.
    pub delivery: Delivery,
}

/// Where the body of a response came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The browser's own cache, and nobody was asked.
    Cache,
    /// The browser's own cache, and a 304 said that it may be used. An empty body from the network
    /// looks the same.
    Validated,
    /// The network.
    Network,
}

impl Chromium {
    /// Starts one; `None` when Chromium isn't installed.
    ///
    /// # Panics
    ///
    /// When it doesn't come up.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = find_program("chromium").or_else(|| find_program("chromium-browser"))?;
        let server = Server::start(ChromiumProgram { program });
        let folder = server.place().folder().to_owned();
        let wire = Wire::open(&folder.join(ORDERS), &folder.join(ANSWERS));
        let browser = Self { wire: Mutex::new(wire), _server: server };
        // An answer says that it is up.
        browser.ask(None, "Browser.getVersion", &json!({}));
        Some(browser)
    }

    /// Opens a tab with nothing in it.
    ///
    /// # Panics
    ///
    /// When it doesn't open.
    #[must_use]
    pub fn tab(&self) -> Tab<'_> {
        let opened = self.ask(None, "Target.createTarget", &json!({"url": "about:blank"}));
        let target = json!({"targetId": opened["targetId"], "flatten": true});
        let attached = self.ask(None, "Target.attachToTarget", &target);
        let session = attached["sessionId"].as_str().expect("a session has a name").to_owned();
        self.ask(Some(&session), "Page.enable", &json!({}));
        Tab { browser: self, session }
    }

    fn ask(&self, session: Option<&str>, method: &str, params: &Value) -> Value {
        let mut wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        wire.ask(session, method, params)
    }
}

impl Tab<'_> {
    /// Loads a page with everything that its HTML names. Of one that names no icon the browser
    /// asks for `/favicon.ico`, before or after this returns.
    ///
    /// # Panics
    ///
    /// When that fails, or takes more than 30 seconds.
    pub fn load(&self, url: &str) {
        let answer = self.go("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    /// Loads its page again, as somebody does who presses F5.
    ///
    /// # Panics
    ///
    /// When that takes more than 30 seconds.
    pub fn reload(&self) {
        self.go("Page.reload", &json!({}));
    }

    fn go(&self, method: &str, params: &Value) -> Value {
        let mut wire = self.browser.wire.lock().unwrap_or_else(PoisonError::into_inner);
        wire.forget_events();
        let answer = wire.ask(Some(&self.session), method, params);
        if answer["errorText"].is_null() {
            wire.wait_for(&self.session, "Page.loadEventFired");
        }
        answer
    }

    /// The value of a JavaScript expression; of a promise, what it comes to.
    ///
    /// # Panics
    ///
    /// When it throws, or takes more than 30 seconds.
    #[must_use]
    pub fn evaluate(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.browser.ask(Some(&self.session), "Runtime.evaluate", &params);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].clone()
    }

    /// What the page has loaded so far, itself first, and where that came from. The page and what
    /// it loads must have the same origin: of others a browser tells less.
    ///
    /// # Panics
    ///
    /// When nothing is loaded.
    #[must_use]
    pub fn resources(&self) -> Vec<Resource> {
        let text = self.evaluate(RESOURCES);
        let entries: Vec<(String, u64)> = text
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
            .expect("entries as they were asked for");
        let resource = |(url, transferred): (String, u64)| {
            let delivery = match transferred {
                0 => Delivery::Cache,
                HEAD_BYTES => Delivery::Validated,
                _ => Delivery::Network,
            };
            Resource { url, delivery }
        };
        entries.into_iter().map(resource).collect()
    }
}

struct ChromiumProgram {
    program: PathBuf,
}

impl Program for ChromiumProgram {
    fn name(&self) -> &'static str {
        "Chromium"
    }

    /// It listens to nobody but its pipes.
    fn ports(&self) -> usize {
        0
    }

    fn prepare(&self, folder: &Path) {
        for name in [ORDERS, ANSWERS] {
            let made = mknodat(CWD, folder.join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
            made.expect("a pipe can be made in the server's folder");
        }
    }

    fn command(&self, place: &Place) -> Command {
        let folder = place.folder();
        let mut command = Command::new("sh");
        // It has its pipes as the files 3 and 4. Opened both ways, nobody waits for the other
        // end; the one that `ready` looks at comes last.
        command.args(["-c", r#"exec "$@" 4<>answers 3<>orders"#, "sh"]).arg(&self.program);
        command.args(["--headless", "--remote-debugging-pipe", "--no-first-run"]);
        // The pages are the test's own, and root and containers can have no sandbox.
        command.args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        // Nothing is asked of the world outside.
        command.args(["--disable-background-networking", "--disable-component-update"]);
        command.args(["--disable-default-apps", "--disable-sync", "--no-proxy-server"]);
        command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        command.env("HOME", folder);
        command
    }

    fn ready(&self, place: &Place) -> bool {
        let orders = place.folder().join(ORDERS);
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag is small");
        // Refused as long as nobody reads.
        OpenOptions::new().write(true).custom_flags(flags).open(orders).is_ok()
    }
}
