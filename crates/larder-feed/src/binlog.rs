//! What stands in the binary log of MySQL and MariaDB, decoded from its bytes.
//!
//! Follows MySQL's "Replication Protocol: Binlog Event" and MariaDB's "Replication Protocol", as
//! far as a cache needs it: which table a row is of ([`TableMap`]), what it was and is ([`Rows`]),
//! and what a statement that stands there as text may have done ([`Statement`]). Values are told
//! as the database prints them, moments in UTC; where that isn't certain, nothing is told of them.
//!
//! It knows no connection, no transaction and no place in the log. Whatever the bytes are, it
//! never reads behind them, and never unpacks more than [`UNPACKED_MAX`].

mod column;
mod decimal;
mod metadata;
mod moment;
mod packed;
mod reader;
mod rows;
mod statement;
mod table;

use std::collections::HashMap;
use std::fmt;

pub use self::column::Override;
pub use self::packed::UNPACKED_MAX;
pub use self::rows::{Rows, RowsOf};
pub use self::statement::{Query, Statement};
pub use self::table::TableMap;

/// An event that isn't what the protocol says, with what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an event of the binary log is malformed: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Which server wrote the log, as far as its events differ by that.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// MariaDB; otherwise MySQL.
    pub is_mariadb: bool,
    charsets: HashMap<u64, Charset>,
}

impl Server {
    /// A server whose collations have these numbers and names of character sets.
    ///
    /// ```
    /// use larder_feed::binlog::Server;
    ///
    /// let server = Server::new(true, [(8, "latin1"), (45, "utf8mb4")]);
    /// assert!(server.is_mariadb);
    /// ```
    pub fn new<'a>(is_mariadb: bool, collations: impl IntoIterator<Item = (u64, &'a str)>) -> Self {
        let charset = |(number, name)| (number, Charset::of(name));
        Self { is_mariadb, charsets: collations.into_iter().map(charset).collect() }
    }

    /// The character set of a collation.
    fn charset(&self, collation: u64) -> Charset {
        const BINARY: u64 = 63;
        let known = || self.charsets.get(&collation).copied();
        if collation == BINARY { Charset::Bytes } else { known().unwrap_or(Charset::Other) }
    }
}

/// What the bytes of a text mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    /// Themselves.
    Bytes,
    /// UTF-8, as everything that is told.
    Utf8,
    /// ASCII as long as none is above 127.
    WithAscii,
    /// Something else.
    Other,
}

impl Charset {
    fn of(name: &str) -> Self {
        match name {
            "binary" => Self::Bytes,
            "utf8" | "utf8mb3" | "utf8mb4" | "ascii" => Self::Utf8,
            "ucs2" | "utf16" | "utf16le" | "utf32" | "swe7" => Self::Other,
            _ => Self::WithAscii,
        }
    }

    /// Whether these bytes are what is told of them.
    fn tells(self, bytes: &[u8]) -> bool {
        match self {
            Self::Bytes | Self::Utf8 => true,
            Self::WithAscii => bytes.is_ascii(),
            Self::Other => false,
        }
    }
}
