//! The client as a shared tier: each question, as one step of the server.

use std::time::Duration;

use bytes::Bytes;
use larder_core::bus::{Announcement, Position};
use larder_core::shared::{
    Abilities, Begun, Closed, Ended, Intent, Invalidation, Lease, LeaseAsk, Mark, MarkClock,
    Marked, Marks, SharedEntry, SharedFill, SharedRead, SharedTier,
};
use larder_core::{BoxFuture, Error, ErrorKind, Result};

use super::SimClient;
use crate::shared::calls::Call;
use crate::shared::server::Data;

impl SharedTier for SimClient {
    fn name(&self) -> &str {
        &self.name
    }

    fn abilities(&self) -> Abilities {
        self.server.read(|server| server.data.abilities)
    }

    fn get_many<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
    ) -> BoxFuture<'a, Vec<Result<Option<SharedEntry>>>> {
        Box::pin(async move {
            let keys = owned(keys);
            each(keys.len(), |count| {
                self.ask(Call::Get, count, move |data| {
                    let now = data.now();
                    keys.iter().map(|key| data.store.get(key, now)).collect()
                })
            })
            .await
        })
    }

    fn lease_many<'a>(
        &'a self,
        asks: &'a [LeaseAsk<'a>],
        time: Duration,
    ) -> BoxFuture<'a, Vec<Result<SharedRead>>> {
        Box::pin(async move {
            let asks: Vec<_> =
                asks.iter().map(|ask| (Bytes::copy_from_slice(ask.key), ask.seen)).collect();
            each(asks.len(), |count| {
                self.ask(Call::Lease, count, move |data| {
                    let now = data.now();
                    let lease = |(key, seen): &(_, _)| data.store.lease(key, *seen, time, now);
                    asks.iter().map(lease).collect()
                })
            })
            .await
        })
    }

    fn fill<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        envelope: Bytes,
        lifetime: Duration,
    ) -> BoxFuture<'a, Result<SharedFill>> {
        Box::pin(async move {
            let Abilities { key_bytes_max, envelope_bytes_max, .. } = self.abilities();
            if key.len() > key_bytes_max || envelope.len() > envelope_bytes_max {
                return Err(Error::new(ErrorKind::Refused, "too long for the shared tier"));
            }
            let (key, lease) = (Bytes::copy_from_slice(key), lease.clone());
            self.ask(Call::Fill, 1, move |data| {
                let now = data.now();
                data.store.fill(&key, &lease, envelope, lifetime, now)
            })
            .await
        })
    }

    fn extend<'a>(
        &'a self,
        key: &'a [u8],
        lease: &'a Lease,
        time: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let (key, lease) = (Bytes::copy_from_slice(key), lease.clone());
            self.ask(Call::Extend, 1, move |data| {
                let now = data.now();
                data.store.extend(&key, &lease, time, now)
            })
            .await
        })
    }

    fn release<'a>(&'a self, key: &'a [u8], lease: &'a Lease) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (key, lease) = (Bytes::copy_from_slice(key), lease.clone());
            self.ask(Call::Release, 1, move |data| {
                let now = data.now();
                data.store.release(&key, &lease, now);
            })
            .await
        })
    }

    fn invalidate<'a>(
        &'a self,
        keys: &'a [&'a [u8]],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Option<Position>>> {
        Box::pin(async move {
            if strike == Invalidation::MarkStale && !self.abilities().marks_stale {
                return Err(Error::new(ErrorKind::Refused, "the shared tier marks no key stale"));
            }
            check_length(announcement.as_ref())?;
            let keys = owned(keys);
            self.ask(Call::Invalidate, keys.len(), move |data| {
                keys.iter().for_each(|key| data.store.invalidate(key, strike));
                announce(data, announcement, None)
            })
            .await
        })
    }

    fn mark<'a>(
        &'a self,
        marks: &'a [Mark],
        strike: Invalidation,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Marked>> {
        Box::pin(async move {
            if !self.abilities().marks {
                return Err(Error::new(ErrorKind::Refused, "the shared tier keeps no marks"));
            }
            check_length(announcement.as_ref())?;
            let marks = marks.to_vec();
            self.ask(Call::Mark, marks.len(), move |data| {
                let now = data.now();
                let (clock, incarnation) = data.store.mark(&marks, strike, now);
                let position = announce(data, announcement, Some((clock, incarnation)));
                Marked { clock, incarnation, position }
            })
            .await
        })
    }

    fn marks(&self) -> BoxFuture<'_, Result<Marks>> {
        Box::pin(async move {
            if !self.abilities().marks {
                return Ok(Marks::default());
            }
            self.ask(Call::ReadMarks, 1, |data| data.store.marks()).await
        })
    }

    fn begin_write<'a>(
        &'a self,
        key: &'a [u8],
        intent: Intent,
        time: Duration,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Begun>> {
        Box::pin(async move {
            self.check_intents()?;
            let key = Bytes::copy_from_slice(key);
            self.ask(Call::BeginWrite, 1, move |data| {
                let now = data.now();
                let was_held = data.store.begin_write(&key, intent, time, now);
                let incarnation = data.store.incarnation();
                Begun { was_held, incarnation, position: announce(data, announcement, None) }
            })
            .await
        })
    }

    fn end_write<'a>(
        &'a self,
        key: &'a [u8],
        intent: Intent,
        ended: Ended,
        announcement: Option<Bytes>,
    ) -> BoxFuture<'a, Result<Closed>> {
        Box::pin(async move {
            self.check_intents()?;
            let key = Bytes::copy_from_slice(key);
            self.ask(Call::EndWrite, 1, move |data| {
                let now = data.now();
                let is_held = data.store.end_write(&key, intent, ended, now);
                Closed { is_held, position: announce(data, announcement, None) }
            })
            .await
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.ask(Call::Probe, 1, |_| ()))
    }
}

impl SimClient {
    fn check_intents(&self) -> Result<()> {
        match self.abilities().intents {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Refused, "the shared tier knows no intents")),
        }
    }
}

fn announce(
    data: &mut Data,
    announcement: Option<Bytes>,
    marks: Option<(MarkClock, u32)>,
) -> Option<Position> {
    let announcement = announcement.filter(|_| data.abilities.announces)?;
    Some(data.log.append(announcement, marks))
}

fn owned(keys: &[&[u8]]) -> Vec<Bytes> {
    keys.iter().map(|key| Bytes::copy_from_slice(key)).collect()
}

/// The answer for each of `count` keys, or one failure for all.
async fn each<T, F: Future<Output = Result<Vec<T>>>>(
    count: usize,
    ask: impl FnOnce(usize) -> F,
) -> Vec<Result<T>> {
    match ask(count).await {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
    }
}

/// What is longer than announcements may be, the real ones refuse.
pub(super) fn check_length(announcement: Option<&Bytes>) -> Result<()> {
    if announcement.is_some_and(|bytes| bytes.len() > Announcement::BYTES_MAX) {
        return Err(Error::new(ErrorKind::Refused, "the announcement is too long"));
    }
    Ok(())
}
