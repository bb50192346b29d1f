//! `[source.NAME]` resolved: a system of record, and how hard it may be asked.

use std::fmt;
use std::time::Duration;

use larder_sql::{Database, Options};

use super::document::Written;
use super::findings::Reported;
use super::options::source as options;
use super::scope::Scope;
use super::secret::SecretUrl;
use super::value::{Fault, OptionValue};

/// A system of record, and how hard it may be asked.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// `NAME` of `[source.NAME]`.
    pub name: String,
    /// Where the database is.
    pub url: SecretUrl,
    /// Who may change the data.
    pub changes: Changes,
    /// How many connections are kept open at most.
    pub connections: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one load may take.
    pub load_timeout: Duration,
    /// How many loads may run at once.
    pub loads_max: usize,
    /// How many loads may wait for their turn; one more is shed.
    pub loads_waiting_max: usize,
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
        };
        Database::open(self.url.expose(), &options)
    }

    pub(super) fn resolve(
        written: &Written,
        scope: &mut Scope<'_, '_>,
    ) -> Result<(Self, Database), Reported> {
        let url = scope.required(written, &options::URL);
        let changes = scope.or_default(written, &options::CHANGES);
        let connections = scope.or_default(written, &options::CONNECTIONS);
        let connect_timeout = scope.or_default(written, &options::CONNECT_TIMEOUT);
        let load_timeout = scope.or_default(written, &options::LOAD_TIMEOUT);
        let loads_max = scope.get(written, &options::LOADS_MAX);
        let loads_waiting_max = scope.or_default(written, &options::LOADS_WAITING_MAX);
        let connections = connections?.0;
        let source = Self {
            name: written.name.clone(),
            url: url?,
            changes: changes?,
            connections,
            connect_timeout: connect_timeout?.0,
            load_timeout: load_timeout?.0,
            loads_max: loads_max?.map_or(connections, |loads_max| loads_max.0),
            loads_waiting_max: loads_waiting_max?.0,
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
                "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, USER and PASSWORD \
                 percent-encoded, or sqlite:FILE",
            )
        })?;
        Ok((source, database))
    }
}

/// Who may change the data of a source: without knowing it, no promise about staleness is honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changes {
    /// Anyone, at any time, behind larder's back: only its age bounds an answer's staleness.
    Unknown,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl OptionValue for Changes {
    const WHAT: &'static str = "`\"unknown\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "unknown" => Ok(Self::Unknown),
            "announced" => Err(Fault::new(
                "can't be \"announced\" in this version yet",
                "leave it out, and set `max_staleness` to the age that you accept",
            )),
            _ => Err(Fault::new("must be \"unknown\"", "leave it out")),
        }
    }
}
