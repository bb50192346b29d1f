//! How long answers may be served, and how long reads may take.

use super::{cache_with, check, check_warning, parse, windows};

#[test]
fn what_cant_be_promised_is_refused_where_it_stands() {
    check(&windows(""), "larder.toml:4:8: [cache.user] promises nothing: name the window");
    check(
        &cache_with("fresh_for = \"1h\""),
        "larder.toml:8:1: fresh_for is longer than max_staleness: without a stream of changes \
         nothing but age bounds the staleness",
    );
    check(&cache_with("fresh_for = \"1h\""), "`fresh_for = \"2s\"`, or `max_staleness = \"1h\"`");
    check(&cache_with("jitter = \"3s\""), "larder.toml:8:1: jitter is longer than fresh_for");
    check(&cache_with("jitter = \"3s\""), "set `jitter` to \"2s\" or less");
    check(&cache_with("missing_for = \"3s\""), "larder.toml:8:1: missing_for is longer");
    check(&cache_with("jitter = \"3s\"\nmissing_for = \"3s\""), "2 errors");
    check_warning(&windows("max_staleness = \"0s\""), "every read asks the source");
    check_warning(&cache_with("stale_for = \"1s\""), "`stale_for` never applies");
    check_warning(
        &cache_with("fresh_for = \"1s\"\nstale_for = \"5s\""),
        "`max_staleness` ends `stale_for` after 1s",
    );
}

#[test]
fn what_goes_beyond_the_promise_is_bounded_too() {
    check(
        &windows("max_staleness = \"0s\"\nstale_on_error = \"1h\""),
        "larder.toml:8:1: stale_on_error needs something that is held",
    );
    let wait = |lines: &str| cache_with(&format!("wait = \"2s\"\n{lines}"));
    check_warning(&wait(""), "larder.toml:8:1: `wait` never applies: without `stale_on_error`");
    check_warning(
        &wait("stale_on_error = \"1h\"\ndeadline = \"2s\""),
        "larder.toml:8:1: `wait` never applies: `deadline` comes first",
    );
    assert!(parse(&wait("stale_on_error = \"1h\"")).unwrap().warnings.is_empty());
    // A default never warns.
    assert!(parse(&cache_with("deadline = \"50ms\"")).unwrap().warnings.is_empty());
    let at_once = parse(&cache_with("wait = \"0s\"\nstale_on_error = \"1h\"")).unwrap();
    assert!(at_once.warnings.is_empty() && at_once.caches[0].wait.is_zero());
}

#[test]
fn a_refresh_begins_within_the_window() {
    for refresh_at in ["0", "1.1", "-1", "nan"] {
        let text = cache_with(&format!("refresh_at = {refresh_at}"));
        check(&text, "larder.toml:8:14: `refresh_at` must be a number above 0, up to 1");
    }
    check(&cache_with("xfetch = -1"), "`xfetch` must be a number from 0 to 100");
    check(&cache_with("xfetch = 101"), "1 is right for most, 0 is off");
    let early = parse(&cache_with("refresh_at = 0.5\nxfetch = 2")).unwrap().caches[0].window.early;
    assert_eq!((early.refresh_at(), early.xfetch()), (0.5, 2.0));
}

#[test]
fn gathering_is_shorter_than_a_read_may_take() {
    for gather in ["0s", "99us", "2s"] {
        check(
            &cache_with(&format!("gather = \"{gather}\"")),
            "larder.toml:8:10: `gather` must be from 100us to 1s",
        );
    }
    check(
        &cache_with("deadline = \"5ms\"\ngather = \"5ms\""),
        "larder.toml:9:1: `gather` is as long as `deadline`",
    );
    let all = cache_with("gather = \"1ms\"")
        .replace("user:{id:int}", "users")
        .replace("WHERE id = {id}", "");
    check_warning(&all, "larder.toml:8:1: `gather` never applies: `load` binds nothing");
}
