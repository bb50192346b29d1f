//! What bodies take of their store, and which one goes when there is no more.
//!
//! Room is taken under one lock before anything is written into it, so writers keep the bound
//! together. What is evicted leaves its room to the one who evicts it, who removes the files before
//! he writes. Nothing here waits for a disk.
//!
//! The order is S3-FIFO's: what is asked for once goes through a tenth of the store, and disturbs
//! nothing that is asked for more often. A body that is being sent counts as used, and isn't
//! evicted; nor is one that is being written, which has no place in the order yet.

use std::collections::VecDeque;
use std::sync::Arc;

use larder_memory::policy::{Entries, Policy, S3Fifo, SLOTS_MAX};

use super::body::{Body, Closed};

/// How files take room: in whole blocks.
const BLOCK_BYTES: u64 = 4096;
/// How often another victim is looked for because one is being sent. Where something isn't, the
/// first search has taken its marks, and the second finds it.
const SEARCHES: usize = 3;

/// See the module's documentation.
pub(super) struct Room {
    bytes_max: u64,
    /// What is taken, in bytes.
    bytes: u64,
    /// What of that is in the order.
    in_order: u64,
    policy: S3Fifo,
    places: Places,
    /// Files that couldn't be removed: they take their room until they are, so there are no more of
    /// them than bodies have room.
    stuck: VecDeque<Stuck>,
}

/// A file that couldn't be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stuck {
    /// The number in its name.
    pub(super) number: u64,
    /// What it takes, in bytes.
    pub(super) bytes: u64,
}

/// What came of an attempt to take room.
pub(super) struct Taken {
    /// Whether there was enough. Then the room of the victims is part of it; else it is still
    /// taken.
    pub(super) fits: bool,
    /// Nobody begins to read them any more. Whoever took the room removes them.
    pub(super) victims: Vec<Arc<Body>>,
}

/// What a file of so many bytes takes.
pub(super) fn room_of(bytes: u64) -> u64 {
    bytes.max(1).div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

impl Room {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            in_order: 0,
            policy: S3Fifo::new(bytes_max),
            places: Places::default(),
            stuck: VecDeque::new(),
        }
    }

    /// What is taken, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bound.
    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// How many files couldn't be removed.
    pub(super) fn stuck(&self) -> usize {
        self.stuck.len()
    }

    /// A file to try to remove once more, before so many bytes are taken; `None` where there is
    /// room.
    pub(super) fn unstick(&mut self, bytes: u64) -> Option<Stuck> {
        if self.fits(self.bytes, bytes) { None } else { self.stuck.pop_front() }
    }

    /// Takes so many bytes, and evicts what it must. Where that couldn't be enough it evicts
    /// nothing.
    pub(super) fn take(&mut self, bytes: u64) -> Taken {
        let (mut victims, mut freed) = (Vec::new(), 0);
        if self.fits(self.bytes - self.in_order, bytes) {
            while !self.fits(self.bytes - freed, bytes) {
                let Some(victim) = self.evict() else { break };
                freed += victim.room();
                victims.push(victim);
            }
        }
        let fits = self.fits(self.bytes - freed, bytes);
        if fits {
            self.bytes = self.bytes - freed + bytes;
        }
        Taken { fits, victims }
    }

    /// Whether so many bytes more have room where so many are taken.
    fn fits(&self, taken: u64, more: u64) -> bool {
        taken.checked_add(more).is_some_and(|sum| sum <= self.bytes_max)
    }

    /// Gives so many bytes back.
    pub(super) fn give(&mut self, bytes: u64) {
        self.bytes -= bytes;
    }

    /// A file couldn't be removed whose room is still taken.
    pub(super) fn stick(&mut self, stuck: Stuck) {
        self.stuck.push_back(stuck);
    }

    /// The same of one whose room somebody else has by now: it takes what it takes.
    pub(super) fn stick_beside(&mut self, stuck: Stuck) {
        self.bytes += stuck.bytes;
        self.stick(stuck);
    }

    /// A body that is complete may be evicted from here on; `false` where it is closed already, or
    /// there are too many.
    pub(super) fn admit(&mut self, body: &Arc<Body>) -> bool {
        if body.is_closed() {
            return false;
        }
        let Some(place) = self.places.put(body) else { return false };
        self.policy.insert(place, &self.places);
        self.in_order += body.room();
        true
    }

    /// Closes a body, which isn't evicted any more: it goes by itself.
    pub(super) fn close(&mut self, body: &Body) -> Closed {
        // Under the lock: a body in the order is open, and what is given back isn't in it.
        let closed = body.close();
        if let Some(place) = body.place() {
            self.policy.remove(place, &self.places);
            self.take_out(place);
        }
        closed
    }

    /// The body that is needed least, which nobody begins to read any more; `None` where all are
    /// being sent.
    fn evict(&mut self) -> Option<Arc<Body>> {
        for _ in 0..SEARCHES {
            let place = self.policy.evict(&self.places)?;
            let body = self.take_out(place)?;
            if body.evict() {
                return Some(body);
            }
            self.admit(&body);
        }
        None
    }

    fn take_out(&mut self, place: u32) -> Option<Arc<Body>> {
        let body = self.places.take(place)?;
        self.in_order -= body.room();
        Some(body)
    }
}

/// The bodies in the order, by their places.
#[derive(Default)]
struct Places {
    bodies: Vec<Option<Arc<Body>>>,
    free: Vec<u32>,
}

impl Places {
    fn put(&mut self, body: &Arc<Body>) -> Option<u32> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let next =
                    u32::try_from(self.bodies.len()).ok().filter(|next| *next < SLOTS_MAX)?;
                self.bodies.push(None);
                next
            }
        };
        body.stand_in(Some(place));
        self.bodies[place as usize] = Some(Arc::clone(body));
        Some(place)
    }

    fn take(&mut self, place: u32) -> Option<Arc<Body>> {
        let body = self.bodies[place as usize].take()?;
        body.stand_in(None);
        self.free.push(place);
        Some(body)
    }

    fn of<T: Default>(&self, place: u32, what: impl FnOnce(&Body) -> T) -> T {
        self.bodies[place as usize].as_deref().map(what).unwrap_or_default()
    }
}

impl Entries for Places {
    fn hash(&self, slot: u32) -> u32 {
        self.of(slot, Body::hash)
    }

    fn weight(&self, slot: u32) -> u64 {
        self.of(slot, Body::room)
    }

    fn cost(&self, _slot: u32) -> u32 {
        1
    }

    fn uses(&self, slot: u32) -> u8 {
        self.of(slot, Body::uses)
    }

    fn set_uses(&self, slot: u32, uses: u8) {
        self.of(slot, |body| body.set_uses(uses));
    }
}
