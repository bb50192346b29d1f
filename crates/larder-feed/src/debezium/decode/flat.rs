//! Flattened records: the row itself, as `ExtractNewRecordState` leaves it.
//!
//! Which table it is of is said by `__table` with `__schema` or `__db`, where they were added, and
//! by the topic otherwise.

use larder_core::change::{Change, Changed, Table};
use larder_core::feed::Notice;
use serde_json::{Map, Value};

use super::columns::Columns;
use super::json::{self, Part};
use super::{Decoder, Event, What, event, is_beat_table};
use crate::debezium::records::Record;

pub(super) fn read(
    decoder: &Decoder,
    record: &Record,
    key: Part<'_>,
    value: &Part<'_>,
    payload: &Map<String, Value>,
) -> Result<Event, String> {
    let table = added_table(payload).or_else(|| topic_table(&record.topic));
    let table = table.ok_or(
        "it is a row, and neither its topic nor itself says of which table: let Debezium add op, \
         table, schema or db (add.fields)",
    )?;
    let kind = added(payload, "connector");
    let columns = Columns::new(decoder, &table, kind);
    let op = added(payload, "op");
    let transaction = added_number(payload, "txId").and_then(|number| u64::try_from(number).ok());
    let told = |what| Event {
        what,
        transaction: transaction.filter(|_| kind.is_none_or(|kind| kind == "postgresql")),
        millis: json::number(payload, "__source_ts_ms"),
        connector: added(payload, "name").map(str::to_owned),
    };
    if op == Some("d") || is_deleted(payload) {
        let changed = Changed::Deleted(columns.old_row(payload, value.schema, key));
        return event::what(table, changed).map(told);
    }
    let new = columns.new_row(payload, value.schema);
    let changed = match op {
        Some("c") => Changed::Inserted(new),
        Some("u") => Changed::Updated { old: None, new },
        Some("t") => Changed::Truncated,
        Some("r") => {
            let is_asked_for = added(payload, "snapshot") == Some("incremental");
            let row = Notice::Changed(Change { table, changed: Changed::Inserted(new) });
            return Ok(told(What::Read { row, is_asked_for }));
        }
        Some(other) => {
            return Err(format!("nothing is known of what happened (__op is {other:?})"));
        }
        // It may come from a snapshot, which is no beat.
        None if is_beat_table(&table) => return Ok(told(What::Nothing)),
        None => Changed::Updated { old: None, new },
    };
    event::what(table, changed).map(told)
}

/// A field of the envelope, or of its source, that was added to the row.
fn added<'a>(payload: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    json::text(payload, &format!("__{name}"))
        .or_else(|| json::text(payload, &format!("__source_{name}")))
}

fn added_number(payload: &Map<String, Value>, name: &str) -> Option<i64> {
    json::number(payload, &format!("__{name}"))
        .or_else(|| json::number(payload, &format!("__source_{name}")))
}

fn is_deleted(payload: &Map<String, Value>) -> bool {
    match payload.get("__deleted") {
        Some(Value::Bool(is_deleted)) => *is_deleted,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

fn added_table(payload: &Map<String, Value>) -> Option<Table> {
    let name = added(payload, "table")?;
    let schema = added(payload, "schema").or_else(|| added(payload, "db"))?;
    Some(Table { schema: schema.into(), name: name.into() })
}

/// Topics are called `prefix.schema.table`, with the database in between where there is one beside
/// schemas.
pub(super) fn topic_table(topic: &str) -> Option<Table> {
    let (rest, name) = topic.rsplit_once('.')?;
    let (_, schema) = rest.rsplit_once('.')?;
    (!name.is_empty() && !schema.is_empty())
        .then(|| Table { schema: schema.into(), name: name.into() })
}
