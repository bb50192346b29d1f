//! The shop: products, users and order lines in SQLite, with the indexes that a sensible
//! developer would make. The same in every run.

use std::path::Path;
use std::sync::Arc;

use indicatif::ProgressBar;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::random::{Random, Zipf, id_at};

/// How large the shop is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) products: usize,
    pub(super) categories: usize,
    pub(super) users: usize,
    pub(super) order_lines: usize,
}

impl Size {
    /// A shop that is doing well, and still is made in seconds.
    pub(super) const FULL: Self =
        Self { products: 200_000, categories: 200, users: 50_000, order_lines: 500_000 };

    /// How many rows that makes.
    pub(super) const fn rows(&self) -> usize {
        self.products + self.users + self.order_lines
    }
}

const TABLES: &str = "
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    category_id INTEGER NOT NULL,
    price_cents INTEGER NOT NULL
);
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL
);
CREATE TABLE order_lines (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL,
    price_cents INTEGER NOT NULL
)";

/// Made after the rows: sorting once is faster than finding a place for each.
const INDEXES: &str = "
CREATE INDEX products_by_category ON products (category_id);
CREATE INDEX order_lines_by_product ON order_lines (product_id);
CREATE INDEX order_lines_by_user ON order_lines (user_id);
ANALYZE";

/// How many rows one statement inserts: many, and far fewer than SQLite has parameters for.
const ROWS_AT_ONCE: usize = 500;

/// What every shop grows from.
const SEED: u64 = 2024;

/// Makes the shop in a new file. `bar` is moved by each row.
///
/// # Cancel safety
///
/// Dropping the future leaves a file that is no database yet.
pub(super) async fn make(file: &Path, size: &Size, bar: &ProgressBar) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        // Whoever makes a file anew needs neither to undo nor to survive a power cut.
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .foreign_keys(false)
        .disable_statement_logging()
        .connect()
        .await?;
    connection.execute(TABLES).await?;
    connection.execute("BEGIN").await?;
    let mut random = Random::new(SEED);
    let prices = insert_products(&mut connection, size, &mut random, bar).await?;
    insert_users(&mut connection, size, &mut random, bar).await?;
    insert_order_lines(&mut connection, size, &prices, &mut random, bar).await?;
    connection.execute("COMMIT").await?;
    connection.execute(INDEXES).await?;
    connection.close().await
}

/// Returns the price of each product.
async fn insert_products(
    connection: &mut SqliteConnection,
    size: &Size,
    random: &mut Random,
    bar: &ProgressBar,
) -> Result<Vec<i64>, sqlx::Error> {
    const LOOKS: [&str; 8] = ["Blue", "Red", "Oak", "Steel", "Linen", "Small", "Large", "Plain"];
    const THINGS: [&str; 8] = ["jar", "shelf", "bowl", "lamp", "kettle", "apron", "sieve", "crate"];
    let mut prices = Vec::with_capacity(size.products);
    let mut rows = Rows::new(connection, "INSERT INTO products VALUES", 4, bar);
    for id in 1..=size.products {
        let look = LOOKS[random.below(LOOKS.len() as u64) as usize];
        let thing = THINGS[random.below(THINGS.len() as u64) as usize];
        let category = 1 + random.below(size.categories as u64) as i64;
        let price = 100 + random.below(20_000) as i64;
        prices.push(price);
        rows.numbers(&[id as i64])?;
        rows.text(format!("{look} {thing} {id}"))?;
        rows.numbers(&[category, price])?;
        rows.end_row().await?;
    }
    rows.flush().await?;
    Ok(prices)
}

async fn insert_users(
    connection: &mut SqliteConnection,
    size: &Size,
    random: &mut Random,
    bar: &ProgressBar,
) -> Result<(), sqlx::Error> {
    const NAMES: [&str; 8] = ["Ada", "Bob", "Chen", "Dana", "Emeka", "Fatma", "Grace", "Hugo"];
    let mut rows = Rows::new(connection, "INSERT INTO users VALUES", 2, bar);
    for id in 1..=size.users {
        let name = NAMES[random.below(NAMES.len() as u64) as usize];
        rows.numbers(&[id as i64])?;
        rows.text(format!("{name} {id}"))?;
        rows.end_row().await?;
    }
    rows.flush().await
}

/// What is popular is bought often; who buys and how much is chance.
async fn insert_order_lines(
    connection: &mut SqliteConnection,
    size: &Size,
    prices: &[i64],
    random: &mut Random,
    bar: &ProgressBar,
) -> Result<(), sqlx::Error> {
    let zipf = Zipf::new(size.products);
    let mut rows = Rows::new(connection, "INSERT INTO order_lines VALUES", 5, bar);
    for id in 1..=size.order_lines {
        let user = 1 + random.below(size.users as u64) as i64;
        let product = id_at(zipf.draw(random), size.products);
        let quantity = 1 + random.below(3) as i64;
        rows.numbers(&[id as i64, user, product as i64, quantity, prices[product - 1]])?;
        rows.end_row().await?;
    }
    rows.flush().await
}

/// Rows on their way into a table, many to a statement.
struct Rows<'a> {
    connection: &'a mut SqliteConnection,
    insert: &'static str,
    columns: usize,
    bar: &'a ProgressBar,
    arguments: SqliteArguments,
    count: usize,
    /// The statement for `ROWS_AT_ONCE` rows.
    full: Arc<str>,
}

impl<'a> Rows<'a> {
    fn new(
        connection: &'a mut SqliteConnection,
        insert: &'static str,
        columns: usize,
        bar: &'a ProgressBar,
    ) -> Self {
        let full = statement(insert, columns, ROWS_AT_ONCE).into();
        let arguments = SqliteArguments::default();
        Self { connection, insert, columns, bar, arguments, count: 0, full }
    }

    fn numbers(&mut self, numbers: &[i64]) -> Result<(), sqlx::Error> {
        let add = |&number| self.arguments.add::<i64>(number);
        numbers.iter().try_for_each(add).map_err(sqlx::Error::Encode)
    }

    fn text(&mut self, text: String) -> Result<(), sqlx::Error> {
        self.arguments.add(text).map_err(sqlx::Error::Encode)
    }

    async fn end_row(&mut self) -> Result<(), sqlx::Error> {
        self.count += 1;
        if self.count == ROWS_AT_ONCE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), sqlx::Error> {
        let count = std::mem::take(&mut self.count);
        let arguments = std::mem::take(&mut self.arguments);
        let sql = match count {
            0 => return Ok(()),
            ROWS_AT_ONCE => Arc::clone(&self.full),
            _ => statement(self.insert, self.columns, count).into(),
        };
        self.connection.execute(sqlx::query_with(AssertSqlSafe(sql), arguments)).await?;
        self.bar.inc(count as u64);
        Ok(())
    }
}

fn statement(insert: &str, columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("{insert} {}", vec![row; rows].join(","))
}

#[cfg(test)]
mod tests {
    use sqlx::Row;
    use tempfile::TempDir;

    use super::*;
    use crate::demo::query::{BESTSELLERS, PRODUCT};

    /// More than fits into one statement, and not a multiple of it.
    const TINY: Size = Size { products: 1_203, categories: 10, users: 70, order_lines: 2_001 };

    async fn tiny() -> (TempDir, SqliteConnection) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("shop.db");
        make(&file, &TINY, &ProgressBar::hidden()).await.unwrap();
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        (folder, options.connect().await.unwrap())
    }

    async fn number(shop: &mut SqliteConnection, sql: &'static str) -> i64 {
        shop.fetch_one(sql).await.unwrap().get(0)
    }

    #[tokio::test]
    async fn every_row_is_there_and_leads_to_others_that_are() {
        let (_folder, mut shop) = tiny().await;
        for (sql, expected) in [
            ("SELECT COUNT(*) FROM products", 1_203),
            ("SELECT COUNT(*) FROM users", 70),
            ("SELECT COUNT(*) FROM order_lines", 2_001),
            ("SELECT COUNT(DISTINCT category_id) FROM products", 10),
            ("SELECT MIN(category_id) FROM products", 1),
            ("SELECT MAX(category_id) FROM products", 10),
            ("SELECT COUNT(*) FROM order_lines l JOIN users u ON u.id = l.user_id", 2_001),
            (
                "SELECT COUNT(*) FROM order_lines l JOIN products p ON p.id = l.product_id
                 WHERE l.price_cents = p.price_cents AND l.quantity BETWEEN 1 AND 3",
                2_001,
            ),
            ("SELECT COUNT(*) FROM pragma_foreign_key_check", 0),
            ("SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'", 1),
        ] {
            assert_eq!(number(&mut shop, sql).await, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn the_most_popular_product_is_bought_most() {
        let (_folder, mut shop) = tiny().await;
        let sql = "SELECT product_id FROM order_lines GROUP BY 1 ORDER BY COUNT(*) DESC LIMIT 1";
        assert_eq!(number(&mut shop, sql).await, id_at(0, TINY.products) as i64);
    }

    #[tokio::test]
    async fn both_queries_search_and_scan_nothing() {
        let (_folder, mut shop) = tiny().await;
        for query in [&PRODUCT, &BESTSELLERS] {
            let sql = query.sql.replace("{id}", "1").replace("{category}", "1");
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let steps = shop.fetch_all(explain).await.unwrap();
            let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
            assert!(steps.iter().any(|step| step.starts_with("SEARCH")), "{steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
        }
    }
}
