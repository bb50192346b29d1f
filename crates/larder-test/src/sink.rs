//! A sink that commits into a [`TestSource`], counts, and waits or fails when a test says so,
//! before its commits or after them.
//!
//! It knows no runtime and no clock.

use std::hash::Hash;

use larder_core::sink::{Sink, SinkAbilities, WriteError, WriteFault};
use larder_core::{Error, ErrorKind, Write, Written};

use crate::source::TestSource;
use crate::watched::Watched;

/// Where a write waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has arrived, and nothing is committed.
    BeforeCommit,
    /// It is committed, and the answer is on its way.
    AfterCommit,
}

/// A [`Sink`] in the hands of a test. Clones are the same sink.
///
/// ```
/// use larder_core::sink::Sink;
/// use larder_core::{Write, Written};
/// use larder_test::{TestSink, TestSource};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let source = TestSource::of([(7, 1)]);
/// let sink = TestSink::into(&source);
/// let written = sink.write(&7, &Write::Add(41)).await.unwrap();
/// assert_eq!((written, source.value(&7)), (Written::Value(42), Some(42)));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct TestSink<K: Send + 'static> {
    source: TestSource<K, u64>,
    state: Watched<State>,
    abilities: SinkAbilities,
    says: bool,
}

#[derive(Debug, Default)]
struct State {
    closed: Option<Step>,
    waiting: usize,
    fails: Option<(WriteFault, usize)>,
    panics: usize,
    writes: usize,
    running: usize,
    running_max: usize,
}

impl<K> TestSink<K>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    /// A sink that commits what this source then answers, and says what it holds.
    #[must_use]
    pub fn into(source: &TestSource<K, u64>) -> Self {
        let all =
            SinkAbilities { store: true, delete: true, add: true, replace: true, behind: false };
        let state = Watched::new(State::default());
        Self { source: source.clone(), state, abilities: all, says: true }
    }

    /// The same that doesn't say what it holds after a write.
    #[must_use]
    pub fn silent(self) -> Self {
        Self { says: false, ..self }
    }

    /// The same that takes these writes only.
    #[must_use]
    pub fn able(self, abilities: SinkAbilities) -> Self {
        Self { abilities, ..self }
    }

    /// Lets writes wait at this step from now on.
    pub fn close(&self, step: Step) {
        self.state.change(|state| state.closed = Some(step));
    }

    /// Lets all go on.
    pub fn open(&self) {
        self.state.change(|state| state.closed = None);
    }

    /// Waits until at least `count` writes wait.
    ///
    /// # Panics
    ///
    /// When they don't within 30 seconds of the machine's time.
    pub async fn until_waiting(&self, count: usize) {
        let seen = |state: &State| format!("{} of {count} writes wait", state.waiting);
        self.state.until_soon(|state| state.waiting >= count, seen).await;
    }

    /// The next `times` writes fail so. After [`WriteFault::Unknown`] they are committed, after
    /// any other nothing is.
    pub fn fail_next(&self, times: usize, fault: WriteFault) {
        self.state.change(|state| state.fails = Some((fault, times)));
    }

    /// The next `times` writes panic, when they have been committed.
    pub fn panic_next(&self, times: usize) {
        self.state.change(|state| state.panics = times);
    }

    /// How many writes arrived.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.state.read(|state| state.writes)
    }

    /// The most that ever ran at once.
    #[must_use]
    pub fn running_max(&self) -> usize {
        self.state.read(|state| state.running_max)
    }

    async fn pass(&self, step: Step) {
        if self.state.read(|state| state.closed != Some(step)) {
            return;
        }
        self.state.change(|state| state.waiting += 1);
        let _waiting = Leave(self.state.clone(), |state| state.waiting -= 1);
        self.state.until(|state| state.closed != Some(step)).await;
    }

    async fn ask(
        &self,
        key: &K,
        expected: Option<Option<&u64>>,
        write: &Write<u64>,
    ) -> Result<Written<u64>, WriteError> {
        self.state.change(|state| {
            state.writes += 1;
            state.running += 1;
            state.running_max = state.running_max.max(state.running);
        });
        let _running = Leave(self.state.clone(), |state| state.running -= 1);
        self.pass(Step::BeforeCommit).await;
        let fault = self.state.change(State::next_fault);
        if let Some(fault) = fault.filter(|fault| *fault != WriteFault::Unknown) {
            return Err(failed(fault));
        }
        let held = self.source.value(key);
        if expected.is_some_and(|expected| expected != held.as_ref()) {
            return Err(failed(WriteFault::Conflict));
        }
        let value = match write {
            Write::Store(value) => Some(*value),
            Write::Delete => None,
            Write::Add(delta) => held.map(|held| held.wrapping_add_signed(*delta)),
        };
        match value {
            Some(value) => self.source.set(key.clone(), value),
            None => self.source.remove(key.clone()),
        }
        self.pass(Step::AfterCommit).await;
        assert!(!self.state.change(State::next_panic), "the test said so");
        match (fault, self.says) {
            (Some(fault), _) => Err(failed(fault)),
            (None, true) => Ok(value.map_or(Written::Absent, Written::Value)),
            (None, false) => Ok(Written::Unsaid),
        }
    }
}

impl State {
    fn next_fault(&mut self) -> Option<WriteFault> {
        let (fault, times) = self.fails.as_mut().filter(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(*fault)
    }

    fn next_panic(&mut self) -> bool {
        let panics = self.panics > 0;
        self.panics = self.panics.saturating_sub(1);
        panics
    }
}

fn failed(fault: WriteFault) -> WriteError {
    let kind = match fault {
        WriteFault::Transient | WriteFault::Unknown => ErrorKind::SourceDown,
        WriteFault::Conflict => ErrorKind::Conflict,
        WriteFault::Poison | WriteFault::Disowned => ErrorKind::Refused,
    };
    WriteError::new(fault, Error::new(kind, "the test said so"))
}

/// Counts a write out when it ends, also when it is dropped or panics.
struct Leave(Watched<State>, fn(&mut State));

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.change(self.1);
    }
}

impl<K> Sink<K, u64> for TestSink<K>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    fn abilities(&self) -> SinkAbilities {
        self.abilities
    }

    async fn write(&self, key: &K, write: &Write<u64>) -> Result<Written<u64>, WriteError> {
        self.ask(key, None, write).await
    }

    async fn replace(
        &self,
        key: &K,
        expected: Option<&u64>,
        write: &Write<u64>,
    ) -> Result<Written<u64>, WriteError> {
        self.ask(key, Some(expected), write).await
    }
}
