//! `[cache.NAME.bloom]`: the filter of a cache.

use std::time::Duration;

use larder_engine::filter::FilterOptions;

use super::super::BloomConfig;
use super::{SMALL, parse, source_with};

/// A configuration whose data `changes`, with this in the section of its filter.
pub(super) fn bloomed(changes: &str, bloom: &str) -> String {
    source_with(&format!("changes = \"{changes}\"")) + &format!("\n[cache.user.bloom]\n{bloom}")
}

#[test]
fn a_cache_has_a_filter_as_its_inner_section_says() {
    let bloom = "keys = \"SELECT id FROM users\"\nfalse_positives = 0.001\nbytes_max = \"1MiB\"\n\
                 rebuild_after = \"1h\"";
    let config = parse(&bloomed("announced", bloom)).unwrap();
    let options = FilterOptions {
        false_positives: 0.001,
        bytes_max: 1 << 20,
        rebuild_after: Duration::from_secs(3600),
        ..FilterOptions::default()
    };
    let keys = "SELECT id FROM users".to_owned();
    assert_eq!(config.bloom, [BloomConfig { cache: 0, keys, options }]);
    assert!(config.report().contains("about one in 1000 of them gets through"));
    assert!(parse(SMALL).unwrap().bloom.is_empty());
}

#[test]
fn a_filter_that_can_be_none_is_an_error_with_the_cure() {
    let keys = "keys = \"SELECT id FROM users\"";
    for (text, reason) in [
        (bloomed("unknown", keys), "set `changes = \"announced\"` in the source"),
        // Another source is at fault: this one is told all the same.
        (
            "[source.a]\nurl = \"nosuch:\"\n[source.b]\nurl = \"sqlite:b.db\"\n\
             changes = \"static\"\n[cache.user]\nsource = \"b\"\nkey = \"user:{id:int}\"\n\
             load = \"SELECT name FROM users WHERE id = {id}\"\nmax_staleness = \"2s\"\n\
             [cache.user.bloom]\nkeys = \"DELETE FROM users\""
                .to_owned(),
            "the query for keys begins with",
        ),
        (bloomed("static", ""), "`keys`"),
        (bloomed("static", "keys = \"DELETE FROM users\""), "the query for keys begins with"),
        (bloomed("static", &format!("{keys}\nfalse_positives = 0.9")), "at most 0.5"),
        (bloomed("static", &format!("{keys}\nrebuild_after = \"0s\"")), "needs time"),
        (bloomed("static", &format!("{keys}\nbytes_max = \"1B\"")), "must be at least 1KiB"),
    ] {
        let problems = parse(&text).unwrap_err().to_string();
        assert!(problems.contains(reason), "{reason}\nnot in\n{problems}");
    }
}
