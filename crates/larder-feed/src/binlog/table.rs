//! A table as the log describes it in front of its rows.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::change::Table;

use super::column::{Column, Override};
use super::metadata::Metadata;
use super::reader::Reader;
use super::{Charset, Malformed, Server};

/// The types of columns, by the numbers under which they stand in the log.
mod kind {
    pub(super) const TINY: u8 = 1;
    pub(super) const SHORT: u8 = 2;
    pub(super) const LONG: u8 = 3;
    pub(super) const FLOAT: u8 = 4;
    pub(super) const DOUBLE: u8 = 5;
    pub(super) const LONGLONG: u8 = 8;
    pub(super) const INT24: u8 = 9;
    pub(super) const DATE: u8 = 10;
    pub(super) const YEAR: u8 = 13;
    pub(super) const NEWDATE: u8 = 14;
    pub(super) const VARCHAR: u8 = 15;
    pub(super) const BIT: u8 = 16;
    pub(super) const TIMESTAMP2: u8 = 17;
    pub(super) const DATETIME2: u8 = 18;
    pub(super) const TIME2: u8 = 19;
    pub(super) const BLOB_COMPRESSED: u8 = 140;
    pub(super) const VARCHAR_COMPRESSED: u8 = 141;
    pub(super) const VECTOR: u8 = 242;
    pub(super) const JSON: u8 = 245;
    pub(super) const NEWDECIMAL: u8 = 246;
    pub(super) const ENUM: u8 = 247;
    pub(super) const SET: u8 = 248;
    pub(super) const TINY_BLOB: u8 = 249;
    pub(super) const BLOB: u8 = 252;
    pub(super) const VAR_STRING: u8 = 253;
    pub(super) const STRING: u8 = 254;
    pub(super) const GEOMETRY: u8 = 255;
}

/// A table of more columns can't be.
const COLUMNS_MAX: usize = 4_096;

/// What the log says of a table in front of its rows.
#[derive(Clone, Debug)]
pub struct TableMap {
    /// The number by which rows name it.
    pub id: u64,
    /// Its names.
    pub table: Table,
    /// What its columns are called; `None` where the server doesn't write it
    /// (`binlog_row_metadata`).
    pub names: Option<Arc<[Arc<str>]>>,
    pub(super) columns: Box<[Column]>,
}

impl TableMap {
    /// The number and the names alone, which is enough for most tables.
    ///
    /// # Errors
    ///
    /// When it isn't such an event.
    pub fn head(body: &[u8]) -> Result<(u64, &str, &str), Malformed> {
        head(&mut Reader::new(body))
    }

    /// All of it. Columns in `overrides` are of a type that the log doesn't tell.
    ///
    /// # Errors
    ///
    /// When it isn't such an event.
    pub fn decode(
        body: &[u8],
        server: &Server,
        overrides: &HashMap<Box<str>, Override>,
    ) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let (id, schema, name) = head(&mut reader)?;
        let table = Table { schema: schema.into(), name: name.into() };
        let count = reader.count()?;
        if count > COLUMNS_MAX {
            return Err(Malformed("a table has more columns than there can be"));
        }
        let types = reader.take(count)?;
        let shapes = reader.counted()?;
        let _may_be_null = reader.take(count.div_ceil(8))?;
        let metadata = Metadata::read(reader.rest())?;
        let names = metadata.names.as_deref().filter(|names| names.len() == count);
        let mut shaping = Shaping::new(server, &metadata, shapes);
        let mut columns = Vec::with_capacity(count);
        for (at, &kind) in types.iter().enumerate() {
            let special = names.and_then(|names| overrides.get(names[at]).copied());
            columns.push(shaping.column(kind, special)?);
        }
        let names = names.map(|names| names.iter().map(|&name| Arc::from(name)).collect());
        Ok(Self { id, table, names, columns: columns.into() })
    }
}

fn head<'m>(reader: &mut Reader<'m>) -> Result<(u64, &'m str, &'m str), Malformed> {
    let id = reader.little(6)?;
    reader.take(2)?;
    let mut name = || {
        let count = usize::from(reader.byte()?);
        let name = str::from_utf8(reader.take(count)?);
        reader.byte()?;
        name.map_err(|_| Malformed("a name isn't UTF-8"))
    };
    Ok((id, name()?, name()?))
}

/// Goes through the columns. What a server says besides their types stands in lists, each of the
/// columns that it concerns.
struct Shaping<'a> {
    server: &'a Server,
    metadata: &'a Metadata<'a>,
    shapes: Reader<'a>,
    numbers: usize,
    texts: usize,
    with_members: usize,
    sets: usize,
    enums: usize,
}

impl<'a> Shaping<'a> {
    fn new(server: &'a Server, metadata: &'a Metadata<'a>, shapes: &'a [u8]) -> Self {
        let shapes = Reader::new(shapes);
        Self { server, metadata, shapes, numbers: 0, texts: 0, with_members: 0, sets: 0, enums: 0 }
    }

    fn column(&mut self, kind: u8, special: Option<Override>) -> Result<Column, Malformed> {
        Ok(match kind {
            kind::TINY => self.integer(1),
            kind::SHORT => self.integer(2),
            kind::INT24 => self.integer(3),
            kind::LONG => self.integer(4),
            kind::LONGLONG => self.integer(8),
            kind::FLOAT | kind::DOUBLE => {
                self.numbers += 1;
                Column::Fixed(usize::from(self.shapes.byte()?))
            }
            kind::YEAR => {
                self.numbers += 1;
                Column::Year
            }
            kind::NEWDECIMAL => {
                self.numbers += 1;
                Column::Decimal { precision: self.shapes.byte()?, scale: self.shapes.byte()? }
            }
            kind::DATE | kind::NEWDATE => Column::Date,
            kind::TIMESTAMP2 => Column::Timestamp(self.shapes.byte()?),
            kind::DATETIME2 => Column::Datetime(self.shapes.byte()?),
            kind::TIME2 => Column::Time(self.shapes.byte()?),
            kind::VARCHAR | kind::VAR_STRING => {
                let count = if self.shapes.little(2)? < 256 { 1 } else { 2 };
                Column::Text { count, charset: self.charset() }
            }
            kind::TINY_BLOB..=kind::BLOB => {
                Column::Text { count: self.count_bytes()?, charset: self.charset() }
            }
            kind::VARCHAR_COMPRESSED => {
                let count = if self.shapes.little(2)? < 256 { 1 } else { 2 };
                self.charset();
                Column::Opaque(count)
            }
            kind::BLOB_COMPRESSED => {
                self.charset();
                Column::Opaque(self.count_bytes()?)
            }
            kind::GEOMETRY => {
                if self.server.is_mariadb {
                    self.charset();
                }
                Column::Opaque(self.count_bytes()?)
            }
            kind::JSON | kind::VECTOR => Column::Opaque(self.count_bytes()?),
            kind::BIT => {
                let (bits, bytes) = (self.shapes.byte()?, self.shapes.byte()?);
                Column::Fixed(usize::from(bytes) + usize::from(bits > 0))
            }
            kind::STRING => {
                let (first, second) = (self.shapes.byte()?, self.shapes.byte()?);
                self.string(first, second, special)
            }
            kind::ENUM => {
                let bytes = self.shapes.little(2)? >> 8;
                self.enumerated(usize::try_from(bytes).unwrap_or_default())
            }
            kind::SET => {
                let bytes = self.shapes.little(2)? >> 8;
                self.set(usize::try_from(bytes).unwrap_or_default())
            }
            // Old moments have none, and so has what nobody knows: then the next ones are wrong.
            _ => Column::Unreadable,
        })
    }

    fn integer(&mut self, bytes: usize) -> Column {
        let is_unsigned = self.metadata.is_unsigned(self.numbers);
        self.numbers += 1;
        Column::Integer { bytes, is_unsigned }
    }

    /// In how many bytes a length stands.
    fn count_bytes(&mut self) -> Result<usize, Malformed> {
        match self.shapes.byte()? {
            count @ 1..=4 => Ok(usize::from(count)),
            _ => Err(Malformed("a length of more than four bytes")),
        }
    }

    fn charset(&mut self) -> Charset {
        let collation = self.metadata.of_text(self.texts);
        self.texts += 1;
        collation.map_or(Charset::Other, |collation| self.server.charset(collation))
    }

    /// CHAR and what looks like it: the upper bits of a long one's length stand, turned round,
    /// where the type does.
    fn string(&mut self, first: u8, second: u8, special: Option<Override>) -> Column {
        match first | 0x30 {
            kind::ENUM => return self.enumerated(usize::from(second)),
            kind::SET => return self.set(usize::from(second)),
            _ => {}
        }
        let length = usize::from(second) | usize::from(first & 0x30 ^ 0x30) << 4;
        let count = if length < 256 { 1 } else { 2 };
        match (self.charset(), special) {
            (_, Some(kind)) => Column::Special { count, kind },
            (Charset::Bytes, None) => Column::Padded { count, length },
            (charset, None) => Column::Text { count, charset },
        }
    }

    fn enumerated(&mut self, bytes: usize) -> Column {
        let members = self.members(self.metadata.enums.get(self.enums));
        self.enums += 1;
        if bytes > 2 { Column::Unreadable } else { Column::Enum { bytes, members } }
    }

    fn set(&mut self, bytes: usize) -> Column {
        let members = self.members(self.metadata.sets.get(self.sets));
        self.sets += 1;
        if bytes > 8 { Column::Unreadable } else { Column::Set { bytes, members } }
    }

    fn members(&mut self, members: Option<&Vec<Bytes>>) -> Box<[Option<Bytes>]> {
        let collation = self.metadata.of_members(self.with_members);
        self.with_members += 1;
        let charset = collation.map_or(Charset::WithAscii, |number| self.server.charset(number));
        let known = |member: &Bytes| charset.tells(member).then(|| member.clone());
        members.into_iter().flatten().map(known).collect()
    }
}
