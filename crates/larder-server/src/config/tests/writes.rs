//! How a cache is written, and `[journal]`.

use std::path::Path;
use std::time::Duration;

use larder_engine::behind::BehindBounds;
use larder_engine::{Consistency, Install, WriteMode};
use larder_journal::Durability;

use super::super::value::size_text;
use super::{check, check_warning, parse};

const STORE: &str = "store = \"INSERT INTO users (id, name) VALUES ({id}, {name}) ON CONFLICT (id) \
                     DO UPDATE SET name = excluded.name RETURNING id, name\"";
const DELETE: &str = "delete = \"DELETE FROM users WHERE id = {id}\"";
const ADD: &str = "add = \"UPDATE users SET visits = visits + {delta} WHERE id = {id}\"";
const BEHIND: &str = "write = \"behind\"";
const JOURNAL: &str = "[journal]\npath = \"journal\"\n";

/// A file with a cache that has these lines, and these sections before it.
fn file(sections: &str, lines: &[&str]) -> String {
    let lines = lines.join("\n");
    format!(
        "{sections}[source.shop]\nurl = \"sqlite:shop.db\"\n[cache.user]\nkey = \
         \"user:{{id:int}}\"\nload = \"SELECT id, name FROM users WHERE id = {{id}}\"\nmax_staleness = \
         \"2s\"\n{lines}\n"
    )
}

/// The same over a Redis, whose source says that all changes are announced.
fn shared(lines: &[&str]) -> String {
    file("[shared]\nurl = \"redis://localhost\"\n", lines)
        .replace("shop.db\"\n", "shop.db\"\nchanges = \"announced\"\n")
}

/// The same over SQLite where the value is many rows.
fn many(lines: &[&str]) -> String {
    file(JOURNAL, &[&["rows = \"many\""], lines].concat())
}

/// What the options of writes and of the journal resolve to when they aren't given.
pub(super) fn defaults() -> Vec<(&'static str, &'static str, String)> {
    let config = parse(&file(JOURNAL, &[DELETE, BEHIND])).unwrap();
    let journal = config.journal.unwrap();
    let writes = parse(&file("", &[DELETE])).unwrap().caches.remove(0).writes.unwrap();
    assert_eq!((writes.install, writes.counter), (Install::IfHeld, None));
    assert_eq!(journal.durability, Durability::Fsync);
    assert_eq!(journal.bounds, BehindBounds::default());
    let interval = file(&format!("{JOURNAL}durability = \"interval\"\n"), &[DELETE, BEHIND]);
    let durability = parse(&interval).unwrap().journal.unwrap().durability;
    let Durability::Interval(sync_every) = durability else { panic!("{durability:?}") };
    let show = |duration| humantime::format_duration(duration).to_string();
    vec![
        ("cache", "write", format!("{:?}", writes.mode).to_lowercase()),
        ("cache", "install", "if_cached".to_owned()),
        ("cache", "write_timeout", show(writes.timeout)),
        ("journal", "durability", format!("{:?}", journal.durability).to_lowercase()),
        ("journal", "sync_every", show(sync_every)),
        ("journal", "limit", size_text(journal.limit)),
        ("journal", "delay", show(journal.bounds.delay)),
        ("journal", "batch_max", journal.bounds.batch_max.to_string()),
        ("journal", "keys_max", journal.bounds.keys_max.to_string()),
        ("journal", "bytes_max", size_text(journal.bounds.bytes_max as u64)),
        ("journal", "stop_within", show(journal.stop_within)),
    ]
}

/// Who copies an example of the documentation gets what it says.
#[test]
fn the_examples_of_the_documentation_are_good() {
    let source = "[source.shop]\nurl = \"sqlite:shop.db\"\n";
    let reference = super::super::reference();
    let (_, writing) = reference.split_once("### Writing").unwrap();
    let concepts = include_str!("../../../../../docs/concepts/writing.md");
    for (page, mode) in [(writing, WriteMode::Behind), (concepts, WriteMode::Through)] {
        let (_, rest) = page.split_once("```toml\n").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let config = parse(&format!("{source}{text}")).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        assert_eq!(config.caches[0].writes.as_ref().unwrap().mode, mode);
    }
}

#[test]
fn a_cache_is_written_as_its_section_says() {
    let lines = [STORE, DELETE, ADD, "write = \"through\"", "install = \"always\""];
    let config = parse(&file(
        "",
        &[&lines[..], &["write_timeout = \"30s\"", "counter = \"visits\""]].concat(),
    ));
    let config = config.unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let cache = &config.caches[0];
    let writes = cache.writes.as_ref().unwrap();
    assert_eq!((writes.mode, writes.install), (WriteMode::Through, Install::Always));
    assert_eq!(
        (writes.timeout, writes.counter.as_deref()),
        (Duration::from_secs(30), Some("visits"))
    );
    assert_eq!(writes.verbs(), ["store", "delete", "add"]);
    // The database stops a statement no sooner than larder does.
    assert_eq!(config.sources[0].write_timeout, Duration::from_secs(30));
    let statements = writes.statements(&cache.name, cache.load());
    assert_eq!((&*statements.cache, statements.load.sql), ("user", cache.load.clone()));
    assert!(parse(&file("", &[])).unwrap().caches[0].writes.is_none());
    assert!(!cache.is_behind());
}

#[test]
fn a_journal_is_what_its_section_says() {
    let options = "durability = \"memory\"\nlimit = \"64MiB\"\ndelay = \"20ms\"\nbatch_max = \
                   100\nkeys_max = 80\nbytes_max = \"16MiB\"\nstop_within = \"1m\"\n";
    let config = parse(&file(&format!("{JOURNAL}{options}"), &[STORE, BEHIND])).unwrap();
    assert!(config.warnings.is_empty() && config.caches[0].is_behind());
    let journal = config.journal.unwrap();
    assert_eq!(journal.path, Path::new("journal"));
    assert_eq!((journal.durability, journal.limit), (Durability::Memory, 64 << 20));
    assert_eq!(journal.stop_within, Duration::from_secs(60));
    let bounds = journal.bounds;
    assert_eq!((bounds.delay, bounds.batch_max), (Duration::from_millis(20), 100));
    // What is slowed down is slowed down before it is refused, and written before that.
    assert_eq!((bounds.batch_from, bounds.slow_from, bounds.keys_max), (50, 50, 80));
    assert_eq!(bounds.bytes_max, 16 << 20);
    for (wrong, part) in [
        ("durability = \"always\"", "must be \"fsync\", \"interval\" or \"memory\""),
        ("limit = \"31MiB\"", "must be at least 32MiB"),
        ("bytes_max = \"1MiB\"", "must be at least 8MiB"),
        ("keys_max = 7", "from 8 to 10000000"),
        ("delay = \"0s\"", "must be from 1ms to 24h"),
    ] {
        check(&file(&format!("{JOURNAL}{wrong}\n"), &[STORE, BEHIND]), part);
    }
    check(&file("[journal]\n", &[STORE, BEHIND]), "[journal] has no `path`");
    let unused = format!("{JOURNAL}sync_every = \"1s\"\n");
    check_warning(&file(&unused, &[STORE, BEHIND]), "`sync_every` never applies");
}

/// The least that a journal may hold is enough to open one.
#[test]
fn the_smallest_journal_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let section = format!("[journal]\npath = \"{}\"\nlimit = \"32MiB\"\n", path.display());
    let journal = parse(&file(&section, &[STORE, BEHIND])).unwrap().journal.unwrap();
    journal.open().unwrap();
    assert!(path.is_dir());
}

#[test]
fn a_journal_that_no_cache_uses_is_warned_of_and_kept() {
    let text = file(JOURNAL, &[STORE]);
    check_warning(&text, "no cache is written behind");
    // An earlier run may have left something in it, which must not go unnoticed.
    assert!(parse(&text).unwrap().journal.is_some());
}

#[test]
fn writes_that_contradict_themselves_are_refused_where_they_stand() {
    let of = |lines: &[&str]| file("", lines);
    for (text, part) in [
        (of(&["write = \"through\""]), "`write` says how to write, and there is no statement"),
        (of(&["install = \"always\""]), "`install` says how to write"),
        (of(&[STORE, "write = \"back\""]), "must be \"around\", \"through\" or \"behind\""),
        (of(&[STORE, "install = \"never\""]), "must be \"if_cached\" or \"always\""),
        (of(&[STORE, "install = \"always\""]), "which only `write = \"through\"` does"),
        (of(&[STORE, BEHIND]), "there is no `[journal]`"),
        (of(&[STORE, "write_timeout = \"0s\""]), "must be from 1ms to 24h"),
        (many(&[STORE]), "`rows = \"many\"` the value is an array"),
        (of(&["store = \"SELECT 1\""]), "store begins with SELECT"),
        (of(&["delete = \"DELETE FROM users\""]), "delete names no parameter of the key"),
        (of(&["delete = \"DELETE FROM users WHERE id = {nr}\""]), "{nr}"),
        (of(&["add = \"UPDATE users SET visits = 1 WHERE id = {id}\""]), "does not name {delta}"),
    ] {
        check(&text, part);
    }
    let fixed = file("", &[STORE]).replace("shop.db\"\n", "shop.db\"\nchanges = \"static\"\n");
    check(&fixed, "`changes = \"static\"` of the source says never changes");
}

#[test]
fn each_statement_that_is_wrong_is_reported_where_it_stands() {
    let text = file("", &["store = \"SELECT 1\"", DELETE, "add = \"UPDATE users SET n = 1\""]);
    let problems = parse(&text).unwrap_err();
    let lines: Vec<_> = problems.errors.iter().map(|error| error.places[0].line).collect();
    assert_eq!(lines, [7, 9], "{problems}");
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let through = "write = \"through\"";
    let if_cached = "install = \"if_cached\"";
    for (text, part) in [
        (file("", &["write_timeout = \"1s\""]), "`write_timeout` never applies"),
        (file("", &["counter = \"n\""]), "`counter` never applies: there is no statement"),
        (file("", &[STORE, if_cached]), "`install` never applies"),
        (file("", &[STORE, "counter = \"n\""]), "there is no `add`"),
        (
            file(JOURNAL, &[STORE, BEHIND, "write_timeout = \"1s\""]),
            "`write_timeout` never applies",
        ),
        (shared(&[STORE, through]), "is as around here: other larders may write"),
        (shared(&["consistency = \"guarded\""]), "this cache takes none here"),
        (file("", &[DELETE, through, "rows = \"many\""]), "the value is many of them"),
        (many(&[ADD, BEHIND]), "the key can't be read"),
        (
            file("", &["delete = \"DELETE FROM users WHERE {id} > 0\""])
                .replace("{id:int}", "{id:int}:{language:text}"),
            "delete ignores {language}",
        ),
    ] {
        let config = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let shown: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        assert!(shown.iter().any(|one| one.contains(part)), "not the warning: {part}\n{shown:#?}");
    }
    let raw = file("", &[ADD, "counter = \"name\"", "column = \"raw\""]);
    check_warning(&raw, "`counter` never applies: with `column = \"raw\"`");
}

#[test]
fn guarded_writes_need_somebody_who_keeps_a_writers_word() {
    for level in ["guarded", "strict"] {
        let line = format!("consistency = \"{level}\"");
        let good = shared(&[STORE, "write = \"through\"", &line]);
        let config = parse(&good).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        let cache = &config.caches[0];
        assert!(cache.window.vouched);
        let expected = [Consistency::Guarded, Consistency::Strict];
        assert!(expected.contains(&cache.sharing.consistency));
        for (text, part) in [
            (file("", &[STORE, &line]), "there is no `[shared]`"),
            (good.replace("redis://", "memcached://"), "Memcached doesn't"),
            (good.replace("announced", "unknown"), "doesn't say that all are announced"),
            (format!("{good}shared = false\n"), "this cache isn't there"),
        ] {
            check(&text, part);
        }
    }
}

#[test]
fn the_report_says_who_sees_what_when_and_what_is_lost() {
    let report = |text: String| parse(&text).unwrap().report();
    let check = |text: String, parts: &[&str]| {
        let report = report(text);
        for part in parts {
            assert!(report.contains(part), "{part:?} in {report}");
        }
    };
    check(
        file("", &[STORE, DELETE]),
        &[
            "written around (store, delete): a write returns when the database has committed it, within \
         10s, and the next read loads",
            "another larder that holds the key answers with it for 2s at most",
            "while the database is down writes are refused, and nothing is written",
        ],
    );
    check(
        file("", &[STORE, "write = \"through\""]),
        &["written through (store)", "takes the place of what was held if nothing overlapped"],
    );
    check(
        file("", &[STORE, "write = \"through\"", "install = \"always\""]),
        &["what it returned is held"],
    );
    check(shared(&[STORE]), &["other larders hear of it after the commit; if this one dies"]);
    check(shared(&[STORE, "consistency = \"guarded\""]), &["a write is as with \"bounded\""]);
    check(shared(&[STORE, "consistency = \"strict\""]), &["writes are refused"]);
    for (level, part) in [("guarded", "before its write is acknowledged"), ("strict", "refused")] {
        let level = format!("consistency = \"{level}\"");
        let text = shared(&[STORE, BEHIND, &level]);
        check(text.replace("[source", &format!("{JOURNAL}[source")), &[part]);
    }
    check(
        file(JOURNAL, &[STORE, BEHIND]),
        &[
            "written behind (store): a write returns when the journal has it, and the database has it \
         after about 1s",
            "what waits is applied once at the next start",
            "while the database is down it waits",
            "journal: journal, at most 1GiB",
            "nothing is lost when the process is killed or the power fails",
            "with 10000 keys of a cache waiting its writes slow down, with 16000 keys or 64MiB they are \
         refused",
            "what waits is applied for 5s at most",
        ],
    );
    for (durability, part) in [
        ("interval", "what was acknowledged in the last 100ms when the power fails"),
        ("memory", "when the process is killed at most 32MiB of them are lost"),
    ] {
        let journal = format!("{JOURNAL}durability = \"{durability}\"\n");
        check(file(&journal, &[STORE, BEHIND]), &[part]);
    }
    assert!(!report(file("", &[])).contains("written"));
}
