//! Postgres as a source: types, values, errors.

#![allow(clippy::unwrap_used)]

mod common;

use common::{
    answer, failure, get, get_many, load, many, not_accepted, raw, source, tagged, tags, text,
};
use larder_core::{ErrorKind, Key, Media, Source};
use larder_sql::{Database, Options, RESULT_BYTES_MAX, Warning};
use larder_test::Postgres;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

fn start(sql: &str) -> (Postgres, Database) {
    let postgres = Postgres::start();
    postgres.psql(sql);
    let database = Database::open(&postgres.url(), &Options::new("shop")).unwrap();
    (postgres, database)
}

const UUID: &str = "0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4";

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_parameter_is_sent_as_the_column_has_it() {
    let (_postgres, database) = start(&format!(
        "CREATE EXTENSION citext;
         CREATE SCHEMA \"Odd One\";
         CREATE TYPE \"Odd One\".mood AS ENUM ('glad', 'so ''lala''');
         CREATE DOMAIN small AS int2 CHECK (value < 100);
         CREATE DOMAIN smaller AS small;
         CREATE DOMAIN label AS text CHECK (value <> 'bad');
         CREATE TABLE t (i2 int2, i4 int4, i8 int8, n numeric, o oid, t text, v varchar(10), c char(4),
            na name, ci citext, m \"Odd One\".mood, u uuid, b bool, d smaller, l label, f float8, ts timestamptz,
            j jsonb);
         INSERT INTO t VALUES (-32768, 2147483647, 9223372036854775807, -9223372036854775808,
            4294967295, 'ü''\"{{', 'v', 'c', 'na', 'CiTeXt', 'so ''lala''', '{UUID}', true, 99, 'good', 2,
            '2024-02-29 12:00:00+02', '{{\"a\": 1}}');"
    ));
    for (column, kind, value) in [
        ("i2", "int", "-32768"),
        ("i4", "int", "2147483647"),
        ("i8", "int", "9223372036854775807"),
        ("n", "int", "-9223372036854775808"),
        ("o", "int", "4294967295"),
        ("t", "text", "ü'\"{"),
        ("v", "text", "v"),
        ("c", "text", "c"),
        ("na", "text", "na"),
        ("ci", "text", "citext"),
        ("m", "text", "so 'lala'"),
        ("u", "uuid", UUID),
        ("b", "bool", "true"),
    ] {
        let sql = format!("SELECT 1 AS found FROM t WHERE {column} = {{v}}");
        let t = source(&database, load(&format!("t:{{v:{kind}}}"), &sql));
        let key = format!("t:{value}");
        assert_eq!(answer(&t, &key).await.as_deref(), Some(r#"{"found":1}"#), "{column}");
        let report = t.prepare().await.unwrap();
        assert_eq!((report.batch_max, report.warnings.as_slice()), (1_000, &[][..]), "{column}");
        let batch = get_many(&t, &[&key, &key]).await.unwrap();
        assert!(batch.iter().all(Option::is_some), "{column}");
    }
    // Casts that the errors below propose.
    for (kind, condition, value) in [
        ("int", "d = {v}::smaller", "99"),
        ("text", "l = {v}::label", "good"),
        ("int", "f = {v}::bigint", "2"),
        ("text", "ts = {v}::text::timestamptz", "2024-02-29T10:00:00Z"),
        ("text", "u = {v}::text::uuid", UUID),
        ("uuid", "'a' || u::text = 'a' || {v}::uuid", UUID),
        ("int", "'a' || i8 = 'a' || {v}::bigint", "9223372036854775807"),
        ("text", "j = {v}::text::jsonb", r#"{"a":1}"#),
    ] {
        let sql = format!("SELECT 1 AS found FROM t WHERE {condition}");
        let t = source(&database, load(&format!("t:{{v:{kind}}}"), &sql));
        let key = format!("t:{value}");
        assert_eq!(answer(&t, &key).await.as_deref(), Some(r#"{"found":1}"#), "{condition}");
        assert!(get_many(&t, &[&key, &key]).await.unwrap()[1].is_some(), "{condition}");
    }
    for (kind, condition, cure) in [
        (
            "int",
            "f = {v}",
            "double precision for {v}, which is declared {v:int}: write {v}::bigint",
        ),
        ("text", "ts = {v}", "write {v}::text::timestamp with time zone"),
        ("text", "i4 = {v}", "write {v}::text::integer, or declare it {v:int} in key"),
        ("text", "u = {v}", "write {v}::text::uuid, or declare it {v:uuid} in key"),
        ("int", "t = {v}", "write {v}::bigint::text, or declare it {v:text} in key"),
        ("bool", "i4 = {v}", "or declare it {v:int} in key"),
        ("int", "j = {v}", "write {v}::bigint::jsonb"),
    ] {
        let sql = format!("SELECT 1 AS found FROM t WHERE {condition}");
        let t = load(&format!("t:{{v:{kind}}}"), &sql);
        let message = not_accepted(&database, t.clone()).await;
        assert!(message.contains(cure), "{message}");
        assert_eq!(
            failure(
                &source(&database, t),
                &format!(
                    "t:{}",
                    match kind {
                        "bool" => "true",
                        _ => "1",
                    }
                )
            )
            .await
            .kind(),
            ErrorKind::Config
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_beyond_the_column_is_a_bad_key_and_bothers_nobody() {
    let (postgres, database) = start(
        "CREATE TYPE mood AS ENUM ('glad');
         CREATE DOMAIN small AS int CHECK (value < 100);
         CREATE TABLE t (i4 int4, m mood); INSERT INTO t VALUES (7, 'glad');",
    );
    let t = source(&database, load("t:{id:int}", "SELECT m FROM t WHERE i4 = {id} /* here */"));
    // Before the type is known nothing but the template can be checked.
    assert!(t.check(&Key::from("t:2147483648")).is_ok());
    t.prepare().await.unwrap();
    let error = t.check(&Key::from("t:2147483648")).unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::BadKey, Some("t:2147483648")));
    assert_eq!(error.to_string(), "the parameter id is 2147483648, which no integer can hold");
    for key in ["t:2147483648", "t:-2147483649", "t:abc", "t:07"] {
        assert_eq!(failure(&t, key).await.kind(), ErrorKind::BadKey, "{key}");
    }
    assert_eq!(postgres.calls("%here%"), 0);
    for key in ["t:2147483647", "t:-2147483648"] {
        assert_eq!(answer(&t, key).await, None);
    }
    assert_eq!(answer(&t, "t:7").await.as_deref(), Some(r#"{"m":"glad"}"#));
    let error = get_many(&t, &["t:7", "t:2147483648"]).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::BadKey, Some("t:2147483648")));

    let m = source(&database, load("m:{m:text}", "SELECT i4 FROM t WHERE m = {m}"));
    assert_eq!(answer(&m, "m:glad").await.as_deref(), Some(r#"{"i4":7}"#));
    let error = failure(&m, "m:sad").await;
    assert_eq!((error.kind(), error.key()), (ErrorKind::BadKey, Some("m:sad")));
    assert!(error.downcast_ref::<sqlx::Error>().is_some());
    let mut keys = vec!["m:glad"; 20];
    keys[13] = "m:sad";
    let error = get_many(&m, &keys).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::BadKey, Some("m:sad")));

    let d = source(&database, load("d:{n:int}", "SELECT {n}::small AS n"));
    assert_eq!(answer(&d, "d:99").await.as_deref(), Some(r#"{"n":99}"#));
    assert_eq!(failure(&d, "d:100").await.kind(), ErrorKind::BadKey);
    // Without a key in the statement it can't be the key's fault.
    let broken = source(&database, load("x", "SELECT 'x'::text::int AS n FROM t"));
    assert_eq!(failure(&broken, "x").await.kind(), ErrorKind::Loader);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_exact_json() {
    let (_postgres, database) = start(
        "CREATE TYPE pair AS (a int, b text);
         CREATE TABLE t (id int PRIMARY KEY, z bigint, n numeric, f float8, t text, ts timestamptz, d date,
            j json, jb jsonb, a int[], p pair, u uuid, b bool, \"o\"\"dd\" text);
         INSERT INTO t VALUES (1, 9223372036854775807, 12345678901234567890.123456789, 0.1, E'a\"b\\\\c\\nü',
            '2024-02-29 12:00:00.5+02', '2024-02-29', '{\"k\" : [1,  2]}', '{\"k\" : [1,  2]}',
            '{1,NULL}', '(1,x)', '0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4', false, NULL); INSERT INTO t (id) VALUES (2);",
    );
    let t = source(&database, load("t:{id:int}", "SELECT * FROM t WHERE id = {id} -- done"));
    let json = concat!(
        r#"{"id":1,"z":9223372036854775807,"n":12345678901234567890.123456789,"f":0.1,"#,
        r#""t":"a\"b\\c\nü","ts":"2024-02-29T10:00:00.5+00:00","d":"2024-02-29","#,
        r#""j":{"k" : [1,  2]},"jb":{"k": [1, 2]},"a":[1,null],"p":{"a":1,"b":"x"},"#,
        r#""u":"0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4","b":false,"o\"dd":null}"#,
    );
    let value = get(&t, "t:1").await.unwrap().unwrap();
    assert_eq!(value.media, Media::Json);
    assert_eq!(text(Some(value)).as_deref(), Some(json));
    let null = answer(&t, "t:2").await.unwrap();
    assert!(null.starts_with(r#"{"id":2,"z":null,"n":null"#), "{null}");
    assert_eq!(answer(&t, "t:3").await, None);
    let report = t.prepare().await.unwrap();
    assert_eq!(report.bindings[0].sql_type, "integer");
    assert_eq!(report.columns[5].sql_type, "timestamp with time zone");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytea_is_base64_without_line_ends() {
    let (postgres, database) = start(
        "CREATE TABLE t (id int, \"da\"\"ta\" bytea, n numeric);
         INSERT INTO t VALUES (1, decode(repeat('00ff', 60), 'hex'), 1.50), (2, NULL, 0), (3, '', 0);",
    );
    let t = source(&database, load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"));
    let long = "AP8A/wD/".repeat(20);
    for (key, json) in [
        ("t:1", format!(r#"{{"id":1,"da\"ta":"{long}","n":1.50}}"#)),
        ("t:2", r#"{"id":2,"da\"ta":null,"n":0}"#.to_owned()),
        ("t:3", r#"{"id":3,"da\"ta":"","n":0}"#.to_owned()),
    ] {
        assert_eq!(answer(&t, key).await, Some(json.clone()));
        assert_eq!(text(get_many(&t, &[key, key]).await.unwrap().remove(1)), Some(json));
    }
    // The columns are listed in the statement; one that is gone makes a new plan.
    postgres.psql("ALTER TABLE t DROP COLUMN n");
    assert_eq!(answer(&t, "t:3").await.as_deref(), Some(r#"{"id":3,"da\"ta":""}"#));
}

#[tokio::test]
async fn a_column_added_beside_a_bytea_shows_within_a_minute() {
    let (postgres, database) = start("CREATE TABLE t (b bytea); INSERT INTO t VALUES ('a')");
    let t = source(&database, load("t", "SELECT * FROM t"));
    assert_eq!(answer(&t, "t").await.as_deref(), Some(r#"{"b":"YQ=="}"#));
    postgres.psql("ALTER TABLE t ADD COLUMN c bytea DEFAULT 'c'");
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    tokio::time::resume();
    assert_eq!(answer(&t, "t").await.as_deref(), Some(r#"{"b":"YQ==","c":"Yw=="}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_costs_no_error() {
    let (postgres, database) =
        start("CREATE TABLE t (id int, v varchar); INSERT INTO t VALUES (1, 'a');");
    let row = source(&database, load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"));
    let bytes = source(&database, raw("t:{id:int}", "SELECT v FROM t WHERE id = {id}"));
    for (change, json, value) in [
        ("SELECT 1", r#"{"id":1,"v":"a"}"#, "a"),
        ("ALTER TABLE t ADD COLUMN w int", r#"{"id":1,"v":"a","w":null}"#, "a"),
        ("ALTER TABLE t ALTER v TYPE text", r#"{"id":1,"v":"a","w":null}"#, "a"),
        ("ALTER TABLE t DROP COLUMN w", r#"{"id":1,"v":"a"}"#, "a"),
        ("ALTER TABLE t ALTER id TYPE bigint", r#"{"id":1,"v":"a"}"#, "a"),
        ("ALTER TABLE t ALTER v TYPE bytea USING v::bytea", r#"{"id":1,"v":"\\x61"}"#, "a"),
    ] {
        postgres.psql(change);
        assert_eq!(answer(&row, "t:1").await.as_deref(), Some(json), "{change}");
        assert_eq!(answer(&bytes, "t:1").await.as_deref(), Some(value), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_is_the_only_column_as_it_is() {
    let (_postgres, database) = start(
        "CREATE TABLE t (id int, b bytea, c char(4), n numeric, f float8, ok bool, j json, x text);
         INSERT INTO t VALUES (1, '\\x00ff', 'a', 1.50, 0.1, true, '{\"a\" : 1}', NULL);",
    );
    for (column, expected) in [
        ("b", Some(&b"\x00\xff"[..])),
        ("c", Some(b"a   ")),
        ("n", Some(b"1.50")),
        ("f", Some(b"0.1")),
        ("ok", Some(b"true")),
        ("j", Some(b"{\"a\" : 1}")),
        ("x", None),
        ("''", Some(b"")),
        ("ARRAY[1,2]", Some(b"{1,2}")),
    ] {
        let sql = format!("SELECT {column} FROM t WHERE id = {{id}}");
        let t = source(&database, raw("t:{id:int}", &sql));
        let value = get(&t, "t:1").await.unwrap();
        assert_eq!(value.as_ref().map(|value| &value.bytes[..]), expected, "{column}");
        assert!(value.as_ref().is_none_or(|value| value.media == Media::Raw));
        assert_eq!(get_many(&t, &["t:2", "t:1"]).await.unwrap(), [None, value], "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_come_from_the_key_and_from_the_columns_of_each_row() {
    let (postgres, database) = start(
        "CREATE TABLE t (id int, tenant text, n int8, u uuid, b bytea, ok bool, at timestamp,
            \"Odd_One\" numeric);
         INSERT INTO t VALUES (1, 'a\"\\ü{', -7, '0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4', '\\x00ff',
            true, '2024-02-29 12:00:00', 1.50);
         INSERT INTO t (id, n) VALUES (2, 9);",
    );
    let all = [
        "t:{tenant}",
        "{id}/{n}",
        "all",
        "u{u}",
        "b{b}",
        "ok{ok}",
        "{{{tenant}}}",
        "at{at}",
        "{Odd_One}",
    ];
    let sql = "SELECT id AS theirs, tenant, n, u, b, ok, at, \"Odd_One\" FROM t WHERE id = {id}";
    let one = source(&database, tagged(load("t:{id:int}", sql), &all));
    let first = [
        "1.50",
        "1/-7",
        "all",
        "at2024-02-29T12:00:00",
        "bAP8=",
        "oktrue",
        "t:a\"\\ü{",
        "u0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4",
        "{a\"\\ü{}",
    ];
    assert_eq!(tags(&one, &["t:1"]).await, [first]);
    // Together each has its own; what is NULL names nothing, and neither does what is absent.
    let together = tags(&one, &["t:1", "t:2", "t:3"]).await;
    assert_eq!(
        together,
        [first.map(String::from).to_vec(), vec!["2/9".into(), "all".into()], vec!["all".into()]]
    );
    // Without a bytea the row isn't listed column by column.
    let sql = "SELECT tenant, \"Odd_One\" FROM t WHERE id = {id}";
    let plain = source(&database, tagged(load("t:{id:int}", sql), &["t:{tenant}{Odd_One}"]));
    assert_eq!(tags(&plain, &["t:1"]).await, [["t:a\"\\ü{1.50"]]);

    postgres.psql("INSERT INTO t (id, tenant) VALUES (2, 'b'), (2, 'c'), (2, 'b')");
    let rows = source(&database, tagged(many("t:{id:int}", sql), &["t:{tenant}", "all"]));
    let each = [vec!["all", "t:b", "t:c"], vec!["all"]];
    assert_eq!(tags(&rows, &["t:2", "t:9"]).await, each);
    for (column, tag) in [("n", "-7"), ("tenant", "a\"\\ü{"), ("b", "AP8=")] {
        let sql = format!("SELECT {column} FROM t WHERE id = {{id}}");
        let bytes = tagged(raw("t:{id:int}", &sql), &[&format!("{{{column}}}")]);
        assert_eq!(tags(&source(&database, bytes), &["t:1"]).await, [[tag]], "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_a_column_that_is_not_there_is_told_by_prepare_and_by_a_load() {
    let (postgres, database) = start("CREATE TABLE t (id int, tenant_id int)");
    let wrong = tagged(load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"), &["t:{tenent_id}"]);
    let message = not_accepted(&database, wrong.clone()).await;
    assert!(message.contains("names {tenent_id}, which is neither a parameter"), "{message}");
    assert!(message.contains("did you mean {tenant_id}?"), "{message}");
    let error = failure(&source(&database, wrong), "t:1").await;
    assert_eq!(error.kind(), ErrorKind::Config);
    // A column may go while it is in use.
    let right = tagged(load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"), &["{tenant_id}"]);
    let right = source(&database, right);
    assert_eq!(answer(&right, "t:1").await, None);
    postgres.psql("ALTER TABLE t DROP COLUMN tenant_id");
    let error = failure(&right, "t:1").await;
    assert!(error.chain().contains("names {tenant_id}, which is neither"), "{}", error.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tags_than_an_entry_may_have_fail_the_load_of_their_key() {
    let (_postgres, database) = start("");
    let sql = "SELECT n FROM generate_series(1, {id}::bigint) AS g(n)";
    let t = source(&database, tagged(many("t:{id:int}", sql), &["n:{n}"]));
    assert_eq!(tags(&t, &["t:128"]).await[0].len(), 128);
    let error = failure(&t, "t:129").await;
    assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("t:129")));
    assert!(error.to_string().contains("more than 128 tags"), "{error}");
    let sql = "SELECT repeat('x', {id}::bigint::int) AS x";
    let t = source(&database, tagged(load("t:{id:int}", sql), &["{x}"]));
    assert_eq!(tags(&t, &["t:1024"]).await[0][0].len(), 1024);
    let error = failure(&t, "t:2000").await;
    assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("t:2000")));
    assert!(error.to_string().contains("1024 are the most"), "{error}");
    assert_eq!(tags(&t, &["t:3"]).await, [["xxx"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_part_of_the_key_and_nothing_else() {
    let (_postgres, database) = start("CREATE TABLE t (id int); INSERT INTO t VALUES (1);");
    let key = "t:{id:int}:{v:version}";
    let t = source(&database, load(key, "SELECT id FROM t WHERE id = {id}"));
    assert_eq!(t.prepare().await.unwrap().warnings, []);
    for version in [0, u64::MAX] {
        let found = answer(&t, &format!("t:1:{version}")).await;
        assert_eq!(found.as_deref(), Some(r#"{"id":1}"#));
    }
    let message = not_accepted(&database, load(key, "SELECT {v} AS v")).await;
    assert!(message.contains("names {v}, which is a version"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_tries_to_be_sql_stays_text() {
    let (postgres, database) =
        start("CREATE TABLE t (s text, n int); INSERT INTO t VALUES ('a', 1), ($$' OR ''='$$, 2);");
    let t = source(&database, load("t:{s:text}", "SELECT n, '{x} -- ' AS x FROM t WHERE s = {s}"));
    for (key, json) in [
        ("t:a", Some(r#"{"n":1,"x":"{x} -- "}"#)),
        ("t:' OR ''='", Some(r#"{"n":2,"x":"{x} -- "}"#)),
        ("t:' OR 1=1 --", None),
        ("t:'; DROP TABLE t; --", None),
        ("t:$1", None),
        ("t:{s}", None),
    ] {
        assert_eq!(answer(&t, key).await.as_deref(), json, "{key}");
        assert_eq!(text(get_many(&t, &[key, key]).await.unwrap().remove(1)).as_deref(), json);
    }
    assert_eq!(postgres.psql("SELECT count(*) FROM t"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_does_not_accept_is_told_with_the_cure() {
    let (postgres, database) = start(
        "CREATE TABLE t (id int, n int); INSERT INTO t VALUES (1, 1), (1, 2), (2, 3);
         CREATE FUNCTION write() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (9, 9) RETURNING id';",
    );
    for (wrong, cure) in [
        (
            load("t:{id:int}", "SELECT nope FROM t WHERE id = {id}"),
            "column \"nope\" does not exist",
        ),
        (load("t:{id:int}", "SELECT * FROM u WHERE id = {id}"), "relation \"u\" does not exist"),
        (load("t:{id:int}", "SELECT id, id FROM t WHERE id = {id}"), "rename one with AS"),
        (load("t:{id:int}", "SELECT id AS larder_row FROM t WHERE id = {id}"), "are reserved"),
        (load("t:{id:int}", "SELECT id) FROM (t WHERE id = {id}"), "syntax error"),
        (load("t:{id:int}", "SELECT id INTO u FROM t WHERE id = {id}"), "INTO"),
        (raw("t:{id:int}", "SELECT id, n FROM t WHERE id = {id}"), "it has 2: select one"),
        (
            larder_sql::Load {
                rows: larder_sql::Rows::Many,
                ..raw("t:{id:int}", "SELECT id FROM t WHERE id = {id}")
            },
            "leave out",
        ),
    ] {
        let message = not_accepted(&database, wrong).await;
        assert!(message.contains(cure), "{message}");
    }
    let t = source(&database, load("t:{id:int}", "SELECT n FROM t WHERE id = {id}"));
    let error = failure(&t, "t:1").await;
    assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("t:1")));
    assert_eq!(get_many(&t, &["t:2", "t:1"]).await.unwrap_err().key(), Some("t:1"));
    let writes = source(&database, load("t:{id:int}", "SELECT write() AS n WHERE {id} > 0"));
    let error = failure(&writes, "t:1").await;
    assert!(error.chain().contains("read-only transaction"), "{}", error.chain());
    assert_eq!(postgres.psql("SELECT count(*) FROM t"), "3");
    // An aggregate of nothing but the parameter would belong to another query level.
    let alone = source(&database, load("t:{id:int}", "SELECT sum({id}::bigint) AS s FROM t"));
    let report = alone.prepare().await.unwrap();
    assert_eq!(report.batch_max, 1);
    assert!(matches!(&report.warnings[..], [Warning::Unbatched(_)]), "{:?}", report.warnings);
    let sums = get_many(&alone, &["t:1", "t:2"]).await.unwrap();
    assert_eq!(
        sums.into_iter().map(text).collect::<Vec<_>>(),
        [Some(r#"{"s":3}"#.into()), Some(r#"{"s":6}"#.into())]
    );
    for (url, cure) in [
        (
            postgres.url().replace("/postgres?", "/nope?").replace("/postgres", "/nope").replacen(
                "/nope@",
                "/postgres@",
                1,
            ),
            "can't be opened",
        ),
        (postgres.url().replace("postgres@", "nobody@"), "can't be opened"),
    ] {
        let other = Database::open(&url, &Options::new("shop")).unwrap();
        let message = not_accepted(&other, load("t:{id:int}", "SELECT {id}::int AS n")).await;
        assert!(message.contains(cure), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_too_large_is_an_error_that_says_so() {
    let (_postgres, database) = start("CREATE TABLE t (id int)");
    let t = source(&database, raw("t:{n:int}", "SELECT repeat('x', {n})"));
    let value = get(&t, &format!("t:{RESULT_BYTES_MAX}")).await.unwrap().unwrap();
    assert_eq!(value.bytes.len(), RESULT_BYTES_MAX);
    let error = failure(&t, &format!("t:{}", RESULT_BYTES_MAX + 1)).await;
    assert_eq!(error.kind(), ErrorKind::Loader);
    assert!(error.to_string().contains("16777216 is the most"), "{error}");
    let endless = "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i)
                   SELECT repeat('x', {n}) AS x FROM i";
    let rows = source(&database, many("t:{n:int}", endless));
    assert!(failure(&rows, "t:100000").await.to_string().contains("select fewer"));
    // Nobody waits for the rest.
    assert!(answer(&t, "t:1").await.is_some());
    let two = source(&database, load("t:{n:int}", endless));
    assert!(failure(&two, "t:1").await.to_string().contains("more than one row"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_statement_and_answers_as_its_keys_would_alone() {
    let (postgres, database) = start(
        "CREATE TABLE t (id int, s text, v numeric, b bytea); CREATE INDEX ON t (id);
         INSERT INTO t SELECT i, chr(97 + abs(i) % 3), i / 3.0, int4send(i)
         FROM generate_series(-40, 40) AS g(i) WHERE i % 5 <> 0;",
    );
    let sources = [
        source(
            &database,
            load("t:{id:int}:{s:text}", "SELECT * FROM t WHERE id = {id} AND s = {s}"),
        ),
        source(
            &database,
            raw("t:{id:int}:{s:text}", "SELECT v FROM t WHERE s = {s} AND id = {id}"),
        ),
        source(
            &database,
            many(
                "t:{id:int}:{s:text}",
                "WITH found AS (SELECT id, v FROM t WHERE id > {id} AND s = {s})
                 SELECT *, {s} || {id}::bigint AS key FROM found ORDER BY v % 2, v DESC LIMIT 5",
            ),
        ),
    ];
    for source in &sources {
        assert_eq!(source.prepare().await.unwrap().warnings, []);
    }
    let keys = proptest::collection::vec((-50..50_i32, "[a-d]"), 1..300);
    let mut runner = TestRunner::deterministic();
    for _ in 0..10 {
        let keys = keys.new_tree(&mut runner).unwrap().current().into_iter();
        let keys: Vec<_> = keys.map(|(id, s)| format!("t:{id}:{s}")).collect();
        for source in &sources {
            postgres.reset_calls();
            let batch = get_many(source, &keys).await.unwrap();
            assert_eq!(postgres.calls("%larder_answer%"), 1);
            for (key, value) in keys.iter().zip(batch) {
                assert_eq!(get(source, key).await.unwrap(), value, "{key}");
            }
        }
    }
    let keys: Vec<_> = (0..2_500).map(|id| format!("t:{id}:a")).collect();
    postgres.reset_calls();
    assert_eq!(get_many(&sources[0], &keys).await.unwrap().len(), 2_500);
    assert_eq!(postgres.calls("%larder_answer%"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_says_who_it_is_and_has_a_limit() {
    let (postgres, _) = start("SELECT 1");
    let options =
        Options { load_timeout: std::time::Duration::from_millis(1_500), ..Options::new("shop") };
    let sql = "SELECT current_setting('application_name') AS name,
                      current_setting('statement_timeout') AS limit,
                      current_setting('default_transaction_read_only') AS read_only";
    let database = Database::open(&postgres.url(), &options).unwrap();
    assert_eq!(
        answer(&source(&database, load("x", sql)), "x").await.as_deref(),
        Some(r#"{"name":"larder","limit":"1500ms","read_only":"on"}"#)
    );
    let url = format!("{}?application_name=mine", postgres.url());
    let database = Database::open(&url, &options).unwrap();
    assert!(answer(&source(&database, load("x", sql)), "x").await.unwrap().contains("mine"));
}
