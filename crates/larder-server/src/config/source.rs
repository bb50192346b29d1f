//! `[source.NAME]` resolved: a system of record, and how hard it may be asked.

use std::time::Duration;

use larder_core::Changes;
use larder_engine::{BreakerBounds, GuardBounds};
use larder_sql::{Database, Options};

use super::document::{Document, Written};
use super::feed::FeedConfig;
use super::findings::Reported;
use super::options::source as options;
use super::scope::Scope;
use super::secret::SecretUrl;
use super::value::{Fault, OptionValue};
use super::{breaker, feed};

/// A system of record, and how hard it may be asked.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// `NAME` of `[source.NAME]`.
    pub name: String,
    /// Where the database is.
    pub url: SecretUrl,
    /// Who may change the data.
    pub changes: Changes,
    /// What tells of the changes, whoever makes them, if anything does.
    pub feed: Option<FeedConfig>,
    /// How many connections are kept open at most.
    pub connections: usize,
    /// How many more are kept open at most for writes.
    pub write_connections: usize,
    /// How long one statement of a write may take: as long as a write of the cache that allows the
    /// most.
    pub write_timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one load may take.
    pub load_timeout: Duration,
    /// How many loads may run at once.
    pub loads_max: usize,
    /// How many loads may wait for their turn; one more is shed.
    pub loads_waiting_max: usize,
    /// When it is left alone because it fails; `None`: never.
    pub breaker: Option<BreakerBounds>,
}

impl SourceConfig {
    /// The database. Nothing is opened until it is asked.
    ///
    /// # Errors
    ///
    /// `Config` when no database can have this URL. That of a resolved configuration was tried.
    pub fn open(&self) -> larder_core::Result<Database> {
        let options = Options {
            name: self.name.clone(),
            connections: self.connections,
            connect_timeout: self.connect_timeout,
            load_timeout: self.load_timeout,
            write_connections: self.write_connections,
            write_timeout: self.write_timeout,
        };
        Database::open(self.url.expose(), &options)
    }

    /// How hard it may be asked.
    #[must_use]
    pub fn guard(&self) -> GuardBounds {
        GuardBounds {
            loads_max: self.loads_max,
            loads_waiting_max: self.loads_waiting_max,
            breaker: self.breaker,
        }
    }

    pub(super) fn resolve(
        written: &Written,
        document: &Document,
        scope: &mut Scope<'_, '_>,
    ) -> Result<(Self, Database), Reported> {
        let url = scope.required(written, &options::URL);
        let changes = scope.or_default(written, &options::CHANGES);
        let feed = feed::resolve(written, scope);
        let records = feed::records(written, document, scope);
        let connections = scope.or_default(written, &options::CONNECTIONS);
        let write_connections = scope.or_default(written, &options::WRITE_CONNECTIONS);
        let connect_timeout = scope.or_default(written, &options::CONNECT_TIMEOUT);
        let load_timeout = scope.or_default(written, &options::LOAD_TIMEOUT);
        let loads_max = scope.get(written, &options::LOADS_MAX);
        let loads_waiting_max = scope.or_default(written, &options::LOADS_WAITING_MAX);
        let breaker = breaker::resolve(written, scope);
        let connections = connections?.0;
        let source = Self {
            name: written.name.clone(),
            url: url?,
            changes: changes?,
            feed: feed?,
            connections,
            write_connections: write_connections?.0,
            write_timeout: Options::new("").write_timeout,
            connect_timeout: connect_timeout?.0,
            load_timeout: load_timeout?.0,
            loads_max: loads_max?.map_or(connections, |loads_max| loads_max.0),
            loads_waiting_max: loads_waiting_max?.0,
            breaker: breaker?,
        };
        if source.loads_max > connections {
            scope.findings.warning(
                &written.place(&options::LOADS_MAX.about),
                "`loads_max` is larger than `connections`: the surplus waits for a connection \
                 while its `load_timeout` runs",
                format!("set it to {connections} or less, or allow more `connections`"),
            );
        }
        let database = source.open().map_err(|error| {
            // The causes inside may repeat parts of the URL.
            scope.findings.error(
                &written.value(&options::URL.about),
                error.to_string(),
                "write postgres://USER:PASSWORD@HOST:PORT/DATABASE (or mysql://), USER and PASSWORD \
                 percent-encoded, or sqlite:FILE",
            )
        })?;
        let mut source = source;
        if let Some(feed) = &mut source.feed {
            feed::check(written, feed, &database, scope.findings)?;
        }
        feed::with_records(written, records, &mut source.feed, &database, scope.findings)?;
        Ok((source, database))
    }
}

impl OptionValue for Changes {
    const WHAT: &'static str = "`\"unknown\"`, `\"announced\"` or `\"static\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "unknown" => Ok(Self::Unknown),
            "announced" => Ok(Self::Announced),
            "static" => Ok(Self::Static),
            _ => Err(Fault::new(
                "must be \"unknown\", \"announced\" or \"static\"",
                "leave it out, unless you know who changes the data",
            )),
        }
    }
}
