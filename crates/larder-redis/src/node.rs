//! One server: its connection, opened when it is needed and replaced when it is lost.
//!
//! One attempt is made at a time, in a task of its own, so that it doesn't end with whoever came
//! first. Everybody waits for what it finds, at most for the connect timeout. After a failure
//! nobody tries for a short while, and everybody fails at once.
//!
//! It lives on the runtime of whoever asks first; when that ends, so does the connection, and the
//! next one who asks opens another.

use std::sync::Arc;
use std::time::Duration;

use larder_core::sync::Mutex;
use larder_core::{BoxFuture, Error, Result};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::address::Address;
use crate::connection::{Connection, Settings};
use crate::errors;

/// How long a server that is down is left alone between two attempts.
const REST: Duration = Duration::from_millis(100);

/// How often it is asked whether the server that is used still is the one to use, where that may
/// change without a word from the old one.
const CHECKED_EVERY: Duration = Duration::from_secs(2);

/// Where a server is found: opens a connection to it.
pub(crate) trait Seat: std::fmt::Debug + Send + Sync + 'static {
    /// Opens a connection to the master that sits there now.
    fn open<'a>(&'a self, settings: &'a Arc<Settings>) -> BoxFuture<'a, Result<Connection>>;

    /// Whether another server than the one at `address` sits there now: `None` where none ever
    /// does.
    fn has_moved<'a>(
        &'a self,
        _address: &'a Address,
        _settings: &'a Settings,
    ) -> Option<BoxFuture<'a, bool>> {
        None
    }
}

/// One server.
#[derive(Clone, Debug)]
pub(crate) struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    seat: Box<dyn Seat>,
    settings: Arc<Settings>,
    state: Mutex<State>,
    /// When it was last asked whether the server is still the one to use.
    checked: Mutex<Option<Instant>>,
}

type Attempt = watch::Receiver<Option<Result<Arc<Connection>>>>;

#[derive(Debug)]
enum State {
    Idle,
    Trying(Attempt),
    Up(Arc<Connection>),
    Down { error: Error, again: Instant },
}

impl Node {
    pub(crate) fn new(seat: impl Seat, settings: &Arc<Settings>) -> Self {
        Self(Arc::new(Inner {
            seat: Box::new(seat),
            settings: settings.clone(),
            state: Mutex::new(State::Idle),
            checked: Mutex::default(),
        }))
    }

    /// The shared connection.
    ///
    /// # Cancel safety
    ///
    /// An attempt that was begun goes on.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>> {
        let limit = self.0.settings.connect_timeout;
        let found = timeout(limit, async {
            loop {
                let mut attempt = match self.look()? {
                    Ok(connection) => {
                        self.check(&connection);
                        return Ok(connection);
                    }
                    Err(attempt) => attempt,
                };
                if let Ok(found) = attempt.wait_for(Option::is_some).await
                    && let Some(found) = &*found
                {
                    return found.clone();
                }
                // The runtime that made the attempt has ended.
                self.forget(&attempt);
            }
        });
        found.await.unwrap_or_else(|_| {
            let words = format!("accepts no connection within {limit:?}");
            Err(errors::down(&self.0.settings.name, &words))
        })
    }

    /// A connection of the caller's own.
    pub(crate) async fn another(&self) -> Result<Connection> {
        self.0.seat.open(&self.0.settings).await
    }

    /// A connection of the caller's own, opened by its own settings.
    pub(crate) async fn another_by(&self, settings: &Arc<Settings>) -> Result<Connection> {
        self.0.seat.open(settings).await
    }

    /// The connection that there is, or the attempt to open one, or why there is none.
    fn look(&self) -> Result<Result<Arc<Connection>, Attempt>> {
        let mut state = self.0.state.lock();
        match &*state {
            State::Up(connection) if connection.is_good() => return Ok(Ok(connection.clone())),
            State::Trying(attempt) => return Ok(Err(attempt.clone())),
            State::Down { error, again } if Instant::now() < *again => return Err(error.clone()),
            State::Up(_) | State::Down { .. } | State::Idle => {}
        }
        let (found, attempt) = watch::channel(None);
        let before = std::mem::replace(&mut *state, State::Trying(attempt.clone()));
        drop(state);
        if let State::Up(lost) = before {
            // Who still waits on it fails now.
            lost.close();
        }
        let inner = self.0.clone();
        tokio::spawn(async move {
            let opened = inner.seat.open(&inner.settings).await.map(Arc::new);
            *inner.state.lock() = match &opened {
                Ok(connection) => State::Up(connection.clone()),
                Err(error) => State::Down { error: error.clone(), again: Instant::now() + REST },
            };
            found.send_replace(Some(opened));
        });
        Ok(Err(attempt))
    }

    /// Whether it is the same one, and not merely one at the same place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the shared connection leads to another run of a server than this one does.
    pub(crate) fn is_elsewhere(&self, connection: &Connection) -> bool {
        match &*self.0.state.lock() {
            State::Up(shared) => {
                shared.is_good() && shared.incarnation() != connection.incarnation()
            }
            _ => false,
        }
    }

    /// Sees to it that somebody asks, now and then, whether the connection is still the right one.
    /// Nobody waits for that.
    fn check(&self, connection: &Arc<Connection>) {
        let mut checked = self.0.checked.lock();
        let now = Instant::now();
        if checked.is_some_and(|checked| now - checked < CHECKED_EVERY) {
            return;
        }
        *checked = Some(now);
        drop(checked);
        if self.0.seat.has_moved(connection.address(), &self.0.settings).is_none() {
            return;
        }
        let (inner, connection) = (self.0.clone(), connection.clone());
        tokio::spawn(async move {
            let moved = inner.seat.has_moved(connection.address(), &inner.settings);
            if let Some(moved) = moved
                && moved.await
            {
                connection.give_up();
            }
        });
    }

    fn forget(&self, attempt: &Attempt) {
        let mut state = self.0.state.lock();
        if matches!(&*state, State::Trying(current) if current.same_channel(attempt)) {
            *state = State::Idle;
        }
    }
}
