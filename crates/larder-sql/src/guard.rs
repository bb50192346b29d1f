//! larder's own tables: what tells that a write was applied before, who may apply, and what was
//! refused for good.
//!
//! | table | a row is |
//! |---|---|
//! | `larder_applied` | a key, and the place of the last write of it that was applied |
//! | `larder_owner` | a cache, and who may apply to it, under which epoch |
//! | `larder_dead_letters` | a write that the database refused; `requeued` asks for it to be tried again |

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use larder_core::sink::Sequence;
use larder_core::{Error, ErrorKind, Result};
use tokio::time::timeout;

use crate::changes::{Asking, Ended, Letter, Mark, Owned, TablesQuestion, Told};
use crate::database::{Database, Kind, either};
use crate::fault;
#[cfg(feature = "mysql")]
use crate::mysql::Mysql;
use crate::pool::{Backend, Failure, Once, Pool, Progress};
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;

/// The names of the tables.
pub(crate) const TABLES: [&str; 3] = ["larder_applied", "larder_owner", "larder_dead_letters"];

/// How many keys are asked for at once.
pub(crate) const KEYS_MAX: usize = 1_000;

/// How long installing or removing may take, which may have to wait for running writes.
const LIMIT: Duration = Duration::from_secs(60);

/// The tables that a cache needs to be written behind, in one database for all its caches. They
/// lie beside the data, because they must be committed with it.
///
/// ```no_run
/// use larder_sql::{Database, Options, WriteTables};
///
/// # async fn example() -> larder_core::Result<()> {
/// let shop = Database::open("sqlite:shop.db", &Options::new("shop"))?;
/// let tables = WriteTables::of(&shop);
/// println!("{}", tables.ddl());
/// tables.install().await?;
/// assert!(tables.status().await?.is_installed());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct WriteTables(Kind);

/// What is known of the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TablesStatus {
    /// The tables that aren't there.
    pub missing: Vec<&'static str>,
    /// The caches that are known, at most 10,000, by their names; none where a table is missing.
    pub caches: Vec<CacheStatus>,
}

/// What is known of a cache that is written behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheStatus {
    /// Its name.
    pub cache: String,
    /// Who applies to it.
    pub owner: Option<String>,
    /// Under which epoch, or the last one.
    pub epoch: u64,
    /// How many dead letters it has.
    pub letters: u64,
    /// How many of them are to be tried again.
    pub requeued: u64,
}

impl TablesStatus {
    /// Whether all tables are there.
    #[must_use]
    pub const fn is_installed(&self) -> bool {
        self.missing.is_empty()
    }
}

/// What differs from database to database in larder's own tables.
pub(crate) trait Keeper: Backend {
    /// The statements that make the tables, where they aren't there.
    const DDL: &'static str;

    /// Makes the tables, in a transaction of its own.
    fn install(
        connection: &mut Self::Connection,
        progress: &Progress,
    ) -> impl Future<Output = Result<Ended<()>, Failure>> + Send;

    fn status(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<TablesStatus, sqlx::Error>> + Send;

    /// Takes the tables away, in a transaction of its own, unless `keep` has a reason to keep
    /// what is there.
    fn remove(
        connection: &mut Self::Connection,
        progress: &Progress,
        keep: fn(&TablesStatus) -> Result<()>,
    ) -> impl Future<Output = Result<Ended<()>, Failure>> + Send;

    /// See `Sink::own`.
    fn own(
        connection: &mut Self::Connection,
        cache: &str,
        owner: &str,
    ) -> impl Future<Output = Result<Owned, sqlx::Error>> + Send;

    /// See `Sink::disown`.
    fn disown(
        connection: &mut Self::Connection,
        cache: &str,
        epoch: i64,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Within a transaction: whether the cache is owned under `epoch` until it ends, and if so,
    /// takes these letters away and raises what is applied to these marks, which are sorted.
    fn guard(
        connection: &mut Self::Connection,
        cache: &str,
        epoch: i64,
        marks: &[Mark<'_>],
        letters: &[i64],
    ) -> impl Future<Output = Result<Guard, sqlx::Error>> + Send;

    /// The marks of these keys, by their places.
    fn applied(
        connection: &mut Self::Connection,
        cache: &str,
        keys: &[&str],
    ) -> impl Future<Output = Result<Vec<(usize, Sequence)>, sqlx::Error>> + Send;

    /// Within a transaction: writes a dead letter down, as the one that it was if it was one and
    /// still is there.
    fn bury(
        connection: &mut Self::Connection,
        cache: &str,
        letter: &Letter,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// At most `limit` letters that were requeued.
    fn requeued(
        connection: &mut Self::Connection,
        cache: &str,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Letter>, sqlx::Error>> + Send;
}

/// What a guard found.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// The cache is owned under this epoch.
    pub(crate) owned: bool,
    /// The keys whose mark was raised.
    pub(crate) raised: HashSet<String>,
    /// The letters that were taken away.
    pub(crate) letters: HashSet<i64>,
}

impl WriteTables {
    /// Those of `database`. It is not asked yet.
    #[must_use]
    pub fn of(database: &Database) -> Self {
        Self(database.writes.clone())
    }

    /// The SQL that makes them. It may be run by hand instead of [`install`](Self::install), by
    /// somebody with more rights than larder has; larder itself needs to select, insert, update
    /// and delete.
    #[must_use]
    pub const fn ddl(&self) -> &'static str {
        match self.0 {
            Kind::Postgres(_) => Postgres::DDL,
            Kind::Sqlite(_) => Sqlite::DDL,
            #[cfg(feature = "mysql")]
            Kind::Mysql(_) => Mysql::DDL,
        }
    }

    /// Makes those that aren't there. What is there stays as it is.
    ///
    /// # Errors
    ///
    /// When the database can't be asked, or doesn't allow it.
    pub async fn install(&self) -> Result<()> {
        either!(Kind: &self.0, pool => run(pool, "installation", &Install).await)
    }

    /// What is there.
    ///
    /// # Errors
    ///
    /// When the database can't be asked.
    pub async fn status(&self) -> Result<TablesStatus> {
        either!(Kind: &self.0, pool => run(pool, "question", &Status).await)
    }

    /// The last sequence that was applied of each of these keys of a cache, in their order, with
    /// those that became dead letters: what was acknowledged under it or before is in the
    /// database, or a dead letter.
    ///
    /// # Errors
    ///
    /// `Refused` for more than 1,000 keys; `Config` when the tables aren't there; otherwise when
    /// the database can't be asked.
    pub async fn applied(&self, cache: &str, keys: &[&str]) -> Result<Vec<Option<Sequence>>> {
        if keys.len() > KEYS_MAX {
            let what = format!("{} keys at once, and {KEYS_MAX} are the most", keys.len());
            return Err(Error::new(ErrorKind::Refused, what));
        }
        let asking = Asking { cache, question: TablesQuestion::Applied(keys) };
        let told = either!(Kind: &self.0, pool => run(pool, "question", &asking).await?);
        let mut sequences = vec![None; keys.len()];
        if let Told::Applied(found) = told {
            for (at, sequence) in found {
                if let Some(place) = sequences.get_mut(at) {
                    *place = Some(sequence);
                }
            }
        }
        Ok(sequences)
    }

    /// Takes them away.
    ///
    /// # Errors
    ///
    /// `Refused` when a cache is owned, or there are dead letters, saying which; and when the
    /// database can't be asked.
    pub async fn remove(&self) -> Result<()> {
        self.remove_unless(is_needed).await
    }

    /// Takes them away whatever they hold. What was acknowledged and not yet applied can then be
    /// applied twice, and dead letters are lost.
    ///
    /// # Errors
    ///
    /// When the database can't be asked.
    pub async fn remove_by_force(&self) -> Result<()> {
        self.remove_unless(|_| Ok(())).await
    }

    async fn remove_unless(&self, keep: fn(&TablesStatus) -> Result<()>) -> Result<()> {
        either!(Kind: &self.0, pool => run(pool, "removal", &Remove(keep)).await)
    }
}

fn is_needed(status: &TablesStatus) -> Result<()> {
    let refuse = |what: String| Err(Error::new(ErrorKind::Refused, what));
    for CacheStatus { cache, owner, letters, .. } in &status.caches {
        if let Some(owner) = owner {
            return refuse(format!(
                "the cache {cache} is written behind by {owner}: stop it first, so that it \
                 applies what it has acknowledged"
            ));
        }
        if *letters > 0 {
            return refuse(format!(
                "the cache {cache} has {letters} dead letters: requeue or delete them first"
            ));
        }
    }
    Ok(())
}

struct Install;
struct Status;
struct Remove(fn(&TablesStatus) -> Result<()>);

impl<B: Keeper> Once<B> for Install {
    type Output = ();

    async fn run(
        &self,
        connection: &mut B::Connection,
        progress: &Progress,
    ) -> Result<(), Failure> {
        B::install(connection, progress).await.map(drop)
    }
}

impl<B: Keeper> Once<B> for Status {
    type Output = TablesStatus;

    async fn run(
        &self,
        connection: &mut B::Connection,
        _: &Progress,
    ) -> Result<TablesStatus, Failure> {
        Ok(B::status(connection).await?)
    }
}

impl<B: Keeper> Once<B> for Remove {
    type Output = ();

    async fn run(
        &self,
        connection: &mut B::Connection,
        progress: &Progress,
    ) -> Result<(), Failure> {
        B::remove(connection, progress, self.0).await.map(drop)
    }
}

/// Does a job that consists of larder's own statements.
pub(crate) async fn run<B: Backend, J: Once<B>>(
    pool: &Arc<Pool<B>>,
    what: &str,
    job: &J,
) -> Result<J::Output> {
    let progress = Progress::default();
    match timeout(LIMIT, pool.run_once(job, &progress)).await {
        Ok(done) => done.map_err(|failure| {
            // Our own statements can only be wrong for everything.
            progress.unready();
            fault::writing(pool.name(), what, &progress, failure).error
        }),
        Err(_) => Err(fault::timeout(pool.name(), what, &progress, LIMIT).error),
    }
}

impl fmt::Debug for WriteTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteTables").finish_non_exhaustive()
    }
}
