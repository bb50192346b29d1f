//! What the origin is told of a request, and what no client can tell it.

use larder_test::origin::{Request, Response};

use crate::support::{Bench, fresh};

/// What the origin got of a request for `/` with these lines.
fn seen(bench: &Bench, lines: &str) -> Request {
    bench.put("/", Response::new("text/plain", "x"));
    assert_eq!(bench.ask("GET /", lines).status, 200);
    bench.origin.requests("/").pop().unwrap()
}

#[test]
fn fields_of_one_connection_end_here_in_both_directions() {
    let bench = Bench::new("");
    let lines = "Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\n\
                 Proxy-Authorization: x\r\nUpgrade: websocket\r\nX-Other: 2\r\n";
    let request = seen(&bench, lines);
    for name in ["x-mine", "keep-alive", "te", "proxy-authorization", "upgrade"] {
        assert_eq!(request.header(name), None, "{name}");
    }
    assert_eq!(request.header("x-other"), Some("2"));
    let page = fresh("x").header("Connection", "X-Theirs").header("X-Theirs", "1");
    bench.put("/back", page.header("Keep-Alive", "timeout=5").header("X-Other", "2"));
    for _ in 0..2 {
        let answer = bench.get("/back");
        assert_eq!(answer.header("x-theirs"), None);
        assert_eq!(answer.header("keep-alive"), None);
        assert_eq!(answer.header("x-other").as_deref(), Some("2"));
    }
}

#[test]
fn what_no_response_is_stored_under_does_not_reach_the_origin() {
    let bench = Bench::new("");
    let names = [
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Host",
        "X-HTTP-Method-Override",
        "X-Real-IP",
        "Forwarded",
        "Proxy",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Scheme",
        "X_Forwarded_Host",
        "X_Original_URL",
        "Content_Length",
        "Accept_Language",
    ];
    let lines: String = names.iter().map(|name| format!("{name}: evil.example\r\n")).collect();
    let told = "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n\
                X-Forwarded-For: 6.6.6.6\r\n";
    let request = seen(&bench, &format!("{lines}{told}"));
    for name in names {
        assert_eq!(request.header(&name.to_lowercase()), None, "{name}");
    }
    assert_eq!(request.header("host"), Some("shop.example"));
    assert_eq!(request.header("x-forwarded-host"), Some("shop.example"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("via"), Some("1.1 larder-shop"));
}

#[test]
fn a_proxy_that_is_trusted_says_who_asks_and_for_whom() {
    let bench = Bench::new("trusted = [\"127.0.0.0/8\"]");
    let lines = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
                 X-Forwarded-Host: Front.example:443\r\nX-Forwarded-Port: 1\r\n";
    let request = seen(&bench, lines);
    assert_eq!(request.header("x-forwarded-for"), Some("1.2.3.4, 127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert_eq!(request.header("host"), Some("front.example"));
    assert_eq!(request.header("x-forwarded-port"), None);
}

#[test]
fn the_origin_may_be_told_otherwise() {
    let bench = Bench::new("forwarded = \"forwarded\"\norigin_host = \"inner.example\"");
    let request = seen(&bench, "");
    assert_eq!(request.header("host"), Some("inner.example"));
    let said = "for=127.0.0.1;host=\"shop.example\";proto=http";
    assert_eq!(request.header("forwarded"), Some(said));
    let request = seen(&Bench::new("forwarded = \"none\""), "");
    assert_eq!((request.header("forwarded"), request.header("x-forwarded-for")), (None, None));
}

#[test]
fn there_is_one_host_and_it_is_served() {
    let bench = Bench::new("hosts = [\"shop.example\", \"*.shop.example\"]");
    bench.put("/", fresh("x"));
    let status = |head: &str| bench.raw(&format!("{head}\r\nConnection: close\r\n\r\n")).status;
    assert_eq!(status("GET / HTTP/1.1\r\nHost: SHOP.example:80"), 200);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a.shop.example"), 200);
    assert_eq!(status("GET http://shop.example/ HTTP/1.1\r\nHost: evil.example"), 200);
    for head in [
        "GET / HTTP/1.1\r\nHost: evil.example",
        "GET / HTTP/1.1\r\nHost: evilshop.example",
        "GET http://evil.example/ HTTP/1.1\r\nHost: shop.example",
    ] {
        assert_eq!(status(head), 421, "{head}");
    }
    for head in [
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: shop.example\r\nHost: evil.example",
        "GET / HTTP/1.1\r\nHost: user@shop.example",
        "GET / HTTP/1.1\r\nHost: shop.example/evil",
        "GET / HTTP/1.1\r\nHost:",
    ] {
        assert_eq!(status(head), 400, "{head}");
    }
    // One response for all that name it.
    assert_eq!(bench.origin.count("/"), 2);
}

#[test]
fn encodings_are_asked_for_in_one_way() {
    let bench = Bench::new("");
    for (sent, told) in [
        ("gzip, deflate, br", Some("br, gzip")),
        ("br;q=1.0, GZIP;q=0.5", Some("br, gzip")),
        ("gzip;q=0, br", Some("br")),
        ("deflate", None),
        ("zstd, gzip", Some("zstd, gzip")),
    ] {
        let request = seen(&bench, &format!("Accept-Encoding: {sent}\r\n"));
        assert_eq!(request.header("accept-encoding"), told, "{sent}");
    }
    let bench = Bench::new("profile = \"conformance\"");
    let request = seen(&bench, "Accept-Encoding: deflate\r\n");
    assert_eq!(request.header("accept-encoding"), Some("deflate"));
}

#[test]
fn a_suite_has_names_of_every_kind_passed_on() {
    let bench = Bench::new("profile = \"conformance\"");
    assert_eq!(seen(&bench, "X_Odd: 1\r\n").header("x_odd"), Some("1"));
}

#[test]
fn a_request_that_goes_in_a_circle_ends() {
    let bench = Bench::new("");
    let via = "Via: 1.1 larder-shop, 1.1 larder-shop\r\n";
    assert_eq!(bench.ask("GET /", &format!("{via}{via}{via}")).status, 508);
    let request = seen(&bench, via);
    assert!(request.header("via").unwrap().starts_with("1.1 larder-shop, 1.1 larder-shop"));
}

#[test]
fn a_get_with_a_body_is_not_for_the_cache() {
    let bench = Bench::new("");
    bench.put("/", fresh("poison"));
    bench.ask("GET /", "Content-Length: 4\r\n\r\nevil");
    bench.put("/", fresh("right"));
    assert_eq!(bench.get("/").body, "right");
    bench.ask("GET /", "Content-Length: 4\r\n\r\nevil");
    assert_eq!(bench.origin.count("/"), 3);
}
