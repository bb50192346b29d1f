//! The bus: publishing, and where to begin to read.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::bus::{Position, Subscription};
use larder_core::shared::MarkClock;
use larder_core::{BoxFuture, Bus, Result};

use crate::reply;
use crate::script::Script;
use crate::subscription;
use crate::tier::{Shared, announced, position};

/// The bus of a [`RedisTier`](crate::RedisTier): one stream, and a hash that counts what was
/// appended to it.
///
/// The stream keeps the last 100,000 announcements, a few more or less; who is further behind is
/// told of a gap. Its numbers come from the hash: whatever is lost, of either, shows as a number
/// that doesn't follow.
///
/// A subscription has a connection of its own. It is opened again when it is lost, after 50 ms to
/// a second, for as long as somebody reads.
#[derive(Clone)]
pub struct RedisBus {
    shared: Arc<Shared>,
}

impl RedisBus {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Bus for RedisBus {
    fn name(&self) -> &str {
        &self.shared.settings.name
    }

    fn publish(
        &self,
        announcement: Bytes,
        marks: Option<(MarkClock, u32)>,
    ) -> BoxFuture<'_, Result<Position>> {
        Box::pin(async move {
            let shared = &self.shared;
            let mut args = vec![shared.random.run(), announced(Some(announcement))?];
            if let Some((clock, incarnation)) = marks {
                args.extend([
                    Bytes::from_static(b"c"),
                    clock.0.to_string().into(),
                    Bytes::from_static(b"i"),
                    format!("{incarnation:08x}").into(),
                ]);
            }
            let keys = vec![shared.names.head.clone(), shared.names.stream.clone()];
            let place = shared.call(Script::Publish, keys, args).await?;
            position(reply::array(place)?)
        })
    }

    fn subscribe(&self) -> BoxFuture<'_, Result<(Position, Subscription)>> {
        Box::pin(subscription::subscribe(self.shared.clone()))
    }
}
