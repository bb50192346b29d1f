//! One reading of the keys that a query names.
//!
//! The database's side and the reader's meet in a channel of one page. There is no task: the
//! database's side is polled by whoever waits for a page, and stands still otherwise.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use larder_core::{BoxFuture, Key, KeyPages, LoadError, Result};
use tokio::sync::mpsc::{Receiver, channel};

use super::{KeyReader, Query, Sink};
use crate::pool::{Failure, Job, Pool};

/// How many keys wait to be read at most.
const WAITING_MAX: usize = 1024;

/// One reading of [`SqlKeys`](super::SqlKeys). Dropping it closes its connection, unless it is at
/// its end.
pub struct SqlKeyPages {
    keys: Receiver<Key>,
    /// `None` once all rows were given.
    reading: Option<BoxFuture<'static, Result<()>>>,
}

impl SqlKeyPages {
    pub(super) fn new<B: KeyReader>(pool: Arc<Pool<B>>, query: Arc<Query>) -> Self {
        let (sender, keys) = channel(WAITING_MAX);
        let reading = async move {
            let read = Read { query: &query, sink: Sink(sender) };
            pool.run(&read).await.map_err(|failure| query.error(failure))
        };
        Self { keys, reading: Some(Box::pin(reading)) }
    }

    /// Adds what there is to `page`, which is full or the last one when it is ready.
    fn fill(
        &mut self,
        context: &mut Context<'_>,
        page: &mut Vec<Key>,
        max: usize,
    ) -> Poll<Result<()>> {
        loop {
            while page.len() < max {
                match self.keys.try_recv() {
                    Ok(key) => page.push(key),
                    Err(_) => break,
                }
            }
            let Some(reading) = self.reading.as_mut().filter(|_| page.len() < max) else {
                return Poll::Ready(Ok(()));
            };
            let before = self.keys.len();
            match reading.as_mut().poll(context) {
                Poll::Ready(done) => {
                    self.reading = None;
                    done?;
                }
                Poll::Pending if self.keys.len() == before => return Poll::Pending,
                // There is something to take, and then more room.
                Poll::Pending => {}
            }
        }
    }
}

impl KeyPages<Key> for SqlKeyPages {
    async fn next(&mut self, max: usize) -> Result<Vec<Key>, LoadError> {
        let mut page = Vec::new();
        poll_fn(|context| self.fill(context, &mut page, max)).await?;
        Ok(page)
    }
}

impl fmt::Debug for SqlKeyPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlKeyPages").finish_non_exhaustive()
    }
}

/// The database's side.
struct Read<'a> {
    query: &'a Query,
    sink: Sink,
}

impl<B: KeyReader> Job<B> for Read<'_> {
    type Output = ();

    async fn run(&self, connection: &mut B::Connection) -> Result<(), Failure> {
        B::read(connection, self.query, &self.sink).await
    }
}
