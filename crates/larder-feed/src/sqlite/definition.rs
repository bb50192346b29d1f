//! What is made in the database: the table of changes, and the triggers that write into it.
//!
//! A trigger must never fail, and is executed by the writer's own SQLite, whatever that is: it
//! uses nothing but what every one has. A row is written as the text of a record (`outbox`), each
//! value as `CAST(value AS TEXT)` makes it; a blob isn't said, and a long text is cut.
//!
//! Where a conflict is resolved by REPLACE, what is in the way is deleted, and the triggers of that
//! deletion are executed only where the writer has set `recursive_triggers`. So a trigger before
//! each INSERT and UPDATE tells what has the same unique columns as the row that is to be written.
//! It can't know whether that will really be deleted: it may be told for nothing, and the entry is
//! then loaded again.

use super::SqliteTriggersOptions;
use super::tables::{TableStanding, Trigger};
use crate::outbox::{MESSAGE_BYTES_MAX, TEXT_BYTES_MAX};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS {feed}_change (
  place      INTEGER PRIMARY KEY,
  kind       TEXT NOT NULL,
  table_name TEXT,
  was        TEXT,
  becomes    TEXT
);
CREATE TABLE IF NOT EXISTS {feed}_state (
  is_only      INTEGER PRIMARY KEY CHECK (is_only = 1),
  log          INTEGER NOT NULL,
  place        INTEGER NOT NULL,
  acknowledged INTEGER NOT NULL,
  missed       INTEGER NOT NULL,
  rows_max     INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS {feed}_column (
  table_name TEXT NOT NULL,
  at         INTEGER NOT NULL,
  name       TEXT NOT NULL,
  PRIMARY KEY (table_name, at)
);
DELETE FROM {feed}_column;
INSERT OR IGNORE INTO {feed}_state VALUES (1, 0, 0, 0, 0, 0);
UPDATE {feed}_state SET log = random(), rows_max = {rows_max};
DROP VIEW IF EXISTS {feed}_notice;
CREATE VIEW {feed}_notice (content) AS SELECT NULL WHERE 0;
CREATE TRIGGER {feed}_notice_said INSTEAD OF INSERT ON {feed}_notice BEGIN
  SELECT RAISE(ABORT, 'a notice has at most {message_bytes} bytes')
   WHERE length(CAST(NEW.content AS BLOB)) > {message_bytes};
  {number}
  INSERT INTO {feed}_change SELECT place, 'M', NULL, NULL, CAST(coalesce(NEW.content, '') AS TEXT)
    FROM {feed}_state WHERE missed <> place;
END;
";

/// Gives a change its number, and notes where there was no room for one.
const NUMBER: &str = "UPDATE {feed}_state SET place = place + 1, missed =
    CASE WHEN place + 1 - acknowledged > rows_max THEN place + 1 ELSE missed END;";

/// Puts the name of the feed into a statement. It is of harmless characters.
pub(super) fn named(feed: &str, sql: &str) -> String {
    sql.replace("{feed}", feed)
}

/// Makes all of it, in one transaction. The log is another one from then on: nobody knows what was
/// done while triggers were missing.
pub(super) fn install(
    options: &SqliteTriggersOptions,
    tables: &[TableStanding],
    former: &[Trigger],
) -> String {
    let mut script = String::from("BEGIN IMMEDIATE;\n");
    drop_triggers(&mut script, former);
    let made = TABLES
        .replace("{number}", NUMBER)
        .replace("{rows_max}", &options.rows_max.to_string())
        .replace("{message_bytes}", &MESSAGE_BYTES_MAX.to_string());
    script.push_str(&named(&options.name, &made));
    for table in tables {
        for (at, column) in table.columns.iter().enumerate() {
            let feed = &options.name;
            let (table, column) = (text(&table.table.name), text(column));
            script.push_str(&format!(
                "INSERT INTO {feed}_column VALUES ({table}, {at}, {column});\n"
            ));
        }
        for (_, made) in triggers_of(&options.name, table) {
            script.push_str(&made);
            script.push_str(";\n");
        }
    }
    script.push_str("COMMIT;");
    script
}

/// Takes all of it away.
pub(super) fn remove(feed: &str, former: &[Trigger]) -> String {
    let mut script = String::from("BEGIN IMMEDIATE;\n");
    drop_triggers(&mut script, former);
    script.push_str(&named(
        feed,
        "DROP VIEW IF EXISTS {feed}_notice; DROP TABLE IF EXISTS {feed}_change;
         DROP TABLE IF EXISTS {feed}_state; DROP TABLE IF EXISTS {feed}_column; COMMIT;",
    ));
    script
}

fn drop_triggers(script: &mut String, former: &[Trigger]) {
    for (trigger, _) in former {
        script.push_str(&format!("DROP TRIGGER IF EXISTS {};\n", name(trigger)));
    }
}

/// The triggers of a table, in the form in which the database keeps them.
pub(super) fn triggers_of(feed: &str, table: &TableStanding) -> Vec<Trigger> {
    let of = &*table.table.name;
    let record = |prefix: &str| record(prefix, &table.columns);
    let number = named(feed, NUMBER);
    let make =
        |what: String, when: String, kind: &str, was: String, becomes: String, from: String| {
            let called = format!("{feed}_{of}_{what}");
            let made = format!(
                "CREATE TRIGGER {called} {when} BEGIN
  {number}
  INSERT INTO {feed}_change SELECT s.place, '{kind}', {of_text}, {was}, {becomes}
    FROM {feed}_state s{from} s.missed <> s.place;
END",
                called = name(&called),
                of_text = text(of),
            );
            (called, made)
        };
    let on = name(of);
    let mut triggers = Vec::new();
    for (event, kind, was, becomes) in [
        ("INSERT", "I", "NULL".to_owned(), record("NEW")),
        ("UPDATE", "U", record("OLD"), record("NEW")),
        ("DELETE", "D", record("OLD"), "NULL".to_owned()),
    ] {
        let when = format!("AFTER {event} ON {on} FOR EACH ROW");
        let what = event.to_lowercase();
        triggers.push(make(what, when, kind, was, becomes, " WHERE".to_owned()));
    }
    for unique in &table.uniques {
        let alike = unique.iter().map(|(column, order)| {
            let column = name(column);
            let order = order.as_ref().map(|order| format!(" COLLATE {}", name(order)));
            format!("t.{column} = NEW.{column}{}", order.unwrap_or_default())
        });
        let alike = alike.collect::<Vec<_>>().join(" AND ");
        let same = table.identity.iter().map(|column| {
            let column = name(column);
            format!("t.{column} IS OLD.{column}")
        });
        let same = same.collect::<Vec<_>>().join(" AND ");
        let another = if same.is_empty() { String::new() } else { format!(" AND NOT ({same})") };
        // By what it is made of: where something else is unique by now, its trigger is missing.
        let called = unique.iter().map(|(column, order)| match order {
            Some(order) => format!("{column} {order}"),
            None => column.clone(),
        });
        let called = called.collect::<Vec<_>>().join(",");
        for (event, condition) in
            [("INSERT", alike.clone()), ("UPDATE", format!("{alike}{another}"))]
        {
            let when = format!(
                "BEFORE {event} ON {on} FOR EACH ROW WHEN EXISTS (SELECT 1 FROM {on} t WHERE \
                 {condition})"
            );
            let what = format!("{}_over_{called}", event.to_lowercase());
            let from = format!(", {on} t WHERE {condition} AND");
            triggers.push(make(what, when, "D", record("t"), "NULL".to_owned(), from));
        }
    }
    triggers
}

/// A row as the text of a record.
fn record(prefix: &str, columns: &[String]) -> String {
    let cut = TEXT_BYTES_MAX + 1;
    let fields = columns.iter().map(|column| {
        let value = format!("{prefix}.{}", name(column));
        format!(
            "CASE typeof({value}) WHEN 'null' THEN '' WHEN 'blob' THEN '\\?' ELSE '\"' || \
             replace(replace(substr(CAST({value} AS TEXT), 1, {cut}), '\\', '\\\\'), '\"', '\"\"') \
             || '\"' END"
        )
    });
    format!("'(' || {} || ')'", fields.collect::<Vec<_>>().join(" || ',' || "))
}

/// A name as SQL writes it.
fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
