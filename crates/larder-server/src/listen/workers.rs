//! Workers: one accepts, several threads serve.
//!
//! A worker is a thread with a runtime of its own, so that a connection never moves between
//! cores and a request is answered by the thread that read it. What is slow runs elsewhere, on
//! the engine's runtime: it never holds up a worker. What is spoken on a connection is not known
//! here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// After an `accept` that failed for want of descriptors or memory, this long passes before the
/// next: the want is not over by asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients the system keeps waiting to be accepted; it may allow fewer. One more is
/// made to try again after a second, which is long when a thousand clients come at once.
const BACKLOG: u32 = 4096;

/// How many accepted connections wait for one worker; then accepting waits.
const ACCEPTED_MAX: usize = 1024;

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

/// What is spoken on the connections of a listener.
pub(super) trait Speaks: Clone + Send + 'static {
    /// What the threads are called, with a number behind it.
    fn thread_name(&self) -> &str;

    /// What becomes of a client that is one too many. It must not wait.
    fn refuse(&self, stream: &TcpStream);

    /// What one worker's connections have in common.
    fn worker(&self) -> impl Serves;
}

/// Serves the connections of one worker.
pub(super) trait Serves: Send {
    /// Serves a client until it goes away or `stop` comes; what has arrived by then is answered.
    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static;
}

/// Opens a socket that connections may wait at.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restarted server needn't wait for the connections of the one before to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts and serves clients until `stop` becomes true; then stops accepting and waits for the
/// connections, at most [`Setup::stop_within`].
///
/// # Errors
///
/// `Internal` when a worker can't be started.
pub(super) async fn serve(
    listener: TcpListener,
    setup: Setup,
    protocol: &impl Speaks,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let workers = (0..setup.workers.max(1))
        .map(|number| Worker::start(number, protocol, &stop, setup))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| {
            Error::new(ErrorKind::Internal, "can't start a worker thread").caused_by(error)
        })?;
    accept(&listener, setup.clients_max, &workers, protocol, stop).await;
    // Closed before anything is waited for: who connects now must be refused by the system,
    // not left waiting for a server that has stopped accepting.
    drop(listener);
    let ended = workers.into_iter().map(Worker::end);
    futures_util::future::join_all(ended).await;
    Ok(())
}

/// Accepts clients until `stop` becomes true, and hands them to the workers in turn.
async fn accept(
    listener: &TcpListener,
    clients_max: usize,
    workers: &[Worker],
    protocol: &impl Speaks,
    mut stop: watch::Receiver<bool>,
) {
    // Taken here and not counted by the connections: those that wait for a worker are clients too.
    let places = Arc::new(Semaphore::new(clients_max));
    let mut turn = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    turn = (turn + 1) % workers.len();
                    workers[turn].serve(Client { stream, peer, place }).await;
                }
                Err(_) => protocol.refuse(&stream),
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
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
}

/// A thread that serves connections.
struct Worker {
    clients: mpsc::Sender<Client<std::net::TcpStream>>,
    ended: tokio::sync::oneshot::Receiver<()>,
}

impl Worker {
    fn start(
        number: usize,
        protocol: &impl Speaks,
        stop: &watch::Receiver<bool>,
        setup: Setup,
    ) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (clients, accepted) = mpsc::channel(ACCEPTED_MAX);
        let (end, ended) = tokio::sync::oneshot::channel();
        let (protocol, stop) = (protocol.clone(), stop.clone());
        let name = format!("{}-{number}", protocol.thread_name());
        thread::Builder::new().name(name).spawn(move || {
            let serves = protocol.worker();
            runtime.block_on(work(accepted, serves, stop, setup.stop_within));
            // Nobody may be waiting any more.
            let _ = end.send(());
        })?;
        Ok(Self { clients, ended })
    }

    /// Hands a client to the thread. A socket that can't change hands is closed.
    async fn serve(&self, Client { stream, peer, place }: Client<TcpStream>) {
        if let Ok(stream) = stream.into_std() {
            let _ = self.clients.send(Client { stream, peer, place }).await;
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
    serves: impl Serves,
    stop: watch::Receiver<bool>,
    stop_within: Duration,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            client = accepted.recv() => {
                let Some(Client { stream, peer, place }) = client else { break };
                let Ok(stream) = TcpStream::from_std(stream) else { continue };
                // A reply is written whole; waiting for more of it would only delay it.
                let _ = stream.set_nodelay(true);
                let mut stop = stop.clone();
                // A sender that is gone stops us too.
                let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
                let served = serves.serve(stream, peer, stopped);
                connections.spawn(async move {
                    if let Err(error) = served.await {
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
