//! The tables that are followed: what is to be said of each, and the publication that names them.

use std::collections::BTreeSet;
use std::fmt;

use larder_core::Result;
use larder_core::change::Table;
use sqlx::Row as _;

use super::catalogue::Catalogue;
use super::config;
use super::control::{Control, internal};

/// What who may not publish tables needs.
const OWNS: &str = "install the feed as the owner of the tables, who may create in the database \
                    (GRANT CREATE ON DATABASE), and let others follow it";

/// Why a table can't be followed as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is none of this name.
    Missing(String),
    /// It is a view, or something else without rows in the log.
    NoTable(Table),
    /// Its rows, or those of a partition of it, aren't in the log (UNLOGGED, or temporary).
    NotLogged(String),
    /// The rows of one of its parts are in another database (FOREIGN).
    ElsewhereIn {
        /// The table.
        table: Table,
        /// The part, as SQL names it.
        part: String,
    },
    /// A table inherits from it, whose rows a SELECT of it returns, and which isn't named.
    Unnamed {
        /// The table.
        table: Table,
        /// The one that inherits, as SQL names it.
        child: String,
    },
    /// It is a partition of a table that is named too, as whose its rows are told.
    PartOf {
        /// The partition.
        table: Table,
        /// The other one, as SQL names it.
        root: String,
    },
    /// Nothing identifies its rows: once it is published, changing them fails.
    Unidentified(Table),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(formatter, "there is no table {name}"),
            Self::NoTable(table) => {
                write!(formatter, "{table} is not a table: name the tables that it reads")
            }
            Self::NotLogged(table) => write!(
                formatter,
                "the log says nothing about {table}: ALTER TABLE {table} SET LOGGED"
            ),
            Self::ElsewhereIn { table, part } => write!(
                formatter,
                "the log says nothing about {part}, whose rows are in another database: ALTER \
                 TABLE {table} DETACH PARTITION {part}, or name the other parts"
            ),
            Self::Unnamed { table, child } => write!(
                formatter,
                "a SELECT of {table} returns the rows of {child} too, which inherits from it: \
                 name {child} as well"
            ),
            Self::PartOf { table, root } => write!(
                formatter,
                "the changes of {table} are told as those of {root}: name only one of them"
            ),
            Self::Unidentified(table) => write!(
                formatter,
                "nothing identifies the rows of {table}, and if it were followed, its UPDATE and \
                 DELETE would fail: give it a primary key, or ALTER TABLE {table} REPLICA IDENTITY \
                 FULL"
            ),
        }
    }
}

/// What is known of a table that is to be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStanding {
    /// Its full name; what the user called it where there is none.
    pub table: Table,
    /// The columns whose old values the log tells when a row is changed or deleted.
    pub identity: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Its name as SQL writes it.
    pub(super) quoted: String,
}

/// Makes the publication name exactly these tables. One that does isn't touched: who follows would
/// take it for another one.
pub(super) async fn publish(control: &Control, name: &str, catalogue: &Catalogue) -> Result<()> {
    let asked = "SELECT p.puballtables, (SELECT count(*) FROM pg_publication_rel r
                                          WHERE r.prpubid = p.oid)
                   FROM pg_publication p WHERE pubname = $1";
    let there = control.rows(asked, &[name]).await?;
    let list: BTreeSet<&str> =
        catalogue.tables.iter().map(|table| table.standing.quoted.as_str()).collect();
    let count = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let list = list.into_iter().collect::<Vec<_>>().join(", ");
    let all = "publish_via_partition_root = true, publish = 'insert, update, delete, truncate'";
    let statements = match there.first() {
        None => vec![format!("CREATE PUBLICATION {name} FOR TABLE {list} WITH ({all})")],
        Some(row) if row.try_get(0).map_err(|error| internal(&error))? => {
            return Err(config(format!(
                "the publication {name} is of all tables, which forbids changes of those without a \
                 key: drop it, or give the feed another name"
            )));
        }
        Some(row) => {
            let named: i64 = row.try_get(1).map_err(|error| internal(&error))?;
            if named == count && catalogue.is_published() {
                return Ok(());
            }
            vec![
                format!("ALTER PUBLICATION {name} SET TABLE {list}"),
                format!("ALTER PUBLICATION {name} SET ({all})"),
            ]
        }
    };
    for statement in statements {
        // The names in it were quoted by the server, or are of harmless characters.
        control.execute(&statement, OWNS).await?;
    }
    Ok(())
}

/// Drops the publication.
pub(super) async fn unpublish(control: &Control, name: &str) -> Result<()> {
    let statement = format!("DROP PUBLICATION IF EXISTS {name}");
    control.execute(&statement, OWNS).await
}
