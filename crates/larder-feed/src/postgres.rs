//! Postgres: its log, followed over logical replication.
//!
//! A *publication* names the tables whose changes are sent, and a *slot* remembers how far they
//! were acknowledged, also while nobody follows. The slot belongs to one connection at a time,
//! which is how several larders agree on who follows. Both are made by
//! [`install`](PostgresFeed::install) and [`follow`](larder_core::Feed::follow), and are taken
//! away by [`remove`](PostgresFeed::remove).
//!
//! | trap | what is done |
//! |---|---|
//! | a commit is in the log before readers see it: it waits for a synchronous standby | it is held back until a snapshot of the primary has it (`snapshot`) |
//! | a publication of all tables forbids changes of those without a key | tables are named, and each one's replica identity is checked first (`tables`) |
//! | a slot that nobody reads keeps the log until the disk is full | beyond a bound it is dropped, and made again with a gap (`slot`) |
//! | a new slot may begin behind a commit that isn't visible yet, and who made it may have died since | a gap is told only when everything that ran at that moment has ended |
//! | after a failover another server may answer at the address, while the connection to the first one stays | the end of another log is none |
//! | the end of the log may lie behind a page's header, where no record ends | such a place counts as the end of the page before (`pgoutput`) |
//! | a SELECT may answer otherwise although no row was changed: a column is computed anew, a partition detached, a name given to another table | the catalogue is read with each end that is asked for, and what is altered is told before that end is passed (`catalogue`, `watch`) |
//! | one transaction may change more rows than memory has room for | then its tables are told as a whole (`transaction`) |

mod address;
mod catalogue;
mod control;
mod login;
mod receiver;
mod session;
mod shape;
mod slot;
mod snapshot;
mod standing;
mod tables;
mod tls;
mod transaction;
pub mod triggers;
mod watch;
mod witness;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_core::feed::{FeedPosition, Following};
use larder_core::sync::Mutex;
use larder_core::{BoxFuture, Error, ErrorKind, Feed, Result};

use self::address::Address;
use self::catalogue::Catalogue;
use self::control::{Control, Place};
use self::session::Session;
pub use self::slot::SlotStanding;
pub use self::standing::PostgresStanding;
pub use self::tables::{Problem, TableStanding};
use self::watch::Watch;
use crate::name::is_plain;
use crate::pgoutput::Lsn;
use crate::shown;

/// What who may not follow the log needs.
const REPLICATES: &str = "give the user the attribute REPLICATION, or use feed = \"triggers\"";
pub(crate) use self::witness::Witness;

/// How a Postgres is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresFeedOptions {
    /// What the publication and the slot are called; `larder` by default. One for each group of
    /// processes that share a bus.
    pub name: String,
    /// The tables that are followed, as SQL names them (`shop.users`).
    pub tables: Vec<String>,
    /// A slot that is further behind is dropped and made again, with a gap, in bytes of log; 1 GiB
    /// by default.
    pub behind_max: u64,
    /// How often that is looked at; 10 s by default.
    pub look_every: Duration,
    /// While nobody follows, the server may keep so many bytes of its log for it, which only the
    /// server can see to: [`install`](PostgresFeed::install) sets `max_slot_wal_keep_size`, for
    /// all slots, where it is larger. `None`, the default, leaves it as it is.
    ///
    /// Files of the log have 16 MiB, and the server keeps `max_wal_size` for itself besides.
    pub wal_budget: Option<u64>,
}

impl PostgresFeedOptions {
    /// Follows these tables.
    pub fn new(tables: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: "larder".to_owned(),
            tables: tables.into_iter().map(Into::into).collect(),
            behind_max: 1 << 30,
            look_every: Duration::from_secs(10),
            wal_budget: None,
        }
    }
}

/// The log of one Postgres database. Clones are the same feed.
#[derive(Clone)]
pub struct PostgresFeed(Arc<Inner>);

struct Inner {
    address: Arc<Address>,
    control: Control,
    options: PostgresFeedOptions,
    /// The slot; the publication has the name of the options.
    slot: String,
    /// Of the session that follows, while there is one.
    watch: Mutex<Weak<Watch>>,
    /// With this catalogue and a slot that begins there, what was told counts when all below this
    /// number have ended. It is kept from one try to the next, or others that begin meanwhile were
    /// waited for again and again.
    settles: Mutex<Option<((u32, Lsn), u64)>>,
}

impl Inner {
    async fn catalogue(&self) -> Result<Catalogue> {
        catalogue::read(&self.control, &self.options.name, &self.options.tables).await
    }

    /// Waits until everything has ended that ran when it was first seen that the tables stand like
    /// this and the slot begins there.
    async fn settled(&self, catalogue: u32, begins: Lsn) -> Result<()> {
        let of = (catalogue, begins);
        let noted = (*self.settles.lock()).filter(|(noted, _)| *noted == of);
        let next = match noted {
            Some((_, next)) => next,
            None => self.control.next_transaction().await?,
        };
        *self.settles.lock() = Some((of, next));
        slot::ended(&self.control, next).await?;
        // What begins from now on is for the next gap.
        *self.settles.lock() = None;
        Ok(())
    }
}

impl PostgresFeed {
    /// The log of the database at `url`, a `postgres://` URL as sources have. Nothing is connected
    /// yet.
    ///
    /// # Errors
    ///
    /// `Config` when the URL or an option can't be.
    ///
    /// ```
    /// use larder_feed::postgres::{PostgresFeed, PostgresFeedOptions};
    ///
    /// let options = PostgresFeedOptions::new(["users", "shop.products"]);
    /// let feed = PostgresFeed::new("postgres://larder:secret@db.example.com/shop", options)?;
    /// assert!(!format!("{feed:?}").contains("secret"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn new(url: &str, options: PostgresFeedOptions) -> Result<Self> {
        check_name(&options.name)?;
        if options.tables.is_empty() {
            return Err(config("a feed follows some tables: name them"));
        }
        let address = Arc::new(Address::parse(url)?);
        let control = Control::new(&address, REPLICATES);
        let slot = options.name.clone();
        let (watch, settles) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { address, control, options, slot, watch, settles })))
    }

    /// The same changes for somebody who watches them beside who follows: by the same publication,
    /// with a slot of its own, which is called `NAME_watch`. One at a time can. Who has watched
    /// [forgets](Self::forget) it; where he couldn't, whoever follows drops it when it is too far
    /// behind.
    #[must_use]
    pub fn observer(&self) -> Self {
        let of = &self.0;
        let control = Control::new(&of.address, REPLICATES);
        let (address, options) = (Arc::clone(&of.address), of.options.clone());
        let slot = watch_slot(&options.name);
        let (watch, settles) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { address, control, options, slot, watch, settles }))
    }

    /// Drops the slot, whoever follows it, so that the server keeps nothing for it any more.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the server can't be asked.
    pub async fn forget(&self) -> Result<()> {
        slot::remove(&self.0.control, &self.0.slot).await
    }

    /// What is to be said of each table before it can be followed: nothing, where all is well.
    ///
    /// # Errors
    ///
    /// `Config` when the server doesn't write such a log (`wal_level`). `SourceDown` when it can't
    /// be asked.
    pub async fn check(&self) -> Result<Vec<TableStanding>> {
        self.0.control.check_server().await?;
        let tables = self.0.catalogue().await?.tables;
        Ok(tables.into_iter().map(|table| table.standing).collect())
    }

    /// Makes the publication, or makes an old one name exactly these tables; one that does so isn't
    /// touched. Then sees to the [budget](PostgresFeedOptions::wal_budget), if there is one. The
    /// slot is made when it is followed for the first time.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), and `Config` with what to do when a table can't be followed.
    pub async fn install(&self) -> Result<()> {
        self.0.control.check_server().await?;
        let catalogue = self.0.catalogue().await?;
        let problems = catalogue.tables.iter().flat_map(|table| &table.standing.problems);
        if let Some(problem) = problems.into_iter().next() {
            return Err(config(problem.to_string()));
        }
        tables::publish(&self.0.control, &self.0.options.name, &catalogue).await?;
        match self.0.options.wal_budget {
            Some(bytes) => standing::keep_within(&self.0.control, bytes).await,
            None => Ok(()),
        }
    }

    /// How it stands in its database, with what should be done about it.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub async fn standing(&self) -> Result<PostgresStanding> {
        let control = &self.0.control;
        control.check_server().await?;
        let tables = self.0.catalogue().await?.tables;
        let untold = tables
            .iter()
            .filter_map(|table| Some((table.standing.table.clone(), table.unpublished.clone()?)));
        let name = self.0.options.name.clone();
        Ok(PostgresStanding {
            untold: untold.collect(),
            tables: tables.into_iter().map(|table| table.standing).collect(),
            slot: slot::standing(control, &self.0.slot).await?,
            budget: standing::budget(control).await?,
            name,
        })
    }

    /// How far the slot is behind; `None` where there is none.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the server can't be asked.
    pub async fn status(&self) -> Result<Option<SlotStanding>> {
        slot::standing(&self.0.control, &self.0.slot).await
    }

    /// Drops the slot, whoever follows it, that of who watches, and the publication. What was
    /// followed with them begins with a gap if it is followed again.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the server can't be asked.
    pub async fn remove(&self) -> Result<()> {
        self.observer().forget().await?;
        slot::remove(&self.0.control, &self.0.slot).await?;
        tables::unpublish(&self.0.control, &self.0.options.name).await
    }
}

impl Feed for PostgresFeed {
    fn name(&self) -> &str {
        self.0.address.shown()
    }

    fn follow(&self, since: Option<FeedPosition>) -> BoxFuture<'_, Result<Box<dyn Following>>> {
        Box::pin(async move {
            let session = Session::open(Arc::clone(&self.0), since).await?;
            Ok(Box::new(session) as Box<dyn Following>)
        })
    }

    fn end(&self) -> BoxFuture<'_, Result<FeedPosition>> {
        Box::pin(async move {
            let feed = &self.0;
            let catalogue = feed.catalogue().await?;
            let mut end = catalogue.end;
            let watch = feed.watch.lock().upgrade();
            if let Some(watch) = watch
                && watch.look(&feed.options.name, catalogue)?
            {
                end.lsn = feed.control.mark().await?;
            }
            Ok(Place { catalogue: 0, ..end }.position())
        })
    }
}

impl fmt::Debug for PostgresFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown::debug(f, "PostgresFeed", self.0.address.shown(), &self.0.options)
    }
}

/// What the slot of who watches is called, beside a feed of this name.
fn watch_slot(name: &str) -> String {
    format!("{name}_watch")
}

/// A slot's name has 63 bytes at most, and the one of who watches has six more.
const NAME_BYTES_MAX: usize = 57;

/// A slot's name is of these characters; so the publication's is, and neither needs quotes.
fn check_name(name: &str) -> Result<()> {
    if is_plain(name, NAME_BYTES_MAX) {
        return Ok(());
    }
    Err(config(format!(
        "`{name}` can't name a slot: use at most {NAME_BYTES_MAX} of a-z, 0-9 and _, and \
         no digit at its start"
    )))
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message.into())
}
