//! Parts of responses are stored, combined and completed (RFC 9111 sections 3.3 and 3.4).
//!
//! What is held in parts is an entry like any other, in memory and in this process alone: whoever
//! has the whole shares that. A further part makes another entry, under the ticket from before it
//! was asked for; of two that come at once one may be lost, and is asked for again.
//!
//! **Bound.** An entry in parts holds as many bytes as one that is whole in memory. A part that
//! doesn't fit beside what is held takes its place.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::IF_RANGE;
use http::{HeaderMap, Method};
use http_body::Body;
use larder_core::LoadError;
use larder_engine::Fill;

use super::berth::Berth;
use super::entry::Kept;
use super::key;
use super::selection::Selection;
use super::store::Store;
use super::tags::{self, Tags};
use super::waiting::within;
use crate::{ContentRange, Held, Part, Partial, Received, Stored, storable_part};

/// A 206 that may be kept.
pub(super) struct NewPart {
    pub(super) range: ContentRange,
    /// Its head, as of a response of which nothing is held yet.
    empty: Partial,
    /// Its head is complete: a 206 to If-Range says nothing that its client knows already (RFC 9110
    /// section 15.3.7), so it is only added to what is held.
    alone: bool,
    fields: HeaderMap,
    received: Received,
    tags: Tags,
}

impl Store {
    /// What a 206 to a request that was sent with these fields is kept as; `None` if it isn't.
    pub(super) fn new_part(
        &self,
        headers: &HeaderMap,
        fields: &HeaderMap,
        received: Received,
        selection: &Selection,
        berth: &Berth,
    ) -> Option<NewPart> {
        let range = storable_part(&Method::GET, headers, fields, &self.rules).ok()?;
        if range.part.bytes() > self.bounds.object_max as u64 {
            return None;
        }
        let empty = Partial::new(headers, fields, range, received, &self.rules);
        let tags = self.tags_of(empty.head(), fields, selection, berth.uri.key()).ok()?;
        let alone = !headers.contains_key(IF_RANGE);
        Some(NewPart { range, empty, alone, fields: fields.clone(), received, tags })
    }

    /// Stores a part, together with what is held of the same representation.
    pub(super) async fn keep_part(
        &self,
        berth: Berth,
        new: NewPart,
        headers: &HeaderMap,
        bytes: &Bytes,
    ) -> Fill {
        let NewPart { range, empty, alone, fields, received, tags } = new;
        let now = self.now();
        let found = self.find(berth.uri.key().as_bytes(), headers, now).found;
        let is_whole = |kept: &Kept| !kept.is_part();
        if let Some(found) = &found
            && is_whole(&found.kept)
            && !found.marked
            && found.kept.is_fresh(now - found.loaded_at)
        {
            // It came meanwhile, and has all of it.
            berth.give_back();
            return Fill::NotKept;
        }
        let known = found.and_then(|found| found.kept.partial());
        let known = known.and_then(|held| held.take(headers, &fields, received, &self.rules));
        let combined = known.and_then(|held| self.with(&held, range.part.first, bytes));
        let combined = combined.and_then(|all| Some((self.tags_of_all(&all, &berth)?, all)));
        let new = || alone.then(|| self.with(&empty, range.part.first, bytes)).flatten();
        let Some((tags, partial)) = combined.or_else(|| Some((tags, new()?))) else {
            berth.give_back();
            return Fill::NotKept;
        };
        let kept = Arc::new(self.kept_of(&partial));
        self.keep(berth, &kept, headers, tags).await
    }

    /// The tags of what is held in parts. A 206 to If-Range needn't repeat what its client knows
    /// (RFC 9110 section 15.3.7), so they are those of the head that all of it has.
    fn tags_of_all(&self, all: &Partial, berth: &Berth) -> Option<Tags> {
        let origin = key::origin(berth.uri.key().as_bytes());
        tags::of(all.head().headers(), origin).inspect_err(|_| self.counters.refused.add(1)).ok()
    }

    /// The same with these bytes; `None` where it has no room for them.
    pub(super) fn with(&self, held: &Partial, first: u64, bytes: &Bytes) -> Option<Partial> {
        let mut all = held.clone();
        let part = Part { first, last: first + (bytes.len() as u64).checked_sub(1)? };
        let missing = held.pieces().missing(part);
        for gap in &missing {
            // A slice would keep what is held already a second time.
            let from = usize::try_from(gap.first - first).ok()?;
            let of_gap = bytes.get(from..from + usize::try_from(gap.bytes()).ok()?)?;
            let of_gap = match *gap == part {
                true => bytes.clone(),
                false => Bytes::copy_from_slice(of_gap),
            };
            all = all.with(gap.first, [of_gap])?;
        }
        (all.pieces().held() <= self.bounds.object_max as u64).then_some(all)
    }

    /// What is missing of a whole, if it can be asked for and there is room for it.
    pub(super) fn rest_of(&self, held: &Partial, request: &HeaderMap) -> Option<Part> {
        let Held::Missing(gap) = held.answers(&Method::GET, request) else { return None };
        let all = held.pieces().held().saturating_add(gap.bytes());
        (all <= self.bounds.object_max as u64).then_some(gap)
    }

    /// As it is stored: whole, where nothing is missing any more.
    pub(super) fn kept_of(&self, partial: &Partial) -> Kept {
        let pieces = partial.pieces();
        let whole = Part { first: 0, last: pieces.length().saturating_sub(1) };
        match pieces.slices(whole) {
            Some(chunks) => self.kept(partial.head().clone(), chunks),
            None => Kept::of_parts(partial, &self.rules),
        }
    }

    /// The bytes of a body that has so many; `None` if it has not, or doesn't come in time.
    pub(super) async fn collect<RB>(&self, body: RB, length: u64) -> Option<Bytes>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<LoadError>,
    {
        let mut body = std::pin::pin!(body);
        let mut all = BytesMut::new();
        loop {
            let until = self.now() + self.bounds.answer_within;
            let next = poll_fn(|context| body.as_mut().poll_frame(context));
            match within(&**self.clock(), until, next).await? {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if (all.len() + data.len()) as u64 > length {
                        return None;
                    }
                    all.extend_from_slice(&data);
                }
                Some(Err(_)) => {
                    self.counters.failed.add(1);
                    return None;
                }
                None => return (all.len() as u64 == length).then(|| all.freeze()),
            }
        }
    }

    /// The whole that a 206 makes of what is held, and its tags; `None` if it makes none.
    pub(super) async fn completed<RB>(
        &self,
        held: &Partial,
        new: Option<NewPart>,
        headers: &HeaderMap,
        body: RB,
        berth: &Berth,
    ) -> Option<(Kept, Tags)>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<LoadError>,
    {
        let new = new?;
        let (all, _) = self.combined(held, &new, headers, body).await?;
        let is_complete = all.pieces().is_complete();
        is_complete.then(|| Some((self.kept_of(&all), self.tags_of_all(&all, berth)?))).flatten()
    }

    /// What came of a 200 that broke off, if the rest of it could be asked for.
    pub(super) fn beginning_of(&self, stored: Stored, came: &Bytes) -> Option<Kept> {
        if came.is_empty() {
            return None;
        }
        let partial = Partial::broken_off(stored, [came.clone()])?;
        Some(Kept::of_parts(&partial, &self.rules))
    }

    /// What is held in parts, and what a 206 adds to it that was asked for with
    /// [`Partial::ask`]; `None` where that is no part of the same representation.
    pub(super) async fn combined<RB>(
        &self,
        held: &Partial,
        new: &NewPart,
        headers: &HeaderMap,
        body: RB,
    ) -> Option<(Partial, Bytes)>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<LoadError>,
    {
        let held = held.take(headers, &new.fields, new.received, &self.rules)?;
        let bytes = self.collect(body, new.range.part.bytes()).await?;
        Some((self.with(&held, new.range.part.first, &bytes)?, bytes))
    }
}
