//! Requests to the master that Sentinels name.
//!
//! One that has become a replica says so in the place of each write, which it hasn't executed: then
//! the master is looked for, and those requests go to it. What was sent and not answered may have
//! been executed, and is never sent again.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use larder_core::Result;
use larder_resp::upstream::{Part, Requests, Stands};
use tokio::time::sleep;

use super::lanes::Lanes;
use super::seat::Seat;

/// How often one request is sent.
const ATTEMPTS_MAX: u32 = 6;

/// How long a master that is being replaced is left alone: doubled each time.
const WAIT: Duration = Duration::from_millis(10);

/// Sends requests, and waits for their replies.
pub(super) async fn run(lanes: &Lanes, requests: Requests) -> Vec<Result<Bytes>> {
    let mut epoch = lanes.seat().epoch();
    let mut came = lanes.order(requests.clone()).await;
    for attempt in 0..ATTEMPTS_MAX - 1 {
        let refused = came.iter().map(|came| came.as_ref().is_ok_and(|reply| is_replicas(reply)));
        let refused: Vec<bool> = refused.collect();
        if !refused.contains(&true) {
            break;
        }
        lanes.seat().lost(epoch);
        let again = to_be_sent_again(&requests.parts, &refused);
        if again.is_empty() {
            break;
        }
        sleep(WAIT * 2_u32.pow(attempt)).await;
        epoch = lanes.seat().epoch();
        let replies = lanes.order(only(&requests, &again)).await;
        for (at, reply) in again.into_iter().zip(replies) {
            came[at] = reply;
        }
    }
    came.into_iter().map(|came| came.map_err(|lost| lost.error)).collect()
}

/// Heeds what a server said on a connection of this epoch.
pub(super) fn hear(seat: &Seat, epoch: u64, error: &[u8]) {
    if is_replicas(error) {
        seat.lost(epoch);
    }
}

/// Whether a replica says that it is one.
fn is_replicas(reply: &[u8]) -> bool {
    reply.starts_with(b"-READONLY ")
}

/// Those that were refused, with all that stands beside them. Where only something beside a
/// request was refused, the request itself may have been executed.
fn to_be_sent_again(parts: &[Part], refused: &[bool]) -> Vec<usize> {
    let mut again = Vec::new();
    let mut start = 0;
    while start < parts.len() {
        let rest = &parts[start..];
        let before = rest.iter().take_while(|part| part.stands == Stands::Before).count();
        let behind = rest.iter().skip(before + 1);
        let behind = behind.take_while(|part| part.stands == Stands::Behind).count();
        let end = (start + before + 1 + behind).min(parts.len());
        if refused.get(start + before) == Some(&true) {
            again.extend(start..end);
        }
        start = end;
    }
    again
}

/// These of the requests.
fn only(requests: &Requests, wanted: &[usize]) -> Requests {
    let (mut bytes, mut parts) = (BytesMut::new(), Vec::with_capacity(wanted.len()));
    let mut start = 0;
    for (at, part) in requests.parts.iter().enumerate() {
        let end = start + part.length;
        if wanted.binary_search(&at).is_ok() {
            bytes.extend_from_slice(&requests.bytes[start..end]);
            parts.push(*part);
        }
        start = end;
    }
    Requests { bytes: bytes.freeze(), parts, protocol: requests.protocol }
}

#[cfg(test)]
mod tests {
    use larder_resp::upstream::To;

    use super::*;

    #[test]
    fn a_request_is_sent_again_with_what_stands_beside_it_and_with_nothing_else() {
        let again = |shape: &str, refused: &[usize]| {
            let part = |stands| Part { length: 1, to: To::Any, stands };
            let stands = shape.chars().map(|one| match one {
                '<' => Stands::Before,
                '>' => Stands::Behind,
                _ => Stands::ForItself,
            });
            let parts: Vec<_> = stands.map(part).collect();
            let refused: Vec<_> = (0..parts.len()).map(|at| refused.contains(&at)).collect();
            to_be_sent_again(&parts, &refused)
        };
        assert_eq!(again("...", &[1]), [1]);
        assert_eq!(again(".<<.>>.", &[3]), [1, 2, 3, 4, 5]);
        assert_eq!(again("<.<.>.", &[1, 5]), [0, 1, 5]);
        assert_eq!(again("<.<.>.", &[0, 1, 3]), [0, 1, 2, 3, 4]);
        // It may have been executed.
        assert!(again("<.<.>.", &[0, 2, 4]).is_empty());
        assert!(again("<<", &[0, 1]).is_empty());
    }
}
