//! Debezium's records, decoded: what a change event in JSON says.
//!
//! Source: the Debezium documentation, "Change events" of each connector, "New Record State
//! Extraction" and "Exporting CloudEvents"; for schemas Kafka Connect's `JsonConverter`.
//!
//! | shape | what is understood |
//! |---|---|
//! | envelope | `{before, after, source, op, ts_ms}`, with and without `{schema, payload}` |
//! | flattened | the row itself, with `__op`, `__deleted`, `__table`, `__schema` or `__db` where they were added |
//! | CloudEvents | structured, with either of the above as `data` |
//! | tombstones | the row of their key is gone, which is also how a flattened delete may come |
//! | messages | those under `larder` are for larder, those under `larder-heartbeat` are beats |
//! | schema changes | the tables that they name |
//! | heartbeats, transactions | nothing |
//!
//! Nothing is ever guessed: a value whose JSON may mean another text than the database's own is
//! unknown, and a record that isn't one of these shapes is refused, with what is wrong. Nothing
//! here asks anybody, waits, or knows what a change means to a cache.

mod cloud;
mod columns;
mod event;
mod flat;
mod json;
mod schema_change;
mod text;

use std::fmt;

use larder_core::change::Table;
use larder_core::feed::Notice;
use serde_json::Value;

use super::beat::{BEAT_PREFIX, BEAT_TABLE, Catalog};
use super::records::Record;

/// A record with more bytes, key and value together, isn't read.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// A record that isn't what Debezium writes, or not as it was told to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    topic: Box<str>,
    lane: u32,
    wrong: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, lane, wrong } = self;
        write!(f, "a record of `{topic}` (lane {lane}) can't be read: {wrong}")
    }
}

impl std::error::Error for Unreadable {}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub what: What,
    /// The transaction that did it, where the record says so.
    pub transaction: Option<u64>,
    /// When it was committed, in milliseconds since 1970, by the database's clock.
    pub millis: Option<i64>,
    /// What the connector is called that tells it.
    pub connector: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing that concerns anybody.
    Nothing,
    /// This was committed.
    Told(Vec<Notice>),
    /// A row was read for a snapshot.
    Read {
        /// As if it had been inserted.
        row: Notice,
        /// Somebody asked for it, while the log is followed. Otherwise Debezium begins anew: what
        /// was committed before and hadn't been told never will be.
        is_asked_for: bool,
    },
    /// A beat arrived, with this text.
    Beat(String),
}

/// What is known of how Debezium was configured, and of the database.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// What stands for a large value that didn't change (`unavailable.value.placeholder`).
    pub unavailable: String,
    /// Columns whose JSON isn't the text that the database writes, where records come without their
    /// schema: `column`, or `table.column`.
    pub opaque: Vec<String>,
    /// What the database says of its columns. It decides where records come without their schema.
    pub catalog: Option<Catalog>,
}

impl Default for Decoder {
    fn default() -> Self {
        let unavailable = "__debezium_unavailable_value".to_owned();
        Self { unavailable, opaque: Vec::new(), catalog: None }
    }
}

impl Decoder {
    /// What a record says.
    ///
    /// ```
    /// use larder_feed::debezium::{Decoder, Record, What};
    ///
    /// let value = br#"{"op": "d", "before": {"id": 7}, "after": null,
    ///     "source": {"connector": "mysql", "name": "shop", "db": "shop", "table": "users"}}"#;
    /// let (topic, value) = ("shop.shop.users".into(), Some(value[..].into()));
    /// let record = Record { topic, lane: 0, key: None, value };
    /// let event = Decoder::default().decode(&record)?;
    /// assert!(matches!(event.what, What::Told(notices) if notices.len() == 1));
    /// # Ok::<(), larder_feed::debezium::Unreadable>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it isn't one that is understood. What it said isn't known then: a gap.
    pub fn decode(&self, record: &Record) -> Result<Event, Unreadable> {
        let unreadable = |wrong: String| Unreadable {
            topic: shortened(&record.topic).into(),
            lane: record.lane,
            wrong,
        };
        self.read(record).map_err(unreadable)
    }

    fn read(&self, record: &Record) -> Result<Event, String> {
        let bytes = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
        if bytes(&record.key) + bytes(&record.value) > RECORD_BYTES_MAX {
            return Err("it has more than 1 MiB".to_owned());
        }
        if is_housekeeping(&record.topic) {
            return Ok(Event::nothing());
        }
        let key = json::part(record.key.as_ref(), "key")?;
        let key = json::Part::of(key.as_ref());
        let Some(value) = json::part(record.value.as_ref(), "value")? else {
            return Ok(self.tombstone(record, key));
        };
        if value.get("specversion").is_some() {
            let envelope = cloud::envelope(value)?;
            return self.event(record, key, json::Part::of(Some(&envelope)));
        }
        let value = json::Part::of(Some(&value));
        if value.payload.is_some_and(Value::is_null) {
            return Ok(self.tombstone(record, key));
        }
        self.event(record, key, value)
    }

    fn event(
        &self,
        record: &Record,
        key: json::Part<'_>,
        value: json::Part<'_>,
    ) -> Result<Event, String> {
        let Some(Value::Object(payload)) = value.payload else {
            return Err("its value is no object".to_owned());
        };
        if event::is_envelope(payload) {
            event::read(self, key, &value, payload)
        } else if schema_change::is_one(payload) {
            schema_change::read(payload)
        } else if is_of_no_row(payload) {
            Ok(Event::nothing())
        } else {
            flat::read(self, record, key, &value, payload)
        }
    }

    /// A delete that was told before, or, of flattened records, the delete itself.
    fn tombstone(&self, record: &Record, key: json::Part<'_>) -> Event {
        let row = flat::topic_table(&record.topic).and_then(|table| {
            let row = columns::Columns::new(self, &table, None).key(key)?;
            Some(event::deleted(table, row))
        });
        Event { what: What::Told(row.into_iter().collect()), ..Event::nothing() }
    }
}

impl Event {
    fn nothing() -> Self {
        Self { what: What::Nothing, transaction: None, millis: None, connector: None }
    }
}

/// Topics that Debezium fills for itself.
fn is_housekeeping(topic: &str) -> bool {
    topic.starts_with("__debezium-heartbeat")
}

/// Heartbeats and the borders of transactions, which are told by what they have.
fn is_of_no_row(payload: &serde_json::Map<String, Value>) -> bool {
    let has = |name| payload.contains_key(name);
    let is_border = matches!(json::text(payload, "status"), Some("BEGIN" | "END"))
        && has("id")
        && has("event_count")
        && has("data_collections");
    // A row of a single column of this name is no row of a followed table: it has no key.
    let is_heartbeat = has("ts_ms") && payload.keys().all(|name| name.starts_with("ts_"));
    is_border || is_heartbeat
}

/// A topic as a message has room for it.
fn shortened(topic: &str) -> &str {
    let end = (0..=topic.len().min(200)).rev().find(|&at| topic.is_char_boundary(at));
    &topic[..end.unwrap_or(0)]
}

fn is_beat_table(table: &Table) -> bool {
    &*table.name == BEAT_TABLE
}
