//! The listener of an edge: HTTP/1.1 and HTTP/2, over TLS or not, on the connections of several
//! workers.
//!
//! What is answered from memory is answered by the thread that read the request. What is asked of
//! the origin runs on the engine's runtime.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use larder_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::workers::{self, Serves, Setup, Speaks};
use crate::edge::{Edge, Found, Interims, Noted, Patience, Progress, Relayed, Sender};

/// How many requests of one client are answered at once over HTTP/2.
const STREAMS_MAX: u32 = 128;
/// How much of an answer waits in each of them.
const STREAM_BYTES_MAX: usize = 64 << 10;

/// What a client that is one too many is told.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
                          content-length: 0\r\nconnection: close\r\n\r\n";

/// A listener whose socket is open.
#[derive(Debug)]
pub struct EdgeListener {
    listener: TcpListener,
    setup: Setup,
}

impl EdgeListener {
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
        let listener = workers::listen(address).map_err(|error| {
            let message = format!("can't listen for HTTP on {address}");
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
            Error::new(ErrorKind::Internal, "the listener of an edge has no address")
                .caused_by(error)
        })
    }

    /// Accepts and serves clients until `stop` becomes true; then stops accepting, answers what
    /// has arrived, and waits for the connections, at most [`Setup::stop_within`].
    ///
    /// # Errors
    ///
    /// `Internal` when a worker can't be started.
    pub async fn serve(self, edge: Arc<Edge>, stop: watch::Receiver<bool>) -> Result<()> {
        workers::serve(self.listener, self.setup, &Http(edge), stop).await
    }
}

#[derive(Clone)]
struct Http(Arc<Edge>);

impl Speaks for Http {
    fn thread_name(&self) -> &str {
        // Linux cuts the names of threads at 15 bytes.
        self.0.name()
    }

    fn refuse(&self, stream: &TcpStream) {
        self.0.stats().refused_client();
        if self.0.tls().is_none() {
            // As much as fits at once; a client that we refuse is not waited for.
            let _ = stream.try_write(TOO_MANY);
        }
    }

    fn worker(&self) -> impl Serves {
        let bounds = self.0.bounds();
        let mut protocols = auto::Builder::new(TokioExecutor::new());
        protocols
            .http1()
            .timer(TokioTimer::new())
            // Looked after with all other waits; a timer for each request costs more than a hit.
            .header_read_timeout(None)
            .max_buf_size(bounds.header_bytes_max);
        protocols
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_send_buf_size(STREAM_BYTES_MAX)
            .max_header_list_size(u32::try_from(bounds.header_bytes_max).unwrap_or(u32::MAX));
        let patience = Patience::of(bounds);
        HttpWorker { edge: Arc::clone(&self.0), protocols: Arc::new(protocols), patience }
    }
}

struct HttpWorker {
    edge: Arc<Edge>,
    protocols: Arc<auto::Builder<TokioExecutor>>,
    patience: Patience,
}

impl Serves for HttpWorker {
    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (edge, protocols) = (Arc::clone(&self.edge), Arc::clone(&self.protocols));
        let patience = self.patience;
        async move {
            let _connected = Connected::new(&edge);
            let within = edge.bounds().head_timeout;
            let tls = edge.tls().cloned();
            let sender = Sender { address: peer.ip(), is_encrypted: tls.is_some() };
            let http = HttpConnection { edge, protocols, patience, sender };
            match tls {
                None => http.serve(stream, stop).await,
                Some(tls) => match timeout(within, tls.accept(stream)).await {
                    Ok(stream) => http.serve(stream?, stop).await,
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                },
            }
        }
    }
}

/// Counts a client while it is connected.
struct Connected(Arc<Edge>);

impl Connected {
    fn new(edge: &Arc<Edge>) -> Self {
        edge.stats().connected();
        Self(Arc::clone(edge))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.stats().disconnected();
    }
}

struct HttpConnection {
    edge: Arc<Edge>,
    protocols: Arc<auto::Builder<TokioExecutor>>,
    patience: Patience,
    sender: Sender,
}

impl HttpConnection {
    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        stop: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let Self { edge, protocols, patience, sender } = self;
        let progress = Arc::new(Progress::default());
        let interims = edge.relays_hints().then(Interims::new);
        let stream = Relayed::new(stream, interims.clone());
        let noted = Noted { stream, progress: Arc::clone(&progress) };
        let service = service_fn(|mut request: Request<Incoming>| {
            let answering = progress.request(request.version() >= Version::HTTP_2);
            let edge = Arc::clone(&edge);
            let hears = request.version() == Version::HTTP_11;
            let interim = interims.as_ref().filter(|_| hears).map(Interims::begin);
            if let Some(interim) = &interim {
                request.extensions_mut().insert(interim.clone());
            }
            async move {
                let mut answer = pin!(edge.answer(request, sender, answering));
                let answer = poll_fn(|context| {
                    if let Some(interim) = &interim {
                        interim.wakes(context.waker());
                    }
                    answer.as_mut().poll(context)
                });
                let answer = answer.await;
                if let Some(interim) = interim {
                    interim.end();
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = pin!(protocols.serve_connection(TokioIo::new(noted), service));
        let mut stop = pin!(stop);
        let mut looks = interval(patience.between_looks);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_ending = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => return ended.map_err(io::Error::other),
                () = stop.as_mut(), if !is_ending => {
                    connection.as_mut().graceful_shutdown();
                    is_ending = true;
                }
                _ = looks.tick() => match progress.look(patience) {
                    Found::Fine => {}
                    Found::Idle if !is_ending => {
                        connection.as_mut().graceful_shutdown();
                        is_ending = true;
                    }
                    Found::Idle | Found::LateHead => return Ok(()),
                    Found::TakesNothing => {
                        edge.stats().slow_client();
                        return Ok(());
                    }
                },
            }
        }
    }
}
