//! One system of record, by its URL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::change::Table;
use larder_core::template::nearest;
use larder_core::{Error, ErrorKind, Result};
use tokio::time::timeout;

use crate::error;
#[cfg(feature = "mysql")]
use crate::mysql::{self, Mysql};
use crate::pool::Pool;
use crate::postgres::{Postgres, parameters};
use crate::reads;
use crate::sqlite::Sqlite;
use crate::statement::Dialect;

/// The most connections that one database may be given.
const CONNECTIONS_MAX: usize = 1_000;

/// How many prepared statements a connection keeps; a cache takes two with Postgres and up to
/// eight with SQLite, where each size of batch is one.
pub(crate) const STATEMENTS_MAX: usize = 512;

/// How a database is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What it is called in errors: the NAME of `[source.NAME]`.
    pub name: String,
    /// How many connections it gets at most, from 1 to 1,000. Loads beyond that wait for one. 16
    /// by default.
    pub connections: usize,
    /// How long opening a connection may take. One second by default.
    pub connect_timeout: Duration,
    /// How long a load may take, unless its caller gives it less. Postgres and MySQL stop a
    /// statement that takes longer. Ten seconds by default.
    pub load_timeout: Duration,
    /// How many connections it gets at most for writes, from 1 to 1,000, beside those for loads.
    /// None is opened before the first write. 4 by default. SQLite has one writer at a time, and
    /// gets one whatever is said here.
    pub write_connections: usize,
    /// How long one statement of a write may take; Postgres and MariaDB stop it after that. A
    /// write as a whole may take twice as long, and a batch as long again for every thousand
    /// writes. Ten seconds by default.
    pub write_timeout: Duration,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            connections: 16,
            connect_timeout: Duration::from_secs(1),
            load_timeout: Duration::from_secs(10),
            write_connections: 4,
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// One system of record. Cloning shares its connections.
///
/// Connections are opened when loads need them. While the database is down, loads fail within
/// the connect timeout or at once with [`ErrorKind::SourceDown`], and it is tried again every
/// quarter of a second that somebody asks; there is nothing to reopen. Its URL, which may hold a
/// password, is never part of an error or of `Debug`.
#[derive(Clone)]
pub struct Database {
    options: Arc<Options>,
    /// Sessions that only read.
    pub(crate) kind: Kind,
    /// Sessions that write.
    pub(crate) writes: Kind,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Postgres(Arc<Pool<Postgres>>),
    Sqlite(Arc<Pool<Sqlite>>),
    #[cfg(feature = "mysql")]
    Mysql(Arc<Pool<Mysql>>),
}

/// Does the same with whichever database it is: `$of` has a variant for each.
macro_rules! either {
    ($of:ident: $it:expr, $bound:ident => $body:expr) => {
        match $it {
            $of::Postgres($bound) => $body,
            $of::Sqlite($bound) => $body,
            #[cfg(feature = "mysql")]
            $of::Mysql($bound) => $body,
        }
    };
}
pub(crate) use either;

impl Kind {
    /// Whose SQL it takes.
    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "mysql")]
            Self::Mysql(_) => Dialect::Mysql,
        }
    }
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Access {
    /// The options as a pool of such sessions takes them: its own are those of loads.
    fn options(self, options: &Options) -> Options {
        match self {
            Self::Read => options.clone(),
            Self::Write => Options {
                connections: options.write_connections,
                load_timeout: options.write_timeout,
                ..options.clone()
            },
        }
    }

    /// A second writer would only wait for the first one, by trying again and again.
    const fn sqlite_connections(self, options: &Options) -> usize {
        match self {
            Self::Read => options.connections,
            Self::Write => 1,
        }
    }
}

impl Database {
    /// The database at `url`: `postgres://user@host/name`, `sqlite:file.db`,
    /// `sqlite:///folder/file.db`, or with the feature `mysql` `mysql://user@host/name`, which may
    /// begin with `mariadb:` as well. Nothing is opened yet, so that a database that is down is
    /// no error here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if no database can have such a URL, or an option is out of bounds.
    pub fn open(url: &str, options: &Options) -> Result<Self> {
        let name = &options.name;
        let fault =
            |what: String| Error::new(ErrorKind::Config, format!("the source {name} {what}"));
        let Options { connections, write_connections, .. } = *options;
        let is_possible = |given: &usize| (1..=CONNECTIONS_MAX).contains(given);
        if let Some(given) =
            [connections, write_connections].iter().find(|&given| !is_possible(given))
        {
            return Err(fault(format!("has {given} connections: give it 1 to {CONNECTIONS_MAX}")));
        }
        let Options { connect_timeout, load_timeout, write_timeout, .. } = *options;
        if [connect_timeout, load_timeout, write_timeout].iter().any(Duration::is_zero) {
            return Err(fault("has a timeout of zero, in which nothing can be done".to_owned()));
        }
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let pools = |access: Access| {
            let options = access.options(options);
            match scheme {
                "postgres" | "postgresql" => {
                    parameters::check(url).map_err(fault)?;
                    let postgres = Postgres::new(url, &options, access).map_err(|error| {
                        fault("has a url that Postgres does not understand".to_owned())
                            .caused_by(error)
                    })?;
                    Ok(Kind::Postgres(Arc::new(Pool::new(postgres, &options))))
                }
                "sqlite" => {
                    let sqlite = Sqlite::new(url, &options, access).map_err(fault)?;
                    let connections = access.sqlite_connections(&options);
                    let options = Options { connections, ..options };
                    Ok(Kind::Sqlite(Arc::new(Pool::new(sqlite, &options))))
                }
                #[cfg(feature = "mysql")]
                "mysql" | "mariadb" => {
                    mysql::parameters::check(url).map_err(fault)?;
                    let mysql = Mysql::new(url, &options, access).map_err(|error| {
                        fault("has a url that MySQL does not understand".to_owned())
                            .caused_by(error)
                    })?;
                    Ok(Kind::Mysql(Arc::new(Pool::new(mysql, &options))))
                }
                _ => Err(fault(unknown_scheme(scheme))),
            }
        };
        let (kind, writes) = (pools(Access::Read)?, pools(Access::Write)?);
        Ok(Self { options: Arc::new(options.clone()), kind, writes })
    }

    /// What it is called in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// The columns of `table` whose old values a feed tells, where a row is changed or deleted. By
    /// another column nobody can say which entries a row has left.
    ///
    /// In Postgres that is its replica identity (of a partitioned table what all its partitions
    /// have), in MySQL what `binlog_row_image` lets the log say, in SQLite every column.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if there is no such table; otherwise when the database can't be asked.
    pub async fn identity(&self, table: &Table) -> Result<Vec<Box<str>>> {
        let identity =
            async { either!(Kind: &self.kind, pool => reads::identity(pool, table).await) };
        let limit = self.options.load_timeout;
        let asked = timeout(limit, identity).await;
        asked.unwrap_or_else(|_| Err(error::timeout(self.name(), limit)))
    }

    /// How it is used.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The word for its kind: `postgres`, `sqlite` or `mysql`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Postgres(_) => "postgres",
            Kind::Sqlite(_) => "sqlite",
            #[cfg(feature = "mysql")]
            Kind::Mysql(_) => "mysql",
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("name", &self.options.name)
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// The schemes of MySQL and MariaDB.
const MYSQL: [&str; 2] = ["mysql", "mariadb"];

/// What is wrong with a URL of another scheme. Only something that looks like a scheme is
/// repeated: the text before a colon may be anything, a password too.
fn unknown_scheme(scheme: &str) -> String {
    let looks_like_one = !scheme.is_empty()
        && scheme.len() <= 16
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if cfg!(not(feature = "mysql")) && MYSQL.contains(&scheme) {
        return format!(
            "has a url that begins with {scheme}:, and MySQL was left out of this build: build it \
             with the feature `mysql`"
        );
    }
    let others: &[&str] = if cfg!(feature = "mysql") { &MYSQL } else { &[] };
    let known = ["postgres", "postgresql", "sqlite"].iter().chain(others).copied();
    match nearest(scheme, known) {
        _ if !looks_like_one => {
            "has a url without a scheme: write postgres://host/name or sqlite:file.db".to_owned()
        }
        Some(meant) => format!("has a url that begins with {scheme}: did you mean {meant}:?"),
        None if others.is_empty() => format!(
            "has a url that begins with {scheme}:, and this version reads from postgres: and \
             sqlite: only"
        ),
        None => format!(
            "has a url that begins with {scheme}:, and this version reads from postgres:, sqlite: \
             and mysql: only"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, options: &Options) -> String {
        let error = Database::open(url, options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.chain()
    }

    #[test]
    fn a_url_that_can_be_none_is_refused_with_the_cure() {
        for (url, cure) in [
            ("postgre://localhost/shop", "did you mean postgres:?"),
            ("oracle://localhost/shop", "this version reads from postgres:"),
            ("shop.db", "write postgres://host/name or sqlite:file.db"),
            ("", "write postgres://host/name or sqlite:file.db"),
            ("sqlite:", "name a file"),
            ("sqlite::memory:", "name a file"),
            ("sqlite:a.db?mode=memory", "name a file"),
            ("sqlite:a.db?odd=1", "unknown query parameter `odd`"),
            ("postgres://localhost:port/shop", "does not understand"),
        ] {
            let message = refused(url, &Options::new("shop"));
            assert!(message.contains(cure), "{url}: {message}");
        }
    }

    #[cfg(not(feature = "mysql"))]
    #[test]
    fn what_was_left_out_of_the_build_is_named() {
        for url in ["mysql://localhost/shop", "mariadb://localhost/shop"] {
            let message = refused(url, &Options::new("shop"));
            assert!(message.contains("with the feature `mysql`"), "{message}");
        }
    }

    #[cfg(feature = "mysql")]
    #[test]
    fn both_names_of_the_scheme_are_one_kind_of_database() {
        for url in ["mysql://ann@localhost/shop", "mariadb://ann@localhost/shop?ssl-mode=DISABLED"]
        {
            assert_eq!(Database::open(url, &Options::new("shop")).unwrap().kind(), "mysql");
        }
        for (url, cure) in [
            ("mysq://localhost/shop", "did you mean mysql:?"),
            ("mysql://localhost:port/shop", "does not understand"),
            ("mysql://localhost/shop?ssl-mode=odd", "does not understand"),
            ("mysql://localhost/shop?sslmod=DISABLED", "did you mean sslmode?"),
        ] {
            let message = refused(url, &Options::new("shop"));
            assert!(message.contains(cure), "{url}: {message}");
        }
    }

    #[test]
    fn options_out_of_bounds_are_refused() {
        let shop = Options::new("shop");
        for options in [
            Options { connections: 0, ..shop.clone() },
            Options { connections: 1_001, ..shop.clone() },
            Options { write_connections: 0, ..shop.clone() },
            Options { write_timeout: Duration::ZERO, ..shop.clone() },
            Options { load_timeout: Duration::ZERO, ..shop.clone() },
            Options { connect_timeout: Duration::ZERO, ..shop.clone() },
        ] {
            refused("sqlite:shop.db", &options);
        }
        assert!(Database::open("sqlite:shop.db", &Options { connections: 1_000, ..shop }).is_ok());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let options = Options::new("shop");
        for url in [
            "postgres://ann:s3cret@localhost/shop",
            "postgres://ann:s3cret@localhost:port/shop",
            "postgres://ann:s3cret@localhost/shop?sslmode=odd",
            "mysql://ann:s3cret@localhost/shop",
            "mysql://ann:s3cret@localhost:port/shop",
            "mysql://ann:s3cret@localhost/shop?ssl-mode=odd",
            "s3cret:postgres://localhost",
            "postgres//ann:s3cret@localhost",
            "s3cret",
        ] {
            let shown = match Database::open(url, &options) {
                Ok(database) => format!("{database:?}"),
                Err(error) => format!("{error:?} {}", error.chain()),
            };
            let scheme_alone = url.starts_with("s3cret:");
            assert!(scheme_alone || !shown.contains("s3cret"), "{shown}");
        }
    }
}
