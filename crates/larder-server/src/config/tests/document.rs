//! Names, shapes and values, and how mistakes in them are shown.

use std::time::Duration;

use larder_sql::{Format, Rows};

use super::super::Problems;
use super::{SMALL, cache_with, check, parse, source_with};

#[test]
fn an_unknown_name_is_an_error_with_the_nearest_one() {
    check(
        &cache_with("fresh_fro = \"1s\""),
        "larder.toml:8:1: `fresh_fro` is no option of [cache.user]\n  8 | fresh_fro = ***\n    \
         | ^^^^^^^^^\n  = did you mean `fresh_for`? What larder doesn't know is an error, because",
    );
    check(&cache_with("zzzzzzzz = 1"), "[cache.user] knows key, load, source, rows, column,");
    check(&cache_with("connections = 1"), "`connections` belongs to [source.NAME]");
    check("[memroy]", "did you mean [memory]?");
    check("max_staleness = \"1s\"", "`max_staleness` belongs to [cache.NAME]");
    check(
        "[zzzzzzzz]",
        "the sections are [listen], [memory], [plain], [shared], [source.NAME], [source.NAME.debezium], [cache.NAME], [[cache.NAME.invalidate]], [cache.NAME.bloom], [cache.NAME.warm], [journal], [edge.NAME], [edge.NAME.tls], [[edge.NAME.rules]], [edge.NAME.webhook], [trace]",
    );
    check("\"\\u001b[31m\" = 1", "`\\u{1b}[31m` is no section");
    check("[cache.\"\\u001b[31m\"]", "[cache.\\u{1b}[31m] has no `key`");
    check(&format!("{} = 1", "x".repeat(65)), &format!("`{}…` is no section", "x".repeat(64)));
}

#[test]
fn a_section_has_its_shape() {
    check("listen = 1", "larder.toml:1:1: `listen` is a section, not a value");
    check("cache = 1", "write [cache.NAME] on a line of its own, once for each name");
    check("[[memory]]", "`memory` is a section, not a value");
    check("[cache]\nkey = \"k\"", "larder.toml:2:1: [cache] holds named sections, not options");
    for name in ["User", "1user", "\"user:x\"", "\"\"", "_x", &"x".repeat(65)] {
        check(&format!("[cache.{name}]"), "this can't be the name of a cache");
    }
    assert!(parse(&SMALL.replace("cache.user", &format!("cache.{}", "x".repeat(64)))).is_ok());
    assert!(parse(&SMALL.replace("cache.user", "cache.user-2_b")).is_ok());
    check("a = ", "larder.toml:1:5: this is not TOML");
    check(
        "[memory]\nlimit = \"1MiB\"\nlimit = \"2MiB\"",
        "larder.toml:3:1: this is not TOML: duplicate key",
    );
}

#[test]
fn all_problems_are_reported_at_once_and_in_order() {
    let problems = parse(
        "[listen]\nresp = \"0.0.0.0:1\"\nworkers = 0\n[memory]\nlimit = 5\n[cache.a]\nkey = \"a:{x}\"\n\
         [cache.b]\nkey = \"b\"\nfresh_for = \"x\"\n",
    )
    .unwrap_err();
    let lines: Vec<usize> = problems.errors.iter().map(|problem| problem.places[0].line).collect();
    assert_eq!(lines, [2, 2, 3, 5, 6, 6, 6, 7, 8, 8, 10], "{problems}");
    assert!(problems.to_string().ends_with("11 errors"));
}

#[test]
fn values_have_their_kind() {
    check(&cache_with("fresh_for = 2"), "`fresh_for` must be a duration");
    check(&cache_with("fresh_for = 2"), "put it in quotes, with its unit: \"2s\"");
    check(&cache_with("fresh_for = \"2\""), "larder.toml:8:13: `fresh_for` is no duration");
    check("[memory]\nlimit = 268435456", "with its unit: \"256MiB\"");
    check("[memory]\nlimit = \"256MB\"", "some read as a power of ten");
    check("[memory]\nlimit = \"1023KiB\"", "`limit` must be at least 1MiB");
    check(&source_with("connections = \"8\""), "write it without quotes");
    check(&source_with("connections = 0"), "a whole number from 1 to 1000");
    check(&source_with("connections = 99999999999999999999999"), "a whole number from 1 to");
    check(&source_with("connections = 8.0"), "`connections` must be a whole number");
    check("[plain]\nenabled = \"true\"", "write true or false without quotes");
    check("[trace]\nfile = \"k\"\nsample = 0", "`sample` must be a number above 0, up to 1");
    check("[trace]\nfile = \"k\"\nsample = 1.5", "write a part: 0.01 is a hundredth");
    check("[trace]\nfile = \"k\"\nsample = nan", "`sample` must be a number above 0");
    check("[trace]\nfile = \"k\"\nsample = \"0.1\"", "write it without quotes");
    check("[trace]\nfile = \" \"", "`file` is empty");
    check("[trace]", "[trace] has no `file`");
    check(&cache_with("rows = \"all\""), "`rows` must be \"one\" or \"many\"");
    check(&cache_with("column = \"json\""), "`column` must be \"raw\"");
    check(&cache_with("deadline = \"0s\""), "`deadline` must be from 1ms to 24h");
    check(&source_with("load_timeout = \"25h\""), "`load_timeout` must be from 1ms to 24h");
    let sixteen = parse(&source_with("connections = 0x10")).unwrap();
    assert_eq!(sixteen.sources[0].connections, 16);
    let raw = parse(&cache_with("column = \"raw\"")).unwrap();
    assert_eq!((raw.caches[0].rows, raw.caches[0].format), (Rows::One, Format::Raw));
}

#[test]
fn the_environment_fills_in_text_and_numbers() {
    let config = parse(&source_with("connections = \"${EIGHT}\"\nload_timeout = \"${EIGHT}s\""));
    let source = &config.unwrap().sources[0];
    assert_eq!((source.connections, source.load_timeout), (8, Duration::from_secs(8)));
    let config = parse("[plain]\nenabled = \"${YES}\"").unwrap();
    assert!(config.plain.is_some());
    check("[plain]\nenabled = \"${EIGHT}\"", "`enabled` must be true or false");
    check(
        &source_with("load_timeout = \"${NOT_SET}\""),
        "larder.toml:4:17: not set in the environment: NOT_SET\n  4 | load_timeout = \
         \"${NOT_SET}\"\n    |                 ^^^^^^^^^^",
    );
    check(&source_with("load_timeout = \"${A}${B}\""), "not set in the environment: A, B");
    check(&source_with("load_timeout = \"${A\""), "for a literal `${` write `$${`");
    check(&source_with("load_timeout = \"${CANARY}\""), "the value is what the environment gave");
}

#[test]
fn a_quote_is_one_short_line_without_comments() {
    let quote = |text: &str| parse(text).unwrap_err().errors[0].places[0].clone();
    let place = quote("[memory]\n\tlimit =\t5 # five\r\n");
    assert_eq!((place.line, place.column, &place.quote[..]), (2, 10, " limit = 5"));
    assert_eq!((place.caret_at, place.carets), (9, 1));

    let place = quote(&cache_with(&format!("rows = \"{}\"", "ä".repeat(500))));
    assert_eq!((place.line, place.column, place.caret_at), (8, 8, 7));
    assert_eq!(place.quote.chars().count(), 121);
    assert!(place.quote.ends_with("ä…") && place.carets == 113);

    let place = quote(&cache_with(&format!("{}column = 1", " ".repeat(500))));
    assert_eq!(
        (place.column, &place.quote[..]),
        (510, &*format!("…{}column = 1", " ".repeat(110)))
    );
    assert_eq!((place.caret_at, place.carets), (120, 1));

    let place = quote(&cache_with("rows = '''#\n # '''"));
    assert_eq!((&place.quote[..], place.carets), ("rows = '''#", 4));
}

#[test]
fn no_more_problems_are_kept_than_the_limit() {
    let unknown = |count: usize| (0..count).map(|n| format!("x{n} = 1\n")).collect::<String>();
    let at = parse(&unknown(Problems::KEPT_MAX)).unwrap_err();
    assert_eq!((at.errors.len(), at.errors_left_out), (Problems::KEPT_MAX, 0));
    assert!(at.to_string().ends_with("\n100 errors"));
    let beyond = parse(&unknown(Problems::KEPT_MAX + 1)).unwrap_err();
    assert_eq!((beyond.errors.len(), beyond.errors_left_out), (Problems::KEPT_MAX, 1));
    assert!(beyond.to_string().ends_with("\n101 errors, 100 of them shown"));
    check(&"]".repeat(100_000), "this is not TOML");
}
