//! A workload on Postgres that numbers its commits: accounts, each with a version that a trigger
//! raises with every update, and writers that note when they committed which version.
//!
//! It knows Postgres and the [`checker`](crate::checker) that judges what it writes down, and no
//! cache: who announces a write is the test. The shape is that of `pgbench`.

mod connection;

use std::io::{Error, ErrorKind, Result};
use std::net::ToSocketAddrs;
use std::time::Duration;

use crate::Postgres;
use crate::checker::{Write, now};
use connection::Connection;

/// What every table of accounts is made of.
const TABLE: &str = "
CREATE TABLE accounts (
    id bigint PRIMARY KEY,
    balance bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0,
    filler text NOT NULL DEFAULT repeat(' ', 84)
);
CREATE FUNCTION accounts_raise_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER raise_version BEFORE UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_raise_version();
";

/// Makes the table `accounts (id, balance, version, filler)` with the ids from 1 to `accounts`.
/// Each has the version 0, and every update, whoever makes it, raises it by one.
///
/// # Panics
///
/// When Postgres can't be asked, or has such a table.
pub fn create(postgres: &Postgres, accounts: u64) {
    let rows = format!("INSERT INTO accounts (id) SELECT generate_series(1, {accounts});");
    postgres.psql(&format!("{TABLE}{rows}ANALYZE accounts;"));
}

/// A connection that updates accounts.
///
/// ```
/// use larder_test::accounts::{self, Writer};
/// use larder_test::checker::{Checker, Read, now};
/// use larder_test::Postgres;
/// use std::time::Duration;
///
/// let postgres = Postgres::start();
/// accounts::create(&postgres, 100);
/// let checker = Checker::new();
///
/// let mut writer = Writer::connect(("127.0.0.1", postgres.port()), 100, 1).unwrap();
/// let mut write = writer.update().unwrap();
/// assert_eq!(write.version, 1);
/// // … here the cache is told, if somebody has to tell it …
/// write.announced = Some(now());
/// checker.wrote(write);
///
/// let began = now();
/// let version = postgres.psql(&format!("SELECT version FROM accounts WHERE id = {}", write.key));
/// let version = version.parse().unwrap();
/// checker.read(Read { process: 0, key: write.key, version, began, ended: now() });
/// checker.check(Duration::ZERO).assert_kept();
/// ```
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    accounts: u64,
    draw: u64,
}

impl Writer {
    /// Connects to a Postgres of this kit, or to a [`Proxy`](crate::Proxy) in front of it. The
    /// accounts that it updates are drawn from 1 to `accounts`, in an order that `seed` decides.
    ///
    /// # Errors
    ///
    /// When nobody listens there, or what answers is no Postgres of this kit.
    ///
    /// # Panics
    ///
    /// When there are no accounts.
    pub fn connect(address: impl ToSocketAddrs, accounts: u64, seed: u64) -> Result<Self> {
        assert!(accounts > 0, "there is nothing to update");
        Ok(Self { connection: Connection::open(address)?, accounts, draw: seed })
    }

    /// Waits no longer than this for an answer, instead of 30 seconds.
    ///
    /// # Errors
    ///
    /// When that is no time at all.
    pub fn set_patience(&mut self, patience: Duration) -> Result<()> {
        self.connection.set_patience(patience)
    }

    /// Updates an account drawn by lot; the rest is as with [`update_one`](Self::update_one).
    ///
    /// # Errors
    ///
    /// As [`update_one`](Self::update_one).
    pub fn update(&mut self) -> Result<Write> {
        let id = 1 + self.draw() % self.accounts;
        self.update_one(id)
    }

    /// Updates one account in a transaction of its own, and says which version that made and when
    /// it was committed, unannounced. If the connection fails at the commit, nobody knows whether
    /// it happened: the write's [`committed`](Write::committed) is `None` then, and the writer is
    /// of no more use.
    ///
    /// # Errors
    ///
    /// When nothing was committed: Postgres refused, there is no such account, or the connection
    /// failed before the commit was sent. The writer is of no more use if it did.
    pub fn update_one(&mut self, id: u64) -> Result<Write> {
        let change = i64::from(self.draw() as u16) - i64::from(u16::MAX / 2);
        let update = format!(
            "BEGIN; UPDATE accounts SET balance = balance + {change} WHERE id = {id} \
             RETURNING version"
        );
        let updated = self.connection.query(&update);
        let version = updated.and_then(|answer| {
            let version = answer.value.and_then(|version| version.parse().ok());
            version.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no account {id}")))
        });
        let version = match version {
            Ok(version) => version,
            Err(error) => {
                // What began must not be in the way of the next; a dead connection has ended it.
                let _ = self.connection.query("ROLLBACK");
                return Err(error);
            }
        };
        let began = now();
        let committed = match self.connection.query("COMMIT") {
            Ok(answer) if answer.tag == "COMMIT" => Some(now()),
            Ok(answer) => return Err(Error::other(format!("COMMIT was answered {}", answer.tag))),
            Err(_) => None,
        };
        Ok(Write { key: id, version, began, committed, announced: None })
    }

    /// A step of Knuth's linear congruential generator; its upper half is random enough.
    fn draw(&mut self) -> u64 {
        self.draw = self.draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.draw >> 32
    }
}
