//! What is counted after a known sequence of commands, on `/metrics` and in INFO.

use larder_test::Reply;

use crate::page::Page;
use crate::support::{
    account, accounts, bank, bank_config, connect, error_code, get, serve, until,
};

/// Everything that a server with plain keys shows.
const FAMILIES: [(&str, &str); 37] = [
    ("larder_cache_absent", "counter"),
    ("larder_cache_byte_seconds", "counter"),
    ("larder_cache_bytes", "gauge"),
    ("larder_cache_fills_refused", "counter"),
    ("larder_cache_hit_age_seconds", "histogram"),
    ("larder_cache_hits", "counter"),
    ("larder_cache_invalidations", "counter"),
    ("larder_cache_joined", "counter"),
    ("larder_cache_load_errors", "counter"),
    ("larder_cache_load_seconds", "histogram"),
    ("larder_cache_load_seconds_saved", "gauge"),
    ("larder_cache_misses", "counter"),
    ("larder_cache_not_kept", "counter"),
    ("larder_cache_reloads", "counter"),
    ("larder_cache_stood_in_age_seconds", "histogram"),
    ("larder_cache_sweeps", "counter"),
    ("larder_cache_unchanged", "counter"),
    ("larder_cache_verdict", "gauge"),
    ("larder_memory_bytes", "gauge"),
    ("larder_memory_entries", "gauge"),
    ("larder_memory_limit_bytes", "gauge"),
    ("larder_memory_no_room", "counter"),
    ("larder_memory_removals", "counter"),
    ("larder_memory_too_heavy", "counter"),
    ("larder_plain_hits", "counter"),
    ("larder_plain_misses", "counter"),
    ("larder_process_cpu_seconds", "counter"),
    ("larder_process_resident_memory_bytes", "gauge"),
    ("larder_resp_clients", "gauge"),
    ("larder_resp_commands", "counter"),
    ("larder_resp_connections", "counter"),
    ("larder_resp_refused", "counter"),
    ("larder_source_breaker_opened", "counter"),
    ("larder_source_breaker_refused", "counter"),
    ("larder_source_breaker_state", "gauge"),
    ("larder_source_loads", "gauge"),
    ("larder_source_shed", "counter"),
];

#[test]
fn every_number_is_right_after_a_known_sequence() {
    let bank = bank();
    accounts(&bank, "counted");
    let larder = serve(&format!(
        "{}
         [cache.broken]
         key = \"broken:{{aid:int}}\"
         load = \"SELECT 1 / (aid - aid) AS x FROM counted WHERE aid = {{aid}}\"
         max_staleness = \"60s\"
         [cache.heavy]
         key = \"heavy:{{aid:int}}\"
         load = \"SELECT repeat('x', 2000000) AS x FROM counted WHERE aid = {{aid}}\"
         max_staleness = \"60s\"
         [memory]
         limit = \"32MiB\"\n",
        bank_config(&bank, "counted")
    ));
    let mut client = connect(&larder);
    let before = Page::of(&larder);

    // A miss, three hits; a hit and two misses in one question; an absence, and a hit of it.
    for _ in 0..4 {
        assert_eq!(get(&mut client, "account:1"), Reply::bulk(account(1)));
    }
    let batch = client.command(&["MGET", "account:1", "account:2", "account:3"]);
    assert_eq!(batch, Reply::Array((1..=3).map(|aid| Reply::bulk(account(aid))).collect()));
    for _ in 0..2 {
        assert_eq!(get(&mut client, "account:0"), Reply::Null);
    }
    // One is invalidated; of another nothing is held. A bad key is nobody's.
    assert_eq!(client.command(&["DEL", "account:1", "account:99"]), Reply::Integer(1));
    assert_eq!(error_code(&get(&mut client, "account:abc")), "BADKEY");
    assert_eq!(error_code(&get(&mut client, "broken:5")), "LOADER");
    // A row too heavy to be held is served all the same, each time anew.
    for _ in 0..2 {
        assert_eq!(client.command(&["STRLEN", "heavy:1"]), Reply::Integer(2_000_008));
    }
    // Plain keys: set, replaced, and one removed; two hits and a miss; one too heavy to be set.
    for key in ["a", "b", "b"] {
        assert_eq!(client.command(&["SET", key, "value"]), Reply::Simple("OK".into()));
    }
    assert_eq!(client.command(&["DEL", "a"]), Reply::Integer(1));
    let plain = Reply::Array(vec![Reply::bulk("value"), Reply::bulk("value"), Reply::Null]);
    assert_eq!(client.command(&["MGET", "b", "b", "c"]), plain);
    let heavy = "v".repeat(4 << 20);
    assert_eq!(error_code(&client.command(&["SET", "heavy", &heavy])), "REFUSED");

    let page = Page::of(&larder);
    let families: Vec<(&str, &str)> = page.families().into_iter().collect();
    assert_eq!(families, FAMILIES);
    let account_cache: &[(&str, &str)] = &[("cache", "account")];
    let fresh: &[(&str, &str)] = &[("cache", "account"), ("state", "fresh")];
    let stale: &[(&str, &str)] = &[("cache", "account"), ("state", "stale")];
    let broken: &[(&str, &str)] = &[("cache", "broken")];
    let source: &[(&str, &str)] = &[("source", "bank")];
    for (name, labels, expected) in [
        ("larder_cache_hits_total", fresh, 5),
        ("larder_cache_hits_total", stale, 0),
        ("larder_cache_hits_total", broken, 0),
        ("larder_cache_misses_total", account_cache, 4),
        ("larder_cache_misses_total", broken, 1),
        ("larder_cache_misses_total", &[("cache", "heavy")], 2),
        ("larder_cache_joined_total", account_cache, 0),
        ("larder_cache_load_seconds_count", account_cache, 3),
        ("larder_cache_load_seconds_count", broken, 1),
        ("larder_cache_load_errors_total", account_cache, 0),
        ("larder_cache_load_errors_total", broken, 1),
        ("larder_cache_absent_total", account_cache, 1),
        ("larder_cache_fills_refused_total", account_cache, 0),
        ("larder_cache_invalidations_total", account_cache, 2),
        ("larder_cache_sweeps_total", account_cache, 0),
        ("larder_cache_not_kept_total", account_cache, 0),
        ("larder_cache_reloads_total", account_cache, 0),
        ("larder_cache_not_kept_total", &[("cache", "heavy")], 2),
        ("larder_cache_unchanged_total", account_cache, 0),
        ("larder_cache_stood_in_age_seconds_count", account_cache, 0),
        ("larder_cache_hit_age_seconds_count", fresh, 5),
        ("larder_memory_limit_bytes", &[("memory", "shared")], 16 << 20),
        ("larder_memory_limit_bytes", &[("memory", "plain")], 16 << 20),
        // The accounts 0, 2 and 3, and the key b.
        ("larder_memory_entries", &[("memory", "shared")], 3),
        ("larder_memory_entries", &[("memory", "plain")], 1),
        ("larder_memory_removals_total", &[("cause", "evicted")], 0),
        ("larder_memory_removals_total", &[("cause", "expired")], 0),
        ("larder_memory_removals_total", &[("cause", "replaced")], 1),
        ("larder_memory_removals_total", &[("cause", "invalidated")], 1),
        ("larder_memory_removals_total", &[("cause", "removed")], 1),
        ("larder_memory_too_heavy_total", &[("memory", "shared")], 2),
        ("larder_memory_too_heavy_total", &[("memory", "plain")], 1),
        ("larder_memory_no_room_total", &[], 0),
        ("larder_source_loads", source, 0),
        ("larder_source_shed_total", source, 0),
        ("larder_source_breaker_state", source, 0),
        ("larder_source_breaker_opened_total", source, 0),
        ("larder_source_breaker_refused_total", source, 0),
        ("larder_cache_bytes", broken, 0),
        ("larder_cache_verdict", &[("cache", "account"), ("kind", "too_early")], 1),
        ("larder_cache_verdict", &[], 3),
        ("larder_plain_hits_total", &[], 2),
        ("larder_plain_misses_total", &[], 1),
        ("larder_resp_clients", &[], 1),
        ("larder_resp_refused_total", &[], 0),
    ] {
        assert_eq!(page.sum(name, labels), expected, "{name} {labels:?}");
    }
    let commands = |page: &Page| page.sum("larder_resp_commands_total", &[]);
    assert_eq!(commands(&page) - commands(&before), 18);
    assert!((100..10_000).contains(&page.sum("larder_memory_bytes", &[])));
    assert!(page.sum("larder_process_resident_memory_bytes", &[]) > 1 << 20);

    // INFO has Redis's names for the same.
    let info = client.command(&["INFO"]);
    for (name, expected) in [
        ("keyspace_hits", 7),
        ("keyspace_misses", 8),
        ("evicted_keys", 0),
        ("expired_keys", 0),
        ("rejected_connections", 0),
        ("connected_clients", 1),
        ("maxmemory", 32 << 20),
        ("larder_too_heavy", 3),
        ("larder_no_room", 0),
    ] {
        let line = format!("\r\n{name}:{expected}\r\n");
        assert!(info.text().contains(&line), "{line:?} in {}", info.text());
    }
    let keys = info.text().rsplit_once("db0:keys=").unwrap().1;
    assert!(keys.starts_with("4,expires=3,"), "{keys}");
    assert_eq!(client.command(&["DBSIZE"]), Reply::Integer(4));
}

#[test]
fn each_cache_has_one_verdict_which_the_next_one_replaces() {
    let bank = bank();
    accounts(&bank, "judged");
    let larder = serve(&format!(
        "[source.bank]
         url = \"{}\"
         breaker = false
         [cache.slow]
         key = \"slow:{{aid:int}}\"
         load = \"SELECT aid FROM judged, pg_sleep(0.02) WHERE aid = {{aid}}\"
         max_staleness = \"10m\"
         [cache.idle]
         key = \"idle:{{aid:int}}\"
         load = \"SELECT aid FROM judged WHERE aid = {{aid}}\"
         max_staleness = \"10m\"\n",
        bank.url()
    ));
    let of = |cache, kind| [("cache", cache), ("kind", kind)];
    let page = Page::of(&larder);
    assert_eq!(page.sum("larder_cache_verdict", &of("slow", "too_early")), 1);
    assert_eq!(page.sum("larder_cache_bytes", &[("cache", "slow")]), 0);
    let mut client = connect(&larder);
    for _ in 0..200 {
        assert_eq!(get(&mut client, "slow:1"), Reply::bulk("{\"aid\":1}"));
    }
    let page = Page::of(&larder);
    assert_eq!(page.sum("larder_cache_verdict", &of("slow", "worth_it")), 1);
    assert_eq!(page.sum("larder_cache_verdict", &of("idle", "too_early")), 1);
    // However many kinds there are and keys were read: a number for each cache, and no more.
    assert_eq!(page.sum("larder_cache_verdict", &[]), 2);
    let bytes = page.sum("larder_cache_bytes", &[("cache", "slow")]);
    assert!((50..1_000).contains(&bytes), "{bytes}");
    assert_eq!(page.sum("larder_cache_bytes", &[("cache", "idle")]), 0);
    let saved = page.value("larder_cache_load_seconds_saved", &[("cache", "slow")]);
    assert!(saved >= 199.0 * 0.02, "{saved}");
    // By a clock that is not the finest, so the first moments may not count yet.
    let held =
        |cache| Page::of(&larder).value("larder_cache_byte_seconds_total", &[("cache", cache)]);
    until("bytes were held for some time", || held("slow") > 0.0);
    assert_eq!(held("idle"), 0.0);
    // A source without a breaker has no numbers of one.
    assert!(!page.text().contains("source_breaker_state{"), "{}", page.text());
}

#[test]
fn what_is_shed_is_counted_and_says_when_to_come_back() {
    let bank = bank();
    accounts(&bank, "crowded");
    let larder = serve(&format!(
        "[source.bank]
         url = \"{}\"
         connections = 1
         loads_waiting_max = 2
         [cache.slow]
         key = \"slow:{{aid:int}}\"
         load = \"SELECT aid FROM crowded, pg_sleep(0.3) WHERE aid = {{aid}}\"
         max_staleness = \"60s\"\n",
        bank.url()
    ));
    // One loads, two wait, the others are told to come back; which ones is chance.
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let larder = &larder;
        let load = |aid| scope.spawn(move || get(&mut connect(larder), &format!("slow:{aid}")));
        let clients: Vec<_> = (1..=20).map(load).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let (shed, served): (Vec<&Reply>, Vec<&Reply>) =
        replies.iter().partition(|reply| error_code(reply) == "SHED");
    assert!(served.iter().all(|reply| matches!(reply, Reply::Bulk(_))), "{served:?}");
    assert!(served.len() >= 3 && !shed.is_empty(), "{replies:?}");
    for reply in &shed {
        let (_, delay) = reply.text().split_once("; retry after ").unwrap();
        let millis: u64 = delay.strip_suffix(" ms").unwrap().parse().unwrap();
        assert!((10..=10_000).contains(&millis), "{reply:?}");
    }
    let page = Page::of(&larder);
    assert_eq!(page.sum("larder_source_shed_total", &[("source", "bank")]), shed.len() as u64);
    assert_eq!(page.sum("larder_source_loads", &[("source", "bank")]), 0);
}
