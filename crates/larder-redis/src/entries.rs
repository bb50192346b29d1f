//! Entries and leases, as reads and scripts return them.

use std::time::Duration;

use bytes::Bytes;
use larder_core::Result;
use larder_core::envelope::STAMP_AT;
use larder_core::shared::{Incarnation, Lease, SharedEntry, SharedRead};
use redis::Value;

use crate::client::Client;
use crate::errors::{self, Meaning};
use crate::random::TOKEN_BYTES;
use crate::reply;
use crate::request::{Outcome, Request};
use crate::script::{Call, Script};

/// The longest envelope, in bytes. What is longer is not ours.
pub(crate) const ENVELOPE_BYTES_MAX: usize = 32 << 20;

impl Client {
    /// What a read found.
    pub(crate) fn held(&self, outcome: Outcome) -> Result<Option<SharedEntry>> {
        let Some(reply) = outcome? else { return Ok(None) };
        let incarnation = reply.incarnation;
        let [value, left, stamp] = self.values(reply)?;
        let Some(entry) = entry(value, left, incarnation)? else { return Ok(None) };
        // Filled anew in between: the time is the other one's.
        let same = entry.envelope.get(STAMP_AT..STAMP_AT + 8) == Some(&reply::bytes(stamp)?[..]);
        Ok(same.then_some(entry))
    }

    /// What became of a question for a lease.
    pub(crate) fn leased(&self, outcome: Outcome, token: Bytes) -> Result<SharedRead> {
        let reply = outcome?.ok_or_else(|| errors::odd("answer"))?;
        let incarnation = reply.incarnation;
        if reply.error() == Some(Meaning::Torn) {
            // Its keys are being moved: a lease that is void from the beginning costs a load.
            return Ok(SharedRead::Miss(Lease { token, incarnation }));
        }
        let [value] = self.values(reply)?;
        let [what, value, left, wait] = reply::array(value)?;
        let entry = entry(value, left, incarnation)?;
        Ok(match (&reply::bytes(what)?[..], entry) {
            (b"hit", Some(entry)) => SharedRead::Hit(entry),
            (b"lease", Some(entry)) => {
                SharedRead::Stale { entry, lease: Lease { token, incarnation } }
            }
            (b"hit" | b"lease", None) => SharedRead::Miss(Lease { token, incarnation }),
            (b"busy", stale) => {
                let retry_after = Duration::from_millis(reply::number(wait)?);
                SharedRead::Busy { retry_after, stale }
            }
            (b"writer", stale) => SharedRead::WriterPending { stale },
            _ => return Err(errors::odd("such outcome of a lease")),
        })
    }

    /// A script about a lease: `None` when the lease is void.
    pub(crate) async fn under(
        &self,
        lease: &Lease,
        script: Script,
        keys: Vec<Bytes>,
        args: impl IntoIterator<Item = Bytes>,
    ) -> Result<Option<u64>> {
        if lease.token.len() != TOKEN_BYTES {
            return Ok(None);
        }
        let args = std::iter::once(lease.token.clone()).chain(args).collect();
        let mut request = Request::call(Call { script, keys, args });
        request.only_in = Some(lease.incarnation);
        request.is_patient = false;
        let Some(reply) = self.one(request).await? else { return Ok(None) };
        if reply.error() == Some(Meaning::Torn) {
            return Ok(None);
        }
        let [value] = self.values(reply)?;
        Ok(Some(reply::number(value)?))
    }
}

fn entry(value: Value, left: Value, incarnation: Incarnation) -> Result<Option<SharedEntry>> {
    let left: i64 = reply::number(left)?;
    // Without an end it is not ours; -2 is nothing at all.
    let Ok(left) = u64::try_from(left) else { return Ok(None) };
    if value == Value::Nil {
        return Ok(None);
    }
    let envelope = reply::bytes(value)?;
    if envelope.len() > ENVELOPE_BYTES_MAX {
        return Ok(None);
    }
    Ok(Some(SharedEntry { envelope, remaining: Duration::from_millis(left), incarnation }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::RedisOptions;
    use crate::request::Reply;

    /// An entry, as far as it matters here: its stamp.
    fn entry_of(stamp: u64) -> Value {
        let mut bytes = vec![1, 1];
        bytes.extend(stamp.to_be_bytes());
        bytes.extend(b"and so on");
        Value::BulkString(bytes)
    }

    fn held(value: Value, left: i64, stamp_after: u64) -> Result<Option<SharedEntry>> {
        let client = Client::new(&RedisOptions::new("redis://localhost"))?;
        let stamp = Value::BulkString(stamp_after.to_be_bytes().to_vec());
        let values = vec![value, Value::Int(left), stamp];
        client.held(Ok(Some(Reply { values, incarnation: Incarnation(7) })))
    }

    #[test]
    fn an_entry_never_gets_the_time_of_another_that_was_filled_while_it_was_read() {
        let found = held(entry_of(1), 60_000, 1).unwrap().unwrap();
        assert_eq!((found.remaining, found.incarnation), (Duration::from_secs(60), Incarnation(7)));
        assert_eq!(held(entry_of(1), 3_600_000, 2).unwrap(), None);
    }

    #[test]
    fn what_ended_or_never_ends_is_no_entry_and_neither_is_what_is_too_long() {
        assert_eq!(held(entry_of(1), -2, 1).unwrap(), None);
        assert_eq!(held(entry_of(1), -1, 1).unwrap(), None);
        assert_eq!(held(Value::Nil, 60_000, 1).unwrap(), None);
        let mut long = vec![0; ENVELOPE_BYTES_MAX + 1];
        long[9] = 1;
        assert_eq!(held(Value::BulkString(long.clone()), 60_000, 1).unwrap(), None);
        long.pop();
        assert!(held(Value::BulkString(long), 60_000, 1).unwrap().is_some());
        assert!(held(Value::Okay, 60_000, 1).is_err());
    }
}
