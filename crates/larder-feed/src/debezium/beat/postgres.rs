//! A Postgres that beats, and says what a reader sees.

use std::fmt;

use larder_core::{BoxFuture, Result};

use super::{Beat, Catalog, View};
use crate::postgres::Witness;

/// A Postgres that beats.
///
/// Its user needs no attribute: it reads the catalog, and either emits messages, or changes the one
/// row of `larder_heartbeat`, which Debezium must follow:
///
/// ```sql
/// CREATE TABLE larder_heartbeat (id int PRIMARY KEY, beat text);
/// ```
///
/// A commit stands in the log before readers see it. With this beat a change is held back until a
/// snapshot has its transaction (Debezium's `source.txId`; where a record hasn't any, until
/// everything that ran when it came has ended).
pub struct PostgresBeat {
    witness: Witness,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Messages,
    Table,
}

impl PostgresBeat {
    /// Beats by messages. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// `Config` when the URL can't be.
    pub fn by_messages(url: &str) -> Result<Self> {
        Ok(Self { witness: Witness::new(url)?, how: How::Messages })
    }

    /// Beats by the table `larder_heartbeat`, for a Debezium that is told no messages.
    ///
    /// # Errors
    ///
    /// `Config` when the URL can't be.
    ///
    /// ```
    /// use larder_feed::debezium::{Heartbeat, PostgresBeat};
    ///
    /// let beat = PostgresBeat::by_table("postgres://larder@db.example.com/shop")?;
    /// let heartbeat = Heartbeat::by(beat);
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn by_table(url: &str) -> Result<Self> {
        Ok(Self { witness: Witness::new(url)?, how: How::Table })
    }
}

impl Beat for PostgresBeat {
    fn beat<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.how {
                How::Messages => self.witness.emit(super::BEAT_PREFIX, text).await,
                How::Table => self.witness.write(super::BEAT_TABLE, text).await,
            }
        })
    }

    fn view(&self) -> BoxFuture<'_, Result<Option<View>>> {
        Box::pin(async { self.witness.view().await.map(Some) })
    }

    fn catalog(&self) -> BoxFuture<'_, Result<Option<Catalog>>> {
        Box::pin(async { self.witness.catalog().await.map(Some) })
    }
}

impl fmt::Debug for PostgresBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBeat")
            .field("of", &self.witness.shown())
            .field("how", &self.how)
            .finish()
    }
}
