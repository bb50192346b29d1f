//! The responses of an axum application, over real HTTP.

use larder::http::ResponseCache;

use crate::files::http_cache::app;
use crate::http::{Response, Site};

fn status(response: &Response) -> &str {
    let status = response.header("cache-status").unwrap();
    status.split_once("; ttl").map_or(status, |(status, _)| status)
}

#[tokio::test]
async fn it_serves_what_it_stored_until_it_changes() {
    let cache = ResponseCache::builder("shop").build().unwrap();
    let site = Site::serve(app(&cache)).await;
    let ask = async |path: &'static str| {
        let response = site.get(path).await;
        (response.body.clone(), status(&response).to_owned())
    };
    let is = |body: &str, status: &str| (body.to_owned(), status.to_owned());
    for path in ["/price", "/list"] {
        assert_eq!(ask(path).await, is("100", "shop; fwd=uri-miss; stored"));
        assert_eq!(ask(path).await, is("100", "shop; hit"));
    }
    assert_eq!(status(&site.send("POST", "/price", "").await), "shop; fwd=method");
    // The list was another URI: it is its tag that says what it depends on.
    for path in ["/price", "/list"] {
        assert_eq!(ask(path).await, is("101", "shop; fwd=stale; stored"));
        assert_eq!(ask(path).await, is("101", "shop; hit"));
    }
}

/// The page says that it is about thirty lines.
#[test]
fn it_is_short() {
    let lines = include_str!("../../examples/http_cache.rs").lines().count();
    assert!(lines <= 35, "{lines} lines");
}
