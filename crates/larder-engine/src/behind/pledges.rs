//! What everybody was told of the keys that have writes waiting, where the cache is guarded: a
//! *pledge* is an intent that stands from before the first acknowledgement until the last write is
//! applied. Meanwhile nobody elsewhere keeps what he loads of the key, as with any other writer.
//!
//! Of a key there is one, however many write it. It is given by who comes first, and taken back by
//! whoever finds that nothing is left to be applied and nobody is about to write; only one at a
//! time talks to the others about a key, and who comes meanwhile waits for him.
//!
//! Nothing here waits, or knows a tier or a bus: see `announcing`.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use larder_core::sync::Mutex;
use larder_core::{CacheKey, Moment};

use crate::runtime::Notify;
use crate::shared::Announced;

/// See the module's documentation.
pub(super) struct Pledges<K> {
    held: Mutex<Held<K>>,
    /// Somebody has ended talking about a key.
    pub(super) changed: Notify,
    max: usize,
}

struct Held<K> {
    keys: HashMap<K, Pledge, RandomState>,
    /// How many are about to write, all keys together.
    writers: usize,
}

#[derive(Default)]
struct Pledge {
    given: Option<Given>,
    /// Somebody talks about it.
    is_busy: bool,
    /// So many are about to write.
    writers: usize,
}

/// What stands, and until when if it isn't given anew.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) announced: Announced,
    pub(super) until: Moment,
}

/// What somebody finds who is about to write, or to apply. But for the last two, he is counted
/// until he [leaves](Pledges::leave).
pub(super) enum Found {
    /// It stands for long enough.
    Given,
    /// He is to give it, or to give anew what stands, and to [say](Pledges::said) what came of it.
    Give(Option<Given>),
    /// Somebody talks about it.
    Busy,
    /// So many are about to write, or were given, that there may be no more.
    Full,
}

/// What somebody finds who has applied what there was.
pub(super) enum Ending {
    /// He is to take it back, and to [say](Pledges::said) so.
    TakeBack(Announced),
    /// Somebody is about to write, or sees to it.
    Stands,
    /// There is none.
    None,
}

/// Who is about to write, and who applies what was acknowledged, which has to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Writer,
    Lane,
}

impl<K: CacheKey> Pledges<K> {
    /// None yet, and at most about so many at once.
    pub(super) fn new(max: usize) -> Self {
        let held = Held { keys: HashMap::default(), writers: 0 };
        Self { held: Mutex::new(held), changed: Notify::new(), max: max.max(1) }
    }

    /// Looks whether it stands until then at least.
    pub(super) fn enter(&self, key: &K, until: Moment, who: Who) -> Found {
        let mut held = self.held.lock();
        let Held { keys, writers } = &mut *held;
        let is_full = *writers >= self.max || keys.len() >= self.max && !keys.contains_key(key);
        if who == Who::Writer && is_full {
            return Found::Full;
        }
        let pledge = keys.entry(key.clone()).or_default();
        if pledge.is_busy {
            return Found::Busy;
        }
        pledge.writers += 1;
        *writers += 1;
        if pledge.given.as_ref().is_some_and(|given| given.until >= until) {
            return Found::Given;
        }
        pledge.is_busy = true;
        Found::Give(pledge.given.clone())
    }

    /// Ends talking about a key: this is what stands.
    pub(super) fn said(&self, key: &K, given: Option<Given>) {
        let mut held = self.held.lock();
        if let Some(pledge) = held.keys.get_mut(key) {
            pledge.is_busy = false;
            pledge.given = given;
        }
        held.forget_if_empty(key);
        drop(held);
        self.changed.notify_waiters();
    }

    /// Somebody isn't about to write any more. Returns whether it is to be taken back, as nothing
    /// waits that would see to it.
    pub(super) fn leave(&self, key: &K, is_idle: impl FnOnce() -> bool) -> bool {
        let mut held = self.held.lock();
        held.writers -= 1;
        let Some(pledge) = held.keys.get_mut(key) else { return false };
        pledge.writers -= 1;
        let is_left = pledge.writers == 0 && !pledge.is_busy && pledge.given.is_some();
        let is_over = is_left && is_idle();
        held.forget_if_empty(key);
        is_over
    }

    /// Begins to take it back, if nobody is about to write and nothing waits.
    pub(super) fn end(&self, key: &K, is_idle: impl FnOnce() -> bool) -> Ending {
        let mut held = self.held.lock();
        let Some(pledge) = held.keys.get_mut(key) else { return Ending::None };
        if pledge.is_busy || pledge.writers > 0 || !is_idle() {
            return Ending::Stands;
        }
        let Some(given) = &pledge.given else { return Ending::None };
        pledge.is_busy = true;
        Ending::TakeBack(given.announced.clone())
    }

    /// Those of these keys whose pledges don't stand until then.
    pub(super) fn lacking<'a>(&self, keys: impl Iterator<Item = &'a K>, until: Moment) -> Vec<K>
    where
        K: 'a,
    {
        let held = self.held.lock();
        let stands = |key: &K| {
            let given = held.keys.get(key).filter(|pledge| !pledge.is_busy)?.given.as_ref()?;
            Some(given.until >= until)
        };
        keys.filter(|key| stands(key) != Some(true)).cloned().collect()
    }

    /// Begins to give anew what doesn't stand until then; `None` where somebody else does.
    pub(super) fn renew(&self, key: &K, until: Moment) -> Option<Given> {
        let mut held = self.held.lock();
        let pledge = held.keys.get_mut(key).filter(|pledge| !pledge.is_busy)?;
        let given = pledge.given.clone().filter(|given| given.until < until)?;
        pledge.is_busy = true;
        Some(given)
    }

    /// Those that stand, and not until then.
    pub(super) fn due(&self, until: Moment) -> Vec<K> {
        let held = self.held.lock();
        let is_due = |pledge: &Pledge| {
            !pledge.is_busy && pledge.given.as_ref().is_some_and(|given| given.until < until)
        };
        held.keys.iter().filter(|(_, pledge)| is_due(pledge)).map(|(key, _)| key.clone()).collect()
    }
}

impl<K: CacheKey> Held<K> {
    fn forget_if_empty(&mut self, key: &K) {
        let is_empty =
            |pledge: &Pledge| pledge.given.is_none() && !pledge.is_busy && pledge.writers == 0;
        if self.keys.get(key).is_some_and(is_empty) {
            self.keys.remove(key);
        }
    }
}
