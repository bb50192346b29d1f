//! A connection that clients share: one task writes what all of them ask, as it comes, and gives
//! each its replies.
//!
//! The task connects when it is asked something. A connection on which nothing moves while
//! replies are waited for is given up after [`Options::patience`], and one to a master that lost
//! its part takes no more requests.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use larder_resp::codec::Protocol;
use larder_resp::upstream::{REPLIES_BYTES_MAX, Requests};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

#[cfg(doc)]
use super::Options;
use super::connect::{Connected, connect};
use super::down;
use super::seat::Seat;
use super::wire::{self, Wire};

/// So many clients may wait to be written; the next one is told to come back.
const ORDERS_MAX: usize = 4096;
/// No more is taken to be written while so much is.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;
/// When somebody who found too much waiting should come back.
const SHED_RETRY: Duration = Duration::from_millis(50);

/// What came of one request: its reply, or why there is none.
pub(super) type Came = Result<Bytes, Lost>;

/// Why there is no reply.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) error: Error,
    /// It was sent, so it may have been executed.
    pub(super) sent: bool,
}

impl Lost {
    fn sent(error: Error) -> Self {
        Self { error, sent: true }
    }

    fn unsent(error: Error) -> Self {
        Self { error, sent: false }
    }
}

/// The way to the task.
#[derive(Debug)]
pub(super) struct Lane {
    orders: mpsc::Sender<Order>,
}

/// Requests of one client, and who waits for their replies.
struct Order {
    requests: Requests,
    /// Whether it was given to a connection before, which ended before anything of it was sent.
    again: bool,
    replies: oneshot::Sender<Vec<Came>>,
}

impl Lane {
    /// Starts the task. It ends when the lane is dropped.
    pub(super) fn start(seat: Seat, protocol: Protocol, runtime: &Handle) -> Self {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        runtime.spawn(drive(seat, protocol, taken));
        Self { orders }
    }

    /// Has requests sent, and waits for their replies.
    pub(super) fn order(&self, requests: Requests) -> impl Future<Output = Vec<Came>> + use<> {
        let count = requests.parts.len();
        let (replies, came) = oneshot::channel();
        let ordered = self.orders.try_send(Order { requests, again: false, replies });
        async move {
            let error = match ordered {
                Ok(()) => match came.await {
                    Ok(replies) => return replies,
                    Err(_) => Lost::sent(down("the connections to the shared Redis are closed")),
                },
                Err(TrySendError::Closed(_)) => {
                    Lost::unsent(down("the connections to the shared Redis are closed"))
                }
                Err(TrySendError::Full(_)) => {
                    let message = "too much waits to be sent to the shared Redis";
                    // Nothing else is tried in its place: that too much waits is no fault.
                    Lost::sent(Error::new(ErrorKind::Shed, message).retry_after(SHED_RETRY))
                }
            };
            vec![Err(error); count]
        }
    }
}

impl Order {
    fn fail(self, error: &Error) {
        // Who doesn't wait any more needn't know.
        let lost = Err(Lost::unsent(error.clone()));
        let _ = self.replies.send(vec![lost; self.requests.parts.len()]);
    }
}

/// An order whose requests are on the way.
struct Waiting {
    order: Order,
    /// Where its requests begin in all that goes out on this connection.
    start: u64,
    replies: Vec<Came>,
    bytes: usize,
}

impl Waiting {
    /// Takes the next reply; returns whether it is the last one.
    fn take(&mut self, came: wire::Came) -> bool {
        self.replies.push(match came {
            wire::Came::Reply(reply) if self.bytes + reply.len() <= REPLIES_BYTES_MAX => {
                self.bytes += reply.len();
                Ok(reply)
            }
            wire::Came::Reply(_) | wire::Came::TooLong => {
                let message = format!(
                    "it was executed, but the replies to one pipeline may take {REPLIES_BYTES_MAX} \
                     bytes until they are read: ask for less at a time"
                );
                Err(Lost::sent(Error::new(ErrorKind::Refused, message)))
            }
        });
        self.replies.len() >= self.order.requests.parts.len()
    }

    fn end(mut self, lost: &Lost) {
        let count = self.order.requests.parts.len();
        self.replies.resize_with(count, || Err(lost.clone()));
        self.give();
    }

    fn give(self) {
        let _ = self.order.replies.send(self.replies);
    }
}

/// The task: connects whenever something is asked and no connection is there.
async fn drive(seat: Seat, protocol: Protocol, mut orders: mpsc::Receiver<Order>) {
    let mut again = VecDeque::new();
    loop {
        if again.is_empty() {
            match orders.recv().await {
                Some(order) => again.push_back(order),
                None => return,
            }
        }
        match connect(&seat, protocol).await {
            Ok(connected) => again = Running::new(connected, &seat).run(again, &mut orders).await,
            Err(error) => {
                again.drain(..).for_each(|order| order.fail(&error));
                while let Ok(order) = orders.try_recv() {
                    order.fail(&error);
                }
            }
        }
    }
}

/// A connection while it lasts.
struct Running<'s> {
    wire: Wire,
    seat: &'s Seat,
    epoch: u64,
    waiting: VecDeque<Waiting>,
    /// How much was ever given to the connection.
    given: u64,
}

impl<'s> Running<'s> {
    fn new(Connected { wire, epoch, .. }: Connected, seat: &'s Seat) -> Self {
        let given = wire.sent();
        Self { wire, seat, epoch, waiting: VecDeque::new(), given }
    }

    /// Serves orders until the connection ends, or the server is to be looked for elsewhere;
    /// returns those of which nothing was sent.
    async fn run(
        mut self,
        first: VecDeque<Order>,
        orders: &mut mpsc::Receiver<Order>,
    ) -> VecDeque<Order> {
        first.into_iter().for_each(|order| self.begin(order));
        let mut progress = self.wire.progress();
        let mut moved = Instant::now();
        let mut held = VecDeque::new();
        loop {
            let idle = self.waiting.is_empty();
            if idle && !held.is_empty() {
                return held;
            }
            tokio::select! {
                biased;
                came = poll_fn(|context| self.wire.poll_reply(context)) => match came {
                    Ok(came) => self.take(came),
                    Err(error) => {
                        let message = "the connection to the shared Redis was lost before the \
                                       reply came; the command may have been executed, and isn't \
                                       repeated";
                        return self.end(&down(message).caused_by(error), held);
                    }
                },
                order = orders.recv(),
                    if held.is_empty() && self.wire.unsent() < UNSENT_BYTES_MAX => match order {
                    Some(order) if self.seat.epoch() != self.epoch => held.push_back(order),
                    Some(order) => {
                        self.begin(order);
                        while self.wire.unsent() < UNSENT_BYTES_MAX
                            && let Ok(order) = orders.try_recv()
                        {
                            self.begin(order);
                        }
                    }
                    None => return VecDeque::new(),
                },
                () = sleep_until(moved + self.seat.options().patience), if !idle => {
                    if self.wire.progress() == progress {
                        let message = "the shared Redis didn't reply in time; the command may \
                                       have been executed, and isn't repeated";
                        return self.end(&down(message), held);
                    }
                }
            }
            if idle || self.wire.progress() != progress {
                progress = self.wire.progress();
                moved = Instant::now();
            }
        }
    }

    /// Gives the requests of an order to the connection, unless nobody waits for it any more.
    fn begin(&mut self, order: Order) {
        if order.replies.is_closed() {
            return;
        }
        self.wire.send(&order.requests.bytes);
        let start = self.given;
        self.given += order.requests.bytes.len() as u64;
        self.waiting.push_back(Waiting { order, start, replies: Vec::new(), bytes: 0 });
    }

    /// Takes a reply. One that answers nothing is a message that nobody asked for.
    fn take(&mut self, came: wire::Came) {
        if matches!(&came, wire::Came::Reply(bytes) if bytes.first() == Some(&b'>')) {
            return;
        }
        if let Some(waiting) = self.waiting.front_mut()
            && waiting.take(came)
            && let Some(done) = self.waiting.pop_front()
        {
            done.give();
        }
    }

    /// Ends those that were sent with an error; returns the others, which go once more.
    fn end(self, error: &Error, held: VecDeque<Order>) -> VecDeque<Order> {
        let sent = self.wire.sent();
        let mut again = VecDeque::new();
        for waiting in self.waiting {
            let was_sent = waiting.start < sent;
            // Twice is enough: connections that end at once may go on doing so.
            match was_sent || waiting.order.again {
                true => waiting.end(&Lost { error: error.clone(), sent: was_sent }),
                false => again.push_back(Order { again: true, ..waiting.order }),
            }
        }
        again.extend(held);
        again
    }
}
