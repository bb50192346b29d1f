//! What triggers wrote down: a table of changes, one row for each, that is looked into again and
//! again by who follows.
//!
//! It is what feeds by triggers have in common, whatever the database: what stands in such a row
//! ([`Written`]), what is told of it ([`Assembly`]), and looking at intervals (`polling`). It
//! doesn't know how a database says what was written since the last look; that is an [`Outbox`].

mod kept;
mod polling;
mod record;

use std::collections::HashMap;
use std::sync::Arc;

use larder_core::change::{Change, Changed, Row, Table};
use larder_core::feed::Notice;
use larder_core::{Error, ErrorKind, Result};

pub(crate) use kept::{Kept, LOOKS_WITHIN, now};
pub(crate) use polling::{Looked, Outbox, Polling, ticks_every};
pub(crate) use record::TEXT_BYTES_MAX;

/// So many changes are told one by one; more at once are told by their tables.
pub(crate) const CHANGES_MAX: usize = 65_536;
/// So many are read at once.
pub(crate) const PAGE: usize = 1_000;
/// A message has at most so many bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8_192;

/// How an outbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxStanding {
    /// Somebody follows it.
    pub is_followed: bool,
    /// So many changes, at most, were written and aren't acknowledged.
    pub behind: u64,
    /// There were more than it may hold: they aren't written down any more until somebody follows
    /// it, who begins with a gap.
    pub is_full: bool,
}

/// What became of what a row of an outbox speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Inserted,
    Updated,
    Deleted,
    Truncated,
    Message,
}

impl Kind {
    pub(crate) fn of(letter: &str) -> Result<Self> {
        match letter {
            "I" => Ok(Self::Inserted),
            "U" => Ok(Self::Updated),
            "D" => Ok(Self::Deleted),
            "T" => Ok(Self::Truncated),
            "M" => Ok(Self::Message),
            _ => Err(malformed("there is no such kind of change")),
        }
    }
}

/// A row of an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) kind: Kind,
    pub(crate) table: Table,
    /// What the columns were called then.
    pub(crate) columns: Vec<String>,
    /// What the row was, as a record's text.
    pub(crate) old: Option<String>,
    /// What it is; of a message, what it says.
    pub(crate) new: Option<String>,
}

/// Makes notices of what was written. It remembers the columns of each table, so that rows share
/// them: so many tables as have triggers. That there are others is told by who looks at the tables.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    known: HashMap<Table, Arc<[Arc<str>]>>,
}

impl Assembly {
    /// Tells it.
    pub(crate) fn tell(&mut self, written: Written, notices: &mut Vec<Notice>) -> Result<()> {
        let Written { kind, table, columns, old, new } = written;
        let changed = match kind {
            Kind::Message => {
                let content = new.ok_or_else(|| malformed("a message says nothing"))?;
                notices.push(Notice::Message(content.into()));
                return Ok(());
            }
            Kind::Truncated => Changed::Truncated,
            Kind::Inserted | Kind::Updated | Kind::Deleted => {
                let columns = self.columns(&table, &columns);
                let row = |text: Option<String>| {
                    text.map(|text| row(Arc::clone(&columns), &text)).transpose()
                };
                match (kind, row(old)?, row(new)?) {
                    (Kind::Inserted, _, Some(new)) => Changed::Inserted(new),
                    (Kind::Updated, old, Some(new)) => Changed::Updated { old, new },
                    (Kind::Deleted, Some(old), _) => Changed::Deleted(old),
                    _ => return Err(malformed("a change says nothing of its row")),
                }
            }
        };
        notices.push(Notice::Changed(Change { table, changed }));
        Ok(())
    }

    fn columns(&mut self, table: &Table, names: &[String]) -> Arc<[Arc<str>]> {
        if let Some(known) = self.known.get(table)
            && known.iter().map(|name| &**name).eq(names.iter().map(String::as_str))
        {
            return Arc::clone(known);
        }
        let columns: Arc<[Arc<str>]> = names.iter().map(|name| name.as_str().into()).collect();
        self.known.insert(table.clone(), Arc::clone(&columns));
        columns
    }
}

fn row(columns: Arc<[Arc<str>]>, text: &str) -> Result<Row> {
    let fields = record::fields(text).ok_or_else(|| malformed("a row isn't the text of one"))?;
    // A row without a column looks as one whose only column is null.
    if fields.len() != columns.len() && !columns.is_empty() {
        return Err(malformed("a row has other columns than it says"));
    }
    Ok(Row::new(columns, fields))
}

fn malformed(why: &str) -> Error {
    let message = format!("what the triggers wrote can't be read: {why}");
    Error::new(ErrorKind::Internal, message)
}

#[cfg(test)]
mod tests {
    use larder_core::change::Field;

    use super::*;

    fn inserted(columns: &[&str], new: &str) -> Written {
        Written {
            kind: Kind::Inserted,
            table: Table { schema: "public".into(), name: "users".into() },
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            old: None,
            new: Some(new.to_owned()),
        }
    }

    #[test]
    fn what_triggers_can_not_have_written_is_an_error() {
        let mut assembly = Assembly::default();
        let mut refused = |written| assembly.tell(written, &mut Vec::new()).unwrap_err();
        refused(inserted(&["id"], "(1,2)"));
        refused(inserted(&["id"], "1"));
        refused(Written { new: None, ..inserted(&["id"], "") });
        refused(Written { kind: Kind::Deleted, ..inserted(&["id"], "(1)") });
        Kind::of("X").unwrap_err();
    }

    #[test]
    fn a_column_is_found_by_its_name_whatever_the_order() {
        let mut assembly = Assembly::default();
        let mut notices = Vec::new();
        assembly.tell(inserted(&["id", "name"], "(7,Ada)"), &mut notices).unwrap();
        assembly.tell(inserted(&["name", "id"], "(Bob,8)"), &mut notices).unwrap();
        let ids: Vec<Field> = notices
            .iter()
            .filter_map(|notice| match notice {
                Notice::Changed(change) => change.rows().next().map(|row| row.get("id").clone()),
                _ => None,
            })
            .collect();
        assert_eq!(ids, [Field::Text("7".into()), Field::Text("8".into())]);
    }
}
