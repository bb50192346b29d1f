//! What a filter promises, on a clock that is turned and a table that is committed to by hand.
//!
//! A build gives way after each page, so polling it once reads one page: interleavings are
//! written down, or drawn, step by step.

mod builds;
mod sizes;
mod writers;

use std::collections::BTreeSet;
use std::future::pending;
use std::ops::Bound::{Excluded, Unbounded};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder_core::{Clock, Error, ErrorKind, KeyList, KeyPages, LoadError};
use larder_test::ManualClock;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(86_400);

/// A table with a primary key: what is committed, and how its reading goes wrong.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    keys: BTreeSet<u64>,
    count: Option<u64>,
    fault: Fault,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    Fail,
    Panic,
    Hang,
    Endless,
}

impl Table {
    fn of(keys: impl IntoIterator<Item = u64>) -> Self {
        let table = Self::default();
        table.0.lock().unwrap().keys.extend(keys);
        table
    }

    fn counted(self) -> Self {
        let count = self.keys().len() as u64;
        self.counting(Some(count))
    }

    /// What the list says, from now on.
    fn counting(self, count: Option<u64>) -> Self {
        self.0.lock().unwrap().count = count;
        self
    }

    fn commit(&self, key: u64) {
        self.0.lock().unwrap().keys.insert(key);
    }

    fn keys(&self) -> BTreeSet<u64> {
        self.0.lock().unwrap().keys.clone()
    }

    fn fault(&self, fault: Fault) {
        self.0.lock().unwrap().fault = fault;
    }
}

impl KeyList<u64> for Table {
    type Pages = TablePages;

    fn pages(&self) -> TablePages {
        TablePages(self.clone(), None)
    }

    async fn count(&self) -> Result<Option<u64>, LoadError> {
        Ok(self.0.lock().unwrap().count)
    }
}

struct TablePages(Table, Option<u64>);

impl KeyPages<u64> for TablePages {
    async fn next(&mut self, max: usize) -> Result<Vec<u64>, LoadError> {
        let fault = self.0.0.lock().unwrap().fault;
        match fault {
            Fault::None => {}
            Fault::Fail => return Err(Error::new(ErrorKind::SourceDown, "down").into()),
            Fault::Panic => panic!("the test said so"),
            Fault::Hang => pending().await,
            Fault::Endless => return Ok(vec![7; max]),
        }
        let rows = self.0.0.lock().unwrap();
        let after = self.1.map_or(Unbounded, Excluded);
        let page: Vec<_> = rows.keys.range((after, Unbounded)).copied().take(max).collect();
        self.1 = page.last().copied();
        Ok(page)
    }
}

/// A build in the hands of a test.
struct Steps(Pin<Box<dyn Future<Output = BuildState>>>);

impl Steps {
    /// Claims the build that is due, and reads nothing yet.
    fn begin(filter: &Filter<u64>, table: &Table, clock: &ManualClock) -> Option<Self> {
        let build = filter.begin(clock.now())?;
        let (table, clock) = (table.clone(), clock.clone());
        Some(Self(Box::pin(async move { build.run(&table, &clock).await })))
    }

    /// Reads one more page. Returns how the build ended, if it has.
    fn step(&mut self) -> Option<BuildState> {
        match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }

    /// Reads to the end.
    fn finish(mut self) -> BuildState {
        loop {
            if let Some(ended) = self.step() {
                return ended;
            }
        }
    }
}

/// A filter whose pages have four keys, on a clock, over a table.
fn setup(table: Table) -> (Filter<u64>, Table, ManualClock) {
    let options = FilterOptions { page_keys: 4, ..FilterOptions::default() };
    (Filter::new(options).unwrap(), table, ManualClock::new())
}

/// Runs the build that must be due to its end.
fn build(filter: &Filter<u64>, table: &Table, clock: &ManualClock) -> BuildState {
    Steps::begin(filter, table, clock).expect("a build is due").finish()
}

fn failed(ended: &BuildState) -> ErrorKind {
    match ended {
        BuildState::Failed(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}
