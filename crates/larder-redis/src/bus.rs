//! The bus: publishing, and where to begin to read.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use larder_core::bus::{Announcement, Position, Subscription};
use larder_core::shared::MarkClock;
use larder_core::{BoxFuture, Bus, Error, ErrorKind, Result};

use crate::client::Client;
use crate::reply;
use crate::script::Script;
use crate::subscription;

/// The bus of a [`RedisTier`](crate::RedisTier): one stream, and a hash that counts what was
/// appended to it.
///
/// The stream keeps the last 100,000 announcements, a few more or less; who is further behind is
/// told of a gap. Its numbers come from the hash: whatever is lost, of either, shows as a number
/// that doesn't follow.
///
/// A subscription has a connection of its own. It is opened again when it is lost, after 50 ms to
/// a second, for as long as somebody reads. Where it leads to another run of a server then, it is
/// told of a gap: what was announced and lost before it was read nobody knows.
#[derive(Clone)]
pub struct RedisBus {
    client: Arc<Client>,
}

impl RedisBus {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { client }
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Bus for RedisBus {
    fn name(&self) -> &str {
        &self.client.settings.name
    }

    fn publish(
        &self,
        announcement: Bytes,
        marks: Option<(MarkClock, u32)>,
    ) -> BoxFuture<'_, Result<Position>> {
        Box::pin(async move {
            let client = &self.client;
            let mut args = vec![client.random.run(), announced(Some(announcement))?];
            if let Some((clock, incarnation)) = marks {
                args.extend([
                    Bytes::from_static(b"c"),
                    clock.0.to_string().into(),
                    Bytes::from_static(b"i"),
                    format!("{incarnation:08x}").into(),
                ]);
            }
            let keys = vec![client.names.head.clone(), client.names.stream.clone()];
            let place = client.call(Script::Publish, keys, args).await?;
            reply::position(reply::array(place)?)
        })
    }

    fn subscribe(&self) -> BoxFuture<'_, Result<(Position, Subscription)>> {
        Box::pin(subscription::subscribe(self.client.clone()))
    }
}

/// An announcement as an argument of a script: empty where there is none.
pub(crate) fn announced(announcement: Option<Bytes>) -> Result<Bytes> {
    let announcement = announcement.unwrap_or_default();
    if announcement.len() > Announcement::BYTES_MAX {
        let words = "an announcement is longer than announcements may be: announce several times";
        return Err(Error::new(ErrorKind::Refused, words));
    }
    Ok(announcement)
}
