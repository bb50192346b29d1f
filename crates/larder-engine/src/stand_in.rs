//! Standing in: what a read gets that can't be given better, because the source fails, rests, or is
//! slow.

use larder_core::{Answer, CacheKey, Error, ErrorKind, Moment, Reason, Result, State};

use crate::cache::Parts;
use crate::guard::is_failure;
use crate::held::held;
use crate::observe::What;
use crate::patience::Patience;
use crate::read::Reading;
use crate::slot::Slot;

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// What stands in while the key rests after a failure, if it does.
    pub(crate) fn resting(&self, key: &K, reading: &Reading) -> Option<Answer<V>> {
        // Where nothing stands in there is no need to ask.
        reading.soft?;
        self.flights.rests_until(key, self.engine.now())?;
        let answer = self.stand_in(key, reading.start, &reading.patience, Reason::Failing)?;
        Some(self.stood_in(key, answer))
    }

    /// What may be given to a read that starts at `start` and can't be given better: what is
    /// within the promise, and beyond it a value, for as long as that stands in. A reader that
    /// named a limit of its own is given nothing beyond that.
    pub(crate) fn stand_in(
        &self,
        key: &K,
        start: Moment,
        patience: &Patience,
        reason: Reason,
    ) -> Option<Answer<V>> {
        let (now, ground) = (self.engine.now(), self.ground());
        let horizon = ground.horizon;
        let stands_in = |slot: &Slot<V>| {
            let times = slot.times_now(ground)?;
            let promised = ground.state(&times, start) != State::Gone;
            let lenient =
                slot.value.is_some() && start <= self.window.stands_in_until(&times, horizon);
            let strict = patience.max_staleness < self.window.max_staleness;
            let too_old = strict && start - times.as_of(horizon) > patience.max_staleness;
            // It is judged by the start of the read, but given now.
            let (age, current) = (now - slot.times.loaded_at(), now - times.as_of(horizon));
            ((promised || lenient) && !too_old).then(|| Answer {
                state: State::Stale,
                reason,
                current,
                ..held(slot.value.clone(), age)
            })
        };
        self.memory.peek(key, start, stands_in).flatten()
    }

    /// Counts an answer that stands in.
    pub(crate) fn stood_in(&self, key: &K, answer: Answer<V>) -> Answer<V> {
        self.counters.stood_in(answer.age);
        self.tell(key, What::StoodIn { age: answer.age, reason: answer.reason });
        answer
    }

    /// What stands in for an error, or the error.
    pub(crate) fn stand_in_for(
        &self,
        key: &K,
        reading: &Reading,
        error: Error,
    ) -> Result<Answer<V>> {
        let stands_in =
            is_failure(&error) || matches!(error.kind(), ErrorKind::Shed | ErrorKind::Internal);
        let answer = stands_in
            .then(|| self.stand_in(key, reading.start, &reading.patience, Reason::Failing))
            .flatten();
        answer.map(|answer| self.stood_in(key, answer)).ok_or(error)
    }
}
