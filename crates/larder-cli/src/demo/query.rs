//! The two questions to the shop: a cheap one and an expensive one.

use std::sync::atomic::{AtomicU64, Ordering};

use larder_core::template::ParameterValue;
use larder_core::{Key, KeyTemplate, LoadContext, LoadError, Result, Source, Value};
use larder_sql::{Database, Format, Load, Rows, SqlSource};

use super::fault::Fault;
use super::random::{Random, Zipf, id_at};

/// A cache's question.
#[derive(Debug)]
pub(super) struct Query {
    /// The name of its cache.
    pub(super) name: &'static str,
    /// What its keys look like.
    pub(super) key: &'static str,
    pub(super) sql: &'static str,
    pub(super) rows: Rows,
    /// What it is, in the words of a heading.
    pub(super) title: &'static str,
}

/// The cheapest read that there is.
pub(super) const PRODUCT: Query = Query {
    name: "product",
    key: "product:{id:int}",
    sql: "\
SELECT id, name, category_id, price_cents
FROM products
WHERE id = {id}
",
    rows: Rows::One,
    title: "A product by its primary key",
};

/// An honest aggregate: every table that it needs has its index.
pub(super) const BESTSELLERS: Query = Query {
    name: "bestsellers",
    key: "bestsellers:{category:int}",
    sql: "\
SELECT p.id, p.name, SUM(l.quantity) AS sold,
       SUM(l.quantity * l.price_cents) AS revenue_cents
FROM products p JOIN order_lines l ON l.product_id = p.id
WHERE p.category_id = {category}
GROUP BY p.id
ORDER BY revenue_cents DESC
LIMIT 10
",
    rows: Rows::Many,
    title: "The best sellers of a category, with their revenue",
};

impl Query {
    /// The question, put to `database`.
    pub(super) fn to(&self, database: &Database) -> Result<Counted> {
        let load = Load {
            key: KeyTemplate::parse(self.key)?,
            sql: self.sql.to_owned(),
            rows: self.rows,
            format: Format::Json,
            tags: Vec::new(),
        };
        Ok(Counted { inner: SqlSource::new(database, load)?, queries: AtomicU64::new(0) })
    }

    /// The key of the row with this id.
    ///
    /// # Errors
    ///
    /// None, unless the key above has other parameters than one `int`.
    pub(super) fn key_of(&self, id: usize) -> Result<Key, Fault> {
        key_of(&KeyTemplate::parse(self.key)?, id)
    }
}

fn key_of(template: &KeyTemplate, id: usize) -> Result<Key, Fault> {
    let fault = |error| Fault::because("make a key", error);
    let id = i64::try_from(id).map_err(|_| fault("the id is too large".to_owned()))?;
    let key = template.render(&[ParameterValue::Int(id)]);
    Ok(Key::from(&*key.map_err(|mismatch| fault(mismatch.to_string()))?))
}

/// A source that counts how often the database has answered.
pub(super) struct Counted {
    inner: SqlSource,
    queries: AtomicU64,
}

impl Counted {
    /// How often the database has answered so far.
    pub(super) fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }
}

impl Source<Key, Value> for Counted {
    async fn load(&self, key: &Key, context: &mut LoadContext) -> Result<Option<Value>, LoadError> {
        let value = self.inner.load(key, context).await?;
        self.queries.fetch_add(1, Ordering::Relaxed);
        Ok(value)
    }
}

/// The keys of a query in the order of their popularity, made once: while reads are measured,
/// no text is.
pub(super) struct Keys {
    keys: Vec<Key>,
    zipf: Zipf,
}

impl Keys {
    /// The keys of the rows with the ids from 1 to `count`.
    pub(super) fn new(query: &Query, count: usize) -> Result<Self, Fault> {
        let template = KeyTemplate::parse(query.key)?;
        let keys = (0..count).map(|rank| key_of(&template, id_at(rank, count)));
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, zipf: Zipf::new(count) })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    /// One of them, a popular one rather than another.
    pub(super) fn draw(&self, random: &mut Random) -> &Key {
        &self.keys[self.zipf.draw(random)]
    }
}
