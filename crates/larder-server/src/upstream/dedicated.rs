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
use larder_core::{Error, ErrorKind, Result};
use larder_resp::codec::Protocol;
use larder_resp::upstream::{Dedicated, Patience, REPLIES_BYTES_MAX};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connect::connect;
use super::down;
use super::options::Options;
use super::wire::{Came, Wire};

/// So many connections of each version are kept for the next client.
const IDLE_MAX: usize = 16;

/// The dedicated connections.
pub(super) struct Alone {
    options: Arc<Options>,
    /// Where the sockets live: a connection may be used by several threads in turn.
    runtime: Handle,
    places: Arc<Semaphore>,
    idle: Arc<Idle>,
}

/// Connections that nobody uses, of RESP2 and RESP3.
#[derive(Default)]
struct Idle([Mutex<Vec<Wire>>; 2]);

impl Idle {
    fn of(&self, protocol: Protocol) -> &Mutex<Vec<Wire>> {
        &self.0[usize::from(protocol == Protocol::Resp3)]
    }

    /// One that is still alive. A Redis that went away has been heard of by now.
    fn take(&self, protocol: Protocol) -> Option<Wire> {
        loop {
            let mut wire = self.of(protocol).lock().pop()?;
            let mut context = Context::from_waker(Waker::noop());
            if wire.poll_reply(&mut context).is_pending() && wire.is_clear() {
                return Some(wire);
            }
        }
    }
}

impl Alone {
    pub(super) fn new(options: Arc<Options>, runtime: Handle) -> Self {
        let places = Arc::new(Semaphore::new(options.dedicated_max));
        Self { options, runtime, places, idle: Arc::default() }
    }

    pub(super) fn in_use(&self) -> usize {
        self.options.dedicated_max.saturating_sub(self.places.available_permits())
    }

    /// A connection for one client.
    pub(super) fn open(
        &self,
        protocol: Protocol,
    ) -> impl Future<Output = Result<Box<dyn Dedicated>>> + use<> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let (options, idle) = (Arc::clone(&self.options), Arc::clone(&self.idle));
        let runtime = self.runtime.clone();
        async move {
            let place = place.map_err(|_| {
                let message = format!(
                    "all {} connections to the shared Redis that serve one client each are taken \
                     by clients that subscribe, watch or block",
                    options.dedicated_max
                );
                Error::new(ErrorKind::Shed, message)
            })?;
            let patience = options.patience;
            let wire = match idle.take(protocol) {
                Some(wire) => wire,
                None => {
                    let made = async move { connect(&options, protocol).await };
                    let closed = || down("the connections to the shared Redis are closed");
                    runtime.spawn(made).await.map_err(|error| closed().caused_by(error))??
                }
            };
            let idle = Arc::downgrade(&idle);
            let progress = wire.progress();
            let connection =
                Connection { wire, protocol, idle, patience, progress, timer: None, _place: place };
            Ok(Box::new(connection) as Box<dyn Dedicated>)
        }
    }
}

/// A connection that one client uses.
struct Connection {
    wire: Wire,
    protocol: Protocol,
    idle: Weak<Idle>,
    patience: std::time::Duration,
    /// What the wire's progress was when the timer was set.
    progress: u64,
    timer: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Whether nothing has moved for as long as it may.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = Instant::now() + self.patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if self.wire.progress() != self.progress {
            self.progress = self.wire.progress();
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(context)
    }
}

impl Dedicated for Connection {
    fn send(&mut self, requests: &[u8]) {
        self.wire.send(requests);
    }

    fn poll_reply(&mut self, context: &mut Context<'_>, patience: Patience) -> Poll<Result<Bytes>> {
        match self.wire.poll_reply(context) {
            Poll::Ready(came) => {
                self.timer = None;
                Poll::Ready(match came {
                    Ok(Came::Reply(reply)) => Ok(reply),
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
        let Some(idle) = self.idle.upgrade() else { return };
        let mut idle = idle.of(self.protocol).lock();
        if idle.len() < IDLE_MAX && self.wire.is_clear() {
            idle.push(self.wire);
        }
    }
}
