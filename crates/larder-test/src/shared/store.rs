//! What a simulated server holds: entries, leases, marks, and the rules by which they change. It
//! is the shared tier's contract, line by line.
//!
//! It knows no clock, no connection and no bus: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use larder_core::Moment;
use larder_core::envelope::{Envelope, STATE_AT, STATE_FRESH, STATE_STALE};
use larder_core::shared::{
    Ended, Incarnation, Intent, Invalidation, Lease, Mark, MarkClock, Marks, SharedEntry,
    SharedFill, SharedRead,
};

use super::random_unlike;

/// Entries, leases and marks of one run of a server.
#[derive(Clone, Debug)]
pub(super) struct Store {
    incarnation: Incarnation,
    entries: BTreeMap<Bytes, Entry>,
    leases: BTreeMap<Bytes, Granted>,
    /// The intents of each key's writers, with their ends.
    intents: BTreeMap<Bytes, Vec<(Intent, Moment)>>,
    /// The writer of a key that was alone, with its beginning and its end.
    owners: BTreeMap<Bytes, (Intent, Moment, Moment)>,
    /// Never given out twice, not even by two runs.
    next_token: u64,
    mark_incarnation: u32,
    mark_clock: MarkClock,
    /// One for each strike: what was dropped stays so when it is marked stale later.
    marks: BTreeMap<(MarkName, bool), (Mark, Invalidation, MarkClock)>,
    resolution: Duration,
    /// The most entries, leases and marks, each.
    held_max: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    envelope: Bytes,
    expires_at: Moment,
}

#[derive(Clone, Debug)]
struct Granted {
    token: Bytes,
    /// The run that granted it.
    incarnation: Incarnation,
    granted_at: Moment,
    expires_at: Moment,
}

/// What orders marks: a kind, a bucket and names.
type MarkName = (u8, u16, Box<str>, Box<str>);

impl Store {
    pub(super) fn new(held_max: usize) -> Self {
        Self {
            incarnation: Incarnation(random_unlike(0)),
            entries: BTreeMap::new(),
            leases: BTreeMap::new(),
            intents: BTreeMap::new(),
            owners: BTreeMap::new(),
            next_token: 0,
            mark_incarnation: random_unlike(0),
            mark_clock: MarkClock(0),
            marks: BTreeMap::new(),
            resolution: Duration::from_millis(1),
            held_max,
        }
    }

    /// Nothing, in another run.
    pub(super) fn restarted(&self) -> Self {
        let mut store = self.rolled_back(&Self::new(self.held_max));
        store.mark_incarnation = random_unlike(self.mark_incarnation);
        store
    }

    /// What `old` held, in another run.
    pub(super) fn rolled_back(&self, old: &Self) -> Self {
        let incarnation = Incarnation(random_unlike(self.incarnation.0));
        let (next_token, resolution) = (self.next_token, self.resolution);
        Self { incarnation, next_token, resolution, ..old.clone() }
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(super) fn resolution(&self) -> Duration {
        self.resolution
    }

    pub(super) fn set_resolution(&mut self, resolution: Duration) {
        self.resolution = resolution;
    }

    pub(super) fn get(&self, key: &[u8], now: Moment) -> Option<SharedEntry> {
        let entry = self.entries.get(key).filter(|entry| now < entry.expires_at)?;
        let remaining = (entry.expires_at - now).as_nanos();
        let unit = self.resolution.as_nanos().max(1);
        let remaining = u64::try_from(remaining / unit * unit).unwrap_or(u64::MAX);
        Some(SharedEntry {
            envelope: entry.envelope.clone(),
            remaining: Duration::from_nanos(remaining),
            incarnation: self.incarnation,
        })
    }

    pub(super) fn lease(
        &mut self,
        key: &Bytes,
        seen: Option<u64>,
        time: Duration,
        now: Moment,
    ) -> SharedRead {
        let held = self.get(key, now);
        if let Some(entry) = &held
            && entry.envelope.get(STATE_AT) == Some(&STATE_FRESH)
            && (seen.is_none() || Envelope::stamp_of(&entry.envelope) != seen)
        {
            return SharedRead::Hit(entry.clone());
        }
        if self.is_written(key, now) {
            return SharedRead::WriterPending { stale: held };
        }
        if let Some(lease) = self.granted(key, now) {
            return SharedRead::Busy { retry_after: lease.expires_at - now, stale: held };
        }
        let token = Bytes::from(self.next_token.to_be_bytes().to_vec());
        self.next_token += 1;
        let (incarnation, expires_at) = (self.incarnation, now + time);
        let granted = Granted { token: token.clone(), incarnation, granted_at: now, expires_at };
        self.leases.insert(key.clone(), granted);
        keep(&mut self.leases, key, self.held_max, |lease| now < lease.expires_at);
        let lease = Lease { token, incarnation: self.incarnation };
        match held {
            Some(entry) => SharedRead::Stale { entry, lease },
            None => SharedRead::Miss(lease),
        }
    }

    pub(super) fn fill(
        &mut self,
        key: &Bytes,
        lease: &Lease,
        envelope: Bytes,
        lifetime: Duration,
        now: Moment,
    ) -> SharedFill {
        if self.is_written(key, now) {
            return SharedFill::Refused;
        }
        let Some(granted) = self.holder(key, lease, now) else { return SharedFill::Refused };
        let expires_at = granted.granted_at + lifetime;
        self.leases.remove(key);
        if expires_at <= now {
            return SharedFill::Refused;
        }
        self.entries.insert(key.clone(), Entry { envelope, expires_at });
        keep(&mut self.entries, key, self.held_max, |entry| now < entry.expires_at);
        SharedFill::Stored
    }

    pub(super) fn extend(
        &mut self,
        key: &[u8],
        lease: &Lease,
        time: Duration,
        now: Moment,
    ) -> bool {
        let holder = self.holder(key, lease, now);
        holder.map(|granted| granted.expires_at = now + time).is_some()
    }

    pub(super) fn release(&mut self, key: &[u8], lease: &Lease, now: Moment) {
        if self.holder(key, lease, now).is_some() {
            self.leases.remove(key);
        }
    }

    /// Announces a write. Returns whether something was held.
    pub(super) fn begin_write(
        &mut self,
        key: &Bytes,
        intent: Intent,
        time: Duration,
        now: Moment,
    ) -> bool {
        let was_held = self.get(key, now).is_some();
        self.leases.remove(key);
        self.entries.remove(key);
        let intents = self.intents.entry(key.clone()).or_default();
        intents.retain(|(_, until)| now < *until);
        if intents.is_empty() {
            self.owners.insert(key.clone(), (intent, now, now + time));
        } else {
            // Of writers that overlap none may leave its value.
            self.owners.remove(key);
        }
        intents.retain(|(other, _)| *other != intent);
        intents.push((intent, now + time));
        keep(&mut self.intents, key, self.held_max, |all| all.iter().any(|(_, end)| now < *end));
        keep(&mut self.owners, key, self.held_max, |(_, _, until)| now < *until);
        was_held
    }

    /// Ends a write. Returns whether what it left is held.
    pub(super) fn end_write(
        &mut self,
        key: &Bytes,
        intent: Intent,
        ended: Ended,
        now: Moment,
    ) -> bool {
        let mut had = false;
        if let Some(intents) = self.intents.get_mut(key) {
            intents.retain(|(other, until)| {
                let ends = *other == intent && ended != Ended::Unknown;
                had |= ends && now < *until;
                !ends && now < *until
            });
            if intents.is_empty() {
                self.intents.remove(key);
            }
        }
        self.leases.remove(key);
        let owner =
            self.owners.remove(key).filter(|(owner, _, until)| *owner == intent && now < *until);
        let is_alone = had && !self.intents.contains_key(key);
        let begun = owner.filter(|_| is_alone).map(|(_, begun, _)| begun);
        let left = match ended {
            Ended::Aborted => return false,
            Ended::Unknown => None,
            Ended::Committed(left) => left,
        };
        self.entries.remove(key);
        let (Some(begun), Some((envelope, lifetime))) = (begun, left) else { return false };
        let expires_at = begun + lifetime;
        if expires_at <= now {
            return false;
        }
        self.entries.insert(key.clone(), Entry { envelope, expires_at });
        keep(&mut self.entries, key, self.held_max, |entry| now < entry.expires_at);
        true
    }

    pub(super) fn forget_intents(&mut self, key: &[u8]) -> bool {
        self.owners.remove(key);
        self.intents.remove(key).is_some()
    }

    /// Whether somebody may be about to commit.
    fn is_written(&self, key: &[u8], now: Moment) -> bool {
        self.intents.get(key).is_some_and(|all| all.iter().any(|(_, until)| now < *until))
    }

    /// How many writers announced themselves and have not ended.
    pub(super) fn intents(&self, key: &[u8], now: Moment) -> usize {
        let all = self.intents.get(key).into_iter().flatten();
        all.filter(|(_, until)| now < *until).count()
    }

    pub(super) fn invalidate(&mut self, key: &[u8], strike: Invalidation) {
        self.leases.remove(key);
        self.owners.remove(key);
        if strike == Invalidation::MarkStale
            && let Some(entry) = self.entries.get_mut(key)
            && entry.envelope.len() > STATE_AT
        {
            let mut marked = BytesMut::from(&entry.envelope[..]);
            marked[STATE_AT] = STATE_STALE;
            entry.envelope = marked.freeze();
        } else {
            // What has no state can't be marked.
            self.entries.remove(key);
        }
    }

    pub(super) fn mark(
        &mut self,
        marks: &[Mark],
        strike: Invalidation,
        now: Moment,
    ) -> (MarkClock, u32) {
        self.mark_clock = MarkClock((now.as_nanos() / 1_000).max(self.mark_clock.0 + 1));
        for mark in marks {
            let name = (name_of(mark), strike == Invalidation::Drop);
            self.marks.insert(name, (mark.clone(), strike, self.mark_clock));
        }
        if self.marks.len() > self.held_max {
            self.lose_marks();
        }
        (self.mark_clock, self.mark_incarnation)
    }

    pub(super) fn marks(&self) -> Marks {
        Marks {
            incarnation: self.mark_incarnation,
            clock: self.mark_clock,
            marks: self.marks.values().cloned().collect(),
        }
    }

    pub(super) fn lose_marks(&mut self) {
        self.marks.clear();
        self.mark_incarnation = random_unlike(self.mark_incarnation);
    }

    pub(super) fn evict(&mut self, key: &[u8]) -> bool {
        self.entries.remove(key).is_some()
    }

    pub(super) fn evict_lease(&mut self, key: &[u8]) -> bool {
        self.leases.remove(key).is_some()
    }

    pub(super) fn keys(&self, now: Moment) -> Vec<Bytes> {
        let held = self.entries.iter().filter(|(_, entry)| now < entry.expires_at);
        held.map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn is_leased(&self, key: &[u8], now: Moment) -> bool {
        self.granted(key, now).is_some()
    }

    fn granted(&self, key: &[u8], now: Moment) -> Option<&Granted> {
        // One of another run is void, and stands in nobody's way.
        let lives =
            |lease: &&Granted| lease.incarnation == self.incarnation && now < lease.expires_at;
        self.leases.get(key).filter(lives)
    }

    /// What was granted as `lease`, unless it is void.
    fn holder(&mut self, key: &[u8], lease: &Lease, now: Moment) -> Option<&mut Granted> {
        let current = self.incarnation == lease.incarnation;
        let granted = self.leases.get_mut(key)?;
        (current && granted.token == lease.token && now < granted.expires_at).then_some(granted)
    }
}

/// Makes room after `new` came: what is over goes first, then whatever stands first.
fn keep<T>(map: &mut BTreeMap<Bytes, T>, new: &Bytes, max: usize, lives: impl Fn(&T) -> bool) {
    if map.len() > max {
        map.retain(|_, held| lives(held));
    }
    while map.len() > max.max(1) {
        let evicted = map.keys().find(|&key| key != new).cloned();
        evicted.and_then(|key| map.remove(&key));
    }
}

fn name_of(mark: &Mark) -> MarkName {
    match mark {
        Mark::Tag(bucket) => (0, *bucket, "".into(), "".into()),
        Mark::Cache(cache) => (1, 0, cache.clone(), "".into()),
        Mark::Prefix { cache, prefix } => (2, 0, cache.clone(), prefix.clone()),
        Mark::All => (3, 0, "".into(), "".into()),
    }
}
