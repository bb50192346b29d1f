//! Dead letters in MySQL and MariaDB, from outside.
//!
//! A change returns nothing of what it changed, so it is looked at first, locked, in the same
//! transaction.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::{Connection, Mysql};
use crate::letters::{Asked, LetterKeeper, ShownLetter, ShownValue};

/// A statement that gives letters. The first parameter is how much of the value is shown.
macro_rules! letters {
    ($behind:literal) => {
        concat!(
            "SELECT id, cache, `key`, verb, substring(value, 1, ?), length(value), delta, epoch,
              seq, reason, date_format(at, '%Y-%m-%dT%H:%i:%SZ'), requeued
             FROM larder_dead_letters ",
            $behind
        )
    };
}

const OF_ALL: &str = letters!("WHERE id > ? ORDER BY id LIMIT ?");

const OF_CACHE: &str = letters!("WHERE cache = ? AND id > ? ORDER BY id LIMIT ?");

const ONE: &str = letters!("WHERE id = ?");

const ONE_LOCKED: &str = letters!("WHERE id = ? FOR UPDATE");

const UNMARKED_OF_ALL: &str = "SELECT id FROM larder_dead_letters
     WHERE id > ? AND NOT requeued ORDER BY id LIMIT ? FOR UPDATE";

const UNMARKED_OF_CACHE: &str = "SELECT id FROM larder_dead_letters
     WHERE cache = ? AND id > ? AND NOT requeued ORDER BY id LIMIT ? FOR UPDATE";

impl LetterKeeper for Mysql {
    async fn list(
        connection: &mut Connection,
        page: Asked<'_>,
        bytes: i32,
    ) -> Result<Vec<ShownLetter>, sqlx::Error> {
        let query = match page.cache {
            None => sqlx::query(OF_ALL).bind(bytes),
            Some(cache) => sqlx::query(OF_CACHE).bind(bytes).bind(cache),
        };
        let rows = query.bind(page.after).bind(page.limit).fetch_all(&mut connection.inner);
        rows.await?.iter().map(letter).collect()
    }

    async fn show(
        connection: &mut Connection,
        id: i64,
        bytes: i32,
    ) -> Result<Option<ShownLetter>, sqlx::Error> {
        one(&mut connection.inner, ONE, id, bytes).await
    }

    async fn requeue(connection: &mut Connection, id: i64) -> Result<bool, sqlx::Error> {
        let done = sqlx::query("UPDATE larder_dead_letters SET requeued = TRUE WHERE id = ?");
        // Rows that are found count, not only those that change.
        Ok(done.bind(id).execute(&mut connection.inner).await?.rows_affected() > 0)
    }

    async fn requeue_page(
        connection: &mut Connection,
        page: Asked<'_>,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut transaction = connection.inner.begin().await?;
        let query = match page.cache {
            None => sqlx::query(UNMARKED_OF_ALL),
            Some(cache) => sqlx::query(UNMARKED_OF_CACHE).bind(cache),
        };
        let rows = query.bind(page.after).bind(page.limit).fetch_all(&mut *transaction).await?;
        let ids = rows.iter().map(|row| row.try_get_unchecked(0));
        let ids = ids.collect::<Result<Vec<i64>, _>>()?;
        if !ids.is_empty() {
            let places = vec!["?"; ids.len()].join(", ");
            let mark =
                format!("UPDATE larder_dead_letters SET requeued = TRUE WHERE id IN ({places})");
            let mark = sqlx::query(AssertSqlSafe(mark)).persistent(false);
            let mark = ids.iter().fold(mark, |mark, &id| mark.bind(id));
            mark.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(ids)
    }

    async fn drop(
        connection: &mut Connection,
        id: i64,
        bytes: i32,
    ) -> Result<Option<ShownLetter>, sqlx::Error> {
        let mut transaction = connection.inner.begin().await?;
        let letter = one(&mut transaction, ONE_LOCKED, id, bytes).await?;
        let gone = sqlx::query("DELETE FROM larder_dead_letters WHERE id = ?").bind(id);
        gone.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(letter)
    }
}

async fn one(
    connection: &mut MySqlConnection,
    sql: &'static str,
    id: i64,
    bytes: i32,
) -> Result<Option<ShownLetter>, sqlx::Error> {
    let row = sqlx::query(sql).bind(bytes).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(letter).transpose()
}

fn letter(row: &MySqlRow) -> Result<ShownLetter, sqlx::Error> {
    let number =
        |at| row.try_get_unchecked::<i64, _>(at).map(|number| u64::try_from(number).unwrap_or(0));
    let head: Option<&[u8]> = row.try_get_unchecked(4)?;
    let bytes: Option<i64> = row.try_get_unchecked(5)?;
    let bytes = bytes.map(|bytes| u64::try_from(bytes).unwrap_or(0));
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
        at: row.try_get_unchecked(10)?,
        is_requeued: row.try_get_unchecked(11)?,
    })
}
