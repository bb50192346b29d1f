//! MariaDB as a source: types, values, errors, sessions.

#![cfg(feature = "mysql")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    answer, failure, get, get_many, load, many, not_accepted, raw, source, tagged, tags, text,
};
use larder_core::{ErrorKind, Media, Source};
use larder_sql::{Database, Options, RESULT_BYTES_MAX, Warning};
use larder_test::Mariadb;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

fn start(sql: &str) -> (Mariadb, Database) {
    start_with(&[], sql)
}

fn start_with(settings: &[(&str, &str)], sql: &str) -> (Mariadb, Database) {
    let mariadb = Mariadb::start_with(settings);
    mariadb.sql(sql);
    let database = Database::open(&mariadb.url(), &Options::new("shop")).unwrap();
    (mariadb, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_exact_json_in_the_order_of_its_columns() {
    let (_mariadb, database) = start(
        "SET sql_mode = '';
         CREATE TABLE t (id BIGINT PRIMARY KEY, z TEXT, bin VARCHAR(9) COLLATE utf8mb4_bin, latin CHAR(3) CHARACTER SET latin1,
            t1 BOOLEAN, t2 TINYINT, t3 TINYINT UNSIGNED, t4 TINYINT(1) UNSIGNED, i2 SMALLINT, i3 MEDIUMINT,
            i4 INT UNSIGNED, u8 BIGINT UNSIGNED, zero INT(5) ZEROFILL, n DECIMAL(38, 9), zn DECIMAL(8,2) ZEROFILL,
            f FLOAT, d DOUBLE, b BLOB, vb VARBINARY(3), fix BINARY(3), j JSON, da DATE, dt DATETIME, dt6 DATETIME(6),
            ts TIMESTAMP NULL, ti TIME(3), y YEAR, bits BIT(64), e ENUM('a''b', 'ü'), s SET('x', 'y'), g POINT, u UUID, `o\"dd` INT);
         SET time_zone = '+05:00';
         INSERT INTO t VALUES (9223372036854775807, 'a\"b\\\\c\\nü🦀', 'Bin ', 'é', true, -128, 255, 200, -32768, -8388608,
            4294967295, 18446744073709551615, 42, 12345678901234567890123456789.123456789, 12.5,
            0.1, 1e300, x'00ff10', x'ff', 'a', '{\"b\": [1, null],\"a\":\"ü\"}', '2024-02-29', '2024-02-29 01:02:03',
            '2024-02-29 01:02:03.25', '2024-02-29 17:00:00', '-838:59:59.5', 2024, b'1111111111111111111111111111111111111111111111111111111111111111',
            'a''b', 'x,y', POINT(1, 2), '0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4', 7);
         INSERT INTO t (id, t1, t4, f, d, da, dt, ts, ti, b, z) VALUES (2, 2, 1, 16777216, 1, '0000-00-00', '0000-00-00', '0000-00-00', 0, '', '');
         INSERT INTO t (id) VALUES (3);",
    );
    let t = source(&database, load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"));
    let full = concat!(
        r#"{"id":9223372036854775807,"z":"a\"b\\c\nü🦀","bin":"Bin ","latin":"é","t1":true,"t2":-128,"t3":255,"#,
        r#""t4":200,"i2":-32768,"i3":-8388608,"i4":4294967295,"u8":18446744073709551615,"zero":42,"#,
        r#""n":12345678901234567890123456789.123456789,"zn":12.50,"f":0.1,"d":1e300,"b":"AP8Q","vb":"/w==","#,
        r#""fix":"YQAA","j":{"b": [1, null],"a":"ü"},"da":"2024-02-29","dt":"2024-02-29 01:02:03","#,
        r#""dt6":"2024-02-29 01:02:03.25","ts":"2024-02-29 12:00:00","ti":"-838:59:59.5","y":2024,"#,
        r#""bits":18446744073709551615,"e":"a'b","s":"x,y","g":"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA==","#,
        r#""u":"0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4","o\"dd":7}"#
    );
    assert_eq!(answer(&t, "t:9223372036854775807").await.as_deref(), Some(full));
    let zeros = answer(&t, "t:2").await.unwrap();
    for part in [
        r#""t1":2,"#,
        r#""t4":1,"#,
        r#""f":16777216.0,"#,
        r#""d":1.0,"#,
        r#""da":"0000-00-00","#,
        r#""dt":"0000-00-00 00:00:00","#,
        r#""ts":"0000-00-00 00:00:00","#,
        r#""ti":"00:00:00","#,
        r#""b":"","#,
        r#""z":"","#,
    ] {
        assert!(zeros.contains(part), "{part} {zeros}");
    }
    let null = answer(&t, "t:3").await.unwrap();
    assert_eq!(null.matches(":null").count(), 32, "{null}");
    assert_eq!(answer(&t, "t:4").await, None);
    assert_eq!(get(&t, "t:3").await.unwrap().unwrap().media, Media::Json);
    // Together they are what they are alone.
    let keys = ["t:9223372036854775807", "t:2", "t:3", "t:4"];
    let together: Vec<_> = get_many(&t, &keys).await.unwrap().into_iter().map(text).collect();
    assert_eq!(together, [Some(full.to_owned()), Some(zeros), Some(null), None]);
    let report = t.prepare().await.unwrap();
    let names: Vec<_> = report.columns.iter().map(|c| (&*c.name, &*c.sql_type)).collect();
    assert_eq!(
        names[..4],
        [("id", "BIGINT"), ("z", "TEXT"), ("bin", "VARCHAR"), ("latin", "CHAR")]
    );
    assert_eq!(report.batch_max, 128);
    assert!(report.warnings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_parameter_is_bound_and_never_pasted() {
    const UUID: &str = "0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4";
    let (_mariadb, database) = start(&format!(
        "CREATE TABLE t (i BIGINT, s VARCHAR(99) COLLATE utf8mb4_bin, u CHAR(36), w UUID, b BOOLEAN);
         INSERT INTO t VALUES (-1, 'x'' OR 1=1 -- \\\\', '{UUID}', '{UUID}', 1);"
    ));
    let by = |column: &str, kind: &str| {
        let sql = format!("SELECT i FROM t WHERE {column} = {{v}} AND {{v}} = {column}");
        source(&database, load(&format!("t:{{v:{kind}}}"), &sql))
    };
    let row = Some(r#"{"i":-1}"#.to_owned());
    assert_eq!(answer(&by("i", "int"), "t:-1").await, row);
    assert_eq!(answer(&by("s", "text"), "t:x' OR 1=1 -- \\").await, row);
    assert_eq!(answer(&by("s", "text"), "t:' OR ''='").await, None);
    assert_eq!(answer(&by("s", "text"), "t:\\' OR 1=1 #").await, None);
    assert_eq!(answer(&by("u", "uuid"), &format!("t:{UUID}")).await, row);
    assert_eq!(answer(&by("w", "uuid"), &format!("t:{UUID}")).await, row);
    assert_eq!(answer(&by("b", "bool"), "t:true").await, row);
    assert_eq!(answer(&by("b", "bool"), "t:false").await, None);
    let same = get_many(&by("i", "int"), &["t:7", "t:-1", "t:8"]).await.unwrap();
    assert_eq!(same.into_iter().map(text).collect::<Vec<_>>(), [None, row, None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_are_read_as_we_read_them_whatever_the_servers_mode() {
    let modes = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT";
    let (_mariadb, database) =
        start_with(&[("sql_mode", modes)], "CREATE TABLE t (id INT); INSERT INTO t VALUES (1)");
    let sql = r#"SELECT 'it\'s {x}' AS a, "b\"{y}" AS b, `id` AS `c{z}`, 5--1 AS d -- {e} '
                 # {f} "
                 , /* {g} ' */ 0 || {id} AS g FROM t WHERE id = {id}"#;
    let t = source(&database, load("t:{id:int}", sql));
    let json = r#"{"a":"it's {x}","b":"b\"{y}","c{z}":1,"d":6,"g":true}"#;
    let found = answer(&t, "t:1").await.unwrap();
    assert_eq!(found.replace(r#""g":1"#, r#""g":true"#), json);
    assert!(get_many(&t, &["t:1", "t:2"]).await.unwrap()[0].is_some());
    for (sql, cure) in [
        ("SELECT 'user-{id}'", "write CONCAT('user-', {id})"),
        ("SELECT \"{id}\"", "write {id}"),
        ("SELECT `{id}` FROM t", "can't be a parameter"),
        ("SELECT 1 /*! + {id} */", "has a comment that is executed"),
        ("SELECT 1 /*M! + 1 */", "has a comment that is executed"),
        ("SELECT ?", "has the placeholder ?"),
    ] {
        let message = not_accepted(&database, load("t:{id:int}", sql)).await;
        assert!(message.contains(cure), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_row_is_an_error_that_names_the_key() {
    let (_mariadb, database) =
        start("CREATE TABLE t (id INT, n INT); INSERT INTO t VALUES (1,1),(1,2),(2,3);");
    let t = source(&database, load("t:{id:int}", "SELECT n FROM t WHERE id = {id}"));
    let error = failure(&t, "t:1").await;
    assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("t:1")));
    assert!(error.to_string().contains("more than one row"));
    let error = get_many(&t, &["t:2", "t:1", "t:3"]).await.unwrap_err();
    assert_eq!(error.key(), Some("t:1"));
    // Of however many rows, two are read.
    let rows = "SELECT n FROM t JOIN seq_1_to_100000000 WHERE id = {id}";
    let endless = source(&database, load("t:{id:int}", rows));
    assert!(failure(&endless, "t:1").await.to_string().contains("more than one row"));
    assert_eq!(answer(&t, "t:2").await.as_deref(), Some(r#"{"n":3}"#));
    // Which one it is decides the query itself.
    let last = "SELECT n FROM t WHERE id = {id} ORDER BY n DESC LIMIT 1";
    let last = source(&database, load("t:{id:int}", last));
    let found = get_many(&last, &["t:2", "t:1"]).await.unwrap();
    assert_eq!(text(found[1].clone()).as_deref(), Some(r#"{"n":2}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_are_an_array_in_the_order_of_the_query() {
    let (_mariadb, database) = start(
        "CREATE TABLE t (shop VARCHAR(9), n INT, INDEX up (shop, n));
         INSERT INTO t VALUES ('a',2),('a',3),('a',1),('b',9);",
    );
    let sql = "SELECT n FROM t WHERE shop = {shop} ORDER BY n % 3, n DESC;";
    let ordered = source(&database, many("t:{shop:text}", sql));
    let sql = "SELECT n FROM t WHERE shop = {shop} AND 'order' <> '' -- ORDER";
    let any = source(&database, many("t:{shop:text}", sql));
    let a = r#"[{"n":3},{"n":1},{"n":2}]"#;
    assert_eq!(answer(&ordered, "t:a").await.as_deref(), Some(a));
    assert_eq!(answer(&ordered, "t:none").await.as_deref(), Some("[]"));
    let texts = async |source: &larder_sql::SqlSource| {
        let values = get_many(source, &["t:b", "t:a", "t:none"]).await.unwrap();
        values.into_iter().map(|value| text(value).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&ordered).await, [r#"[{"n":9}]"#, a, "[]"]);
    let found = texts(&any).await;
    assert_eq!(
        (&*found[0], found[1].matches("\"n\"").count(), &*found[2]),
        (r#"[{"n":9}]"#, 3, "[]")
    );
    let report = ordered.prepare().await.unwrap();
    assert!(matches!(&report.warnings[..], [Warning::Unbatched(_)]), "{:?}", report.warnings);
    assert_eq!((report.batch_max, any.prepare().await.unwrap().batch_max), (1, 128));
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_is_the_only_column_as_it_is() {
    let (_mariadb, database) = start(
        "CREATE TABLE t (id INT, s TEXT, b BLOB, n DECIMAL(9,3), d DATETIME);
         INSERT INTO t VALUES (1,'grün',x'00ff',-5.5,'2024-02-29'),(2,'',x'',0,'2024-02-29'),(3,NULL,NULL,NULL,NULL);",
    );
    for (column, expected) in [
        ("s", [Some("grün".as_bytes()), Some(b""), None, None]),
        ("b", [Some(b"\x00\xff"), Some(b""), None, None]),
        ("n", [Some(b"-5.500"), Some(b"0.000"), None, None]),
        ("d", [Some(b"2024-02-29 00:00:00"), Some(b"2024-02-29 00:00:00"), None, None]),
    ] {
        let sql = format!("SELECT {column} FROM t WHERE id = {{id}}");
        let t = source(&database, raw("t:{id:int}", &sql));
        let keys: Vec<_> = (1..=4).map(|id| format!("t:{id}")).collect();
        let batch = get_many(&t, &keys).await.unwrap();
        for ((key, value), expected) in keys.iter().zip(batch).zip(expected) {
            assert_eq!(value.as_ref().map(|value| &value.bytes[..]), expected, "{column} {key}");
            assert!(value.as_ref().is_none_or(|value| value.media == Media::Raw));
            assert_eq!(get(&t, key).await.unwrap(), value);
        }
    }
    let two = raw("t:{id:int}", "SELECT id, s FROM t WHERE id = {id}");
    assert!(not_accepted(&database, two).await.contains("it has 2: select one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_come_from_the_key_and_from_the_columns_of_each_row() {
    let (_mariadb, database) = start(
        "CREATE TABLE t (id INT, tenant VARCHAR(9), n INT, b BLOB, ok BOOLEAN, d DATE);
         INSERT INTO t VALUES (1, 'a\"ü{', -7, x'00ff', 1, '2024-02-29'), (2, NULL, 9, NULL, NULL, NULL);",
    );
    let all = ["t:{tenant}", "{id}/{n}", "all", "b{b}", "ok{ok}", "d{d}"];
    let sql = "SELECT id AS theirs, tenant, n, b, ok, d FROM t WHERE id = {id}";
    let one = source(&database, tagged(load("t:{id:int}", sql), &all));
    let first = vec!["1/-7", "all", "bAP8=", "d2024-02-29", "oktrue", "t:a\"ü{"];
    assert_eq!(tags(&one, &["t:1"]).await, std::slice::from_ref(&first));
    let together = tags(&one, &["t:1", "t:2", "t:3"]).await;
    assert_eq!(together, [first, vec!["2/9", "all"], vec!["all"]]);
    let bytes = tagged(raw("t:{id:int}", "SELECT n FROM t WHERE id = {id}"), &["n{n}"]);
    assert_eq!(tags(&source(&database, bytes), &["t:1"]).await, [["n-7"]]);
    let wrong = tagged(load("t:{id:int}", sql), &["t:{tenent}"]);
    assert!(not_accepted(&database, wrong).await.contains("did you mean {tenant}?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_does_not_accept_is_told_with_the_cure() {
    let (mariadb, database) = start("CREATE TABLE t (id INT);");
    for (wrong, cure) in [
        (load("t:{id:int}", "SELECT nope FROM t WHERE id = {id}"), "Unknown column 'nope'"),
        (load("t:{id:int}", "SELECT * FROM u WHERE id = {id}"), "Table 'shop.u' doesn't exist"),
        (load("t:{id:int}", "SELECT id, ID FROM t WHERE id = {id}"), "rename one with AS"),
        (load("t:{id:int}", "SELECT id AS larder_x FROM t WHERE id = {id}"), "are reserved"),
        (load("t:{id:int}", "SELECT (id FROM t"), "syntax"),
    ] {
        let message = not_accepted(&database, wrong).await;
        assert!(message.contains(cure), "{message}");
    }
    let t = source(&database, load("t:{id:int}", "SELECT * FROM u WHERE id = {id}"));
    assert_eq!(failure(&t, "t:1").await.kind(), ErrorKind::Loader);
    // Who may not come in is told at once, without the password.
    mariadb.sql("CREATE USER ann@'127.0.0.1' IDENTIFIED BY 's3cret'; GRANT SELECT ON shop.* TO ann@'127.0.0.1'");
    let good = mariadb.url().replace("larder@", "ann:s3cret@");
    let t = |url: &str| {
        let database = Database::open(url, &Options::new("shop")).unwrap();
        source(&database, load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"))
    };
    assert_eq!(answer(&t(&good), "t:1").await, None);
    for wrong in [good.replace("s3cret", "w0rse"), good.replace("/shop", "/no_such_database")] {
        let error = t(&wrong).prepare().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{}", error.chain());
        assert!(!format!("{error:?} {}", error.chain()).contains("w0rse"));
        assert_eq!(failure(&t(&wrong), "t:1").await.kind(), ErrorKind::SourceDown);
    }
    let socket = mariadb.place().folder().join("socket");
    let socket = format!("mariadb://larder@localhost/shop?socket={}", socket.display());
    // Only users of the socket's host may come that way.
    assert!(t(&socket).prepare().await.is_err());
    mariadb.sql("CREATE USER larder@localhost; GRANT SELECT ON shop.* TO larder@localhost");
    assert_eq!(answer(&t(&socket), "t:1").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_shows_at_once_and_costs_no_error() {
    let (mariadb, database) =
        start("CREATE TABLE t (id INT, a INT); INSERT INTO t VALUES (1,10),(2,20);");
    let t = source(&database, load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"));
    let expect = async |json: &str| {
        let batch = get_many(&t, &["t:1", "t:2"]).await.unwrap();
        assert_eq!(text(batch[0].clone()).as_deref(), Some(json));
        assert_eq!(answer(&t, "t:1").await.as_deref(), Some(json));
    };
    expect(r#"{"id":1,"a":10}"#).await;
    mariadb.sql("ALTER TABLE t ADD COLUMN b VARCHAR(9) DEFAULT 'x'");
    expect(r#"{"id":1,"a":10,"b":"x"}"#).await;
    mariadb.sql("ALTER TABLE t RENAME COLUMN a TO c");
    expect(r#"{"id":1,"c":10,"b":"x"}"#).await;
    mariadb.sql("ALTER TABLE t DROP COLUMN c, ADD COLUMN d BLOB FIRST");
    expect(r#"{"d":null,"id":1,"b":"x"}"#).await;
    mariadb.sql("DROP TABLE t");
    assert_eq!(failure(&t, "t:1").await.kind(), ErrorKind::Loader);
    mariadb.sql("CREATE TABLE t (id BOOLEAN); INSERT INTO t VALUES (1)");
    expect(r#"{"id":true}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_only_reads() {
    let (mariadb, database) = start(
        "CREATE TABLE t (id INT);
         DELIMITER $$
         CREATE FUNCTION sly(n INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO t VALUES (n); RETURN n; END $$",
    );
    for sql in ["INSERT INTO t VALUES ({id})", "DELETE FROM t WHERE id = {id} RETURNING id"] {
        let message = not_accepted(&database, load("t:{id:int}", sql)).await;
        assert!(message.contains("a load reads"), "{message}");
    }
    let sly = source(&database, load("t:{id:int}", "SELECT sly({id}) AS n"));
    let error = failure(&sly, "t:1").await;
    assert!(error.chain().contains("READ ONLY"), "{}", error.chain());
    assert_eq!(mariadb.sql("SELECT count(*) FROM t"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_too_large_is_an_error_that_says_so() {
    let (_mariadb, database) =
        start_with(&[("max_allowed_packet", "64M")], "CREATE TABLE t (id INT)");
    let t = source(&database, raw("t:{n:int}", "SELECT REPEAT('x', {n}) AS x"));
    let largest = i64::try_from(RESULT_BYTES_MAX).unwrap();
    let value = get(&t, &format!("t:{largest}")).await.unwrap().unwrap();
    assert_eq!(value.bytes.len(), RESULT_BYTES_MAX);
    let error = failure(&t, &format!("t:{}", largest + 1)).await;
    assert_eq!(error.kind(), ErrorKind::Loader);
    assert!(error.to_string().contains("16777216 is the most"));
    assert!(answer(&t, "t:1").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_as_its_keys_would_alone() {
    let (_mariadb, database) = start(
        "CREATE TABLE t (id INT, s CHAR(1), v VARCHAR(9), INDEX up (id));
         INSERT INTO t WITH RECURSIVE n(i) AS (SELECT -40 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
         SELECT i, char(97 + abs(i) % 3), CASE abs(i) % 4 WHEN 0 THEN i * 0.5 WHEN 1 THEN concat('v', i) END FROM n WHERE i % 5;",
    );
    let key = "t:{id:int}:{s:text}";
    let sources = [
        source(&database, load(key, "SELECT * FROM t WHERE id = {id} AND s = {s}")),
        source(&database, raw(key, "SELECT v FROM t WHERE s = {s} AND id = {id} AND {s} <> 'q'")),
        source(
            &database,
            many(key, "SELECT count(*) AS n FROM t WHERE id > {id} AND s = {s} GROUP BY s"),
        ),
    ];
    let keys = proptest::collection::vec((-50..50_i64, "[a-d]"), 1..300);
    let mut runner = TestRunner::deterministic();
    for _ in 0..6 {
        let keys: Vec<_> = keys
            .new_tree(&mut runner)
            .unwrap()
            .current()
            .into_iter()
            .map(|(id, s)| format!("t:{id}:{s}"))
            .collect();
        for source in &sources {
            let batch = get_many(source, &keys).await.unwrap();
            assert_eq!(batch.len(), keys.len());
            for (key, value) in keys.iter().zip(batch) {
                assert_eq!(get(source, key).await.unwrap(), value, "{key}");
            }
        }
    }
    assert_eq!(sources[0].batch_max(), 128);
}
