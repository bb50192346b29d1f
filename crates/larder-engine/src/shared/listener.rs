//! The task that applies what comes over the bus, in its order.
//!
//! Whatever is announced strikes memory first and moves the position and the horizon after: who
//! sees either knows that everything before has been applied. After a gap everything that this
//! process holds is dropped: nobody knows what was missed. So it is when the bus is heard for the
//! first time, as caches may have been used before.
//!
//! It ends with its engine.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use larder_core::bus::{Announcement, BusEvent, Message, ProcessId, Subscription};
use larder_core::shared::{Invalidation, Mark};

use super::Shared;
use super::marks::bucket;
use crate::engine::{Engine, WeakEngine};

/// A bus that can't be subscribed to is tried again after this.
const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(100);

/// Starts it.
pub(super) fn start(engine: &Engine, shared: &Arc<Shared>) {
    let (weak, shared) = (engine.downgrade(), Arc::clone(shared));
    let clock = Arc::clone(engine.clock());
    engine.spawn(async move {
        let mut subscription = loop {
            let Some(bus) = &shared.bus else { return };
            if let Ok((position, subscription)) = bus.subscribe().await {
                let Some(engine) = weak.upgrade() else { return };
                // Before a token can vouch for what was held all the while.
                shared.drop_all(&engine);
                shared.applied.begin(Some(position));
                shared.pending.wake();
                break subscription;
            }
            if weak.upgrade().is_none() {
                return;
            }
            clock.sleep_until(clock.now() + SUBSCRIBE_AGAIN).await;
        };
        while let Some(event) = next(&mut subscription).await {
            if !hear(&weak, &shared, event) {
                return;
            }
        }
    });
}

async fn next(subscription: &mut Subscription) -> Option<BusEvent> {
    poll_fn(|context| Pin::as_mut(subscription).poll_next(context)).await
}

/// Applies one event. Returns `false` when the engine is gone.
fn hear(engine: &WeakEngine, shared: &Arc<Shared>, event: BusEvent) -> bool {
    let Some(engine) = engine.upgrade() else { return false };
    match event {
        BusEvent::Message(message) => apply(&engine, shared, &message),
        BusEvent::Gap(position) => {
            shared.lost_track(&engine);
            shared.applied.begin(position);
        }
    }
    true
}

fn apply(engine: &Engine, shared: &Shared, message: &Message) {
    shared.messages.add(1);
    let Some((from, announcement)) = Announcement::decode(&message.announcement) else {
        // A later version says something that this one can't understand.
        shared.lost_track(engine);
        return shared.applied.reach(message.position);
    };
    let is_own = from == shared.id;
    // Marks first: what is read in the tier from now on must be judged by them.
    if let Some(of_marks) = message.marks
        && let Some((marks, strike)) = marks_of(&announcement)
        && !shared.marks.heard(marks.into_iter(), strike, of_marks)
    {
        shared.lost_track(engine);
    }
    // What this process announced itself is done here already: the keeper does it before anybody
    // is told. Only where it hasn't come to that yet it is done now.
    match &announcement {
        // Who writes has noted itself before it told anybody, and ends by itself.
        Announcement::Writing { .. } | Announcement::Written { .. } if is_own => {}
        Announcement::Writing { intent, millis, cache, key } => {
            let until = engine.now() + Duration::from_millis(*millis);
            // Before the epoch is raised: see `writers`.
            shared.writers.note(cache, key, *intent, until);
            shared.members.apply(&announcement, engine);
        }
        Announcement::Written { intent, cache, key } => {
            shared.members.apply(&announcement, engine);
            shared.writers.forget(cache, key, *intent);
        }
        _ if is_own && shared.applied.is_own(message.position) => {}
        _ => shared.members.apply(&announcement, engine),
    }
    // What nobody announced may be a fill, of which nothing that depends on the key needs to know.
    if !is_own && from != ProcessId::NOBODY {
        engine.strike_announced(&announcement);
    }
    shared.applied.reach(message.position);
    match &announcement {
        Announcement::Token { number } => {
            if is_own && let Some(horizon) = shared.tokens.echoed(*number) {
                engine.horizon().advance(horizon);
            }
            engine.feeds().iter().for_each(|fed| fed.heard(from, *number));
        }
        Announcement::Answer { feed, position, caches, tokens } => {
            let feeds = engine.feeds();
            if let Some(fed) = feeds.iter().find(|fed| fed.name() == &**feed) {
                fed.answered(shared.id, *position, caches, tokens);
            }
        }
        _ => {}
    }
}

/// The marks that an announcement means.
fn marks_of(announcement: &Announcement) -> Option<(Vec<Mark>, Invalidation)> {
    match announcement {
        Announcement::Token { .. }
        | Announcement::Keys { .. }
        | Announcement::Answer { .. }
        | Announcement::Writing { .. }
        | Announcement::Written { .. } => None,
        Announcement::Tags { strike, hashes } => {
            Some((hashes.iter().map(|&hash| Mark::Tag(bucket(hash))).collect(), *strike))
        }
        Announcement::Cache { strike, cache } => Some((vec![Mark::Cache(cache.clone())], *strike)),
        Announcement::Prefix { strike, cache, prefix } => {
            let mark = Mark::Prefix { cache: cache.clone(), prefix: prefix.clone() };
            Some((vec![mark], *strike))
        }
        Announcement::All { strike } => Some((vec![Mark::All], *strike)),
    }
}
