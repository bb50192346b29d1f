//! The edges in `examples/`: `check` has nothing against them, and they answer as their words say.

use std::fs;
use std::path::Path;
use std::process::Command;

use larder_test::Larder;
use larder_test::origin::{Origin, Response};

use crate::support::{binary, http, http_post, run};

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
