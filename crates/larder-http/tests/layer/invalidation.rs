//! What requests that change something invalidate.

use http::Method;

use crate::kit::{App, Origin, request, response};

fn origin(changed: &'static str) -> Origin {
    Origin::new(move |got| match got.method {
        Method::GET => {
            response("200\ncache-control: max-age=60\netag: \"1\"\ncache-groups: \"g\"\n\nx")
        }
        _ => response(changed),
    })
}

async fn is_held(app: &App, path: &str) -> bool {
    app.get_with(path, "cache-control: only-if-cached").await.status == 200
}

async fn changes(method: &str, changed: &'static str) -> [bool; 4] {
    let app = App::new(&origin(changed));
    let paths = ["/a", "/a/b", "/c", "http://y.example/a"];
    for path in paths {
        app.get(path).await;
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    app.ask(request(method, "/a", "")).await;
    let mut held = [false; 4];
    for (path, held) in paths.iter().zip(&mut held) {
        *held = is_held(&app, path).await;
    }
    held
}

/// RFC 9111 §4.4: an unsafe or unknown method that succeeds invalidates its URI
#[tokio::test]
async fn what_is_changed_is_validated() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        assert_eq!(changes(method, "204").await, [false, true, true, true], "{method}");
        assert_eq!(changes(method, "303").await, [false, true, true, true], "{method}");
        assert_eq!(changes(method, "403").await, [true; 4], "{method}");
    }
    for method in ["OPTIONS", "TRACE"] {
        assert_eq!(changes(method, "200").await, [true; 4], "{method}");
    }
}

/// RFC 9111 §4.4: Location and Content-Location too, on the same origin only
#[tokio::test]
async fn what_is_named_is_validated() {
    let named = "201\nlocation: /c\ncontent-location: a/b";
    assert_eq!(changes("POST", named).await, [false, false, false, true]);
    let named = "201\nlocation: http://y.example/a";
    assert_eq!(changes("POST", named).await, [false, true, true, true]);
}

/// RFC 9875 §3: Cache-Group-Invalidation strikes the groups of its own origin
#[tokio::test]
async fn groups_are_validated() {
    let groups = "204\ncache-group-invalidation: \"g\"";
    assert_eq!(changes("POST", groups).await, [false, false, false, true]);
    assert_eq!(changes("OPTIONS", groups).await, [true; 4]);
    assert!(changes("POST", "204\ncache-group-invalidation: g").await[2]);
}

/// RFC 9111 §4.4: what is struck is validated, not forgotten
#[tokio::test]
async fn what_is_struck_can_be_validated() {
    let origin = Origin::new(|got| {
        let validates = got.headers.contains_key("if-none-match");
        response(match (&got.method, validates) {
            (&Method::GET, true) => "304\netag: \"1\"",
            (&Method::GET, false) => "200\ncache-control: max-age=60\netag: \"1\"\n\nx",
            _ => "200",
        })
    });
    let app = App::new(&origin);
    app.get("/").await;
    app.ask(request(Method::POST, "/", "")).await;
    let reply = app.get("/").await;
    assert_eq!(reply.cache(), "fwd=stale; fwd-status=304; stored; ttl=60");
    assert!(app.get("/").await.is_hit());
}

/// RFC 9111 §4.4: a HEAD that names no validator brings back nothing that was struck
#[tokio::test]
async fn a_head_without_a_validator_brings_nothing_back() {
    for (validator, length) in [("", ""), ("", "content-length: 3\n"), ("etag: \"1\"\n", "")] {
        let mut changed = false;
        let origin = Origin::new(move |got| {
            changed |= got.method == Method::POST;
            let head = format!("200\ncache-control: max-age=60\n{validator}");
            let body = if changed { "new" } else { "old" };
            match got.method {
                Method::GET => response(&format!("{head}\n{body}")),
                Method::HEAD => response(&format!("{head}{length}")),
                _ => response("200"),
            }
        });
        let app = App::new(&origin);
        app.get("/").await;
        app.ask(request(Method::POST, "/", "")).await;
        app.ask(request(Method::HEAD, "/", "")).await;
        let reply = app.get("/").await;
        // One with its validator does, as a 304 would.
        let expected = if validator.is_empty() { "new" } else { "old" };
        assert_eq!(reply.text(), expected, "{validator}{length}: {}", reply.cache());
    }
}
