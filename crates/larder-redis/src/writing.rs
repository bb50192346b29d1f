//! Writes with intents, as scripts: announced before the commit, and ended after it.

use bytes::Bytes;
use larder_core::Result;
use larder_core::bus::Position;
use larder_core::shared::{Begun, Closed, Ended, Intent};
use redis::Value;

use crate::bus::announced;
use crate::client::Client;
use crate::entries::ENVELOPE_BYTES_MAX;
use crate::errors;
use crate::reply;
use crate::request::Request;
use crate::script::{Call, Script};
use crate::tier::millis;

impl Client {
    /// See [`SharedTier::begin_write`](larder_core::SharedTier::begin_write).
    pub(crate) async fn begin_write(
        &self,
        key: &[u8],
        intent: Intent,
        time: Bytes,
        announcement: Option<Bytes>,
    ) -> Result<Begun> {
        let announcement = announced(announcement.filter(|_| self.topology.is_one()))?;
        let keys = self.names_of_write(key, &announcement);
        let args = vec![name(intent), time, self.random.run(), announcement];
        let request = Request::call(Call { script: Script::Intent, keys, args });
        let reply = self.one(request).await?.ok_or_else(|| errors::odd("answer"))?;
        let incarnation = reply.incarnation;
        let [value] = self.values(reply)?;
        let [was_held, position] = reply::array(value)?;
        let was_held = reply::number::<u64>(was_held)? == 1;
        Ok(Begun { was_held, incarnation, position: place(position)? })
    }

    /// See [`SharedTier::end_write`](larder_core::SharedTier::end_write).
    pub(crate) async fn end_write(
        &self,
        key: &[u8],
        intent: Intent,
        ended: Ended,
        announcement: Option<Bytes>,
    ) -> Result<Closed> {
        let announcement = announced(announcement.filter(|_| self.topology.is_one()))?;
        let keys = self.names_of_write(key, &announcement);
        let (how, left) = match ended {
            Ended::Committed(left) => ("c", left),
            Ended::Aborted => ("a", None),
            Ended::Unknown => ("u", None),
        };
        let left = left.filter(|(envelope, _)| envelope.len() <= ENVELOPE_BYTES_MAX);
        let (envelope, lifetime) = left.unwrap_or_default();
        let how = Bytes::from_static(how.as_bytes());
        let run = self.random.run();
        let args = vec![name(intent), how, envelope, millis(lifetime), run, announcement];
        let [is_held, position] = reply::array(self.call(Script::End, keys, args).await?)?;
        let is_held = reply::number::<u64>(is_held)? == 1;
        Ok(Closed { is_held, position: place(position)? })
    }

    fn names_of_write(&self, key: &[u8], announcement: &Bytes) -> Vec<Bytes> {
        let names = &self.names;
        let (value, lease) = (names.value(key), names.lease(key));
        let mut all = vec![value, lease, names.intents(key), names.owner(key)];
        if !announcement.is_empty() {
            all.extend([names.head.clone(), names.stream.clone()]);
        }
        all
    }
}

/// What an intent is called in the sets and registers there: all of one length.
fn name(intent: Intent) -> Bytes {
    format!("{:032x}", intent.0).into()
}

/// Where an announcement stands, if there was one.
fn place(position: Value) -> Result<Option<Position>> {
    match &reply::list(position)?[..] {
        [] => Ok(None),
        [run, number] => reply::position([run.clone(), number.clone()]).map(Some),
        _ => Err(errors::odd("position")),
    }
}
