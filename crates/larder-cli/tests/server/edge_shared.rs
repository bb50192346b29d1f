//! Two larders over one Redis, each with an edge before one origin: what is purged, invalidated or
//! written at one drops the responses at the other.

use larder_test::origin::{Origin, Response};
use larder_test::{Larder, Redis, Reply};

use crate::http_support::{JSON, Shop, ask, serve_http};
use crate::support::{connect, http, http_post, until};

/// Longer than a test may take, so that nothing goes by its age.
const PROMISE: &str = "max_staleness = \"10m\"";

struct Pair {
    _redis: Redis,
    _shop: Shop,
    origin: Origin,
    here: Larder,
    there: Larder,
}

impl Pair {
    /// With these lines for the cache of users.
    fn new(users: &str) -> Self {
        let (redis, shop, origin) = (Redis::start(), Shop::new(), Origin::start());
        let config = shop.config("changes = \"announced\"", users);
        let config = config.replacen("max_staleness = \"60s\"", PROMISE, 1);
        let config = format!(
            "[shared]\nurl = \"{}\"\n[edge.site]\nlisten = \"{{edge}}\"\norigin = \"http://{}\"\n\
             hosts = [\"127.0.0.1\"]\npurge_from = [\"127.0.0.1\"]\n{config}",
            redis.url(),
            origin.address(),
        );
        let [here, there] = [serve_http(&config), serve_http(&config)];
        Self { _redis: redis, _shop: shop, origin, here, there }
    }

    /// Puts a page with these tags at the origin, and has both edges hold it.
    fn hold(&self, path: &str, tags: &str) {
        let page = Response::new("text/plain", path).header("Cache-Control", "max-age=3600");
        self.origin.put(path, page.header("Cache-Tag", tags));
        for larder in [&self.here, &self.there] {
            until("the edge holds it", || self.is_held(larder, path));
        }
    }

    /// Whether the edge answers without its origin.
    fn is_held(&self, larder: &Larder, path: &str) -> bool {
        let asked = self.origin.count(path);
        assert_eq!(http(&larder.edge_url(), path, None), (200, path.to_owned()));
        self.origin.count(path) == asked
    }

    /// Checks that `path`, which both hold, is asked for anew at both after this, and that
    /// `/other`, which has no part in it, is not.
    fn drops(&self, path: &str, tags: &str, what: &str, act: impl FnOnce()) {
        self.hold(path, tags);
        self.hold("/other", "user:2, elsewhere");
        act();
        assert!(!self.is_held(&self.here, path), "{what}: still held where it was done");
        until(what, || !self.is_held(&self.there, path));
        for larder in [&self.here, &self.there] {
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
