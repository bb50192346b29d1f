//! What is looked for in the log: the tables that are followed, and those by whose changes their
//! rows change too.

use std::collections::HashMap;

use larder_core::change::{Changed, Field, Table};

use super::foreign::Foreign;
use crate::binlog::Override;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) tables: Vec<Watch>,
    /// Those that are followed.
    pub(super) covered: Vec<Table>,
}

/// A table whose rows are read.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) table: Table,
    /// What happens to it is told.
    pub(super) is_covered: bool,
    pub(super) overrides: HashMap<Box<str>, Override>,
    pub(super) cascades: Vec<Cascade>,
}

/// What a change of a table does to others.
#[derive(Debug)]
pub(super) struct Cascade {
    key: Foreign,
    /// The tables that are followed, and whose rows may be other ones then.
    reached: Vec<Table>,
}

impl Watched {
    /// Where a table stands in the list, if it is watched.
    pub(super) fn find(&self, schema: &str, name: &str) -> Option<usize> {
        let is_it = |watch: &Watch| *watch.table.schema == *schema && *watch.table.name == *name;
        self.tables.iter().position(is_it)
    }

    /// Follows these foreign keys too.
    pub(super) fn cascade(&mut self, keys: &[Foreign]) {
        for key in keys {
            let mut reached = vec![&key.child];
            let mut at = 0;
            while let Some(&table) = reached.get(at) {
                at += 1;
                for below in keys.iter().filter(|key| key.parent == *table) {
                    if !reached.contains(&&below.child) {
                        reached.push(&below.child);
                    }
                }
            }
            let reached = reached.into_iter().filter(|table| self.covered.contains(table));
            let cascade = Cascade { key: key.clone(), reached: reached.cloned().collect() };
            let table = &key.parent;
            match self.find(&table.schema, &table.name) {
                Some(at) => self.tables[at].cascades.push(cascade),
                None => self.tables.push(Watch {
                    table: table.clone(),
                    is_covered: false,
                    overrides: HashMap::new(),
                    cascades: vec![cascade],
                }),
            }
        }
    }
}

impl Watch {
    /// The tables whose rows may be other ones by any change of it.
    pub(super) fn all_reached(&self) -> impl Iterator<Item = &Table> {
        self.cascades.iter().flat_map(|cascade| &cascade.reached)
    }

    /// The tables whose rows may be other ones by this change.
    pub(super) fn reached<'w>(&'w self, changed: &'w Changed) -> impl Iterator<Item = &'w Table> {
        let reaches = |cascade: &&Cascade| match changed {
            Changed::Inserted(_) => false,
            Changed::Updated { old, new } => cascade.key.on_update.iter().flatten().any(|column| {
                let old = old.as_ref().map(|old| old.get(column));
                // What isn't told may be another one.
                old.is_none_or(|old| *old == Field::Unknown || old != new.get(column))
            }),
            Changed::Deleted(_) | Changed::Truncated => cascade.key.on_delete,
        };
        self.cascades.iter().filter(reaches).flat_map(|cascade| &cascade.reached)
    }
}
