//! A connection that clients share: one task writes what all of them ask, as it comes, and gives
//! each its replies.
//!
//! The task connects when it is asked something. A connection on which nothing moves while
//! replies are waited for is given up after [`Options::patience`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use larder_resp::codec::Protocol;
use larder_resp::upstream::{REPLIES_BYTES_MAX, Requests};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::connect::connect;
use super::down;
use super::options::Options;
use super::wire::{Came, Wire};

/// So many clients may wait to be written; the next one is told to come back.
const ORDERS_MAX: usize = 4096;
/// No more is taken to be written while so much is.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;
/// When somebody who found too much waiting should come back.
const SHED_RETRY: Duration = Duration::from_millis(50);

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
    replies: oneshot::Sender<Vec<Result<Bytes>>>,
}

impl Lane {
    /// Starts the task on the current runtime. It ends when the lane is dropped.
    pub(super) fn start(options: Arc<Options>, protocol: Protocol) -> Self {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        tokio::spawn(drive(options, protocol, taken));
        Self { orders }
    }

    /// Has requests sent, and waits for their replies.
    pub(super) fn order(
        &self,
        requests: Requests,
    ) -> impl Future<Output = Vec<Result<Bytes>>> + use<> {
        let count = requests.count;
        let (replies, came) = oneshot::channel();
        let ordered = self.orders.try_send(Order { requests, again: false, replies });
        async move {
            let error = match ordered {
                Ok(()) => match came.await {
                    Ok(replies) => return replies,
                    Err(_) => down("the connections to the shared Redis are closed"),
                },
                Err(TrySendError::Closed(_)) => {
                    down("the connections to the shared Redis are closed")
                }
                Err(TrySendError::Full(_)) => {
                    let message = "too much waits to be sent to the shared Redis";
                    Error::new(ErrorKind::Shed, message).retry_after(SHED_RETRY)
                }
            };
            vec![Err(error); count]
        }
    }
}

impl Order {
    fn fail(self, error: &Error) {
        // Who doesn't wait any more needn't know.
        let _ = self.replies.send(vec![Err(error.clone()); self.requests.count]);
    }
}

/// An order whose requests are on the way.
struct Waiting {
    order: Order,
    /// Where its requests begin in all that goes out on this connection.
    start: u64,
    replies: Vec<Result<Bytes>>,
    bytes: usize,
}

impl Waiting {
    /// Takes the next reply; returns whether it is the last one.
    fn take(&mut self, came: Came) -> bool {
        self.replies.push(match came {
            Came::Reply(reply) if self.bytes + reply.len() <= REPLIES_BYTES_MAX => {
                self.bytes += reply.len();
                Ok(reply)
            }
            Came::Reply(_) | Came::TooLong => {
                let message = format!(
                    "it was executed, but the replies to one pipeline may take {REPLIES_BYTES_MAX} \
                     bytes until they are read: ask for less at a time"
                );
                Err(Error::new(ErrorKind::Refused, message))
            }
        });
        self.replies.len() >= self.order.requests.count
    }

    fn end(mut self, error: &Error) {
        self.replies.resize_with(self.order.requests.count, || Err(error.clone()));
        self.give();
    }

    fn give(self) {
        let _ = self.order.replies.send(self.replies);
    }
}

/// The task: connects whenever something is asked and no connection is there.
async fn drive(options: Arc<Options>, protocol: Protocol, mut orders: mpsc::Receiver<Order>) {
    let mut again = VecDeque::new();
    loop {
        if again.is_empty() {
            match orders.recv().await {
                Some(order) => again.push_back(order),
                None => return,
            }
        }
        match connect(&options, protocol).await {
            Ok(wire) => again = Running::new(wire, &options).run(again, &mut orders).await,
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
struct Running<'o> {
    wire: Wire,
    options: &'o Options,
    waiting: VecDeque<Waiting>,
    /// How much was ever given to the connection.
    given: u64,
}

impl<'o> Running<'o> {
    fn new(wire: Wire, options: &'o Options) -> Self {
        let given = wire.sent();
        Self { wire, options, waiting: VecDeque::new(), given }
    }

    /// Serves orders until the connection ends; returns those of which nothing was sent.
    async fn run(
        mut self,
        first: VecDeque<Order>,
        orders: &mut mpsc::Receiver<Order>,
    ) -> VecDeque<Order> {
        first.into_iter().for_each(|order| self.begin(order));
        let mut progress = self.wire.progress();
        let mut moved = Instant::now();
        loop {
            let idle = self.waiting.is_empty();
            tokio::select! {
                biased;
                came = poll_fn(|context| self.wire.poll_reply(context)) => match came {
                    Ok(came) => self.take(came),
                    Err(error) => {
                        let message = "the connection to the shared Redis was lost before the \
                                       reply came; the command may have been executed, and isn't \
                                       repeated";
                        return self.end(&down(message).caused_by(error));
                    }
                },
                order = orders.recv(), if self.wire.unsent() < UNSENT_BYTES_MAX => match order {
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
                () = sleep_until(moved + self.options.patience), if !idle => {
                    if self.wire.progress() == progress {
                        let message = "the shared Redis didn't reply in time; the command may \
                                       have been executed, and isn't repeated";
                        return self.end(&down(message));
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
    fn take(&mut self, came: Came) {
        if matches!(&came, Came::Reply(bytes) if bytes.first() == Some(&b'>')) {
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
    fn end(self, error: &Error) -> VecDeque<Order> {
        let sent = self.wire.sent();
        let mut again = VecDeque::new();
        for waiting in self.waiting {
            // Twice is enough: connections that end at once may go on doing so.
            match waiting.start < sent || waiting.order.again {
                true => waiting.end(error),
                false => again.push_back(Order { again: true, ..waiting.order }),
            }
        }
        again
    }
}
