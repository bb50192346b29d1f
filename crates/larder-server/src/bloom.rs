//! The filters of caches: whether their databases accept the queries that they are built from.
//!
//! What a filter is, when it is built and what it answers are the engine's.

use larder_core::{Error, ErrorKind, Result};
use larder_sql::SqlKeys;

use crate::compose::Composition;
use crate::config::Config;

/// Asks the databases whether they accept the queries for keys. One that is down may say so later:
/// until its filter is built, every key is asked for.
///
/// # Errors
///
/// `Config` when a database refuses a query.
pub async fn prepare(config: &Config, composition: &Composition) -> Result<()> {
    for bloom in &config.bloom {
        let cache = &config.caches[bloom.cache];
        let database = &composition.sources[cache.source].database;
        let keys = SqlKeys::new(database, &cache.key, &bloom.keys)?;
        match keys.prepare().await {
            Err(error) if error.kind() == ErrorKind::Config => {
                let message = format!("the query of [cache.{}.bloom] can't work", cache.name);
                return Err(Error::new(ErrorKind::Config, message).caused_by(error));
            }
            _ => {}
        }
    }
    Ok(())
}
