//! A source that counts what it is asked, and waits, fails or panics when a test says so.
//!
//! It knows no runtime and no clock: a load ends at once or when the test opens the gate.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use larder_core::{Error, ErrorKind, LoadContext, LoadError, Source};

use crate::watched::Watched;

/// A [`Source`] in the hands of a test. Clones are the same source.
///
/// What a load returns is decided when it *arrives*, before it waits at a closed gate: an old
/// value can so be made to come back late, after the test has changed it.
///
/// ```
/// use larder_core::{LoadContext, Source};
/// use larder_test::TestSource;
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let source = TestSource::of([(1, "one")]);
/// let mut context = LoadContext::new(Duration::from_secs(1));
/// assert_eq!(source.load(&1, &mut context).await.unwrap(), Some("one"));
/// assert_eq!(source.load(&2, &mut context).await.unwrap(), None);
/// assert_eq!(source.loads(), 2);
/// # });
/// ```
pub struct TestSource<K, V> {
    state: Watched<State<K, V>>,
    batch_max: usize,
}

type Compute<K, V> = Arc<dyn Fn(&K) -> Option<V> + Send + Sync>;

struct State<K, V> {
    answers: HashMap<K, Option<V>>,
    otherwise: Compute<K, V>,
    fault: Fault,
    gate: Gate,
    counts: Counts,
    loads_by_key: HashMap<K, usize>,
}

/// What goes wrong, and how often from now on.
#[derive(Clone, Copy)]
enum Fault {
    None,
    Fail { kind: ErrorKind, times: usize },
    Panic { times: usize },
}

impl Fault {
    /// What goes wrong this time.
    fn next(&mut self) -> Self {
        let fault = *self;
        match self {
            Self::Fail { times: 0, .. } | Self::Panic { times: 0 } => return Self::None,
            Self::Fail { times, .. } | Self::Panic { times } => *times -= 1,
            Self::None => {}
        }
        fault
    }
}

enum Gate {
    Open,
    /// Closed, but for so many.
    Closed {
        passes: usize,
    },
}

impl Gate {
    /// Whether one more may pass, which is then done.
    fn pass(&mut self) -> bool {
        match self {
            Self::Open => true,
            Self::Closed { passes: 0 } => false,
            Self::Closed { passes } => {
                *passes -= 1;
                true
            }
        }
    }
}

/// What has been counted.
#[derive(Debug, Default)]
struct Counts {
    loads: usize,
    batches: Vec<usize>,
    running: usize,
    running_max: usize,
    /// In the order of arrival.
    waiting: BTreeSet<usize>,
}

impl<K, V> TestSource<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    /// A source that has these values and no others.
    pub fn of(values: impl IntoIterator<Item = (K, V)>) -> Self {
        let source = Self::answering(|_| None);
        values.into_iter().for_each(|(key, value)| source.set(key, value));
        source
    }

    /// A source that answers by computing.
    pub fn answering(answer: impl Fn(&K) -> Option<V> + Send + Sync + 'static) -> Self {
        let state = State {
            answers: HashMap::new(),
            otherwise: Arc::new(answer),
            fault: Fault::None,
            gate: Gate::Open,
            counts: Counts::default(),
            loads_by_key: HashMap::new(),
        };
        Self { state: Watched::new(state), batch_max: 1 }
    }

    /// The same source, taking up to `keys` keys in one question.
    #[must_use]
    pub fn batching(self, keys: usize) -> Self {
        Self { batch_max: keys, ..self }
    }

    /// From now on `key` has this value.
    pub fn set(&self, key: K, value: V) {
        self.state.change(|state| state.answers.insert(key, Some(value)));
    }

    /// What `key` has.
    #[must_use]
    pub fn value(&self, key: &K) -> Option<V> {
        let (set, otherwise) = self
            .state
            .read(|state| (state.answers.get(key).cloned(), Arc::clone(&state.otherwise)));
        set.unwrap_or_else(|| otherwise(key))
    }

    /// From now on `key` has no value.
    pub fn remove(&self, key: K) {
        self.state.change(|state| state.answers.insert(key, None));
    }

    /// The next `times` questions fail with an error of this kind. Replaces what was to go wrong
    /// before.
    pub fn fail_next(&self, times: usize, kind: ErrorKind) {
        self.state.change(|state| state.fault = Fault::Fail { kind, times });
    }

    /// All questions fail with an error of this kind, until [`succeed`](TestSource::succeed).
    pub fn fail(&self, kind: ErrorKind) {
        self.fail_next(usize::MAX, kind);
    }

    /// The next `times` questions panic. Replaces what was to go wrong before.
    pub fn panic_next(&self, times: usize) {
        self.state.change(|state| state.fault = Fault::Panic { times });
    }

    /// Nothing goes wrong from now on.
    pub fn succeed(&self) {
        self.state.change(|state| state.fault = Fault::None);
    }

    /// Closes the gate: questions arrive, are counted, and wait.
    pub fn close(&self) {
        self.state.change(|state| state.gate = Gate::Closed { passes: 0 });
    }

    /// Opens the gate: all that wait go on, and nothing waits any more.
    pub fn open(&self) {
        self.state.change(|state| state.gate = Gate::Open);
    }

    /// Closes the gate for all but the next `count` of those that wait or will wait, in the order
    /// in which they arrived.
    pub fn let_pass(&self, count: usize) {
        self.state.change(|state| state.gate = Gate::Closed { passes: count });
    }

    /// Waits until at least `count` questions wait at the closed gate.
    ///
    /// # Panics
    ///
    /// When they don't within 30 seconds of the machine's time.
    pub async fn until_waiting(&self, count: usize) {
        let seen =
            |state: &State<K, V>| format!("{} of {count} loads wait", state.counts.waiting.len());
        self.state.until_soon(|state| state.counts.waiting.len() >= count, seen).await;
    }

    /// How many keys have been asked for one by one.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.state.read(|state| state.counts.loads)
    }

    /// How many keys each batch asked for, in the order of arrival.
    #[must_use]
    pub fn batches(&self) -> Vec<usize> {
        self.state.read(|state| state.counts.batches.clone())
    }

    /// How often `key` has been asked for, alone or in a batch.
    #[must_use]
    pub fn loads_of(&self, key: &K) -> usize {
        self.state.read(|state| state.loads_by_key.get(key).copied().unwrap_or(0))
    }

    /// How many questions, single or batch, have arrived and are neither answered nor dropped.
    #[must_use]
    pub fn running(&self) -> usize {
        self.state.read(|state| state.counts.running)
    }

    /// The most that ever ran at once.
    #[must_use]
    pub fn running_max(&self) -> usize {
        self.state.read(|state| state.counts.running_max)
    }

    /// How many questions wait at the closed gate.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.read(|state| state.counts.waiting.len())
    }

    /// One question: arrive, take the answer, wait at the gate, go wrong or return it.
    async fn ask(&self, keys: &[K]) -> Result<Vec<Option<V>>, LoadError> {
        let (found, otherwise, fault) = self.state.change(|state| state.arrive(keys));
        let leave = |counts: &mut Counts| counts.running -= 1;
        let _running = Leave { state: self.state.clone(), leave };
        // Computed without the lock, because a test's own code runs here.
        let answers =
            keys.iter().zip(found).map(|(key, found)| found.unwrap_or_else(|| otherwise(key)));
        let answers = answers.collect();
        self.pass_the_gate().await;
        match fault {
            Fault::None => Ok(answers),
            Fault::Fail { kind, .. } => Err(Error::new(kind, "the test said so").into()),
            Fault::Panic { .. } => panic!("the test said so"),
        }
    }

    async fn pass_the_gate(&self) {
        let Some(id) = self.state.change(State::queue) else {
            return;
        };
        let leave = move |counts: &mut Counts| {
            counts.waiting.remove(&id);
        };
        let _waiting = Leave { state: self.state.clone(), leave };
        // Whoever leaves wakes the others, so that the next in line sees that it is.
        let first = |state: &State<K, V>| state.counts.waiting.first() == Some(&id);
        self.state.until(|state| state.is_open() || (first(state) && state.gate.pass())).await;
    }
}

impl<K: Eq + Hash + Clone, V: Clone> State<K, V> {
    /// Counts a question and says what was set for its keys, how to compute what wasn't, and
    /// what goes wrong.
    fn arrive(&mut self, keys: &[K]) -> (Vec<Option<Option<V>>>, Compute<K, V>, Fault) {
        for key in keys {
            *self.loads_by_key.entry(key.clone()).or_default() += 1;
        }
        self.counts.running += 1;
        self.counts.running_max = self.counts.running_max.max(self.counts.running);
        let found = keys.iter().map(|key| self.answers.get(key).cloned()).collect();
        (found, Arc::clone(&self.otherwise), self.fault.next())
    }

    /// Takes a place among those who wait, unless the gate is open.
    fn queue(&mut self) -> Option<usize> {
        if self.is_open() {
            return None;
        }
        let id = self.counts.waiting.last().map_or(0, |last| last + 1);
        self.counts.waiting.insert(id);
        Some(id)
    }

    fn is_open(&self) -> bool {
        matches!(self.gate, Gate::Open)
    }
}

/// Counts a question out when it ends, also when it is dropped or panics.
struct Leave<K: Send + 'static, V: Send + 'static, F: Fn(&mut Counts)> {
    state: Watched<State<K, V>>,
    leave: F,
}

impl<K: Send + 'static, V: Send + 'static, F: Fn(&mut Counts)> Drop for Leave<K, V, F> {
    fn drop(&mut self) {
        self.state.change(|state| (self.leave)(&mut state.counts));
    }
}

impl<K, V> Source<K, V> for TestSource<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    async fn load(&self, key: &K, _: &mut LoadContext) -> Result<Option<V>, LoadError> {
        self.state.change(|state| state.counts.loads += 1);
        let answers = self.ask(std::slice::from_ref(key)).await?;
        Ok(answers.into_iter().next().flatten())
    }

    async fn load_many(
        &self,
        keys: &[K],
        _: &mut LoadContext,
    ) -> Result<Vec<Option<V>>, LoadError> {
        self.state.change(|state| state.counts.batches.push(keys.len()));
        self.ask(keys).await
    }

    fn batch_max(&self) -> usize {
        self.batch_max
    }
}

impl<K, V> Clone for TestSource<K, V> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), batch_max: self.batch_max }
    }
}

impl<K: Send + 'static, V: Send + 'static> fmt::Debug for TestSource<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.read(|state| state.counts.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinHandle;

    use super::*;

    type Loaded = Result<Option<u32>, LoadError>;

    fn squares() -> TestSource<u32, u32> {
        TestSource::answering(|key: &u32| key.checked_mul(*key))
    }

    async fn load(source: &TestSource<u32, u32>, key: u32) -> Loaded {
        source.load(&key, &mut LoadContext::new(Duration::MAX)).await
    }

    fn start(source: &TestSource<u32, u32>, key: u32) -> JoinHandle<Loaded> {
        let source = source.clone();
        tokio::spawn(async move { load(&source, key).await })
    }

    fn kind(loaded: Loaded) -> ErrorKind {
        Error::from_loader(loaded.unwrap_err()).kind()
    }

    #[tokio::test]
    async fn what_is_set_comes_before_what_is_computed() {
        let source = squares();
        assert_eq!(load(&source, 3).await.unwrap(), Some(9));
        source.set(3, 7);
        assert_eq!(load(&source, 3).await.unwrap(), Some(7));
        source.remove(3);
        assert_eq!(load(&source, 3).await.unwrap(), None);
        assert_eq!((source.loads(), source.loads_of(&3), source.loads_of(&4)), (3, 3, 0));
    }

    #[tokio::test]
    async fn batches_are_counted_with_their_keys() {
        let source = squares().batching(10);
        assert_eq!((squares().batch_max(), source.batch_max()), (1, 10));
        let mut context = LoadContext::new(Duration::MAX);
        let answers = source.load_many(&[1, u32::MAX, 3], &mut context).await.unwrap();
        assert_eq!(answers, [Some(1), None, Some(9)]);
        source.load_many(&[3], &mut context).await.unwrap();
        assert_eq!(source.batches(), [3, 1]);
        assert_eq!((source.loads(), source.loads_of(&3)), (0, 2));
    }

    #[tokio::test]
    async fn it_fails_as_often_as_told() {
        let source = squares();
        source.fail_next(2, ErrorKind::SourceDown);
        assert_eq!(kind(load(&source, 1).await), ErrorKind::SourceDown);
        assert_eq!(kind(load(&source, 1).await), ErrorKind::SourceDown);
        load(&source, 1).await.unwrap();
        source.fail_next(0, ErrorKind::SourceDown);
        load(&source, 1).await.unwrap();
        source.fail(ErrorKind::Timeout);
        for _ in 0..10 {
            assert_eq!(kind(load(&source, 1).await), ErrorKind::Timeout);
        }
        source.succeed();
        load(&source, 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_leaves_the_counts_right() {
        let source = squares();
        source.panic_next(1);
        assert!(start(&source, 1).await.unwrap_err().is_panic());
        assert_eq!((source.loads(), source.running()), (1, 0));
        load(&source, 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_closed_gate_holds_loads_until_it_opens() {
        let source = squares();
        source.close();
        let loads: Vec<_> = (1..=3).map(|key| start(&source, key)).collect();
        source.until_waiting(3).await;
        assert_eq!((source.running(), source.waiting(), source.running_max()), (3, 3, 3));
        source.open();
        for (key, load) in (1..).zip(loads) {
            assert_eq!(load.await.unwrap().unwrap(), Some(key * key));
        }
        assert_eq!((source.running(), source.waiting(), source.running_max()), (0, 0, 3));
        load(&source, 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_held_load_returns_what_was_there_when_it_arrived() {
        let source = TestSource::of([(1, 10)]);
        source.close();
        let old = start(&source, 1);
        source.until_waiting(1).await;
        source.set(1, 11);
        source.fail(ErrorKind::SourceDown);
        source.open();
        assert_eq!(old.await.unwrap().unwrap(), Some(10));
    }

    #[tokio::test]
    async fn the_first_pass_and_the_others_wait_on() {
        let source = squares();
        source.close();
        let loads: Vec<_> = (1..=3).map(|key| start(&source, key)).collect();
        source.until_waiting(3).await;
        source.let_pass(2);
        let [first, second, third]: [JoinHandle<Loaded>; 3] = loads.try_into().unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        assert_eq!((source.running(), source.waiting()), (1, 1));
        source.open();
        third.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_dropped_load_is_counted_out() {
        let source = squares();
        source.close();
        let load = start(&source, 1);
        source.until_waiting(1).await;
        load.abort();
        assert!(load.await.unwrap_err().is_cancelled());
        assert_eq!((source.loads(), source.running(), source.waiting()), (1, 0, 0));
    }
}
