//! The RESP listener: one accepts, several workers serve.
//!
//! A worker is a thread with a runtime of its own, so that a connection never moves between
//! cores and a request is answered by the thread that read it. Loads run elsewhere, on the
//! engine's runtime: a slow database never holds up a worker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use larder_resp::Service;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::connection::{Connection, Scratch};

/// After an `accept` that failed for want of descriptors or memory, this long passes before the
/// next: the want is not over by asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients the system keeps waiting to be accepted; it may allow fewer. One more is
/// made to try again after a second, which is long when a thousand clients come at once.
const BACKLOG: u32 = 4096;

/// How a listener is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// How many clients may be connected; the next one is told so and disconnected.
    pub clients_max: usize,
    /// How many threads serve them.
    pub workers: usize,
    /// How long connections have, once told to stop, to answer what has arrived.
    pub stop_within: Duration,
}

/// A listener whose socket is open.
#[derive(Debug)]
pub struct RespListener {
    listener: TcpListener,
    setup: Setup,
}

impl RespListener {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// `Config` when the address can't be listened on.
    ///
    /// # Panics
    ///
    /// Panics outside of a runtime, which the socket belongs to.
    pub fn bind(address: SocketAddr, setup: Setup) -> Result<Self> {
        let listener = listen(address).map_err(|error| {
            let message = format!("can't listen for RESP on {address}");
            Error::new(ErrorKind::Config, message).caused_by(error)
        })?;
        Ok(Self { listener, setup })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// `Internal` when the system can't tell.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| {
            Error::new(ErrorKind::Internal, "the RESP listener has no address").caused_by(error)
        })
    }

    /// Accepts and serves clients until `stop` becomes true; then stops accepting and waits for
    /// the connections, at most [`Setup::stop_within`].
    ///
    /// # Errors
    ///
    /// `Internal` when a worker can't be started.
    pub async fn serve(self, service: Arc<Service>, stop: watch::Receiver<bool>) -> Result<()> {
        let workers = (0..self.setup.workers.max(1))
            .map(|number| Worker::start(number, &service, &stop, self.setup))
            .collect::<io::Result<Vec<_>>>()
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "can't start a worker thread").caused_by(error)
            })?;
        let Self { listener, setup } = self;
        accept(&listener, setup.clients_max, &workers, &service, stop).await;
        // Closed before anything is waited for: who connects now must be refused by the system,
        // not left waiting for a server that has stopped accepting.
        drop(listener);
        let ended = workers.into_iter().map(Worker::end);
        futures_util::future::join_all(ended).await;
        Ok(())
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restarted server needn't wait for the connections of the one before to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts clients until `stop` becomes true, and hands them to the workers in turn.
async fn accept(
    listener: &TcpListener,
    clients_max: usize,
    workers: &[Worker],
    service: &Service,
    mut stop: watch::Receiver<bool>,
) {
    // Taken here and not counted by the sessions: those that wait for a worker are clients too.
    let places = Arc::new(Semaphore::new(clients_max));
    let mut turn = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    turn = (turn + 1) % workers.len();
                    workers[turn].serve(Client { stream, place }).await;
                }
                Err(_) => {
                    service.refuse_client();
                    // As much as fits at once; a client that we refuse is not waited for.
                    let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
                }
            },
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that was accepted, and its place among those that may be open.
struct Client<S> {
    stream: S,
    place: OwnedSemaphorePermit,
}

/// A thread that serves connections.
struct Worker {
    clients: mpsc::Sender<Client<std::net::TcpStream>>,
    ended: tokio::sync::oneshot::Receiver<()>,
}

/// How many accepted connections wait for one worker; then accepting waits.
const ACCEPTED_MAX: usize = 1024;

impl Worker {
    fn start(
        number: usize,
        service: &Arc<Service>,
        stop: &watch::Receiver<bool>,
        setup: Setup,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (clients, accepted) = mpsc::channel(ACCEPTED_MAX);
        let (end, ended) = tokio::sync::oneshot::channel();
        let (service, stop) = (Arc::clone(service), stop.clone());
        thread::Builder::new().name(format!("resp-{number}")).spawn(move || {
            runtime.block_on(work(accepted, service, stop, setup.stop_within));
            // Nobody may be waiting any more.
            let _ = end.send(());
        })?;
        Ok(Self { clients, ended })
    }

    /// Hands a client to the thread. A socket that can't change hands is closed.
    async fn serve(&self, Client { stream, place }: Client<TcpStream>) {
        if let Ok(stream) = stream.into_std() {
            let _ = self.clients.send(Client { stream, place }).await;
        }
    }

    /// Waits for the thread to end.
    async fn end(self) {
        drop(self.clients);
        let _ = self.ended.await;
    }
}

/// What a worker does: serves each connection in a task of its own.
async fn work(
    mut accepted: mpsc::Receiver<Client<std::net::TcpStream>>,
    service: Arc<Service>,
    stop: watch::Receiver<bool>,
    stop_within: Duration,
) {
    let scratch = Scratch::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            client = accepted.recv() => {
                let Some(Client { stream, place }) = client else { break };
                let Ok(stream) = TcpStream::from_std(stream) else { continue };
                // A reply is written whole; waiting for more of it would only delay it.
                let _ = stream.set_nodelay(true);
                let connection = Connection::new(stream, &service, &scratch);
                let mut stop = stop.clone();
                connections.spawn(async move {
                    // A sender that is gone stops us too.
                    let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
                    if let Err(error) = connection.serve(stopped).await {
                        tracing::debug!(%error, "a connection broke");
                    }
                    drop(place);
                });
            }
            // Ended connections are collected as they end.
            Some(_) = connections.join_next() => {}
        }
    }
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(stop_within, all).await.is_err() {
        tracing::warn!("connections were closed before everything was answered");
    }
}
