//! The body of a fetch on its way from the origin to everybody who reads it, and to where it is
//! stored.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use larder_core::{Key, LoadError};
use sha2::{Digest, Sha256};

use super::arriving::Arriving;
use super::body_store::BodyWriter;
use super::entry::KeptBody;
use super::flight::{Flight, FlightKey, Landed};
use super::store::Store;
use super::waiting::within;

/// What a chunk takes beside its bytes.
const CHUNK_BYTES: usize = 64;

/// Ends a flight whatever happens: nobody waits for one whose task is gone.
pub(super) struct Landing {
    pub(super) store: Arc<Store>,
    pub(super) flight: Arc<Flight>,
    pub(super) joined_by: Option<FlightKey>,
    /// It counts as one that is under way.
    pub(super) counts: bool,
    pub(super) body: Option<Arc<Arriving>>,
}

impl Landing {
    /// Nobody joins it from now on.
    fn close(&mut self) {
        if std::mem::take(&mut self.counts) {
            self.store.flights.leave(self.joined_by.take().as_ref(), &self.flight);
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.close();
        self.flight.land(Landed::Failed { status: StatusCode::BAD_GATEWAY }, None);
        if let Some(body) = &self.body {
            body.break_off();
        }
    }
}

/// Reads a body to its end, for everybody.
pub(super) struct Pump<'a> {
    pub(super) store: &'a Store,
    pub(super) body: &'a Arc<Arriving>,
    /// Of the URI.
    pub(super) key: &'a Key,
    /// How long it will be, if its origin said so.
    pub(super) declared: Option<u64>,
}

/// Where a body goes.
enum Goes {
    Memory {
        cost: usize,
    },
    Apart(Box<dyn BodyWriter>),
    /// It isn't stored any more.
    On,
}

impl Pump<'_> {
    /// The whole body, its length and its hash; `None` when it isn't stored.
    pub(super) async fn run<RB>(
        &self,
        body: RB,
        hashes: bool,
        landing: &mut Landing,
    ) -> Option<(KeptBody, u64, Option<Sha256>)>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<LoadError>,
    {
        let mut body = std::pin::pin!(body);
        let mut hash = hashes.then(Sha256::new);
        let mut goes = Goes::Memory { cost: 0 };
        loop {
            if matches!(goes, Goes::On) {
                self.wait_for_room().await;
                if !self.body.is_read() {
                    return None;
                }
            }
            let mut next = poll_fn(|context| {
                body.as_mut().poll_frame(context).map_err(Into::<LoadError>::into)
            });
            let next = match goes {
                // Nobody but its readers waits for it.
                Goes::On => {
                    let read = poll_fn(|context| match Pin::new(&mut next).poll(context) {
                        Poll::Ready(next) => Poll::Ready(Some(next)),
                        Poll::Pending => self.body.poll_unread(context).map(|()| None),
                    });
                    Some(read.await?)
                }
                Goes::Memory { .. } | Goes::Apart(_) => {
                    let until = self.store.now() + self.store.bounds.answer_within;
                    within(&**self.store.clock(), until, next).await
                }
            };
            let frame = match next {
                None => {
                    self.go_on(&mut goes, landing);
                    continue;
                }
                Some(None) => break,
                Some(Some(Ok(frame))) => frame,
                Some(Some(Err(_))) => {
                    self.store.counters.failed.add(1);
                    return None;
                }
            };
            // Trailers are for one connection's recipient, who may do without (RFC 9110 6.5.1).
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            if let Some(hash) = &mut hash {
                hash.update(&data);
            }
            self.take(data, &mut goes, landing).await;
        }
        let length = self.body.ends();
        if self.declared.is_some_and(|declared| declared != length) {
            return None;
        }
        match goes {
            Goes::Memory { .. } => Some((KeptBody::Memory(self.body.whole()), length, hash)),
            Goes::Apart(writer) => {
                let body = writer.body();
                if writer.finish().await.is_err() {
                    self.body.complete();
                    return None;
                }
                Some((KeptBody::Apart(body), length, hash))
            }
            Goes::On => {
                self.body.complete();
                None
            }
        }
    }

    /// Adds what came to where it goes, and changes that where it has no room.
    async fn take(&self, data: Bytes, goes: &mut Goes, landing: &mut Landing) {
        if let Goes::Memory { cost } = goes {
            let total = self.body.ends() + data.len() as u64;
            *cost += data.len() + CHUNK_BYTES;
            let room =
                self.store.bounds.object_max + self.store.bounds.object_max / 8 + CHUNK_BYTES;
            if total <= self.store.bounds.object_max as u64 && *cost <= room.max(64 * 1024) {
                return self.body.push(data);
            }
            match self.begin_apart().await {
                Some(writer) => *goes = Goes::Apart(writer),
                None => self.go_on(goes, landing),
            }
        }
        if let Goes::Apart(writer) = goes {
            let length = data.len();
            let total = self.body.ends() + length as u64;
            let fits = total <= self.store.bounds.stored_max;
            if fits && writer.write(data.clone()).await.is_ok() {
                return self.body.written(length);
            }
            self.go_on(goes, landing);
        }
        self.body.push(data);
    }

    /// Moves what is in memory to the store of bodies.
    async fn begin_apart(&self) -> Option<Box<dyn BodyWriter>> {
        let bodies = self.store.bodies.as_ref()?;
        let mut writer = bodies.create(self.key, self.declared).await.ok()?;
        for chunk in self.body.chunks() {
            writer.write(chunk).await.ok()?;
        }
        self.body.move_apart(writer.body().reader()?);
        Some(writer)
    }

    /// From now on it isn't stored, and nobody joins.
    fn go_on(&self, goes: &mut Goes, landing: &mut Landing) {
        *goes = Goes::On;
        landing.close();
        self.body.pass();
    }

    /// Waits until its readers have taken enough; who keeps others waiting is cut off.
    async fn wait_for_room(&self) {
        loop {
            let until = self.store.now() + self.store.bounds.answer_within;
            let room = poll_fn(|context| self.body.poll_room(context));
            if within(&**self.store.clock(), until, room).await.is_some() {
                return;
            }
            self.body.cut_off();
        }
    }
}
