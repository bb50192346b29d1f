//! What a transaction changed, as far as memory has room for it.
//!
//! It is held until it is visible, so it must fit into memory. One that doesn't is told by its
//! tables: as if all of their rows had gone.

use std::collections::BTreeSet;

use larder_core::change::{Field, Row, Table};
use larder_core::feed::Notice;

/// So many changes of one transaction are told one by one.
const CHANGES_MAX: usize = 65_536;
/// As long as they have no more bytes than these.
const BYTES_MAX: usize = 16 << 20;

/// What was received of a transaction so far.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    notices: Vec<Notice>,
    bytes: usize,
    /// The tables that are told as a whole.
    whole: BTreeSet<Table>,
}

impl Gathered {
    pub(crate) fn push(&mut self, notice: Notice) {
        if let Notice::Changed(change) = &notice
            && self.whole.contains(&change.table)
        {
            return;
        }
        self.bytes += weight(&notice);
        self.notices.push(notice);
        if self.notices.len() > CHANGES_MAX || self.bytes > BYTES_MAX {
            self.condense();
        }
    }

    /// Tells tables instead of rows.
    fn condense(&mut self) {
        let notices = std::mem::take(&mut self.notices);
        for notice in notices {
            match notice {
                Notice::Changed(change) => drop(self.whole.insert(change.table)),
                other => self.notices.push(other),
            }
        }
        self.bytes = self.notices.iter().map(weight).sum();
    }

    /// What is told of it, and what that takes, in bytes.
    pub(crate) fn finish(mut self) -> (Vec<Notice>, usize) {
        let whole = self.whole.into_iter();
        self.notices.extend(whole.map(Notice::truncated));
        (self.notices, self.bytes)
    }
}

/// What a notice takes, in bytes, about.
fn weight(notice: &Notice) -> usize {
    const BESIDE: usize = 128;
    let of_field = |field: &Field| match field {
        Field::Text(text) => text.len() + 40,
        Field::Null | Field::Unknown => 40,
    };
    let of_row = |row: &Row| row.iter().map(|(_, field)| of_field(field)).sum::<usize>();
    BESIDE
        + match notice {
            Notice::Changed(change) => change.rows().map(of_row).sum(),
            Notice::Altered(_) => 0,
            Notice::Message(content) => content.len(),
        }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use larder_core::change::{Change, Changed};

    use super::*;

    fn inserted(table: &str, text: &str) -> Notice {
        let table = Table { schema: "public".into(), name: table.into() };
        let columns: Arc<[Arc<str>]> = ["id".into()].into();
        let row = Row::new(columns, [Field::Text(text.to_owned().into())]);
        Notice::Changed(Change { table, changed: Changed::Inserted(row) })
    }

    fn tables(notices: &[Notice]) -> Vec<String> {
        let table = |notice: &Notice| match notice {
            Notice::Changed(Change { table, changed: Changed::Truncated }) => table.to_string(),
            other => format!("{other:?}"),
        };
        notices.iter().map(table).collect()
    }

    #[test]
    fn as_many_changes_as_may_be_are_told_one_by_one() {
        let mut gathered = Gathered::default();
        for at in 0..CHANGES_MAX {
            gathered.push(inserted("a", &at.to_string()));
        }
        let (notices, bytes) = gathered.finish();
        assert_eq!(notices.len(), CHANGES_MAX);
        assert!(bytes > 0);
    }

    #[test]
    fn with_more_its_tables_are_told_and_what_it_says_besides() {
        let mut gathered = Gathered::default();
        gathered.push(Notice::Message("said".into()));
        for at in 0..CHANGES_MAX {
            gathered.push(inserted(["a", "b"][at % 2], &at.to_string()));
        }
        gathered.push(inserted("b", "more"));
        let (notices, _) = gathered.finish();
        assert_eq!(notices[0], Notice::Message("said".into()));
        assert_eq!(tables(&notices)[1..], ["public.a", "public.b"]);
    }

    #[test]
    fn a_few_large_rows_are_many_too() {
        let mut gathered = Gathered::default();
        let large = "x".repeat(BYTES_MAX / 2);
        (0..3).for_each(|_| gathered.push(inserted("a", &large)));
        let (notices, bytes) = gathered.finish();
        assert_eq!((tables(&notices), bytes), (vec!["public.a".to_owned()], 0));
    }
}
