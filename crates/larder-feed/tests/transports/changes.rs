//! Changes: in SQL, as Debezium tells them, and what they touch.

use std::collections::BTreeSet;

use larder_core::change::{Changed, Field, Row};
use larder_core::feed::Notice;

/// The tables that they are of.
pub(crate) const TABLES: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL DEFAULT '', team int);
    CREATE TABLE codes (code text, day date, PRIMARY KEY (code, day));
    CREATE TABLE seats (id bigint PRIMARY KEY, team int);
    ALTER TABLE seats REPLICA IDENTITY FULL;";

/// One record as Debezium produces it.
#[derive(Clone, Debug)]
pub(crate) struct Produced {
    #[allow(dead_code)] // The HTTP sink sends none, and another transport may not be built.
    pub(crate) topic: String,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

/// One transaction.
pub(crate) struct Transaction {
    pub(crate) sql: &'static str,
    pub(crate) produced: Vec<Produced>,
    /// What it touches, in this order of the alphabet.
    pub(crate) touches: &'static [&'static str],
}

/// What a notice touches, as a cache's route would say.
pub(crate) fn touched(notice: &Notice) -> BTreeSet<String> {
    let change = match notice {
        Notice::Message(content) => {
            return [format!("message {}", str::from_utf8(content).unwrap())].into();
        }
        Notice::Altered(table) => return [format!("all {}", table.name)].into(),
        Notice::Changed(change) => change,
    };
    let table = &*change.table.name;
    if change.changed == Changed::Truncated {
        return [format!("all {table}")].into();
    }
    let key = |row: &Row| match table {
        "codes" => format!("codes {} {}", field(row, "code"), field(row, "day")),
        _ => format!("{table} {}", field(row, "id")),
    };
    let mut touched: BTreeSet<String> = change.rows().map(key).collect();
    // The seats of a team are a list of their own.
    if table == "seats" {
        touched.extend(change.rows().map(|row| format!("team {}", field(row, "team"))));
    }
    touched
}

fn field(row: &Row, name: &str) -> String {
    match row.get(name) {
        Field::Null => "null".to_owned(),
        Field::Text(text) => str::from_utf8(text).unwrap().to_owned(),
        Field::Unknown => "?".to_owned(),
    }
}

/// A record of a table, without a schema.
fn row(table: &str, key: &str, op: &str, before: &str, after: &str) -> Produced {
    let value = format!(
        r#"{{"before":{before},"after":{after},"source":{{"version":"3.0.5.Final",
            "connector":"postgresql","name":"shop","ts_ms":1714000000000,"snapshot":"false",
            "db":"postgres","sequence":"[null,\"24023128\"]","schema":"public",
            "table":"{table}","txId":555,"lsn":24023128,"xmin":null}},
            "op":"{op}","ts_ms":1714000000142,"transaction":null}}"#
    );
    let key = Some(key.to_owned()).filter(|key| !key.is_empty());
    Produced { topic: format!("shop.public.{table}"), key, value: Some(value) }
}

fn tombstone(table: &str, key: &str) -> Produced {
    Produced { topic: format!("shop.public.{table}"), key: Some(key.to_owned()), value: None }
}

/// The same with a schema, without which a date is a number.
fn code(op: &str, side: &str, code: &str, days: u32) -> Produced {
    let fields = r#"[{"type":"string","optional":false,"field":"code"},
        {"type":"int32","optional":false,"name":"io.debezium.time.Date","version":1,"field":"day"}]"#;
    let payload = format!(r#"{{"code":"{code}","day":{days}}}"#);
    let (before, after) = if side == "before" { (&*payload, "null") } else { ("null", &*payload) };
    let mut produced = row("codes", "", op, before, after);
    produced.value = produced.value.map(|value| {
        format!(
            r#"{{"schema":{{"type":"struct","fields":[
                {{"type":"struct","optional":true,"field":"before","fields":{fields}}},
                {{"type":"struct","optional":true,"field":"after","fields":{fields}}}]}},
                "payload":{value}}}"#
        )
    });
    produced.key =
        Some(format!(r#"{{"schema":{{"type":"struct","fields":{fields}}},"payload":{payload}}}"#));
    produced
}

/// A message that somebody left in the log.
pub(crate) fn message(prefix: &str, content: &str) -> Produced {
    use base64::Engine as _;
    let content = base64::engine::general_purpose::STANDARD.encode(content);
    let value = format!(
        r#"{{"op":"m","ts_ms":1723115240065,"source":{{"version":"3.0.5.Final",
            "connector":"postgresql","name":"shop","ts_ms":1723115239782,"snapshot":"false",
            "db":"postgres","schema":"","table":"","txId":756,"lsn":26997904,"xmin":null}},
            "message":{{"prefix":"{prefix}","content":"{content}"}}}}"#
    );
    let key = Some(format!(r#"{{"prefix":"{prefix}"}}"#));
    Produced { topic: "shop.message".to_owned(), key, value: Some(value) }
}

/// The changes, in their order.
pub(crate) fn transactions() -> Vec<Transaction> {
    let ada = r#"{"id":1,"name":"Ada","team":7}"#;
    vec![
        Transaction {
            sql: "INSERT INTO users VALUES (1, 'Ada', 7)",
            produced: vec![row("users", r#"{"id":1}"#, "c", "null", ada)],
            touches: &["users 1"],
        },
        Transaction {
            sql: "INSERT INTO users VALUES (2, 'Bob', 7), (3, 'Eve', NULL)",
            produced: vec![
                row("users", r#"{"id":2}"#, "c", "null", r#"{"id":2,"name":"Bob","team":7}"#),
                row("users", r#"{"id":3}"#, "c", "null", r#"{"id":3,"name":"Eve","team":null}"#),
            ],
            touches: &["users 2", "users 3"],
        },
        Transaction {
            sql: "UPDATE users SET name = 'Ada' WHERE id = 1",
            produced: vec![row("users", r#"{"id":1}"#, "u", "null", ada)],
            touches: &["users 1"],
        },
        Transaction {
            sql: "UPDATE users SET id = 4 WHERE id = 2",
            produced: vec![
                row("users", r#"{"id":2}"#, "d", r#"{"id":2,"name":"","team":null}"#, "null"),
                tombstone("users", r#"{"id":2}"#),
                row("users", r#"{"id":4}"#, "c", "null", r#"{"id":4,"name":"Bob","team":7}"#),
            ],
            touches: &["users 2", "users 4"],
        },
        Transaction {
            sql: "DELETE FROM users WHERE id = 3",
            produced: vec![
                row("users", r#"{"id":3}"#, "d", r#"{"id":3,"name":"","team":null}"#, "null"),
                tombstone("users", r#"{"id":3}"#),
            ],
            touches: &["users 3"],
        },
        Transaction {
            sql: "INSERT INTO codes VALUES ('a b', '2000-02-29')",
            produced: vec![code("c", "after", "a b", 11_016)],
            touches: &["codes a b 2000-02-29"],
        },
        Transaction {
            sql: "DELETE FROM codes",
            produced: vec![code("d", "before", "a b", 11_016)],
            touches: &["codes a b 2000-02-29"],
        },
        Transaction {
            sql: "INSERT INTO seats VALUES (9007199254740993, 1)",
            produced: vec![row(
                "seats",
                r#"{"id":9007199254740993}"#,
                "c",
                "null",
                r#"{"id":9007199254740993,"team":1}"#,
            )],
            touches: &["seats 9007199254740993", "team 1"],
        },
        Transaction {
            sql: "UPDATE seats SET team = 2",
            produced: vec![row(
                "seats",
                r#"{"id":9007199254740993}"#,
                "u",
                r#"{"id":9007199254740993,"team":1}"#,
                r#"{"id":9007199254740993,"team":2}"#,
            )],
            touches: &["seats 9007199254740993", "team 1", "team 2"],
        },
        Transaction {
            sql: "TRUNCATE seats",
            produced: vec![row("seats", "", "t", "null", "null")],
            touches: &["all seats"],
        },
        Transaction {
            sql: "SELECT pg_logical_emit_message(true, 'larder', 'tag')",
            produced: vec![message("larder", "tag")],
            touches: &["message tag"],
        },
        Transaction { sql: "BEGIN; DELETE FROM users; ROLLBACK", produced: vec![], touches: &[] },
    ]
}
