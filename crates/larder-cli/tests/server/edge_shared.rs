//! Larders over one Redis with edges before one origin: what is purged, invalidated or written at
//! one drops the responses at the others, whether or not it has an edge itself.

use larder_test::origin::{Origin, Response};
use larder_test::{Larder, Redis, Reply};
use serde_json::{Value, json};

use crate::feed::{install, vouched};
use crate::http_support::{JSON, Shop, ask, serve_http};
use crate::support::{connect, http, http_post, until};

/// Longer than a test may take, so that nothing goes by its age.
const PROMISE: &str = "max_staleness = \"10m\"";

struct Pair {
    _redis: Redis,
    shop: Shop,
    origin: Origin,
    here: Larder,
    there: Larder,
    /// Whether the first has an edge, too.
    is_even: bool,
}

impl Pair {
    /// With these lines for the cache of users.
    fn new(users: &str) -> Self {
        Self::serving("changes = \"announced\"", users, "", true)
    }

    /// Rows, with these lines for their source and the cache of users, where there is no edge; and
    /// an edge, with these lines more, where there are no rows.
    fn uneven(source: &str, users: &str, edge: &str) -> Self {
        Self::serving(source, users, edge, false)
    }

    fn serving(source: &str, users: &str, edge: &str, is_even: bool) -> Self {
        let (redis, shop, origin) = (Redis::start(), Shop::new(), Origin::start());
        let rows = shop.config(source, users).replacen("max_staleness = \"60s\"", PROMISE, 1);
        let shared = format!("[shared]\nurl = \"{}\"\n", redis.url());
        if source.contains("feed") {
            install(&rows);
        }
        let edge = format!(
            "[edge.site]\nlisten = \"{{edge}}\"\norigin = \"http://{}\"\n\
             hosts = [\"127.0.0.1\"]\npurge_from = [\"127.0.0.1\"]\n{edge}",
            origin.address(),
        );
        let (here, there) = match is_even {
            true => (format!("{shared}{edge}{rows}"), format!("{shared}{edge}{rows}")),
            false => (format!("{shared}{rows}"), format!("{shared}{edge}")),
        };
        let (here, there) = (serve_http(&here), serve_http(&there));
        Self { _redis: redis, shop, origin, here, there, is_even }
    }

    /// Those that have an edge.
    fn edges(&self) -> impl Iterator<Item = &Larder> {
        self.is_even.then_some(&self.here).into_iter().chain([&self.there])
    }

    /// Puts a page with these tags at the origin, and has the edges hold it.
    fn hold(&self, path: &str, tags: &str) {
        let page = Response::new("text/plain", path).header("Cache-Control", "max-age=3600");
        self.origin.put(path, page.header("Cache-Tag", tags));
        for larder in self.edges() {
            until("the edge holds it", || self.is_held(larder, path));
        }
    }

    /// Whether the edge answers without its origin.
    fn is_held(&self, larder: &Larder, path: &str) -> bool {
        let asked = self.origin.count(path);
        assert_eq!(http(&larder.edge_url(), path, None), (200, path.to_owned()));
        self.origin.count(path) == asked
    }

    /// Checks that `path`, which all hold, is asked for anew at all of them after this, and that
    /// `/other`, which has no part in it, is not.
    fn drops(&self, path: &str, tags: &str, what: &str, act: impl FnOnce()) {
        self.hold(path, tags);
        self.hold("/other", "user:2, elsewhere");
        act();
        if self.is_even {
            assert!(!self.is_held(&self.here, path), "{what}: still held where it was done");
        }
        until(what, || !self.is_held(&self.there, path));
        for larder in self.edges() {
            assert!(self.is_held(larder, "/other"), "{what}: too much");
        }
    }
}

#[test]
fn a_purge_at_one_edge_drops_the_response_at_the_other() {
    let pair = Pair::new("");
    let purge = |order: &str| {
        let answer = http_post(&pair.here.admin_url(), "/purge", order);
        assert_eq!(answer, (200, "purged\n".to_owned()), "{order}");
    };
    // Each edge is asked by its own address, so a URL is another one at each: it is purged by the
    // host under which the other one stores it.
    let url = format!("{{\"url\": \"{}/a\"}}", pair.there.edge_url());
    pair.hold("/a", "red");
    purge(&url);
    until("the URL", || !pair.is_held(&pair.there, "/a"));
    assert!(pair.is_held(&pair.here, "/a"), "the URL of the other one");
    pair.drops("/b", "red, round", "the tag", || purge("{\"tag\": \"red\", \"how\": \"hard\"}"));
}

#[test]
fn an_invalidation_at_one_larder_drops_the_response_at_the_others_edge() {
    let pair = Pair::new("");
    let mut client = connect(&pair.here);
    let mut invalidate = |what: &[&str]| {
        let reply = client.command(&[&["LARDER.INVALIDATE"], what].concat());
        assert!(matches!(reply, Reply::Integer(_)), "{what:?}: {reply:?}");
    };
    pair.drops("/a", "user:1", "the key", || invalidate(&["KEYS", "user:1"]));
    pair.drops("/b", "x, blue", "the tag", || invalidate(&["TAGS", "blue"]));
}

#[test]
fn a_write_over_http_at_one_larder_drops_the_response_at_the_others_edge() {
    for users in ["", "install = \"always\"", "consistency = \"guarded\""] {
        writes_drop(&Pair::new(users), users);
    }
}

#[track_caller]
fn writes_drop(pair: &Pair, users: &str) {
    for name in ["Ada", "Augusta"] {
        pair.drops("/a", "user:1, users-page", users, || {
            let row = format!("{{\"id\":1,\"name\":\"{name}\",\"email\":null,\"visits\":0}}");
            let put = ask(&pair.here, "PUT /cache/user/user:1", JSON, &row);
            assert_eq!(put.status, 204, "{put:?}");
        });
    }
}

#[test]
fn a_larder_without_an_edge_drops_the_responses_of_others_by_its_keys() {
    let pair = Pair::uneven("changes = \"announced\"", "", "");
    let mut client = connect(&pair.here);
    let mut invalidate = |what: &[&str]| {
        let reply = client.command(&[&["LARDER.INVALIDATE"], what].concat());
        assert!(matches!(reply, Reply::Integer(_)), "{what:?}: {reply:?}");
    };
    pair.drops("/a", "user:1", "a key", || invalidate(&["KEYS", "user:1"]));
    // The edge knows no cache of users, so its origin has to name it.
    let tags = "user:1, cache.user";
    pair.drops("/b", tags, "a prefix", || invalidate(&["PREFIX", "user:"]));
    pair.drops("/c", tags, "the cache", || invalidate(&["CACHE", "user"]));
    pair.drops("/d", "user:1", "a key is deleted", || {
        drop(connect(&pair.here).command(&["DEL", "user:1"]));
    });
    // Marked stale, it is validated.
    pair.hold("/e", "user:1");
    invalidate(&["SOFT", "KEYS", "user:1"]);
    until("marked stale", || !pair.is_held(&pair.there, "/e"));
}

#[test]
fn a_write_at_a_larder_without_an_edge_drops_the_responses_of_others() {
    for users in ["", "install = \"always\"", "consistency = \"guarded\""] {
        let pair = Pair::uneven("changes = \"announced\"", users, "");
        pair.drops("/a", "user:1", users, || {
            let row = "{\"id\":1,\"name\":\"Ada\",\"email\":null,\"visits\":0}";
            let put = ask(&pair.here, "PUT /cache/user/user:1", JSON, row);
            assert_eq!(put.status, 204, "{put:?}");
        });
        pair.drops("/b", "user:1", users, || {
            assert_eq!(ask(&pair.here, "DELETE /cache/user/user:1", "", "").status, 204);
        });
    }
}

#[test]
fn what_a_feed_tells_a_larder_without_an_edge_drops_the_responses_of_others() {
    let pair = Pair::uneven("feed = \"triggers\"", "", "");
    vouched(&pair.here);
    for row in ["/a", "/b"] {
        pair.drops(row, "user:1", "a row", || {
            pair.shop.sql("UPDATE users SET visits = visits + 1 WHERE id = 1");
        });
    }
}

#[test]
fn who_is_in_front_of_an_edge_is_told_of_keys_whoever_invalidates_them() {
    const TARGET: &str = "/told";
    let cdn = Origin::start();
    cdn.put(TARGET, Response::new("text/plain", "taken"));
    let webhook = format!("[edge.site.webhook]\nurl = \"http://{}{TARGET}\"\n", cdn.address());
    let pair = Pair::uneven("changes = \"announced\"", "", &webhook);
    let told = || -> Vec<Value> {
        let posted = cdn.requests(TARGET);
        let said = posted.iter().map(|post| serde_json::from_slice::<Value>(&post.body).unwrap());
        said.flat_map(|said| said["purges"].as_array().unwrap().clone()).collect()
    };
    let mut client = connect(&pair.here);
    client.command(&["LARDER.INVALIDATE", "KEYS", "user:1", "user:2"]);
    client.command(&["LARDER.INVALIDATE", "SOFT", "CACHE", "user"]);
    until("it was told", || told().len() >= 3);
    // What the edge itself purges is told as such, and no key of a cache.
    assert_eq!(http_post(&pair.there.admin_url(), "/purge", "{\"all\": true}").0, 200);
    until("it was told of the purge", || told().len() >= 4);
    let expected = json!([
        { "tag": "user:1", "how": "hard" },
        { "tag": "user:2", "how": "hard" },
        { "tag": "cache.user", "how": "soft" },
        { "all": true, "how": "hard" },
    ]);
    assert_eq!(Value::Array(told()), expected);
}

#[test]
fn a_write_whose_row_stays_held_drops_the_response() {
    let (shop, origin) = (Shop::new(), Origin::start());
    for mode in ["", "install = \"always\""] {
        let config = shop.config("", mode);
        let larder = serve_http(&format!(
            "[edge.site]\nlisten = \"{{edge}}\"\norigin = \"http://{}\"\n{config}",
            origin.address()
        ));
        let page = Response::new("text/plain", "x").header("Cache-Control", "max-age=3600");
        origin.put("/a", page.header("Cache-Tag", "user:1"));
        let ask_page = || {
            assert_eq!(http(&larder.edge_url(), "/a", None).0, 200);
            origin.count("/a")
        };
        // Held in memory, so that what is written takes its place there.
        assert_eq!(ask(&larder, "GET /cache/user/user:1", "", "").status, 200);
        let asked = ask_page();
        assert_eq!(ask_page(), asked, "held");
        let row = "{\"id\":1,\"name\":\"Ada\",\"email\":null,\"visits\":0}";
        assert_eq!(ask(&larder, "PUT /cache/user/user:1", JSON, row).status, 204);
        assert_eq!(ask_page(), asked + 1, "{mode}");
        assert_eq!(ask_page(), asked + 1, "{mode}: held again");
    }
}
