//! How a source is asked, and when it is left alone.

use std::time::Duration;

use larder_core::Changes;
use larder_engine::BreakerBounds;

use super::{SMALL, check, check_warning, parse, source_with};

#[test]
fn a_source_can_be_asked() {
    let url = |url: &str| SMALL.replace("sqlite:shop.db", url);
    for good in ["postgres://h/d", "postgresql://u:p@h:1/d?sslmode=require", "sqlite:///a/b.db"] {
        assert!(parse(&url(good)).is_ok(), "{good}");
    }
    for (bad, part) in [
        ("", "`url` is empty"),
        ("shop.db", "`url` is no URL: it has no scheme"),
        ("postgres:h/d", "`//` must follow the scheme"),
        ("sqlite://", "`url` names no file"),
        ("postgres://localhost:port/shop", "has a url that Postgres does not understand"),
        ("sqlite::memory:", "name a file"),
        ("redis://h", "names no database that larder can ask"),
    ] {
        check(&url(bad), part);
    }
    for mysql in ["mysql://u:p@h:1/d", "mariadb://h/d?ssl-mode=REQUIRED"] {
        if cfg!(feature = "mysql") {
            assert!(parse(&url(mysql)).is_ok(), "{mysql}");
            check(&url("mysql:h/d"), "`//` must follow the scheme");
            check(&url("mysql://localhost:port/shop"), "has a url that MySQL does not understand");
        } else {
            check(&url(mysql), "build larder with the feature `mysql`");
        }
    }
    check("[source.a]", "larder.toml:1:9: [source.a] has no `url`");
    check(
        &source_with("changes = \"never\""),
        "`changes` must be \"unknown\", \"announced\" or \"static\"",
    );
    check_warning(&source_with("loads_max = 17"), "`loads_max` is larger than `connections`");
    check_warning(
        &format!("{SMALL}[source.b]\nurl = \"sqlite:b\"\n")
            .replace("max_staleness", "source = \"shop\"\nmax_staleness"),
        "no cache loads from [source.b]",
    );
    check_warning("[plain]\nenabled = false", "nothing can be read");
}

#[test]
fn a_breaker_is_what_its_numbers_say() {
    let breaker = |line: &str| {
        let config = parse(&source_with(line)).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.warnings.is_empty());
        let guard = config.sources[0].guard();
        assert_eq!((guard.loads_max, guard.loads_waiting_max), (16, 1024));
        guard.breaker
    };
    let given = "breaker_errors = 1\nbreaker_share = 0.25\nbreaker_window = \"20ms\"\n\
                 breaker_probe_after = \"2s\"\nbreaker_probe_after_max = \"2s\"";
    let two = Duration::from_secs(2);
    let bounds = BreakerBounds {
        errors_min: 1,
        error_share: 0.25,
        window: Duration::from_millis(20),
        probe_after: two,
        probe_after_max: two,
        ..BreakerBounds::default()
    };
    assert_eq!(breaker(given), Some(bounds));
    assert_eq!(breaker(&format!("breaker = true\n{given}")), Some(bounds));
    assert_eq!(breaker("breaker = false"), None);
    // The longest rest is never shorter than the first, if nothing is said.
    let minute = Duration::from_secs(60);
    let longest = breaker("breaker_probe_after = \"1m\"").unwrap().probe_after_max;
    assert_eq!(longest, minute);

    check(&source_with("breaker = \"on\""), "`breaker` must be true or false");
    check(&source_with("breaker_errors = 0"), "`breaker_errors` must be a whole number from 1");
    check(&source_with("breaker_share = 0"), "`breaker_share` must be a number above 0, up to 1");
    check(&source_with("breaker_share = 1.1"), "`breaker_share` must be a number above 0, up to 1");
    check(&source_with("breaker_window = \"9ms\""), "`breaker_window`: window must be at least 10");
    check(&source_with("breaker_probe_after = \"0s\""), "`breaker_probe_after` must be from 1ms");
    let short = "breaker_probe_after_max = \"4s\"";
    check(&source_with(short), "`breaker_probe_after_max` is shorter than `breaker_probe_after`");
    check(&source_with(short), "set it to \"5s\" or more, or leave it out");
    check_warning(
        &source_with("breaker = false\nbreaker_errors = 7"),
        "`breaker_errors` never applies: `breaker = false`",
    );
}

#[test]
fn a_source_says_who_changes_its_data() {
    for (line, changes) in [
        ("", Changes::Unknown),
        ("changes = \"unknown\"", Changes::Unknown),
        ("changes = \"announced\"", Changes::Announced),
        ("changes = \"static\"", Changes::Static),
    ] {
        assert_eq!(parse(&source_with(line)).unwrap().sources[0].changes, changes, "{line}");
    }
}
