//! The connection: opened by the first who asks, and opened again by NATS's own client whenever
//! it is lost.
//!
//! It lives on the runtime of whoever asks first; when that ends, so does the connection, and the
//! next one who asks opens another.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{Client, ConnectOptions};
use larder_core::bus::Announcement;
use larder_core::{Error, ErrorKind, Result};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::address::{Location, Login};
use crate::errors;
use crate::message::AROUND_MAX;
use crate::options::NatsOptions;

/// How long a lost connection is left alone: doubled from one to the other.
const WAIT: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A connection that says nothing is asked for a sign of life so often; after two without one it
/// is given up.
const PING_EVERY: Duration = Duration::from_secs(2);

/// So much may wait to be sent, and so many messages to be read.
const CAPACITY: usize = 256;

/// See the module's documentation.
pub(crate) struct Link {
    /// What the bus is called in errors.
    pub(crate) name: String,
    location: Location,
    options: NatsOptions,
    opened: Mutex<Option<Opened>>,
}

/// A connection that was opened.
struct Opened {
    context: Context,
    /// A task that does nothing and ends with the runtime that the connection lives on.
    runtime: AbortHandle,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.runtime.abort();
    }
}

impl Link {
    pub(crate) fn new(options: NatsOptions) -> Result<Self> {
        let location = options.location()?;
        Ok(Self { name: location.name(), location, options, opened: Mutex::new(None) })
    }

    /// What asks `JetStream`.
    ///
    /// # Cancel safety
    ///
    /// A connection that is being opened is given up, and the next one who asks opens another.
    pub(crate) async fn context(&self) -> Result<Context> {
        let mut opened = self.opened.lock().await;
        let lives = |opened: &Opened| !opened.runtime.is_finished();
        let context = match opened.take().filter(lives) {
            Some(same) => opened.insert(same).context.clone(),
            None => opened.insert(self.open().await?).context.clone(),
        };
        drop(opened);
        if context.client().connection_state() != State::Connected {
            // What is asked now would wait, and be sent when nobody waits for it any more.
            return Err(errors::down(&self.name, "can't be reached"));
        }
        Ok(context)
    }

    async fn open(&self) -> Result<Opened> {
        let limit = self.options.connect_timeout;
        let connecting = self.how().connect(&self.location.servers[..]);
        let client = match timeout(limit, connecting).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(errors::unreachable(&self.name, error)),
            Err(_) => {
                let words = format!("accepts no connection within {limit:?}");
                return Err(errors::down(&self.name, &words));
            }
        };
        self.check(&client)?;
        let context = ContextBuilder::new().timeout(self.options.answer_timeout).build(client);
        let runtime = tokio::spawn(std::future::pending::<()>()).abort_handle();
        Ok(Opened { context, runtime })
    }

    fn how(&self) -> ConnectOptions {
        let options = ConnectOptions::new()
            .name(&self.options.namespace)
            .connection_timeout(self.options.connect_timeout)
            .request_timeout(Some(self.options.answer_timeout))
            .ping_interval(PING_EVERY)
            .client_capacity(CAPACITY)
            .subscription_capacity(CAPACITY)
            .reconnect_delay_callback(|attempts| {
                let doubled = u32::try_from(attempts.min(8)).unwrap_or(8);
                (WAIT * 2_u32.pow(doubled)).min(WAIT_MAX)
            })
            .require_tls(self.location.tls);
        let options = match self.location.login.clone() {
            Login::Nobody => options,
            Login::Token(token) => options.token(token),
            Login::User { user, password } => options.user_and_password(user, password),
        };
        match self.options.certificates.clone() {
            None => options,
            Some(file) => options.add_root_certificates(file),
        }
    }

    /// Whether the longest announcement fits.
    fn check(&self, client: &Client) -> Result<()> {
        let (takes, needed) =
            (client.server_info().max_payload, Announcement::BYTES_MAX + AROUND_MAX);
        if takes >= needed {
            return Ok(());
        }
        let name = &self.name;
        let words = format!(
            "the bus, {name}, takes messages of at most {takes} bytes: let its max_payload be \
             {needed} or more"
        );
        Err(Error::new(ErrorKind::Config, words))
    }
}
