//! Chromium: it loads, loads again, runs scripts, and says where what it loaded came from.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use larder_test::origin::Response;
use larder_test::server::Delivery::{self, Cache, Network, Validated};
use larder_test::server::Tab;
use larder_test::{Chromium, Origin, skipped};

fn deliveries(tab: &Tab<'_>, origin: &Origin) -> Vec<(String, Delivery)> {
    let path = |url: &str| url.strip_prefix(&origin.url()).unwrap().to_owned();
    tab.resources().iter().map(|one| (path(&one.url), one.delivery)).collect()
}

#[test]
fn a_page_is_loaded_kept_and_validated_as_its_responses_say() {
    let origin = Origin::start();
    let Some(browser) = Chromium::start() else { return skipped("chromium") };
    // An icon of its own, or the browser asks for one at some moment.
    let page = "<title>Hello</title><link rel=icon href=data:,>
        <script src=/kept.js></script><script src=/asked.js></script>";
    let page = Response::new("text/html", page).header("Cache-Control", "no-store");
    origin.put("/", page);
    let script = Response::new("text/javascript", "window.scripts = (window.scripts ?? 0) + 1");
    origin.put("/kept.js", script.clone().header("Cache-Control", "max-age=3600"));
    let asked = script.header("Cache-Control", "no-cache").header("ETag", "\"1\"");
    origin.put("/asked.js", asked);
    let expected = |kept, asked| {
        [("/", Network), ("/kept.js", kept), ("/asked.js", asked)]
            .map(|(path, delivery)| (path.to_owned(), delivery))
    };

    let tab = browser.tab();
    tab.load(&origin.url());
    assert_eq!(tab.evaluate("document.title"), "Hello");
    assert_eq!(tab.evaluate("new Promise(resolve => resolve(window.scripts))"), 2);
    assert_eq!(deliveries(&tab, &origin), expected(Network, Network));
    tab.reload();
    assert_eq!(deliveries(&tab, &origin), expected(Cache, Validated));
    let second = browser.tab();
    second.load(&origin.url());
    assert_eq!(deliveries(&second, &origin), expected(Cache, Validated));
    assert_eq!(["/", "/kept.js", "/asked.js"].map(|path| origin.count(path)), [3, 1, 3]);
}
