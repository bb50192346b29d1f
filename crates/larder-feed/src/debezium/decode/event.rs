//! The envelope: `{before, after, source, op, ts_ms}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder_core::change::{Change, Changed, Field, Row, Table};
use larder_core::feed::Notice;
use serde_json::{Map, Value};

use super::columns::Columns;
use super::json::{self, Part};
use super::{BEAT_PREFIX, Decoder, Event, What, is_beat_table};

/// What a writer may leave in its transaction for larder is emitted under this prefix.
const MESSAGE_PREFIX: &str = "larder";

/// Whether it is one. A row of its own may have a column `op`, and even one `source`, but no object
/// in it.
pub(super) fn is_envelope(payload: &Map<String, Value>) -> bool {
    payload.get("op").is_some_and(Value::is_string)
        && payload.get("source").is_some_and(Value::is_object)
}

/// What it says.
pub(super) fn read(
    decoder: &Decoder,
    key: Part<'_>,
    value: &Part<'_>,
    payload: &Map<String, Value>,
) -> Result<Event, String> {
    let (Some(op), Some(Value::Object(source))) =
        (json::text(payload, "op"), payload.get("source"))
    else {
        return Err("it doesn't say what happened (op), or where (source)".to_owned());
    };
    let event = |what| Event {
        what,
        transaction: transaction(source),
        millis: json::number(source, "ts_ms"),
        connector: json::text(source, "name").map(str::to_owned),
    };
    if op == "m" {
        return message(payload).map(event);
    }
    let table = table(source).ok_or("its source names no table")?;
    let columns = Columns::new(decoder, &table, json::text(source, "connector"));
    let row = |field: &str| match payload.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(row)) => Ok(Some((row, value.schema_of(field)))),
        Some(_) => Err(format!("`{field}` is no row")),
    };
    let after = || {
        let (row, schema) = row("after")?.ok_or("it doesn't say what the row is (after)")?;
        Ok::<_, String>(columns.new_row(row, schema))
    };
    let before =
        || Ok::<_, String>(row("before")?.map(|(row, schema)| columns.old_row(row, schema, key)));
    let changed = match op {
        "c" => Changed::Inserted(after()?),
        "u" => Changed::Updated { old: before()?, new: after()? },
        "d" => {
            let old = match before()? {
                Some(old) => old,
                None => columns.key(key).ok_or("nothing says which row is gone")?,
            };
            Changed::Deleted(old)
        }
        "t" => Changed::Truncated,
        "r" => {
            let is_asked_for = json::text(source, "snapshot") == Some("incremental");
            let changed = Changed::Inserted(after()?);
            let row = Notice::Changed(Change { table: table.clone(), changed });
            return Ok(event(What::Read { row, is_asked_for }));
        }
        other => return Err(format!("nothing is known of what happened (op is {other:?})")),
    };
    what(table, changed).map(event)
}

/// A change, or a beat.
pub(super) fn what(table: Table, changed: Changed) -> Result<What, String> {
    if !is_beat_table(&table) {
        return Ok(What::Told(vec![Notice::Changed(Change { table, changed })]));
    }
    match &changed {
        Changed::Inserted(new) | Changed::Updated { new, .. } => beat_of(new).map(What::Beat),
        Changed::Deleted(_) | Changed::Truncated => Ok(What::Nothing),
    }
}

fn beat_of(row: &Row) -> Result<String, String> {
    match row.get("beat") {
        Field::Text(text) => {
            String::from_utf8(text.to_vec()).map_err(|_| "the beat is no text".to_owned())
        }
        Field::Null | Field::Unknown => Err("the table of beats has no text `beat`".to_owned()),
    }
}

pub(super) fn deleted(table: Table, row: Row) -> Notice {
    Notice::Changed(Change { table, changed: Changed::Deleted(row) })
}

/// MySQL's tables are in databases and have no schema.
fn table(source: &Map<String, Value>) -> Option<Table> {
    let name = json::text(source, "table")?;
    let schema = json::text(source, "schema").or_else(|| json::text(source, "db"));
    Some(Table { schema: schema.unwrap_or_default().into(), name: name.into() })
}

fn transaction(source: &Map<String, Value>) -> Option<u64> {
    if json::text(source, "connector") != Some("postgresql") {
        return None;
    }
    json::number(source, "txId").and_then(|number| u64::try_from(number).ok())
}

/// A message that a writer left in the log.
fn message(payload: &Map<String, Value>) -> Result<What, String> {
    let Some(Value::Object(message)) = payload.get("message") else {
        return Err("it is a message that says nothing".to_owned());
    };
    let prefix = message.get("prefix").and_then(Value::as_str).unwrap_or_default();
    if prefix != MESSAGE_PREFIX && prefix != BEAT_PREFIX {
        return Ok(What::Nothing);
    }
    let content = message.get("content").and_then(Value::as_str).unwrap_or_default();
    let content = STANDARD
        .decode(content)
        .map_err(|_| "its content isn't in base64 (binary.handling.mode)".to_owned())?;
    if prefix == MESSAGE_PREFIX {
        return Ok(What::Told(vec![Notice::Message(content.into())]));
    }
    String::from_utf8(content).map(What::Beat).map_err(|_| "the beat is no text".to_owned())
}
