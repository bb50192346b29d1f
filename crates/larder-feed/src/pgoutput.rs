//! Messages of Postgres's output plugin `pgoutput`, version 1 of its protocol.
//!
//! Source: the PostgreSQL documentation, chapters "Logical Replication Message Formats" and
//! "Logical Streaming Replication Protocol". Version 1 has whole transactions, in the order of
//! their commits; nothing of one that was rolled back is ever sent.
//!
//! A message is decoded without a copy of its values: they are slices of it. Rows come as a list
//! of columns of a relation that was described before, so a [`Decoder`] remembers relations; it
//! belongs to one session and is dropped with it.
//!
//! Nothing here asks anybody, waits, or knows what a change means to a cache.

mod frame;
mod reader;
mod relation;
mod tuple;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use larder_core::change::{Change, Changed, Table};

pub use frame::{Frame, Frames, Whole};
use reader::Reader;
pub use relation::{Identity, Relation};
use tuple::{Kind, tuple};

/// So many relations are remembered. A publication with more tables is refused: it names too many.
pub const RELATIONS_MAX: usize = 16_384;

/// A place in the log of a Postgres (an LSN).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The place where a record that ends here ends.
    ///
    /// The server names the place at which it would write next, and on a new page that is behind
    /// the page's header, where no record ends: whoever waited for it would wait until somebody
    /// writes. (Pages have 8 KiB, as in every build that isn't somebody's own; headers have 24
    /// bytes, the first of a file 40.)
    #[must_use]
    pub fn without_page_header(self) -> Self {
        let into_page = self.0 % 8_192;
        Self(if matches!(into_page, 24 | 40) { self.0 - into_page } else { self.0 })
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl std::str::FromStr for Lsn {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed("a place in the log is written as 16/B374D848");
        let (high, low) = text.split_once('/').ok_or_else(malformed)?;
        let half = |half: &str| {
            let is_hex = half.bytes().all(|byte| byte.is_ascii_hexdigit());
            let half = u32::from_str_radix(half, 16).ok().filter(|_| is_hex);
            half.map(u64::from).ok_or_else(malformed)
        };
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

/// A message that isn't what the protocol says. What follows can't be trusted: the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a message of the log is malformed: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A transaction begins.
    Begin {
        /// Where its commit is.
        commit: Lsn,
        /// Its number, without the epoch.
        transaction: u32,
    },
    /// The transaction ends.
    Commit {
        /// Where its commit is.
        commit: Lsn,
        /// The place behind it, which is what is acknowledged.
        end: Lsn,
        /// When that was, in microseconds since the year 2000, by the server's clock.
        micros: i64,
    },
    /// A relation is described: for the first time, or because it changed.
    Relation {
        /// Which.
        table: Table,
        /// It was described otherwise before.
        is_altered: bool,
    },
    /// A row changed, or all rows of a table.
    Change(Change),
    /// All rows of these tables are gone.
    Truncate(Vec<Table>),
    /// Somebody wrote this into the log (`pg_logical_emit_message`).
    Emitted {
        /// Only where its transaction was committed.
        is_transactional: bool,
        /// Where.
        at: Lsn,
        /// What it is for.
        prefix: String,
        /// What it says.
        content: Bytes,
    },
    /// Something that says nothing about rows: an origin or a type.
    Other,
}

/// Decodes the messages of one session, in their order.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    relations: BTreeMap<u32, Relation>,
}

impl Decoder {
    /// The relations that were described so far.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values()
    }

    /// What a message says.
    ///
    /// ```
    /// use larder_feed::pgoutput::{Decoder, Lsn, Message};
    ///
    /// // 'B', where the commit is, when it was, the number of the transaction.
    /// let begin = [&b"B"[..], &[0; 7], &[9], &[0; 8], &[0, 0, 2, 228]].concat();
    /// let message = Decoder::default().decode(&begin.into())?;
    /// assert_eq!(message, Message::Begin { commit: Lsn(9), transaction: 740 });
    /// # Ok::<(), larder_feed::pgoutput::Malformed>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it isn't one, or speaks of a relation that wasn't described.
    pub fn decode(&mut self, message: &Bytes) -> Result<Message, Malformed> {
        let mut reader = Reader::new(message);
        let decoded = match reader.byte()? {
            b'B' => {
                let commit = Lsn(reader.u64()?);
                reader.u64()?; // When it was committed, by a clock that isn't ours.
                Message::Begin { commit, transaction: reader.u32()? }
            }
            b'C' => {
                reader.byte()?; // Flags, of which there are none.
                let (commit, end) = (Lsn(reader.u64()?), Lsn(reader.u64()?));
                Message::Commit { commit, end, micros: reader.u64()?.cast_signed() }
            }
            b'R' => self.relation(&mut reader)?,
            b'I' => {
                let relation = self.known(reader.u32()?)?;
                let (_, new) = tuple(&mut reader, relation, &[Kind::New])?;
                change(relation, Changed::Inserted(new))
            }
            b'U' => {
                let relation = self.known(reader.u32()?)?;
                let any = [Kind::Key, Kind::Old, Kind::New];
                let (kind, first) = tuple(&mut reader, relation, &any)?;
                let (old, new) = match kind {
                    Kind::New => (None, first),
                    Kind::Key | Kind::Old => {
                        (Some(first), tuple(&mut reader, relation, &[Kind::New])?.1)
                    }
                };
                change(relation, Changed::Updated { old, new })
            }
            b'D' => {
                let relation = self.known(reader.u32()?)?;
                let (_, old) = tuple(&mut reader, relation, &[Kind::Key, Kind::Old])?;
                change(relation, Changed::Deleted(old))
            }
            b'T' => self.truncate(&mut reader)?,
            b'M' => {
                let is_transactional = reader.byte()? & 1 == 1;
                let at = Lsn(reader.u64()?);
                let prefix = reader.text()?.to_owned();
                let content = reader.counted()?;
                Message::Emitted { is_transactional, at, prefix, content }
            }
            b'O' => {
                reader.u64()?;
                reader.text()?;
                Message::Other
            }
            b'Y' => {
                reader.u32()?;
                reader.text()?;
                reader.text()?;
                Message::Other
            }
            _ => return Err(Malformed("nothing begins so in version 1")),
        };
        reader.end()?;
        Ok(decoded)
    }

    fn relation(&mut self, reader: &mut Reader<'_>) -> Result<Message, Malformed> {
        let (number, relation) = Relation::read(reader)?;
        let table = relation.table().clone();
        let before = self.relations.get(&number);
        if before.is_none() && self.relations.len() == RELATIONS_MAX {
            return Err(Malformed("there are more than 16,384 relations"));
        }
        let is_altered = before.is_some_and(|before| *before != relation);
        self.relations.insert(number, relation);
        Ok(Message::Relation { table, is_altered })
    }

    fn truncate(&self, reader: &mut Reader<'_>) -> Result<Message, Malformed> {
        let count = reader.u32()?;
        reader.byte()?; // CASCADE, RESTART IDENTITY: the tables are all named.
        if count as usize > RELATIONS_MAX {
            return Err(Malformed("there are more than 16,384 relations"));
        }
        let tables = (0..count).map(|_| Ok(self.known(reader.u32()?)?.table().clone()));
        Ok(Message::Truncate(tables.collect::<Result<_, _>>()?))
    }

    fn known(&self, number: u32) -> Result<&Relation, Malformed> {
        self.relations.get(&number).ok_or(Malformed("the relation wasn't described before"))
    }
}

fn change(relation: &Relation, changed: Changed) -> Message {
    Message::Change(Change { table: relation.table().clone(), changed })
}
