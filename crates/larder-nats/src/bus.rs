//! The bus: publishing, and where to begin to read.

use std::fmt;
use std::sync::Arc;

use async_nats::jetstream::context::PublishErrorKind;
use bytes::Bytes;
use larder_core::bus::{Announcement, Position, Subscription};
use larder_core::shared::MarkClock;
use larder_core::sync::Mutex;
use larder_core::{BoxFuture, Bus, Error, ErrorKind, Result};

use crate::link::Link;
use crate::options::NatsOptions;
use crate::{errors, message, stream, subscription};

/// A NATS with `JetStream` as the bus, over one stream.
///
/// The stream is made when it isn't there. It keeps the last 100,000 announcements, 256 MiB of
/// them at most, for an hour; who is further behind is told of a gap. What bounds it, where it is
/// kept and how often it is copied may be changed on the server (`nats stream edit`), its subject
/// may not.
///
/// Nothing is connected until it is asked. A connection that is lost is opened again, after 50 ms
/// to a second; a subscription reads on where it stood. A stream that was deleted, purged or rolled
/// back meanwhile is a gap, and so is a server that has started again: what it lost nobody knows.
///
/// It needs a runtime of tokio.
#[derive(Clone)]
pub struct NatsBus(Arc<Shared>);

/// What the bus and its subscriptions have in common.
pub(crate) struct Shared {
    pub(crate) link: Link,
    pub(crate) stream: String,
    /// The run that is published to, and its subject.
    known: Mutex<Option<(u32, String)>>,
}

impl NatsBus {
    /// The NATS at `options.url`. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// `Config` if no NATS can have such a URL, or an option is out of bounds.
    pub fn connect(options: NatsOptions) -> Result<Self> {
        let stream = stream::name(&options.namespace);
        let link = Link::new(options)?;
        Ok(Self(Arc::new(Shared { link, stream, known: Mutex::new(None) })))
    }
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Bus for NatsBus {
    fn name(&self) -> &str {
        &self.0.link.name
    }

    fn publish(
        &self,
        announcement: Bytes,
        marks: Option<(MarkClock, u32)>,
    ) -> BoxFuture<'_, Result<Position>> {
        Box::pin(async move {
            if announcement.len() > Announcement::BYTES_MAX {
                let words = "an announcement is longer than announcements may be: announce \
                             several times";
                return Err(Error::new(ErrorKind::Refused, words));
            }
            let message = message::encode(&announcement, marks);
            if let Some(position) = self.0.publish(message.clone()).await? {
                return Ok(position);
            }
            // The stream that was known is gone: the next one will do.
            let published = self.0.publish(message).await?;
            published.ok_or_else(|| errors::down(self.name(), "keeps losing its stream"))
        })
    }

    fn subscribe(&self) -> BoxFuture<'_, Result<(Position, Subscription)>> {
        Box::pin(subscription::subscribe(self.0.clone()))
    }
}

impl Shared {
    /// Publishes to the stream that is known, and learns of one first where none is. `None` where
    /// nobody listens there any more.
    async fn publish(&self, message: Bytes) -> Result<Option<Position>> {
        let name = &self.link.name;
        let context = self.link.context().await?;
        let known = self.known.lock().clone();
        let (run, subject) = match known {
            Some(known) => known,
            None => {
                let found = stream::find(&self.link, &self.stream).await?;
                self.known.lock().insert((found.end.run, found.subject)).clone()
            }
        };
        let sent = match context.publish(subject, message).await {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(acknowledged) if acknowledged.stream == self.stream => {
                Ok(Some(Position { run, number: acknowledged.sequence }))
            }
            Ok(_) => Err(errors::down(name, "let another stream take what is ours")),
            Err(error) => {
                // Whatever it was: what is known may be wrong.
                *self.known.lock() = None;
                match error.kind() {
                    PublishErrorKind::StreamNotFound => Ok(None),
                    PublishErrorKind::TimedOut => {
                        Err(errors::down(name, "did not answer in time").caused_by(error))
                    }
                    PublishErrorKind::MaxPayloadExceeded => {
                        let words = "takes no messages so long: raise its max_payload";
                        Err(errors::down(name, words).caused_by(error))
                    }
                    _ => Err(errors::down(name, "took no announcement").caused_by(error)),
                }
            }
        }
    }
}
