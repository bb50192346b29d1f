//! How memory is divided, and what is evicted.

use std::time::Duration;

use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;

use super::super::MemoryConfig;
use super::{SMALL, cache_with, check, check_warning, parse};

/// How much each part of memory has, in MiB: the pool, the cache, the plain keys.
#[track_caller]
fn parts(text: &str) -> [Option<u64>; 3] {
    let config = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let own = config.caches.first().and_then(|cache| cache.memory);
    [config.common, own, config.plain].map(|part| part.map(|part| part.bytes >> 20))
}

#[test]
fn memory_is_divided() {
    let plain = |lines: &str| format!("[memory]\nlimit = \"100MiB\"\n[plain]\n{lines}\n");
    let with = |lines: &str, cache: &str| format!("{}{SMALL}{cache}\n", plain(lines));
    let own = "memory = \"40MiB\"";
    // Who shares the pool shares it with the plain keys.
    assert_eq!(parts(&with("", "")), [Some(50), None, Some(50)]);
    assert_eq!(parts(&with("memory = \"30MiB\"", "")), [Some(70), None, Some(30)]);
    assert_eq!(parts(&with("enabled = false", "")), [Some(100), None, None]);
    // Who shares nothing leaves the rest to them.
    assert_eq!(parts(&plain("")), [None, None, Some(100)]);
    assert_eq!(parts(&with("", own)), [None, Some(40), Some(60)]);
    assert_eq!(parts(&with("memory = \"60MiB\"", own)), [None, Some(40), Some(60)]);
    // One has its own, another shares half of what is left.
    let another = "[cache.b]\nkey = \"b:{x:int}\"\nload = \"SELECT {x}\"\nfresh_for = \"1s\"";
    let both = with("", &format!("{own}\n{another}"));
    assert_eq!(parts(&both), [Some(30), Some(40), Some(30)]);
    // A part may be small.
    assert_eq!(
        parts(&SMALL.replace("2s\"", "2s\"\nmemory = \"64KiB\"")),
        [None, Some(0), Some(255)]
    );
}

#[test]
fn what_is_evicted_is_said_once_for_all_or_for_each() {
    let config = |more: &str| parse(more).unwrap_or_else(|problems| panic!("{problems}"));
    let eviction = |part: Option<MemoryConfig>| part.map(|part| (part.policy, part.candidates));
    let own = "memory = \"1MiB\"\n";
    let whole = "[memory]\npolicy = \"sieve\"\ncandidates = \"expiring\"\n";
    let (all, expiring) = (Candidates::All, Candidates::Expiring);

    let shared = config(&format!("{SMALL}{whole}"));
    assert_eq!(eviction(shared.common), Some((PolicyKind::Sieve, expiring)));
    assert_eq!(eviction(shared.plain), Some((PolicyKind::Lru, expiring)));
    let inherited = config(&format!("{SMALL}{own}{whole}"));
    assert_eq!(eviction(inherited.caches[0].memory), Some((PolicyKind::Sieve, expiring)));
    let apart = config(&format!(
        "{SMALL}{own}policy = \"cost\"\ncandidates = \"all\"\n{whole}
         [plain]\npolicy = \"random\"\ncandidates = \"all\""
    ));
    assert_eq!(eviction(apart.caches[0].memory), Some((PolicyKind::CostAware, all)));
    assert_eq!(eviction(apart.plain), Some((PolicyKind::Random, all)));

    for kind in PolicyKind::ALL {
        let named = config(&format!("{SMALL}[memory]\npolicy = \"{kind}\""));
        assert_eq!(named.common.unwrap().policy, kind);
    }
}

#[test]
fn memory_that_is_not_there_cant_be_given() {
    let with = |cache: &str, sections: &str| {
        format!("{SMALL}{cache}\n[memory]\nlimit = \"64MiB\"\n{sections}\n")
    };
    let another = "[cache.b]\nkey = \"b:{x:int}\"\nload = \"SELECT {x}\"\nfresh_for = \"1s\"";
    let too_much = with("memory = \"65MiB\"", "[plain]\nenabled = false");
    check(
        &too_much,
        "larder.toml:8:10: 65MiB are given as somebody's own, and `limit` is 64MiB\n  8 | memory",
    );
    check(&too_much, "| limit = \"64MiB\"");
    check(&too_much, "= set `limit` to \"65MiB\" or more, or give less\n");
    check(&with("memory = \"64MiB\"", ""), "nothing is left for the plain keys");
    check(&with("memory = \"64MiB\"", ""), "set `limit` to \"65MiB\" or more, or give less; who");
    check(&with("memory = \"64MiB\"", ""), "says `enabled = false` in [plain]");
    check(
        &with("", "[plain]\nmemory = \"64MiB\""),
        "larder.toml:12:10: 64MiB are given as somebody's own, and `limit` is 64MiB: nothing is \
         left for the caches without memory of their own\n",
    );
    check(
        &with("memory = \"64MiB\"", another),
        "left for the caches without memory of their own, and for the plain keys",
    );
    check(
        &with("memory = \"32MiB\"", &format!("[plain]\nmemory = \"32MiB\"\n{another}")),
        "left for the caches without memory of their own\n",
    );
    check(&with("memory = \"99999TiB\"", "[plain]\nmemory = \"999TiB\""), "set `limit` to");
    check(&SMALL.replace("2s\"", "2s\"\nmemory = \"300MiB\""), "and `limit` is 256MiB");
    check(&cache_with("memory = \"63KiB\""), "`memory` must be at least 64KiB");
    check("[plain]\nmemory = \"63KiB\"", "`memory` must be at least 64KiB");

    check_warning(
        &with("memory = \"16MiB\"", "[plain]\nmemory = \"16MiB\""),
        "larder.toml:10:1: 32MiB of `limit` can't be used",
    );
    check_warning(&with("memory = \"16MiB\"", "[plain]\nenabled = false"), "set it to \"16MiB\"");
    check_warning("[plain]\nmemory = \"16MiB\"", "240MiB of `limit` can't be used");
}

#[test]
fn an_eviction_of_its_own_needs_memory_of_its_own() {
    for (line, name) in [("policy = \"lru\"", "policy"), ("candidates = \"all\"", "candidates")] {
        let lone = cache_with(line);
        let what = format!(
            "larder.toml:8:1: [cache.user] has a `{name}` of its own, and no `memory` of its own"
        );
        check(&lone, &what);
        check(
            &lone,
            &format!("add for instance `memory = \"16MiB\"`, or set `{name}` in [memory]"),
        );
        assert!(parse(&format!("{lone}memory = \"16MiB\"")).is_ok());
    }
    check(&cache_with("policy = \"lru\"\ncandidates = \"all\""), "2 errors");
    check(&cache_with("memory = \"16MiB\"\npolicy = \"lur\""), "`policy` is no policy");
    check(&cache_with("policy = \"LRU\""), "write one of lru, lfu, fifo, random, sieve, s3fifo,");
    check("[plain]\npolicy = \"allkeys-lfu\"", "`policy` is in Redis's words\n");
    check("[plain]\npolicy = \"allkeys-lfu\"", "= write \"lfu\"");
    check(
        "[memory]\nmaxmemory_policy = \"volatile-lru\"\npolicy = \"volatile-lru\"",
        "write `policy = \"lru\"` and `candidates = \"expiring\"`",
    );
    check("[memory]\ncandidates = \"volatile\"", "`candidates` must be \"all\" or \"expiring\"");
    for line in ["memory = \"1MiB\"", "policy = \"lru\"", "candidates = \"all\""] {
        let refused = format!("{SMALL}[plain]\nenabled = false\n{line}");
        check_warning(&refused, "never applies: plain keys are refused");
    }
    check_warning("[memory]\npolicy = \"lfu\"", "it is for caches, and there is none");
}

#[test]
fn what_nobody_reads_is_forgotten_only_in_memory_of_its_own() {
    check(
        &cache_with("idle_for = \"1s\""),
        "larder.toml:8:1: [cache.user] has an `idle_for` of its own, and no `memory` of its own",
    );
    check(&cache_with("idle_for = \"1s\""), "add for instance `memory = \"16MiB\"`, or leave it");
    check(&cache_with("memory = \"16MiB\"\nidle_for = \"0s\""), "must be from 1ms to 24h");
    check_warning(
        &cache_with("memory = \"16MiB\"\nidle_for = \"2s\""),
        "larder.toml:9:1: `idle_for` never applies: no entry lasts longer than 2s",
    );
    let lasting = cache_with("memory = \"16MiB\"\nidle_for = \"2s\"\nstale_on_error = \"1s\"");
    let config = parse(&lasting).unwrap();
    assert!(config.warnings.is_empty());
    assert_eq!(config.caches[0].memory.unwrap().idle_for, Some(Duration::from_secs(2)));
}
