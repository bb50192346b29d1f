//! Loads as users write them.

use larder_core::KeyTemplate;
use proptest::{prop_assert, proptest};

use super::*;

fn parameters() -> Vec<Parameter> {
    KeyTemplate::parse("k:{id:int}:{shop:text}").unwrap().parameters().to_vec()
}

fn rendered(sql: &str, dialect: Dialect) -> String {
    let statement = Statement::parse(sql, dialect, &parameters()).unwrap();
    statement.render(|index| format!("${}", index + 1))
}

fn refused(sql: &str, dialect: Dialect) -> String {
    let error = Statement::parse(sql, dialect, &parameters()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

const ALL: [Dialect; 3] = [Dialect::Postgres, Dialect::Sqlite, Dialect::Mysql];

#[test]
fn holes_are_numbered_by_first_use() {
    for dialect in ALL {
        let sql = "SELECT {shop}, {id} FROM t WHERE a={shop}AND b={id};  -- done";
        assert_eq!(rendered(sql, dialect), "SELECT $1, $2 FROM t WHERE a=$1AND b=$2  -- done");
        let statement = Statement::parse(sql, dialect, &parameters()).unwrap();
        assert_eq!(statement.used(), [1, 0]);
    }
}

#[test]
fn what_is_quoted_or_a_comment_is_left_alone() {
    for sql in [
        "SELECT '{x}', '{}', 'it''s {y}' -- {id} ' \n FROM t /* {id} ' */",
        r#"SELECT "a""{x}" FROM t"#,
        "SELECT '{1,2}'",
    ] {
        for dialect in ALL {
            assert_eq!(rendered(sql, dialect), sql);
        }
    }
    for sql in [
        r"SELECT E'it\'s {x}', '\'",
        "SELECT E'a'\n  'b\\'{x}'",
        "SELECT $$ '{x}; $$, $a$ $$ {x} $b$ $a$",
        "SELECT 1 /* /* {id} */ ' */",
        "SELECT a->'{x}' ?| b, c::int, d[1:2]",
        "SELECT a$b, x@>y",
    ] {
        assert_eq!(rendered(sql, Dialect::Postgres), sql);
    }
    for sql in ["SELECT `a``{x}`, [b {x}], '\\', \"c\"", "SELECT 1 /* /* {id} */ + 1"] {
        assert_eq!(rendered(sql, Dialect::Sqlite), sql);
    }
    assert_eq!(rendered("SELECT a[{id}]", Dialect::Postgres), "SELECT a[$1]");
    for sql in [
        r"SELECT 'it\'s {x}', '\\', 'a' '{y}' # {id} '",
        r#"SELECT "it's \" {x}", `a``{x}`, `\`, 'b'"#,
        "SELECT 1 /*+ {hint} */ /* /* {id} */ + @x -- {id}",
        "SELECT @@sql_mode, doc->>'$.a{x}', 5--1",
    ] {
        assert_eq!(rendered(sql, Dialect::Mysql), sql);
    }
    assert_eq!(rendered("SELECT 5--{id}", Dialect::Mysql), "SELECT 5--$1");
    assert_eq!(rendered("SELECT #x\n{id}", Dialect::Mysql), "SELECT #x\n$1");
}

#[test]
fn a_parameter_in_a_string_is_told_how_to_get_out() {
    for (sql, dialect, cure) in [
        ("SELECT 'user-{shop}'", Dialect::Postgres, "write 'user-' || {shop}"),
        ("SELECT 'user-{id}'", Dialect::Postgres, "write 'user-' || {id}::bigint"),
        ("SELECT 'user-{id}'", Dialect::Sqlite, "write 'user-' || {id}"),
        ("SELECT '{shop}'", Dialect::Postgres, "write {shop}"),
        ("SELECT E'{shop}\\n'", Dialect::Postgres, r"write {shop} || E'\n'"),
        ("SELECT $a$<{shop}>$a$", Dialect::Postgres, "write $a$<$a$ || {shop} || $a$>$a$"),
        ("SELECT \"{id}\"", Dialect::Sqlite, "can't be a parameter"),
        ("SELECT `{id}`", Dialect::Mysql, "can't be a parameter"),
        ("SELECT \"{id}\"", Dialect::Mysql, "write {id}"),
        ("SELECT 'user-{id}'", Dialect::Mysql, "write CONCAT('user-', {id})"),
    ] {
        let message = refused(sql, dialect);
        assert!(message.ends_with(cure), "{message}");
    }
}

#[test]
fn what_is_refused_says_what_to_write() {
    for (sql, cure) in [
        ("SELECT {idd}", "did you mean {id}?"),
        ("SELECT {nothing_like_it}", "write {id}, {shop}, or add nothing_like_it to the key"),
        ("SELECT { id }", "the name of a parameter, like {id}"),
        ("SELECT {", "a { without a }"),
        ("SELECT }", "a } without a {"),
        ("SELECT 'a", "has a ' that is not closed"),
        ("SELECT /* a", "write */"),
        ("SELECT 1; SELECT 2", "two statements: leave one query"),
        ("SELECT 1;;", "two statements: leave one query"),
        ("", "is empty"),
        (" -- nothing\n;", "is empty"),
        ("DELETE FROM t WHERE id = {id}", "a load reads"),
        ("WITH a AS (SELECT 1) DELETE FROM t", "begins with DELETE, but a load reads"),
        ("PRAGMA user_version", "a load reads"),
        ("SELECT $1", "has the placeholder $1: write {id}, {shop}"),
    ] {
        for dialect in ALL {
            let message = refused(sql, dialect);
            assert!(message.contains(cure), "{sql}: {message}");
        }
    }
    for sql in ["SELECT ?", "SELECT ?1", "SELECT :id", "SELECT @id", "SELECT $id"] {
        assert!(refused(sql, Dialect::Sqlite).contains("has the placeholder"), "{sql}");
    }
    for sql in ["SELECT 1 /*! + {id} */", "SELECT 1 /*!50000 + 1 */", "SELECT 1 /*M! + 1 */"] {
        assert!(refused(sql, Dialect::Mysql).contains("has a comment that is executed"), "{sql}");
    }
    assert!(refused("SELECT $a$ b", Dialect::Postgres).contains("$a$ that is not closed"));
}

#[test]
fn every_way_to_begin_a_query_is_one() {
    for sql in [
        "select 1",
        "(SELECT 1) UNION (SELECT 2)",
        "/* a */ VALUES (1)",
        "WITH d AS (SELECT replace(a, 'b', 'c') FROM t) SELECT * FROM d",
        "WITH RECURSIVE t(n) AS (SELECT 1) SELECT n FROM t",
    ] {
        for dialect in ALL {
            assert_eq!(rendered(sql, dialect), sql);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic_and_kept(sql in "(SELECT|[ '\"$a{}();/*\\n\\\\Eé`\\[\\]-]|\\{id\\}){0,24}") {
        for dialect in ALL {
            if let Ok(statement) = Statement::parse(&sql, dialect, &parameters()) {
                let back = statement.render(|_| "{id}".to_owned());
                prop_assert!(sql.replace(';', "") == back.replace(';', ""), "{} {}", sql, back);
            }
        }
    }
}
