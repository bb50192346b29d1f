//! What the proxy's threads share: the faults that are on, the connections and the counts.
//!
//! It decides when which bytes may pass. It reads and writes none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::counts::{Counts, Flow, Way};
use super::throttle::Throttle;
use crate::PATIENCE;

/// Shared by all threads of a proxy.
pub(super) struct Link {
    state: Mutex<State>,
    /// Faults and connections have changed.
    changed: Condvar,
    /// Something has been counted.
    counted: Condvar,
}

pub(super) struct State {
    pub(super) server: SocketAddr,
    pub(super) cut: bool,
    pub(super) stalled: bool,
    pub(super) replies_stalled: bool,
    pub(super) replies_left: Option<u64>,
    pub(super) delay: Duration,
    throttle: Option<Throttle>,
    ended: bool,
    /// The sockets of every connection: the client's and, once there is one, the server's.
    open: BTreeMap<u64, Vec<TcpStream>>,
    /// The open connections whose client was the last to say something.
    asked: BTreeSet<u64>,
    counts: Counts,
}

impl Link {
    pub(super) fn to(server: SocketAddr) -> Self {
        let state = State {
            server,
            cut: false,
            stalled: false,
            replies_stalled: false,
            replies_left: None,
            delay: Duration::ZERO,
            throttle: None,
            ended: false,
            open: BTreeMap::new(),
            asked: BTreeSet::new(),
            counts: Counts::default(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), counted: Condvar::new() }
    }

    /// Changes the state and wakes everybody who waits for that.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        self.counted.notify_all();
        result
    }

    /// Counts bytes that have come from an end of connection `id`, and wakes only those who wait
    /// for counts.
    pub(super) fn arrived(&self, id: u64, way: Way, size: usize) {
        self.lock().arrived(id, way, size);
        self.counted.notify_all();
    }

    /// Counts bytes, and wakes only those who wait for counts.
    pub(super) fn count(&self, way: Way, count: impl FnOnce(&mut Flow)) {
        count(self.lock().flow(way));
        self.counted.notify_all();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts()
    }

    pub(super) fn wait_until(&self, what: &str, enough: impl Fn(&Counts) -> bool) {
        let waiting = |state: &mut State| !enough(&state.counts());
        let outcome = self.counted.wait_timeout_while(self.lock(), PATIENCE, waiting);
        let (state, outcome) = outcome.unwrap_or_else(PoisonError::into_inner);
        let counts = state.counts();
        drop(state);
        assert!(!outcome.timed_out(), "waited in vain until {what}: {counts:?}");
    }

    /// Waits until connection `id` may be passed on, and says to whom; `None` when it is closed.
    pub(super) fn server_for(&self, id: u64) -> Option<SocketAddr> {
        let waiting = |state: &mut State| state.stalled && state.open.contains_key(&id);
        let state = self.changed.wait_while(self.lock(), waiting);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.open.contains_key(&id).then_some(state.server)
    }

    /// Waits until some of `size` bytes that arrived at `arrived` may pass, and says how many;
    /// `None` when their connection is closed. The end of a stream waits for its turn as bytes do.
    pub(super) fn pass(&self, id: u64, way: Way, arrived: Instant, size: usize) -> Option<usize> {
        let mut state = self.lock();
        while state.open.contains_key(&id) {
            if state.holds(way) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let wait = state.due(way, arrived).saturating_duration_since(Instant::now());
            if wait.is_zero() {
                let passing = state.take(id, way, size);
                drop(state);
                self.counted.notify_all();
                return passing;
            }
            let woken = self.changed.wait_timeout(state, wait);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn heal(&mut self) {
        (self.cut, self.stalled, self.replies_stalled) = (false, false, false);
        (self.replies_left, self.throttle, self.delay) = (None, None, Duration::ZERO);
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.close_all();
    }

    pub(super) fn throttle(&mut self, bytes_per_second: u64) {
        self.throttle = Some(Throttle::to(bytes_per_second));
    }

    /// Takes in a client's connection, unless there is no place for it.
    pub(super) fn enter(&mut self, client: TcpStream) -> Option<u64> {
        let id = self.counts.connections;
        self.counts.connections += 1;
        if self.cut || self.ended || self.open.len() >= super::Proxy::CONNECTIONS_MAX {
            return None;
        }
        self.open.insert(id, vec![client]);
        Some(id)
    }

    /// Adds the server's end of a connection, unless it was closed meanwhile.
    pub(super) fn join(&mut self, id: u64, server: TcpStream) -> bool {
        let sockets = self.open.get_mut(&id);
        sockets.map(|sockets| sockets.push(server)).is_some()
    }

    pub(super) fn close(&mut self, id: u64) {
        self.asked.remove(&id);
        for socket in self.open.remove(&id).into_iter().flatten() {
            // One whose other end is gone is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn close_all(&mut self) {
        while let Some((&id, _)) = self.open.first_key_value() {
            self.close(id);
        }
    }

    fn arrived(&mut self, id: u64, way: Way, size: usize) {
        self.flow(way).arrived += size as u64;
        match way {
            // The end of a stream asks nothing and answers nothing.
            _ if size == 0 || !self.open.contains_key(&id) => {}
            Way::Requests => {
                self.asked.insert(id);
            }
            Way::Replies => self.counts.round_trips += u64::from(self.asked.remove(&id)),
        }
    }

    fn flow(&mut self, way: Way) -> &mut Flow {
        match way {
            Way::Requests => &mut self.counts.requests,
            Way::Replies => &mut self.counts.replies,
        }
    }

    fn counts(&self) -> Counts {
        Counts { open: self.open.len(), ..self.counts }
    }

    fn holds(&self, way: Way) -> bool {
        self.stalled || (self.replies_stalled && way == Way::Replies)
    }

    /// When bytes that arrived at `arrived` may pass.
    fn due(&mut self, way: Way, arrived: Instant) -> Instant {
        let due = arrived + self.delay;
        self.throttle.as_mut().map_or(due, |throttle| due.max(*throttle.free(way)))
    }

    /// Takes what passes now out of `size` bytes.
    fn take(&mut self, id: u64, way: Way, size: usize) -> Option<usize> {
        let mut taken = size;
        if let Some(throttle) = &mut self.throttle {
            taken = throttle.take(way, taken);
        }
        if let Some(left) = self.replies_left.as_mut().filter(|_| way == Way::Replies) {
            if *left == 0 && size > 0 {
                self.replies_left = None;
                self.close(id);
                return None;
            }
            taken = taken.min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= taken as u64;
        }
        self.flow(way).passed += taken as u64;
        Some(taken)
    }
}
