//! The caches as resources of HTTP: what is read and written, and who may.

use std::process::Command;
use std::thread;

use larder_test::Reply;
use serde_json::json;

use crate::http_support::{Answer, JSON, PATCH, Shop, ask, exchange, get, serve_http};
use crate::support::{admin, binary, connect, get as get_key, run, until};

const ADA: &str = r#"{"id":1,"name":"Ada","email":"ada@example.org","visits":0}"#;

/// The number behind `name=` in what the answer says of itself.
fn said(answer: &Answer, name: &str) -> i64 {
    let status = answer.field("cache-status").unwrap();
    let (_, rest) = status.split_once(&format!("{name}=")).unwrap();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

#[test]
fn a_row_is_a_resource_that_caches_may_keep() {
    let shop = Shop::new();
    let larder = shop.serve("");
    let first = get(&larder, "/cache/user/user:1");
    assert_eq!((first.status, first.body.as_str()), (200, ADA));
    let status = first.field("cache-status").unwrap();
    assert!(status.starts_with("larder; fwd=miss; stored; ttl="), "{status}");
    assert!(status.contains("; key=\"user:1\"; detail=\"tier=source reason=loaded "), "{status}");
    assert_eq!(first.field("content-type"), Some("application/json"));
    assert_eq!(first.field("accept-ranges"), Some("bytes"));
    assert_eq!(first.field("x-content-type-options"), Some("nosniff"));
    let again = get(&larder, "/cache/user/user:1");
    assert!(again.field("cache-status").unwrap().starts_with("larder; hit; "), "{again:?}");
    assert_eq!(again.tag(), first.tag());
    for answer in [&first, &again] {
        // What is left of the window, counted from the answer on, in whole seconds.
        let left = said(answer, "ttl");
        let millis = 60_000 - said(answer, "current_ms");
        assert!(left * 1000 < millis && millis <= (left + 1) * 1000, "{answer:?}");
        let expected = format!("max-age={left}, must-revalidate");
        assert_eq!(answer.field("cache-control"), Some(expected.as_str()));
        assert_eq!(answer.field("age"), Some("0"));
    }
    let head = ask(&larder, "HEAD /cache/user/user:1", "", "");
    assert_eq!((head.status, head.body.as_str(), head.tag()), (200, "", first.tag()));
    assert_eq!(head.field("content-length"), Some(ADA.len().to_string().as_str()));

    // With less than a second left it is asked for each time, and has a tag for that.
    let note = get(&larder, "/cache/note/note:a/b%20c");
    assert_eq!((note.status, note.body.as_str()), (200, "slashes and spaces"));
    assert_eq!(note.field("cache-control"), Some("no-cache"));
    assert_eq!(note.field("content-type"), Some("application/octet-stream"));
    let unchanged = format!("If-None-Match: {}", note.tag());
    assert_eq!(ask(&larder, "GET /cache/note/note:a/b%20c", &unchanged, "").status, 304);
    // Another process makes the same tag of the same content.
    let other = shop.serve("");
    assert_eq!(get(&other, "/cache/user/user:1").tag(), first.tag());
}

#[test]
fn conditions_and_ranges_are_judged_as_http_says() {
    let shop = Shop::new();
    let larder = shop.serve("");
    let tag = get(&larder, "/cache/user/user:1").tag().to_owned();
    let ask = |fields: &str| ask(&larder, "GET /cache/user/user:1", fields, "");
    for fields in [
        format!("If-None-Match: {tag}"),
        format!("If-None-Match: \"x\", W/{tag}"),
        "If-None-Match: *".to_owned(),
        format!("If-None-Match: \"x\"\nIf-None-Match: {tag}"),
    ] {
        let answer = ask(&fields);
        assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{fields}");
        assert_eq!((answer.tag(), answer.field("age")), (tag.as_str(), Some("0")), "{fields}");
        assert!(answer.field("cache-control").unwrap().starts_with("max-age="));
        assert!(answer.field("cache-status").unwrap().starts_with("larder; hit"));
        assert_eq!(answer.field("content-type"), None);
    }
    // Nobody knows when a row was modified.
    let late = "Sun, 06 Nov 2044 08:49:37 GMT";
    for fields in [
        "If-None-Match: \"x\"".to_owned(),
        format!("If-Match: {tag}"),
        "If-Match: *".to_owned(),
        format!("If-Modified-Since: {late}"),
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT".to_owned(),
        "Range: lines=1-2".to_owned(),
        "Range: bytes=0-1\nIf-Range: \"x\"".to_owned(),
        format!("Range: bytes=0-1\nIf-Range: {late}"),
    ] {
        let answer = ask(&fields);
        assert_eq!((answer.status, answer.body.as_str()), (200, ADA), "{fields}");
    }
    for fields in ["If-Match: \"x\"".to_owned(), format!("If-Match: W/{tag}")] {
        ask(&fields).is_problem(412, "another one now");
    }
    for (fields, sent, part) in [
        ("Range: bytes=0-4".to_owned(), "{\"id\"", "0-4"),
        (format!("Range: bytes=-4\nIf-Range: {tag}"), "s\":0}", "0-0"),
    ] {
        let answer = ask(&fields);
        assert_eq!(answer.status, 206, "{fields}");
        let length = ADA.len();
        let (first, last) = match part {
            "0-4" => (0, 4),
            _ => (length - 4, length - 1),
        };
        let range = format!("bytes {first}-{last}/{length}");
        assert_eq!(answer.field("content-range"), Some(range.as_str()));
        assert_eq!(answer.body, &ADA[first..=last], "{sent}");
        assert_eq!(answer.tag(), tag);
    }
    let several = ask(&format!("Range: bytes=0-3, -4, 999-\nIf-Match: {tag}"));
    assert_eq!(several.status, 206, "{several:?}");
    let kind = several.field("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let length = ADA.len();
    let part = |first: usize, last: usize| {
        format!(
            "--{boundary}\r\nContent-Type: application/json\r\nContent-Range: bytes \
             {first}-{last}/{length}\r\n\r\n{}\r\n",
            &ADA[first..=last]
        )
    };
    let sent = format!("{}{}--{boundary}--\r\n", part(0, 3), part(length - 4, length - 1));
    assert_eq!(several.body, sent);
    assert_eq!(several.field("content-length"), Some(sent.len().to_string().as_str()));
    assert_eq!(several.field("content-range"), None);
    assert_eq!((several.tag(), several.field("age")), (tag.as_str(), Some("0")));
    assert!(several.field("cache-status").unwrap().starts_with("larder; hit"));
    let other = ask("Range: bytes=0-3, -4");
    assert_ne!(other.field("content-type"), several.field("content-type"), "one boundary twice");
    let beyond = ask("Range: bytes=999-");
    beyond.is_problem(416, &format!("{} bytes", ADA.len()));
    assert_eq!(beyond.field("content-range"), Some(format!("bytes */{}", ADA.len()).as_str()));
}

#[test]
fn what_is_not_there_and_what_cannot_be_are_problems() {
    let shop = Shop::new();
    let larder = shop.serve("");
    let absent = get(&larder, "/cache/user/user:99");
    absent.is_problem(404, "no such row");
    // Others may remember that, too, and there is nothing to compare.
    assert!(absent.field("cache-control").unwrap().starts_with("max-age="), "{absent:?}");
    assert_eq!(absent.field("etag"), None);
    get(&larder, "/cache/usr/user:1").is_problem(404, "did you mean user?");
    for path in ["/", "/cache", "/cache/", "/cache/user", "/cache/user/", "/nothing"] {
        get(&larder, path).is_problem(404, "/openapi.json");
    }
    for (path, part) in [
        ("/cache/user/user:042", "user:"),
        ("/cache/user/user:x", "user:"),
        ("/cache/user/note:a", "user:"),
        ("/cache/user/../user:1", "user:"),
        ("/cache/user/user:1/", "user:"),
        ("/cache/user/user:1?x=1", "no resource here takes a query"),
        ("/cache/user/user:1?", "no resource here takes a query"),
        ("/cache/user/user:%zz", "percent-encoded"),
        ("/cache/user/user:%ff", "percent-encoded"),
    ] {
        let refused = get(&larder, path);
        refused.is_problem(400, part);
        assert_eq!(refused.field("cache-control"), Some("no-store"));
    }
    assert_eq!(get(&larder, "/cache/user/user:042").json()["code"], "BADKEY");
    // Decoded once, not twice.
    assert_eq!(get(&larder, "/cache/user/user%3A1").body, ADA);
    assert_eq!(get(&larder, "/cache/note/note:%2541").body, "a percent sign");
    for (what, allowed) in [
        ("POST /cache/user/user:1", "GET,HEAD,PUT,PATCH,DELETE"),
        ("OPTIONS /cache/user/user:1", "GET,HEAD,PUT,PATCH,DELETE"),
        ("PURGE /cache/user/user:1", "GET,HEAD,PUT,PATCH,DELETE"),
        ("GET /invalidate", "POST"),
        ("DELETE /openapi.json", "GET,HEAD"),
    ] {
        let refused = ask(&larder, what, "", "");
        refused.is_problem(405, "Allow");
        assert_eq!(refused.field("allow"), Some(allowed), "{what}");
    }
    // A database that can't be reached: the kind has one status, whoever is told.
    let lost = shop.config("", "").replace(&shop.url(), "postgres://localhost:1/shop");
    let lost = serve_http(&lost);
    let down = get(&lost, "/cache/user/user:1");
    down.is_problem(503, "");
    assert_eq!(down.json()["code"], "SOURCEDOWN");
    assert_eq!(down.json()["key"], "user:1");
}

#[test]
fn what_is_written_is_read_and_conditions_hold_when_it_is() {
    let shop = Shop::new();
    let larder = shop.serve("");
    let path = "/cache/user/user:3";
    let put = |fields: &str, body: &str| {
        ask(&larder, &format!("PUT {path}"), &format!("{JSON}\n{fields}"), body)
    };
    let lin = r#"{"id":3,"name":"Lin","email":null,"visits":0}"#;
    assert_eq!(get(&larder, path).status, 404);
    put("If-Match: *", lin).is_problem(412, "nothing was written");
    assert_eq!(shop.ask("SELECT name FROM users WHERE id = 3"), None);
    let made = put("If-None-Match: *", lin);
    assert_eq!((made.status, made.body.as_str()), (201, ""), "{made:?}");
    let read = get(&larder, path);
    assert_eq!((read.body.as_str(), read.tag()), (lin, made.tag()));
    put("If-None-Match: *", lin).is_problem(412, "nothing was written");
    let renamed = lin.replace("Lin", "Lina");
    assert_eq!(put(&format!("If-Match: {}", made.tag()), &renamed).status, 204);
    put(&format!("If-Match: {}", made.tag()), lin).is_problem(412, "read it again");
    assert_eq!(get(&larder, path).body, renamed);
    assert_eq!(shop.ask("SELECT name FROM users WHERE id = 3").as_deref(), Some("Lina"));
    // Without a condition whatever is held is replaced; what the database made of it has its tag
    // only where that is what was put.
    let spaced = put("", &lin.replace(',', ", "));
    assert_eq!((spaced.status, spaced.field("etag")), (204, None));
    assert_eq!(get(&larder, path).body, lin);

    let patch = |fields: &str, body: &str| {
        ask(&larder, &format!("PATCH {path}"), &format!("{PATCH}\n{fields}"), body)
    };
    let patched = patch("", r#"{"email":"lin@example.org","visits":7}"#);
    assert_eq!(patched.status, 204, "{patched:?}");
    let read = get(&larder, path);
    assert_eq!(read.json(), json!({"id":3,"name":"Lin","email":"lin@example.org","visits":7}));
    assert_eq!(read.tag(), patched.tag());
    patch("If-Match: \"x\"", r#"{"visits":8}"#).is_problem(412, "nothing was written");
    assert_eq!(patch("", r#"{"email":null}"#).status, 204);
    assert_eq!(shop.ask("SELECT email FROM users WHERE id = 3"), None);
    patch("", "[1]").is_problem(400, "PUT replaces all of it");
    patch("", "{").is_problem(400, "isn't JSON");
    ask(&larder, "PATCH /cache/user/user:99", PATCH, "{}").is_problem(404, "PUT it");

    let delete = |fields: &str| ask(&larder, &format!("DELETE {path}"), fields, "");
    delete("If-Match: \"x\"").is_problem(412, "nothing was written");
    let tag = get(&larder, path).tag().to_owned();
    assert_eq!(delete(&format!("If-Match: {tag}")).status, 204);
    assert_eq!(get(&larder, path).status, 404);
    assert_eq!(delete("").status, 204);
    // The other listener sees the same rows.
    assert_eq!(get_key(&mut connect(&larder), "user:1"), Reply::bulk(ADA));
}

#[test]
fn what_a_journal_has_is_written_and_read() {
    let shop = Shop::new();
    let folder = tempfile::tempdir().unwrap();
    let journal = format!("[journal]\npath = \"{}/journal\"\n", folder.path().display());
    let config = journal + &shop.config("", "").replace("\"through\"", "\"behind\"");
    let file = folder.path().join("larder.toml");
    std::fs::write(&file, &config).unwrap();
    let checked = run(Command::new(binary()).arg("check").arg(&file), b"");
    let said = String::from_utf8(checked.stdout).unwrap();
    shop.sql(said.split_once("delete in them:\n\n").unwrap().1);
    let larder = serve_http(&config);
    until("it is ready", || admin(&larder, "/ready").0 == 200);
    for turn in 1..=5 {
        let ada = ADA.replace("\"visits\":0", &format!("\"visits\":{turn}"));
        assert_eq!(ask(&larder, "PUT /cache/user/user:1", JSON, &ada).status, 204);
        // Applied or not: it is what is read, of the same kind and with the same tag.
        let read = get(&larder, "/cache/user/user:1");
        assert_eq!(
            (read.body.as_str(), read.field("content-type")),
            (ada.as_str(), Some("application/json"))
        );
        let fields = format!("{PATCH}\nIf-Match: {}", read.tag());
        let patched = ask(&larder, "PATCH /cache/user/user:1", &fields, "{\"name\":\"Augusta\"}");
        assert_eq!(patched.status, 204, "{patched:?}");
        let stale = ask(&larder, "PATCH /cache/user/user:1", &fields, "{\"name\":\"Nobody\"}");
        stale.is_problem(412, "nothing was written");
        assert_eq!(get(&larder, "/cache/user/user:1").json()["name"], "Augusta");
    }
    let row = "SELECT name || ' ' || visits FROM users WHERE id = 1";
    until("it is applied", || shop.ask(row).as_deref() == Some("Augusta 5"));
}

#[test]
fn between_a_condition_and_its_write_nobody_comes() {
    const CLIENTS: u64 = 4;
    const VISITS: u64 = 10;
    let shop = Shop::new();
    let larder = shop.serve("");
    let visit = || {
        for _ in 0..VISITS {
            loop {
                let seen = get(&larder, "/cache/user/user:1");
                let visits = seen.json()["visits"].as_u64().unwrap() + 1;
                let fields = format!("{PATCH}\nIf-Match: {}", seen.tag());
                let patch = format!("{{\"visits\":{visits}}}");
                match ask(&larder, "PATCH /cache/user/user:1", &fields, &patch).status {
                    204 => break,
                    // Somebody else was first; eight times in a row, or while the database was busy.
                    412 | 409 | 503 => {}
                    status => panic!("{status}"),
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(visit);
        }
    });
    let visits = shop.ask("SELECT CAST(visits AS TEXT) FROM users WHERE id = 1");
    assert_eq!(visits, Some((CLIENTS * VISITS).to_string()));
}

#[test]
fn what_cannot_be_written_is_refused_before_it_is_read() {
    let shop = Shop::new();
    let larder = shop.serve("");
    let path = "PUT /cache/user/user:1";
    for (fields, body, status, part) in [
        ("", ADA, 415, "Content-Type: application/json"),
        ("Content-Type: text/plain", ADA, 415, "Content-Type: application/json"),
        ("Content-Type: application/json\nContent-Encoding: gzip", ADA, 415, "Content-Encoding"),
        ("Content-Type: application/json\nContent-Range: bytes 0-1/2", ADA, 400, "Content-Range"),
        (JSON, "{\"id\":1,", 400, "isn't JSON"),
        (JSON, "{\"id\":1}", 403, "no field name"),
        (JSON, "{\"id\":2,\"name\":\"x\",\"email\":null,\"visits\":0}", 403, "the key says 1"),
    ] {
        let refused = ask(&larder, path, fields, body);
        refused.is_problem(status, part);
        if status == 415 {
            assert_eq!(refused.field("accept"), Some("application/json"));
        }
    }
    let refused = ask(&larder, "PATCH /cache/user/user:1", JSON, "{}");
    refused.is_problem(415, "application/merge-patch+json");
    assert_eq!(refused.field("accept-patch"), Some("application/merge-patch+json"));
    // So much isn't waited for.
    let long =
        format!("{path} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 99999999\r\n\r\n");
    exchange(&larder, long.as_bytes()).is_problem(413, "at most 16777216 bytes");
    let mut chunks = format!(
        "PATCH /cache/user/user:1 HTTP/1.1\r\nHost: localhost\r\n{PATCH}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for _ in 0..17 {
        chunks += &format!("10000\r\n{}\r\n", " ".repeat(65536));
    }
    exchange(&larder, chunks.as_bytes()).is_problem(413, "at most 1048576 bytes");
    for what in ["PUT /cache/note/note:x", "DELETE /cache/note/note:x"] {
        let refused = ask(&larder, what, "Content-Type: text/plain", "x");
        refused.is_problem(403, "declared for the cache note");
        assert_eq!(refused.json()["code"], "REFUSED");
    }
    assert_eq!(get(&larder, "/cache/user/user:1").body, ADA);
    // A head of two hundred fields is no head.
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert_eq!(exchange(&larder, head.as_bytes()).status, 431);
}

#[test]
fn only_who_may_is_answered() {
    let shop = Shop::new();
    let larder = shop.serve("token = \"open-sesame\"\nhosts = [\"Cache.internal\"]");
    let put = |fields: &str| ask(&larder, "PUT /cache/user/user:1", fields, "{");
    for fields in ["", "Authorization: Bearer open-sesam", "Authorization: Basic open-sesame"] {
        let refused = put(fields);
        refused.is_problem(401, "token of [listen]");
        assert_eq!(refused.field("www-authenticate"), Some("Bearer"));
        ask(&larder, "POST /invalidate", fields, "{").is_problem(401, "token");
    }
    put(&format!("authorization: bearer open-sesame\n{JSON}")).is_problem(400, "isn't JSON");
    let read = get(&larder, "/cache/user/user:1");
    assert!(read.status == 200 && !read.field("cache-control").unwrap().contains("private"));

    let raw =
        |head: &str| exchange(&larder, format!("{head}\r\nConnection: close\r\n\r\n").as_bytes());
    let path = "/cache/user/user:1";
    for host in [
        "localhost",
        "LOCALHOST:80",
        "127.0.0.1:7380",
        "127.9.9.9",
        "[::1]:7380",
        "[::ffff:127.0.0.1]",
        "cache.internal:1",
        "CACHE.INTERNAL",
    ] {
        let answer = raw(&format!("GET {path} HTTP/1.1\r\nHost: {host}"));
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "10.0.0.7",
        "cache.internal.evil",
        "",
        "::1",
        "evil.example:127.0.0.1",
        "user@localhost",
    ] {
        raw(&format!("GET {path} HTTP/1.1\r\nHost: {host}")).is_problem(421, "`hosts` in [listen]");
    }
    for hosts in ["X: y", "Host: localhost\r\nHost: localhost"] {
        raw(&format!("GET {path} HTTP/1.1\r\n{hosts}")).is_problem(400, "one Host");
    }
    // The target counts, too.
    let foreign = format!("GET http://evil.example{path} HTTP/1.1\r\nHost: localhost");
    raw(&foreign).is_problem(421, "isn't known here");
    let own = format!("GET http://localhost{path} HTTP/1.1\r\nHost: localhost");
    assert_eq!(raw(&own).status, 200);

    let closed = shop.serve("token = \"open-sesame\"\nhttp_reads = \"token\"");
    for path in ["/cache/user/user:1", "/openapi.json", "/nothing"] {
        get(&closed, path).is_problem(401, "token");
    }
    let read = ask(&closed, "GET /cache/user/user:1", "Authorization: Bearer open-sesame", "");
    // What the token opens no proxy shares.
    assert!(read.field("cache-control").unwrap().starts_with("private, max-age="), "{read:?}");
    // A page can post a form to anybody, but no JSON that is called so.
    let form = "Content-Type: text/plain\nAuthorization: Bearer open-sesame";
    ask(&larder, "POST /invalidate", form, "{\"caches\":[\"user\"]}")
        .is_problem(415, "application/json");
}
