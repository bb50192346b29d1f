//! One fetch and everyone who waits for it.
//!
//! Who finds a flight of what it asks for waits for the head of its response, and takes it if it
//! may: if the response is one that is stored, is fresh for it, its Vary selects it, and, where it
//! was another query that was asked, its No-Vary-Search says that this makes no difference. All
//! others go on by themselves, at once and side by side.
//!
//! **Bound.** So many flights are under way at once; a request beyond is sent by itself, and its
//! response isn't stored. A request waits for a head no longer than `wait`.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use http::{HeaderMap, Response, StatusCode};
use larder_core::sync::Mutex;
use larder_core::{Key, Moment};

use super::arriving::{Arriving, Reader};
use super::body::CacheBody;
use super::entry::Kept;
use super::waiting::Wakers;
use crate::Stored;

/// What a flight is for: a URI, or what makes no difference to it, and the values that are known to
/// select its response.
pub(super) type FlightKey = (Key, u64);

/// What came of a fetch, as far as everybody is concerned.
#[derive(Clone, Debug)]
pub(super) enum Landed {
    /// A whole response, whose load began then. `fetched` is what the origin answered, if it was
    /// asked.
    Whole { kept: Arc<Kept>, loaded_at: Moment, fetched: Option<StatusCode>, stored: bool },
    /// The head of one that is stored, and its body on its way.
    Coming(Coming),
    /// A response that only its own client gets.
    Apart { status: StatusCode },
    /// The origin wasn't reached, or didn't answer in time: this status says so.
    Failed { status: StatusCode },
}

/// A response on its way, whose times count from the beginning of its load.
#[derive(Clone, Debug)]
pub(super) struct Coming {
    pub(super) stored: Arc<Stored>,
    pub(super) loaded_at: Moment,
    pub(super) body: Arc<Arriving>,
    /// How long the body will be, if that is known.
    pub(super) length: Option<u64>,
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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    landed: Option<Landed>,
    own: Option<Own>,
    /// Nobody takes what only the leader gets.
    unled: bool,
    wakers: Wakers,
}

impl Flight {
    /// One for what has this key.
    pub(super) fn of(uri: &Key) -> Self {
        Self { uri: uri.clone(), state: Mutex::default() }
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
pub(super) struct Flights(Mutex<HashMap<FlightKey, Arc<Flight>>>);

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
    /// Joins the flight for `key`, or begins one that asks for `uri` if there are fewer than `max`.
    pub(super) fn board(&self, key: &FlightKey, uri: &Key, max: usize) -> Boarded {
        let mut flights = self.0.lock();
        let under_way = flights.len();
        match flights.entry(key.clone()) {
            Place::Occupied(place) => Boarded::Joins(Arc::clone(place.get())),
            Place::Vacant(_) if under_way >= max => Boarded::Full,
            Place::Vacant(place) => {
                Boarded::Leads(Arc::clone(place.insert(Arc::new(Flight::of(uri)))))
            }
        }
    }

    /// Nobody joins it any more.
    pub(super) fn leave(&self, key: &FlightKey, flight: &Arc<Flight>) {
        let mut flights = self.0.lock();
        if flights.get(key).is_some_and(|known| Arc::ptr_eq(known, flight)) {
            flights.remove(key);
        }
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }
}
