//! The texts of the columns that tags name.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo, ValueRef};

use super::{Detail, push_json, read};

/// The text of each column that the tags name: what its JSON is, a string without its quotes;
/// `None` for `NULL`.
pub(super) fn texts(row: &SqliteRow, detail: &Detail) -> Result<Vec<Option<String>>, sqlx::Error> {
    let text = |&at: &usize| {
        // The ordinal comes first.
        let is_boolean = detail.columns[at].is_boolean;
        text(row, at + 1, is_boolean)
    };
    detail.tagged.iter().map(text).collect()
}

fn text(row: &SqliteRow, at: usize, is_boolean: bool) -> Result<Option<String>, sqlx::Error> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(None);
    }
    if value.type_info().name() == "TEXT" {
        return Ok(Some(read::<&str>(row, at)?.to_owned()));
    }
    let mut json = Vec::new();
    push_json(row, at, is_boolean, &mut json)?;
    let json = String::from_utf8_lossy(&json);
    Ok(Some(json.trim_matches('"').to_owned()))
}
