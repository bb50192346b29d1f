//! `feed` of a source, and what changes of tables touch in its caches.

use std::time::Duration;

use super::super::FeedKind;
use super::super::value::size_text;
use super::{check, parse};

/// A file with a source that has these options, and a cache with these.
fn fed(url: &str, source: &str, cache: &str) -> String {
    format!(
        "[source.shop]\nurl = \"{url}\"\n{source}\n[cache.user]\nkey = \"user:{{id:int}}\"\nload = \
         \"SELECT id FROM users WHERE id = {{id}}\"\n{cache}\n"
    )
}

/// What holds when an option isn't given.
pub(super) fn defaults() -> Vec<(&'static str, &'static str, String)> {
    let feed = parse(&fed(POSTGRES, LOGICAL, LONG)).unwrap().sources.remove(0).feed.unwrap();
    let section = format!("{LONG}\n[source.shop.debezium]\nfrom = \"http\"");
    let debezium = parse(&fed(POSTGRES, "feed = \"debezium\"", &section)).unwrap();
    let debezium = debezium.sources[0].feed.clone().unwrap().debezium.unwrap();
    vec![
        ("source", "feed_name", feed.name),
        ("source", "feed_behind_max", size_text(feed.behind_max)),
        ("source", "feed_changes_max", feed.changes_max.to_string()),
        ("debezium", "in_transactions", debezium.in_transactions.to_string()),
    ]
}

const POSTGRES: &str = "postgres://localhost/shop";
const LOGICAL: &str = "feed = \"logical\"";
const LONG: &str = "max_staleness = \"2s\"\nfresh_for = \"1h\"";

#[test]
fn where_a_feed_tells_of_changes_an_answer_may_be_fresh_for_longer_than_the_promise() {
    let config = parse(&fed(POSTGRES, LOGICAL, LONG)).unwrap();
    assert!(config.caches[0].window.vouched);
    let feed = config.sources[0].feed.as_ref().unwrap();
    assert_eq!((feed.kind, &*feed.name, feed.behind_max), (FeedKind::Logical, "larder", 1 << 30));
    let report = config.report();
    assert!(report.contains("at most 2s behind the database, counted from the commit"), "{report}");
    assert!(report.contains("feed: logical, called larder in the database"), "{report}");
    let default = parse(&fed(POSTGRES, LOGICAL, "max_staleness = \"2s\"")).unwrap();
    assert_eq!(default.caches[0].window.fresh_for, Duration::from_secs(3600));
    check(&fed(POSTGRES, "", LONG), "without a stream of changes nothing but age bounds");
}

#[test]
fn a_feed_is_for_a_database_that_has_it() {
    check(&fed("sqlite:shop.db", LOGICAL, LONG), "`feed = \"logical\"` is for postgres");
    check(&fed("sqlite:shop.db", LOGICAL, LONG), "write `feed = \"triggers\"`");
    check(
        &fed(POSTGRES, "feed = \"binlog\"", LONG),
        "`feed = \"logical\"` or `feed = \"triggers\"`",
    );
    check(&fed(POSTGRES, "feed = \"gossip\"", LONG), "names no feed");
    for url in [POSTGRES, "sqlite:shop.db"] {
        let config = parse(&fed(url, "feed = \"triggers\"", LONG)).unwrap();
        assert!(config.report().contains("keeps 1000000 changes"), "{}", config.report());
        let fewer = "feed = \"triggers\"\nfeed_changes_max = 5000";
        let config = parse(&fed(url, fewer, LONG)).unwrap();
        assert_eq!(config.sources[0].feed.as_ref().unwrap().changes_max, 5000);
        assert!(config.report().contains("keeps 5000 changes"), "{}", config.report());
    }
    check(
        &fed(POSTGRES, "feed = \"logical\"\nfeed_behind_max = \"1MiB\"", LONG),
        "must be at least 16MiB",
    );
}

#[test]
fn the_log_that_is_kept_while_no_larder_runs_is_said_with_the_feed() {
    let of = |source: &str| parse(&fed(POSTGRES, source, LONG)).unwrap();
    assert_eq!(of(LOGICAL).sources[0].feed.as_ref().unwrap().wal_budget, None);
    let config = of("feed = \"logical\"\nfeed_wal_budget = \"2GiB\"");
    assert_eq!(config.sources[0].feed.as_ref().unwrap().wal_budget, Some(2 << 30));
    assert!(config.report().contains("and 2GiB while no larder runs"), "{}", config.report());
    let less = "feed = \"logical\"\nfeed_wal_budget = \"1MiB\"";
    check(&fed(POSTGRES, less, LONG), "must be at least 16MiB");
    for (source, option) in [
        ("feed = \"triggers\"\nfeed_wal_budget = \"2GiB\"", "feed_wal_budget"),
        ("feed = \"logical\"\nfeed_changes_max = 5000", "feed_changes_max"),
    ] {
        let told = of(source).warnings;
        let says = |part: &str| told.iter().any(|warning| warning.to_string().contains(part));
        assert!(says(option) && says("never applies"), "{told:?}");
    }
}

#[test]
fn debezium_says_where_its_records_come_from() {
    let debezium =
        |section: &str| fed(POSTGRES, "feed = \"debezium\"", &format!("{LONG}\n{section}"));
    let config =
        parse(&debezium("[source.shop.debezium]\nfrom = \"redis://r\"\ntopics = [\"a\"]")).unwrap();
    assert!(config.report().contains("from the streams of a Redis\n"), "{}", config.report());
    let nats = "[source.shop.debezium]\nfrom = \"nats://ann:s3cret@n:4222\"\ntopics = [\"a\"]";
    if cfg!(feature = "nats") {
        let config = parse(&debezium(nats)).unwrap();
        assert!(config.report().contains("from a stream of a NATS\n"), "{}", config.report());
        assert!(!format!("{config:?} {}", config.report()).contains("s3cret"));
    } else {
        check(&debezium(nats), "names a NATS, which was left out of this build");
    }
    let without = "[source.shop.debezium]\nfrom = \"http\"\nheartbeat = \"none\"";
    let report = parse(&debezium(without)).unwrap().report();
    assert!(report.contains("without a heartbeat nobody knows how far it is"), "{report}");
    for (section, part) in [
        ("", "nobody says where Debezium's records come from"),
        ("[source.shop.debezium]\nfrom = \"redis://r\"", "nobody says which topics"),
        ("[source.shop.debezium]\nfrom = \"amqp://q\"", "names nothing that carries"),
        ("[source.shop.debezium]\ntopics = [\"a\"]", "has no `from`"),
    ] {
        check(&debezium(section), part);
    }
    let logical = format!("{LONG}\n[source.shop.debezium]\nfrom = \"http\"");
    let told = parse(&fed(POSTGRES, LOGICAL, &logical)).unwrap().warnings;
    assert!(told.iter().any(|warning| warning.to_string().contains("never applies")), "{told:?}");
}

#[test]
fn a_feed_and_who_changes_the_data_are_not_said_both() {
    for changes in ["unknown", "announced", "static"] {
        let both = format!("{LOGICAL}\nchanges = \"{changes}\"");
        check(&fed(POSTGRES, &both, LONG), "`changes` has nothing to say");
    }
}

#[test]
fn a_feed_is_refused_where_a_gap_could_not_be_undone() {
    let memcached = format!("[shared]\nurl = \"memcached://a\"\n{}", fed(POSTGRES, LOGICAL, LONG));
    check(&memcached, "a Memcached can't forget the entries of a cache");
    parse(&memcached.replace("memcached://a", "redis://a")).unwrap();
}

#[test]
fn where_a_feed_tells_nothing_has_to_be_announced_before() {
    let shared = "[shared]\nurl = \"redis://a\"\n";
    let guarded = format!("{LONG}\nconsistency = \"guarded\"");
    let text = format!("{shared}{}", fed(POSTGRES, LOGICAL, &guarded));
    check(&text, "with a feed the promise counts from the commit");
}

#[test]
fn what_names_a_feed_means_nothing_without_one() {
    let named = parse(&fed(POSTGRES, "feed_name = \"mine\"", "max_staleness = \"2s\"")).unwrap();
    let told = named.warnings.iter().map(ToString::to_string).collect::<String>();
    assert!(told.contains("`feed_name` never applies"), "{told}");
}

#[test]
fn a_filter_may_stand_where_a_feed_tells_of_inserts() {
    let bloom = "\n[cache.user.bloom]\nkeys = \"SELECT id FROM users\"";
    parse(&fed(POSTGRES, LOGICAL, &format!("{LONG}{bloom}"))).unwrap();
    check(
        &fed(POSTGRES, "", &format!("max_staleness = \"2s\"{bloom}")),
        "a filter denies a row that was inserted behind its back",
    );
}

#[test]
fn what_a_change_touches_is_said_in_a_list_or_in_sections() {
    let list = "\ninvalidate = [{ table = \"logins\", key = \"user:{user_id}\" }, { table = \
                \"teams\", tags = [\"team:{id}\"] }, { table = \"audit\" }]";
    let sections = "\n[[cache.user.invalidate]]\ntable = \"logins\"\nkey = \
                    \"user:{user_id}\"\n[[cache.user.invalidate]]\ntable = \"teams\"\ntags = \
                    [\"team:{id}\"]\n[[cache.user.invalidate]]\ntable = \"audit\"";
    let of = |rules: &str| {
        let config = parse(&fed(POSTGRES, LOGICAL, &format!("{LONG}{rules}"))).unwrap();
        let report = config.report();
        for sentence in [
            "a change of logins touches the key of its user_id",
            "a change of teams touches the tag team:{id}",
            "a change of audit touches nothing",
        ] {
            assert!(report.contains(sentence), "{report}");
        }
        config.caches[0].invalidate.clone()
    };
    assert_eq!(of(list), of(sections));
    assert_eq!(of(list)[0].columns.as_deref(), Some(&["user_id".to_owned()][..]));
}

#[test]
fn what_a_change_touches_is_refused_where_it_can_not_be() {
    for (rules, part) in [
        ("invalidate = [{ key = \"user:{id}\" }]", "has no `table`"),
        (
            "invalidate = [{ table = \"t\", key = \"item:{id}\" }]",
            "is not user:{id:int} with a column",
        ),
        ("invalidate = [{ table = \"t\", key = \"user:{a}:{b}\" }]", "is not user:{id:int}"),
        ("invalidate = [{ table = \"t\", keys = \"user:{id}\" }]", "no option of"),
        ("invalidate = [{ table = \"t\" }, { table = \"t\" }]", "is said twice"),
        ("invalidate = \"t\"", "is a section, not a value"),
        ("invalidate = [\"t\"]", "is a section, not a value"),
    ] {
        check(&fed(POSTGRES, LOGICAL, &format!("{LONG}\n{rules}")), part);
    }
    let alone = "max_staleness = \"2s\"\ninvalidate = [{ table = \"t\" }]";
    check(&fed(POSTGRES, "", alone), "the source of this cache has no `feed`");
}
