//! Writes that are announced before they are committed, and ended after it.
//!
//! 1. Here: the writer is noted, and the key struck. In the tier: what is held is dropped, the
//!    lease is void, and nobody leases or fills. On the bus: the others do as was done here.
//! 2. The sink commits. Whoever reads meanwhile asks the source and keeps nothing; the writer may
//!    die, and nothing that is old is kept anywhere.
//! 3. The end: in the tier and on the bus in one step, then here. What was written is left in both
//!    places, if no other writer and no invalidation overlapped it in either.
//!
//! Where nobody knows whether it was committed, the intent stays for its time: the commit may still
//! come. If the end can't be told, the one door takes over, which repeats until it is done.
//!
//! If step 1 fails, a guarded write goes on without, as a bounded one; a strict one is refused.

use larder_core::bus::Position;
use larder_core::shared::{Ended, MarkClock};
use larder_core::{CacheKey, Error, ErrorKind, KeyText, Result};

use crate::consistency::Consistency;
use crate::install::Returned;
use crate::invalidate::Invalidation;
use crate::shared::{Announced, Sealing};
use crate::write::{Install, WriteMode, Writes};
use crate::writing::Writing;

/// An announced write under way.
pub(crate) struct Guarding {
    announced: Announced,
    /// What was known of the marks before.
    marks: Option<(u32, MarkClock)>,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Writing<K, V> {
    /// Announces the write, where the cache asks for it.
    ///
    /// # Errors
    ///
    /// `SharedDown` where a strict write can't be announced: nothing is written.
    pub(crate) async fn announce(&self, writes: &Writes<K, V>) -> Result<Option<Guarding>> {
        let parts = &self.parts;
        let shared = parts.engine.shared().filter(|_| parts.consistency.is_guarded());
        let Some(shared) = shared else { return Ok(None) };
        let marks = parts.marks_known(shared);
        // As long as the answers before the commit may take, and the write; and for as long as a
        // commit that its writer has given up on may still come.
        let time = writes.timeout + writes.lingers() + shared.bounds.write_within * 2;
        match parts.announce(shared, &self.key, time).await {
            Ok(announced) => Ok(Some(Guarding { announced, marks })),
            Err(error) if parts.consistency == Consistency::Strict => {
                Err(unannounced(error).for_key(KeyText::lossy(&self.key)))
            }
            Err(_) => {
                parts.counters.unguarded.add(1);
                Ok(None)
            }
        }
    }

    /// Ends a write that was committed. Returns where it stands on the bus, and whether everybody
    /// has been told.
    pub(crate) async fn conclude(
        &mut self,
        writes: &Writes<K, V>,
        returned: &Returned<'_, V>,
        guarding: &Guarding,
    ) -> (Option<Position>, bool) {
        let parts = &self.parts;
        let Some(shared) = parts.engine.shared() else { return (None, true) };
        let announced = &guarding.announced;
        // What is held elsewhere may have tags that nobody here has ever seen.
        let is_wanted = writes.mode == WriteMode::Through
            && writes.written.is_some()
            && (announced.begun.was_held || writes.install == Install::Always);
        let entry =
            is_wanted.then(|| parts.entry_of_written(&self.key, writes, returned)).flatten();
        let sealed = entry.as_ref().zip(guarding.marks).and_then(|((slot, _), marks)| {
            let sealing = Sealing {
                stamp: parts.engine.stamp(),
                incarnation: announced.begun.incarnation,
                marks,
                times: &slot.times,
                cost: slot.cost(),
                rider: slot.rider.as_deref(),
            };
            parts.seal(slot.value.as_ref(), &sealing)
        });
        match parts.conclude(shared, announced, Ended::Committed(sealed)).await {
            Ok((is_held, position)) => {
                match entry.filter(|_| is_held) {
                    Some(entry) => drop(parts.put(&self.key, entry, |_| {
                        parts.overlapped_by_nothing(returned.fence)
                            && !parts.has_other_writer(shared, announced)
                    })),
                    None => self.strike(),
                }
                self.parts.forget_writer(shared, announced);
                self.is_open = false;
                self.parts.changed(&self.key);
                (position, true)
            }
            Err(_) => {
                let shared = std::sync::Arc::clone(shared);
                let told = self.invalidate().await;
                self.parts.forget_writer(&shared, announced);
                told
            }
        }
    }

    /// Ends a write of which nobody knows whether it was, or will be, committed.
    pub(crate) async fn leave_open(&mut self, guarding: &Guarding) {
        let Some(shared) = self.parts.engine.shared() else { return };
        let ended = self.parts.conclude(shared, &guarding.announced, Ended::Unknown).await;
        match ended {
            Ok(_) => {
                self.strike();
                self.parts.changed(&self.key);
            }
            Err(_) => drop(self.invalidate().await),
        }
    }

    /// Ends a write that wasn't committed. If nobody can be told, the intent ends with its time.
    pub(crate) async fn abort(&mut self, guarding: &Guarding) {
        // There is nothing that anybody would have to be told.
        self.is_open = false;
        let Some(shared) = self.parts.engine.shared() else { return };
        let _ = self.parts.conclude(shared, &guarding.announced, Ended::Aborted).await;
        self.strike();
        self.parts.forget_writer(shared, &guarding.announced);
    }

    fn strike(&self) {
        self.parts.strike(&self.key, self.parts.engine.now(), Invalidation::Drop);
    }
}

/// What a strict cache says of a write that can't be announced.
pub(crate) fn unannounced(error: Error) -> Error {
    let message = "the write couldn't be announced to the shared tier and the bus, and this cache \
                   is strict: nothing was written";
    Error::new(ErrorKind::SharedDown, message).caused_by(error)
}
