//! larder's own tables in Postgres.

use std::collections::HashSet;

use larder_core::Result;
use larder_core::sink::Sequence;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Executor, Row as _};

use super::Postgres;
use crate::changes::{Ended, Letter, Mark, Owned, end};
use crate::guard::{CacheStatus, Guard, Keeper, TABLES, TablesStatus};
use crate::pool::{Failure, Progress};

/// Installing twice at once would find a table missing twice. The number is nobody else's.
const LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(7811887397426197)";

/// One statement: what it raises and takes away depends on the owner's row, which it locks.
///
/// A database that answers a commit before it has written it down would lose what the journal
/// then no longer has, so such a setting is overruled for this transaction.
const GUARD: &str = "\
WITH held AS (
    SELECT epoch, CASE pg_catalog.current_setting('synchronous_commit') WHEN 'off'
                  THEN pg_catalog.set_config('synchronous_commit', 'local', true) END
    FROM larder_owner WHERE cache = $1 AND epoch = $2 AND owner IS NOT NULL FOR SHARE
), raised AS (
    INSERT INTO larder_applied AS known (cache, key, epoch, seq)
    SELECT $1, given.key, given.epoch, given.seq
    FROM held, unnest($3::text[], $4::bigint[], $5::bigint[])
        AS given(key, epoch, seq)
    ON CONFLICT (cache, key) DO UPDATE SET epoch = EXCLUDED.epoch, seq = EXCLUDED.seq
    WHERE (known.epoch, known.seq) < (EXCLUDED.epoch, EXCLUDED.seq)
    RETURNING key
), taken AS (
    DELETE FROM larder_dead_letters AS letter USING held
    WHERE letter.cache = $1 AND letter.id = ANY ($6::bigint[])
    RETURNING letter.id
)
SELECT 1::int, NULL::text, epoch FROM held
UNION ALL SELECT 2, key, NULL FROM raised
UNION ALL SELECT 3, NULL, id FROM taken";

impl Keeper for Postgres {
    const DDL: &'static str = "\
CREATE TABLE IF NOT EXISTS larder_applied (
    cache text NOT NULL,
    key text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (cache, key)
) WITH (fillfactor = 80);
CREATE TABLE IF NOT EXISTS larder_owner (
    cache text PRIMARY KEY,
    owner text,
    epoch bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS larder_dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cache text NOT NULL,
    key text NOT NULL,
    verb text NOT NULL,
    value bytea,
    delta bigint,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    requeued boolean NOT NULL DEFAULT false
);
CREATE INDEX IF NOT EXISTS larder_dead_letters_of_cache ON larder_dead_letters (cache, id);
";

    async fn install(
        connection: &mut PgConnection,
        progress: &Progress,
    ) -> Result<Ended<()>, Failure> {
        connection.execute("BEGIN READ WRITE").await?;
        progress.begun();
        let made = async {
            connection.execute(LOCK).await?;
            connection.execute(Self::DDL).await?;
            Ok(Ended::Committed(()))
        };
        let made = made.await;
        end::<Self, _>(connection, progress, made).await
    }

    async fn status(connection: &mut PgConnection) -> Result<TablesStatus, sqlx::Error> {
        let names: Vec<_> = TABLES.iter().map(|&name| name.to_owned()).collect();
        let rows = sqlx::query(
            "SELECT name FROM pg_catalog.unnest($1::text[]) AS given(name)
             WHERE pg_catalog.to_regclass(name) IS NULL",
        )
        .bind(names)
        .fetch_all(&mut *connection)
        .await?;
        let gone = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        let missing: Vec<_> =
            TABLES.into_iter().filter(|name| gone.iter().any(|gone| gone == name)).collect();
        if !missing.is_empty() {
            return Ok(TablesStatus { missing, caches: Vec::new() });
        }
        // What was prepared before may describe other tables of these names.
        let rows = sqlx::query(
            "SELECT cache, max(owner), max(epoch)::bigint, sum(letters)::bigint,
                    sum(requeued)::bigint
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
        connection: &mut PgConnection,
        progress: &Progress,
        keep: fn(&TablesStatus) -> Result<()>,
    ) -> Result<Ended<()>, Failure> {
        connection.execute("BEGIN READ WRITE").await?;
        progress.begun();
        let removed = async {
            connection.execute(LOCK).await?;
            if Self::status(connection).await?.is_installed() {
                // From here on nobody can own a cache or bury a letter.
                connection.execute("LOCK TABLE larder_owner, larder_dead_letters").await?;
            }
            keep(&Self::status(connection).await?).map_err(Failure::Whole)?;
            let drop = "DROP TABLE IF EXISTS larder_applied, larder_owner, larder_dead_letters";
            connection.execute(drop).await?;
            Ok(Ended::Committed(()))
        };
        let removed = removed.await;
        let ended = end::<Self, _>(connection, progress, removed).await;
        connection.clear_cached_statements().await?;
        ended
    }

    /// Where the row of the owner was lost, the new epoch still is beyond every one that was ever
    /// applied under.
    async fn own(
        connection: &mut PgConnection,
        cache: &str,
        owner: &str,
    ) -> Result<Owned, sqlx::Error> {
        const AGAIN: &str = "UPDATE larder_owner SET owner = $2, epoch = epoch + 1
             WHERE cache = $1 AND (owner IS NULL OR owner = $2) RETURNING epoch";
        const FIRST: &str = "INSERT INTO larder_owner (cache, owner, epoch)
             SELECT $1, $2, 1 + coalesce(max(epoch), 0) FROM larder_applied WHERE cache = $1
             ON CONFLICT (cache) DO NOTHING RETURNING epoch";
        for sql in [AGAIN, FIRST] {
            let done = sqlx::query(sql).bind(cache).bind(owner);
            if let Some(row) = done.fetch_all(&mut *connection).await?.first() {
                return Ok(Owned::Now(row.try_get(0)?));
            }
        }
        let held = sqlx::query("SELECT coalesce(owner, '') FROM larder_owner WHERE cache = $1");
        Ok(Owned::By(held.bind(cache).fetch_one(connection).await?.try_get(0)?))
    }

    async fn disown(
        connection: &mut PgConnection,
        cache: &str,
        epoch: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE larder_owner SET owner = NULL WHERE cache = $1 AND epoch = $2")
            .bind(cache)
            .bind(epoch)
            .execute(connection)
            .await
            .map(drop)
    }

    async fn guard(
        connection: &mut PgConnection,
        cache: &str,
        epoch: i64,
        marks: &[Mark<'_>],
        letters: &[i64],
    ) -> Result<Guard, sqlx::Error> {
        let keys: Vec<_> = marks.iter().map(|mark| mark.key).collect();
        let epochs: Vec<_> = marks.iter().map(|mark| mark.epoch).collect();
        let numbers: Vec<_> = marks.iter().map(|mark| mark.number).collect();
        let rows = sqlx::query(GUARD)
            .bind(cache)
            .bind(epoch)
            .bind(keys)
            .bind(epochs)
            .bind(numbers)
            .bind(letters)
            .fetch_all(connection)
            .await?;
        let mut guard = Guard { owned: false, raised: HashSet::new(), letters: HashSet::new() };
        for row in &rows {
            match row.try_get::<i32, _>(0)? {
                1 => guard.owned = true,
                2 => drop(guard.raised.insert(row.try_get(1)?)),
                _ => drop(guard.letters.insert(row.try_get(2)?)),
            }
        }
        Ok(guard)
    }

    async fn applied(
        connection: &mut PgConnection,
        cache: &str,
        keys: &[&str],
    ) -> Result<Vec<(usize, Sequence)>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT given.ordinal, known.epoch, known.seq
             FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY AS given(key, ordinal)
             JOIN larder_applied AS known ON known.cache = $1 AND known.key = given.key",
        )
        .bind(cache)
        .bind(keys)
        .fetch_all(connection)
        .await?;
        let one = |row: &PgRow| {
            let place: i64 = row.try_get(0)?;
            Ok((usize::try_from(place - 1).unwrap_or(usize::MAX), sequence(row, 1)?))
        };
        rows.iter().map(one).collect()
    }

    async fn bury(
        connection: &mut PgConnection,
        cache: &str,
        letter: &Letter,
    ) -> Result<(), sqlx::Error> {
        let sql = match letter.id {
            None => {
                "INSERT INTO larder_dead_letters
                 (cache, key, verb, value, delta, epoch, seq, reason)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE $9::bigint IS NULL"
            }
            Some(_) => {
                "UPDATE larder_dead_letters
                 SET verb = $3, value = $4, delta = $5, epoch = $6, seq = $7, reason = $8,
                     at = now(), requeued = false
                 WHERE cache = $1 AND key = $2 AND id = $9"
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
        connection: &mut PgConnection,
        cache: &str,
        limit: i64,
    ) -> Result<Vec<Letter>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT id, key, verb, value, delta, reason, epoch, seq FROM larder_dead_letters
             WHERE cache = $1 AND requeued ORDER BY id LIMIT $2",
        )
        .bind(cache)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        let letter = |row: &PgRow| {
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

fn cache(row: &PgRow) -> Result<CacheStatus, sqlx::Error> {
    let number = |at| row.try_get::<i64, _>(at).map(|number| u64::try_from(number).unwrap_or(0));
    Ok(CacheStatus {
        cache: row.try_get(0)?,
        owner: row.try_get(1)?,
        epoch: number(2)?,
        letters: number(3)?,
        requeued: number(4)?,
    })
}

fn sequence(row: &PgRow, at: usize) -> Result<Sequence, sqlx::Error> {
    let number = |at| row.try_get::<i64, _>(at).map(|number| u64::try_from(number).unwrap_or(0));
    Ok(Sequence { epoch: number(at)?, number: number(at + 1)? })
}
