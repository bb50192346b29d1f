//! What loads read in Postgres: tables, rows, and what nobody tells a change of.

#![allow(clippy::unwrap_used)]

mod common;

use common::{load, source};
use larder_core::ErrorKind;
use larder_core::change::Table;
use larder_sql::{Database, Options, Reads, SqlSource};
use larder_test::Postgres;

const SCHEMA: &str = "
    CREATE TABLE users (id bigint PRIMARY KEY, name text, email varchar(99), tenant int, code uuid,
        pad char(4), price numeric, ok boolean, born date, at timestamptz, doc jsonb,
        twice bigint GENERATED ALWAYS AS (id * 2) STORED, \"Odd\" int, said text);
    CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, total numeric);
    CREATE SCHEMA other;
    CREATE TABLE other.notes (id int, text text);
    CREATE VIEW names AS SELECT id, name FROM users;
    CREATE VIEW sums AS SELECT n.name, (SELECT sum(total) FROM orders o WHERE o.user_id = n.id)
        FROM names n;
    CREATE VIEW clocks AS SELECT id, now() AS now FROM users;
    CREATE VIEW frozen AS SELECT id FROM users WHERE at > 'today'::timestamptz;
    CREATE MATERIALIZED VIEW kept AS SELECT id FROM users;
    CREATE TABLE events (id bigint, day date) PARTITION BY RANGE (day);
    CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
    CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2040-01-01');
    CREATE TABLE animals (id bigint, name text);
    CREATE TABLE cats (lives int) INHERITS (animals);
    CREATE TABLE guarded (id bigint, owner text);
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
    CREATE VIEW shown AS SELECT * FROM guarded;
    CREATE SEQUENCE numbers;
    CREATE FUNCTION twice(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT 2 * $1';
    CREATE FUNCTION total(bigint) RETURNS numeric STABLE LANGUAGE sql
        AS 'SELECT sum(total) FROM orders WHERE user_id = $1';
    CREATE FUNCTION step(bigint, bigint) RETURNS bigint VOLATILE LANGUAGE sql AS 'SELECT $1 + $2';
    CREATE AGGREGATE summed(bigint) (SFUNC = step, STYPE = bigint, INITCOND = '0');
    CREATE FUNCTION alike(bigint, bigint) RETURNS boolean STABLE LANGUAGE sql AS 'SELECT $1 = $2';
    CREATE OPERATOR ~~~ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = alike);
    CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE DOMAIN number AS bigint CHECK (VALUE > 0);
    CREATE TABLE odd (id number, name text COLLATE loose);
";

fn start() -> (Postgres, Database) {
    let postgres = Postgres::start();
    postgres.psql(SCHEMA);
    let database = Database::open(&postgres.url(), &Options::new("shop")).unwrap();
    (postgres, database)
}

fn asked(database: &Database, key: &str, sql: &str) -> SqlSource {
    source(database, load(key, sql))
}

async fn reads(database: &Database, key: &str, sql: &str) -> Reads {
    let reads = asked(database, key, sql).reads().await;
    reads.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()))
}

fn names(tables: &[Table]) -> Vec<String> {
    tables.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_named_through_views_and_partitions() {
    let (_postgres, database) = start();
    for (sql, tables) in [
        ("SELECT name FROM users WHERE id = {id}", "public.users"),
        (
            "SELECT u.name, o.total FROM users u JOIN orders o ON o.user_id = u.id AND o.id = {id}",
            "public.orders public.users",
        ),
        ("SELECT name FROM sums WHERE name = {id}::text", "public.orders public.users"),
        (
            "SELECT 1 FROM other.notes WHERE EXISTS (SELECT FROM users WHERE id = {id})",
            "other.notes public.users",
        ),
        (
            "WITH users AS (SELECT * FROM orders) SELECT * FROM users WHERE id = {id}",
            "public.orders",
        ),
        (
            "WITH RECURSIVE up(id) AS (SELECT {id}::bigint UNION SELECT user_id FROM orders JOIN up \
          USING (id)) SELECT max(id) FROM up",
            "public.orders",
        ),
        (
            "SELECT id FROM users WHERE id = {id} UNION ALL SELECT id FROM other.notes",
            "other.notes public.users",
        ),
        // A plan would leave these out.
        (
            "SELECT {id}::bigint FROM users u LEFT JOIN orders o ON o.id = u.id WHERE false",
            "public.orders public.users",
        ),
        ("SELECT id FROM events WHERE day = '2021-01-01' AND id = {id}", "public.events"),
        ("SELECT id FROM events_old WHERE id = {id}", "public.events"),
        ("SELECT id FROM animals WHERE id = {id}", "public.animals public.cats"),
        ("SELECT id FROM cats WHERE id = {id}", "public.cats"),
        ("SELECT id FROM frozen WHERE id = {id}", "public.users"),
        ("SELECT {id}::bigint", ""),
        (
            "SELECT {id}::bigint, to_char(g, 'YYYY') FROM generate_series(timestamptz '2020-01-01', \
          timestamptz '2021-01-01', interval '1 year') g",
            "",
        ),
        ("VALUES ({id}::bigint)", ""),
        (
            "SELECT jsonb_build_object('id', id), concat(name, 1), to_char(at, 'YYYY'), at::date, \
          date_trunc('day', at), at > born, row_to_json(users) FROM users WHERE id = {id}",
            "public.users",
        ),
        ("SELECT id, 'now' AS id2, 'today' FROM users WHERE id = {id}", "public.users"),
        ("SELECT id FROM users WHERE id = {id} ORDER BY name LIMIT 5 -- the first", "public.users"),
        (
            "SELECT twice(id) AS a, \":relid 7\" FROM (SELECT id, name AS \":relid 7\" FROM users) u \
          WHERE id = {id}",
            "public.users",
        ),
    ] {
        let reads = reads(&database, "k:{id:int}", sql).await;
        assert_eq!(names(&reads.tables).join(" "), tables, "{sql}");
    }
    // Nothing of it is left, and the session reads as before.
    let source = asked(
        &database,
        "k:{id:int}",
        "SELECT count(*) FROM pg_views WHERE viewname \
        = 'larder_reads' AND {id}::bigint > 0",
    );
    assert_eq!(common::answer(&source, "k:1").await.unwrap(), "{\"count\":0}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_without_a_row_is_refused_by_its_name() {
    let (postgres, database) = start();
    for (sql, name) in [
        ("SELECT now(), {id}::int", "now()"),
        ("SELECT random() FROM users WHERE id = {id}", "random()"),
        ("SELECT gen_random_uuid() FROM users WHERE id = {id}", "gen_random_uuid()"),
        ("SELECT nextval('numbers') FROM users WHERE id = {id}", "nextval()"),
        ("SELECT last_value FROM numbers WHERE last_value = {id}", "the sequence public.numbers"),
        ("SELECT id FROM users WHERE id = {id} AND at > current_timestamp", "CURRENT_TIMESTAMP"),
        ("SELECT id FROM users WHERE id = {id} AND born = current_date", "CURRENT_DATE"),
        ("SELECT localtime FROM users WHERE id = {id}", "LOCALTIME"),
        ("SELECT age(at) FROM users WHERE id = {id}", "age()"),
        ("SELECT clock_timestamp() FROM users WHERE id = {id}", "clock_timestamp()"),
        ("SELECT id FROM users WHERE id = {id} AND name = current_user", "CURRENT_USER"),
        ("SELECT session_user FROM users WHERE id = {id}", "SESSION_USER"),
        ("SELECT current_setting('a.b') FROM users WHERE id = {id}", "current_setting()"),
        ("SELECT txid_current() FROM users WHERE id = {id}", "txid_current()"),
        ("SELECT pg_table_size('users') FROM users WHERE id = {id}", "pg_table_size()"),
        (
            "SELECT query_to_xml('TABLE users', true, true, '') FROM users WHERE id = {id}",
            "query_to_xml()",
        ),
        ("SELECT id FROM users WHERE id = {id} AND at > 'today'::timestamptz", "'today'"),
        ("SELECT id FROM users WHERE id = {id} AND at > timestamptz ' Now '", "' Now '"),
        ("SELECT id FROM users WHERE id = {id} AND at > E'n\\x6fw'", "a moment"),
        ("SELECT id FROM users WHERE id = {id} AND born <@ '[today,)'::daterange", "[today,)"),
        ("SELECT name::timestamptz FROM users WHERE id = {id}", "casts a text"),
        (
            "SELECT * FROM jsonb_to_record((SELECT doc FROM users WHERE id = {id})) AS x(at date)",
            "jsonb_to_record()",
        ),
        ("SELECT id FROM users TABLESAMPLE system (50) WHERE id = {id}", "TABLESAMPLE"),
        ("SELECT id FROM users WHERE id = {id} FOR SHARE", "FOR SHARE"),
        ("SELECT ctid, id FROM users WHERE id = {id}", "ctid"),
        ("SELECT id, now FROM clocks WHERE id = {id}", "now()"),
        ("SELECT total(id) FROM users WHERE id = {id}", "public.total()"),
        ("SELECT summed(id) FROM users WHERE id = {id}", "public.step()"),
        ("SELECT id ~~~ 7 FROM users WHERE id = {id}", "public.alike()"),
        ("SELECT id FROM kept WHERE id = {id}", "the materialized view public.kept"),
        ("SELECT relname FROM pg_class WHERE relpages = {id}", "the system's pg_catalog.pg_class"),
        (
            "SELECT table_name FROM information_schema.tables WHERE {id} = 1",
            "the system's information_schema.tables",
        ),
        (
            "SELECT xmltable.a FROM users, xmltable('/a' PASSING (name::xml) COLUMNS a text) \
          WHERE id = {id}",
            "XMLTABLE",
        ),
    ] {
        let error = asked(&database, "k:{id:int}", sql).reads().await.unwrap_err();
        let message = error.chain();
        assert!(message.contains(name), "{sql}: {message}");
        assert_eq!(error.kind(), ErrorKind::Refused, "{sql}: {message}");
    }
    // The superuser sees everything, and another one what a policy lets through.
    assert!(
        asked(&database, "k:{id:int}", "SELECT id FROM guarded WHERE id = {id}")
            .reads()
            .await
            .is_ok()
    );
    postgres.psql("CREATE ROLE ann LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ann;");
    let url = postgres.url().replace("postgres@", "ann@");
    let ann = Database::open(&url, &Options::new("shop")).unwrap();
    for table in ["guarded", "shown"] {
        let sql = format!("SELECT id FROM {table} WHERE id = {{id}}");
        let error = asked(&ann, "k:{id:int}", &sql).reads().await.unwrap_err();
        assert!(error.chain().contains("row level security"), "{}", error.chain());
        assert!(error.chain().contains("ALTER ROLE … BYPASSRLS"), "{}", error.chain());
    }
    // Through a view its owner's policies count, whoever asks, and whatever else is read.
    for tables in ["shown", "guarded JOIN shown USING (id)"] {
        let sql = format!("SELECT id FROM {tables} WHERE id = {{id}}");
        let reads = async || asked(&database, "k:{id:int}", &sql).reads().await;
        assert!(reads().await.is_ok(), "{tables}: the superuser's view shows everything");
        postgres.psql("ALTER VIEW shown OWNER TO ann");
        let error = reads().await.unwrap_err();
        assert!(error.chain().contains("the owner of a view"), "{}", error.chain());
        postgres.psql("ALTER VIEW shown OWNER TO postgres");
    }
}

/// Who isn't subject to the policies reads every row, so that nothing but rows changes answers.
#[tokio::test(flavor = "multi_thread")]
async fn policies_that_do_not_hold_for_the_user_change_nothing() {
    let (postgres, _) = start();
    postgres.psql(
        "CREATE ROLE ann LOGIN; GRANT SELECT ON guarded TO ann; ALTER TABLE guarded OWNER TO ann",
    );
    let url = postgres.url().replace("postgres@", "ann@");
    let ann = Database::open(&url, &Options::new("shop")).unwrap();
    let reads = async || {
        let reads = asked(&ann, "k:{id:int}", "SELECT id FROM guarded WHERE id = {id}");
        reads.reads().await.map(|reads| reads.tables.len())
    };
    let error = reads().await.unwrap_err();
    assert!(error.chain().contains("policies hold for the user"), "{}", error.chain());
    postgres.psql("ALTER TABLE guarded NO FORCE ROW LEVEL SECURITY");
    assert_eq!(reads().await.unwrap(), 1, "it is the owner");
    postgres.psql("ALTER TABLE guarded OWNER TO postgres; GRANT SELECT ON guarded TO ann");
    assert!(reads().await.is_err());
    postgres.psql("ALTER ROLE ann BYPASSRLS");
    assert_eq!(reads().await.unwrap(), 1, "it bypasses them");
    postgres.psql("ALTER ROLE ann NOBYPASSRLS");
    assert!(reads().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_says_its_key_where_each_parameter_is_a_column() {
    let (_postgres, database) = start();
    for (key, sql, columns) in [
        ("k:{id:int}", "SELECT name FROM users WHERE id = {id}", "id=id"),
        (
            "k:{id:int}",
            "SELECT name FROM users u WHERE ({id}::bigint = u.id) AND (ok OR tenant > 3)",
            "id=id",
        ),
        (
            "k:{t:int}:{n:text}",
            "SELECT count(*) FROM users WHERE tenant = {t} AND name = {n} AND ok \
          GROUP BY ok HAVING count(*) > 1 ORDER BY 1 LIMIT 3",
            "t=tenant n=name",
        ),
        ("k:{code:uuid}", "SELECT name FROM PUBLIC.Users WHERE CODE = {code}", "code=code"),
        ("k:{mail:text}", "SELECT id FROM users WHERE email = {mail}", "mail=email"),
        ("k:{o:int}", "SELECT id FROM users WHERE \"Odd\" = {o} AND id BETWEEN 1 AND 9", "o=Odd"),
        ("k:{id:int}", "SELECT name FROM odd WHERE id = {id}", "id=id"),
        ("k:{id:int}", "SELECT max(day) FROM events WHERE id = {id}", "id=id"),
        ("k:{id:int}", "SELECT max(day) FROM events_new WHERE id = {id}", "id=id"),
    ] {
        let reads = reads(&database, key, sql).await;
        let row = reads.row.unwrap_or_else(|| panic!("{sql}: {:?}", reads.why_not));
        let pairs: Vec<_> = row.columns.iter().map(|(p, c)| format!("{p}={c}")).collect();
        assert_eq!(pairs.join(" "), columns, "{sql}");
        assert_eq!([row.table], reads.tables[..], "{sql}");
        assert_eq!(reads.why_not, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_row_does_not_say_its_key_there_is_a_reason() {
    let (_postgres, database) = start();
    for (key, sql, why) in [
        ("k:{id:int}", "SELECT name FROM users WHERE id = {id} OR ok", "has no condition"),
        ("k:{id:int}", "SELECT name FROM users WHERE NOT id = {id} AND ok", "has no condition"),
        ("k:{id:int}", "SELECT name FROM users WHERE id > {id}", "has no condition"),
        ("k:{id:int}", "SELECT name FROM users WHERE id + 0 = {id}", "has no condition"),
        ("k:{id:int}", "SELECT name FROM users WHERE id IN ({id}, 7)", "has no condition"),
        ("k:{id:int}", "SELECT name FROM users WHERE (id = {id}) IS TRUE", "has no condition"),
        ("k:{id:int}", "SELECT {id}::bigint, count(*) FROM users", "has no WHERE"),
        ("k:{n:text}", "SELECT id FROM users WHERE lower(name) = {n}", "has no condition"),
        ("k:{n:text}", "SELECT id FROM users WHERE name = lower({n})", "has no condition"),
        ("k:{n:text}", "SELECT id FROM users WHERE pad = {n}", "character(4)"),
        ("k:{n:text}", "SELECT id FROM odd WHERE name = {n}", "collation"),
        ("k:{n:text}", "SELECT id FROM users WHERE name = {n} COLLATE \"C\"", "has no condition"),
        ("k:{p:int}", "SELECT id FROM users WHERE price = {p}", "numeric"),
        ("k:{p:bool}", "SELECT id FROM users WHERE ok = {p}", "boolean"),
        ("k:{p:int}", "SELECT id FROM users WHERE twice = {p}", "generated"),
        ("k:{p:int}", "SELECT id FROM users WHERE name = {p}::text", "of another kind"),
        (
            "k:{id:int}",
            "SELECT count(*) FROM users a JOIN users b USING (id) WHERE a.id = {id}",
            "joins",
        ),
        ("k:{id:int}", "SELECT count(*) FROM users a, users b WHERE a.id = {id}", "joins"),
        (
            "k:{id:int}",
            "SELECT (SELECT count(*) FROM users) FROM users WHERE id = {id}",
            "another query",
        ),
        ("k:{id:int}", "SELECT id FROM users WHERE id = {id} UNION SELECT 7", "UNION"),
        ("k:{id:int}", "WITH u AS (SELECT * FROM users) SELECT id FROM u WHERE id = {id}", "WITH"),
        ("k:{id:int}", "SELECT name FROM names WHERE id = {id}", "through a view"),
        ("k:{id:int}", "SELECT id FROM animals WHERE id = {id}", "more than one table"),
        ("k:{id:int}:{l:text}", "SELECT id FROM users WHERE id = {id}", "ignores {l}"),
        ("k:{id:int}:{v:version}", "SELECT id FROM users WHERE id = {id}", "ignores {v}"),
        ("k:all", "SELECT count(*) FROM users", "has no parameter"),
        ("k:{id:int}", "SELECT {id}::bigint", "reads no table"),
        ("k:{id:int}", "SELECT twice(id) FROM users WHERE id = {id}", "public.twice()"),
    ] {
        let reads = reads(&database, key, sql).await;
        assert_eq!(reads.row, None, "{sql}");
        let said = reads.why_not.unwrap();
        assert!(said.contains(why), "{sql}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_of_a_row_is_what_the_log_tells_of_the_old_one() {
    let (postgres, database) = start();
    postgres.psql(
        "CREATE TABLE whole (a int, b int); ALTER TABLE whole REPLICA IDENTITY FULL;
         CREATE TABLE by_index (a int NOT NULL, b int NOT NULL, c int);
         CREATE UNIQUE INDEX by_index_of ON by_index (b, a);
         ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_of;
         CREATE TABLE silent (a int PRIMARY KEY); ALTER TABLE silent REPLICA IDENTITY NOTHING;
         CREATE TABLE late (a int PRIMARY KEY DEFERRABLE);
         ALTER TABLE events_old REPLICA IDENTITY FULL;
         CREATE TABLE parts (a int, b int, PRIMARY KEY (a)) PARTITION BY RANGE (a);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (9);
         CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (9) TO (99);
         ALTER TABLE parts REPLICA IDENTITY FULL; ALTER TABLE parts_2 REPLICA IDENTITY FULL;
         CREATE TABLE none (a int PRIMARY KEY, b int) PARTITION BY RANGE (a);",
    );
    for (schema, name, columns) in [
        ("public", "users", Some("id")),
        ("other", "notes", Some("")),
        ("public", "whole", Some("a b")),
        ("public", "by_index", Some("a b")),
        ("public", "silent", Some("")),
        ("public", "late", Some("")),
        // One partition tells all, the other one nothing.
        ("public", "events", Some("")),
        // What the root says isn't what its partitions do.
        ("public", "parts", Some("a")),
        ("public", "none", Some("a")),
        ("public", "names", None),
        ("public", "Users", None),
    ] {
        let table = Table { schema: schema.into(), name: name.into() };
        match (database.identity(&table).await, columns) {
            (Ok(found), Some(columns)) => assert_eq!(found.join(" "), columns, "{table}"),
            (Err(error), None) => assert_eq!(error.kind(), ErrorKind::Config, "{table}"),
            (found, _) => panic!("{table}: {found:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_make_a_view_is_told_what_to_grant() {
    let (postgres, database) = start();
    postgres.psql(
        "REVOKE TEMPORARY ON DATABASE postgres FROM public;
         CREATE ROLE ann LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ann;",
    );
    let url = postgres.url().replace("postgres@", "ann@");
    let options = Options { connections: 1, ..Options::new("shop") };
    let ann = Database::open(&url, &options).unwrap();
    let source = asked(&ann, "k:{id:int}", "SELECT name FROM users WHERE id = {id}");
    let error = source.reads().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.chain().contains("GRANT TEMPORARY ON DATABASE"), "{}", error.chain());
    // The only connection is as good as before.
    assert_eq!(common::answer(&source, "k:1").await, None);
    drop(database);
}
