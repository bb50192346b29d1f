//! Purges: by whom, of what, and how hard; and what else drops a response.

use std::io::Write;

use larder_test::{Redis, Reply, RespClient};

use crate::support::{Answer, Bench, admin, fresh};

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
    assert_eq!(bench.ask("PURGE /a", "Authorization: bearer letmein\r\n").status, 200);

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
    tagged();
    assert_eq!(bench.ask("PURGE /", "Surrogate-Key: blue round\r\n").status, 200);
    assert!(!is_held(&bench, "/t") && is_held(&bench, "/s") && is_held(&bench, "/y"));
    assert_eq!(bench.ask("PURGE /", "Cache-Tag: ,\r\nSurrogate-Key: \r\n").status, 400);
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
        r#"{"prefix": "HTTPS://Shop.example:443/"}"#,
        r#"{"url": "http://Shop.example:80/a"}"#,
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
fn no_page_purges_over_the_admin_listener() {
    let bench = Bench::new("");
    fill(&bench, &["/a"]);
    let post = |lines: &str| {
        let mut client = std::net::TcpStream::connect(bench.admin).unwrap();
        let body = "{\"all\": true}";
        let head = format!("POST /purge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}");
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        client.write_all(request.as_bytes()).unwrap();
        Answer::read(&mut client).unwrap().status
    };
    // What a form or a script on a page may send without asking first.
    assert_eq!(post("Origin: https://evil.example\r\nContent-Type: text/plain\r\n"), 403);
    assert_eq!(post("Origin: null\r\n"), 403);
    assert!(is_held(&bench, "/a"));
    assert_eq!(post("Content-Type: application/x-www-form-urlencoded\r\n"), 200);
    assert!(!is_held(&bench, "/a"));
}

/// An edge beside a cache of users and one of their posts.
fn with_users() -> (Bench, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("shop.db");
    std::fs::write(&database, "").unwrap();
    let cache = |name: &str, key: &str| {
        format!(
            "[cache.{name}]\nkey = \"{key}\"\nload = \"SELECT {{id}} AS id\"\n\
             max_staleness = \"1m\"\n"
        )
    };
    let bench = Bench::new(&format!(
        "[source.shop]\nurl = \"sqlite:{}\"\n{}{}",
        database.display(),
        cache("user", "user:{id:int}"),
        cache("post", "post:{id:int}"),
    ));
    (bench, folder)
}

#[test]
fn a_whole_cache_or_a_prefix_that_is_invalidated_drops_the_responses_that_name_its_keys() {
    let (bench, _folder) = with_users();
    let pages = ["/7", "/post", "/list", "/plain"];
    bench.put("/7", fresh("7").header("Cache-Tag", "page, user:7").header("ETag", "\"7\""));
    bench.put("/post", fresh("post").header("Surrogate-Key", "post:1 page"));
    bench.put("/list", fresh("list").header("Cache-Tag", "cache.user"));
    bench.put("/plain", fresh("plain").header("Cache-Tag", "page, user"));
    let held = || pages.map(|path| is_held(&bench, path));
    held();
    assert_eq!(held(), [true; 4]);
    // Whoever keeps it in front of the edge can be told, too.
    let tags = bench.get("/7").header("cache-tag");
    assert_eq!(tags.as_deref(), Some("page, user:7, cache.user"));
    assert_eq!(bench.get("/plain").header("cache-tag").as_deref(), Some("page, user"));
    let mut client = RespClient::connect(bench.resp);
    let mut invalidate = |what: &[&str]| {
        let reply = client.command(&[&["LARDER.INVALIDATE"], what].concat());
        assert!(matches!(reply, Reply::Integer(_)), "{what:?}: {reply:?}");
    };
    for what in [&["CACHE", "user"][..], &["PREFIX", "user:"], &["PREFIX", "user:1"]] {
        invalidate(what);
        assert_eq!(held(), [false, true, false, true], "{what:?}");
        assert_eq!(held(), [true; 4], "{what:?}");
    }
    invalidate(&["KEYS", "user:7"]);
    assert_eq!(held(), [false, true, true, true]);
    held();
    // Marked stale, it is validated.
    invalidate(&["SOFT", "CACHE", "user"]);
    assert_eq!(bench.get("/7").body, "7");
    let asked = bench.origin.requests("/7").pop().unwrap();
    assert_eq!(asked.header("if-none-match"), Some("\"7\""));
    held();
    // What an answer to that says, which names no tags, doesn't take the tag away.
    assert_eq!(held(), [true; 4]);
    invalidate(&["CACHE", "user"]);
    assert_eq!(held(), [false, true, false, true]);
}

#[test]
fn a_key_or_tag_that_is_invalidated_drops_the_responses_that_name_it() {
    let (bench, _folder) = with_users();
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

/// Where other processes can't be told, the answer says so, and all that was named is purged here.
#[test]
fn what_others_cannot_be_told_of_is_purged_here() {
    let redis = Redis::start();
    let shared = format!("[shared]\nurl = \"{}\"", redis.url());
    let bench = Bench::new(&format!("{PERMITTED}\ntrusted = [\"127.0.0.1\"]\n{shared}"));
    bench.put("/a", fresh("a").header("Cache-Tag", "red, green"));
    let ask = |scheme: &str| bench.ask("GET /a", &format!("X-Forwarded-Proto: {scheme}\r\n"));
    let fill = || {
        for scheme in ["http", "https"] {
            ask(scheme);
            assert!(ask(scheme).is_hit(), "{scheme}");
        }
    };
    fill();
    redis.kill();
    let of_tags = "Cache-Tag: blue, red\r\n";
    for (what, lines) in [("PURGE /a", ""), ("PURGE /*", ""), ("PURGE /", of_tags)] {
        fill();
        assert_eq!(bench.ask(what, lines).status, 503, "{what}");
        for scheme in ["http", "https"] {
            assert!(!ask(scheme).is_hit(), "{what} {lines}: {scheme}");
        }
    }
}
