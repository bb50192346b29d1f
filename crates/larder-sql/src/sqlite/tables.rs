//! larder's own tables in SQLite.

use larder_core::Result;
use larder_core::sink::Sequence;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Executor, Row as _};

use super::{Connection, Sqlite};
use crate::changes::{Ended, Isolation, Letter, Mark, Owned, Writer, end};
use crate::guard::{CacheStatus, Guard, Keeper, TABLES, TablesStatus};
use crate::json;
use crate::pool::{Failure, Progress};

impl Keeper for Sqlite {
    const DDL: &'static str = "\
CREATE TABLE IF NOT EXISTS larder_applied (
    cache TEXT NOT NULL,
    key TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (cache, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS larder_owner (
    cache TEXT NOT NULL PRIMARY KEY,
    owner TEXT,
    epoch INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS larder_dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cache TEXT NOT NULL,
    key TEXT NOT NULL,
    verb TEXT NOT NULL,
    value BLOB,
    delta INTEGER,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    requeued BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX IF NOT EXISTS larder_dead_letters_of_cache ON larder_dead_letters (cache, id);
";

    async fn install(
        connection: &mut Connection,
        progress: &Progress,
    ) -> Result<Ended<()>, Failure> {
        Self::begin(connection, Isolation::Rows).await?;
        progress.begun();
        let made = connection.inner.execute(Self::DDL).await;
        let made = made.map(|_| Ended::Committed(())).map_err(Failure::Driver);
        end::<Self, _>(connection, progress, made).await
    }

    async fn status(connection: &mut Connection) -> Result<TablesStatus, sqlx::Error> {
        let connection = &mut connection.inner;
        let rows = sqlx::query("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .persistent(false)
            .fetch_all(&mut *connection)
            .await?;
        let there = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        let missing: Vec<_> =
            TABLES.into_iter().filter(|name| !there.iter().any(|there| there == name)).collect();
        if !missing.is_empty() {
            return Ok(TablesStatus { missing, caches: Vec::new() });
        }
        let rows = sqlx::query(
            "SELECT cache, max(owner), max(epoch), sum(letters), sum(requeued)
             FROM (SELECT cache, owner, epoch, 0 AS letters, 0 AS requeued FROM larder_owner
                   UNION ALL
                   SELECT cache, NULL, 0, count(*), count(*) FILTER (WHERE requeued)
                   FROM larder_dead_letters GROUP BY cache) AS known
             GROUP BY cache ORDER BY cache LIMIT 10000",
        )
        .persistent(false)
        .fetch_all(connection)
        .await?;
        let caches = rows.iter().map(cache).collect::<Result<_, sqlx::Error>>()?;
        Ok(TablesStatus { missing, caches })
    }

    async fn remove(
        connection: &mut Connection,
        progress: &Progress,
        keep: fn(&TablesStatus) -> Result<()>,
    ) -> Result<Ended<()>, Failure> {
        Self::begin(connection, Isolation::Rows).await?;
        progress.begun();
        let removed = async {
            keep(&Self::status(connection).await?).map_err(Failure::Whole)?;
            for name in TABLES {
                let drop = sqlx::AssertSqlSafe(format!("DROP TABLE IF EXISTS {name}"));
                connection.inner.execute(drop).await?;
            }
            Ok(Ended::Committed(()))
        };
        let removed = removed.await;
        let ended = end::<Self, _>(connection, progress, removed).await;
        connection.inner.clear_cached_statements().await?;
        ended
    }

    /// Where the row of the owner was lost, the new epoch still is beyond every one that was ever
    /// applied under.
    async fn own(
        connection: &mut Connection,
        cache: &str,
        owner: &str,
    ) -> Result<Owned, sqlx::Error> {
        const AGAIN: &str = "UPDATE larder_owner SET owner = ?2, epoch = epoch + 1
             WHERE cache = ?1 AND (owner IS NULL OR owner = ?2) RETURNING epoch";
        const FIRST: &str = "INSERT INTO larder_owner (cache, owner, epoch)
             SELECT ?1, ?2, 1 + coalesce(max(epoch), 0) FROM larder_applied WHERE cache = ?1
             ON CONFLICT (cache) DO NOTHING RETURNING epoch";
        let connection = &mut connection.inner;
        for sql in [AGAIN, FIRST] {
            let done = sqlx::query(sql).bind(cache).bind(owner);
            if let Some(row) = done.fetch_all(&mut *connection).await?.first() {
                return Ok(Owned::Now(row.try_get(0)?));
            }
        }
        let held = sqlx::query("SELECT coalesce(owner, '') FROM larder_owner WHERE cache = ?1");
        Ok(Owned::By(held.bind(cache).fetch_one(connection).await?.try_get(0)?))
    }

    async fn disown(
        connection: &mut Connection,
        cache: &str,
        epoch: i64,
    ) -> Result<(), sqlx::Error> {
        let connection = &mut connection.inner;
        sqlx::query("UPDATE larder_owner SET owner = NULL WHERE cache = ?1 AND epoch = ?2")
            .bind(cache)
            .bind(epoch)
            .execute(connection)
            .await
            .map(drop)
    }

    /// The transaction is the only one that writes, so its statements need no locks of their own.
    async fn guard(
        connection: &mut Connection,
        cache: &str,
        epoch: i64,
        marks: &[Mark<'_>],
        letters: &[i64],
    ) -> Result<Guard, sqlx::Error> {
        let connection = &mut connection.inner;
        let mut guard = Guard::default();
        let held = sqlx::query(
            "SELECT 1 FROM larder_owner WHERE cache = ?1 AND epoch = ?2 AND owner IS NOT NULL",
        );
        let held = held.bind(cache).bind(epoch).fetch_all(&mut *connection).await?;
        guard.owned = !held.is_empty();
        if !guard.owned {
            return Ok(guard);
        }
        let raised = sqlx::query(
            "INSERT INTO larder_applied AS known (cache, key, epoch, seq)
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2) WHERE true
             ON CONFLICT (cache, key) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq
             WHERE (known.epoch, known.seq) < (excluded.epoch, excluded.seq)
             RETURNING key",
        );
        for row in raised.bind(cache).bind(listed(marks)).fetch_all(&mut *connection).await? {
            guard.raised.insert(row.try_get(0)?);
        }
        if letters.is_empty() {
            return Ok(guard);
        }
        let ids: Vec<_> = letters.iter().map(ToString::to_string).collect();
        let taken = sqlx::query(
            "DELETE FROM larder_dead_letters
             WHERE cache = ?1 AND id IN (SELECT value FROM json_each(?2)) RETURNING id",
        );
        let ids = format!("[{}]", ids.join(","));
        for row in taken.bind(cache).bind(ids).fetch_all(connection).await? {
            guard.letters.insert(row.try_get(0)?);
        }
        Ok(guard)
    }

    async fn applied(
        connection: &mut Connection,
        cache: &str,
        keys: &[&str],
    ) -> Result<Vec<(usize, Sequence)>, sqlx::Error> {
        let connection = &mut connection.inner;
        let mut list = Vec::from(b"[");
        for (at, key) in keys.iter().enumerate() {
            if at > 0 {
                list.push(b',');
            }
            json::push_string(key, &mut list);
        }
        list.push(b']');
        let list = String::from_utf8(list).expect("JSON of texts is text");
        // CROSS: in this order, each key is looked up. SQLite would rather read all of the cache's
        // rows, and the list once for each of them.
        let rows = sqlx::query(
            "SELECT given.key, known.epoch, known.seq FROM json_each(?2) AS given
             CROSS JOIN larder_applied AS known ON known.cache = ?1 AND known.key = given.value",
        )
        .bind(cache)
        .bind(list)
        .fetch_all(connection)
        .await?;
        let one = |row: &SqliteRow| {
            let place: i64 = row.try_get_unchecked(0)?;
            Ok((usize::try_from(place).unwrap_or(usize::MAX), sequence(row, 1)?))
        };
        rows.iter().map(one).collect()
    }

    async fn bury(
        connection: &mut Connection,
        cache: &str,
        letter: &Letter,
    ) -> Result<(), sqlx::Error> {
        let connection = &mut connection.inner;
        let sql = match letter.id {
            None => {
                "INSERT INTO larder_dead_letters
                 (cache, key, verb, value, delta, epoch, seq, reason)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE ?9 IS NULL"
            }
            Some(_) => {
                "UPDATE larder_dead_letters
                 SET verb = ?3, value = ?4, delta = ?5, epoch = ?6, seq = ?7, reason = ?8,
                     at = CURRENT_TIMESTAMP, requeued = FALSE
                 WHERE cache = ?1 AND key = ?2 AND id = ?9"
            }
        };
        let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
        sqlx::query(sql)
            .bind(cache)
            .bind(&letter.key)
            .bind(&letter.verb)
            .bind(&letter.value)
            .bind(letter.delta)
            .bind(number(letter.sequence.epoch))
            .bind(number(letter.sequence.number))
            .bind(&letter.reason)
            .bind(letter.id)
            .execute(connection)
            .await
            .map(drop)
    }

    async fn requeued(
        connection: &mut Connection,
        cache: &str,
        limit: i64,
    ) -> Result<Vec<Letter>, sqlx::Error> {
        let connection = &mut connection.inner;
        let rows = sqlx::query(
            "SELECT id, key, verb, value, delta, reason, epoch, seq FROM larder_dead_letters
             WHERE cache = ?1 AND requeued ORDER BY id LIMIT ?2",
        )
        .bind(cache)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        let letter = |row: &SqliteRow| {
            Ok(Letter {
                id: row.try_get(0)?,
                key: row.try_get(1)?,
                verb: row.try_get(2)?,
                value: row.try_get(3)?,
                delta: row.try_get(4)?,
                reason: row.try_get(5)?,
                sequence: sequence(row, 6)?,
            })
        };
        rows.iter().map(letter).collect()
    }
}

fn cache(row: &SqliteRow) -> Result<CacheStatus, sqlx::Error> {
    Ok(CacheStatus {
        cache: row.try_get(0)?,
        owner: row.try_get(1)?,
        epoch: number(row, 2)?,
        letters: number(row, 3)?,
        requeued: number(row, 4)?,
    })
}

fn number(row: &SqliteRow, at: usize) -> Result<u64, sqlx::Error> {
    row.try_get_unchecked::<i64, _>(at).map(|number| u64::try_from(number).unwrap_or(0))
}

/// The marks as JSON, since a statement takes only so many parameters.
fn listed(marks: &[Mark<'_>]) -> String {
    let mut out = Vec::from(b"[");
    for (at, mark) in marks.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"[" } else { b",[" });
        json::push_string(mark.key, &mut out);
        for number in [mark.epoch, mark.number] {
            out.push(b',');
            json::push_integer(number, &mut out);
        }
        out.push(b']');
    }
    out.push(b']');
    String::from_utf8(out).expect("JSON of texts is text")
}

fn sequence(row: &SqliteRow, at: usize) -> Result<Sequence, sqlx::Error> {
    Ok(Sequence { epoch: number(row, at)?, number: number(row, at + 1)? })
}
