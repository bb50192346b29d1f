//! Looking into an outbox at intervals, as who follows a feed.
//!
//! A look goes on where it was however often whoever waits for it goes away: it is kept until it
//! is done, because a statement whose answer nobody waits for would take the connection with it.

use std::future::Future;
use std::time::Duration;

use larder_core::feed::{FeedEvent, FeedPosition, Following};
use larder_core::{BoxFuture, Result};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// What one look came to.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// What there is to tell.
    pub(crate) event: Option<FeedEvent>,
    /// There is more already: the next look needn't wait.
    pub(crate) has_more: bool,
}

/// What can be looked into. Dropped, another process may.
pub(crate) trait Outbox: Send + Sized + 'static {
    /// Looks once. Everything before the place that was acknowledged may be forgotten.
    fn look(
        &mut self,
        acknowledged: Option<FeedPosition>,
    ) -> impl Future<Output = Result<Looked>> + Send;
}

/// Who looks into it.
pub(crate) struct Polling<O> {
    at: At<O>,
    acknowledged: Option<FeedPosition>,
    has_more: bool,
}

enum At<O> {
    Rest(Box<(O, Interval)>),
    Looking(BoxFuture<'static, (O, Interval, Result<Looked>)>),
    /// Only while it goes from one to the other.
    Between,
}

impl<O: Outbox> Polling<O> {
    /// The first look is at once.
    pub(crate) fn new(outbox: O, every: Duration) -> Self {
        let ticks = ticks_every(every);
        Self { at: At::Rest(Box::new((outbox, ticks))), acknowledged: None, has_more: false }
    }

    async fn event(&mut self) -> Result<FeedEvent> {
        loop {
            self.at = match std::mem::replace(&mut self.at, At::Between) {
                At::Rest(rest) => {
                    let (acknowledged, has_more) = (self.acknowledged.take(), self.has_more);
                    At::Looking(Box::pin(async move {
                        let (mut outbox, mut ticks) = *rest;
                        if !has_more {
                            ticks.tick().await;
                        }
                        let looked = outbox.look(acknowledged).await;
                        (outbox, ticks, looked)
                    }))
                }
                other => other,
            };
            let At::Looking(looking) = &mut self.at else { continue };
            let (outbox, ticks, looked) = looking.await;
            self.at = At::Rest(Box::new((outbox, ticks)));
            let looked = looked?;
            self.has_more = looked.has_more;
            if let Some(event) = looked.event {
                return Ok(event);
            }
        }
    }
}

impl<O: Outbox> Following for Polling<O> {
    fn next(&mut self) -> BoxFuture<'_, Result<FeedEvent>> {
        Box::pin(self.event())
    }

    fn acknowledge(&mut self, position: FeedPosition) {
        self.acknowledged = Some(position);
    }
}

/// The first tick comes at once.
pub(crate) fn ticks_every(every: Duration) -> Interval {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
