//! The RESP listener: sessions on the connections of several workers.
//!
//! Loads run elsewhere, on the engine's runtime: a slow database never holds up a worker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use larder_core::sync::Mutex;
use larder_core::{Error, ErrorKind, Result};
use larder_resp::Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::{Connection, Scratch};
use super::workers::{self, Serves, Speaks};

pub use super::workers::Setup;

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
        let listener = workers::listen(address).map_err(|error| {
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
        workers::serve(self.listener, self.setup, &Resp(service), stop).await
    }
}

#[derive(Clone)]
struct Resp(Arc<Service>);

impl Speaks for Resp {
    fn thread_name(&self) -> &str {
        "resp"
    }

    fn refuse(&self, stream: &TcpStream) {
        self.0.refuse_client();
        // As much as fits at once; a client that we refuse is not waited for.
        let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
    }

    fn worker(&self) -> impl Serves {
        RespWorker { service: Arc::clone(&self.0), scratch: Scratch::new() }
    }
}

struct RespWorker {
    service: Arc<Service>,
    scratch: Arc<Mutex<Scratch>>,
}

impl Serves for RespWorker {
    fn serve(
        &self,
        stream: TcpStream,
        _peer: SocketAddr,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        Connection::new(stream, &self.service, &self.scratch).serve(stop)
    }
}
