//! Telling what a look sees: page by page, or as tables where it is too much.
//!
//! What a snapshot saw and the one before didn't can be read by later statements as well, by the
//! numbers of the transactions, so that nothing has to be kept open between two pages.

use std::time::Duration;

use larder_core::Result;
use larder_core::change::Table;
use larder_core::feed::{FeedEvent, Notice};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::super::super::control::{internal, text};
use super::{Asked, Seen, Session, UNSEEN, page_length};
use crate::outbox::{CHANGES_MAX, Kind, Looked, PAGE, Written};

/// So many looks are remembered that weren't acknowledged; of more, the oldest are forgotten, and
/// an acknowledgement of those waits for the next one.
const MARKS_MAX: usize = 1_024;

/// Where a look is that has more to tell than one page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) seen: Seen,
    after: i64,
    /// Tables were told as a whole, and only messages are left.
    only_messages: bool,
    age: Option<Duration>,
}

/// What is read of a row.
pub(super) const WRITTEN: &str =
    "c.place, c.kind, c.schema_name, c.table_name, c.names, c.was, c.becomes";

impl Session {
    /// Tells it, behind what was `altered`.
    pub(super) async fn tell(
        &mut self,
        seen: Seen,
        rows: Vec<PgRow>,
        altered: Vec<Notice>,
    ) -> Result<Looked> {
        // It was committed after the look before, by the same clock. Before the first nobody knows.
        let age = seen.micros.checked_sub(self.told.micros).map(i64::unsigned_abs);
        let age = age.filter(|_| self.told.micros != i64::MAX).map(Duration::from_micros);
        let mut page = Page { seen, after: i64::MIN, only_messages: false, age };
        if rows.len() < PAGE {
            return self.told_page(page, rows, altered);
        }
        let counted = format!(
            "SELECT count(*) FROM (SELECT FROM {{feed}}.change c WHERE {UNSEEN} LIMIT $3) c"
        );
        let (before, now) = (self.told.snapshot.clone(), page.seen.snapshot.clone());
        let bound = i64::try_from(CHANGES_MAX).unwrap_or(i64::MAX).saturating_add(1);
        let row = self.row(&counted, |query| query.bind(before).bind(now).bind(bound)).await?;
        if row.try_get::<i64, _>(0).map_err(|error| internal(&error))? < bound {
            return self.told_page(page, rows, altered);
        }
        let named = format!(
            "SELECT DISTINCT c.schema_name, c.table_name FROM {{feed}}.change c
              WHERE {UNSEEN} AND c.kind <> 'M'"
        );
        let (before, now) = (self.told.snapshot.clone(), page.seen.snapshot.clone());
        let rows = self.rows(&named, |query| query.bind(before).bind(now)).await?;
        let whole = |row: &PgRow| {
            let table = Table { schema: text(row, 0)?.into(), name: text(row, 1)?.into() };
            Ok(Notice::truncated(table))
        };
        let mut notices = altered;
        notices.extend(rows.iter().map(whole).collect::<Result<Vec<_>>>()?);
        page.only_messages = true;
        let rows = self.read(&page).await?;
        self.told_page(page, rows, notices)
    }

    /// What comes next of a look that has more than one page.
    pub(super) async fn read(&mut self, page: &Page) -> Result<Vec<PgRow>> {
        let sql = format!(
            "SELECT NULL, NULL, NULL, NULL, {WRITTEN} FROM {{feed}}.change c
              WHERE {UNSEEN} AND c.place > $3 AND (c.kind = 'M' OR NOT $4)
              ORDER BY c.place LIMIT $5"
        );
        let (before, now) = (self.told.snapshot.clone(), page.seen.snapshot.clone());
        let (after, only_messages) = (page.after, page.only_messages);
        let bound = |query: Asked| query.bind(before).bind(now).bind(after).bind(only_messages);
        self.rows(&sql, |query| bound(query).bind(page_length())).await
    }

    pub(super) fn told_page(
        &mut self,
        mut page: Page,
        rows: Vec<PgRow>,
        mut notices: Vec<Notice>,
    ) -> Result<Looked> {
        let is_last = rows.len() < PAGE;
        for row in rows {
            page.after = row.try_get(4).map_err(|error| internal(&error))?;
            self.assembly.tell(written(&row)?, &mut notices)?;
        }
        let age = page.age;
        if is_last {
            self.told = page.seen;
            self.looked = self.looking;
            if self.marks.len() == MARKS_MAX {
                self.marks.pop_front();
            }
            self.marks.push_back(self.told.clone());
        } else {
            self.page = Some(page);
        }
        let position = self.position(&self.told);
        let event = if notices.is_empty() {
            // Nothing was passed by half of a look.
            is_last.then_some(FeedEvent::Passed(position))
        } else {
            Some(FeedEvent::Notices { notices, position, age })
        };
        Ok(Looked { event, has_more: !is_last })
    }
}

fn written(row: &PgRow) -> Result<Written> {
    let maybe = |at: usize| row.try_get::<Option<String>, _>(at).map_err(|error| internal(&error));
    let names: Option<Vec<String>> = row.try_get(8).map_err(|error| internal(&error))?;
    Ok(Written {
        kind: Kind::of(&text(row, 5)?)?,
        table: Table {
            schema: maybe(6)?.unwrap_or_default().into(),
            name: maybe(7)?.unwrap_or_default().into(),
        },
        columns: names.unwrap_or_default(),
        old: maybe(9)?,
        new: maybe(10)?,
    })
}
