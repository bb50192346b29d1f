//! Schema changes, which some connectors tell: a table has other columns, or is gone.

use larder_core::change::Table;
use larder_core::feed::Notice;
use serde_json::{Map, Value};

use super::{Event, What, json};

/// Whether it is one.
pub(super) fn is_one(payload: &Map<String, Value>) -> bool {
    payload.contains_key("ddl")
        && (payload.contains_key("tableChanges") || payload.contains_key("databaseName"))
}

/// What it says.
pub(super) fn read(payload: &Map<String, Value>) -> Result<Event, String> {
    let empty = Vec::new();
    let changes = payload.get("tableChanges").and_then(Value::as_array).unwrap_or(&empty);
    let ddl = payload.get("ddl").and_then(Value::as_str).unwrap_or_default();
    let mut notices = Vec::new();
    for change in changes {
        let Some(table) = change.get("id").and_then(Value::as_str).and_then(named) else {
            return Err("a schema change names no table".to_owned());
        };
        let kind = change.get("type").and_then(Value::as_str);
        // Nobody knows a row of a table that is new.
        if kind != Some("CREATE") {
            notices.push(Notice::Altered(table.clone()));
        }
        if kind == Some("DROP") {
            notices.push(Notice::truncated(table));
        }
        let previous = change.get("previousId").and_then(Value::as_str).and_then(named);
        notices.extend(previous.map(Notice::truncated));
    }
    let begins = |word: &str| {
        let start = ddl.trim_start().get(..word.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    if changes.is_empty() && (begins("TRUNCATE") || begins("DROP")) {
        return Err("rows are gone, and it doesn't say of which table".to_owned());
    }
    let source = payload.get("source").and_then(Value::as_object);
    let connector = source.and_then(|source| json::text(source, "name")).map(str::to_owned);
    Ok(Event { what: What::Told(notices), connector, ..Event::nothing() })
}

/// `"database"."table"`, or `"database"."schema"."table"`, whose quotes are doubled within.
fn named(id: &str) -> Option<Table> {
    let mut parts = Vec::new();
    let mut rest = id;
    loop {
        let (part, after) = quoted(rest)?;
        parts.push(part);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => break,
            None => return None,
        }
    }
    let name = parts.pop()?;
    let schema = parts.pop().unwrap_or_default();
    Some(Table { schema: schema.into(), name: name.into() })
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut part = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_at_their_quotes() {
        let text = |id: &str| named(id).map(|table| table.to_string());
        assert_eq!(text(r#""shop"."users""#).as_deref(), Some("shop.users"));
        assert_eq!(text(r#""db"."dbo"."a.b""#).as_deref(), Some("dbo.a.b"));
        assert_eq!(text(r#""s"."a""b""#).as_deref(), Some("s.a\"b"));
        assert_eq!(text("shop.users"), None);
        assert_eq!(text(r#""shop"."users"#), None);
    }
}
