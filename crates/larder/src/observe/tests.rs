//! What reaches a subscriber and a recorder.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use larder_core::ErrorKind;
use larder_engine::{Cache, Engine};
use larder_test::{ManualClock, TestSource};

use super::{Metrics, Tracing};

type Counts = Arc<Mutex<BTreeMap<String, f64>>>;

/// A recorder that keeps everything by its name and labels.
#[derive(Clone, Default)]
struct Kept(Counts);

struct One(Counts, String);

impl One {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(self.0.lock().unwrap().entry(self.1.clone()).or_default());
    }
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        self.change(|count| *count += value as f64);
    }

    fn absolute(&self, value: u64) {
        self.change(|count| *count = value as f64);
    }
}

impl HistogramFn for One {
    fn record(&self, _: f64) {
        self.change(|count| *count += 1.0);
    }
}

impl Kept {
    fn one(&self, key: &Key) -> Arc<One> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(One(Arc::clone(&self.0), format!("{} {}", key.name(), labels.join(" "))))
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}

/// A cache that loads, fails, stands in and is invalidated, watched by both observers.
async fn some_life() -> larder_core::Result<()> {
    let clock = ManualClock::new();
    let source = TestSource::of([(1_u64, 10_u64)]);
    let cache: Cache<u64, u64> = Cache::builder("watched")
        .engine(&Engine::with_clock(clock.clone())?)
        .source(source.clone())
        .max_staleness(Duration::from_secs(1))
        .stale_on_error(Duration::from_secs(60))
        .observe(Metrics)
        .observe(Tracing)
        .build()?;
    cache.get(&1).await?;
    cache.get(&1).await?;
    cache.get(&2).await?;
    clock.advance(Duration::from_secs(2));
    source.fail(ErrorKind::SourceDown);
    cache.get(&1).await?;
    cache.invalidate(&1).await?;
    cache.invalidate_all().await?;
    cache.invalidate_prefix("1").await?;
    Metrics::report(&cache);
    Ok(())
}

fn on_one_thread(work: impl Future<Output = larder_core::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(work).unwrap();
}

/// One test, because a subscriber that is set for a thread races with other threads that have none
/// for what the `tracing` crate remembers of each call.
#[test]
fn a_recorder_and_a_subscriber_are_told_of_everything() {
    let (kept, written) = (Kept::default(), Arc::new(Mutex::new(Vec::new())));
    let writer = {
        let written = Arc::clone(&written);
        move || Lines(Arc::clone(&written))
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(::tracing::Level::DEBUG)
        .with_writer(writer)
        .with_ansi(false)
        .finish();
    let recorded = || ::metrics::with_local_recorder(&kept, || on_one_thread(some_life()));
    ::tracing::subscriber::with_default(subscriber, recorded);

    let counts = kept.0.lock().unwrap();
    let seen: Vec<(&str, f64)> = counts.iter().map(|(name, count)| (&**name, *count)).collect();
    let expected = [
        ("larder_hits cache=watched state=fresh", 1.0),
        ("larder_hits cache=watched state=stale", 0.0),
        ("larder_invalidations cache=watched of=all", 1.0),
        ("larder_invalidations cache=watched of=key", 1.0),
        ("larder_invalidations cache=watched of=prefix", 1.0),
        ("larder_load_seconds cache=watched", 3.0),
        ("larder_loads cache=watched outcome=SOURCEDOWN", 1.0),
        ("larder_loads cache=watched outcome=absent", 1.0),
        ("larder_loads cache=watched outcome=present", 1.0),
        ("larder_misses cache=watched", 3.0),
        ("larder_stood_in cache=watched reason=failing", 1.0),
    ];
    assert_eq!(seen, expected, "and no key is among the labels");

    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    for part in [
        "DEBUG larder: loaded cache=\"watched\" key=\"1\" present=true",
        "WARN larder: a load failed cache=\"watched\" key=\"1\" kind=\"SOURCEDOWN\"",
        "WARN larder: a held value stood in cache=\"watched\" key=\"1\" age=2s reason=\"failing\"",
        "DEBUG larder: invalidated cache=\"watched\" key=\"1\"",
        "DEBUG larder: all invalidated cache=\"watched\"",
        "DEBUG larder: a prefix invalidated cache=\"watched\" prefix=\"1\"",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
