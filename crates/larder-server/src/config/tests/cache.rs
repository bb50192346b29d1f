//! What a cache loads, from where and under which keys.

use std::time::Duration;

use larder_engine::Reload;
use larder_sql::{Format, Rows};

use super::{SMALL, cache_with, check, check_warning, parse, source_with};

#[test]
fn a_cache_knows_its_source() {
    let two = format!("{SMALL}[source.spare]\nurl = \"sqlite:spare.db\"\n");
    check(&two, "[cache.user] doesn't say which source it loads from");
    check(&two, "set `source` to one of: shop, spare");
    check(&cache_with("source = \"shpo\""), "did you mean \"shop\"?");
    check(&cache_with("source = \"zzzzzz\""), "the sources are: shop");
    check("[cache.a]", "[cache.a] has nothing to load from: there is no source");
    check("[cache.a]\nsource = \"b\"", "declare it: [source.NAME]");
    let spare = two.replace("max_staleness", "source = \"spare\"\nmax_staleness");
    let config = parse(&spare).unwrap();
    assert_eq!(config.source_of(&config.caches[0]).name, "spare");
}

#[test]
fn tags_are_a_list_of_templates() {
    let texts = |line: &str| -> Vec<String> {
        let config = parse(&cache_with(line)).unwrap_or_else(|problems| panic!("{problems}"));
        config.caches[0].tags.iter().map(ToString::to_string).collect()
    };
    assert_eq!(texts("tags = [\"t:{tenant_id}\", \"users\"]"), ["t:{tenant_id}", "users"]);
    assert_eq!(texts("tags = [\"t${EIGHT}\"]"), ["t8"]);
    for (tags, part) in [
        ("[]", "larder.toml:8:8: `tags` must be a list of 1 to 128, each a tag"),
        ("\"users\"", "write them in brackets, each in quotes: [\"users\"]"),
        ("[\"users\", 7]", "larder.toml:8:18: `tags` must be a list of 1 to 128, each a tag"),
        ("[[\"users\"]]", "larder.toml:8:9: `tags` must be a list"),
        ("[\"a\", \"t:{id:int}\"]", "larder.toml:8:14: `tags` is refused: the tag `t:{id:int}`"),
        ("[\"t:{id\"]", "write {{ for the brace itself"),
        ("[\"\"]", "is empty"),
        ("[\"${NOT_SET}\"]", "larder.toml:8:10: not set in the environment: NOT_SET"),
    ] {
        check(&cache_with(&format!("tags = {tags}")), part);
    }
    check(&cache_with("tags = [\"\", \"t:{\"]"), "2 errors");
    let count = |count: usize| {
        let tags: Vec<_> = (0..count).map(|at| format!("\"t{at}\"")).collect();
        cache_with(&format!("tags = [{}]", tags.join(", ")))
    };
    check_warning(
        &cache_with("tags = [\"a\", \"a\"]"),
        "larder.toml:8:14: the tag `a` stands twice",
    );
    assert!(parse(&count(16)).unwrap().warnings.is_empty());
    check_warning(&count(17), "each entry has up to 17 tags");
    assert_eq!(parse(&count(128)).unwrap().caches[0].tags.len(), 128);
    check(&count(129), "must be a list of 1 to 128");
    // A list is for what is one.
    check(&cache_with("rows = [\"many\"]"), "`rows` must be `\"one\"` or `\"many\"`");
}

#[test]
fn a_version_in_the_key_is_not_bound() {
    let versioned = SMALL.replace("user:{id:int}", "user:{id:int}:{v:version}");
    assert!(parse(&versioned).unwrap().warnings.is_empty());
    check(&versioned.replace("id = {id}", "id = {v}"), "names {v}, which is a version");
}

#[test]
fn a_value_has_a_shape() {
    check(
        &cache_with("rows = \"many\"\ncolumn = \"raw\""),
        "larder.toml:9:1: `column = \"raw\"` is the value of one row",
    );
    let many = cache_with("rows = \"many\"\nmissing_for = \"1s\"");
    check_warning(&many, "larder.toml:9:1: `missing_for` never applies");
}

#[test]
fn a_load_fits_its_key() {
    let load = |load: &str| SMALL.replace("SELECT name FROM users WHERE id = {id}", load);
    for (statement, part) in [
        ("SELECT {idd}", "larder.toml:6:8: load names {idd}, which the key does not have"),
        ("SELECT {idd}", "did you mean {id}?"),
        ("DELETE FROM users WHERE id = {id}", "begins with DELETE, but a load reads"),
        ("SELECT name FROM users WHERE id = '{id}'", "has {id} inside a string"),
        ("SELECT {id}; SELECT 1", "has two statements"),
    ] {
        check(&load(statement), part);
    }
    check_warning(&load("SELECT 1"), "larder.toml:6:8: `load` ignores {id}");
    // The load is checked though the window isn't right.
    check(&load("SELECT {idd}").replace("2s", "2"), "did you mean {id}?");
}

#[test]
fn what_the_parts_are_made_of_is_what_was_declared() {
    let config = parse(&cache_with("column = \"raw\"")).unwrap();
    let load = config.caches[0].load();
    assert_eq!(load.key.text(), "user:{id:int}");
    assert_eq!(load.sql, "SELECT name FROM users WHERE id = {id}");
    assert_eq!((load.rows, load.format), (Rows::One, Format::Raw));

    let config = parse(&source_with("connections = 3\nload_timeout = \"7s\"")).unwrap();
    let database = config.sources[0].open().unwrap();
    assert_eq!((database.name(), database.kind()), ("shop", "sqlite"));
    let options = database.options();
    assert_eq!((options.connections, options.load_timeout), (3, Duration::from_secs(7)));
    assert_eq!(options.connect_timeout, Duration::from_secs(1));
}

#[test]
fn a_key_belongs_to_one_cache() {
    let with = |key: &str| {
        let more = "load = \"SELECT name FROM users WHERE id = {id}\"\nmax_staleness = \"2s\"";
        format!("{SMALL}[cache.b]\nkey = \"{key}\"\n{more}\n")
    };
    check(
        &with("user:{id:text}"),
        "larder.toml:9:1: `user:1` would be a key of both [cache.b] and [cache.user]\n  9 | key = \
         \"user:{id:text}\"\n    | ^^^\n  5 | key = \"user:{id:int}\"\n    | ^^^\n  = begin",
    );
    check(&with("user:{id:int}"), "would be a key of both");
    check(&with("user:{id:text}").replace("2s", "x"), "would be a key of both");
    check(&with("user:{id}"), "`key` is refused: the key template `user:{id}` has a parameter");
    for apart in ["user:{id:uuid}", "user:mail:{id:text}", "order:{id:int}"] {
        assert!(parse(&with(apart)).is_ok(), "{apart}");
    }
}

#[test]
fn what_is_in_use_is_loaded_again_where_that_is_known() {
    check(&cache_with("reload = \"all\""), "`reload` must be \"never\" or \"hot\"");
    let hot = parse(&cache_with("reload = \"hot\"")).unwrap();
    assert_eq!(hot.caches[0].reload, Reload::Hot);
    assert!(hot.report().contains("what is in use is loaded again"), "{}", hot.report());
    for fifo in ["memory = \"8MiB\"\npolicy = \"fifo\"", "[memory]\npolicy = \"fifo\""] {
        check(
            &cache_with(&format!("reload = \"hot\"\n{fifo}")),
            "which entries are in use isn't known with `policy = \"fifo\"`",
        );
    }
}
