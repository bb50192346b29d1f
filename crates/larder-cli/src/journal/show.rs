//! The records of a journal, and whether the database has them already.
//!
//! The journal is cleared late, so that a record is there says little. What was applied stands in
//! larder's tables, beside the data.

use std::collections::BTreeMap;
use std::process::ExitCode;

use larder_core::journal::Record;
use larder_core::sink::Sequence;
use larder_engine::behind::{DescribedWrite, describe};
use larder_journal::JournalView;
use larder_server::config::Config;
use larder_sql::{ShownValue, WriteTables};
use serde_json::{Value, json};

use crate::output::{columns, cut, lines, print, short};
use crate::sources::{block_on, open};

/// So much of a value is shown, in bytes.
const VALUE_BYTES: usize = 256;

/// How many keys a database is asked for at once.
const KEYS_MAX: usize = 1_000;

/// Which records.
pub(super) struct Asked<'a> {
    pub(super) key: Option<&'a str>,
    pub(super) cache: Option<&'a str>,
    pub(super) limit: usize,
}

/// A record that is shown.
struct Shown {
    sequence: Sequence,
    cache: String,
    key: String,
    verb: &'static str,
    value: Option<ShownValue>,
    delta: Option<i64>,
    letter: Option<u64>,
    /// Whether the database has it, if that is known.
    is_applied: Option<bool>,
}

/// What a journal has of it.
#[derive(Default)]
struct Found {
    shown: Vec<Shown>,
    /// How many more there are.
    more: u64,
    /// What couldn't be read or asked.
    faults: Vec<String>,
}

pub(super) fn run(
    view: &JournalView,
    asked: &Asked<'_>,
    config: Option<&Config>,
    is_json: bool,
) -> Result<ExitCode, String> {
    let mut found = read(view, asked)?;
    if let Some(config) = config {
        block_on(ask(config, &mut found))?;
    }
    if is_json {
        print(&lines(found.shown.iter().map(as_json)));
    } else if found.shown.is_empty() {
        print("no records\n");
    } else {
        let head = ["number", "epoch", "cache", "key", "verb", "what", "letter", "database"];
        print(&columns(&head, &found.shown.iter().map(row).collect::<Vec<_>>()));
    }
    if found.more > 0 {
        eprintln!("larder: {} more of them: say a greater --limit", found.more);
    }
    for fault in &found.faults {
        eprintln!("larder: {fault}");
    }
    Ok(if found.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(view: &JournalView, asked: &Asked<'_>) -> Result<Found, String> {
    let mut found = Found::default();
    for record in view.records().map_err(|error| error.chain())? {
        let record = record.map_err(|error| error.chain())?;
        match shown(&record, asked) {
            Ok(Some(shown)) if found.shown.len() < asked.limit => found.shown.push(shown),
            Ok(Some(_)) => found.more += 1,
            Ok(None) => {}
            // One is enough to say: all others of another version would be the same.
            Err(fault) if found.faults.is_empty() => found.faults.push(fault),
            Err(_) => {}
        }
    }
    Ok(found)
}

/// The record, if it is asked for.
fn shown(record: &Record, asked: &Asked<'_>) -> Result<Option<Shown>, String> {
    let described = describe(&record.bytes);
    let described = described.map_err(|error| format!("record {}: {error}", record.number))?;
    let is_other = |asked: Option<&str>, found: &str| asked.is_some_and(|asked| asked != found);
    if is_other(asked.key, described.key) || is_other(asked.cache, described.cache) {
        return Ok(None);
    }
    let (verb, value, delta) = match described.write {
        DescribedWrite::Store { value, .. } => ("store", Some(value), None),
        DescribedWrite::Delete => ("delete", None, None),
        DescribedWrite::Add(delta) => ("add", None, Some(delta)),
    };
    Ok(Some(Shown {
        sequence: Sequence { epoch: described.epoch, number: record.number },
        cache: described.cache.to_owned(),
        key: described.key.to_owned(),
        verb,
        value: value.map(|value| ShownValue::of(value, VALUE_BYTES)),
        delta,
        letter: described.letter,
        is_applied: None,
    }))
}

/// Asks the databases of the caches what they have.
async fn ask(config: &Config, found: &mut Found) -> Result<(), String> {
    let mut of_cache: BTreeMap<String, Vec<&mut Shown>> = BTreeMap::new();
    for shown in &mut found.shown {
        of_cache.entry(shown.cache.clone()).or_default().push(shown);
    }
    for (name, mut records) in of_cache {
        let Some(cache) = config.caches.iter().find(|cache| cache.name == name) else {
            let name = short(&name, 48);
            found.faults.push(format!(
                "the configuration has no cache {name}, so its database isn't known"
            ));
            continue;
        };
        let tables = WriteTables::of(&open(config.source_of(cache))?.database);
        for records in records.chunks_mut(KEYS_MAX) {
            let keys: Vec<_> = records.iter().map(|shown| &*shown.key).collect();
            match tables.applied(&name, &keys).await {
                Ok(applied) => {
                    for (shown, applied) in records.iter_mut().zip(applied) {
                        shown.is_applied = Some(applied >= Some(shown.sequence));
                    }
                }
                Err(error) => {
                    found.faults.push(format!("cache {name}: not asked, {}", error.chain()));
                    break;
                }
            }
        }
    }
    Ok(())
}

fn state(shown: &Shown) -> &'static str {
    match shown.is_applied {
        Some(true) => "applied",
        Some(false) => "pending",
        None => "not asked",
    }
}

fn row(shown: &Shown) -> Vec<String> {
    let what = match (&shown.value, shown.delta) {
        (Some(value), _) => cut(value, 48),
        (None, Some(delta)) => format!("{delta:+}"),
        (None, None) => String::new(),
    };
    vec![
        shown.sequence.number.to_string(),
        shown.sequence.epoch.to_string(),
        short(&shown.cache, 24),
        short(&shown.key, 40),
        shown.verb.to_owned(),
        what,
        shown.letter.map_or_else(String::new, |letter| letter.to_string()),
        state(shown).to_owned(),
    ]
}

fn as_json(shown: &Shown) -> Value {
    let value = shown.value.as_ref();
    json!({
        "number": shown.sequence.number,
        "epoch": shown.sequence.epoch,
        "cache": shown.cache,
        "key": shown.key,
        "verb": shown.verb,
        "value": value.map(|value| &value.text),
        "value_escaped": value.map(|value| value.is_escaped),
        "value_bytes": value.map(|value| value.bytes),
        "value_cut": value.map(ShownValue::is_cut),
        "delta": shown.delta,
        "letter": shown.letter,
        "database": shown.is_applied.map(|_| state(shown)),
    })
}
