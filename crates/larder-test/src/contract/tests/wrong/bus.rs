//! The bus that does one thing wrong.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use larder_core::bus::{Bus, BusEvent, Message, Position, Subscription};
use larder_core::shared::MarkClock;
use larder_core::{BoxFuture, Result};

use super::{Defect, Wrong};

impl Bus for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    fn publish(
        &self,
        announcement: Bytes,
        marks: Option<(MarkClock, u32)>,
    ) -> BoxFuture<'_, Result<Position>> {
        Box::pin(async move {
            if self.is(Defect::SkipsPositions) {
                self.inner.publish(Bytes::new(), None).await?;
            }
            self.inner.publish(announcement, marks).await
        })
    }

    fn subscribe(&self) -> BoxFuture<'_, Result<(Position, Subscription)>> {
        Box::pin(async move {
            let (mut end, inner) = self.inner.subscribe().await?;
            if self.is(Defect::SubscribesAtTheStart) {
                end.number = 0;
            }
            let defect = self.defect;
            let number = self.subscribers.fetch_add(1, Ordering::Relaxed);
            let reads = move |message: &mut Message| match defect {
                Some(Defect::LosesMessages) => !message.position.number.is_multiple_of(40),
                Some(Defect::SharesMessages) => message.position.number % 2 == number % 2,
                Some(Defect::CutsAnnouncements) => {
                    message.announcement.truncate(64 << 10);
                    true
                }
                _ => true,
            };
            let reader: Subscription = Box::pin(Reader { inner, reads });
            Ok((end, reader))
        })
    }
}

/// A subscription that changes messages, and leaves some out.
struct Reader<F> {
    inner: Subscription,
    reads: F,
}

impl<F: FnMut(&mut Message) -> bool + Unpin> Stream for Reader<F> {
    type Item = BusEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<BusEvent>> {
        loop {
            let mut event = ready!(self.inner.as_mut().poll_next(context));
            let is_read = match &mut event {
                Some(BusEvent::Message(message)) => (self.reads)(message),
                _ => true,
            };
            if is_read {
                return Poll::Ready(event);
            }
        }
    }
}
