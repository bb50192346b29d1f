//! The client as a bus, and what a subscriber of it reads.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use larder_core::bus::{Bus, BusEvent, Position, Subscription};
use larder_core::shared::MarkClock;
use larder_core::{BoxFuture, Result};

use super::SimClient;
use super::tier::check_length;
use crate::shared::calls::Call;
use crate::shared::server::Cursor;

impl Bus for SimClient {
    fn name(&self) -> &str {
        &self.name
    }

    fn publish(
        &self,
        announcement: Bytes,
        marks: Option<(MarkClock, u32)>,
    ) -> BoxFuture<'_, Result<Position>> {
        Box::pin(async move {
            check_length(Some(&announcement))?;
            self.ask(Call::Publish, 1, move |data| data.log.append(announcement, marks)).await
        })
    }

    fn subscribe(&self) -> BoxFuture<'_, Result<(Position, Subscription)>> {
        Box::pin(async move {
            let end = self.ask(Call::Subscribe, 1, |data| data.log.end()).await?;
            let cursor = self.server.read(|server| server.cursor(self.connection, end));
            let subscription: Subscription = Box::pin(Reader { client: self.clone(), cursor });
            Ok((end, subscription))
        })
    }
}

/// A subscription.
struct Reader {
    client: SimClient,
    cursor: Cursor,
}

impl Stream for Reader {
    type Item = BusEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<BusEvent>> {
        let Self { client, cursor } = self.get_mut();
        let event =
            client.server.poll_for(context, |server| server.next_event(client.connection, cursor));
        event.map(Some)
    }
}
