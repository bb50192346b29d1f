//! Purges: by whom, of what, and how hard; and what else drops a response.

use larder_test::RespClient;

use crate::support::{Bench, admin, fresh};

const TOKEN: &str = "purge_token = \"letmein\"";
const PERMITTED: &str = "purge_from = [\"127.0.0.1\"]";

/// Whether `path` is answered by the cache.
fn is_held(bench: &Bench, path: &str) -> bool {
    bench.get(path).is_hit()
}

fn fill(bench: &Bench, paths: &[&str]) {
    for path in paths {
        bench.put(path, fresh(path));
        bench.get(path);
        assert!(is_held(bench, path), "{path}");
    }
}

#[test]
fn nobody_purges_without_permission() {
    let bench = Bench::new(TOKEN);
    fill(&bench, &["/a"]);
    for lines in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Bearer letmei\r\n",
        "Authorization: Basic letmein\r\n",
        "X-Forwarded-For: 127.0.0.1\r\n",
    ] {
        let answer = bench.ask("PURGE /a", lines);
        assert_eq!(answer.status, 401, "{lines:?}");
        assert_eq!(answer.header("www-authenticate").as_deref(), Some("Bearer"));
    }
    assert!(is_held(&bench, "/a"));
    assert_eq!(bench.metric("larder_edge_purges_refused_total{edge=\"shop\"}"), 5.0);
    assert_eq!(bench.ask("PURGE /a", "Authorization: Bearer letmein\r\n").status, 200);
    assert!(!is_held(&bench, "/a"));

    let elsewhere = Bench::new("purge_from = [\"10.0.0.0/8\"]\ntrusted = [\"127.0.0.1\"]");
    fill(&elsewhere, &["/a"]);
    assert_eq!(elsewhere.ask("PURGE /a", "X-Forwarded-For: 10.0.0.1\r\n").status, 401);
    let nobody = Bench::new("");
    fill(&nobody, &["/a"]);
    assert_eq!(nobody.ask("PURGE /a", "").status, 405);
    assert!(is_held(&elsewhere, "/a") && is_held(&nobody, "/a"));
}

#[test]
fn a_url_goes_in_all_its_variants() {
    let bench = Bench::new(PERMITTED);
    bench.put("/a", fresh("a").header("Vary", "Accept-Language"));
    let asked = |language| bench.ask("GET /a", &format!("Accept-Language: {language}\r\n"));
    for language in ["de", "en"] {
        asked(language);
        assert!(asked(language).is_hit(), "{language}");
    }
    fill(&bench, &["/b"]);
    assert_eq!(bench.ask("PURGE /a", "").status, 200);
    assert!(!asked("de").is_hit() && !asked("en").is_hit());
    assert!(is_held(&bench, "/b"));
}

#[test]
fn tags_prefixes_and_everything_go() {
    let bench = Bench::new(PERMITTED);
    let tagged = || {
        bench.put("/t", fresh("t").header("Cache-Tag", "red, round"));
        bench.put("/s", fresh("s").header("Surrogate-Key", "red green"));
        fill(&bench, &["/x/a", "/x/b", "/y"]);
        for path in ["/t", "/s"] {
            bench.get(path);
            assert!(is_held(&bench, path), "{path}");
        }
    };
    tagged();
    assert_eq!(bench.ask("PURGE /", "Cache-Tag: blue, red\r\n").status, 200);
    assert!(!is_held(&bench, "/t") && !is_held(&bench, "/s") && is_held(&bench, "/y"));
    assert_eq!(bench.ask("PURGE /", "Cache-Tag: ,\r\n").status, 400);
    tagged();
    assert_eq!(bench.ask("PURGE /x/*", "").status, 200);
    assert!(!is_held(&bench, "/x/a") && !is_held(&bench, "/x/b") && is_held(&bench, "/y"));
    tagged();
    assert_eq!(admin(bench.admin, "POST", "/purge", "{\"all\": true}").0, 200);
    assert!(!is_held(&bench, "/y") && !is_held(&bench, "/t"));
}

#[test]
fn what_is_purged_softly_is_validated() {
    let bench = Bench::new(PERMITTED);
    bench.put("/a", fresh("a").header("ETag", "\"1\""));
    bench.get("/a");
    assert_eq!(bench.ask("PURGE /a", "Soft-Purge: 1\r\n").status, 200);
    assert_eq!(bench.get("/a").body, "a");
    let asked = bench.origin.requests("/a").pop().unwrap();
    assert_eq!(asked.header("if-none-match"), Some("\"1\""));
    assert!(is_held(&bench, "/a"));
}

#[test]
fn the_admin_listener_purges() {
    let bench = Bench::new("");
    let purge = |body: &str| admin(bench.admin, "POST", "/purge", body);
    let orders = [
        r#"{"url": "http://shop.example/a"}"#,
        r#"{"url": "https://shop.example/a", "how": "hard"}"#,
        r#"{"prefix": "http://shop.example/", "edge": "shop"}"#,
        r#"{"all": true}"#,
    ];
    for order in orders {
        fill(&bench, &["/a"]);
        assert_eq!(purge(order), (200, "purged\n".to_owned()), "{order}");
        assert!(!is_held(&bench, "/a"), "{order}");
    }
    assert_eq!(purge(r#"{"all": true}"#).0, 200);
    bench.put("/a", fresh("a").header("Cache-Tag", "red"));
    bench.get("/a");
    assert_eq!(purge(r#"{"tag": "red", "how": "soft"}"#).0, 200);
    let asked = bench.origin.count("/a");
    bench.get("/a");
    assert_eq!(bench.origin.count("/a"), asked + 1);
    for order in [
        "",
        "{}",
        "[]",
        "{\"all\": false}",
        "{\"url\": \"/a\"}",
        "{\"url\": 1}",
        "{\"tag\": \"\"}",
        "{\"tag\": \"a\", \"all\": true}",
        "{\"all\": true, \"how\": \"quick\"}",
        "{\"prefix\": \"/a\"}",
    ] {
        assert_eq!(purge(order).0, 400, "{order}");
    }
    assert_eq!(purge("{\"all\": true, \"edge\": \"other\"}").0, 404);
}

#[test]
fn a_key_or_tag_that_is_invalidated_drops_the_responses_that_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("shop.db");
    std::fs::write(&database, "").unwrap();
    let bench = Bench::new(&format!(
        "[source.shop]\nurl = \"sqlite:{}\"\n[cache.user]\nkey = \"user:{{id:int}}\"\n\
         load = \"SELECT {{id}} AS id\"\nmax_staleness = \"1m\"\n",
        database.display()
    ));
    for path in ["/7", "/8"] {
        bench.put(path, fresh("x").header("Cache-Tag", &format!("user:{}, users", &path[1..])));
    }
    let held = || ["/7", "/8"].map(|path| is_held(&bench, path));
    held();
    assert_eq!(held(), [true, true]);
    let mut client = RespClient::connect(bench.resp);
    client.command(&["DEL", "user:7"]);
    assert_eq!(held(), [false, true]);
    assert_eq!(held(), [true, true]);
    client.command(&["LARDER.INVALIDATE", "TAGS", "users"]);
    assert_eq!(held(), [false, false]);
}

#[test]
fn a_request_that_changes_something_drops_what_it_changed() {
    let bench = Bench::new("");
    fill(&bench, &["/a", "/b"]);
    assert_eq!(bench.ask("POST /a", "Content-Length: 0\r\n").status, 200);
    assert!(!is_held(&bench, "/a") && is_held(&bench, "/b"));
}
