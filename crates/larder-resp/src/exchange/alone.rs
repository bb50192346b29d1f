//! Requests over a connection that their client has for itself.
//!
//! Where keys live on several servers, the first key decides where it leads. A transaction may
//! begin without one: its beginning is answered here, and sent when a key says where to. What was
//! asked of a server that no longer has the slot, and was therefore not executed, is asked once
//! more of the one that has; where a part of it may have been, the client is told to begin again.

use std::future::poll_fn;

use bytes::{Bytes, BytesMut};
use larder_core::{Error, ErrorKind, Result};

use super::{Ends, Exchange};
use crate::codec::Protocol;
use crate::link::{Deferred, Subscriptions, Told};
use crate::upstream::{Dedicated, Patience, REPLIES_BYTES_MAX, To};

/// So often a server is looked for that has the slot.
const ATTEMPTS_MAX: usize = 5;

/// What is said of what begins with `-MOVED` or `-ASK`, about which the client knows nothing.
const MOVING: &[u8] = b"-TRYAGAIN the keys are moving to another server of the cluster: begin \
                        again what they are needed for\r\n";

impl Exchange {
    pub(super) async fn run_alone(self) -> Vec<Result<Bytes>> {
        if self.may_be_deferred() {
            return self.defer();
        }
        let (held, subscriptions, deferred, kept) = {
            let mut link = self.link.lock();
            let deferred = std::mem::take(&mut link.deferred);
            (link.connection.take(), link.subscriptions, deferred, link.slot.take())
        };
        let first = || self.parts.iter().find_map(|part| part.to.slot());
        let slot = if held.is_some() { kept } else { first() };
        let mut talk = Talk { subscriptions, protocol: self.protocol, received: 0, refused: false };
        let mut replies = Vec::with_capacity(self.ends.len());
        let ended = match held {
            Some(connection) => self.talk(connection, &deferred, &mut talk, &mut replies).await,
            None => self.talk_anew(slot, &deferred, &mut talk, &mut replies).await,
        };
        let mut link = self.link.lock();
        let stays = self.stays_open || talk.subscriptions.any();
        match ended {
            Ok(connection) => {
                link.subscriptions = talk.subscriptions;
                if stays {
                    (link.connection, link.slot) = (Some(connection), slot);
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
        drop(link);
        if self.upstream.is_divided() {
            replies.iter_mut().flatten().filter(|reply| is_elsewhere(reply)).for_each(|reply| {
                *reply = Bytes::from_static(MOVING);
            });
        }
        replies
    }

    /// Whether nothing of it says where it is to be executed, and all of it can be answered.
    fn may_be_deferred(&self) -> bool {
        let link = self.link.lock();
        let bytes = link.deferred.requests.len() + self.requests.len();
        let foreseen = |ends: &Ends| matches!(ends, Ends::Foreseen(_));
        self.upstream.is_divided()
            && link.connection.is_none()
            && bytes <= Deferred::BYTES_MAX
            && self.parts.iter().all(|part| part.to.slot().is_none())
            && self.ends.iter().all(foreseen)
    }

    fn defer(self) -> Vec<Result<Bytes>> {
        let mut link = self.link.lock();
        link.deferred.requests.extend_from_slice(&self.requests);
        link.deferred.count += self.ends.len();
        let reply = |ends: &Ends| match ends {
            Ends::Foreseen(word) => Ok(Bytes::from(format!("+{word}\r\n"))),
            Ends::Reply | Ends::Confirmations(_) => Ok(Bytes::new()),
        };
        self.ends.iter().map(reply).collect()
    }

    /// Talks over a connection that is opened for it; once more where nothing was executed, since
    /// the slot has moved.
    async fn talk_anew(
        &self,
        slot: Option<u16>,
        deferred: &Deferred,
        talk: &mut Talk,
        replies: &mut Vec<Result<Bytes>>,
    ) -> Result<Box<dyn Dedicated>> {
        let mut attempt = 1;
        loop {
            let connection = self.upstream.open(self.protocol, slot).await?;
            let connection = self.talk(connection, deferred, talk, replies).await?;
            if attempt >= ATTEMPTS_MAX || !nothing_was_done(replies) {
                return Ok(connection);
            }
            attempt += 1;
            talk.refused = false;
            replies.clear();
        }
    }

    async fn talk(
        &self,
        mut connection: Box<dyn Dedicated>,
        deferred: &Deferred,
        talk: &mut Talk,
        replies: &mut Vec<Result<Bytes>>,
    ) -> Result<Box<dyn Dedicated>> {
        connection.send(&deferred.requests);
        connection.send(&self.requests);
        for _ in 0..deferred.count {
            // An error among them is told by EXEC.
            talk.receive(&mut *connection, self.patience, Ends::Reply).await?;
        }
        for &ends in &self.ends {
            replies.push(Ok(talk.receive(&mut *connection, self.patience, ends).await?));
        }
        Ok(connection)
    }
}

impl To {
    fn slot(self) -> Option<u16> {
        match self {
            Self::Slot(slot) => Some(slot),
            Self::Any | Self::Turn | Self::All => None,
        }
    }
}

/// Whether a reply says that the slot is elsewhere: for good, or while it is on its way.
fn is_elsewhere(reply: &[u8]) -> bool {
    reply.starts_with(b"-MOVED ") || reply.starts_with(b"-ASK ")
}

/// Whether requests were refused since their slot has moved for good, and everything beside them
/// was no more than the frame of a transaction that wasn't executed.
fn nothing_was_done(replies: &[Result<Bytes>]) -> bool {
    let begins = |reply: &Result<Bytes>, with: &str| {
        reply.as_ref().is_ok_and(|reply| reply.starts_with(with.as_bytes()))
    };
    let frame = ["-MOVED ", "+OK", "+QUEUED", "-EXECABORT "];
    let moved = replies.iter().any(|reply| begins(reply, "-MOVED "));
    let only = replies.iter().all(|reply| frame.iter().any(|with| begins(reply, with)));
    let ended = replies.len() == 1
        || replies.last().is_some_and(|last| begins(last, "-EXECABORT "))
            && replies.iter().filter(|reply| begins(reply, "+OK")).count() <= 1;
    moved && only && ended
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_executed_is_not_asked_once_more() {
        let check = |replies: &[&'static str], expected| {
            let came: Vec<_> = replies.iter().map(|reply| Ok(Bytes::from(*reply))).collect();
            assert_eq!(nothing_was_done(&came), expected, "{replies:?}");
        };
        let (moved, aborted) = ("-MOVED 1 a:1\r\n", "-EXECABORT x\r\n");
        check(&[moved], true);
        check(&["+OK\r\n", moved, "+QUEUED\r\n", aborted], true);
        check(&[moved, "+OK\r\n", moved, aborted], true);
        check(&[moved, aborted], true);
        check(&["+OK\r\n"], false);
        check(&["+OK\r\n", moved], false);
        check(&["+OK\r\n", "+OK\r\n", moved, aborted], false);
        check(&[":1\r\n", "+OK\r\n", moved, aborted], false);
        check(&["+OK\r\n", moved, "*1\r\n:1\r\n"], false);
        check(&["-ASK 1 a:1\r\n"], false);
    }
}
