//! One server: its queue, and the task that opens its connection, again when it was lost.
//!
//! A server that can't be reached, or that fell silent, is left alone for [`REST`]; until then its
//! calls fail at once.

use std::time::Duration;

use larder_core::sync::{AtomicUsize, Ordering};
use larder_core::{Error, Result};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::call::{Answer, Call, Need, Outcome};
use crate::codec::{Request, VALUE_BYTES_MAX};
use crate::connection::{Connection, End};
use crate::error;
use crate::options::MemcachedOptions;
use crate::renewals::Renewals;
use crate::watch::Watch;

/// How many calls wait for their turn. Who comes when it is full waits for a place, at most
/// `answer_timeout`.
const QUEUE_CALLS_MAX: usize = 1_024;
/// How long a server that could not be reached is left alone.
const REST: Duration = Duration::from_millis(250);
/// The size of items that the server takes, unless it says another.
const ITEM_BYTES_MAX: usize = 1 << 20;
/// What belongs to an item besides its data: its header of 56 bytes, its name, its client flags
/// and the end of the line, and some room for later versions.
const ITEM_OVERHEAD_BYTES: usize = 512;

/// One of the servers.
#[derive(Debug)]
pub(crate) struct Server {
    known: Arc<Known>,
    calls: mpsc::Sender<Call>,
    task: JoinHandle<()>,
    answer_timeout: Duration,
    pub(crate) watch: Watch,
    pub(crate) renewals: Renewals,
}

/// What is known of a server.
#[derive(Debug)]
pub(crate) struct Known {
    /// `host:port`.
    pub(crate) name: String,
    item_bytes_max: AtomicUsize,
}

impl Known {
    pub(crate) fn note_item_bytes_max(&self, bytes: usize) {
        // Relaxed: a number of its own, and who reads the old one is told by the server.
        self.item_bytes_max.store(bytes, Ordering::Relaxed);
    }
}

impl Server {
    /// The server `name`; nothing is opened yet.
    ///
    /// # Panics
    ///
    /// Outside a runtime of tokio.
    pub(crate) fn new(name: &str, options: &MemcachedOptions) -> Self {
        let item_bytes_max = AtomicUsize::new(ITEM_BYTES_MAX);
        let known = Arc::new(Known { name: name.to_owned(), item_bytes_max });
        let (calls, inbox) = mpsc::channel(QUEUE_CALLS_MAX);
        let answer_timeout = options.answer_timeout;
        let keeper = Keeper {
            known: Arc::clone(&known),
            connect_timeout: options.connect_timeout,
            answer_timeout,
            generation: 0,
        };
        Self {
            known,
            calls,
            task: tokio::spawn(keeper.run(inbox)),
            answer_timeout,
            watch: Watch::default(),
            renewals: Renewals::default(),
        }
    }

    /// `host:port`.
    pub(crate) fn name(&self) -> &str {
        &self.known.name
    }

    /// The most data that an item may have, in bytes.
    pub(crate) fn data_bytes_max(&self) -> usize {
        let bytes = self.known.item_bytes_max.load(Ordering::Relaxed);
        bytes.saturating_sub(ITEM_OVERHEAD_BYTES).min(VALUE_BYTES_MAX)
    }

    /// Asks, over whichever connection there is.
    pub(crate) async fn ask(&self, requests: Vec<Request>) -> Result<Answer> {
        match self.call(requests, None, Need::Nothing).await? {
            Outcome::Answered(answer) => Ok(answer),
            Outcome::OtherGeneration => Err(error::astray(self.name())),
        }
    }

    /// Asks for leases, which are granted after the clock of the answer.
    pub(crate) async fn ask_with_clock(&self, requests: Vec<Request>) -> Result<Answer> {
        match self.call(requests, None, Need::Recent).await? {
            Outcome::Answered(answer) => Ok(answer),
            Outcome::OtherGeneration => Err(error::astray(self.name())),
        }
    }

    /// Asks over one connection; `None` when it is no more.
    pub(crate) async fn ask_only(
        &self,
        generation: u32,
        request: Request,
    ) -> Result<Option<Answer>> {
        match self.call(vec![request], Some(generation), Need::Now).await? {
            Outcome::Answered(answer) => Ok(Some(answer)),
            Outcome::OtherGeneration => Ok(None),
        }
    }

    async fn call(
        &self,
        requests: Vec<Request>,
        generation: Option<u32>,
        clock: Need,
    ) -> Result<Outcome> {
        let (answer, inbox) = oneshot::channel();
        let call = Call { requests, generation, clock, answer };
        let gone = || error::down(self.name(), "the runtime of its connection has ended");
        let outcome = async {
            self.calls.send(call).await.map_err(|_| gone())?;
            inbox.await.map_err(|_| gone())?
        };
        timeout(self.answer_timeout, outcome).await.map_err(|_| error::late(self.name()))?
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What opens the connection.
struct Keeper {
    known: Arc<Known>,
    connect_timeout: Duration,
    answer_timeout: Duration,
    /// The connections so far.
    generation: u32,
}

impl Keeper {
    async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        let mut down: Option<(Error, Instant)> = None;
        while let Some(call) = calls.recv().await {
            if call.answer.is_closed() {
                continue;
            }
            if call.generation.is_some() {
                let _ = call.answer.send(Ok(Outcome::OtherGeneration));
                continue;
            }
            if let Some((error, _)) = down.as_ref().filter(|(_, until)| Instant::now() < *until) {
                let _ = call.answer.send(Err(error.clone()));
                continue;
            }
            let lost = match open(&self.known.name, self.connect_timeout).await {
                Ok(stream) => {
                    self.generation += 1;
                    let connection =
                        Connection::new(stream, &self.known, self.generation, self.answer_timeout);
                    match connection.run(call, &mut calls).await {
                        End::Unwanted => return,
                        End::Lost(error) => error,
                    }
                }
                Err(error) => {
                    let _ = call.answer.send(Err(error.clone()));
                    error
                }
            };
            down = Some((lost, Instant::now() + REST));
        }
    }
}

/// A new connection to the server `name`.
pub(crate) async fn open(name: &str, connect_timeout: Duration) -> Result<TcpStream> {
    let connecting = async {
        let stream = TcpStream::connect(name).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    match timeout(connect_timeout, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error::down(name, "it can't be reached").caused_by(error)),
        Err(_) => Err(error::down(name, "it can't be reached in time")),
    }
}
