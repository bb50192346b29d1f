//! Random runs against the promise itself: whatever is read, written at the source, invalidated,
//! failing or late, no answer is one that a read may not get, and in the end everybody has one.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "model/operation.rs"]
mod operation;
#[path = "model/reference.rs"]
mod reference;

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Bench, Numbers, S, settle};
use larder_core::{Clock, LoadContext, LoadError, Reason, Source, Terms};
use larder_engine::{Lookup, Ticket};
use larder_test::TestSource;
use proptest::collection::vec;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::task::JoinHandle;

use operation::{DECLARED, Declared, KEYS, Operation, Patience, Target, operation};
use reference::{Promise, Reference};

const MS: Duration = Duration::from_millis(1);

/// Tags every value, and says of every second one that it wasn't modified, if it wasn't.
struct Versions(TestSource<u64, u64>);

impl Versions {
    fn say(key: u64, value: Option<u64>, context: &LoadContext) -> Result<(), LoadError> {
        let text = value.map(|value| value.to_string());
        if value.is_some_and(|value| value % 2 == 0) && context.stale_validator() == text.as_deref()
        {
            return context.not_modified::<u64>().map(drop);
        }
        context.tag(format!("number:{key}")).tag("numbers");
        if let Some(text) = text {
            context.validator(text);
        }
        Ok(())
    }
}

impl Source<u64, u64> for Versions {
    async fn load(&self, key: &u64, context: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        let value = self.0.load(key, context).await?;
        Self::say(*key, value, context)?;
        Ok(value)
    }

    async fn load_many(
        &self,
        keys: &[u64],
        context: &mut LoadContext,
    ) -> Result<Vec<Option<u64>>, LoadError> {
        let values = self.0.load_many(keys, context).await?;
        for (at, (key, value)) in keys.iter().zip(&values).enumerate() {
            Self::say(*key, *value, &context.key(at))?;
        }
        Ok(values)
    }

    fn batch_max(&self) -> usize {
        self.0.batch_max()
    }
}

type Verdict = Result<Vec<Reason>, String>;

/// One run.
struct Run {
    bench: Bench,
    cache: Numbers,
    reference: Arc<Mutex<Reference>>,
    readers: Vec<JoinHandle<Verdict>>,
    tickets: Vec<(Ticket<u64, u64>, u64, Option<u64>)>,
    versions: u64,
}

impl Run {
    fn new(declared: Declared) -> Self {
        let Declared { fresh, stale, max, on_error, gathers } = declared;
        let bench = Bench::with(TestSource::of([]).batching(if gathers { 2 } else { 1 }));
        let promise = Promise { max_staleness: S * max, stale_on_error: S * on_error };
        let builder = bench
            .builder()
            .source(Versions(bench.source.clone()))
            .fresh_for(S * fresh)
            .stale_for(S * stale)
            .max_staleness(promise.max_staleness)
            .stale_on_error(promise.stale_on_error);
        let cache = if gathers { builder.gather(10 * MS) } else { builder }.build().unwrap();
        let reference = Arc::new(Mutex::new(Reference::new(promise, &KEYS)));
        Self { bench, cache, reference, readers: vec![], tickets: vec![], versions: 0 }
    }

    fn ask(&mut self, key: u64, patience: Patience) {
        let (cache, clock) = (self.cache.clone(), self.bench.clock.clone());
        let reference = Arc::clone(&self.reference);
        self.readers.push(tokio::spawn(async move {
            let read = cache.read(&key);
            let (read, max) = match patience {
                Patience::Usual => (read, Duration::MAX),
                Patience::Waiting(wait) => (read.wait(wait), Duration::MAX),
                Patience::Strict(max) => (read.max_staleness(max), max),
            };
            let begun = reference.lock().unwrap().begin(key, clock.now(), max);
            let Ok(answer) = read.ask().await else { return Ok(vec![]) };
            let end = Some(clock.now());
            reference.lock().unwrap().judge(begun, &answer, end).map(|()| vec![answer.reason])
        }));
    }

    fn ask_many(&mut self) {
        let (cache, clock) = (self.cache.clone(), self.bench.clock.clone());
        let reference = Arc::clone(&self.reference);
        self.readers.push(tokio::spawn(async move {
            let now = clock.now();
            let begun = KEYS.map(|key| reference.lock().unwrap().begin(key, now, Duration::MAX));
            let mut reasons = vec![];
            for (answer, begun) in cache.ask_many(&KEYS).await.into_iter().zip(begun) {
                let Ok(answer) = answer else { continue };
                reference.lock().unwrap().judge(begun, &answer, None)?;
                reasons.push(answer.reason);
            }
            Ok(reasons)
        }));
    }

    fn write(&mut self, key: u64, value: Option<u64>) {
        match value {
            Some(value) => self.bench.source.set(key, value),
            None => self.bench.source.remove(key),
        }
        self.reference.lock().unwrap().set(key, value, self.bench.clock.now());
    }

    async fn strike(&self, target: Target, hard: bool) {
        let cache = &self.cache;
        match (target, hard) {
            (Target::Key(key), true) => cache.invalidate(&key).await,
            (Target::Key(key), false) => cache.mark_stale(&key).await,
            (Target::Tag(key), true) => cache.invalidate_tags(&[tag(key)]).await,
            (Target::Tag(key), false) => cache.mark_tags_stale(&[tag(key)]).await,
            (Target::TagOfAll, true) => cache.invalidate_tags(&["numbers"]).await,
            (Target::TagOfAll, false) => cache.mark_tags_stale(&["numbers"]).await,
            (Target::All, true) => cache.invalidate_all().await,
            (Target::All, false) => cache.mark_all_stale().await,
            (Target::Prefix, true) => cache.invalidate_prefix("1").await,
            (Target::Prefix, false) => cache.mark_prefix_stale("1").await,
        }
        .unwrap();
        let mut reference = self.reference.lock().unwrap();
        KEYS.into_iter()
            .filter(|&key| target.strikes(key))
            .for_each(|key| reference.strike(key, hard));
    }

    async fn take(&mut self, key: u64) {
        if let Lookup::Miss(ticket) = self.cache.lookup(&key).await {
            let value = self.reference.lock().unwrap().current(key);
            self.tickets.push((ticket, key, value));
        }
    }

    /// Fills with the ticket taken first, or last.
    fn fill(&mut self, first: bool) {
        let at = if first { 0 } else { self.tickets.len().saturating_sub(1) };
        if at < self.tickets.len() {
            let (ticket, key, value) = self.tickets.remove(at);
            let mut terms = Terms::default();
            terms.tag(tag(key)).tag("numbers");
            let _ = ticket.fill_on(value, &terms);
        }
    }

    async fn apply(&mut self, operation: Operation) {
        self.versions += 1;
        match operation {
            Operation::Ask(key, patience) => self.ask(key, patience),
            Operation::AskMany => self.ask_many(),
            Operation::Set(key) => self.write(key, Some(self.versions)),
            Operation::Remove(key) => self.write(key, None),
            Operation::Change(key) => {
                self.write(key, Some(self.versions));
                self.strike(Target::Key(key), true).await;
            }
            Operation::Strike(target, hard) => self.strike(target, hard).await,
            Operation::Advance(by) => self.bench.clock.advance(by),
            Operation::Fail(kind) => self.bench.source.fail(kind),
            Operation::Succeed => self.bench.source.succeed(),
            Operation::Close => self.bench.source.close(),
            Operation::Open => self.bench.source.open(),
            Operation::LetPass => self.bench.source.let_pass(1),
            Operation::Take(key) => self.take(key).await,
            Operation::Fill(first) => self.fill(first),
            Operation::Settle => settle().await,
        }
    }

    /// Everybody gets an answer, nothing stays behind, and who takes nothing old gets the truth.
    async fn end(mut self) -> Verdict {
        self.bench.source.open();
        self.bench.source.succeed();
        // Time for every window of gathering in turn, and less than any deadline.
        for _ in 0..40 {
            settle().await;
            self.bench.clock.advance(20 * MS);
        }
        settle().await;
        let mut reasons = vec![];
        for reader in std::mem::take(&mut self.readers) {
            if !reader.is_finished() {
                return Err("a reader was left waiting".to_owned());
            }
            reasons.extend(reader.await.map_err(|panic| panic.to_string())??);
        }
        if self.cache.flights() > 0 || self.bench.clock.sleepers() > 0 {
            return Err(format!("{} flights stay behind", self.cache.flights()));
        }
        for key in KEYS {
            self.ask(key, Patience::Strict(Duration::ZERO));
        }
        settle().await;
        self.bench.clock.advance(S);
        for reader in std::mem::take(&mut self.readers) {
            reasons.extend(reader.await.map_err(|panic| panic.to_string())??);
        }
        Ok(reasons)
    }
}

fn tag(key: u64) -> String {
    format!("number:{key}")
}

#[test]
fn no_answer_is_one_that_a_read_may_not_get() {
    let seen = RefCell::new(HashSet::new());
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let runs = (select(&DECLARED[..]), vec(operation(), 1..120));
    let outcome = TestRunner::new(config).run(&runs, |(declared, operations)| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let verdict = runtime.block_on(async {
            let mut run = Run::new(declared);
            for operation in operations {
                run.apply(operation).await;
            }
            run.end().await
        });
        seen.borrow_mut().extend(verdict.map_err(TestCaseError::fail)?);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    // A run in which nothing is ever held, late or failing would prove little.
    let seen = seen.into_inner();
    for reason in [
        Reason::Held,
        Reason::Refreshing,
        Reason::Loaded,
        Reason::Joined,
        Reason::Uncached,
        Reason::Failing,
        Reason::Slow,
    ] {
        assert!(seen.contains(&reason), "no run came to {reason:?}");
    }
}
