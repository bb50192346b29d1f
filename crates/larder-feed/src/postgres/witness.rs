//! A Postgres that is followed by others, and asked what its readers see.
//!
//! It knows nothing of slots and publications.

use larder_core::change::Table;
use larder_core::{Error, ErrorKind, Result};
use sqlx::Row as _;

use super::address::Address;
use super::control::{Control, internal, text};
use crate::debezium::{Catalog, View};

/// Milliseconds from 1970 to 2000.
const POSTGRES_EPOCH_MILLIS: i64 = 946_684_800_000;

/// What who may not ask needs.
const ASKS: &str = "let the user read the tables, and write the beats";

/// See the module's documentation.
pub(crate) struct Witness {
    address: Address,
    control: Control,
}

impl Witness {
    pub(crate) fn new(url: &str) -> Result<Self> {
        let address = Address::parse(url)?;
        let control = Control::new(&address, ASKS);
        Ok(Self { address, control })
    }

    /// Without secrets.
    pub(crate) fn shown(&self) -> &str {
        self.address.shown()
    }

    /// Commits a message. It waits for no standby: its place in the log is all that counts.
    pub(crate) async fn emit(&self, prefix: &str, text: &str) -> Result<()> {
        let sql = "SELECT pg_logical_emit_message(true, $1, $2)::text
                     FROM set_config('synchronous_commit', 'local', false)";
        self.control.rows(sql, &[prefix, text]).await.map(drop)
    }

    /// Changes the one row of this table, or makes it.
    pub(crate) async fn write(&self, table: &str, text: &str) -> Result<()> {
        let sql = format!(
            "INSERT INTO {table} (id, beat)
             SELECT 1, $1 FROM set_config('synchronous_commit', 'local', false)
             ON CONFLICT (id) DO UPDATE SET beat = excluded.beat"
        );
        self.control.rows(&sql, &[text]).await.map(drop)
    }

    /// What a reader who begins now sees.
    pub(crate) async fn view(&self) -> Result<View> {
        // A snapshot's `xmax` isn't above all that have begun.
        let begun_below = self.control.next_transaction().await?;
        let snapshot = self.control.snapshot().await?;
        let ended_below = snapshot.xmin;
        let millis = snapshot.micros / 1_000 + POSTGRES_EPOCH_MILLIS;
        // The epoch, where Debezium has it, is what is cut off.
        #[allow(clippy::cast_possible_truncation)]
        let sees = move |transaction: u64| snapshot.sees(transaction as u32);
        Ok(View { ended_below, begun_below, millis, sees: Box::new(sees) })
    }

    /// Which columns the log tells of a row that is gone, and which of them are of types that JSON
    /// writes as Postgres does.
    pub(crate) async fn catalog(&self) -> Result<Catalog> {
        let sql = "SELECT n.nspname::text, c.relname::text, a.attname::text,
                    t.typtype = 'e' OR t.typname IN ('int2', 'int4', 'int8', 'bool', 'text',
                        'varchar', 'bpchar', 'name', 'uuid', 'citext'),
                    c.relreplident = 'f' OR a.attnum = ANY (
                        SELECT unnest(i.indkey) FROM pg_index i
                         WHERE i.indrelid = c.oid AND i.indisvalid
                           AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
                               WHEN 'i' THEN i.indisreplident ELSE false END)
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               JOIN pg_type t ON t.oid = a.atttypid
              WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%'
                AND n.nspname <> 'information_schema'
              LIMIT 1000001";
        let rows = self.control.rows(sql, &[]).await?;
        if rows.len() > COLUMNS_MAX {
            let message = "the database has more than a million columns: follow another one";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let mut catalog = Catalog::default();
        for row in &rows {
            let table = Table { schema: text(row, 0)?.into(), name: text(row, 1)?.into() };
            let columns = catalog.tables.entry(table).or_default();
            let flag = |column: usize| row.try_get::<bool, _>(column).map_err(|e| internal(&e));
            let (name, is_plain, identifies) = (text(row, 2)?, flag(3)?, flag(4)?);
            if is_plain {
                columns.plain.insert(name.as_str().into());
            }
            if identifies {
                columns.identity.insert(name.into());
            }
        }
        Ok(catalog)
    }
}

/// As the statement says.
const COLUMNS_MAX: usize = 1_000_000;
