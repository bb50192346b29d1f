//! Which fields are kept, and in which form.

use http::{HeaderValue, Response};
use larder_http::{Purge, Rules};

use crate::kit::{App, Origin, OriginBody, response};

/// RFC 9111 §3.1: the fields of one connection are stripped, and those that Connection names
#[tokio::test]
async fn fields_of_a_connection_are_not_stored() {
    let head = "200\ncache-control: max-age=60\nconnection: a, close\na: 1\nkeep-alive: x\n\
                transfer-encoding: chunked\nproxy-authenticate: x\nb: 2\n\nx";
    let app = App::new(&Origin::of(&[head]));
    for _ in 0..2 {
        let reply = app.get("/").await;
        for name in ["connection", "a", "keep-alive", "transfer-encoding", "proxy-authenticate"] {
            assert_eq!(reply.field(name), "", "{name}");
        }
        assert_eq!(reply.field("b"), "2");
    }
}

/// RFC 9110 §5.3: repeated lines stay as they are, and bytes needn't be text
#[tokio::test]
async fn lines_and_bytes_survive() {
    let origin = Origin::new(|_| {
        let mut response: Response<OriginBody> = response("200\ncache-control: max-age=60\n\nx");
        let odd = HeaderValue::from_bytes(b"\"\xe4\xff\"").unwrap();
        response.headers_mut().insert("etag", odd.clone());
        for line in ["1", "2", "1"] {
            response.headers_mut().append("x-line", line.parse().unwrap());
        }
        response.headers_mut().append("x-odd", odd);
        response
    });
    let app = App::new(&origin);
    app.get("/").await;
    let hit = app.get("/").await;
    assert!(hit.is_hit());
    assert_eq!(hit.lines("x-line"), [b"1", b"2", b"1"]);
    assert_eq!(hit.lines("x-odd"), [b"\"\xe4\xff\""]);
    assert_eq!(hit.lines("etag"), [b"\"\xe4\xff\""]);
}

/// RFC 9111 §5.2.2.4: fields that no-cache names go to the one who asked, and aren't stored
#[tokio::test]
async fn named_fields_are_its_clients_own() {
    let head = "200\ncache-control: max-age=60, no-cache=\"set-cookie\"\nset-cookie: a=1\n\nx";
    let app = App::new(&Origin::of(&[head]));
    assert_eq!(app.get("/").await.field("set-cookie"), "a=1");
    let hit = app.get("/").await;
    assert_eq!((hit.field("set-cookie"), hit.is_hit()), ("", true));
}

/// RFC 9213 §2.2: a targeted field governs a shared cache, and no private one
#[tokio::test]
async fn a_targeted_field_governs() {
    let head = "200\ncache-control: no-store\ncdn-cache-control: max-age=60\n\nx";
    let app = App::new(&Origin::of(&[head]));
    app.get("/").await;
    assert!(app.get("/").await.is_hit());
    let app = App::of(&Origin::of(&[head]), Rules::private());
    app.get("/").await;
    assert!(!app.get("/").await.is_hit());
}

/// RFC 9211 §2: the member stands behind what caches nearer to the origin said
#[tokio::test]
async fn cache_status_is_appended() {
    let head = "200\ncache-control: max-age=60\ncache-status: inner; hit\n\nx";
    let app = App::new(&Origin::of(&[head]));
    app.get("/").await;
    let hit = app.get("/").await;
    assert_eq!(hit.lines("cache-status"), [&b"inner; hit"[..], b"test; hit; ttl=60"]);
    app.cache.purge(&Purge::All, larder_engine::Invalidation::MarkStale).await.unwrap();
    let lines = app.get("/").await;
    assert_eq!(lines.lines("cache-status")[1], b"test; fwd=stale; stored");
}
