//! The responses of one path that answer for several queries, because they say so in
//! No-Vary-Search (draft-ietf-httpbis-no-vary-search-10 sections 6 and 7).
//!
//! An entry beside those of the path's URIs says what its responses said of queries. A response
//! that makes no difference between some of them is stored once, under a key that begins with the
//! path and the query as it counts, and continues with the *stamp* of this list and the place of
//! what it said in it. From there on the key is like that of a URI: behind it there is a response,
//! or the list of its [variants](super::variants).
//!
//! Who invalidates one URI can't know with which others it makes no difference: that is said by
//! responses which other processes may hold. So what strikes a URI strikes the list of its path,
//! and with it all that is found through it: the next list has another stamp.
//!
//! **Bound.** A list has so many places. With one more it begins anew, without the oldest, so a
//! path whose responses disagree about queries is asked for more often, and holds no more.

use std::sync::Arc;

use bytes::{Buf, BufMut};
use http::{HeaderMap, HeaderValue};
use larder_core::{Key, Moment};

use super::answer::Held;
use super::find::{Look, Seen, is_later};
use super::flight::Fence;
use super::key;
use super::stamp::Stamp;
use super::store::Store;
use super::variants::Variants;
use crate::SearchVariance;

/// So much is known of a path; of more, the oldest is forgotten.
const SAID_MAX: usize = 4;
/// What is longer, as the value of a field, isn't used: its response answers its own URI alone.
const SAID_BYTES_MAX: usize = 2048;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Searches {
    stamp: Stamp,
    /// What responses said, the last one that was seen at the end.
    said: Vec<SearchVariance>,
}

/// Where a response is expected that answers a request and others.
#[derive(Debug)]
pub(super) struct Expected {
    /// By what its response has said, if it says the same as the last one.
    pub(super) variance: SearchVariance,
    pub(super) key: Key,
    /// When the entry under that key was loaded, if there is one.
    pub(super) loaded_at: Option<Moment>,
    /// The list of its variants, if that is what the entry is.
    pub(super) variants: Option<Arc<Variants>>,
}

impl Searches {
    /// A list of what `older` says, and of this.
    pub(super) fn with(older: Option<&Self>, said: SearchVariance, stamp: Stamp) -> Self {
        let mut all: Vec<_> = older.map_or_else(Vec::new, |older| older.said.clone());
        all.retain(|known| *known != said);
        all.push(said);
        all.drain(..all.len().saturating_sub(SAID_MAX));
        Self { stamp, said: all }
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Under which key a response stands that said this, to a request with this key of its URI.
    pub(super) fn key(&self, uri: &[u8], said: &SearchVariance) -> Option<Key> {
        let place = self.said.iter().position(|known| known == said)?;
        self.key_of(uri, place).map(|key| Key::new(&key))
    }

    /// The keys under which a response may stand that answers such a request, that of the last one
    /// that was seen first, each with what it says.
    fn candidates<'a>(
        &'a self,
        uri: &'a [u8],
    ) -> impl Iterator<Item = (&'a SearchVariance, Vec<u8>)> + 'a {
        let places = self.said.iter().enumerate().rev();
        places.filter_map(|(place, said)| Some((said, self.key_of(uri, place)?)))
    }

    fn key_of(&self, uri: &[u8], place: usize) -> Option<Vec<u8>> {
        let (path, query) = key::split(uri)?;
        let mut key = key::join(path, self.said.get(place)?.normal(query).as_deref());
        // No URI has a space, and no variant's key a question mark behind it.
        key.extend_from_slice(format!(" {:016x}?{place}", self.stamp.number()).as_bytes());
        Some(key)
    }

    /// What it takes on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let said: usize = self.said.iter().map(SearchVariance::heap_bytes).sum();
        size_of::<Self>() + 16 + said + self.said.capacity() * size_of::<SearchVariance>()
    }

    /// As bytes; see `codec`.
    pub(super) fn write(&self, out: &mut impl BufMut) {
        out.put_u64(self.stamp.number());
        for said in &self.said {
            let text = said.to_string();
            out.put_u16(text.len() as u16);
            out.put_slice(text.as_bytes());
        }
    }

    /// What bytes say; `None` when they are none of a list.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let stamp = Stamp::read(bytes.try_get_u64().ok()?);
        let mut said = Vec::new();
        while !bytes.is_empty() {
            let length = usize::from(bytes.try_get_u16().ok()?);
            let (text, rest) = bytes.split_at_checked(length)?;
            let mut fields = HeaderMap::new();
            fields.insert("no-vary-search", HeaderValue::from_bytes(text).ok()?);
            said.push(counting(&fields)?);
            *bytes = rest;
        }
        (said.len() <= SAID_MAX).then_some(Self { stamp, said })
    }
}

/// What a response with these fields says of queries, if they make less of a difference to it than
/// they do to others.
pub(super) fn counting(fields: &HeaderMap) -> Option<SearchVariance> {
    let said = SearchVariance::of(fields);
    (!said.is_exact() && said.to_string().len() <= SAID_BYTES_MAX).then_some(said)
}

/// The key of the list that is concerned by a URI with this key; `None` where its path has none.
pub(super) fn key_of_list(uri: &[u8]) -> Option<Key> {
    // No URI has a space.
    Some(Key::new(&[key::path(uri)?, b" ?"].concat()))
}

/// The same for a URI whose response may answer other queries: one whose key wasn't cut.
pub(super) fn key_of_own_list(uri: &[u8]) -> Option<Key> {
    key::split(uri).and_then(|_| key_of_list(uri))
}

/// The keys that are struck where these URIs are: their own, and those of the lists of their paths.
pub(super) fn all_struck(mut uris: Vec<Key>) -> Vec<Key> {
    for at in 0..uris.len() {
        let list = key_of_list(uris[at].as_bytes());
        uris.extend(list.filter(|list| !uris.contains(list)).into_iter().collect::<Vec<_>>());
    }
    uris
}

impl Store {
    /// The fences by which everything is noticed that strikes a URI: its own, and that of the list
    /// of its path.
    pub(super) fn fences(&self, uri: &Key) -> Vec<Fence> {
        all_struck(vec![uri.clone()]).iter().map(|key| self.cache.fence(key)).collect()
    }

    /// The fresh response to another query that makes no difference, if one is held.
    #[cold]
    pub(super) fn fresh_for_equal(
        &self,
        uri: &[u8],
        headers: &HeaderMap,
        now: Moment,
    ) -> Option<Held> {
        let (list, _, marked) = self.searches(uri, now)?;
        if marked {
            return None;
        }
        let mut best: Option<Held> = None;
        for (_, key) in list.candidates(uri) {
            let Some(held) = self.fresh(&key, headers, now) else { continue };
            if best.as_ref().is_none_or(|best| !is_later(&best.kept, &held.kept)) {
                best = Some(held);
            }
        }
        best
    }

    /// Adds to what is held of a URI what is held of others that make no difference.
    pub(super) fn find_equal(&self, uri: &[u8], headers: &HeaderMap, now: Moment, look: &mut Look) {
        let Some((list, _, marked)) = self.searches(uri, now) else { return };
        let mut best = None;
        for (said, key) in list.candidates(uri) {
            let Look { found, loaded_at, list: variants, .. } = self.find_own(&key, headers, now);
            if look.expected.is_none() && !marked {
                let (variance, key) = (said.clone(), Key::new(&key));
                look.expected = Some(Expected { variance, key, loaded_at, variants });
            }
            let Some(mut found) = found else { continue };
            found.marked |= marked;
            if best
                .as_ref()
                .is_none_or(|best: &super::find::Found| !is_later(&best.kept, &found.kept))
            {
                best = Some(found);
            }
        }
        let own = &look.found;
        if let Some(best) = best
            && own.as_ref().is_none_or(|own| is_later(&best.kept, &own.kept))
        {
            look.found = Some(best);
        }
    }

    /// The list of the path of a URI, when it was loaded, and whether it is marked stale.
    pub(super) fn searches(
        &self,
        uri: &[u8],
        now: Moment,
    ) -> Option<(Arc<Searches>, Moment, bool)> {
        match self.see(key_of_list(uri)?.as_bytes(), now)? {
            (Seen::Searches(list), loaded_at, marked) => Some((list, loaded_at, marked)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> SearchVariance {
        let mut fields = HeaderMap::new();
        fields.insert("no-vary-search", text.parse().unwrap());
        counting(&fields).unwrap()
    }

    #[test]
    fn the_last_that_was_said_is_known() {
        let all: Vec<_> =
            ["a", "b", "c", "d", "e"].map(|n| said(&format!("params=(\"{n}\")"))).into();
        let mut list = Searches::with(None, said("key-order"), Stamp::read(1));
        for (said, stamp) in all.iter().zip(2..) {
            list = Searches::with(Some(&list), said.clone(), Stamp::read(stamp));
        }
        let uri = b"http://x/p?e=1&a=2&b=3";
        let keys: Vec<_> =
            list.candidates(uri).map(|(_, key)| String::from_utf8(key).unwrap()).collect();
        let stamp = "0000000000000006";
        assert_eq!(keys.len(), SAID_MAX);
        assert_eq!(keys[0], format!("http://x/p?a=2&b=3 {stamp}?3"));
        assert_eq!(keys[3], format!("http://x/p?e=1&a=2 {stamp}?0"));
        assert_eq!(list.key(uri, &all[4]).unwrap().as_bytes(), keys[0].as_bytes());
        assert_eq!(list.key(uri, &all[0]), None);
        let again = Searches::with(Some(&list), all[1].clone(), Stamp::read(7));
        assert_eq!(again.said.last(), Some(&all[1]));
        assert_eq!(again.said.len(), SAID_MAX);
    }

    #[test]
    fn a_list_is_written_and_read() {
        let mut list =
            Searches::with(None, said("params=(\"a b\" \"%C3%A9\"), key-order"), Stamp::read(7));
        list = Searches::with(Some(&list), said("params, except=(\"%22\")"), Stamp::read(8));
        let mut bytes = Vec::new();
        list.write(&mut bytes);
        assert_eq!(Searches::read(&mut &bytes[..]), Some(list));
        let ends = (0..bytes.len()).filter(|&cut| Searches::read(&mut &bytes[..cut]).is_some());
        // A list that ends earlier says less; the envelope around it has its length.
        assert_eq!(ends.count(), 2);
    }

    #[test]
    fn a_list_is_struck_by_every_uri_of_its_path() {
        let uris = ["http://x/p", "http://x/p?", "http://x/p?a=1&b", "http://x/q"];
        let keys = all_struck(uris.iter().map(|uri| Key::from(*uri)).collect());
        let of = |path: &str| key_of_list(path.as_bytes()).unwrap();
        assert_eq!(keys[..4], uris.map(Key::from));
        assert_eq!(keys[4..], [of("http://x/p"), of("http://x/q")]);
        assert_eq!(key_of_list(format!("http://x/{}", "p".repeat(800)).as_bytes()), None);
    }

    #[test]
    fn what_says_nothing_or_too_much_does_not_count() {
        let count = |text: &str| {
            let mut fields = HeaderMap::new();
            fields.insert("no-vary-search", text.parse().unwrap());
            counting(&fields).is_some()
        };
        let long = |bytes: usize| format!("params=(\"{}\")", "n".repeat(bytes));
        assert!(count("params") && count(&long(SAID_BYTES_MAX - 11)));
        assert!(!count("") && !count("params=1") && !count(&long(SAID_BYTES_MAX)));
    }
}
