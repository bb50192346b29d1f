//! What is promised, in words.

use super::super::reference::EXAMPLE;
use super::{SMALL, cache_with, parse, source_with, windows};

#[test]
fn the_report_says_in_words_what_is_promised() {
    let report = parse(EXAMPLE).unwrap().report();
    assert_eq!(
        report,
        "\
cache user: user:{id:int} from source shop (postgres://app:***@localhost/shop)
  an answer is at most 2s old: anyone may change the data behind our back (changes = \"unknown\"), so its age bounds its staleness
  it is served as it is for 1s 800ms to 2s, as chance has it (jitter)
  once 0.8 of that has passed, a read begins a refresh; sooner where loads take long (xfetch)
  stale answers: none
  when the source fails, or takes longer than 50ms: answers up to 1h past the promise, which say so
  an absent row is remembered for 2s
  it goes when one of its tags is invalidated: tenant:{tenant_id}
  a read waits at most 10s; the load that it waits for has 10s, and goes on without it

cache prices: prices:{product:int} from source shop (postgres://app:***@localhost/shop)
  an answer is at most 1m old: anyone may change the data behind our back (changes = \"unknown\"), so its age bounds its staleness
  it is served as it is for 27s to 30s, as chance has it (jitter)
  once 0.5 of that has passed, a read begins a refresh
  stale answers: for 30s more while one refresh runs, never beyond max_staleness
  no rows are an answer like any other
  a read waits at most 500ms; the load that it waits for has 10s, and goes on without it
  keys that miss within 2ms of each other are loaded with one question
  at the start it is filled, as far as there is free room, with the last run's hottest keys (/var/lib/larder/prices), then the keys of a query; 100000 keys at most

source shop: postgres://app:***@localhost/shop
  at most 8 loads at once over 8 connections, each load for 10s at most; connecting has 1s
  1024 more may wait; after that a read is told at once to come back later
  once 5 loads within 10s have failed, and 0.5 of all of them, it is left alone for 5s, then probed; while probes fail, for 30s at most

keys of no cache: served as by Redis
memory: 512MiB
  416MiB for the caches that share it; adaptive decides what is evicted
  32MiB for the cache prices; s3fifo decides what is evicted
    what nobody has read for 20s is forgotten
  64MiB for keys of no cache; lru decides which of those with an expiry are evicted; the others stay
resp: 127.0.0.1:7379 (this machine only, without a password)
  at most 10000 clients at once; a thread for every two cores serves them
http: not opened
admin: 127.0.0.1:7381 (this machine only, without a token)
trace: what is asked of 0.05 of the keys, without the keys themselves, to /var/log/larder/keys
"
    );
}

#[test]
fn the_report_tells_the_other_cases_too() {
    for (text, part) in [
        (windows("max_staleness = \"0s\""), "you don't want a cache"),
        (
            windows("fresh_for = \"1s\"\nmax_staleness = \"9s\"\nmissing_for = \"1s\""),
            "at most 1s old",
        ),
        (windows("fresh_for = \"1s\"\nmax_staleness = \"9s\""), "an answer is at most 9s old"),
        (cache_with("jitter = \"0s\""), "it is served as it is for 2s\n"),
        (cache_with("missing_for = \"0s\""), "an absent row is not remembered"),
        (
            cache_with("refresh_at = 1"),
            "  a read near its end begins a refresh where loads take long (xfetch)\n",
        ),
        (cache_with("refresh_at = 1\nxfetch = 0"), "chance has it (jitter)\n  stale answers"),
        (
            cache_with("stale_on_error = \"1h\""),
            "  when the source fails, or takes longer than 100ms: answers up to 1h past the \
             promise, which say so\n",
        ),
        (
            source_with("changes = \"announced\""),
            "  an answer is at most 2s old: who changes the data announces it (changes = \
             \"announced\"), and the promise counts from the moment that an announcement, an \
             invalidation that isn't SOFT, has returned: nothing older is served\n",
        ),
        (
            source_with("changes = \"static\""),
            "  an answer is at most 2s old: nobody changes the data (changes = \"static\"), so it \
             is right at any age, and loaded again all the same\n",
        ),
        (source_with("breaker = false"), "  while it fails, it is asked all the same\n"),
        (format!("{SMALL}[plain]\nenabled = false\n"), "keys of no cache: refused"),
        (SMALL.to_owned(), "resp: not opened"),
        (SMALL.to_owned(), "trace: none\n"),
        (
            "[listen]\nresp = \"[::]:1\"\npassword = \"p\"\nplaintext = true\nworkers = 1"
                .to_owned(),
            "resp: [::]:1 (other machines, no TLS, with a password)\n  at most 10000 clients at \
             once; one thread serves them",
        ),
        (
            "[listen]\nhttp = \"127.0.0.1:7380\"".to_owned(),
            "http: 127.0.0.1:7380 (this machine only, without a token)\n  caches are at \
             /cache/NAME/KEY; whoever reaches it reads, writes and invalidates\n  requests must be \
             for this machine's own names, or for 127.0.0.1\n",
        ),
        (
            "[listen]\nhttp = \"127.0.0.1:1\"\ntoken = \"t\"".to_owned(),
            "whoever reaches it reads; who writes or invalidates sends the token\n",
        ),
        (
            "[listen]\nhttp = \"[::]:1\"\ntoken = \"t\"\nplaintext = true\n\
             hosts = [\"Cache.Internal\"]"
                .to_owned(),
            "http: [::]:1 (other machines, no TLS, with a token)\n  caches are at /cache/NAME/KEY; \
             only who sends the token reads, writes or invalidates\n  requests must be for this \
             machine's own names, or for ::, cache.internal\n",
        ),
    ] {
        let report = parse(&text).unwrap_or_else(|problems| panic!("{problems}")).report();
        assert!(report.contains(part), "{part}\n\n{report}");
    }
}
