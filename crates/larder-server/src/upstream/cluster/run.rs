//! Requests to a cluster: each goes to the server that has its slot, those to one server together
//! and in their order, to all servers at once.
//!
//! A server that refuses a request because its slot is elsewhere hasn't executed it, so it is asked
//! there; one whose several keys are just being moved, a little later. What was sent and not
//! answered may have been executed, and is never sent again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use larder_core::{Error, ErrorKind, Result};
use larder_redis::Address;
use larder_resp::codec::{Protocol, encode_request};
use larder_resp::upstream::{Part, REPLIES_BYTES_MAX, Requests, Stands, To};
use tokio::time::sleep;

use super::{Cluster, Moved, nobody};
use crate::upstream::lane::{Came, Lost};
use crate::upstream::lanes::Lanes;

/// How often one request is sent, to other servers or later.
const ATTEMPTS_MAX: u32 = 6;

/// How long keys that are being moved, or slots that nobody has, are left alone: doubled each time.
const WAIT: Duration = Duration::from_millis(10);

/// A request on its way to one server.
struct Errand {
    /// Which request it is.
    request: usize,
    target: Target,
    came: Came,
}

/// Whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// The server that has the slot.
    Owner(u16),
    /// The server that the slot is on its way to.
    Heir(u16, Address),
    /// This server, or another one.
    Whoever(Address),
    /// This server, as all others.
    Each(Address),
}

/// What comes next for an errand.
enum Next {
    Done,
    /// It goes there at once.
    Again(Target),
    /// It goes again later.
    Later,
    /// It goes again if a new map says that it belongs elsewhere.
    Lost,
}

impl Cluster {
    /// Sends requests, and waits for their replies.
    pub(in crate::upstream) async fn run(
        self: &Arc<Self>,
        requests: Requests,
    ) -> Vec<Result<Bytes>> {
        self.draw_first().await;
        let pieces = pieces(&requests);
        let mut errands = self.errands(&requests.parts);
        let mut open: Vec<usize> = (0..errands.len()).collect();
        for attempt in 0..ATTEMPTS_MAX {
            if open.is_empty() {
                break;
            }
            let version = self.map.lock().version();
            let asked = self.round(&pieces, &mut errands, &open, requests.protocol).await;
            let (mut again, mut later, mut lost) = (Vec::new(), false, Vec::new());
            for (at, asked) in open.into_iter().zip(asked) {
                match self.next(&errands[at], asked.as_ref()) {
                    Next::Done => {}
                    Next::Again(target) => {
                        errands[at].target = target;
                        again.push(at);
                    }
                    Next::Later => {
                        later = true;
                        errands[at].target = errands[at].target.at_home();
                        again.push(at);
                    }
                    Next::Lost => lost.push((at, asked)),
                }
            }
            if !lost.is_empty() {
                let drawn = self.draw(version).await.is_ok();
                // Where the new map says what the old one said, nothing is to be done.
                for (at, asked) in lost {
                    if drawn && self.is_elsewhere(&mut errands[at], asked.as_ref()) {
                        again.push(at);
                    }
                }
                // As they were sent.
                again.sort_unstable();
            }
            if later && attempt + 1 < ATTEMPTS_MAX {
                sleep(WAIT * 2_u32.pow(attempt)).await;
            }
            open = again;
        }
        if errands.iter().any(|errand| matches!(errand.came, Err(Lost { sent: true, .. }))) {
            // A server that hangs never says that it lost its slots.
            let cluster = Arc::clone(self);
            self.runtime.spawn(async move { cluster.doubt().await });
        }
        gather(&requests.parts, errands)
    }

    /// One errand for each request, and several for those to all servers.
    fn errands(&self, parts: &[Part]) -> Vec<Errand> {
        let mut errands = Vec::with_capacity(parts.len());
        let mut before = None;
        for (request, part) in parts.iter().enumerate() {
            let came = || Err(Lost { error: nobody(), sent: false });
            let whoever = || match self.whoever() {
                Some((address, _)) => Target::Whoever(address),
                None => Target::Owner(0),
            };
            let target = match part.to {
                To::Slot(slot) => Target::Owner(slot),
                To::Any => before.clone().unwrap_or_else(whoever),
                To::Turn => whoever(),
                To::All => {
                    let owners: Vec<_> = self.map.lock().owners().collect();
                    errands.extend(owners.into_iter().map(|(address, _)| Errand {
                        request,
                        target: Target::Each(address),
                        came: came(),
                    }));
                    continue;
                }
            };
            before = Some(target.clone());
            errands.push(Errand { request, target, came: came() });
        }
        errands
    }

    /// Sends errands, and waits for what comes of them; returns who was asked.
    async fn round(
        &self,
        pieces: &[Bytes],
        errands: &mut [Errand],
        open: &[usize],
        protocol: Protocol,
    ) -> Vec<Option<Address>> {
        let mut asked = vec![None; open.len()];
        let mut groups: HashMap<Address, (Lanes, Vec<usize>)> = HashMap::new();
        for (nth, &at) in open.iter().enumerate() {
            let found = match &errands[at].target {
                Target::Owner(slot) => self.map.lock().owner(*slot),
                Target::Heir(_, at) | Target::Whoever(at) | Target::Each(at) => {
                    Some((at.clone(), self.map.lock().node(at, self.make())))
                }
            };
            match found {
                Some((address, lanes)) => {
                    asked[nth] = Some(address.clone());
                    groups.entry(address).or_insert_with(|| (lanes, Vec::new())).1.push(at);
                }
                None => errands[at].came = Err(Lost { error: nobody(), sent: false }),
            }
        }
        let groups = groups.into_values().map(|(lanes, members)| {
            let requests = together(pieces, errands, &members, protocol);
            async move { (lanes.order(requests).await, members) }
        });
        for (came, members) in join_all(groups.collect::<Vec<_>>()).await {
            let mut came = came.into_iter();
            for at in members {
                if let Target::Heir(..) = errands[at].target {
                    // What ASKING was answered says the next reply.
                    came.next();
                }
                if let Some(came) = came.next() {
                    errands[at].came = came;
                }
            }
        }
        asked
    }

    /// What comes next, by what came from the server that was asked.
    fn next(&self, errand: &Errand, asked: Option<&Address>) -> Next {
        let reply = match &errand.came {
            Ok(reply) if reply.first() == Some(&b'-') => reply,
            Ok(_) => return Next::Done,
            Err(Lost { sent: true, .. }) => return Next::Done,
            Err(Lost { sent: false, .. }) => return Next::Lost,
        };
        let Some(asked) = asked else { return Next::Lost };
        let slot = match errand.target {
            Target::Owner(slot) | Target::Heir(slot, _) => slot,
            // Nothing that has no key is sent elsewhere.
            Target::Whoever(_) | Target::Each(_) => return Next::Done,
        };
        match Moved::read(reply, asked) {
            Some(Moved::ForGood(..)) => {
                self.hear(asked, reply);
                Next::Again(Target::Owner(slot))
            }
            Some(Moved::OnItsWay(address)) => Next::Again(Target::Heir(slot, address)),
            None if reply.starts_with(b"-TRYAGAIN ") => Next::Later,
            None if reply.starts_with(b"-CLUSTERDOWN ") || reply.starts_with(b"-READONLY ") => {
                Next::Lost
            }
            None => Next::Done,
        }
    }

    /// Whether an errand that was lost has another server now than the one that was asked.
    fn is_elsewhere(&self, errand: &mut Errand, asked: Option<&Address>) -> bool {
        match &errand.target {
            Target::Owner(slot) | Target::Heir(slot, _) => {
                let slot = *slot;
                errand.target = Target::Owner(slot);
                let owner = self.map.lock().owner(slot).map(|(address, _)| address);
                owner.is_some() && owner.as_ref() != asked
            }
            Target::Whoever(_) => match self.whoever() {
                Some((address, _)) => {
                    errand.target = Target::Whoever(address);
                    true
                }
                None => false,
            },
            Target::Each(_) => false,
        }
    }
}

impl Target {
    /// Where it is asked first.
    fn at_home(&self) -> Self {
        match self {
            Self::Heir(slot, _) => Self::Owner(*slot),
            other => other.clone(),
        }
    }
}

/// The requests, each by itself.
fn pieces(requests: &Requests) -> Vec<Bytes> {
    let mut rest = requests.bytes.clone();
    requests.parts.iter().map(|part| rest.split_to(part.length.min(rest.len()))).collect()
}

/// Those of one server in one piece. One that a slot is on its way to is told so.
fn together(
    pieces: &[Bytes],
    errands: &[Errand],
    members: &[usize],
    protocol: Protocol,
) -> Requests {
    let mut asking = Vec::new();
    encode_request(&mut asking, &["ASKING"]);
    let mut bytes = BytesMut::new();
    let mut parts = Vec::with_capacity(members.len());
    for &at in members {
        if let Target::Heir(..) = errands[at].target {
            bytes.extend_from_slice(&asking);
            parts.push(Part { length: asking.len(), to: To::Any, stands: Stands::ForItself });
        }
        let piece = &pieces[errands[at].request];
        bytes.extend_from_slice(piece);
        parts.push(Part { length: piece.len(), to: To::Any, stands: Stands::ForItself });
    }
    Requests { bytes: bytes.freeze(), parts, protocol }
}

/// What came for each request. Together they aren't longer than replies may be.
fn gather(parts: &[Part], errands: Vec<Errand>) -> Vec<Result<Bytes>> {
    let mut left = REPLIES_BYTES_MAX;
    let mut bounded = |came: Result<Bytes>| {
        let bytes = came?;
        left = left.checked_sub(bytes.len()).ok_or_else(|| {
            let message = format!(
                "it was executed, but the replies to one pipeline may take {REPLIES_BYTES_MAX} \
                 bytes until they are read: ask for less at a time"
            );
            Error::new(ErrorKind::Refused, message)
        })?;
        Ok(bytes)
    };
    let mut errands = errands.into_iter().peekable();
    let mut replies = Vec::with_capacity(parts.len());
    for (request, part) in parts.iter().enumerate() {
        let mut own = Vec::new();
        while let Some(errand) = errands.next_if(|errand| errand.request == request) {
            own.push(errand.came.map_err(|lost| lost.error));
        }
        let reply = match part.to {
            To::All if own.is_empty() => Err(nobody()),
            To::All => own.into_iter().collect::<Result<Vec<_>>>().map(|own| {
                let mut all = BytesMut::from(format!("*{}\r\n", own.len()).as_bytes());
                own.iter().for_each(|reply| all.extend_from_slice(reply));
                all.freeze()
            }),
            To::Any | To::Turn | To::Slot(_) => own.pop().unwrap_or_else(|| Err(nobody())),
        };
        replies.push(bounded(reply));
    }
    replies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_all_servers_together_are_no_longer_than_replies_may_be() {
        let half = Bytes::from(vec![b'x'; REPLIES_BYTES_MAX / 2]);
        let errand = |request, came| Errand { request, target: Target::Owner(0), came };
        let part = |to| Part { length: 1, to, stands: Stands::ForItself };
        let parts = [part(To::Slot(1)), part(To::Slot(2)), part(To::Slot(3)), part(To::All)];
        let lost = || Err(Lost { error: nobody(), sent: false });
        let errands = vec![
            errand(0, Ok(half.clone())),
            errand(1, Ok(half.clone())),
            errand(2, Ok(Bytes::from_static(b"+OK\r\n"))),
            errand(3, Ok(Bytes::from_static(b":1\r\n"))),
            errand(3, lost()),
        ];
        let replies = gather(&parts, errands);
        assert!(replies[..2].iter().all(Result::is_ok));
        assert_eq!(replies[2].as_ref().unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(replies[3].as_ref().unwrap_err().kind(), ErrorKind::SharedDown);
        let errands = vec![
            errand(0, Ok(half)),
            errand(3, Ok(Bytes::from_static(b":1\r\n"))),
            errand(3, Ok(Bytes::from_static(b":2\r\n"))),
        ];
        let replies = gather(&parts, errands);
        assert_eq!(replies[3].as_ref().unwrap(), "*2\r\n:1\r\n:2\r\n");
    }
}
