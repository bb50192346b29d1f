//! An edge in front of the cache API: what the API says of its rows is enough to purge by them.

use larder_test::{Larder, Redis};

use crate::http_support::{Answer, JSON, Shop, ask, exchange_at, get, serve_http};
use crate::support::{connect, http};

/// A larder whose edge has its own cache API as the origin.
fn serve(shop: &Shop, listen: &str) -> Larder {
    let edge = "[edge.users]\nlisten = \"{edge}\"\norigin = \"http://{http}\"\n";
    serve_http(&format!("{listen}\n{edge}{}", shop.config("", "")))
}

/// What the edge answers, and whether it asked the API for it.
fn through(larder: &Larder, path: &str) -> (u16, String, bool) {
    let fetched = || larder.metric("larder_edge_origin_requests_total", "edge=\"users\"");
    let before = fetched();
    let (status, body) = http(&larder.edge_url(), path, None);
    (status, body, fetched() > before)
}

fn tags(answer: &Answer) -> [Option<&str>; 2] {
    ["cache-tag", "surrogate-key"].map(|name| answer.field(name))
}

#[test]
fn an_edge_before_the_api_drops_an_answer_when_its_row_changes() {
    let shop = Shop::new();
    let larder = serve(&shop, "");
    let mut client = connect(&larder);
    let [ada, grace] = ["/cache/user/user:1", "/cache/user/user:2"];
    // An absence is as much of an answer.
    let absent = "/cache/user/user:3";
    let held = || {
        [ada, grace, absent].map(|path| {
            let (_, _, asked) = through(&larder, path);
            !asked
        })
    };
    held();
    assert_eq!(held(), [true; 3]);
    let row = "{\"id\":1,\"name\":\"Augusta\",\"email\":null,\"visits\":1}";
    assert_eq!(ask(&larder, &format!("PUT {ada}"), JSON, row).status, 204);
    let (status, body, asked) = through(&larder, ada);
    assert!(status == 200 && body.contains("Augusta") && asked, "{status} {body}");
    assert_eq!(held(), [true; 3]);
    client.command(&["LARDER.INVALIDATE", "KEYS", "user:2", "user:3"]);
    assert_eq!(held(), [true, false, false]);
    assert_eq!(held(), [true; 3]);
    client.command(&["LARDER.INVALIDATE", "CACHE", "user"]);
    assert_eq!(held(), [false; 3]);
    assert_eq!(held(), [true; 3]);
    // A tag that the cache declares.
    client.command(&["LARDER.INVALIDATE", "TAGS", "users"]);
    assert_eq!(held(), [false; 3]);
    assert_eq!(held(), [true; 3]);
    assert_eq!(
        ask(&larder, &format!("PUT {absent}"), JSON, &row.replace(":1,\"n", ":3,\"n")).status,
        204
    );
    assert_eq!(through(&larder, absent).0, 200);
}

/// What an edge holds may be from before the position: nobody tells it of those of other processes
/// before it answers.
#[test]
fn who_insists_on_a_position_is_answered_by_the_api_and_not_by_what_an_edge_holds() {
    let (redis, shop) = (Redis::start(), Shop::new());
    let shared = format!("[shared]\nurl = \"{}\"\n", redis.url());
    let edge = "[edge.users]\nlisten = \"{edge}\"\norigin = \"http://{http}\"\n";
    let config = shop.config("changes = \"announced\"", "fresh_for = \"1h\"");
    let larder = serve_http(&format!("{shared}{edge}{config}"));
    let ada = "/cache/user/user:1";
    through(&larder, ada);
    assert!(!through(&larder, ada).2, "the edge holds it");
    let done = ask(&larder, "POST /invalidate", JSON, r#"{"keys":["user:2"]}"#);
    let position = done.field("larder-position").unwrap();
    let fetched = || larder.metric("larder_edge_origin_requests_total", "edge=\"users\"");
    let before = fetched();
    let url = larder.edge_url();
    let host = format!("Host: {}", url.strip_prefix("http://").unwrap());
    let lines = [&*host, "Connection: close", &format!("Larder-Position: {position}")];
    let request = format!("GET {ada} HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
    let read = exchange_at(&url, request.as_bytes());
    assert!(read.status == 200 && fetched() > before, "{read:?}");
    assert!(!through(&larder, ada).2, "for others it is as it was");
}

#[test]
fn an_answer_names_its_key_its_cache_and_the_tags_of_its_row() {
    let shop = Shop::new();
    let all = r#"tags = ["users", "name:{name}", "mail:{email}", "a {id}", "no:{id}"]"#;
    let larder = serve_http(&shop.config("", "").replacen("tags = [\"users\"]", all, 1));
    for (path, of_row) in [
        ("/cache/user/user:1", "mail:ada@example.org name:Ada no:1 users"),
        // What is NULL makes no tag.
        ("/cache/user/user:2", "name:Grace no:2 users"),
        // What isn't there has the tags of its key.
        ("/cache/user/user:99", "no:99 users"),
    ] {
        let key = path.rsplit('/').next().unwrap();
        let named = format!("{key} cache.user {of_row}");
        let listed = named.replace(' ', ",");
        assert_eq!(tags(&get(&larder, path)), [Some(listed.as_str()), Some(named.as_str())]);
    }
    // A space divides tags, so this key is none.
    let note = get(&larder, "/cache/note/note:a/b%20c");
    assert_eq!((note.status, tags(&note)), (200, [Some("cache.note"); 2]));
    let bad = get(&larder, "/cache/user/user:01");
    assert_eq!((bad.status, tags(&bad)), (400, [None; 2]));
}
