//! One fetch and everyone who waits for it.
//!
//! Who comes after something was struck never waits for what was asked for before: a flight has the
//! fences of its URI and of the list of its path from before its origin is asked, and is joined
//! while they hold. Where it was promised when other processes' purges count here, it is joined no
//! longer than that after it began, or after the moment up to which all of them were heard of. Its
//! tags are known only with the head of its response: who waits for that tests them then, and goes
//! to a newer flight if one was struck meanwhile.
//!
//! Who finds a flight of what it asks for waits for the head of its response, and takes it if it
//! may: if the response is one that is stored, is fresh for it, its Vary selects it, and, where it
//! was another query that was asked, its No-Vary-Search says that this makes no difference. All
//! others go on by themselves, at once and side by side.
//!
//! **Bound.** So many flights are under way at once, those that nobody joins any more included; a
//! request beyond is sent by itself, and its response isn't stored. A request waits for a head no
//! longer than `wait`.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use http::{HeaderMap, Response, StatusCode};
use larder_core::sync::Mutex;
use larder_core::{Key, Moment};
use larder_engine::KeyFence;

use super::arriving::{Arriving, Reader};
use super::body::CacheBody;
use super::entry::{Kept, ResponseEntry};
use super::tags::Tags;
use super::waiting::Wakers;
use crate::Stored;

/// What a flight is for: a URI, or what makes no difference to it, and the values that are known to
/// select its response.
pub(super) type FlightKey = (Key, u64);

/// What came of a fetch, as far as everybody is concerned.
#[derive(Clone, Debug)]
pub(super) enum Landed {
    /// A whole response, whose load began then.
    Whole { kept: Arc<Kept>, loaded_at: Moment, from: CameFrom, stored: bool },
    /// The head of one that is stored, and its body on its way.
    Coming(Coming),
    /// A response that only its own client gets.
    Apart { status: StatusCode },
    /// The origin wasn't reached, or didn't answer in time: this status says so.
    Failed { status: StatusCode },
}

/// Where a whole response comes from.
#[derive(Clone, Debug)]
pub(super) enum CameFrom {
    /// The origin was asked, and answered this. What may be stored has these tags.
    Origin(StatusCode, Option<Tags>),
    /// Somebody else had stored it meanwhile.
    Held,
}

impl CameFrom {
    /// What the origin answered.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Origin(status, _) => Some(*status),
            Self::Held => None,
        }
    }
}

/// A response on its way, whose times count from the beginning of its load.
#[derive(Clone, Debug)]
pub(super) struct Coming {
    pub(super) stored: Arc<Stored>,
    pub(super) loaded_at: Moment,
    pub(super) body: Arc<Arriving>,
    /// How long the body will be, if that is known.
    pub(super) length: Option<u64>,
    pub(super) tags: Tags,
}

/// What only the one who leads gets.
pub(super) enum Own {
    /// The response as it came.
    Response(Response<CacheBody>),
    /// The fields as they came, with all that isn't stored, and the body to read.
    Head(HeaderMap, Reader),
}

/// See the module's documentation.
pub(super) struct Flight {
    /// The key of the URI that is asked for.
    uri: Key,
    /// Captured before its origin is asked. A flight that nobody may join has none.
    fences: Vec<Fence>,
    state: Mutex<State>,
}

pub(super) type Fence = KeyFence<Key, ResponseEntry>;

#[derive(Default)]
struct State {
    landed: Option<Landed>,
    own: Option<Own>,
    /// Nobody takes what only the leader gets.
    unled: bool,
    wakers: Wakers,
}

impl Flight {
    /// One for what has this key, which is joined while these fences hold.
    pub(super) fn new(uri: &Key, fences: Vec<Fence>) -> Self {
        Self { uri: uri.clone(), fences, state: Mutex::default() }
    }

    /// Whether who came at this moment may wait for it. What has landed as a whole is held, or for
    /// nobody else.
    fn is_joinable(&self, came: Moment) -> bool {
        // Before its tags are looked at: what vouches for it does so for them.
        if !self.fences.iter().all(|fence| fence.vouches(came)) {
            return false;
        }
        match &self.state.lock().landed {
            None => true,
            Some(Landed::Coming(coming)) => self.stands_with(&coming.tags),
            Some(_) => false,
        }
    }

    /// Whether nothing has struck it, or one of these tags, since it began.
    pub(super) fn stands_with(&self, tags: &Tags) -> bool {
        self.fences.iter().all(|fence| fence.holds_with(tags))
    }

    /// The key of the URI that is asked for: who joins may have asked for another one.
    pub(super) fn uri(&self) -> &Key {
        &self.uri
    }

    /// What came of it, as soon as it is known.
    pub(super) async fn landed(self: &Arc<Self>) -> Landed {
        let mut waiting = Waiting { flight: self, place: None };
        poll_fn(|context| {
            let mut state = waiting.flight.state.lock();
            match &state.landed {
                Some(landed) => Poll::Ready(landed.clone()),
                None => {
                    state.wakers.register(&mut waiting.place, context.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Says what came of it; what is said first stays.
    pub(super) fn land(&self, landed: Landed, own: Option<Own>) {
        // A response that nobody takes is dropped outside the lock.
        let (woken, _left) = {
            let mut state = self.state.lock();
            if state.landed.is_some() {
                return;
            }
            state.landed = Some(landed);
            let (own, left) = if state.unled { (None, own) } else { (own, None) };
            state.own = own;
            (state.wakers.take(), left)
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

/// The place of the one who leads a flight. Dropped, it leaves the flight to the others.
pub(super) struct Leader(Arc<Flight>);

impl Leader {
    pub(super) fn of(flight: &Arc<Flight>) -> Self {
        Self(Arc::clone(flight))
    }

    /// What only it gets, once.
    pub(super) fn own(&self) -> Option<Own> {
        self.0.state.lock().own.take()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let _left = {
            let mut state = self.0.state.lock();
            state.unled = true;
            state.own.take()
        };
    }
}

struct Waiting<'a> {
    flight: &'a Arc<Flight>,
    place: Option<u64>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.flight.state.lock().wakers.forget(self.place);
    }
}

/// The flights that others may join.
#[derive(Default)]
pub(super) struct Flights(Mutex<UnderWay>);

#[derive(Default)]
struct UnderWay {
    joinable: HashMap<FlightKey, Arc<Flight>>,
    /// Those and all others that were begun here.
    count: usize,
}

/// What a request finds.
pub(super) enum Boarded {
    /// It leads this flight, and is to begin it.
    Leads(Arc<Flight>),
    /// It waits for this one.
    Joins(Arc<Flight>),
    /// There are too many.
    Full,
}

impl Flights {
    /// Joins the flight for `key` if who came at this moment may, or begins the one that `begin`
    /// makes if there are fewer than `max`.
    pub(super) fn board(
        &self,
        key: &FlightKey,
        came: Moment,
        max: usize,
        begin: impl FnOnce() -> Flight,
    ) -> Boarded {
        let mut under_way = self.0.lock();
        let UnderWay { joinable, count } = &mut *under_way;
        let place = joinable.entry(key.clone());
        if let Place::Occupied(place) = &place
            && place.get().is_joinable(came)
        {
            return Boarded::Joins(Arc::clone(place.get()));
        }
        if *count >= max {
            return Boarded::Full;
        }
        *count += 1;
        Boarded::Leads(Arc::clone(place.insert_entry(Arc::new(begin())).get()))
    }

    /// Begins a flight that nobody joins, if there are fewer than `max`.
    pub(super) fn begin_alone(&self, max: usize, flight: Flight) -> Boarded {
        let mut under_way = self.0.lock();
        if under_way.count >= max {
            return Boarded::Full;
        }
        under_way.count += 1;
        Boarded::Leads(Arc::new(flight))
    }

    /// A flight that was begun here is over, and nobody joins it any more under `key`, if anybody
    /// did.
    pub(super) fn leave(&self, key: Option<&FlightKey>, flight: &Arc<Flight>) {
        let mut under_way = self.0.lock();
        under_way.count -= 1;
        let known = key.and_then(|key| under_way.joinable.get(key));
        if known.is_some_and(|known| Arc::ptr_eq(known, flight)) {
            key.and_then(|key| under_way.joinable.remove(key));
        }
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.0.lock().count
    }
}
