//! The edges in `examples/`: `check` has nothing against them, and they answer as their words say.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use larder_test::Larder;
use larder_test::origin::{Origin, Response};

use crate::support::{binary, http, http_post, run, success};

/// An example in front of this origin, with other addresses, after `check` was asked about it.
fn serve(name: &str, listens: &str, forwards: &str, origin: &Origin) -> Larder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let file = folder.join(name);
    let checked = run(Command::new(binary()).arg("check").arg(&file), b"");
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains(&format!("{listens} (this machine only)")), "{said}");
    let config = fs::read_to_string(file).unwrap();
    for part in [listens, forwards] {
        assert!(config.contains(part), "{name} has no {part}");
    }
    let config = config
        .replace(listens, "{edge}")
        .replace(forwards, &origin.address().to_string())
        .replace("127.0.0.1:7381", "{admin}");
    Larder::start(binary(), &config)
}

#[test]
fn the_example_of_a_shop_caches_and_purges() {
    let origin = Origin::start();
    let larder = serve("edge.toml", "127.0.0.1:8080", "127.0.0.1:3000", &origin);
    let page = Response::new("text/html", "seven").header("Cache-Tag", "product:7");
    origin.put("/products/7", page);
    origin.put("/api/7", Response::new("application/json", "7"));
    for path in ["/products/7", "/products/7?utm_source=x", "/api/7", "/api/7"] {
        assert_eq!(http(&larder.edge_url(), path, None).0, 200, "{path}");
    }
    assert_eq!((origin.count("/products/7"), origin.count("/api/7")), (1, 2));
    let purged = http_post(&larder.admin_url(), "/purge", "{\"tag\": \"product:7\"}");
    assert_eq!(purged, (200, "purged\n".to_owned()));
    assert_eq!(http(&larder.edge_url(), "/products/7", None).1, "seven");
    assert_eq!(origin.count("/products/7"), 2);
    assert!(larder.metric("larder_edge_purges_total", "edge=\"shop\"") >= 1.0);
    assert!(larder.stop().success());
}

#[test]
fn the_example_for_suites_stores_cookies_and_obeys_clients() {
    let origin = Origin::start();
    let larder = serve("conformance.toml", "127.0.0.1:18002", "127.0.0.1:18000", &origin);
    let page = Response::new("text/plain", "x").header("Set-Cookie", "a=b");
    origin.put("/cookie", page.header("CDN-Cache-Control", "max-age=60"));
    for _ in 0..2 {
        assert_eq!(http(&larder.edge_url(), "/cookie", None), (200, "x".to_owned()));
    }
    assert_eq!(origin.count("/cookie"), 1);
    assert!(larder.stop().success());
}

#[test]
fn a_line_of_the_log_says_who_asked_for_what_and_tells_no_secret() {
    let origin = Origin::start();
    let larder = Larder::start(
        binary(),
        &format!(
            "[edge.shop]\nlisten = \"{{edge}}\"\norigin = \"{}\"\naccess_log = true\n\
             trusted = [\"127.0.0.1\"]\n",
            origin.url()
        ),
    );
    let page = Response::new("text/plain", "four").header("Cache-Control", "max-age=60");
    origin.put("/a?token=canary", page);
    for _ in 0..2 {
        let args = ["-sS", "-H", "X-Forwarded-For: 198.51.100.7", "-H", "Cookie: sid=canary"];
        let url = format!("{}/a?token=canary", larder.edge_url());
        assert_eq!(success(Command::new("curl").args(args).arg(url), b""), "four");
    }
    assert!(larder.stop().success());
    let log = larder.log();
    let lines = log.lines().filter(|line| line.contains("larder_server::access"));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 2, "{log}");
    for (line, cache) in lines.iter().zip(["fwd=uri-miss; stored", "hit; ttl="]) {
        let parts = [
            "edge=shop",
            "client=198.51.100.7",
            "method=GET",
            "host=\"127.0.0.1",
            "path=\"/a\"",
            "status=200",
            "bytes=4",
            "milliseconds=",
            cache,
        ];
        for part in parts {
            assert!(line.contains(part), "no {part} in {line}");
        }
    }
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn an_origin_that_is_away_is_said_to_be_without_a_line_for_each_request() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!("[edge.shop]\nlisten = \"{{edge}}\"\norigin = \"http://{nobody}\"\n");
    let larder = Larder::start(binary(), &config);
    for at in 0..20 {
        assert_eq!(http(&larder.edge_url(), &format!("/{at}"), None).0, 502);
    }
    assert!(larder.stop().success());
    let log = larder.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("can't be reached")).collect();
    assert!((1..5).contains(&said.len()), "{log}");
    for part in ["WARN", "edge=\"shop\"", &format!("http://{nobody}"), "refused"] {
        assert!(said[0].contains(part), "no {part} in {}", said[0]);
    }
}
