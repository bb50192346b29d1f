//! The task that follows a feed: it applies what is told, and answers when a place was passed.
//!
//! It ends with its engine.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use larder_core::feed::{FeedEvent, FeedPosition, Following, Notice};
use larder_core::sync::Ordering;
use larder_core::{BoxFuture, Clock, Error, Moment, Result};

use super::Fed;
use super::members::Covered;
use super::waiting::{Proof, Waiting};
use crate::engine::{Engine, WeakEngine};

/// Starts it.
pub(super) fn start(engine: &Engine, fed: Arc<Fed>) {
    let (weak, clock) = (engine.downgrade(), Arc::clone(engine.clock()));
    engine.spawn(async move {
        let mut failures = 0_u32;
        while weak.is_alive() {
            let since = *fed.since.lock();
            let followed = fed.feed.follow(since).await;
            let (error, followed) = match followed {
                Ok(following) => {
                    let follower = Follower {
                        fed: &fed,
                        engine: &weak,
                        clock: &*clock,
                        waiting: Waiting::default(),
                        asking: None,
                        next_ask: clock.now(),
                        position: None,
                        known: None,
                    };
                    fed.follows.store(true, Ordering::Release);
                    let error = follower.follow(following).await;
                    fed.follows.store(false, Ordering::Release);
                    fed.heard.lock().clear();
                    (error, true)
                }
                Err(error) => (Some(error), false),
            };
            let Some(error) = error else { return };
            fed.failures.fetch_add(1, Ordering::Relaxed);
            *fed.last_failure.lock() = Some(error);
            failures = if followed { 0 } else { failures.saturating_add(1) };
            let doubled = 2_u32.saturating_pow(failures.min(16));
            let bounds = &fed.bounds;
            let pause = bounds.retry_after.saturating_mul(doubled).min(bounds.retry_after_max);
            clock.sleep_until(clock.now() + pause).await;
        }
    });
}

/// Where the log ends is being asked for.
struct Asking {
    proof: Proof,
    end: BoxFuture<'static, Result<FeedPosition>>,
}

/// Who follows, while it does.
struct Follower<'a> {
    fed: &'a Arc<Fed>,
    engine: &'a WeakEngine,
    clock: &'a dyn Clock,
    waiting: Waiting,
    asking: Option<Asking>,
    next_ask: Moment,
    /// Everything before it was applied.
    position: Option<FeedPosition>,
    /// Whoever follows next knows that everything before it was applied. It isn't acknowledged
    /// before: the next one would find that it begins behind what it knows of, which is a gap.
    known: Option<FeedPosition>,
}

/// What comes first.
enum Step {
    Event(Result<FeedEvent>),
    End(Result<FeedPosition>),
    Ask,
}

impl Follower<'_> {
    /// Follows until it can't go on, and returns why; `None` when the engine is gone.
    async fn follow(mut self, mut following: Box<dyn Following>) -> Option<Error> {
        loop {
            let event = match self.next(&mut *following).await? {
                Ok(event) => event,
                Err(error) => return Some(error),
            };
            let position = match event {
                FeedEvent::Notices { notices, position, age } => {
                    let began = self.clock.now();
                    self.apply(&notices).await;
                    if let Some(age) = age {
                        self.fed.lag.record(age + (self.clock.now() - began));
                    }
                    position
                }
                FeedEvent::Passed(position) => position,
                FeedEvent::Gap { position, reason } => {
                    self.gap(reason).await;
                    position
                }
            };
            self.position = Some(position);
            *self.fed.since.lock() = Some(position);
            self.answer().await;
            if let Some(position) = self.known.take() {
                following.acknowledge(position);
            }
        }
    }

    /// What comes next, however often the log's end is asked for meanwhile; `None` when the engine
    /// is gone. The future is kept until it is done: dropped, it would take a question to the
    /// database with it each time.
    async fn next(&mut self, following: &mut dyn Following) -> Option<Result<FeedEvent>> {
        let mut event = pin!(following.next());
        loop {
            let step = self.step(event.as_mut()).await;
            if !self.engine.is_alive() {
                return None;
            }
            match step {
                Step::Event(event) => return Some(event),
                Step::Ask => self.ask(),
                Step::End(end) => {
                    let Some(asked) = self.asking.take() else { continue };
                    match end {
                        Ok(end) => self.waiting.push(end, asked.proof),
                        // The horizon stands still, which is all that is to be done.
                        Err(error) => *self.fed.last_failure.lock() = Some(error),
                    }
                    self.answer().await;
                }
            }
        }
    }

    async fn step(&mut self, mut event: Pin<&mut BoxFuture<'_, Result<FeedEvent>>>) -> Step {
        let mut tick = self.clock.sleep_until(self.next_ask);
        poll_fn(|context| {
            // Events last: while there is always another one, the horizon must move all the same.
            let asked = match &mut self.asking {
                Some(asking) => asking.end.as_mut().poll(context).map(Step::End),
                None => tick.as_mut().poll(context).map(|()| Step::Ask),
            };
            match asked {
                Poll::Ready(step) => Poll::Ready(step),
                Poll::Pending => event.as_mut().poll(context).map(Step::Event),
            }
        })
        .await
    }

    /// Notes the time and the tokens that were heard, and only then asks where the log ends.
    fn ask(&mut self) {
        let noted = self.clock.now();
        self.next_ask = noted + self.fed.bounds.ask_every;
        let tokens = self.fed.heard.lock().drain().collect();
        let feed = Arc::clone(&self.fed.feed);
        let end = Box::pin(async move { feed.end().await });
        self.asking = Some(Asking { proof: Proof { noted, tokens }, end });
    }

    /// Invalidates what these touch; returns when that is done everywhere.
    async fn apply(&mut self, notices: &[Notice]) {
        self.fed.notices.add(notices.len() as u64);
        let mut is_done = true;
        for covered in self.fed.covered() {
            match covered.apply(notices).await {
                Ok(touched) => self.fed.touched.add(touched),
                Err(_) => is_done = false,
            }
        }
        self.settle(is_done).await;
    }

    /// Anything may have been missed: drops everything that is covered, and all that was asked
    /// before.
    async fn gap(&mut self, reason: String) {
        self.fed.gaps.add(1);
        *self.fed.last_gap.lock() = Some(reason);
        self.fed.horizon.clear();
        self.waiting.forget();
        self.asking = None;
        self.fed.heard.lock().clear();
        self.sweep(self.fed.covered()).await;
    }

    /// Drops everything that these hold, everywhere. What was told before is known of them then.
    async fn sweep(&mut self, caches: Vec<Arc<dyn Covered>>) {
        let mut is_done = true;
        for covered in &caches {
            is_done &= covered.sweep().await.is_ok();
        }
        self.settle(is_done).await;
        caches.iter().for_each(|covered| covered.vouch());
    }

    /// Waits until what was kept because the tier or the bus didn't answer has been carried out.
    /// Until then nothing is answered or acknowledged: the others don't know it.
    async fn settle(&mut self, mut is_done: bool) {
        const AGAIN: Duration = Duration::from_millis(100);
        while !is_done {
            let Some(engine) = self.engine.upgrade() else { return };
            is_done = engine.settled().await.is_ok();
            drop(engine);
            if !is_done {
                self.clock.sleep_until(self.clock.now() + AGAIN).await;
            }
        }
    }

    /// Moves the horizon, and tells the others how far theirs is.
    async fn answer(&mut self) {
        let Some(position) = self.position else { return };
        let Some(engine) = self.engine.upgrade() else { return };
        let others = engine.shared().filter(|shared| shared.has_bus()).cloned();
        // A sweep may take as long as the tier is down, and ends with the engine.
        drop(engine);
        if others.is_none() {
            self.known = Some(position);
        }
        let Some(proof) = self.waiting.passed(position) else { return };
        let caches = loop {
            if let Some(names) = self.fed.advance(proof.noted) {
                break names;
            }
            let late = self.fed.covered().into_iter().filter(|covered| !covered.is_vouched());
            self.sweep(late.collect()).await;
            if !self.engine.is_alive() {
                return;
            }
        };
        if let Some(shared) = others
            && !proof.tokens.is_empty()
            && shared.answer(&self.fed.name, position, caches, proof.tokens).await
        {
            self.known = Some(position);
        }
    }
}
