//! The permission to store what is about to be fetched: what is captured before its origin is
//! asked, for every key under which its response may have to stand.
//!
//! Which key that is says the response: its URI's own; a place in the URI's list, if it varies
//! (see `variants`); or one that other queries lead to as well (see `searches`). Under a key that
//! could be foretold its response is shared with other processes; any other is kept in this one.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use larder_core::{Key, Moment};
use larder_engine::Lookup;

use super::find::Found;
use super::flight::{CameFrom, Landed};
use super::keep::ResponseTicket;
use super::searches::{self, Expected};
use super::stamp::Known;
use super::store::Store;

/// The first wait for another process's fill, and the longest.
const POLL_MIN: Duration = Duration::from_millis(5);
const POLL_MAX: Duration = Duration::from_millis(50);
/// The end of a lease that is asked for twice may be told with such a difference, or with one of a
/// second more by a tier that counts in seconds.
const LEASE_END_VARIES: Duration = Duration::from_millis(50);

/// See the module's documentation.
pub(super) struct Berth {
    /// That of the URI's own key.
    pub(super) uri: ResponseTicket,
    /// That of the place which is known to be the response's, if its Vary stays the same.
    pub(super) place: Option<ResponseTicket>,
    /// What was known of the list of the URI's variants.
    pub(super) known: Known,
    /// For a response to other queries as well; none where their path can have no list.
    pub(super) equal: Option<Box<Equal>>,
}

/// What permits to store a response for several queries.
pub(super) struct Equal {
    /// The ticket of the path's list.
    pub(super) list: ResponseTicket,
    /// What was known of that list.
    pub(super) known: Known,
    /// For the key which is known to be the response's, if it says the same of queries as the last
    /// one.
    pub(super) expected: Option<Berth>,
}

impl Berth {
    /// When all of it was given: what is stored with any of its tickets was fetched no earlier, and
    /// counts as loaded then or before.
    pub(super) fn taken_at(&self) -> Moment {
        let place = self.place.as_ref().map_or(Moment::ZERO, ResponseTicket::taken_at);
        let expected = self.equal.as_ref().and_then(|equal| equal.expected.as_ref());
        let expected = expected.map_or(Moment::ZERO, Self::taken_at);
        self.uri.taken_at().max(place).max(expected)
    }

    /// Gives it back, so that in other processes nobody waits for it.
    pub(super) fn give_back(self) {
        self.uri.give_back();
        if let Some(place) = self.place {
            place.give_back();
        }
        if let Some(equal) = self.equal {
            equal.give_back();
        }
    }

    /// The same permission for this process alone: in others nobody waits for it any more.
    pub(super) fn alone(self) -> Self {
        let uri = self.uri.beside(self.uri.key());
        let known = self.known;
        let equal = self.equal.as_ref().map(|equal| {
            let list = equal.list.beside(equal.list.key());
            Box::new(Equal { list, known: equal.known, expected: None })
        });
        self.give_back();
        Self { uri, place: None, known, equal }
    }
}

impl Equal {
    /// The same.
    pub(super) fn give_back(self) {
        self.list.give_back();
        if let Some(Berth { uri, place, .. }) = self.expected {
            uri.give_back();
            if let Some(place) = place {
                place.give_back();
            }
        }
    }
}

impl Store {
    /// The permission to store what is about to be fetched; or what somebody else has stored
    /// meanwhile, if it answers this request. While another process fetches it this waits, no
    /// longer than `until`.
    pub(super) async fn berth(
        &self,
        key: &Key,
        headers: &HeaderMap,
        loaded_at: Option<Moment>,
        known: Option<(&Key, Moment)>,
        until: Moment,
    ) -> Result<Berth, Landed> {
        let failed = || Landed::Failed { status: StatusCode::BAD_GATEWAY };
        // Where a list says under which key the response will stand, others may be fetching other
        // responses under that of the URI.
        let (uri, now) = (key.as_bytes(), self.now());
        let has_list = self.list(uri, now).is_some() || self.searches(uri, now).is_some();
        let until_own = if has_list { now } else { until };
        let uri = self.ticket_in_turn(key, loaded_at, until_own).await.ok_or_else(failed)?;
        let place = self.place_of(key, headers, known, until).await;
        let mut berth = Berth { uri, place, known: self.known_variants(key), equal: None };
        if let Some(landed) = self.meanwhile(key, headers, known) {
            berth.give_back();
            return Err(landed);
        }
        let (equal, looked) = self.equal(&berth.uri, headers, known, until).await;
        berth.equal = equal;
        match looked.then(|| self.meanwhile(key, headers, known)).flatten() {
            Some(landed) => {
                berth.give_back();
                Err(landed)
            }
            None => Ok(berth),
        }
    }

    /// The same for a response that isn't shared. It waits for nothing.
    pub(super) fn berth_here(&self, key: &Key) -> Option<Berth> {
        let uri = self.ticket_here(key)?;
        let equal = searches::key_of_own_list(key.as_bytes()).map(|path| {
            let list = self.searches(key.as_bytes(), self.now()).filter(|(.., marked)| !marked);
            let stamp = list.map(|(list, ..)| list.stamp().number());
            let known = Known { stamp, at: self.now() };
            Box::new(Equal { list: uri.beside(&path), known, expected: None })
        });
        Some(Berth { uri, place: None, known: self.known_variants(key), equal })
    }

    /// What is known of the list of a URI's variants.
    pub(super) fn known_variants(&self, key: &Key) -> Known {
        let at = self.now();
        let list = self.list(key.as_bytes(), at);
        Known { stamp: list.map(|list| list.stamp().number()), at }
    }

    /// A ticket as [`ticket`](Self::ticket) gives it, for whose turn it is: while another process
    /// has the lease this waits, no longer than `until`, for its fill. A lease that was let go of,
    /// and that yet another one has now, is a sign that what is fetched isn't stored; then it waits
    /// for nobody.
    async fn ticket_in_turn(
        &self,
        key: &Key,
        than: Option<Moment>,
        until: Moment,
    ) -> Option<ResponseTicket> {
        let (mut pause, mut end) = (POLL_MIN, None);
        let mut ticket = self.ticket(key, than).await?;
        while let Some(left) = ticket.busy_for() {
            let now = self.now();
            let first_end = *end.get_or_insert(now + left);
            let varies = match left.subsec_nanos() {
                0 => LEASE_END_VARIES + Duration::from_secs(1),
                _ => LEASE_END_VARIES,
            };
            if now >= until || now + left > first_end + varies {
                break;
            }
            self.clock().sleep_until((now + pause).min(until)).await;
            pause = (pause * 2).min(POLL_MAX);
            ticket = match ticket.again(than).await {
                Lookup::Miss(ticket) => ticket,
                Lookup::Hit(_) => return self.ticket_here(key),
            };
        }
        Some(ticket)
    }

    /// The ticket of the place which a response is known to have by the list under `key`.
    async fn place_of(
        &self,
        key: &Key,
        headers: &HeaderMap,
        known: Option<(&Key, Moment)>,
        until: Moment,
    ) -> Option<ResponseTicket> {
        let list = self.list(key.as_bytes(), self.now())?;
        let place = list.expected(key.as_bytes(), headers, self.bounds.variants_max)?;
        let than = known.filter(|(known, _)| **known == place).map(|(_, at)| at);
        let until = if list.has_place(headers) { until } else { self.now() };
        self.ticket_in_turn(&place, than, until).await
    }

    /// What permits to store a response for several queries, and whether the shared tier was asked
    /// for one. It is asked for the list of a path that isn't known here, and hasn't been asked for
    /// a while, and for the response that the list leads to.
    async fn equal(
        &self,
        uri: &ResponseTicket,
        headers: &HeaderMap,
        known: Option<(&Key, Moment)>,
        until: Moment,
    ) -> (Option<Box<Equal>>, bool) {
        let own = uri.key().as_bytes();
        let Some(path) = searches::key_of_own_list(own) else { return (None, false) };
        let now = self.now();
        let find = || self.searches(own, self.now()).filter(|(.., marked)| !marked);
        let asks = self.share_max.is_some()
            && find().is_none()
            && !self.passes.knows(path.as_bytes(), false, now);
        let list = match asks {
            true => self.ticket(&path, None).await,
            false => None,
        };
        let list = list.unwrap_or_else(|| uri.beside(&path));
        let stamp = find().map(|(searches, ..)| searches.stamp().number());
        let mut equal = Equal { list, known: Known { stamp, at: now }, expected: None };
        if stamp.is_none() {
            if asks {
                self.passes.note(path.as_bytes(), false, now);
            }
            return (Some(Box::new(equal)), false);
        }
        let mut look = super::find::Look::default();
        if self.share_max.is_some() {
            self.find_equal(own, headers, now, &mut look);
        }
        let looked = look.expected.is_some();
        if let Some(Expected { key, loaded_at, variants, .. }) = look.expected {
            let until_own = if variants.is_some() { now } else { until };
            if let Some(uri) = self.ticket_in_turn(&key, loaded_at, until_own).await {
                let place = self.place_of(&key, headers, known, until).await;
                let known = self.known_variants(&key);
                equal.expected = Some(Berth { uri, place, known, equal: None });
            }
        }
        (Some(Box::new(equal)), looked)
    }

    /// What was stored since something was found, if it answers this request.
    fn meanwhile(
        &self,
        key: &Key,
        headers: &HeaderMap,
        known: Option<(&Key, Moment)>,
    ) -> Option<Landed> {
        let now = self.now();
        let found = self.find(key.as_bytes(), headers, now).found;
        let newer = found.filter(|found| known.is_none_or(|(_, at)| found.loaded_at > at))?;
        let Found { kept, loaded_at, marked, .. } = newer;
        let usable = !marked && !kept.is_part() && kept.is_fresh(now - loaded_at);
        usable.then_some(Landed::Whole { kept, loaded_at, from: CameFrom::Held, stored: true })
    }
}
