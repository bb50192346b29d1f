//! Invalidating keys: on one server many of them with one script, on a cluster each by itself.

use bytes::Bytes;
use larder_core::Result;
use larder_core::bus::Position;
use larder_core::shared::Invalidation;

use crate::bus::announced;
use crate::client::Client;
use crate::errors::{self, Meaning};
use crate::marks;
use crate::reply;
use crate::request::Request;
use crate::script::{Call, Script};

/// The most keys that one script invalidates.
const KEYS_MAX: usize = 256;

impl Client {
    /// See [`SharedTier::invalidate`](larder_core::SharedTier::invalidate).
    pub(crate) async fn invalidate(
        &self,
        keys: &[&[u8]],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> Result<Option<Position>> {
        let announcement = announced(announcement.filter(|_| self.topology.is_one()))?;
        if !self.topology.is_one() {
            return self.invalidate_apart(keys, strike).await.map(|()| None);
        }
        let mut chunks: Vec<&[&[u8]]> = keys.chunks(KEYS_MAX).collect();
        if chunks.is_empty() && !announcement.is_empty() {
            chunks.push(&[]);
        }
        let Some((last, before)) = chunks.split_last() else { return Ok(None) };
        let none = Bytes::new();
        let requests: Vec<Request> =
            before.iter().map(|keys| self.invalidation(keys, strike, &none)).collect();
        // What is announced was done before.
        for outcome in self.all(&requests).await {
            self.value(outcome)?;
        }
        let request = self.invalidation(last, strike, &announcement);
        let outcome = self.one(request).await;
        match &reply::list(self.value(outcome)?)?[..] {
            [] => Ok(None),
            [run, number] => reply::position([run.clone(), number.clone()]).map(Some),
            _ => Err(errors::odd("position")),
        }
    }

    /// Invalidates keys that live in many places.
    async fn invalidate_apart(&self, keys: &[&[u8]], strike: Invalidation) -> Result<()> {
        let request = |&key: &&[u8]| {
            let mut request = self.invalidation(&[key], strike, &Bytes::new());
            request.is_patient = false;
            request
        };
        let requests: Vec<Request> = keys.iter().map(request).collect();
        let outcomes = self.all(&requests).await;
        for (key, outcome) in keys.iter().zip(outcomes) {
            match &outcome {
                Ok(Some(reply)) if reply.error() == Some(Meaning::Torn) => {
                    self.invalidate_torn(key, strike).await?;
                }
                _ => drop(self.value(outcome)?),
            }
        }
        Ok(())
    }

    /// Invalidates a key while a cluster moves it, when no script can reach all of its names: one
    /// after the other, the lease before the entry. In the other order a fill could come between
    /// them.
    async fn invalidate_torn(&self, key: &[u8], strike: Invalidation) -> Result<()> {
        let names = &self.names;
        for (name, strike) in [
            (names.lease(key), Invalidation::Drop),
            (names.owner(key), Invalidation::Drop),
            (names.value(key), strike),
        ] {
            self.call(Script::Invalidation, vec![name], vec![marks::letter(strike)]).await?;
        }
        Ok(())
    }

    fn invalidation(&self, keys: &[&[u8]], strike: Invalidation, announcement: &Bytes) -> Request {
        let names = &self.names;
        let of_key = |key: &&[u8]| [names.value(key), names.lease(key), names.owner(key)];
        let mut all: Vec<Bytes> = keys.iter().flat_map(of_key).collect();
        if !announcement.is_empty() {
            all.extend([names.head.clone(), names.stream.clone()]);
        }
        let count = keys.len().to_string().into();
        let args = vec![count, marks::letter(strike), self.random.run(), announcement.clone()];
        Request::call(Call { script: Script::Invalidate, keys: all, args })
    }
}
