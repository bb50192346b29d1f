//! Any bytes in requests and responses: nothing breaks, and what is promised of keys holds.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use bolero::check;
use http::{HeaderValue, Method};
use larder_http::{Query, Selection};

use crate::kit::{App, Origin, request, response};

/// A text that can stand in a query, made of what means something there and of other bytes.
fn text(bytes: &[u8], of: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(of[usize::from(*byte) % of.len()])).collect()
}

#[test]
fn a_query_that_was_normalised_stays_as_it_is() {
    let rules = [
        Query::as_sent().sorted(),
        Query::as_sent().without(["a*", "b"]).sorted(),
        Query::only(["a", "b*", ""]).without(["ab"]),
    ];
    check!().with_iterations(20_000).with_type::<(Vec<u8>, u8)>().for_each(|(bytes, rule)| {
        let rule = &rules[usize::from(*rule) % rules.len()];
        let query = text(bytes, b"ab=&&=c%");
        let once = rule.apply(Some(&query));
        assert_eq!(rule.apply(once.as_deref()), once);
        let parameters = |query: &str| query.split('&').map(str::to_owned).collect::<Vec<_>>();
        for kept in once.iter().flat_map(|query| parameters(query)) {
            assert!(parameters(&query).contains(&kept));
        }
    });
}

#[test]
fn any_request_and_any_tags_have_an_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let inside = runtime.enter();
    let tagged: Arc<Mutex<Option<HeaderValue>>> = Arc::default();
    let tags = Arc::clone(&tagged);
    let origin = Origin::new(move |_| {
        let mut said = response("200\ncache-control: max-age=60\nvary: accept\n\nx");
        for name in ["cache-tag", "surrogate-key", "cache-groups"] {
            if let Some(tags) = &*tags.lock().unwrap() {
                said.headers_mut().insert(name, tags.clone());
            }
        }
        said
    });
    let selection = Selection::new().one_of(http::header::ACCEPT, ["a/b", "c"]);
    let app = App::with(&origin, |builder| builder.selection(selection));
    drop(inside);
    // After a panic nothing of it is used any more.
    let used = AssertUnwindSafe((runtime, app, origin, tagged));
    check!().with_iterations(2_000).with_type::<[Vec<u8>; 4]>().for_each(|all| {
        let (runtime, app, origin, tagged) = &*used;
        let [path, host, accept, tags] = all;
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).ok();
        *tagged.lock().unwrap() = value(tags);
        let path = format!("/{}", text(path, b"ab/%?=&._~!$'()*+,;:@-"));
        let ask = || {
            let mut request = request(Method::GET, &path, "");
            for (name, bytes) in [("host", host), ("accept", accept)] {
                if let Some(value) = value(bytes) {
                    request.headers_mut().insert(name, value);
                }
            }
            request
        };
        runtime.block_on(async {
            for _ in 0..2 {
                let reply = app.ask(ask()).await;
                assert_eq!(reply.text(), "x");
                // What is stored was asked for as it is selected.
                if reply.cache().ends_with("stored") {
                    let asked = origin.last().headers.get("accept").cloned();
                    assert!(asked.is_none_or(|asked| asked == "a/b" || asked == "c"));
                }
            }
        });
    });
}
