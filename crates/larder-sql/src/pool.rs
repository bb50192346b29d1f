//! The connections of one database: a bounded number, opened when they are needed, the one used
//! last taken first.
//!
//! The driver's own pool is not used: while a database refuses connections it retries until its
//! acquire timeout with the permit in hand, so callers wait in line for nothing. Here a failure
//! is known to all at once (see `reach`).
//!
//! A connection is put back only by whoever has read the whole answer. Anything else, an error
//! half-way or a future that was dropped, closes it. One that was idle may have died meanwhile,
//! with the server's restart for instance; because a load only reads, it is repeated once on a
//! fresh connection and nobody notices. What writes is done [once](Once).

mod once;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use larder_core::Error;
use larder_core::sync::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use crate::database::Options;
use crate::error::{is_lost, unreachable};
use crate::reach::Reach;

pub(crate) use once::{Once, Progress, Stage};

/// How long a connection may lie idle before it is closed instead of used.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);

/// How long a connection lives at most, so that a new address of the database is noticed.
const LIFE_MAX: Duration = Duration::from_secs(30 * 60);

/// How to connect.
pub(crate) trait Backend: Send + Sync + 'static {
    /// A connection. Dropping it closes it and stops what it was doing.
    type Connection: Send + 'static;

    /// Opens a connection.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Whether an idle connection still leads to the database that a new one would lead to, as
    /// far as that can be told without asking it.
    fn is_current(&self, connection: &Self::Connection) -> bool;

    /// Whether a connection that was idle still leads anywhere, by asking.
    fn is_alive(&self, connection: &mut Self::Connection) -> impl Future<Output = bool> + Send {
        let _ = connection;
        async { true }
    }
}

/// What is done with a connection. It may be done twice.
pub(crate) trait Job<B: Backend>: Sync {
    /// What comes of it.
    type Output: Send;

    /// Does it.
    fn run(
        &self,
        connection: &mut B::Connection,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// Why a job failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The driver's error, which tells what became of the connection.
    Driver(sqlx::Error),
    /// Ours, after the whole answer was read.
    Whole(Error),
    /// Ours, with some of the answer unread.
    Cut(Error),
    /// The plan of the job no longer fits the database.
    Outdated,
    /// There is no connection to be had.
    Unreachable(Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl Failure {
    pub(crate) fn spoils_connection(&self) -> bool {
        match self {
            Self::Driver(error) => is_lost(error),
            Self::Cut(_) => true,
            Self::Whole(_) | Self::Outdated | Self::Unreachable(_) => false,
        }
    }
}

/// The connections of one database.
pub(crate) struct Pool<B: Backend> {
    backend: B,
    name: String,
    connect_timeout: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<Idle<B::Connection>>>,
    reach: Reach,
}

struct Idle<C> {
    connection: C,
    born: Instant,
    since: Instant,
}

impl<B: Backend> Pool<B> {
    pub(crate) fn new(backend: B, options: &Options) -> Self {
        Self {
            backend,
            name: options.name.clone(),
            connect_timeout: options.connect_timeout,
            permits: Semaphore::new(options.connections),
            idle: Mutex::default(),
            reach: Reach::default(),
        }
    }

    /// What the database is called in errors.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Does `job` with a connection, waiting for one if all are in use. The caller sets the
    /// deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection that was in use.
    pub(crate) async fn run<J: Job<B>>(&self, job: &J) -> Result<J::Output, Failure> {
        let mut loan = self.borrow().await?;
        loop {
            let reused = loan.idle.is_some();
            match job.run(&mut loan.connection).await {
                Ok(output) => {
                    loan.put_back();
                    return Ok(output);
                }
                Err(Failure::Driver(error)) if reused && is_lost(&error) => {
                    loan = self.instead_of(loan).await?;
                }
                Err(failure) => {
                    if !failure.spoils_connection() {
                        loan.put_back();
                    }
                    return Err(failure);
                }
            }
        }
    }

    async fn borrow(&self) -> Result<Loan<'_, B>, Failure> {
        let permit = self.permits.acquire().await.expect("the semaphore is never closed");
        match self.pop_idle() {
            Some(Idle { connection, born, since }) => {
                let idle = Some(Instant::now() - since);
                Ok(Loan { connection, born, idle, permit, pool: self })
            }
            None => self.open(permit).await,
        }
    }

    fn pop_idle(&self) -> Option<Idle<B::Connection>> {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        idle.retain(|idle| now - idle.since < IDLE_MAX && now - idle.born < LIFE_MAX);
        let found = idle.pop()?;
        drop(idle);
        self.backend.is_current(&found.connection).then_some(found)
    }

    async fn open<'a>(&'a self, permit: SemaphorePermit<'a>) -> Result<Loan<'a, B>, Failure> {
        let attempt = self.reach.attempt().await.map_err(Failure::Unreachable)?;
        let connected = match timeout(self.connect_timeout, self.backend.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                format!("no connection within {:?}", self.connect_timeout),
            ))),
        };
        match connected {
            Ok(connection) => {
                attempt.succeeded();
                let born = Instant::now();
                Ok(Loan { connection, born, idle: None, permit, pool: self })
            }
            Err(error) => {
                let error = unreachable(&self.name, error);
                attempt.failed(&error);
                Err(Failure::Unreachable(error))
            }
        }
    }
}

/// A connection in use. Dropping it closes the connection.
struct Loan<'a, B: Backend> {
    connection: B::Connection,
    born: Instant,
    /// For how long it was idle before; none if it is new.
    idle: Option<Duration>,
    permit: SemaphorePermit<'a>,
    pool: &'a Pool<B>,
}

impl<'a, B: Backend> Loan<'a, B> {
    fn put_back(self) {
        let Self { connection, born, pool, permit, .. } = self;
        pool.idle.lock().push(Idle { connection, born, since: Instant::now() });
        drop(permit);
    }

    fn close(self) -> SemaphorePermit<'a> {
        self.permit
    }
}
