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

use crate::connection::{Connection, Settings};
use crate::errors;

/// How long a server that is down is left alone between two attempts.
const REST: Duration = Duration::from_millis(100);

/// Where a server is found: opens a connection to it.
pub(crate) trait Seat: std::fmt::Debug + Send + Sync + 'static {
    /// Opens a connection to the master that sits there now.
    fn open<'a>(&'a self, settings: &'a Arc<Settings>) -> BoxFuture<'a, Result<Connection>>;
}

/// One server.
#[derive(Clone, Debug)]
pub(crate) struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    seat: Box<dyn Seat>,
    settings: Arc<Settings>,
    state: Mutex<State>,
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
        let state = Mutex::new(State::Idle);
        Self(Arc::new(Inner { seat: Box::new(seat), settings: settings.clone(), state }))
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
                    Ok(connection) => return Ok(connection),
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

    fn forget(&self, attempt: &Attempt) {
        let mut state = self.0.state.lock();
        if matches!(&*state, State::Trying(current) if current.same_channel(attempt)) {
            *state = State::Idle;
        }
    }
}
