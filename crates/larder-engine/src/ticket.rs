//! Cache-aside without the race: a lookup that misses returns a ticket, and only the ticket can
//! fill.
//!
//! The ticket holds the fence that was captured before the caller went to read for itself. If
//! anything invalidated the key since, the fill is refused, and the caller still has its value.
//!
//! For callers in other processes a ticket has a text, its [`Token`].

use std::sync::Arc;
use std::time::Duration;

use larder_core::shared::{Invalidation, SharedFill};
use larder_core::{Answer, CacheKey, Moment, State, Terms};

use crate::cache::{Cache, Parts};
use crate::fence::Fence;
use crate::fill::{Fill, Keeps, Loaded, check_terms};
use crate::shared::{Looked, Passed, SharedFilling};
use crate::token::Token;

/// What a [`lookup`](Cache::lookup) found.
#[derive(Debug)]
pub enum Lookup<K, V> {
    /// Held and fresh.
    Hit(Answer<V>),
    /// Not held, or no longer fresh: read it yourself, then [`fill`](Ticket::fill).
    Miss(Ticket<K, V>),
}

/// The permission to fill one key, void as soon as the key is invalidated.
#[derive(Debug)]
pub struct Ticket<K, V> {
    cache: Cache<K, V>,
    key: K,
    permit: Permit,
    /// What it has from the shared tier.
    passed: Option<Box<Passed<V>>>,
    /// Another one has the lease of the key, for so long at most.
    busy_for: Option<Duration>,
}

/// What a ticket and its token have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permit {
    pub(crate) fence: Fence,
    /// When it was given: what is filled with it was read no earlier.
    pub(crate) taken_at: Moment,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The value of `key` if it is held and fresh, otherwise a ticket to fill it with. Never
    /// loads. A stale entry is a miss: whoever looks it up is about to read anyway.
    ///
    /// It is async because tiers beyond this process answer it too.
    ///
    /// ```
    /// # use larder_engine::{Cache, Fill, Lookup};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// let prices: Cache<u64, u32> =
    ///     Cache::builder("price").max_staleness(Duration::from_secs(2)).build()?;
    /// let price = match prices.lookup(&7).await {
    ///     Lookup::Hit(answer) => answer.value,
    ///     Lookup::Miss(ticket) => {
    ///         let price = Some(1999); // read from the database
    ///         assert_eq!(ticket.fill(price), Fill::Stored);
    ///         price
    ///     }
    /// };
    /// assert_eq!(price, Some(1999));
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing but, with a shared tier, a lease until its end.
    pub async fn lookup(&self, key: &K) -> Lookup<K, V> {
        self.look_up(key, None).await
    }

    /// The same for who has seen what was loaded at `than`, and can't use it: a hit is what was
    /// loaded later, and the ticket replaces what is held.
    ///
    /// # Cancel safety
    ///
    /// As [`lookup`](Self::lookup).
    pub async fn lookup_newer(&self, key: &K, than: Moment) -> Lookup<K, V> {
        self.look_up(key, Some(than)).await
    }

    async fn look_up(&self, key: &K, than: Option<Moment>) -> Lookup<K, V> {
        let looked = self.look_up_here(key, than);
        self.look_beyond(key, than, looked).await
    }

    /// What this process found, or what the tiers beyond it have.
    async fn look_beyond(
        &self,
        key: &K,
        than: Option<Moment>,
        looked: Lookup<K, V>,
    ) -> Lookup<K, V> {
        let ticket = match looked {
            Lookup::Miss(ticket) => ticket,
            hit @ Lookup::Hit(_) => return hit,
        };
        if self.0.is_dirty(key) {
            // The tier has what was before. Where what waits can't be told, the ticket fills
            // nothing.
            return match self.0.ask_dirty(key).await {
                Some(answer) => Lookup::Hit(answer),
                None => Lookup::Miss(ticket),
            };
        }
        match self.0.look_in_tier(key, than).await {
            Looked::Found(opened) => {
                let landed = self.0.promote(key, opened, State::Fresh, ticket.permit.fence);
                Lookup::Hit(self.0.answer(landed, false))
            }
            Looked::Missing(passed, busy_for) => {
                Lookup::Miss(Ticket { passed: Some(Box::new(passed)), busy_for, ..ticket })
            }
            Looked::Unasked => Lookup::Miss(ticket),
        }
    }

    /// The part of a lookup that concerns this process, without waiting. Its ticket fills this
    /// process's memory, and no shared tier.
    pub fn lookup_here(&self, key: &K) -> Lookup<K, V> {
        self.look_up_here(key, None)
    }

    /// The same for who can't use what was loaded at `than`.
    pub fn lookup_newer_here(&self, key: &K, than: Moment) -> Lookup<K, V> {
        self.look_up_here(key, Some(than))
    }

    fn look_up_here(&self, key: &K, than: Option<Moment>) -> Lookup<K, V> {
        let looked = self.look_uncounted(key, than);
        if matches!(looked, Lookup::Miss(_)) {
            self.0.counters.misses.add(1);
        }
        looked
    }

    fn look_uncounted(&self, key: &K, than: Option<Moment>) -> Lookup<K, V> {
        let taken_at = self.0.engine.now();
        let fence = self.0.fence(key);
        let held = self.0.dirty_answer(key).or_else(|| match than {
            None => self.0.fresh_answer(key, taken_at),
            Some(than) => self.0.fresh_answer_newer(key, taken_at, than),
        });
        if let Some(answer) = held {
            return Lookup::Hit(answer);
        }
        Lookup::Miss(Ticket::new(self, key, Permit { fence, taken_at }))
    }

    /// The ticket that a token stands for; `None` when the token is of another key, another
    /// cache, or another run of the program.
    #[must_use]
    pub fn redeem(&self, key: &K, token: Token) -> Option<Ticket<K, V>> {
        let permit = token.redeem(&self.0.engine, self.0.scope, key)?;
        Some(Ticket::new(self, key, permit))
    }
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Ticket<K, V> {
    fn new(cache: &Cache<K, V>, key: &K, permit: Permit) -> Self {
        Self { cache: cache.clone(), key: key.clone(), permit, passed: None, busy_for: None }
    }

    /// The key that it fills.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }

    /// When it was given: what is filled with it was read no earlier.
    #[must_use]
    pub fn taken_at(&self) -> Moment {
        self.permit.taken_at
    }

    /// A ticket for another key whose value was read together with this one's: it was given when
    /// this one was, and what struck tags, a prefix or the whole cache since then voids it. What
    /// invalidated that key alone before this call isn't noticed. It fills this process's memory,
    /// and no shared tier. With the same key it is the same permission once more.
    #[must_use]
    pub fn beside(&self, key: &K) -> Self {
        let Permit { mut fence, taken_at } = self.permit;
        if *key != self.key {
            fence = Fence { born: fence.born, ..self.cache.0.fence(key) };
        }
        Self::new(&self.cache, key, Permit { fence, taken_at })
    }

    /// Whether nothing has invalidated the key since it was given, as far as is known at this
    /// moment: what is filled may be refused all the same. Tags are judged by the fill alone.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.cache.0.fence_holds(self.permit.fence)
    }

    /// Whether the key was struck once, and no more, between `earlier` and this ticket of the same
    /// key: whoever strikes it and takes both around that knows so that nobody else did. What was
    /// struck by tags, prefixes or as a whole is judged by the fill alone. Keys that share an epoch
    /// may make it `false`, never `true`.
    ///
    /// ```
    /// # use larder_engine::{Cache, Invalidation, Lookup};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let prices: Cache<u64, u32> =
    /// #     Cache::builder("price").max_staleness(Duration::from_secs(2)).build()?;
    /// let Lookup::Miss(before) = prices.lookup_here(&7) else { return Ok(()) };
    /// prices.invalidate_here(&[7], Invalidation::Drop)?;
    /// let Lookup::Miss(after) = prices.lookup_here(&7) else { return Ok(()) };
    /// assert!(after.is_next_to(&before) && !before.is_next_to(&before));
    /// prices.invalidate_here(&[7], Invalidation::Drop)?;
    /// let Lookup::Miss(last) = prices.lookup_here(&7) else { return Ok(()) };
    /// assert!(last.is_next_to(&after) && !last.is_next_to(&before));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_next_to(&self, earlier: &Self) -> bool {
        let (ours, theirs) = (self.permit.fence, earlier.permit.fence);
        ours.hash == theirs.hash && ours.epoch == theirs.epoch.wrapping_add(1)
    }

    /// For how long, at most, another one has the lease of the key in the shared tier: who waits
    /// for that fill spares the source a load. `None` where nobody else has it.
    #[must_use]
    pub fn busy_for(&self) -> Option<Duration> {
        self.busy_for
    }

    /// Whether it has the lease of the key in the shared tier: what is filled with it is shared,
    /// unless somebody invalidates the key before.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        self.passed.as_ref().is_some_and(|passed| passed.lease.is_some())
    }

    /// What the shared tier held, fresh, when it granted the lease to who
    /// [can't use it](Cache::lookup_newer). Nobody had invalidated that, and if somebody does, the
    /// lease is void: so what is made out of it and filled with this ticket takes its place, and is
    /// never seen after an invalidation of either. `None` too where it isn't leased.
    ///
    /// ```
    /// # use larder_engine::{Cache, Lookup};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let members: Cache<u64, Vec<u64>> =
    /// #     Cache::builder("member").max_staleness(Duration::from_secs(2)).build()?;
    /// # let (seen, known, new) = (Default::default(), vec![1, 2], 3);
    /// if let Lookup::Miss(ticket) = members.lookup_newer(&7, seen).await {
    ///     // What is known here may have been invalidated by somebody else.
    ///     let mut value = if ticket.replaces() == Some(&known) { known } else { Vec::new() };
    ///     value.push(new);
    ///     let _ = ticket.fill(Some(value));
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn replaces(&self) -> Option<&V> {
        let passed = self.passed.as_ref().filter(|passed| passed.lease.is_some())?;
        passed.stand_in.as_ref()?.value.as_ref()
    }

    /// Looks the key up once more, instead of this ticket: while it is [busy](Self::busy_for) for
    /// another one's fill. `than` is as for [`lookup_newer`](Cache::lookup_newer), if it is of one.
    /// It counts as the same lookup.
    ///
    /// ```
    /// # use larder_engine::{Cache, Lookup};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let prices: Cache<u64, u32> =
    /// #     Cache::builder("price").max_staleness(Duration::from_secs(2)).build()?;
    /// let mut looked = prices.lookup(&7).await;
    /// for _ in 0..20 {
    ///     match looked {
    ///         Lookup::Miss(ticket) if ticket.busy_for().is_some() => {
    ///             tokio::time::sleep(Duration::from_millis(50)).await;
    ///             looked = ticket.again(None).await;
    ///         }
    ///         _ => break,
    ///     }
    /// }
    /// # assert!(matches!(looked, Lookup::Miss(_)) && prices.stats().misses == 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`lookup`](Cache::lookup).
    pub async fn again(self, than: Option<Moment>) -> Lookup<K, V> {
        let looked = self.cache.look_uncounted(&self.key, than);
        self.cache.look_beyond(&self.key, than, looked).await
    }

    /// When the lease of a shared tier ends, if it has one: until then others wait for its fill, or
    /// for its being [given back](Self::give_back).
    #[must_use]
    pub fn ends_at(&self) -> Moment {
        self.permit.taken_at + self.cache.0.lease_time()
    }

    /// Fills the key with what was read since the ticket was given; `None` is the absence of a
    /// value.
    #[must_use = "a refused fill was not stored"]
    pub fn fill(self, value: Option<V>) -> Fill {
        self.fill_on(value, &Terms::default())
    }

    /// The same on terms of its own: tags, a lifetime, a weight. With more tags than
    /// [`TAGS_MAX`](larder_core::terms::TAGS_MAX), or with one that is too long, it is not kept.
    #[must_use = "a refused fill was not stored"]
    pub fn fill_on(self, value: Option<V>, terms: &Terms) -> Fill {
        let engine = self.cache.0.engine.clone();
        let (fill, filling) = self.fill_here(value, terms);
        if let Some(filling) = filling {
            engine.spawn(filling.settle());
        }
        fill
    }

    /// As [`fill`](Self::fill), and waits until the shared tier has answered, if there is one.
    ///
    /// # Cancel safety
    ///
    /// Once polled this process's memory is filled; the shared tier may be or not.
    #[must_use = "a refused fill was not stored"]
    pub async fn fill_everywhere(self, value: Option<V>) -> Fill {
        let (fill, filling) = self.fill_here(value, &Terms::default());
        if let Some(filling) = filling {
            filling.settle().await;
        }
        fill
    }

    /// As [`fill_on`](Self::fill_on), and where it has the lease of the shared tier the tier
    /// decides: what it refuses isn't kept here either, because somebody else has said meanwhile
    /// that the key changed, or because the lease has ended. A tier that doesn't answer decides
    /// nothing.
    ///
    /// ```
    /// # use larder_core::Terms;
    /// # use larder_engine::{Cache, Fill, Lookup};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// # let prices: Cache<u64, u32> =
    /// #     Cache::builder("price").max_staleness(Duration::from_secs(2)).build()?;
    /// if let Lookup::Miss(ticket) = prices.lookup(&7).await
    ///     && ticket.busy_for().is_none()
    /// {
    ///     let price = 1999; // read from the database
    ///     let filled = ticket.fill_under_lease(Some(price), &Terms::default()).await;
    ///     assert_eq!(filled, Fill::Stored);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Once polled this process's memory is filled; the shared tier may be or not.
    pub async fn fill_under_lease(self, value: Option<V>, terms: &Terms) -> Fill {
        let (cache, key) = (self.cache.clone(), self.key.clone());
        let (fill, filling) = self.fill_here(value, terms);
        let Some(filling) = filling else { return fill };
        if filling.settled().await == Some(SharedFill::Refused) {
            let parts = &cache.0;
            parts.strike(&key, parts.engine.now(), Invalidation::Drop);
            return Fill::Refused;
        }
        fill
    }

    /// Fills memory, and returns what is left to do in the shared tier.
    fn fill_here(self, value: Option<V>, terms: &Terms) -> (Fill, Option<SharedFilling<K, V>>) {
        let Self { cache, key, permit, passed, busy_for: _ } = self;
        let parts: &Arc<Parts<K, V>> = &cache.0;
        if check_terms(terms).is_err() {
            parts.counters.not_kept.add(1);
            give_back(parts, passed);
            return (Fill::NotKept, None);
        }
        // What was read in the database isn't what is to be read here. The fence was captured
        // before this look, so what is written from now on voids it.
        if parts.is_dirty(&key) {
            give_back(parts, passed);
            return (Fill::Refused, None);
        }
        let at = permit.taken_at;
        let cost = parts.engine.now() - at;
        parts.loaded_aside(cost);
        let loaded = Loaded { value, terms, held: None, at, cost };
        let keeps = passed.as_ref().map_or(Keeps::Briefly, |passed| passed.keeps);
        let landed = parts.fill(&key, loaded, permit.fence, keeps);
        // What is refused here is known here to have changed.
        let shared = Some(&landed).filter(|_| terms.is_stored() && landed.fill != Fill::Refused);
        let filling = passed.and_then(|passed| SharedFilling::new(parts, *passed, shared, cost));
        (landed.fill, filling)
    }

    /// Gives the ticket back unused, so that in other processes nobody waits for its fill.
    pub fn give_back(self) {
        give_back(&self.cache.0, self.passed);
    }

    /// The text of this ticket, for a caller in another process.
    #[must_use]
    pub fn token(&self) -> Token {
        Token::new(&self.cache.0.engine, self.permit)
    }
}

/// Gives the lease of a ticket back.
fn give_back<K: CacheKey, V: Clone + Send + Sync + 'static>(
    parts: &Arc<Parts<K, V>>,
    passed: Option<Box<Passed<V>>>,
) {
    let unused = passed.and_then(|passed| SharedFilling::new(parts, *passed, None, Duration::ZERO));
    if let Some(unused) = unused {
        parts.engine.spawn(unused.settle());
    }
}
