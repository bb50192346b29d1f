//! The responses that are stored for one URI, when they depend on the request's fields.
//!
//! In the place of the response the URI's entry then says by which fields they differ, and which
//! combinations of values there are. Each of these is an entry of its own, under a key that begins
//! with the URI, so a prefix finds it, and continues with the *stamp* of this list and a number. A
//! URI is purged by its own entry: the next list has another stamp, so nothing that the old one led
//! to is found again.
//!
//! **Bound.** A list has so many places, which are given anew in turn: a URI with ten thousand
//! variants holds as many responses as one with `variants_max`.

use bytes::{Buf, BufMut};
use http::{HeaderMap, HeaderName};
use larder_core::Key;

use super::stamp::Stamp;
use crate::Vary;

/// So many different sets of fields are known of a URI; of more, the oldest is forgotten.
const SETS_MAX: usize = 4;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variants {
    stamp: Stamp,
    /// The sets of fields by which responses differ, the last one that was seen at the end.
    sets: Vec<Vec<HeaderName>>,
    /// The combination of values in each place, as a hash.
    places: Vec<u64>,
    /// The place that is given next, once all are taken.
    next: u32,
}

impl Variants {
    /// A list without places.
    pub(super) fn new(stamp: Stamp) -> Self {
        Self { stamp, sets: Vec::new(), places: Vec::new(), next: 0 }
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The keys under which a response to a request with these fields may be held.
    pub(super) fn candidates<'a>(
        &'a self,
        uri: &'a [u8],
        request: &'a HeaderMap,
    ) -> impl Iterator<Item = Vec<u8>> + 'a {
        let hashes = self.sets.iter().rev().filter_map(|set| Vary::fingerprint(set, request));
        hashes.filter_map(|hash| self.place(hash)).map(|place| self.key(uri, place))
    }

    /// What tells a request from others by the last set of fields that was seen.
    pub(super) fn newest(&self, request: &HeaderMap) -> Option<u64> {
        Vary::fingerprint(self.sets.last()?, request)
    }

    /// The key of the place that a response to such a request has, or would be given, if it depends
    /// on the last set of fields.
    pub(super) fn expected(&self, uri: &[u8], request: &HeaderMap, max: usize) -> Option<Key> {
        let set = self.sets.last()?;
        let (list, place) = self.with(set, Vary::fingerprint(set, request)?, max);
        Some(list.key_of(uri, place))
    }

    /// Whether a response to such a request has a place already, if it depends on the last set of
    /// fields. The place that it would be given may be given to another one at the same time.
    pub(super) fn has_place(&self, request: &HeaderMap) -> bool {
        self.newest(request).is_some_and(|hash| self.place(hash).is_some())
    }

    /// The place of a combination of values, if it has one.
    pub(super) fn place(&self, hash: u64) -> Option<usize> {
        self.places.iter().position(|&known| known == hash)
    }

    /// The same list with a place for a combination of values of these fields, among at most
    /// `max`.
    pub(super) fn with(&self, set: &[HeaderName], hash: u64, max: usize) -> (Self, usize) {
        let mut list = self.clone();
        list.sets.retain(|known| known != set);
        list.sets.push(set.to_vec());
        if list.sets.len() > SETS_MAX {
            list.sets.remove(0);
        }
        if let Some(place) = list.place(hash) {
            return (list, place);
        }
        let max = max.max(1);
        if list.places.len() < max {
            list.places.push(hash);
            let place = list.places.len() - 1;
            return (list, place);
        }
        let place = list.next as usize % max;
        list.places[place] = hash;
        list.next = list.next.wrapping_add(1);
        (list, place)
    }

    /// Whether it is known as it is that a response with these fields has that place.
    pub(super) fn says(&self, set: &[HeaderName], hash: u64) -> Option<usize> {
        self.place(hash).filter(|_| self.sets.iter().any(|known| known == set))
    }

    /// The key of a place.
    pub(super) fn key(&self, uri: &[u8], place: usize) -> Vec<u8> {
        let mut key = Vec::with_capacity(uri.len() + 24);
        key.extend_from_slice(uri);
        // No URI has a space.
        key.extend_from_slice(format!(" {:016x}-{place}", self.stamp.number()).as_bytes());
        key
    }

    /// The same as an object.
    pub(super) fn key_of(&self, uri: &[u8], place: usize) -> Key {
        Key::new(&self.key(uri, place))
    }

    /// What it takes on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let names: usize = self.sets.iter().flatten().map(|name| name.as_str().len() + 48).sum();
        size_of::<Self>() + 16 + names + self.sets.capacity() * 24 + self.places.capacity() * 8
    }

    /// As bytes; see `codec`.
    pub(super) fn write(&self, out: &mut impl BufMut) {
        out.put_u64(self.stamp.number());
        out.put_u32(self.next);
        out.put_u16(self.sets.len() as u16);
        for set in &self.sets {
            out.put_u16(set.len() as u16);
            for name in set {
                out.put_u16(name.as_str().len() as u16);
                out.put_slice(name.as_str().as_bytes());
            }
        }
        out.put_u16(self.places.len() as u16);
        self.places.iter().for_each(|&hash| out.put_u64(hash));
    }

    /// What bytes say; `None` when they are none of a list.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (stamp, next) = (bytes.try_get_u64().ok()?, bytes.try_get_u32().ok()?);
        let mut list = Self { next, ..Self::new(Stamp::read(stamp)) };
        let sets = usize::from(bytes.try_get_u16().ok()?);
        if sets > SETS_MAX {
            return None;
        }
        for _ in 0..sets {
            let mut set = Vec::new();
            for _ in 0..bytes.try_get_u16().ok()? {
                let length = usize::from(bytes.try_get_u16().ok()?);
                let (name, rest) = bytes.split_at_checked(length)?;
                set.push(HeaderName::from_bytes(name).ok()?);
                *bytes = rest;
            }
            list.sets.push(set);
        }
        for _ in 0..bytes.try_get_u16().ok()? {
            list.places.push(bytes.try_get_u64().ok()?);
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_so_many_places_and_no_more() {
        let set = [HeaderName::from_static("x")];
        let mut list = Variants::new(Stamp::read(7));
        for hash in 0..10_000 {
            let (with, place) = list.with(&set, hash, 16);
            assert!(place < 16 && with.says(&set, hash) == Some(place));
            list = with;
        }
        assert_eq!((list.places.len(), list.sets.len()), (16, 1));
        assert_eq!((list.place(9_999).is_some(), list.place(5)), (true, None));
    }

    #[test]
    fn the_last_sets_of_fields_are_known() {
        let sets: Vec<_> = ["a", "b", "c", "d", "e"].map(|n| [HeaderName::from_static(n)]).into();
        let mut list = Variants::new(Stamp::read(1));
        for (at, set) in sets.iter().enumerate() {
            list = list.with(set, at as u64, 8).0;
        }
        assert_eq!((list.says(&sets[0], 0), list.says(&sets[4], 4)), (None, Some(4)));
        let mut bytes = Vec::new();
        list.write(&mut bytes);
        assert_eq!(Variants::read(&mut &bytes[..]), Some(list));
        for cut in 0..bytes.len() {
            assert_eq!(Variants::read(&mut &bytes[..cut]), None);
        }
    }
}
