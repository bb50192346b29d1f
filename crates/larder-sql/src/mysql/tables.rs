//! larder's own tables in MySQL and MariaDB.
//!
//! An index holds 3,072 bytes, fewer than a key may have once it was made readable, and a text is
//! the same with spaces at its end. So a key is found by its SHA-256.

use std::collections::{HashMap, HashSet};

use larder_core::Result;
use larder_core::sink::Sequence;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor, MySql, Row as _};

use super::{Connection, Mysql};
use crate::changes::{Ended, Letter, Mark, Owned};
use crate::guard::{CacheStatus, Guard, Keeper, TABLES, TablesStatus};
use crate::pool::{Failure, Progress};

/// How many rows one statement takes.
const ROWS_MAX: usize = 500;

/// How many rows a statement of any size has at most that is kept prepared.
const OFTEN: usize = 8;

/// What makes a key's place in the index.
const HASH: &str = "UNHEX(SHA2(?, 256))";

impl Keeper for Mysql {
    const DDL: &'static str = "\
CREATE TABLE IF NOT EXISTS larder_applied (
    cache VARCHAR(255) NOT NULL,
    hash BINARY(32) NOT NULL,
    `key` TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (cache, hash)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS larder_owner (
    cache VARCHAR(255) NOT NULL PRIMARY KEY,
    owner TEXT,
    epoch BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS larder_dead_letters (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    cache VARCHAR(255) NOT NULL,
    `key` TEXT NOT NULL,
    verb VARCHAR(16) NOT NULL,
    value LONGBLOB,
    delta BIGINT,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    reason TEXT NOT NULL,
    at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    requeued BOOLEAN NOT NULL DEFAULT FALSE,
    KEY larder_dead_letters_of_cache (cache, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
";

    /// A table that is made commits what was before it, so there is no transaction to speak of;
    /// what is there already stays.
    async fn install(
        connection: &mut Connection,
        progress: &Progress,
    ) -> Result<Ended<()>, Failure> {
        progress.sent();
        connection.inner.execute(Self::DDL).await?;
        Ok(Ended::Committed(()))
    }

    async fn status(connection: &mut Connection) -> Result<TablesStatus, sqlx::Error> {
        let connection = &mut connection.inner;
        let rows = connection
            .fetch_all(
                "SELECT TABLE_NAME FROM information_schema.TABLES
                 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'larder\\_%'",
            )
            .await?;
        let name = |row: &MySqlRow| row.try_get_unchecked::<String, _>(0);
        let there = rows.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        let missing: Vec<_> =
            TABLES.into_iter().filter(|name| !there.iter().any(|there| there == name)).collect();
        if !missing.is_empty() {
            return Ok(TablesStatus { missing, caches: Vec::new() });
        }
        let rows = sqlx::query(
            "SELECT cache, max(owner), max(epoch), CAST(sum(letters) AS SIGNED),
                    CAST(sum(requeued) AS SIGNED)
             FROM (SELECT cache, owner, epoch, 0 AS letters, 0 AS requeued FROM larder_owner
                   UNION ALL
                   SELECT cache, NULL, 0, count(*), sum(requeued)
                   FROM larder_dead_letters GROUP BY cache) AS known
             GROUP BY cache ORDER BY cache LIMIT 10000",
        )
        .persistent(false)
        .fetch_all(connection)
        .await?;
        let caches = rows.iter().map(cache).collect::<Result<_, sqlx::Error>>()?;
        Ok(TablesStatus { missing, caches })
    }

    /// Nobody can own a cache or bury a letter while the tables are locked.
    async fn remove(
        connection: &mut Connection,
        progress: &Progress,
        keep: fn(&TablesStatus) -> Result<()>,
    ) -> Result<Ended<()>, Failure> {
        progress.begun();
        if Self::status(connection).await?.is_installed() {
            let lock = TABLES.map(|name| format!("{name} WRITE")).join(", ");
            connection.inner.execute(AssertSqlSafe(format!("LOCK TABLES {lock}"))).await?;
        }
        // A failure leaves the progress open, so the connection is closed, and its locks with it.
        keep(&Self::status(connection).await?).map_err(Failure::Whole)?;
        progress.sent();
        let drop = format!("DROP TABLE IF EXISTS {}; UNLOCK TABLES", TABLES.join(", "));
        connection.inner.execute(AssertSqlSafe(drop)).await?;
        progress.ended();
        Ok(Ended::Committed(()))
    }

    /// Where the row of the owner was lost, the new epoch still is beyond every one that was ever
    /// applied under: it is made anew as nobody's first.
    async fn own(
        connection: &mut Connection,
        cache: &str,
        owner: &str,
    ) -> Result<Owned, sqlx::Error> {
        const AGAIN: &str = "UPDATE larder_owner SET owner = ?, epoch = LAST_INSERT_ID(epoch + 1)
             WHERE cache = ? AND (owner IS NULL OR owner = ?)";
        const ANEW: &str = "INSERT INTO larder_owner (cache, owner, epoch)
             SELECT ?, NULL, coalesce(max(epoch), 0) FROM larder_applied WHERE cache = ?";
        const DUPLICATE: u16 = 1062;
        let connection = &mut connection.inner;
        for is_anew in [false, true] {
            if is_anew {
                match sqlx::query(ANEW).bind(cache).bind(cache).execute(&mut *connection).await {
                    // Somebody else was faster.
                    Err(sqlx::Error::Database(error))
                        if error
                            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
                            .is_some_and(|error| error.number() == DUPLICATE) => {}
                    done => {
                        done?;
                    }
                }
            }
            let again = sqlx::query(AGAIN).bind(owner).bind(cache).bind(owner);
            let done = again.execute(&mut *connection).await?;
            if done.rows_affected() > 0 {
                return Ok(Owned::Now(i64::try_from(done.last_insert_id()).unwrap_or(i64::MAX)));
            }
        }
        let held = sqlx::query("SELECT coalesce(owner, '') FROM larder_owner WHERE cache = ?");
        Ok(Owned::By(held.bind(cache).fetch_one(connection).await?.try_get_unchecked(0)?))
    }

    async fn disown(
        connection: &mut Connection,
        cache: &str,
        epoch: i64,
    ) -> Result<(), sqlx::Error> {
        let connection = &mut connection.inner;
        sqlx::query("UPDATE larder_owner SET owner = NULL WHERE cache = ? AND epoch = ?")
            .bind(cache)
            .bind(epoch)
            .execute(connection)
            .await
            .map(drop)
    }

    /// The owner's row is locked for sharing, so who takes the cache over waits. Then every mark is
    /// locked, made where there is none, before it is looked at: two batches that both found none
    /// would both apply.
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
            "SELECT 1 FROM larder_owner WHERE cache = ? AND epoch = ? AND owner IS NOT NULL
             LOCK IN SHARE MODE",
        );
        let held = held.bind(cache).bind(epoch).fetch_all(&mut *connection).await?;
        guard.owned = !held.is_empty();
        if !guard.owned {
            return Ok(guard);
        }
        for marks in marks.chunks(ROWS_MAX) {
            raise(&mut *connection, cache, marks, &mut guard.raised).await?;
        }
        for letters in letters.chunks(ROWS_MAX) {
            take(&mut *connection, cache, letters, &mut guard.letters).await?;
        }
        Ok(guard)
    }

    async fn applied(
        connection: &mut Connection,
        cache: &str,
        keys: &[&str],
    ) -> Result<Vec<(usize, Sequence)>, sqlx::Error> {
        let connection = &mut connection.inner;
        let mut found = Vec::new();
        for (chunk, keys) in keys.chunks(ROWS_MAX).enumerate() {
            let sql = format!(
                "SELECT `key`, epoch, seq FROM larder_applied WHERE cache = ? AND hash IN ({})",
                list(HASH, keys.len())
            );
            let query =
                keys.iter().fold(sized(sql, keys.len()).bind(cache), |query, key| query.bind(*key));
            let mut known = HashMap::new();
            for row in query.fetch_all(&mut *connection).await? {
                known.insert(row.try_get_unchecked::<String, _>(0)?, sequence(&row, 1)?);
            }
            let place = |(at, key): (usize, &&str)| {
                known.get(*key).map(|&sequence| (chunk * ROWS_MAX + at, sequence))
            };
            found.extend(keys.iter().enumerate().filter_map(place));
        }
        Ok(found)
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
                 (verb, value, delta, epoch, seq, reason, cache, `key`)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            }
            Some(_) => {
                "UPDATE larder_dead_letters
                 SET verb = ?, value = ?, delta = ?, epoch = ?, seq = ?, reason = ?,
                     at = CURRENT_TIMESTAMP(6), requeued = FALSE
                 WHERE cache = ? AND SHA2(`key`, 256) = SHA2(?, 256) AND id = ?"
            }
        };
        let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
        let query = sqlx::query(sql)
            .bind(&letter.verb)
            .bind(&letter.value)
            .bind(letter.delta)
            .bind(number(letter.sequence.epoch))
            .bind(number(letter.sequence.number))
            .bind(&letter.reason)
            .bind(cache)
            .bind(&letter.key);
        let query = match letter.id {
            None => query,
            Some(id) => query.bind(id),
        };
        query.execute(connection).await.map(drop)
    }

    async fn requeued(
        connection: &mut Connection,
        cache: &str,
        limit: i64,
    ) -> Result<Vec<Letter>, sqlx::Error> {
        let connection = &mut connection.inner;
        let rows = sqlx::query(
            "SELECT id, `key`, verb, value, delta, reason, epoch, seq FROM larder_dead_letters
             WHERE cache = ? AND requeued ORDER BY id LIMIT ?",
        )
        .bind(cache)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        let letter = |row: &MySqlRow| {
            Ok(Letter {
                id: row.try_get_unchecked(0)?,
                key: row.try_get_unchecked(1)?,
                verb: row.try_get_unchecked(2)?,
                value: row.try_get_unchecked(3)?,
                delta: row.try_get_unchecked(4)?,
                reason: row.try_get_unchecked(5)?,
                sequence: sequence(row, 6)?,
            })
        };
        rows.iter().map(letter).collect()
    }
}

fn cache(row: &MySqlRow) -> Result<CacheStatus, sqlx::Error> {
    Ok(CacheStatus {
        cache: row.try_get_unchecked(0)?,
        owner: row.try_get_unchecked(1)?,
        epoch: number(row, 2)?,
        letters: number(row, 3)?,
        requeued: number(row, 4)?,
    })
}

fn number(row: &MySqlRow, at: usize) -> Result<u64, sqlx::Error> {
    row.try_get_unchecked::<i64, _>(at).map(|number| u64::try_from(number).unwrap_or(0))
}

async fn raise(
    connection: &mut MySqlConnection,
    cache: &str,
    marks: &[Mark<'_>],
    raised: &mut HashSet<String>,
) -> Result<(), sqlx::Error> {
    let row = format!("(?, {HASH}, ?, ?, ?)");
    let upsert = |ending: &str, count| {
        format!(
            "INSERT INTO larder_applied (cache, hash, `key`, epoch, seq) VALUES {} \
             ON DUPLICATE KEY UPDATE {ending}",
            list(&row, count)
        )
    };
    let locked = upsert("hash = larder_applied.hash", marks.len());
    let mut query = sized(locked, marks.len());
    for mark in marks {
        query = query.bind(cache).bind(mark.key).bind(mark.key).bind(0_i64).bind(0_i64);
    }
    query.execute(&mut *connection).await?;
    let known = format!(
        "SELECT `key`, epoch, seq FROM larder_applied WHERE cache = ? AND hash IN ({}) FOR UPDATE",
        list(HASH, marks.len())
    );
    let mut query = sized(known, marks.len()).bind(cache);
    for mark in marks {
        query = query.bind(mark.key);
    }
    let mut known = HashMap::new();
    for row in query.fetch_all(&mut *connection).await? {
        let at: (i64, i64) = (row.try_get_unchecked(1)?, row.try_get_unchecked(2)?);
        known.insert(row.try_get_unchecked::<String, _>(0)?, at);
    }
    let is_later = |mark: &&Mark<'_>| {
        known.get(mark.key).is_some_and(|&known| known < (mark.epoch, mark.number))
    };
    let later: Vec<_> = marks.iter().filter(is_later).collect();
    if later.is_empty() {
        return Ok(());
    }
    let count = later.len();
    let mut query = sized(upsert("epoch = VALUES(epoch), seq = VALUES(seq)", count), count);
    for mark in &later {
        query = query.bind(cache).bind(mark.key).bind(mark.key).bind(mark.epoch).bind(mark.number);
    }
    query.execute(connection).await?;
    raised.extend(later.into_iter().map(|mark| mark.key.to_owned()));
    Ok(())
}

async fn take(
    connection: &mut MySqlConnection,
    cache: &str,
    letters: &[i64],
    taken: &mut HashSet<i64>,
) -> Result<(), sqlx::Error> {
    let of = format!(
        "FROM larder_dead_letters WHERE cache = ? AND id IN ({})",
        list("?", letters.len())
    );
    let bind = |query: Query<'static, MySql, _>| {
        letters.iter().fold(query.bind(cache.to_owned()), |query, &id| query.bind(id))
    };
    let there = bind(sized(format!("SELECT id {of} FOR UPDATE"), letters.len()));
    for row in there.fetch_all(&mut *connection).await? {
        taken.insert(row.try_get_unchecked(0)?);
    }
    bind(sized(format!("DELETE {of}"), letters.len())).execute(connection).await.map(drop)
}

/// A statement for so many rows, which is kept prepared where such come often.
fn sized<'q>(sql: String, count: usize) -> Query<'q, MySql, sqlx::mysql::MySqlArguments> {
    sqlx::query(AssertSqlSafe(sql)).persistent(count <= OFTEN || count == ROWS_MAX)
}

/// So many of them.
fn list(item: &str, count: usize) -> String {
    vec![item; count].join(", ")
}

fn sequence(row: &MySqlRow, at: usize) -> Result<Sequence, sqlx::Error> {
    Ok(Sequence { epoch: number(row, at)?, number: number(row, at + 1)? })
}
