//! Records, notices as text, and a transport in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use larder_core::change::{Changed, Field, Row};
use larder_core::feed::Notice;
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use larder_feed::debezium::{
    Batch, Beat, Catalog, DebeziumFeed, DebeziumOptions, Decoder, Heartbeat, Place, Reading,
    Record, Records, View, What,
};
use tokio::sync::Notify;
use tokio::time::timeout;

/// A record of this topic; an empty text is nothing.
pub(crate) fn record(topic: &str, key: &str, value: &str) -> Record {
    let part = |text: &str| (!text.is_empty()).then(|| Bytes::from(text.to_owned()));
    Record { topic: topic.into(), lane: 0, key: part(key), value: part(value) }
}

/// A change of `public.users` by Postgres.
pub(crate) fn change(op: &str, before: &str, after: &str, transaction: u64) -> String {
    let source = format!(
        r#"{{"version":"3.0.5.Final","connector":"postgresql","name":"shop","ts_ms":1000,
            "snapshot":"false","db":"shop","sequence":"[\"1\",\"2\"]","schema":"public",
            "table":"users","txId":{transaction},"lsn":24023128,"xmin":null}}"#
    );
    format!(
        r#"{{"before":{before},"after":{after},"source":{source},"op":"{op}","ts_ms":1100,
            "transaction":null}}"#
    )
}

/// What a record says, as text.
pub(crate) fn said(decoder: &Decoder, record: &Record) -> Vec<String> {
    match decoder.decode(record).unwrap().what {
        What::Nothing => Vec::new(),
        What::Told(notices) => notices.iter().map(text).collect(),
        What::Read { row, is_asked_for: true } => vec![format!("asked for {}", text(&row))],
        What::Read { row, is_asked_for: false } => vec![format!("read {}", text(&row))],
        What::Beat(text) => vec![format!("beat {text}")],
    }
}

/// `public.users +id=1 name=Ada`, `-` for a delete, `old > new` for an update.
pub(crate) fn text(notice: &Notice) -> String {
    match notice {
        Notice::Changed(change) => {
            let table = &change.table;
            match &change.changed {
                Changed::Inserted(new) => format!("{table} +{}", row(new)),
                Changed::Updated { old: None, new } => format!("{table} ={}", row(new)),
                Changed::Updated { old: Some(old), new } => {
                    format!("{table} ={} > {}", row(old), row(new))
                }
                Changed::Deleted(old) => format!("{table} -{}", row(old)),
                Changed::Truncated => format!("{table} ~"),
            }
        }
        Notice::Altered(table) => format!("altered {table}"),
        Notice::Message(content) => format!("{:?}", str::from_utf8(content).unwrap()),
    }
}

/// Columns by their names: `id=1 name? bio`, a text, an unknown and a null.
fn row(row: &Row) -> String {
    let mut columns: Vec<String> = row
        .iter()
        .map(|(name, field)| match field {
            Field::Null => name.to_owned(),
            Field::Text(text) => format!("{name}={}", str::from_utf8(text).unwrap()),
            Field::Unknown => format!("{name}?"),
        })
        .collect();
    columns.sort();
    columns.join(" ")
}

/// A transport in memory. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<(Mutex<WireState>, Notify)>);

#[derive(Debug, Default)]
pub(crate) struct WireState {
    /// What is delivered next.
    pub(crate) batches: VecDeque<Batch>,
    pub(crate) number: u64,
    /// Where it begins, and in which log; none where its numbers mean nothing to others.
    pub(crate) begins: Option<Place>,
    pub(crate) applied: u64,
    pub(crate) acknowledged: u64,
    /// What it says when it is asked whether it has caught up; yes without it.
    pub(crate) caught_up: VecDeque<Result<bool>>,
    pub(crate) is_read: bool,
}

impl Wire {
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut WireState) -> T) -> T {
        let changed = change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_one();
        changed
    }

    /// Delivers these as a batch.
    pub(crate) fn put(&self, records: impl IntoIterator<Item = Record>) {
        self.change(|state| {
            let records: Vec<Record> = records.into_iter().collect();
            state.number += records.len() as u64;
            let number = state.number;
            state.batches.push_back(Batch::Records { number, records });
        });
    }

    /// Delivers a change of `public.users`.
    pub(crate) fn user(&self, op: &str, before: &str, after: &str, transaction: u64) {
        self.put([record("shop.public.users", "", &change(op, before, after, transaction))]);
    }
}

impl Records for Wire {
    fn name(&self) -> &str {
        "memory"
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Reading>>> {
        Box::pin(async {
            if self.change(|state| std::mem::replace(&mut state.is_read, true)) {
                return Err(Error::new(ErrorKind::Refused, "it is read"));
            }
            Ok(Box::new(WireReading(self.clone())) as Box<dyn Reading>)
        })
    }
}

struct WireReading(Wire);

impl Reading for WireReading {
    fn begins(&self) -> Option<Place> {
        self.0.change(|state| state.begins)
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Batch>> {
        Box::pin(async move {
            loop {
                let has_come = self.0.0.1.notified();
                if let Some(batch) = self.0.0.0.lock().unwrap().batches.pop_front() {
                    return Ok(batch);
                }
                if timeout(Duration::from_millis(10), has_come).await.is_err() {
                    return Ok(Batch::Nothing);
                }
            }
        })
    }

    fn applied(&mut self, batch: u64) {
        self.0.change(|state| state.applied = batch);
    }

    fn acknowledge(&mut self, batch: u64) {
        self.0.change(|state| state.acknowledged = batch);
    }

    fn caught_up(&mut self) -> BoxFuture<'_, Result<bool>> {
        let said = self.0.change(|state| state.caught_up.pop_front());
        Box::pin(async { said.unwrap_or(Ok(true)) })
    }
}

impl Drop for WireReading {
    fn drop(&mut self) {
        self.0.change(|state| state.is_read = false);
    }
}

/// A database that beats into a wire, or keeps its beats, and shows what it is told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestBeat {
    pub(crate) wire: Option<Wire>,
    pub(crate) beats: Arc<Mutex<Vec<String>>>,
    /// Every transaction below is seen; without it, no view is given.
    pub(crate) sees_below: Arc<Mutex<Option<u64>>>,
    pub(crate) catalog: Option<Catalog>,
}

impl TestBeat {
    /// Beats arrive at once.
    pub(crate) fn over(wire: &Wire) -> Self {
        Self { wire: Some(wire.clone()), ..Self::default() }
    }

    pub(crate) fn shows(&self, below: u64) {
        *self.sees_below.lock().unwrap() = Some(below);
    }
}

/// A beat as Debezium tells it.
pub(crate) fn beat(text: &str) -> Record {
    use base64::Engine as _;
    let content = base64::engine::general_purpose::STANDARD.encode(text);
    let value = format!(
        r#"{{"op":"m","ts_ms":1,"source":{{"connector":"postgresql","name":"shop","ts_ms":1,
            "schema":"","table":"","txId":756,"lsn":1}},
            "message":{{"prefix":"larder-heartbeat","content":"{content}"}}}}"#
    );
    record("shop.message", r#"{"prefix":"larder-heartbeat"}"#, &value)
}

impl Beat for TestBeat {
    fn beat<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<()>> {
        match &self.wire {
            Some(wire) => wire.put([beat(text)]),
            None => self.beats.lock().unwrap().push(text.to_owned()),
        }
        Box::pin(async { Ok(()) })
    }

    fn view(&self) -> BoxFuture<'_, Result<Option<View>>> {
        let below = *self.sees_below.lock().unwrap();
        let view = below.map(|below| View {
            ended_below: below,
            begun_below: 100,
            millis: 3_000,
            sees: Box::new(move |number| number < below),
        });
        Box::pin(async { Ok(view) })
    }

    fn catalog(&self) -> BoxFuture<'_, Result<Option<Catalog>>> {
        Box::pin(async { Ok(self.catalog.clone()) })
    }
}

/// A feed over a wire, with this heartbeat.
pub(crate) fn feed_over(wire: &Wire, beat: Option<TestBeat>) -> DebeziumFeed {
    let mut options = DebeziumOptions::new(["public.users"]);
    options.heartbeat = beat.map(Heartbeat::by);
    DebeziumFeed::new("shop", wire.clone(), options)
}
