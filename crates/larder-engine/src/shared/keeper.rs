//! The task that carries invalidations beyond this process, sends tokens, learns the marks, and
//! probes a tier that failed.
//!
//! It is one task, so everything that this process tells the others has one order. A tier that
//! failed is trusted again only when everything that waited has been carried out.
//!
//! It ends with its engine.

use std::sync::Arc;
use std::time::Duration;

use larder_core::bus::{Announcement, Position};
use larder_core::shared::{Invalidation, Mark};
use larder_core::{Clock, Moment, Result};

use super::STEP_MAX;
use super::Shared;
use super::pending::{Waiting, Work};
use crate::engine::{Engine, WeakEngine};
use crate::runtime::oneshot;
use crate::wait::within;

/// After a step that failed, the next one waits so long.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts it. The future ends when the tier was asked for the first time and the bus is being
/// read.
pub(super) fn start(engine: &Engine, shared: &Arc<Shared>) -> impl Future<Output = ()> + use<> {
    let (sender, joined) = oneshot::channel();
    let keeper = Keeper {
        engine: engine.downgrade(),
        shared: Arc::clone(shared),
        clock: Arc::clone(engine.clock()),
        next_token: Moment::ZERO,
        paused_until: Moment::ZERO,
        marks_again: Moment::ZERO,
        last: None,
        joined: Some(sender),
    };
    engine.spawn(keeper.run());
    async move {
        // Without a sender nobody will ever join.
        let _ = joined.await;
    }
}

struct Keeper {
    engine: WeakEngine,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    next_token: Moment,
    paused_until: Moment,
    /// When the marks may be asked for again.
    marks_again: Moment,
    /// Where the last announcement stands.
    last: Option<Position>,
    joined: Option<oneshot::Sender<()>>,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let Some(engine) = self.engine.upgrade() else { return };
            let now = self.clock.now();
            self.probe(&engine, now).await;
            if self.shared.link.is_trusted() && self.paused_until <= now {
                self.work(&engine).await;
            }
            // Nothing that comes over the bus is missed once it is being read.
            if self.shared.applied.has_begun() {
                self.learn_marks().await;
                self.send_token().await;
            }
            self.shared.forget_writers(&engine);
            self.tell_joined();
            drop(engine);
            self.rest().await;
        }
    }

    /// Waits for the next thing to do.
    async fn rest(&self) {
        if self.shared.pending.is_waited_for()
            && self.shared.link.is_trusted()
            && self.paused_until <= self.clock.now()
        {
            return;
        }
        let mut until = match self.shared.applied.has_begun() {
            true => self.next_token,
            false => self.clock.now() + self.shared.bounds.token_every,
        };
        if !self.shared.link.is_trusted() {
            until = until.min(self.clock.now() + self.shared.bounds.breaker.probe_after);
        } else if self.shared.pending.is_waited_for() {
            until = until.min(self.paused_until);
        }
        within(&*self.clock, until, self.shared.pending.added()).await;
    }

    /// One step of what waits.
    async fn work(&mut self, engine: &Engine) {
        if let Some(waiting) = self.shared.pending.next(STEP_MAX)
            && self.carry_out(engine, waiting).await.is_err()
        {
            self.paused_until = self.clock.now() + PAUSE;
        }
    }

    /// Asks a tier that failed whether it answers again; carries out everything that waits before
    /// it is trusted.
    async fn probe(&mut self, engine: &Engine, now: Moment) {
        let shared = Arc::clone(&self.shared);
        if shared.link.is_trusted() {
            return;
        }
        let Ok(permission) = shared.link.breaker().ask(now) else { return };
        let mut answered = shared.link.probe().await;
        while answered.is_ok()
            && let Some(waiting) = shared.pending.next(STEP_MAX)
        {
            answered = self.carry_out(engine, waiting).await;
        }
        match answered {
            Ok(()) => permission.succeeded(self.clock.now()),
            Err(_) => permission.failed(self.clock.now()),
        }
    }

    /// Carries out one step: in the tier, on the bus, and then here once more. A flight that began
    /// in between may have read the old value in the tier.
    async fn carry_out(&mut self, engine: &Engine, waiting: Waiting) -> Result<()> {
        let (announcement, outcome) = match &waiting.work {
            Work::Keys { cache, in_tier, strike, keys } => {
                let announcement = Announcement::Keys {
                    strike: *strike,
                    cache: cache.clone(),
                    keys: keys.clone(),
                };
                let names: Vec<Vec<u8>> = match in_tier {
                    true => keys.iter().map(|key| super::view::name(cache, key)).collect(),
                    false => Vec::new(),
                };
                let outcome = self.invalidate(&names, *strike, &announcement).await;
                (announcement, outcome)
            }
            Work::Marks { strike, marks, announcement } => {
                let outcome = self.mark(engine, marks, *strike, announcement).await;
                (announcement.clone(), outcome)
            }
            Work::Barrier => {
                self.shared.pending.finish(waiting, self.last);
                return Ok(());
            }
        };
        match outcome {
            Ok(position) => {
                self.shared.members.apply(&announcement, engine);
                engine.strike_once_more(&announcement);
                self.shared.applied.own(position);
                self.last = position.or(self.last);
                self.shared.pending.finish(waiting, position);
                Ok(())
            }
            Err(error) => {
                self.shared.pending.put_back(waiting);
                Err(error)
            }
        }
    }

    async fn invalidate(
        &self,
        names: &[Vec<u8>],
        strike: Invalidation,
        announcement: &Announcement,
    ) -> Result<Option<Position>> {
        let bytes = announcement.encode(self.shared.id);
        let mut position = None;
        if !names.is_empty() {
            let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            let announced = self.shared.is_tiers_own.then(|| bytes.clone());
            position = self.shared.link.invalidate(&names, strike, announced).await?;
        }
        if position.is_none() {
            position = self.shared.publish(bytes, None).await?;
        }
        Ok(position)
    }

    async fn mark(
        &self,
        engine: &Engine,
        marks: &[Mark],
        strike: Invalidation,
        announcement: &Announcement,
    ) -> Result<Option<Position>> {
        let bytes = announcement.encode(self.shared.id);
        if !self.shared.link.abilities().marks {
            return self.shared.publish(bytes, None).await;
        }
        let announced = self.shared.is_tiers_own.then(|| bytes.clone());
        let marked = self.shared.link.mark(marks, strike, announced).await?;
        let of_marks = (marked.clock, marked.incarnation);
        if !self.shared.marks.heard(marks.iter().cloned(), strike, of_marks) {
            self.shared.lost_track(engine);
        }
        match marked.position {
            Some(position) => Ok(Some(position)),
            None => self.shared.publish(bytes, Some(of_marks)).await,
        }
    }

    /// Reads the marks, where they aren't known.
    async fn learn_marks(&mut self) {
        let shared = &self.shared;
        let wanted = shared.link.abilities().marks && shared.marks.known().is_none();
        if !wanted || !shared.link.is_trusted() || self.marks_again > self.clock.now() {
            return;
        }
        let era = shared.marks.era();
        let read = shared.link.marks().await;
        let learnt = read.is_ok_and(|marks| shared.marks.learn(&marks, era));
        if !learnt {
            self.marks_again = self.clock.now() + PAUSE;
        }
    }

    /// Sends a token behind everything that was published.
    async fn send_token(&mut self) {
        let now = self.clock.now();
        if self.next_token > now {
            return;
        }
        self.next_token = now + self.shared.bounds.token_every;
        let shared = &self.shared;
        if shared.bus.is_none() {
            return;
        }
        let noted = self.clock.now();
        let number = shared.tokens.issue(noted);
        if let Some(engine) = self.engine.upgrade() {
            engine.feeds().iter().for_each(|fed| fed.sent(number, noted));
        }
        // Without an answer the horizon stands still, which is all that is to be done.
        let _ = self.shared.publish(Announcement::Token { number }.encode(shared.id), None).await;
    }

    /// Tells who waits for the first answers, once they are there.
    fn tell_joined(&mut self) {
        let shared = &self.shared;
        let knows_marks = !shared.link.abilities().marks || shared.marks.known().is_some();
        if knows_marks
            && shared.applied.has_begun()
            && let Some(joined) = self.joined.take()
        {
            // Nobody may wait any more.
            let _ = joined.send(());
        }
    }
}
