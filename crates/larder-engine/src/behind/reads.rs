//! Reading what waits, and what is beneath it.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Answer, CacheKey, Error, ErrorKind, KeyText, LoadContext, Moment, Result, State, Terms, Tier,
};

use super::Behind;
use super::base::Base;
use super::dirty::{Beneath, Found, Read, Seen};
use crate::cache::Parts;
use crate::departed::Departed;
use crate::fence::Fence;
use crate::fill::{Fill, Loaded, check_terms};
use crate::flight::{Flight, Landed};
use crate::load::Seek;
use crate::wait::within;

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Parts<K, V> {
    /// Lands a flight with what was acknowledged of its key, if something waits to be applied.
    pub(crate) fn land_from_dirty(
        self: &Arc<Self>,
        key: &K,
        flight: &Arc<Flight<V>>,
        seek: Seek,
    ) -> bool {
        let Some(behind) = self.behind() else { return false };
        let horizon = self.horizon();
        let since = seek.as_of_since;
        let Some(read) = self.look_dirty(behind, key, horizon, since) else { return false };
        let departed = Departed::new(self, key, flight, seek);
        match read.seen {
            Seen::Value(value) if behind.is_durable(read.last) => {
                let known = self.known(value, read.base, horizon);
                departed.land(Ok(self.landed_dirty(known, flight.fence())));
            }
            _ => self.engine.spawn(land_dirty(departed)),
        }
        true
    }

    /// What is answered for a key whose acknowledged writes are durable and known; `None`
    /// otherwise.
    pub(crate) fn dirty_answer(&self, key: &K) -> Option<Answer<V>> {
        let behind = self.behind()?;
        let horizon = self.horizon();
        let read = self.look_dirty(behind, key, horizon, Moment::ZERO)?;
        match read.seen {
            Seen::Value(value) if behind.is_durable(read.last) => {
                let known = self.known(value, read.base, horizon);
                Some(self.answer(self.landed_dirty(known, self.fence(key)), false))
            }
            _ => None,
        }
    }

    /// The same, and waits until it is so.
    pub(crate) async fn ask_dirty(&self, key: &K) -> Option<Answer<V>> {
        let known = self.read_dirty(key, Moment::ZERO).await.ok()??;
        Some(self.answer(self.landed_dirty(known, self.fence(key)), false))
    }

    /// What is seen of a key that has writes waiting, by a horizon that was read before. What is
    /// beneath is to be as current as `since`: otherwise it isn't what is seen any more.
    fn look_dirty(
        &self,
        behind: &Behind<K, V>,
        key: &K,
        horizon: Moment,
        since: Moment,
    ) -> Option<Read<V>> {
        let stands = |base: Option<&Base>| {
            base.is_none_or(|base| base.at.max(horizon) >= since && self.stands(base, horizon))
        };
        behind.dirty.doubt_unless(key, stands);
        behind.dirty.read(key)
    }

    /// What a write that waits says as a whole is the truth of this moment.
    fn known(&self, value: Option<V>, base: Option<Arc<Base>>, horizon: Moment) -> Known<V> {
        let at = base.as_ref().map_or_else(|| self.engine.now(), |base| base.at);
        Known { value, at, as_of: at.max(horizon), base }
    }

    /// It is kept nowhere but where it waits.
    fn landed_dirty(&self, known: Known<V>, fence: Fence) -> Landed<V> {
        let Known { value, at, as_of, base } = known;
        let terms = Terms::default();
        let loaded = Loaded { value, terms: &terms, held: None, at, cost: Duration::ZERO };
        let times = self.times_of(&loaded);
        Landed {
            value: loaded.value,
            times,
            as_of,
            fill: Fill::NotKept,
            born: base.as_ref().map_or(fence.born, |base| base.born),
            rider: base.and_then(|base| base.rider.clone()),
            tier: Tier::Memory,
            state: State::Fresh,
        }
    }

    /// What a read returns of a key that has writes waiting; `None` where it hasn't any more.
    async fn read_dirty(&self, key: &K, since: Moment) -> Result<Option<Known<V>>> {
        let (_, behind) = self.written_behind()?;
        let horizon = self.horizon();
        let Some(read) = self.look_dirty(behind, key, horizon, since) else { return Ok(None) };
        // Nobody is shown what an end of the process could still take back.
        behind.durable(read.last).await?;
        match read.seen {
            Seen::Value(value) => Ok(Some(self.known(value, read.base, horizon))),
            Seen::Beneath => self.read_beneath(behind, key, horizon).await,
        }
    }

    /// Reads what is held beneath differences, and what is seen with them on top of it.
    async fn read_beneath(
        &self,
        behind: &Behind<K, V>,
        key: &K,
        horizon: Moment,
    ) -> Result<Option<Known<V>>> {
        let until = self.engine.now() + self.patience.deadline;
        let doubts = loop {
            let settled = behind.settled.notified();
            match behind.dirty.pin(key) {
                Beneath::Clean => return Ok(None),
                Beneath::Known(value, base, last) => {
                    // It may say what was written since.
                    behind.durable(last).await?;
                    return Ok(Some(self.known(value, base, horizon)));
                }
                Beneath::Pinned(doubts) => break doubts,
                Beneath::Flies => {
                    let clock = &**self.engine.clock();
                    if within(clock, until, settled).await.is_none() {
                        let message = "the key is being written, and that takes long";
                        return Err(
                            Error::new(ErrorKind::Timeout, message).for_key(self.text(key)?)
                        );
                    }
                }
            }
        };
        let pin = Pin { behind, key, found: None };
        self.load_beneath(pin, doubts, until).await
    }

    /// Asks the source in its turn, as every load does, and no longer than a load may take: until
    /// it ends, what waits isn't applied.
    async fn load_beneath(
        &self,
        mut pin: Pin<'_, K, V>,
        doubts: u64,
        until: Moment,
    ) -> Result<Option<Known<V>>> {
        let source = self.source.as_ref().ok_or_else(|| {
            let message = format!(
                "the cache {} has no source, and so doesn't know what differences add up to",
                self.name
            );
            Error::new(ErrorKind::Refused, message)
        })?;
        let named = |error: Error| error.for_key(KeyText::lossy(pin.key));
        let place = self.guard.enter(self.engine.now()).map_err(named)?;
        let clock = self.engine.clock();
        let turn = within(&**clock, until, place.turn(clock)).await;
        let turn = turn.unwrap_or_else(|| Err(no_turn())).map_err(named)?;
        let (at, born, horizon) = (self.engine.now(), self.engine.events().count(), self.horizon());
        let context = LoadContext::new(self.load_timeout);
        let mut lent = context.clone();
        let (loaded, _) = self.ask_source(&place, source.load(pin.key, &mut lent)).await;
        drop(turn);
        let value = loaded.map_err(named)?;
        let terms = context.take_terms().pop().unwrap_or_default();
        check_terms(&terms)?;
        pin.found = Some(Found { value, base: self.base_of(&terms, at, born), doubts });
        let behind = pin.behind;
        match pin.end() {
            Some(Read { seen: Seen::Value(value), base, last }) => {
                // What was written meanwhile is on top of it, too.
                behind.durable(last).await?;
                Ok(Some(self.known(value, base, horizon)))
            }
            Some(Read { seen: Seen::Beneath, .. }) => {
                let message = format!(
                    "the cache {} doesn't know how a difference changes its values: say it with \
                     add_with, or wait until it is applied",
                    self.name
                );
                Err(Error::new(ErrorKind::Refused, message))
            }
            None => Ok(None),
        }
    }
}

fn no_turn() -> Error {
    let message = "the source had no turn for what is beneath writes that wait to be applied";
    Error::new(ErrorKind::Timeout, message)
}

/// Lands a flight when what waits is durable and known.
async fn land_dirty<K, V>(departed: Departed<K, V>)
where
    K: CacheKey,
    V: Clone + Send + Sync + 'static,
{
    let parts = Arc::clone(departed.parts());
    let read = parts.read_dirty(departed.key(), departed.seek().as_of_since).await;
    match read {
        Ok(Some(known)) => {
            let landed = parts.landed_dirty(known, departed.fence());
            departed.land(Ok(landed));
        }
        // It was applied meanwhile.
        Ok(None) => parts.depart_alone(departed),
        Err(error) => departed.land(Err(error)),
    }
}

/// A key whose writes aren't applied meanwhile.
struct Pin<'a, K: CacheKey, V: Clone + Send + Sync + 'static> {
    behind: &'a Behind<K, V>,
    key: &'a K,
    found: Option<Found<V>>,
}

/// What is known of a key that has writes waiting.
struct Known<V> {
    value: Option<V>,
    /// When what it rests on was read.
    at: Moment,
    as_of: Moment,
    base: Option<Arc<Base>>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Pin<'_, K, V> {
    /// What is seen now.
    fn end(mut self) -> Option<Read<V>> {
        let read = self.release();
        std::mem::forget(self);
        read
    }

    fn release(&mut self) -> Option<Read<V>> {
        let read = self.behind.dirty.unpin(self.key, self.found.take());
        self.behind.wake.notify_one();
        read
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Drop for Pin<'_, K, V> {
    fn drop(&mut self) {
        self.release();
    }
}
