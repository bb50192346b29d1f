//! A repository with a cache inside, over sqlx: entities by id, lists by shelf, and writes that
//! invalidate after the commit.

use std::sync::Arc;
use std::time::Duration;

use larder::{Cache, Engine, LoadContext, LoadError, Source};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Row, SqlitePool};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Product {
    id: i64,
    shelf: String,
    price: i64,
}

/// The table, as both caches read it.
#[derive(Clone)]
struct Table(SqlitePool);

fn product(row: &sqlx::sqlite::SqliteRow) -> Result<Product, sqlx::Error> {
    Ok(Product {
        id: row.try_get("id")?,
        shelf: row.try_get("shelf")?,
        price: row.try_get("price")?,
    })
}

impl Source<i64, Product> for Table {
    async fn load(&self, id: &i64, _: &mut LoadContext) -> Result<Option<Product>, LoadError> {
        let query = sqlx::query("SELECT id, shelf, price FROM products WHERE id = ?").bind(id);
        Ok(query.fetch_optional(&self.0).await?.as_ref().map(product).transpose()?)
    }
}

impl Source<String, Arc<[Product]>> for Table {
    async fn load(
        &self,
        shelf: &String,
        context: &mut LoadContext,
    ) -> Result<Option<Arc<[Product]>>, LoadError> {
        context.tag(format!("shelf:{shelf}"));
        let query = "SELECT id, shelf, price FROM products WHERE shelf = ? ORDER BY price";
        let rows = sqlx::query(query).bind(shelf).fetch_all(&self.0).await?;
        Ok(Some(rows.iter().map(product).collect::<Result<_, _>>()?))
    }
}

struct Products {
    table: Table,
    by_id: Cache<i64, Product>,
    by_shelf: Cache<String, Arc<[Product]>>,
}

impl Products {
    fn new(pool: SqlitePool, engine: &Engine) -> larder::Result<Self> {
        let (table, window) = (Table(pool), Duration::from_secs(60));
        let by_id = Cache::builder("product").max_staleness(window).source(table.clone());
        let by_shelf = Cache::builder("shelf").max_staleness(window).source(table.clone());
        let (by_id, by_shelf) = (by_id.engine(engine).build()?, by_shelf.engine(engine).build()?);
        Ok(Self { table, by_id, by_shelf })
    }

    async fn get(&self, id: i64) -> larder::Result<Option<Product>> {
        self.by_id.get(&id).await
    }

    async fn list(&self, shelf: &str) -> larder::Result<Arc<[Product]>> {
        Ok(self.by_shelf.get(&shelf.to_owned()).await?.unwrap_or_default())
    }

    /// Moves a product to another shelf, at another price.
    async fn update(&self, new: &Product) -> Result<(), LoadError> {
        let mut transaction = self.table.0.begin().await?;
        let old: Option<String> = sqlx::query_scalar("SELECT shelf FROM products WHERE id = ?")
            .bind(new.id)
            .fetch_optional(&mut *transaction)
            .await?;
        sqlx::query("UPDATE products SET shelf = ?, price = ? WHERE id = ?")
            .bind(&new.shelf)
            .bind(new.price)
            .bind(new.id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        // After the commit: before it, a reader would load the old row again and keep that.
        self.by_id.invalidate(&new.id).await?;
        let shelves = old.iter().chain([&new.shelf]).map(|shelf| format!("shelf:{shelf}"));
        self.by_shelf.invalidate_tags(&shelves.collect::<Vec<_>>()).await?;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), LoadError> {
    run().await
}

pub(crate) async fn run() -> Result<(), LoadError> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    let table = "CREATE TABLE products (id INTEGER PRIMARY KEY, shelf TEXT, price INTEGER)";
    sqlx::query(table).execute(&pool).await?;
    let rows = "INSERT INTO products VALUES (1, 'tea', 500), (2, 'tea', 700), (3, 'jam', 300)";
    sqlx::query(rows).execute(&pool).await?;

    let products = Products::new(pool, &Engine::on_tokio()?)?;
    let ids = |list: Arc<[Product]>| list.iter().map(|product| product.id).collect::<Vec<_>>();
    assert_eq!(ids(products.list("tea").await?), [1, 2]);
    assert_eq!(ids(products.list("jam").await?), [3]);
    let mut tea = products.get(2).await?.expect("it was inserted");

    (tea.shelf, tea.price) = ("jam".to_owned(), 100);
    products.update(&tea).await?;
    assert_eq!(products.get(2).await?, Some(tea));
    assert_eq!(ids(products.list("tea").await?), [1]);
    assert_eq!(ids(products.list("jam").await?), [2, 3]);
    println!("{} loads of lists", products.by_shelf.stats().loads.count());
    Ok(())
}
