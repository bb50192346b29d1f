//! One system of record, by its URL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use larder_core::template::nearest;
use larder_core::{Error, ErrorKind, Result};

use crate::pool::Pool;
use crate::postgres::{Postgres, parameters};
use crate::sqlite::Sqlite;

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
    /// How long a load may take, unless its caller gives it less. Postgres stops a statement
    /// that takes longer. Ten seconds by default.
    pub load_timeout: Duration,
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
    pub(crate) kind: Kind,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Postgres(Arc<Pool<Postgres>>),
    Sqlite(Arc<Pool<Sqlite>>),
}

impl Database {
    /// The database at `url`: `postgres://user@host/name`, `sqlite:file.db` or
    /// `sqlite:///folder/file.db`. Nothing is opened yet, so that a database that is down is no
    /// error here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if no database can have such a URL, or an option is out of bounds.
    pub fn open(url: &str, options: &Options) -> Result<Self> {
        let name = &options.name;
        let fault =
            |what: String| Error::new(ErrorKind::Config, format!("the source {name} {what}"));
        if !(1..=CONNECTIONS_MAX).contains(&options.connections) {
            let given = options.connections;
            return Err(fault(format!("has {given} connections: give it 1 to {CONNECTIONS_MAX}")));
        }
        if options.connect_timeout.is_zero() || options.load_timeout.is_zero() {
            return Err(fault("has a timeout of zero, in which nothing can be done".to_owned()));
        }
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let kind = match scheme {
            "postgres" | "postgresql" => {
                parameters::check(url).map_err(fault)?;
                let postgres = Postgres::new(url, options).map_err(|error| {
                    fault("has a url that Postgres does not understand".to_owned()).caused_by(error)
                })?;
                Kind::Postgres(Arc::new(Pool::new(postgres, options)))
            }
            "sqlite" => Kind::Sqlite(Arc::new(Pool::new(
                Sqlite::new(url, options).map_err(fault)?,
                options,
            ))),
            _ => return Err(fault(unknown_scheme(scheme))),
        };
        Ok(Self { options: Arc::new(options.clone()), kind })
    }

    /// What it is called in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// How it is used.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The word for its kind: `postgres` or `sqlite`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Postgres(_) => "postgres",
            Kind::Sqlite(_) => "sqlite",
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

/// What is wrong with a URL of another scheme. Only something that looks like a scheme is
/// repeated: the text before a colon may be anything, a password too.
fn unknown_scheme(scheme: &str) -> String {
    let looks_like_one = !scheme.is_empty()
        && scheme.len() <= 16
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let known = ["postgres", "postgresql", "sqlite"];
    match nearest(scheme, known) {
        _ if !looks_like_one => {
            "has a url without a scheme: write postgres://host/name or sqlite:file.db".to_owned()
        }
        Some(meant) => format!("has a url that begins with {scheme}: did you mean {meant}:?"),
        None => format!(
            "has a url that begins with {scheme}:, and this version reads from postgres: and \
             sqlite: only"
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
            ("mysql://localhost/shop", "from postgres: and sqlite: only"),
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

    #[test]
    fn options_out_of_bounds_are_refused() {
        let shop = Options::new("shop");
        for options in [
            Options { connections: 0, ..shop.clone() },
            Options { connections: 1_001, ..shop.clone() },
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
