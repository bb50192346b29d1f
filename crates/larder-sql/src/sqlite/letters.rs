//! Dead letters in SQLite, from outside.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Connection, Sqlite};
use crate::letters::{Asked, LetterKeeper, ShownLetter, ShownValue};

/// A statement that gives letters. `?1` is how much of the value is shown.
macro_rules! letters {
    ($before:literal, $behind:literal) => {
        concat!(
            $before,
            " id, cache, key, verb, substr(value, 1, ?1), length(value), delta, epoch, seq, reason,
              strftime('%Y-%m-%dT%H:%M:%SZ', at), requeued ",
            $behind
        )
    };
}

const OF_ALL: &str = letters!(
    "SELECT",
    "FROM larder_dead_letters WHERE id > ?2
     ORDER BY id LIMIT ?3"
);

const OF_CACHE: &str = letters!(
    "SELECT",
    "FROM larder_dead_letters WHERE cache = ?4 AND id > ?2
     ORDER BY id LIMIT ?3"
);

const ONE: &str = letters!("SELECT", "FROM larder_dead_letters WHERE id = ?2");

const DROP: &str = letters!("DELETE FROM larder_dead_letters WHERE id = ?2 RETURNING", "");

const REQUEUE_OF_ALL: &str = "UPDATE larder_dead_letters SET requeued = TRUE WHERE id IN (
     SELECT id FROM larder_dead_letters WHERE id > ?1 AND NOT requeued
     ORDER BY id LIMIT ?2) RETURNING id";

const REQUEUE_OF_CACHE: &str = "UPDATE larder_dead_letters SET requeued = TRUE WHERE id IN (
     SELECT id FROM larder_dead_letters WHERE cache = ?3 AND id > ?1 AND NOT requeued
     ORDER BY id LIMIT ?2) RETURNING id";

impl LetterKeeper for Sqlite {
    async fn list(
        connection: &mut Connection,
        page: Asked<'_>,
        bytes: i32,
    ) -> Result<Vec<ShownLetter>, sqlx::Error> {
        let sql = if page.cache.is_some() { OF_CACHE } else { OF_ALL };
        let mut query = sqlx::query(sql).bind(bytes).bind(page.after).bind(page.limit);
        if let Some(cache) = page.cache {
            query = query.bind(cache);
        }
        query.fetch_all(&mut connection.inner).await?.iter().map(letter).collect()
    }

    async fn show(
        connection: &mut Connection,
        id: i64,
        bytes: i32,
    ) -> Result<Option<ShownLetter>, sqlx::Error> {
        let row = sqlx::query(ONE).bind(bytes).bind(id);
        let row = row.fetch_optional(&mut connection.inner).await?;
        row.as_ref().map(letter).transpose()
    }

    async fn requeue(connection: &mut Connection, id: i64) -> Result<bool, sqlx::Error> {
        let done = sqlx::query("UPDATE larder_dead_letters SET requeued = TRUE WHERE id = ?1");
        Ok(done.bind(id).execute(&mut connection.inner).await?.rows_affected() > 0)
    }

    async fn requeue_page(
        connection: &mut Connection,
        page: Asked<'_>,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let sql = if page.cache.is_some() { REQUEUE_OF_CACHE } else { REQUEUE_OF_ALL };
        let mut query = sqlx::query(sql).bind(page.after).bind(page.limit);
        if let Some(cache) = page.cache {
            query = query.bind(cache);
        }
        let rows = query.fetch_all(&mut connection.inner).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    async fn drop(
        connection: &mut Connection,
        id: i64,
        bytes: i32,
    ) -> Result<Option<ShownLetter>, sqlx::Error> {
        let row = sqlx::query(DROP).bind(bytes).bind(id);
        // All rows, since a statement that is left before its end isn't committed yet.
        let rows = row.fetch_all(&mut connection.inner).await?;
        rows.first().map(letter).transpose()
    }
}

fn letter(row: &SqliteRow) -> Result<ShownLetter, sqlx::Error> {
    let number =
        |at| row.try_get_unchecked::<i64, _>(at).map(|number| u64::try_from(number).unwrap_or(0));
    let head: Option<&[u8]> = row.try_get_unchecked(4)?;
    let bytes: Option<i64> = row.try_get_unchecked(5)?;
    // Of an empty value SQLite makes NULL when it takes the beginning, so its length decides.
    let bytes = bytes.map(|bytes| u64::try_from(bytes).unwrap_or(0));
    let at: Option<String> = row.try_get_unchecked(10)?;
    Ok(ShownLetter {
        id: number(0)?,
        cache: row.try_get_unchecked(1)?,
        key: row.try_get_unchecked(2)?,
        verb: row.try_get_unchecked(3)?,
        value: bytes.map(|bytes| ShownValue::begun(head.unwrap_or_default(), bytes)),
        delta: row.try_get_unchecked(6)?,
        epoch: number(7)?,
        number: number(8)?,
        reason: row.try_get_unchecked(9)?,
        at: at.unwrap_or_default(),
        is_requeued: row.try_get_unchecked(11)?,
    })
}
