//! Connections of which each serves one client: subscriptions, transactions, requests that
//! block.
//!
//! Those that are given back wait a while for the next client: most transactions are short, and a
//! connection for each would cost more than they do.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use larder_core::sync::Mutex;
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use larder_redis::Address;
use larder_resp::codec::Protocol;
use larder_resp::upstream::{Dedicated, Patience, REPLIES_BYTES_MAX};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connect::{Connected, connect};
use super::down;
use super::seat::Seat;
use super::wire::Came;

/// So many connections of each version are kept for the next client, to all servers together.
const IDLE_MAX: usize = 16;

/// The dedicated connections.
pub(super) struct Alone {
    /// How many there may be.
    places_max: usize,
    /// Where the sockets live: a connection may be used by several threads in turn.
    runtime: Handle,
    places: Arc<Semaphore>,
    idle: Arc<Idle>,
}

/// Connections that nobody uses, of RESP2 and RESP3.
#[derive(Default)]
struct Idle([Mutex<Vec<Connected>>; 2]);

impl Idle {
    fn of(&self, protocol: Protocol) -> &Mutex<Vec<Connected>> {
        &self.0[usize::from(protocol == Protocol::Resp3)]
    }

    /// One to this seat that is still alive. A Redis that went away has been heard of by now.
    fn take(&self, seat: &Seat, protocol: Protocol) -> Option<Connected> {
        loop {
            let mut idle = self.of(protocol).lock();
            let fits = |one: &Connected| match seat.address() {
                Some(address) => one.address == *address,
                None => true,
            };
            let at = idle.iter().rposition(fits)?;
            let mut connected = idle.swap_remove(at);
            drop(idle);
            let mut context = Context::from_waker(Waker::noop());
            let silent = connected.wire.poll_reply(&mut context).is_pending();
            if silent && connected.wire.is_clear() && connected.epoch == seat.epoch() {
                return Some(connected);
            }
        }
    }

    /// Keeps one, if there is room, in place of the oldest.
    fn give(&self, connected: Connected, protocol: Protocol) {
        let mut idle = self.of(protocol).lock();
        if idle.len() >= IDLE_MAX {
            idle.remove(0);
        }
        idle.push(connected);
    }
}

/// Hears what a server says about where a slot or a master has gone.
pub(super) type Hears = Box<dyn Fn(&Address, u64, &[u8]) + Send>;

impl Alone {
    pub(super) fn new(places_max: usize, runtime: Handle) -> Self {
        let places = Arc::new(Semaphore::new(places_max));
        Self { places_max, runtime, places, idle: Arc::default() }
    }

    pub(super) fn in_use(&self) -> usize {
        self.places_max.saturating_sub(self.places.available_permits())
    }

    /// A connection for one client, to the server that sits there.
    pub(super) async fn open(
        &self,
        seat: Seat,
        protocol: Protocol,
        hears: Hears,
    ) -> Result<Box<dyn Dedicated>> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = format!(
                "all {} connections to the shared Redis that serve one client each are taken by \
                 clients that subscribe, watch or block",
                self.places_max
            );
            Error::new(ErrorKind::Shed, message)
        })?;
        seat.check(&self.runtime);
        let patience = seat.options().patience;
        let connected = match self.idle.take(&seat, protocol) {
            Some(connected) => connected,
            None => {
                let seat = seat.clone();
                let made = async move { connect(&seat, protocol).await };
                let closed = || down("the connections to the shared Redis are closed");
                self.runtime.spawn(made).await.map_err(|error| closed().caused_by(error))??
            }
        };
        let idle = Arc::downgrade(&self.idle);
        let progress = connected.wire.progress();
        let moved = seat.moved(connected.epoch, &self.runtime);
        let connection = Connection {
            connected,
            protocol,
            idle,
            hears,
            patience,
            progress,
            moved,
            timer: None,
            _place: place,
        };
        Ok(Box::new(connection))
    }
}

/// A connection that one client uses.
struct Connection {
    connected: Connected,
    protocol: Protocol,
    idle: Weak<Idle>,
    hears: Hears,
    patience: std::time::Duration,
    /// What the wire's progress was when the timer was set.
    progress: u64,
    /// Ends when it leads to no master any more: who listens there would hear nothing.
    moved: Option<BoxFuture<'static, ()>>,
    timer: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn poll_moved(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.moved {
            Some(moved) => moved.as_mut().poll(context),
            None => Poll::Pending,
        }
    }

    /// Whether nothing has moved for as long as it may.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = Instant::now() + self.patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if self.connected.wire.progress() != self.progress {
            self.progress = self.connected.wire.progress();
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(context)
    }
}

impl Dedicated for Connection {
    fn send(&mut self, requests: &[u8]) {
        self.connected.wire.send(requests);
    }

    fn poll_reply(&mut self, context: &mut Context<'_>, patience: Patience) -> Poll<Result<Bytes>> {
        match self.connected.wire.poll_reply(context) {
            Poll::Ready(came) => {
                self.timer = None;
                Poll::Ready(match came {
                    Ok(Came::Reply(reply)) => {
                        if reply.first() == Some(&b'-') {
                            let Connected { address, epoch, .. } = &self.connected;
                            (self.hears)(address, *epoch, &reply);
                        }
                        Ok(reply)
                    }
                    Ok(Came::TooLong) => {
                        let message =
                            format!("one reply may take {REPLIES_BYTES_MAX} bytes: ask for less");
                        Err(Error::new(ErrorKind::Refused, message))
                    }
                    Err(error) => {
                        let message = "the connection to the shared Redis was lost; a command \
                                       without a reply may have been executed, and isn't repeated";
                        Err(down(message).caused_by(error))
                    }
                })
            }
            Poll::Pending if self.poll_moved(context).is_ready() => Poll::Ready(Err(down(
                "the shared Redis is another server now; a command without a reply may have been \
                 executed, and isn't repeated",
            ))),
            Poll::Pending if patience == Patience::Usual => self.poll_late(context).map(|()| {
                Err(down(
                    "the shared Redis didn't reply in time; the command may have been executed, \
                     and isn't repeated",
                ))
            }),
            Poll::Pending => Poll::Pending,
        }
    }

    fn release(self: Box<Self>) {
        if let Some(idle) = self.idle.upgrade()
            && self.connected.wire.is_clear()
        {
            idle.give(self.connected, self.protocol);
        }
    }
}
