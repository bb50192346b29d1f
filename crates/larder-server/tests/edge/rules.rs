//! What the rules say of paths and types, and what they can't loosen.

use larder_test::origin::Response;

use crate::support::Bench;

const RULES: &str = r#"
[[edge.shop.rules]]
path = "/assets/**"
immutable = true
[[edge.shop.rules]]
path = "**.css"
edge = "1h"
[[edge.shop.rules]]
path = "/api/private/**"
edge = "1h"
override = true
[[edge.shop.rules]]
path = "/api/**"
bypass = true
[[edge.shop.rules]]
path = "/search"
query = ["page", "q"]
edge = "1m"
[[edge.shop.rules]]
path = "/news/**"
query_ignored = ["utm_*"]
statuses = ["404 1m"]
edge = "1h"
browser = "0s"
[[edge.shop.rules]]
path = "/varied"
vary = ["accept-language"]
edge = "1h"
[[edge.shop.rules]]
path = "**"
types = ["image/*"]
edge = "1d"
browser = "5m"
"#;

fn page(body: &str) -> Response {
    Response::new("text/html", body)
}

/// Whether the second of two requests is answered by the cache.
fn is_kept(bench: &Bench, path: &str) -> bool {
    bench.get(path);
    bench.get(path).is_hit()
}

#[test]
fn what_never_changes_is_fresh_for_a_year_everywhere() {
    let bench = Bench::new(RULES);
    bench.put("/assets/app.0a1b.js", Response::new("text/javascript", "x"));
    assert!(is_kept(&bench, "/assets/app.0a1b.js"));
    let control = bench.get("/assets/app.0a1b.js").header("cache-control").unwrap();
    assert_eq!(control, "max-age=31536000, immutable");
    bench.put(
        "/assets/secret.js",
        Response::new("text/javascript", "x").header("Cache-Control", "private"),
    );
    assert!(!is_kept(&bench, "/assets/secret.js"));
    assert_eq!(bench.get("/assets/secret.js").header("cache-control").as_deref(), Some("private"));
}

#[test]
fn a_rule_takes_no_prohibition_away_unless_it_says_so() {
    let bench = Bench::new(RULES);
    for control in ["no-store", "private, max-age=60", "no-cache"] {
        let css = Response::new("text/css", "x").header("Cache-Control", control);
        bench.put("/a.css", css);
        assert!(!is_kept(&bench, "/a.css"), "{control}");
        let answer = bench.get("/a.css");
        assert_eq!(answer.header("cache-control").as_deref(), Some(control));
        assert_eq!(answer.header("larder-cache-control"), None);
        bench.put(
            "/api/private/a",
            Response::new("text/plain", "x").header("Cache-Control", control),
        );
    }
    assert!(is_kept(&bench, "/api/private/a"));
    bench.put("/api/private/b", page("x").header("Set-Cookie", "a=b"));
    assert!(!is_kept(&bench, "/api/private/b"));
    // A lifetime permits nobody to share what was asked for with a password.
    bench.put("/b.css", Response::new("text/css", "x"));
    for _ in 0..2 {
        assert!(!bench.ask("GET /b.css", "Authorization: Basic YTpi\r\n").is_hit());
    }
    // What the origin itself writes into our own field is nobody's word.
    let forged = page("x").header("Larder-Cache-Control", "max-age=60");
    bench.put("/forged", forged);
    assert!(!is_kept(&bench, "/forged"));
}

#[test]
fn a_page_under_the_name_of_a_file_is_not_kept_for_its_name() {
    let bench = Bench::new(RULES);
    bench.put("/style.css", Response::new("text/css", "x"));
    assert!(is_kept(&bench, "/style.css"));
    for path in [
        "/account/x.css",
        "/account%2fx.css",
        "/account;/x.css",
        "/account/..%2fx.css",
        "/account%3bx.css",
        "/account%3Fx.css",
        "/account/%2e%2e/x.css",
        "/account\\x.css",
        "/account/%00x.css",
        "/account%23x.css",
    ] {
        bench.put(path, page("private").header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(!is_kept(&bench, path), "{path}");
    }
    // Nor by a rule for files, where the path may mean something else.
    for path in ["/assets/../account", "/assets//account", "/assets/%2e%2e/account"] {
        bench.put(path, Response::new("text/css", "private"));
        assert!(!is_kept(&bench, path), "{path}");
    }
    bench.put("/data.css", Response::new("application/json; charset=utf-8", "{}"));
    assert!(!is_kept(&bench, "/data.css"));
    bench.put("/untold.css", Response::new("", "x"));
    assert!(!is_kept(&bench, "/untold.css"));
}

#[test]
fn what_is_past_the_cache_is_asked_for_each_time() {
    let bench = Bench::new(RULES);
    bench.put("/api/a", page("x").header("Cache-Control", "max-age=60"));
    assert!(!is_kept(&bench, "/api/a"));
    assert_eq!(bench.origin.count("/api/a"), 2);
}

#[test]
fn what_does_not_count_of_a_query_is_dropped() {
    let bench = Bench::new(RULES);
    bench.put("/search?page=2&q=x", page("two"));
    for query in
        ["page=2&q=x", "q=x&page=2", "utm_source=a&q=x&page=2", "q=x&evil=1&page=2&pagex=1"]
    {
        assert_eq!(bench.get(&format!("/search?{query}")).body, "two", "{query}");
    }
    assert_eq!(bench.origin.count("/search?page=2&q=x"), 1);
    bench.put("/news/a?b=1", page("news"));
    assert_eq!(bench.get("/news/a?utm_source=x&b=1&utm_medium=y").body, "news");
    assert!(bench.get("/news/a?b=1&utm_source=z").is_hit());
}

#[test]
fn statuses_have_lifetimes_of_their_own_and_browsers_another_one() {
    let bench = Bench::new(RULES);
    bench.put("/news/gone", page("gone").status(404));
    assert!(is_kept(&bench, "/news/gone"));
    bench.put("/news/moved", page("").status(301).header("Location", "/"));
    assert!(!is_kept(&bench, "/news/moved"));
    bench.put("/news/error", page("").status(500));
    assert!(!is_kept(&bench, "/news/error"));
    bench.put("/news/a", page("a").header("Cache-Control", "max-age=5").header("Expires", "0"));
    assert!(is_kept(&bench, "/news/a"));
    let answer = bench.get("/news/a");
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-cache"));
    assert_eq!(answer.header("expires"), None);
    let etag = answer.header("etag").unwrap();
    let again = bench.ask("GET /news/a", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((again.status, again.header("cache-control").as_deref()), (304, Some("no-cache")));
}

#[test]
fn a_type_is_a_rule_too_and_what_may_vary_is_listed() {
    let bench = Bench::new(RULES);
    bench.put("/cat", Response::new("image/png", "x"));
    assert!(is_kept(&bench, "/cat"));
    let age: u64 = bench.get("/cat").header("age").unwrap().parse().unwrap();
    let control = bench.get("/cat").header("cache-control").unwrap();
    let told: u64 = control.strip_prefix("max-age=").unwrap().parse().unwrap();
    // A client counts from the age that it is told.
    assert!((300 + age..305 + age).contains(&told), "{control}");
    bench.put("/varied", page("x").header("Vary", "Accept-Language"));
    assert!(is_kept(&bench, "/varied"));
    bench.put("/varied", page("x").header("Vary", "User-Agent"));
    let mut answers = ["a", "a"].map(|agent| {
        bench.ask("GET /varied", &format!("User-Agent: {agent}\r\nAccept-Language: {agent}\r\n"))
    });
    assert!(answers.iter_mut().all(|answer| !answer.is_hit()));
}

#[test]
fn a_rule_leaves_fields_private_that_the_origin_calls_so() {
    let bench = Bench::new(RULES);
    let css = Response::new("text/css", "x").header("X-User", "ada").header("X-Seen", "1");
    bench.put("/a.css", css.header("Cache-Control", "private=\"x-user\", no-cache=\"X-Seen\""));
    assert_eq!(bench.get("/a.css").header("x-user").as_deref(), Some("ada"));
    let answer = bench.get("/a.css");
    assert!(answer.is_hit());
    assert_eq!((answer.header("x-user"), answer.header("x-seen")), (None, None));
    bench.put("/news/a", page("x").header("Cache-Control", "private=\"x-user\""));
    let control = bench.get("/news/a").header("cache-control");
    assert_eq!(control.as_deref(), Some("no-cache, private=\"x-user\""));
}

#[test]
fn what_a_browser_may_keep_with_its_cookie_is_its_own() {
    let bench = Bench::new(RULES);
    let image = Response::new("image/png", "x").header("Set-Cookie", "a=b");
    bench.put("/tracked", image.header("Cache-Control", "public, max-age=60"));
    assert!(!is_kept(&bench, "/tracked"));
    let control = bench.get("/tracked").header("cache-control");
    assert_eq!(control.as_deref(), Some("max-age=300, private"));
    // A CDN in front, which reads what is meant for it, finds nothing that permits more.
    assert_eq!(bench.get("/tracked").header("cdn-cache-control"), None);
}
