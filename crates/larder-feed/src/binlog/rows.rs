//! Rows of a table: what they were, and what they are.
//!
//! A row says which of its columns are in it (`binlog_row_image`), which of those are null, and
//! then the values of the others. A column that isn't in what a row became is as it was.

use std::borrow::Cow;

use larder_core::change::{Changed, Field, Row};

use super::reader::{Reader, is_set};
use super::{Malformed, TableMap, packed};

/// What happened to the rows of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsOf {
    /// They are new.
    Insert,
    /// They changed.
    Update,
    /// They are gone.
    Delete,
}

/// An event with rows of one table.
#[derive(Debug)]
pub struct Rows<'m> {
    /// What happened to them.
    pub of: RowsOf,
    /// The table, by the number that its description has.
    pub table: u64,
    /// The statement that changed them ends with these: tables are described anew after it.
    pub ends_statement: bool,
    columns: usize,
    /// Which columns are in what they were, and in what they are.
    images: [Option<&'m [u8]>; 2],
    rows: Cow<'m, [u8]>,
}

impl<'m> Rows<'m> {
    /// Reads one, if an event of this type has rows.
    ///
    /// # Errors
    ///
    /// When it isn't such an event, or is compressed and too long.
    pub fn decode(event: u8, body: &'m [u8]) -> Result<Option<Self>, Malformed> {
        // What MySQL adds before its rows, with its length in front.
        let (of, has_more) = match event {
            23 | 166 => (RowsOf::Insert, false),
            24 | 167 => (RowsOf::Update, false),
            25 | 168 => (RowsOf::Delete, false),
            30 | 169 => (RowsOf::Insert, true),
            31 | 170 => (RowsOf::Update, true),
            32 | 171 => (RowsOf::Delete, true),
            _ => return Ok(None),
        };
        let mut reader = Reader::new(body);
        let table = reader.little(6)?;
        let ends_statement = reader.little(2)? & 1 == 1;
        if has_more {
            let length = usize::try_from(reader.little(2)?).unwrap_or_default();
            reader.take(length.saturating_sub(2))?;
        }
        // Each has a bit, at least once.
        let columns = usize::try_from(reader.packed()?).unwrap_or(usize::MAX);
        if columns.div_ceil(8) > reader.rest().len() {
            return Err(Malformed("rows have more columns than there are"));
        }
        let mut image = |is_there: bool| is_there.then(|| reader.take(columns.div_ceil(8)));
        let images = [of != RowsOf::Insert, of != RowsOf::Delete];
        let [before, after] = images.map(|is_there| image(is_there).transpose());
        let images = [before?, after?];
        let rows = match event {
            166..=171 => Cow::Owned(packed::unpack(reader.rest())?),
            _ => Cow::Borrowed(reader.rest()),
        };
        Ok(Some(Self { of, table, ends_statement, columns, images, rows }))
    }

    /// What became of each row. Nothing comes behind an error.
    pub fn changes<'r>(
        &'r self,
        map: &'r TableMap,
    ) -> impl Iterator<Item = Result<Changed, Malformed>> + 'r {
        let mut reader = Reader::new(&self.rows);
        // Such a row has no length, and there could be any number of them.
        let [before, after] = self.images;
        let first = before.or(after).unwrap_or_default();
        let mut is_empty = !(0..self.columns).any(|at| is_set(first, at));
        std::iter::from_fn(move || {
            if std::mem::take(&mut is_empty) {
                reader = Reader::new(&[]);
                return Some(Err(Malformed("a row without columns")));
            }
            if reader.is_empty() {
                return None;
            }
            let change = self.change(&mut reader, map);
            if change.is_err() {
                reader = Reader::new(&[]);
            }
            Some(change)
        })
    }

    fn change(&self, reader: &mut Reader<'_>, map: &TableMap) -> Result<Changed, Malformed> {
        let Some(names) = &map.names else {
            return Err(Malformed("the names of a table's columns aren't in it"));
        };
        if self.columns != map.columns.len() || self.columns == 0 {
            return Err(Malformed("rows have other columns than their table"));
        }
        let [before, after] = self.images;
        let row = |fields: Vec<Field>| Row::new(names.clone(), fields);
        let nothing = || vec![Field::Unknown; self.columns];
        let old = before.map(|image| fields(reader, image, map, nothing())).transpose()?;
        let Some(image) = after else {
            return Ok(Changed::Deleted(row(old.unwrap_or_else(nothing))));
        };
        let new = fields(reader, image, map, old.clone().unwrap_or_else(nothing))?;
        Ok(match old {
            None => Changed::Inserted(row(new)),
            Some(old) => Changed::Updated { old: Some(row(old)), new: row(new) },
        })
    }
}

/// What is known of a row that was `known` besides.
fn fields(
    reader: &mut Reader<'_>,
    image: &[u8],
    map: &TableMap,
    mut known: Vec<Field>,
) -> Result<Vec<Field>, Malformed> {
    let present = || (0..map.columns.len()).filter(|&at| is_set(image, at));
    let nulls = reader.take(present().count().div_ceil(8))?;
    for (among_present, at) in present().enumerate() {
        known[at] = match is_set(nulls, among_present) {
            true => Field::Null,
            false => map.columns[at].read(reader)?,
        };
    }
    Ok(known)
}
