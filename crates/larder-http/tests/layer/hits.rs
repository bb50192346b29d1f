//! What a hit costs: it waits for nothing, copies no body, and allocates little.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::Method;
use tower::Service;

use crate::kit::{App, Origin, request, response};

/// The key; the fields, which the response owns, and which grow by Age and Cache-Status; the values
/// of these two. And of one that varies: the key of its place, and what it is told apart by.
const ALLOCATIONS_MAX: [(&str, u64); 2] = [("/plain", 12), ("/varied", 20)];

#[tokio::test]
async fn a_hit_is_ready_at_once_and_allocates_little() {
    let long = "x".repeat(100_000);
    let origin = Origin::new(move |got| {
        let vary = if got.uri == "/varied" { "vary: a\n" } else { "" };
        response(&format!(
            "200\ncache-control: max-age=60\ncontent-type: text/plain\n{vary}\n{long}"
        ))
    });
    let app = App::new(&origin);
    for (path, allocations_max) in ALLOCATIONS_MAX {
        app.get_with(path, "a: 1").await;
        let mut service = app.service.clone();
        let mut requests: Vec<_> = (0..101).map(|_| request(Method::GET, path, "a: 1")).collect();
        let mut hit = || {
            let response = service.call(requests.pop().unwrap());
            match pin!(response).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => drop(response),
                Poll::Pending => panic!("a hit waits for nothing"),
            }
        };
        hit();
        let measured = allocation_counter::measure(|| (0..100).for_each(|_| hit()));
        let each = measured.count_total / 100;
        assert!(each <= allocations_max, "{path}: {each} allocations");
        // No part of the body is among them.
        let bytes = measured.bytes_total / 100;
        assert!(bytes < 8_000, "{path}: {bytes} bytes");
    }
    assert_eq!(app.cache.stats().hits, 202);
}
