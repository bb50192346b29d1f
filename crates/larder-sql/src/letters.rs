//! Dead letters from outside: looking at them, asking for another try, and giving them up.
//!
//! Whoever owns a cache isn't asked, and needn't run. What decides between him and what is done
//! here is the letter's row:
//!
//! 1. Requeueing marks the row. The owner looks for marked rows now and then, and takes the write
//!    on like a new one; the row stays.
//! 2. When he applies it, he deletes the row in the transaction that writes. Where it is gone
//!    already, nothing is written.
//! 3. Dropping deletes the row. So of a drop and an apply exactly one finds it, however far the
//!    other try has come; who comes second waits for the first one's transaction to end.
//! 4. If he is refused again, he updates the row, and unmarks it. One that was dropped meanwhile
//!    isn't there to be updated, and stays dropped.
//!
//! It doesn't know what a value says, nor whether the owner runs.

mod shown;

use std::fmt;
use std::future::Future;

use larder_core::Result;

use crate::database::{Database, Kind, either};
use crate::guard::run;
use crate::pool::{Backend, Failure, Once, Progress};

pub use shown::{ShownLetter, ShownValue};

/// The most letters of one page.
pub const LETTERS_MAX: usize = 1_000;

/// So much of a value is shown where letters are listed, in bytes.
const LISTED_BYTES: i32 = 256;

/// So much of a value is shown of one letter, in bytes.
const SHOWN_BYTES: i32 = 64 << 10;

/// The dead letters of a database: writes that it refused, of all its caches.
///
/// ```no_run
/// use larder_sql::{Database, DeadLetters, LetterPage, Options};
///
/// # async fn example() -> larder_core::Result<()> {
/// let shop = Database::open("sqlite:shop.db", &Options::new("shop"))?;
/// let letters = DeadLetters::of(&shop);
/// let mut page = LetterPage::of_cache("user");
/// loop {
///     let listed = letters.list(&page).await?;
///     let Some(last) = listed.last() else { break };
///     page.after = last.id;
///     for letter in &listed {
///         println!("{} {} {}: {}", letter.id, letter.verb, letter.key, letter.reason);
///     }
/// }
/// assert!(letters.requeue(7).await?, "letter 7 isn't there any more");
/// # Ok(()) }
/// ```
///
/// # Cancel safety
///
/// Dropping a future leaves what it changes done or not done.
#[derive(Clone)]
pub struct DeadLetters(Kind);

/// Which letters are meant: those behind a number, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPage {
    /// Only those of this cache.
    pub cache: Option<String>,
    /// Only those with a greater number.
    pub after: u64,
    /// How many at most; more than [`LETTERS_MAX`] count as that. 100 by default.
    pub limit: usize,
}

impl Default for LetterPage {
    /// The first hundred of all caches.
    fn default() -> Self {
        Self { cache: None, after: 0, limit: 100 }
    }
}

impl LetterPage {
    /// The first hundred of a cache.
    #[must_use]
    pub fn of_cache(cache: impl Into<String>) -> Self {
        Self { cache: Some(cache.into()), ..Self::default() }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            cache: self.cache.as_deref(),
            after: i64::try_from(self.after).unwrap_or(i64::MAX),
            limit: i64::try_from(self.limit.min(LETTERS_MAX)).unwrap_or(i64::MAX),
        }
    }
}

/// A page as it is bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) cache: Option<&'a str>,
    pub(crate) after: i64,
    pub(crate) limit: i64,
}

/// What differs from database to database. Each is a transaction by itself.
pub(crate) trait LetterKeeper: Backend {
    /// Letters with the first `bytes` of their values.
    fn list(
        connection: &mut Self::Connection,
        page: Asked<'_>,
        bytes: i32,
    ) -> impl Future<Output = Result<Vec<ShownLetter>, sqlx::Error>> + Send;

    /// One of them.
    fn show(
        connection: &mut Self::Connection,
        id: i64,
        bytes: i32,
    ) -> impl Future<Output = Result<Option<ShownLetter>, sqlx::Error>> + Send;

    /// Marks one, and says whether it is there.
    fn requeue(
        connection: &mut Self::Connection,
        id: i64,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Marks those that aren't marked yet, and says which they were.
    fn requeue_page(
        connection: &mut Self::Connection,
        page: Asked<'_>,
    ) -> impl Future<Output = Result<Vec<i64>, sqlx::Error>> + Send;

    /// Deletes one, and says what was deleted.
    fn drop(
        connection: &mut Self::Connection,
        id: i64,
        bytes: i32,
    ) -> impl Future<Output = Result<Option<ShownLetter>, sqlx::Error>> + Send;
}

impl DeadLetters {
    /// Those of `database`. It is not asked yet.
    #[must_use]
    pub fn of(database: &Database) -> Self {
        Self(database.writes.clone())
    }

    /// The letters of a page, with the first 256 bytes of their values.
    ///
    /// # Errors
    ///
    /// `Config` when larder's tables aren't there; otherwise when the database can't be asked.
    pub async fn list(&self, page: &LetterPage) -> Result<Vec<ShownLetter>> {
        either!(Kind: &self.0, pool => run(pool, "question", &List(page.asked())).await)
    }

    /// One letter, with the first 64 KiB of its value; `None` when it isn't there, or not any more.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    pub async fn show(&self, id: u64) -> Result<Option<ShownLetter>> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        either!(Kind: &self.0, pool => run(pool, "question", &Show(id)).await)
    }

    /// Asks for a letter to be tried again, and says whether it is there. Who owns the cache does
    /// that when he next looks, and if nobody owns it now, whoever does next. It stays where it is
    /// until it is applied; if it is refused again, it must be requeued anew.
    ///
    /// It is written as it was, whatever was written to its key since: a value that is stored takes
    /// the place of a later one.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    pub async fn requeue(&self, id: u64) -> Result<bool> {
        let Ok(id) = i64::try_from(id) else { return Ok(false) };
        either!(Kind: &self.0, pool => run(pool, "requeue", &Requeue(id)).await)
    }

    /// Asks for the letters of a page to be tried again that nobody has asked for yet, and says
    /// which they were. To go on, ask for those behind the last one: so each is requeued once, even
    /// if it is refused again meanwhile.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list). Where the answer was lost they may be requeued or not.
    pub async fn requeue_page(&self, page: &LetterPage) -> Result<Vec<u64>> {
        let job = RequeuePage(page.asked());
        let ids: Vec<i64> = either!(Kind: &self.0, pool => run(pool, "requeue", &job).await)?;
        let mut ids: Vec<_> = ids.into_iter().filter_map(|id| u64::try_from(id).ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Gives a letter up, and returns what it was, with the first 64 KiB of its value; `None` when
    /// it isn't there, or not any more, because another try has succeeded.
    ///
    /// A letter that is being tried again at this moment is either applied, and then this returns
    /// `None`, or dropped, and then nothing of it is written: never half of either. Until its owner
    /// has found that out, reads in his process may still see it.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list). Where the answer was lost it may be dropped or not.
    pub async fn drop(&self, id: u64) -> Result<Option<ShownLetter>> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        either!(Kind: &self.0, pool => run(pool, "drop", &Drop(id)).await)
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadLetters").finish_non_exhaustive()
    }
}

struct List<'a>(Asked<'a>);
struct Show(i64);
struct Requeue(i64);
struct RequeuePage<'a>(Asked<'a>);
struct Drop(i64);

impl<B: LetterKeeper> Once<B> for List<'_> {
    type Output = Vec<ShownLetter>;

    async fn run(
        &self,
        connection: &mut B::Connection,
        _: &Progress,
    ) -> Result<Self::Output, Failure> {
        Ok(B::list(connection, self.0, LISTED_BYTES).await?)
    }
}

impl<B: LetterKeeper> Once<B> for Show {
    type Output = Option<ShownLetter>;

    async fn run(
        &self,
        connection: &mut B::Connection,
        _: &Progress,
    ) -> Result<Self::Output, Failure> {
        Ok(B::show(connection, self.0, SHOWN_BYTES).await?)
    }
}

impl<B: LetterKeeper> Once<B> for Requeue {
    type Output = bool;

    /// A second time changes nothing, so it may be done twice.
    async fn run(&self, connection: &mut B::Connection, _: &Progress) -> Result<bool, Failure> {
        Ok(B::requeue(connection, self.0).await?)
    }
}

impl<B: LetterKeeper> Once<B> for RequeuePage<'_> {
    type Output = Vec<i64>;

    async fn run(
        &self,
        connection: &mut B::Connection,
        progress: &Progress,
    ) -> Result<Vec<i64>, Failure> {
        // A second time would say that there were none.
        progress.sent();
        Ok(B::requeue_page(connection, self.0).await?)
    }
}

impl<B: LetterKeeper> Once<B> for Drop {
    type Output = Option<ShownLetter>;

    async fn run(
        &self,
        connection: &mut B::Connection,
        progress: &Progress,
    ) -> Result<Self::Output, Failure> {
        // A second time would say that it wasn't there.
        progress.sent();
        Ok(B::drop(connection, self.0, SHOWN_BYTES).await?)
    }
}
