//! MySQL and MariaDB: their binary log, followed as a replica would.
//!
//! Nothing is installed in the database: the log is there, and keeps what was written for as long
//! as its server is told to (`binlog_expire_logs_seconds`). One process at a time follows it: the
//! one that holds a lock of the server's (`GET_LOCK`).
//!
//! | trap | what is done |
//! |---|---|
//! | a commit is in the log, and sent, before readers see it | it is held back until a snapshot of MariaDB is behind it, or MySQL counts it as executed (`server`) |
//! | the log has numbers instead of columns | the server is to write their names: those of now may be others than those of then |
//! | a definition changes rows, and no row of the log says so | the tables that it names are told as a whole (`log`) |
//! | a foreign key changes rows, and no row of the log says so | they are told as a whole with what caused it (`foreign`) |
//! | somebody writes statements instead of rows | every table is told as a whole |
//! | a prepared transaction is committed elsewhere in the log | every table is told as a whole then |
//! | a crash may lose what was read | every table is told as a whole, unless the server syncs each commit |
//! | a log may be reset, thrown away, or be another server's | places carry the server and the file's own beginning; where they don't fit there is a gap (`place`) |
//! | one transaction may change more rows than memory has room for | then its tables are told as a whole |

mod address;
mod control;
mod event;
mod foreign;
mod lock;
mod log;
mod place;
mod server;
mod session;
mod stream;
mod tables;
mod watched;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_core::feed::{FeedPosition, Following};
use larder_core::sync::Mutex;
use larder_core::{BoxFuture, Error, ErrorKind, Feed, Result};

use self::address::Address;
use self::control::{Control, text};
use self::place::{Origin, Place};
use self::server::{End, Facts};
use self::session::Session;
use self::stream::Stream;
pub use self::tables::{Problem, TableStanding};
use crate::name::is_plain;
use crate::shown;

/// How a MySQL or MariaDB is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlFeedOptions {
    /// What the lock is called by which one process follows; `larder` by default. One for each
    /// group of processes that share a bus, among all databases of a server.
    pub name: String,
    /// The tables that are followed: `users` of the URL's database, or `shop.users`.
    pub tables: Vec<String>,
    /// The number of a replica as which the log is read. By default one above 3,221,225,472 that
    /// no other larder has at that server. Two replicas of one number cut each other off.
    pub server_id: Option<u32>,
}

impl MysqlFeedOptions {
    /// Follows these tables.
    pub fn new(tables: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: "larder".to_owned(),
            tables: tables.into_iter().map(Into::into).collect(),
            server_id: None,
        }
    }
}

/// How a server's log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStanding {
    /// Somebody follows it under this feed's name.
    pub is_followed: bool,
    /// The server has so many files of it.
    pub files: usize,
    /// How long they are, in bytes. What is further back can't be followed any more.
    pub bytes: u64,
}

/// The log of one MySQL or MariaDB server. Clones are the same feed.
#[derive(Clone)]
pub struct MysqlFeed(Arc<Inner>);

struct Inner {
    address: Arc<Address>,
    control: Control,
    options: MysqlFeedOptions,
    /// What was told last by who follows here.
    told: Mutex<Option<Told>>,
    /// The log couldn't be read further: who follows next begins with a gap.
    is_lost: AtomicBool,
}

/// How far a server's log was told.
#[derive(Clone, Copy, Debug)]
struct Told {
    server: u32,
    place: Place,
}

impl MysqlFeed {
    /// The log of the server at `url`, a `mysql://` URL as sources have. Nothing is connected yet.
    /// Of its parameters `ssl-mode`, `ssl-ca` and `socket` mean something here.
    ///
    /// # Errors
    ///
    /// `Config` when the URL or an option can't be.
    ///
    /// ```
    /// use larder_feed::mysql::{MysqlFeed, MysqlFeedOptions};
    ///
    /// let options = MysqlFeedOptions::new(["users", "stock.products"]);
    /// let feed = MysqlFeed::new("mysql://larder:secret@db.example.com/shop", options)?;
    /// assert!(!format!("{feed:?}").contains("secret"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn new(url: &str, options: MysqlFeedOptions) -> Result<Self> {
        check_name(&options.name)?;
        if options.tables.is_empty() {
            return Err(config("a feed follows some tables: name them"));
        }
        if options.server_id == Some(0) {
            return Err(config("a replica has a server_id other than 0"));
        }
        Ok(Self::of(Arc::new(Address::parse(url)?), options))
    }

    fn of(address: Arc<Address>, options: MysqlFeedOptions) -> Self {
        let control = Control::new(&address);
        let (told, is_lost) = (Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Inner { address, control, options, told, is_lost }))
    }

    /// The same changes for somebody who watches them beside who follows, under a lock of its own,
    /// which is called `NAME_watch`, and as another replica. One at a time can.
    #[must_use]
    pub fn observer(&self) -> Self {
        let name = format!("{}_watch", self.0.options.name);
        let options = MysqlFeedOptions { name, server_id: None, ..self.0.options.clone() };
        Self::of(Arc::clone(&self.0.address), options)
    }

    /// What is to be said of each table before it can be followed: nothing, where all is well.
    /// The end of the log is read for it, as following would.
    ///
    /// # Errors
    ///
    /// `Config` with what to do, when the server doesn't write such a log, or the user mayn't read
    /// it. `SourceDown` when it can't be asked.
    pub async fn check(&self) -> Result<Vec<TableStanding>> {
        let (facts, end) = self.0.check_server().await?;
        let standing = self.0.standing(&facts).await?;
        Stream::try_out(&self.0, end.place).await?;
        Ok(standing)
    }

    /// How the server's log stands.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the server can't be asked, `Config` when the user mayn't.
    pub async fn status(&self) -> Result<LogStanding> {
        let (control, name) = (&self.0.control, &self.0.options.name);
        let lock = format!("SELECT IS_USED_LOCK('larder_feed_{name}')");
        let is_followed = text(&control.row(&lock).await?, 0).is_some();
        let files = server::files(control).await?;
        let bytes = files.iter().map(|(_, end)| end.offset).sum();
        Ok(LogStanding { is_followed, files: files.len(), bytes })
    }
}

impl Inner {
    async fn check_server(&self) -> Result<(Facts, End)> {
        let facts = Facts::ask(&self.control).await?;
        facts.check()?;
        facts.check_replication(&self.control).await?;
        let end = End::ask(&self.control).await?;
        end.check()?;
        Ok((facts, end))
    }

    async fn standing(&self, facts: &Facts) -> Result<Vec<TableStanding>> {
        let database = self.address.database();
        tables::standing(&self.control, database, &self.options.tables, facts.tells_whole_rows())
            .await
    }

    fn tell(&self, told: Option<Told>) {
        *self.told.lock() = told;
    }
}

impl Feed for MysqlFeed {
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
            // What is told while it is asked for may be behind what is answered.
            let told = *self.0.told.lock();
            let end = End::ask(&self.0.control).await?;
            if told.is_some_and(|told| !end.is_behind(&told)) {
                self.0.is_lost.store(true, Ordering::Release);
                let message = "the log ends in front of what was told: it was begun anew";
                return Err(Error::new(ErrorKind::SourceDown, message));
            }
            Ok(end.place.position(Origin { server: end.server, file: 0 }))
        })
    }
}

impl fmt::Debug for MysqlFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown::debug(f, "MysqlFeed", self.0.address.shown(), &self.0.options)
    }
}

/// A lock's name has 64 bytes at most: `larder_feed_`, this, and `_watch`.
const NAME_BYTES_MAX: usize = 46;

/// A lock's name is of these characters, so it needs no quotes; neither server has longer ones.
fn check_name(name: &str) -> Result<()> {
    if is_plain(name, NAME_BYTES_MAX) {
        return Ok(());
    }
    Err(config(format!(
        "`{name}` can't name a feed: use at most {NAME_BYTES_MAX} of a-z, 0-9 and _, and \
         no digit at its start"
    )))
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message.into())
}
