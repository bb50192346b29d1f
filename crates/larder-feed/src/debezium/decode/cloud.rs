//! CloudEvents in their structured form: what Debezium knows of a change is beside it.

use serde_json::{Map, Value, json};

use super::json::{Part, text};

/// The envelope that it would have been, with the schema where its data came with one.
pub(super) fn envelope(mut event: Value) -> Result<Value, String> {
    let data = event.get_mut("data").map(Value::take);
    let Value::Object(attributes) = event else {
        return Err("its value is no object".to_owned());
    };
    let Some(data @ Value::Object(_)) = data else {
        return Err("the event has no data in JSON (data.serializer.type)".to_owned());
    };
    let parts = Part::of(Some(&data));
    let Some(Value::Object(payload)) = parts.payload else {
        return Err("the event has no data in JSON (data.serializer.type)".to_owned());
    };
    let Some(op) = text(&attributes, "iodebeziumop") else {
        // An envelope, or a row, that somebody else has put into an event.
        return Ok(data);
    };
    let mut made = Map::new();
    for side in ["before", "after", "message"] {
        made.insert(side.to_owned(), payload.get(side).cloned().unwrap_or(Value::Null));
    }
    made.insert("op".to_owned(), op.into());
    made.insert("source".to_owned(), source(&attributes));
    Ok(match parts.schema {
        Some(schema) => json!({"schema": schema, "payload": made}),
        None => Value::Object(made),
    })
}

fn source(attributes: &Map<String, Value>) -> Value {
    let said = |name: &str| attributes.get(&format!("iodebezium{name}")).cloned();
    // Where transactions are told as well, the lower-case name is theirs: `565:29274832`.
    let transaction = said("txId").or_else(|| {
        let text = said("txid")?;
        let text = text.as_str()?;
        Some(text.split_once(':').map_or(text, |(number, _)| number).into())
    });
    json!({
        "connector": said("connector"),
        "name": said("name"),
        "ts_ms": said("tsms"),
        "snapshot": said("snapshot"),
        "db": said("db"),
        "schema": said("schema"),
        "table": said("table"),
        "txId": transaction,
    })
}
