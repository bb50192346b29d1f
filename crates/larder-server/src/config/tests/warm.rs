//! `[cache.NAME.warm]`: what a cache is filled with before anybody asks.

use std::num::NonZeroU32;

use super::super::WarmConfig;
use super::{SMALL, cache_with, check, check_warning, parse, windows};

#[test]
fn a_cache_is_warmed_as_its_inner_section_says() {
    let text = windows(
        "max_staleness = \"1h\"
         [cache.user.warm]
         last_run = \"hot\"
         log = \"log\"
         query = \"SELECT id FROM users\"
         keys_max = 7
         loads_max = 2
         per_second = 9
         ready_waits = true",
    );
    let config = parse(&text).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let warm = WarmConfig {
        cache: 0,
        last_run: Some("hot".into()),
        log: Some("log".into()),
        query: Some("SELECT id FROM users".to_owned()),
        keys_max: 7,
        loads_max: Some(2),
        per_second: NonZeroU32::new(9),
        ready_waits: true,
    };
    assert_eq!(config.warm, [warm]);
    assert!(config.report().contains(
        "  at the start it is filled, as far as there is free room, with the last run's hottest \
         keys (hot), then the keys in log, then the keys of a query; 7 keys at most; the server \
         is ready after that\n"
    ));
    assert!(parse(SMALL).unwrap().warm.is_empty());
}

#[test]
fn a_warming_that_can_be_none_is_an_error_with_the_cure() {
    let hour = |lines: &str| windows(&format!("max_staleness = \"1h\"\n{lines}"));
    for (text, part) in [
        ("[cache.user.warm]", "[cache.user.warm] doesn't say what is loaded"),
        ("[cache.user.warm]\nquery = \"DELETE FROM users\"", "the query for keys begins with"),
        ("[cache.user.warm]\nquery = \"SELECT {id}\"", "it has nothing to bind"),
        ("[cache.user.warm]\nlast = \"x\"", "`last` is no option of [cache.user.warm]"),
        ("warm = true", "write [cache.NAME.warm] on a line of its own, once for each cache"),
        ("[warm]\nlog = \"x\"", "`warm` is no section"),
        ("[cache.other.warm]\nlog = \"x\"", "[cache.other] has no `key`"),
        (
            "[cache.user.warm]\nlast_run = \"x\"
             [cache.item]\nkey = \"item:{id:int}\"\nload = \"SELECT {id}\"\nmax_staleness = \"1h\"
             [cache.item.warm]\nlast_run = \"x\"",
            "two caches save their keys in one file",
        ),
    ] {
        check(&hour(text), part);
    }
    check_warning(&cache_with("[cache.user.warm]\nlog = \"x\""), "what is loaded is gone again");
}
