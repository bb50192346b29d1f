//! Requests of one client that go upstream together, and how their replies come back.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use larder_core::sync::Mutex;
use larder_core::{Error, ErrorKind, Result};

use crate::codec::Protocol;
use crate::link::{Link, Subscriptions, Told};
use crate::upstream::{Dedicated, Patience, REPLIES_BYTES_MAX, Requests, Upstream};

/// Over which connection requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Shared,
    Dedicated,
}

/// What ends the replies to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ends {
    /// One reply.
    Reply,
    /// So many confirmations of subscriptions, or an error.
    Confirmations(u64),
}

/// The requests that have gathered.
pub(crate) struct Exchange {
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) link: Arc<Mutex<Link>>,
    pub(crate) protocol: Protocol,
    pub(crate) over: Over,
    pub(crate) patience: Patience,
    pub(crate) requests: Vec<u8>,
    pub(crate) ends: Vec<Ends>,
    /// Whether the client is in a transaction when they are all done.
    pub(crate) stays_open: bool,
}

impl Exchange {
    /// Sends the requests and waits for their replies: for each request what came for it, or why
    /// nothing did.
    pub(crate) async fn run(self) -> Vec<Result<Bytes>> {
        match self.over {
            // All of it was answered here.
            _ if self.ends.is_empty() => Vec::new(),
            Over::Shared => {
                let Self { upstream, protocol, requests, ends, .. } = self;
                let count = ends.len();
                upstream.forward(Requests { bytes: requests.into(), count, protocol }).await
            }
            Over::Dedicated => self.run_alone().await,
        }
    }

    async fn run_alone(self) -> Vec<Result<Bytes>> {
        let (held, subscriptions) = {
            let mut link = self.link.lock();
            (link.connection.take(), link.subscriptions)
        };
        let mut talk = Talk { subscriptions, protocol: self.protocol, received: 0, refused: false };
        let opened = match held {
            Some(connection) => Ok(connection),
            None => self.upstream.open(self.protocol).await,
        };
        let mut replies = Vec::with_capacity(self.ends.len());
        let ended = match opened {
            Ok(connection) => self.talk(connection, &mut talk, &mut replies).await,
            Err(error) => Err(error),
        };
        let mut link = self.link.lock();
        let stays = self.stays_open || talk.subscriptions.any();
        match ended {
            Ok(connection) => {
                link.subscriptions = talk.subscriptions;
                if stays {
                    link.connection = Some(connection);
                } else if !talk.refused {
                    // Where something was refused it isn't sure that nothing is left on it.
                    connection.release();
                }
            }
            Err(error) => {
                link.lost = stays;
                link.subscriptions = Subscriptions::default();
                replies.resize_with(self.ends.len(), || Err(error.clone()));
            }
        }
        replies
    }

    async fn talk(
        &self,
        mut connection: Box<dyn Dedicated>,
        talk: &mut Talk,
        replies: &mut Vec<Result<Bytes>>,
    ) -> Result<Box<dyn Dedicated>> {
        connection.send(&self.requests);
        for &ends in &self.ends {
            replies.push(Ok(talk.receive(&mut *connection, self.patience, ends).await?));
        }
        Ok(connection)
    }
}

/// What is known while replies come over a connection of one client.
struct Talk {
    subscriptions: Subscriptions,
    protocol: Protocol,
    /// How many bytes have come.
    received: usize,
    /// Whether there was an error among the replies.
    refused: bool,
}

impl Talk {
    /// Everything up to the end of the replies to one request, messages in between included.
    async fn receive(
        &mut self,
        connection: &mut dyn Dedicated,
        patience: Patience,
        ends: Ends,
    ) -> Result<Bytes> {
        let mut before = BytesMut::new();
        let mut confirmed = 0;
        loop {
            let came = poll_fn(|context| connection.poll_reply(context, patience)).await?;
            self.received += came.len();
            if self.received > REPLIES_BYTES_MAX {
                let message = format!("the replies take more than {REPLIES_BYTES_MAX} bytes");
                return Err(Error::new(ErrorKind::Refused, message));
            }
            self.refused |= came.first() == Some(&b'-');
            let ended = match (self.told(&came, ends), ends) {
                (Told::Larders, _) => continue,
                (Told::Reply, _) => true,
                (Told::Confirmation, Ends::Confirmations(count)) => {
                    confirmed += 1;
                    confirmed >= count
                }
                (Told::Confirmation | Told::Message, _) => false,
            };
            if ended && before.is_empty() {
                return Ok(came);
            }
            before.extend_from_slice(&came);
            if ended {
                return Ok(before.freeze());
            }
        }
    }

    /// What came. In RESP2 an array may be a reply or a message: only who subscribes gets
    /// messages, and their replies are no arrays that look like them.
    fn told(&mut self, came: &[u8], ends: Ends) -> Told {
        let subscribes = matches!(ends, Ends::Confirmations(_)) || self.subscriptions.any();
        match self.protocol {
            Protocol::Resp2 if !subscribes => Told::Reply,
            protocol => self.subscriptions.told(came, protocol),
        }
    }
}
