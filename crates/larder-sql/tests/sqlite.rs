//! SQLite files as sources.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{
    answer, failure, get, get_many, load, many, not_accepted, raw, source, tagged, tags, text,
};
use larder_core::{ErrorKind, Key, Media, Source};
use larder_sql::{Database, Options, RESULT_BYTES_MAX, Warning};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

/// A folder with a database file.
struct Shop {
    folder: TempDir,
    writer: SqliteConnection,
}

impl Shop {
    async fn new(sql: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let writer = write(&folder.path().join("shop.db"), sql).await;
        Self { folder, writer }
    }

    fn database(&self) -> Database {
        self.database_with(&Options::new("shop"))
    }

    fn database_with(&self, options: &Options) -> Database {
        Database::open(&format!("sqlite://{}", self.file().display()), options).unwrap()
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("shop.db")
    }

    async fn execute(&mut self, sql: &str) {
        self.writer.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }
}

async fn write(file: &Path, sql: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut writer = SqliteConnection::connect_with(&options).await.unwrap();
    writer.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    writer
}

#[tokio::test]
async fn a_row_is_exact_json_in_the_order_of_its_columns() {
    let shop = Shop::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, z TEXT, a REAL, b BLOB, ok BOOLEAN, n NUMERIC, \"o\"\"dd\" INT);
         INSERT INTO t VALUES
            (9223372036854775807, 'a\"b\\c' || char(10) || 'ü', 0.1, x'00ff10', 1, 1e300, NULL),
            (-9223372036854775808, '', 1.0, x'', 0, 9e999, 7),
            (3, NULL, -9e999, NULL, 2, 12, '042');",
    )
    .await;
    let t = source(&shop.database(), load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"));
    for (key, json) in [
        (
            "t:9223372036854775807",
            r#"{"id":9223372036854775807,"z":"a\"b\\c\nü","a":0.1,"b":"AP8Q","ok":true,"n":1e300,"o\"dd":null}"#,
        ),
        (
            "t:-9223372036854775808",
            r#"{"id":-9223372036854775808,"z":"","a":1.0,"b":"","ok":false,"n":9e999,"o\"dd":7}"#,
        ),
        ("t:3", r#"{"id":3,"z":null,"a":-9e999,"b":null,"ok":2,"n":12,"o\"dd":42}"#),
    ] {
        assert_eq!(answer(&t, key).await.as_deref(), Some(json));
    }
    assert_eq!(answer(&t, "t:4").await, None);
    let media = get(&t, "t:3").await.unwrap().unwrap().media;
    assert_eq!(media, Media::Json);
    let report = t.prepare().await.unwrap();
    let names: Vec<_> = report.columns.iter().map(|c| (&*c.name, &*c.sql_type)).collect();
    assert_eq!(names[..3], [("id", "INTEGER"), ("z", "TEXT"), ("a", "REAL")]);
    assert_eq!(report.batch_max, 128);
    assert!(report.warnings.is_empty());
}

#[tokio::test]
async fn every_kind_of_parameter_is_bound_and_never_pasted() {
    let shop = Shop::new(
        "CREATE TABLE t (i INTEGER, s TEXT, u TEXT, b BOOLEAN);
         INSERT INTO t VALUES (-1, 'x'' OR 1=1 --', '0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4', 1);",
    )
    .await;
    let database = shop.database();
    let by = |column: &str, kind: &str| {
        let sql = format!("SELECT i FROM t WHERE {column} = {{v}}");
        source(&database, load(&format!("t:{{v:{kind}}}"), &sql))
    };
    let row = Some(r#"{"i":-1}"#.to_owned());
    assert_eq!(answer(&by("i", "int"), "t:-1").await, row);
    assert_eq!(answer(&by("s", "text"), "t:x' OR 1=1 --").await, row);
    assert_eq!(answer(&by("s", "text"), "t:' OR ''='").await, None);
    assert_eq!(answer(&by("u", "uuid"), "t:0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4").await, row);
    assert_eq!(answer(&by("b", "bool"), "t:true").await, row);
    assert_eq!(answer(&by("b", "bool"), "t:false").await, None);
}

#[tokio::test]
async fn a_key_that_names_no_row_is_refused_before_the_database_is_asked() {
    let nowhere = Database::open("sqlite:/nowhere/at/all.db", &Options::new("shop")).unwrap();
    let t = source(&nowhere, load("t:{id:int}", "SELECT {id} AS id"));
    for key in [&b"t:abc"[..], b"t:042", b"u:1", b"t:\xff"] {
        let error = t.check(&Key::new(key)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadKey);
        assert!(error.key().is_some());
    }
    assert!(t.check(&Key::from("t:42")).is_ok());
    assert_eq!(failure(&t, "t:abc").await.kind(), ErrorKind::BadKey);
    let error = get_many(&t, &["t:1", "t:x"]).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::BadKey, Some("t:x")));
}

#[tokio::test]
async fn more_than_one_row_is_an_error_that_names_the_key() {
    let shop =
        Shop::new("CREATE TABLE t (id INT, n INT); INSERT INTO t VALUES (1,1),(1,2),(2,3);").await;
    let t = source(&shop.database(), load("t:{id:int}", "SELECT n FROM t WHERE id = {id}"));
    let error = failure(&t, "t:1").await;
    assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("t:1")));
    assert!(error.to_string().contains("more than one row"));
    let error = get_many(&t, &["t:2", "t:1", "t:3"]).await.unwrap_err();
    assert_eq!(error.key(), Some("t:1"));
    let sql = "WITH RECURSIVE i(n) AS (SELECT {id} UNION ALL SELECT n + 1 FROM i) SELECT n FROM i";
    let endless = source(&shop.database(), load("t:{id:int}", sql));
    assert!(failure(&endless, "t:1").await.to_string().contains("more than one row"));
    assert_eq!(answer(&t, "t:2").await.as_deref(), Some(r#"{"n":3}"#));
}

#[tokio::test]
async fn many_rows_are_an_array_in_the_order_of_the_query() {
    let shop = Shop::new(
        "CREATE TABLE t (shop TEXT, n INT); CREATE INDEX up ON t (shop, n);
         INSERT INTO t VALUES ('a',2),('a',3),('a',1),('b',9);",
    )
    .await;
    let t = source(
        &shop.database(),
        many("t:{shop:text}", "SELECT n FROM t WHERE shop = {shop} ORDER BY n % 3, n DESC;"),
    );
    let a = r#"[{"n":3},{"n":1},{"n":2}]"#;
    assert_eq!(answer(&t, "t:a").await.as_deref(), Some(a));
    assert_eq!(answer(&t, "t:none").await.as_deref(), Some("[]"));
    let values = get_many(&t, &["t:b", "t:a", "t:none"]).await.unwrap();
    let values: Vec<_> = values.into_iter().map(|value| text(value).unwrap()).collect();
    assert_eq!(values, [r#"[{"n":9}]"#, a, "[]"]);
}

#[tokio::test]
async fn raw_is_the_only_column_as_it_is() {
    let shop = Shop::new(
        "CREATE TABLE t (id INT, v); INSERT INTO t VALUES
         (1,'grün'),(2,x'00ff'),(3,-5),(4,0.5),(5,NULL),(6,'');",
    )
    .await;
    let t = source(&shop.database(), raw("t:{id:int}", "SELECT v FROM t WHERE id = {id}"));
    let keys: Vec<_> = (1..=7).map(|id| format!("t:{id}")).collect();
    let expected: [Option<&[u8]>; 7] = [
        Some("grün".as_bytes()),
        Some(b"\x00\xff"),
        Some(b"-5"),
        Some(b"0.5"),
        None,
        Some(b""),
        None,
    ];
    let batch = get_many(&t, &keys).await.unwrap();
    for ((key, value), expected) in keys.iter().zip(batch).zip(expected) {
        assert_eq!(value.as_ref().map(|value| &value.bytes[..]), expected, "{key}");
        assert!(value.as_ref().is_none_or(|value| value.media == Media::Raw));
        assert_eq!(get(&t, key).await.unwrap(), value);
    }
    let two = raw("t:{id:int}", "SELECT id, v FROM t WHERE id = {id}");
    assert!(not_accepted(&shop.database(), two).await.contains("it has 2: select one"));
}

#[tokio::test]
async fn tags_come_from_the_key_and_from_the_columns_of_each_row() {
    let mut shop = Shop::new(
        "CREATE TABLE t (id INT, tenant TEXT, n INT, r REAL, b BLOB, ok BOOLEAN);
         INSERT INTO t VALUES (1, 'a\"\\ü{', -7, 0.5, x'00ff', 1), (2, NULL, 9, NULL, NULL, NULL);",
    )
    .await;
    let all = ["t:{tenant}", "{id}/{n}", "all", "r{r}", "b{b}", "ok{ok}", "{{{tenant}}}"];
    let sql = "SELECT id AS theirs, tenant, n, r, b, ok FROM t WHERE id = {id}";
    let one = source(&shop.database(), tagged(load("t:{id:int}", sql), &all));
    let first = vec!["1/-7", "all", "bAP8=", "oktrue", "r0.5", "t:a\"\\ü{", "{a\"\\ü{}"];
    assert_eq!(tags(&one, &["t:1"]).await, std::slice::from_ref(&first));
    // Together each has its own; what is NULL names nothing, and neither does what is absent.
    let together = tags(&one, &["t:1", "t:2", "t:3"]).await;
    assert_eq!(together, [first, vec!["2/9", "all"], vec!["all"]]);

    shop.execute("INSERT INTO t (id, tenant) VALUES (2, 'b'), (2, 'c'), (2, 'b')").await;
    let rows = source(&shop.database(), tagged(many("t:{id:int}", sql), &["t:{tenant}", "all"]));
    let each = [vec!["all", "t:b", "t:c"], vec!["all"]];
    assert_eq!(tags(&rows, &["t:2", "t:9"]).await, each);
    let bytes = tagged(raw("t:{id:int}", "SELECT n FROM t WHERE id = {id} LIMIT 1"), &["n{n}"]);
    assert_eq!(tags(&source(&shop.database(), bytes), &["t:1"]).await, [["n-7"]]);
}

#[tokio::test]
async fn a_tag_of_a_column_that_is_not_there_is_told_by_prepare_and_by_a_load() {
    let shop = Shop::new("CREATE TABLE t (id INT, tenant_id INT)").await;
    let wrong = tagged(load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"), &["t:{tenent_id}"]);
    let message = not_accepted(&shop.database(), wrong.clone()).await;
    assert!(message.contains("names {tenent_id}, which is neither a parameter"), "{message}");
    assert!(message.contains("did you mean {tenant_id}?"), "{message}");
    let error = failure(&source(&shop.database(), wrong), "t:1").await;
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn more_tags_than_an_entry_may_have_fail_the_load_of_their_key() {
    let sql = "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {id})
               SELECT n FROM i";
    let shop = Shop::new("CREATE TABLE t (id INT)").await;
    let t = source(&shop.database(), tagged(many("t:{id:int}", sql), &["n:{n}"]));
    assert_eq!(tags(&t, &["t:128"]).await[0].len(), 128);
    let error = failure(&t, "t:129").await;
    assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("t:129")));
    assert!(error.to_string().contains("more than 128 tags"), "{error}");
    let sql = "SELECT printf('%.*c', {id}, 'x') AS x";
    let t = source(&shop.database(), tagged(load("t:{id:int}", sql), &["{x}"]));
    assert_eq!(tags(&t, &["t:1024"]).await[0][0].len(), 1024);
    let error = failure(&t, "t:1025").await;
    assert_eq!((error.kind(), error.key()), (ErrorKind::Loader, Some("t:1025")));
    assert!(error.to_string().contains("1024 are the most"), "{error}");
    // The connection is as good as before.
    assert_eq!(tags(&t, &["t:3"]).await, [["xxx"]]);
}

#[tokio::test]
async fn a_version_is_part_of_the_key_and_nothing_else() {
    let shop = Shop::new("CREATE TABLE t (id INT); INSERT INTO t VALUES (1);").await;
    let key = "t:{id:int}:{v:version}";
    let t = source(&shop.database(), load(key, "SELECT id FROM t WHERE id = {id}"));
    assert_eq!(t.warnings(), []);
    for version in [0, u64::MAX] {
        let found = answer(&t, &format!("t:1:{version}")).await;
        assert_eq!(found.as_deref(), Some(r#"{"id":1}"#));
    }
    assert_eq!(failure(&t, "t:1:-1").await.kind(), ErrorKind::BadKey);
    for sql in ["SELECT {v} AS v", "SELECT '{v}' AS v"] {
        let message = not_accepted(&shop.database(), load(key, sql)).await;
        assert!(message.contains("names {v}, which is a version"), "{message}");
    }
}

#[tokio::test]
async fn what_the_file_does_not_accept_is_told_with_the_cure() {
    let shop = Shop::new("CREATE TABLE t (id INT);").await;
    let database = shop.database();
    for (wrong, cure) in [
        (load("t:{id:int}", "SELECT nope FROM t WHERE id = {id}"), "no such column: nope"),
        (load("t:{id:int}", "SELECT * FROM u WHERE id = {id}"), "no such table: u"),
        (load("t:{id:int}", "SELECT id, id FROM t WHERE id = {id}"), "rename one with AS"),
        (load("t:{id:int}", "SELECT id FROM t WHERE id = {idd}"), "did you mean {id}?"),
        (load("t:{id:int}", "SELECT (id FROM t"), "syntax error"),
    ] {
        let message = not_accepted(&database, wrong).await;
        assert!(message.contains(cure), "{message}");
    }
    let t = source(&database, load("t:{id:int}", "SELECT * FROM u WHERE id = {id}"));
    assert_eq!(failure(&t, "t:1").await.kind(), ErrorKind::Loader);
    let unused = source(&database, load("t:{id:int}:{no:int}", "SELECT * FROM t WHERE id = {id}"));
    assert!(
        matches!(&unused.warnings()[..], [Warning::Unused(parameter)] if parameter.name == "no")
    );
    assert_eq!(unused.prepare().await.unwrap().warnings, unused.warnings());
}

#[tokio::test]
async fn a_file_that_is_missing_is_named_and_may_come_later() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("late.db");
    let url = format!("sqlite://{}", file.display());
    let database = Database::open(&url, &Options::new("shop")).unwrap();
    let t = source(&database, load("t:{id:int}", "SELECT id FROM t WHERE id = {id}"));
    let error = t.prepare().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.chain().contains(&format!("there is no file {}", file.display())), "{error:?}");
    let error = failure(&t, "t:1").await;
    assert_eq!((error.kind(), error.retry_delay().is_some()), (ErrorKind::SourceDown, true));
    assert!(!file.exists());
    write(&file, "CREATE TABLE t (id INT); INSERT INTO t VALUES (1);").await;
    let start = Instant::now();
    while get(&t, "t:1").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_is_noticed() {
    let shop = Shop::new("CREATE TABLE t (n INT); INSERT INTO t VALUES (1);").await;
    let t = source(&shop.database(), load("t", "SELECT n FROM t"));
    assert_eq!(answer(&t, "t").await.as_deref(), Some(r#"{"n":1}"#));
    let other = shop.folder.path().join("other.db");
    let writer = write(&other, "CREATE TABLE t (m INT); INSERT INTO t VALUES (2);").await;
    writer.close().await.unwrap();
    std::fs::rename(&other, shop.file()).unwrap();
    let again = source(&shop.database(), load("t", "SELECT * FROM t"));
    assert_eq!(answer(&again, "t").await.as_deref(), Some(r#"{"m":2}"#));
    assert_eq!(failure(&t, "t").await.kind(), ErrorKind::Loader);
}

#[tokio::test]
async fn a_migration_shows_at_once_and_costs_no_error() {
    let mut shop =
        Shop::new("CREATE TABLE t (id INT, a INT); INSERT INTO t VALUES (1,10),(2,20);").await;
    let t = source(&shop.database(), load("t:{id:int}", "SELECT * FROM t WHERE id = {id}"));
    let expect = async |json: &str| {
        let batch = get_many(&t, &["t:1", "t:2"]).await.unwrap();
        assert_eq!(text(batch[0].clone()).as_deref(), Some(json));
        assert_eq!(answer(&t, "t:1").await.as_deref(), Some(json));
    };
    expect(r#"{"id":1,"a":10}"#).await;
    shop.execute("ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'x'").await;
    expect(r#"{"id":1,"a":10,"b":"x"}"#).await;
    shop.execute("ALTER TABLE t RENAME COLUMN a TO c").await;
    expect(r#"{"id":1,"c":10,"b":"x"}"#).await;
    shop.execute("ALTER TABLE t DROP COLUMN c; ALTER TABLE t ADD COLUMN d INT").await;
    expect(r#"{"id":1,"b":"x","d":null}"#).await;
    shop.execute("DROP TABLE t").await;
    assert_eq!(failure(&t, "t:1").await.kind(), ErrorKind::Loader);
    shop.execute("CREATE TABLE t (id BOOLEAN); INSERT INTO t VALUES (1)").await;
    expect(r#"{"id":true}"#).await;
}

/// Counts for ever.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT {id} UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS m FROM n";

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_takes_too_long_is_stopped_and_gives_its_place_back() {
    let shop = Shop::new("CREATE TABLE t (id INT); INSERT INTO t VALUES (1);").await;
    let options = Options {
        connections: 1,
        load_timeout: Duration::from_millis(200),
        ..Options::new("shop")
    };
    let database = shop.database_with(&options);
    let endless = source(&database, load("t:{id:int}", ENDLESS));
    let quick = source(&database, load("t:{id:int}", "SELECT id FROM t WHERE id = {id}"));
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    for _ in 0..3 {
        assert_eq!(failure(&endless, "t:1").await.kind(), ErrorKind::Timeout);
        assert_eq!(answer(&quick, "t:1").await.as_deref(), Some(r#"{"id":1}"#));
    }
    // The threads that were counting have ended; the one idle connection has its own.
    let start = Instant::now();
    while threads() > before + 1 {
        assert!(start.elapsed() < Duration::from_secs(5), "a statement still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_load_leaves_the_source_usable() {
    let shop = Shop::new("CREATE TABLE t (id INT); INSERT INTO t VALUES (1);").await;
    let database = shop.database_with(&Options { connections: 2, ..Options::new("shop") });
    let endless = source(&database, load("t:{id:int}", ENDLESS));
    let quick = source(&database, load("t:{id:int}", "SELECT id FROM t WHERE id = {id}"));
    for round in 0..40 {
        let limit = Duration::from_micros(200 * round);
        let _ = tokio::time::timeout(limit, get(&endless, "t:1")).await.unwrap_err();
        assert_eq!(answer(&quick, "t:1").await.as_deref(), Some(r#"{"id":1}"#));
    }
}

#[tokio::test]
async fn a_locked_file_is_a_source_that_is_down_for_now() {
    let mut shop = Shop::new("CREATE TABLE t (id INT); INSERT INTO t VALUES (1);").await;
    let options = Options { load_timeout: Duration::from_millis(400), ..Options::new("shop") };
    let t =
        source(&shop.database_with(&options), load("t:{id:int}", "SELECT id FROM t WHERE id={id}"));
    shop.execute("BEGIN EXCLUSIVE").await;
    let error = failure(&t, "t:1").await;
    assert_eq!((error.kind(), error.retry_delay().is_some()), (ErrorKind::SourceDown, true));
    shop.execute("COMMIT").await;
    assert_eq!(answer(&t, "t:1").await.as_deref(), Some(r#"{"id":1}"#));
}

#[tokio::test]
async fn a_writer_in_wal_mode_disturbs_nobody_and_is_seen() {
    let mut shop = Shop::new("PRAGMA journal_mode = WAL; CREATE TABLE t (n INT);").await;
    let t = source(&shop.database(), load("t", "SELECT count(*) AS n FROM t"));
    for n in 0..5 {
        assert_eq!(answer(&t, "t").await, Some(format!("{{\"n\":{n}}}")));
        shop.execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").await;
        assert_eq!(answer(&t, "t").await, Some(format!("{{\"n\":{n}}}")));
        shop.execute("COMMIT").await;
    }
}

#[tokio::test]
async fn a_value_that_is_too_large_is_an_error_that_says_so() {
    let shop = Shop::new("CREATE TABLE t (id INT);").await;
    let t = source(&shop.database(), raw("t:{n:int}", "SELECT zeroblob({n})"));
    let largest = i64::try_from(RESULT_BYTES_MAX).unwrap();
    let value = get(&t, &format!("t:{largest}")).await.unwrap().unwrap();
    assert_eq!(value.bytes.len(), RESULT_BYTES_MAX);
    let error = failure(&t, &format!("t:{}", largest + 1)).await;
    assert_eq!(error.kind(), ErrorKind::Loader);
    assert!(error.to_string().contains("16777216 is the most"));
    let rows = source(
        &shop.database(),
        many(
            "t:{n:int}",
            "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i)
             SELECT hex(zeroblob({n})) AS x FROM i",
        ),
    );
    assert!(failure(&rows, "t:100000").await.to_string().contains("select fewer"));
    // Nobody waits for the rest.
    assert!(answer(&t, "t:1").await.is_some());
}

#[tokio::test]
async fn a_source_only_reads() {
    let shop = Shop::new("CREATE TABLE t (id INT);").await;
    for sql in ["INSERT INTO t VALUES ({id})", "DELETE FROM t WHERE id = {id} RETURNING id"] {
        assert!(
            not_accepted(&shop.database(), load("t:{id:int}", sql)).await.contains("a load reads")
        );
    }
}

#[tokio::test]
async fn a_batch_answers_as_its_keys_would_alone() {
    let shop = Shop::new(
        "CREATE TABLE t (id INTEGER, s TEXT, v); CREATE INDEX up ON t (id);
         WITH RECURSIVE n(i) AS (SELECT -40 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
         INSERT INTO t SELECT i, char(97 + abs(i) % 3), CASE abs(i) % 4
            WHEN 0 THEN i * 0.5 WHEN 1 THEN 'v' || i WHEN 2 THEN x'00' END FROM n WHERE i % 5;",
    )
    .await;
    let database = shop.database();
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
                "SELECT id, v FROM t WHERE id > {id} AND s = {s} ORDER BY v IS NULL, v, id DESC LIMIT 5",
            ),
        ),
    ];
    let keys = proptest::collection::vec((-50..50_i64, "[a-d]"), 1..300);
    let mut runner = TestRunner::deterministic();
    for _ in 0..20 {
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
}

#[tokio::test]
async fn relative_and_absolute_files_are_both_found() {
    let shop = Shop::new("CREATE TABLE t (n INT); INSERT INTO t VALUES (1);").await;
    let path = shop.file().display().to_string();
    let up = "../".repeat(std::env::current_dir().unwrap().components().count() - 1);
    for url in
        [format!("sqlite:{path}"), format!("sqlite://{path}"), format!("sqlite:{up}{}", &path[1..])]
    {
        let database = Database::open(&url, &Options::new("shop")).unwrap();
        let t = source(&database, load("t", "SELECT n FROM t"));
        assert_eq!(answer(&t, "t").await.as_deref(), Some(r#"{"n":1}"#), "{url}");
    }
}
