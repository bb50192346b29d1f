//! A sink that commits into a [`TestSource`], counts, and waits or fails when a test says so,
//! before its commits or after them; in batches too, if a cache is written behind.
//!
//! It knows no runtime and no clock.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use larder_core::sink::{
    Applied, DeadLetter, Numbered, Sequence, Sink, SinkAbilities, WriteError, WriteFault,
};
use larder_core::{Error, ErrorKind, Result, Write, Written};

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
#[derive(Clone)]
pub struct TestSink<K: Send + 'static, V: Send + 'static = u64> {
    source: TestSource<K, V>,
    add: Add<V>,
    state: Watched<State<K, V>>,
    abilities: SinkAbilities,
    says: bool,
}

/// What a value is with a difference on top of it; `None` where nothing can be added to it, as
/// `None` for the value where there is none.
type Add<V> = fn(Option<&V>, i64) -> Option<V>;

struct State<K, V> {
    closed: Option<Step>,
    waiting: usize,
    fails: Option<(WriteFault, usize)>,
    panics: usize,
    writes: usize,
    running: usize,
    running_max: usize,
    owner: Option<String>,
    epoch: u64,
    applied: HashMap<K, Sequence>,
    letters: Vec<DeadLetter<K, V>>,
}

impl<K, V> Default for State<K, V> {
    fn default() -> Self {
        Self {
            closed: None,
            waiting: 0,
            fails: None,
            panics: 0,
            writes: 0,
            running: 0,
            running_max: 0,
            owner: None,
            epoch: 0,
            applied: HashMap::new(),
            letters: Vec::new(),
        }
    }
}

impl<K> TestSink<K>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    /// A sink that commits what this source then answers, and says what it holds.
    #[must_use]
    pub fn into(source: &TestSource<K, u64>) -> Self {
        Self::adding(source, |held, delta| held.map(|held| held.wrapping_add_signed(delta)))
    }
}

impl<K, V> TestSink<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + PartialEq + Send + Sync + 'static,
{
    /// A sink that commits what this source then answers, and says what it holds. `add` says what
    /// becomes of a value, or of none, to which something is added; where it says `None`, what was
    /// held stays.
    #[must_use]
    pub fn adding(source: &TestSource<K, V>, add: fn(Option<&V>, i64) -> Option<V>) -> Self {
        let all =
            SinkAbilities { store: true, delete: true, add: true, replace: true, behind: false };
        let state = Watched::new(State::default());
        Self { source: source.clone(), add, state, abilities: all, says: true }
    }

    /// The same that keeps sequences, so that a cache can be written behind.
    #[must_use]
    pub fn behind(mut self) -> Self {
        self.abilities.behind = true;
        self
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
        let seen = |state: &State<K, V>| format!("{} of {count} writes wait", state.waiting);
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

    /// The writes that were refused after they had been acknowledged.
    #[must_use]
    pub fn letters(&self) -> Vec<DeadLetter<K, V>> {
        self.state.read(|state| state.letters.clone())
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
        expected: Option<Option<&V>>,
        write: &Write<V>,
    ) -> Result<Written<V>, WriteError> {
        let (_running, fault) = self.begin().await?;
        if expected.is_some_and(|expected| expected != self.source.value(key).as_ref()) {
            return Err(failed(WriteFault::Conflict));
        }
        let written = self.commit(key, write);
        self.end(fault).await?;
        Ok(written)
    }

    /// Counts a write in, and lets it wait or fail before it is committed. Returns how it fails
    /// afterwards, if it does.
    async fn begin(&self) -> Result<(Leave<K, V>, Option<WriteFault>), WriteError> {
        self.state.change(|state| {
            state.writes += 1;
            state.running += 1;
            state.running_max = state.running_max.max(state.running);
        });
        let running = Leave(self.state.clone(), |state| state.running -= 1);
        self.pass(Step::BeforeCommit).await;
        match self.state.change(State::next_fault) {
            Some(fault) if fault != WriteFault::Unknown => Err(failed(fault)),
            fault => Ok((running, fault)),
        }
    }

    /// Lets a write wait or fail that has been committed.
    async fn end(&self, fault: Option<WriteFault>) -> Result<(), WriteError> {
        self.pass(Step::AfterCommit).await;
        assert!(!self.state.change(State::next_panic), "the test said so");
        fault.map_or(Ok(()), |fault| Err(failed(fault)))
    }

    fn commit(&self, key: &K, write: &Write<V>) -> Written<V> {
        let held = self.source.value(key);
        let value = match write {
            Write::Store(value) => Some(value.clone()),
            Write::Delete => None,
            Write::Add(delta) => (self.add)(held.as_ref(), *delta).or(held),
        };
        match &value {
            Some(value) => self.source.set(key.clone(), value.clone()),
            None => self.source.remove(key.clone()),
        }
        match self.says {
            true => value.map_or(Written::Absent, Written::Value),
            false => Written::Unsaid,
        }
    }
}

impl<K: Eq + Hash + Clone, V> State<K, V> {
    fn guard(&self, epoch: u64) -> Result<(), WriteError> {
        if self.epoch == epoch { Ok(()) } else { Err(failed(WriteFault::Disowned)) }
    }

    /// Counts a write as applied; `false` if it was before.
    fn raise(&mut self, write: &Numbered<K, V>) -> bool {
        let is_new = self.applied.get(&write.key).is_none_or(|last| *last < write.sequence);
        if is_new {
            self.applied.insert(write.key.clone(), write.sequence);
        }
        is_new
    }

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
struct Leave<K: Send + 'static, V: Send + 'static>(Watched<State<K, V>>, fn(&mut State<K, V>));

impl<K: Send + 'static, V: Send + 'static> Drop for Leave<K, V> {
    fn drop(&mut self) {
        self.0.change(self.1);
    }
}

impl<K: Send + 'static, V: Send + 'static> fmt::Debug for TestSink<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSink").field("abilities", &self.abilities).finish_non_exhaustive()
    }
}

impl<K, V> Sink<K, V> for TestSink<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + PartialEq + Send + Sync + 'static,
{
    fn abilities(&self) -> SinkAbilities {
        self.abilities
    }

    async fn write(&self, key: &K, write: &Write<V>) -> Result<Written<V>, WriteError> {
        self.ask(key, None, write).await
    }

    async fn replace(
        &self,
        key: &K,
        expected: Option<&V>,
        write: &Write<V>,
    ) -> Result<Written<V>, WriteError> {
        self.ask(key, Some(expected), write).await
    }

    async fn own(&self, owner: &str) -> Result<u64> {
        self.state.change(|state| {
            if let Some(other) = state.owner.as_ref().filter(|other| *other != owner) {
                return Err(Error::new(ErrorKind::Refused, format!("{other} owns it")));
            }
            state.owner = Some(owner.to_owned());
            state.epoch += 1;
            Ok(state.epoch)
        })
    }

    async fn disown(&self, epoch: u64) -> Result<()> {
        self.state.change(|state| {
            if state.epoch == epoch {
                state.owner = None;
            }
        });
        Ok(())
    }

    async fn apply(
        &self,
        epoch: u64,
        batch: &[Numbered<K, V>],
    ) -> Result<Vec<Applied<V>>, WriteError> {
        let (_running, fault) = self.begin().await?;
        self.state.read(|state| state.guard(epoch))?;
        let apply = |write| match self.state.change(|state| state.raise(write)) {
            true => Applied::Now(self.commit(&write.key, &write.write)),
            false => Applied::Before,
        };
        let applied = batch.iter().map(apply).collect();
        self.end(fault).await?;
        Ok(applied)
    }

    async fn applied(&self, keys: &[K]) -> Result<Vec<Option<Sequence>>> {
        let last =
            |state: &State<K, V>| keys.iter().map(|key| state.applied.get(key).copied()).collect();
        Ok(self.state.read(last))
    }

    async fn bury(
        &self,
        epoch: u64,
        write: &Numbered<K, V>,
        reason: &str,
    ) -> Result<(), WriteError> {
        self.state.change(|state| {
            state.guard(epoch)?;
            if state.raise(write) {
                let id = state.letters.len() as u64;
                let (numbered, reason) = (write.clone(), reason.to_owned());
                state.letters.push(DeadLetter { id, numbered, reason });
            }
            Ok(())
        })
    }

    async fn requeued(&self, _: usize) -> Result<Vec<DeadLetter<K, V>>> {
        Ok(Vec::new())
    }
}
