//! A browser in front of an edge, an application behind it that reads rows through the same
//! larder: what is asked for again, what isn't, and when a changed row is seen.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use larder_test::origin::Response;
use larder_test::server::Delivery::{self, Cache, Network, Validated};
use larder_test::server::Tab;
use larder_test::{Chromium, Larder, Origin, Postgres, Reply, RespClient, skipped};

use crate::support::{connect, get, serve};

/// The page: an asset whose name has a hash of its content, one whose name hasn't, and a row.
const PAGE: &str = "<!doctype html><title>Shop</title><link rel=icon href=data:,>
    <link rel=stylesheet href=/assets/site.5d41402a.css>
    <script src=/site.js></script>
    <p id=name></p>
    <script>
        window.shown = fetch('/api/users/1').then(answer => answer.json())
            .then(user => document.getElementById('name').textContent = user.name);
    </script>";

/// Assets never change, and whatever else comes from the application is kept here until it is
/// said to have changed, and asked for by browsers each time.
const EDGE: &str = r#"
[edge.shop]
listen = "{edge}"
origin = "ORIGIN"

[[edge.shop.rules]]
path = "/assets/**"
immutable = true

[[edge.shop.rules]]
path = "/**"
edge = "1h"
browser = "0s"
"#;

/// What an application may ask for a page: all of it, in the order of the page.
const TARGETS: [&str; 4] = ["/", "/assets/site.5d41402a.css", "/site.js", "/api/users/1"];

fn database() -> Postgres {
    let postgres = Postgres::start();
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text);
         INSERT INTO users VALUES (1, 'Ada')",
    );
    postgres
}

/// larder with a cache of users and an edge in front of the application.
fn start(postgres: &Postgres, application: &Origin) -> Larder {
    let edge = EDGE.replace("ORIGIN", &application.url());
    serve(&format!(
        "[source.shop]
         url = \"{}\"
         changes = \"announced\"
         [cache.user]
         key = \"users:{{id:int}}\"
         load = \"SELECT id, name FROM users WHERE id = {{id}}\"
         tags = [\"users:{{id}}\"]
         max_staleness = \"1h\"
         {edge}",
        postgres.url()
    ))
}

/// The application: it reads its row from larder, and says of the response what it was made of, by
/// the tag that the row has, too.
fn deploy(application: &Origin, larder: &Larder) {
    let page = Response::new("text/html; charset=utf-8", PAGE);
    application.put(TARGETS[0], page.header("ETag", "\"page\""));
    application.put(TARGETS[1], Response::new("text/css", "p { color: navy }"));
    let script = Response::new("text/javascript", "document.title += '!'");
    application.put(TARGETS[2], script.header("ETag", "\"script\""));
    let port = larder.resp_port();
    application.put_with(TARGETS[3], move |_| {
        let mut client = RespClient::connect(("127.0.0.1", port));
        let row = get(&mut client, "users:1").text().to_owned();
        let etag = format!("\"{:x}\"", BuildHasherDefault::<DefaultHasher>::new().hash_one(&row));
        let answer = Response::new("application/json", row).header("ETag", &etag);
        answer.header("Cache-Tag", "users:1")
    });
}

/// What the page shows, once it shows anything.
fn shown(tab: &Tab<'_>) -> String {
    tab.evaluate("window.shown").as_str().unwrap().to_owned()
}

/// Where everything of the page came from, in the order of [`TARGETS`].
fn deliveries(tab: &Tab<'_>, edge: &str) -> [Delivery; 4] {
    let resources = tab.resources();
    TARGETS.map(|target| {
        let found = resources.iter().find(|resource| resource.url == format!("{edge}{target}"));
        found.unwrap_or_else(|| panic!("no {target} in {resources:?}")).delivery
    })
}

#[test]
fn a_browser_keeps_what_it_may_and_sees_a_changed_row_after_a_reload() {
    let Some(browser) = Chromium::start() else { return skipped("chromium") };
    let (application, postgres) = (Origin::start(), database());
    let larder = start(&postgres, &application);
    deploy(&application, &larder);
    let edge = larder.edge_url();
    let asked = || TARGETS.map(|target| application.count(target));

    // First everything comes from the application.
    let first = browser.tab();
    first.load(&edge);
    assert_eq!(shown(&first), "Ada");
    assert_eq!(first.evaluate("document.title"), "Shop!");
    assert_eq!(deliveries(&first, &edge), [Network; 4]);
    assert_eq!(asked(), [1; 4]);

    // Then what is immutable isn't asked for, everything else is, and hears that it is the same:
    // from the edge, which has it all.
    let second = browser.tab();
    second.load(&edge);
    assert_eq!(shown(&second), "Ada");
    assert_eq!(deliveries(&second, &edge), [Validated, Cache, Validated, Validated]);
    assert_eq!(asked(), [1; 4]);

    // One announcement drops the row from the cache and what was made of it from the edge: it is
    // seen by whoever reloads after that.
    postgres.psql("UPDATE users SET name = 'Grace' WHERE id = 1");
    let mut writer = connect(&larder);
    let announced = writer.command(&["LARDER.INVALIDATE", "TAGS", "users:1"]);
    assert!(matches!(announced, Reply::Integer(_)), "{announced:?}");
    second.reload();
    assert_eq!(shown(&second), "Grace");
    assert_eq!(deliveries(&second, &edge), [Validated, Cache, Validated, Network]);
    assert_eq!(asked(), [1, 1, 1, 2]);
}
