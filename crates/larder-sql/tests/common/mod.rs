//! What the tests of all databases need.

// Each test program uses its part of this.
#![allow(dead_code, unreachable_pub)]

pub mod checks;
pub mod faults;
pub mod letters;
pub mod sinks;

use std::time::Duration;

use larder_core::template::TagTemplate;
use larder_core::{Error, ErrorKind, Key, KeyTemplate, LoadContext, Source, Terms, Value};
use larder_sql::{Database, Format, Load, Rows, SqlSource};

/// A load as most tests want it.
pub fn load(key: &str, sql: &str) -> Load {
    Load {
        key: KeyTemplate::parse(key).unwrap(),
        sql: sql.to_owned(),
        rows: Rows::One,
        format: Format::Json,
        tags: Vec::new(),
    }
}

/// `load` with tags.
pub fn tagged(load: Load, tags: &[&str]) -> Load {
    let tags = tags.iter().map(|tag| TagTemplate::parse(tag).unwrap()).collect();
    Load { tags, ..load }
}

/// Asks for keys, together, and expects the tags of each, sorted.
pub async fn tags(source: &SqlSource, keys: &[&str]) -> Vec<Vec<String>> {
    let keys: Vec<_> = keys.iter().map(|key| Key::from(*key)).collect();
    let mut context = LoadContext::of_many(Duration::from_secs(60), keys.len());
    match &keys[..] {
        [key] => source.load(key, &mut context).await.map(drop).unwrap(),
        keys => source.load_many(keys, &mut context).await.map(drop).unwrap(),
    }
    let sorted = |terms: Terms| {
        let mut tags: Vec<_> = terms.tags().iter().map(ToString::to_string).collect();
        tags.sort();
        tags
    };
    context.take_terms().into_iter().map(sorted).collect()
}

/// Like [`load`], for an array of rows.
pub fn many(key: &str, sql: &str) -> Load {
    Load { rows: Rows::Many, ..load(key, sql) }
}

/// Like [`load`], for the bytes of one column.
pub fn raw(key: &str, sql: &str) -> Load {
    Load { format: Format::Raw, ..load(key, sql) }
}

/// The source of a load, whose configuration is sound.
pub fn source(database: &Database, load: Load) -> SqlSource {
    SqlSource::new(database, load).unwrap()
}

/// Asks for one key.
pub async fn get(source: &SqlSource, key: &str) -> Result<Option<Value>, Error> {
    let mut context = LoadContext::new(Duration::from_secs(60));
    source.load(&Key::from(key), &mut context).await.map_err(Error::from_loader)
}

/// Asks for many keys.
pub async fn get_many<K: AsRef<str>>(
    source: &SqlSource,
    keys: &[K],
) -> Result<Vec<Option<Value>>, Error> {
    let keys: Vec<_> = keys.iter().map(|key| Key::from(key.as_ref())).collect();
    let mut context = LoadContext::new(Duration::from_secs(60));
    source.load_many(&keys, &mut context).await.map_err(Error::from_loader)
}

/// What a value holds, as text.
pub fn text(value: Option<Value>) -> Option<String> {
    value.map(|value| String::from_utf8(value.bytes.to_vec()).unwrap())
}

/// Asks for one key and expects an answer.
pub async fn answer(source: &SqlSource, key: &str) -> Option<String> {
    text(get(source, key).await.unwrap_or_else(|error| panic!("{key}: {}", error.chain())))
}

/// Asks for one key and expects an error.
pub async fn failure(source: &SqlSource, key: &str) -> Error {
    get(source, key).await.unwrap_err()
}

/// The message of a load that the live database must refuse as misconfigured.
pub async fn not_accepted(database: &Database, load: Load) -> String {
    let error = match SqlSource::new(database, load) {
        Ok(source) => source.prepare().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Config, "{}", error.chain());
    error.chain()
}
