//! The connection over which a server sends its log.

use std::time::Duration;

use futures_util::StreamExt as _;
use larder_core::{Error, ErrorKind, Result};
use mysql_async::prelude::Queryable as _;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn};
use tokio::time::timeout;

use super::control::within;
use super::event::Head;
use super::place::{Place, mixed};
use super::{Inner, config, server};

/// So often the server says that it is there, in nanoseconds.
const HEARTBEAT_NANOS: u64 = 1_000_000_000;
/// A server of which nothing is heard for so long is gone.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// Numbers of replicas from here on are larder's; an administrator gives out smaller ones.
const REPLICAS_FROM: u32 = 0xc000_0000;
/// The server can't send what is wanted: it threw it away, or never had it.
const ER_MASTER_FATAL_ERROR_READING_BINLOG: u16 = 1236;

/// What the server sends.
pub(super) struct Stream {
    events: BinlogStream,
}

/// One event.
pub(super) struct Event(mysql_async::binlog::events::Event);

/// Why there is none.
pub(super) enum Failure {
    /// The log can't be read from there on.
    Unreadable(String),
    Other(Error),
}

impl Stream {
    /// Whether the user may read it, from this place on.
    pub(super) async fn try_out(feed: &Inner, place: Place) -> Result<()> {
        let files = server::files(&feed.control).await?;
        let found = files.iter().find(|(_, end)| end.file == place.file);
        let (Some((name, _)), Ok(offset)) = (found, u32::try_from(place.offset)) else {
            return Ok(());
        };
        let connection = within(Conn::new(feed.address.options())).await?;
        let replica = feed.options.server_id.unwrap_or(REPLICAS_FROM | connection.id());
        let request = BinlogStreamRequest::new(replica)
            .with_filename(name.as_bytes())
            .with_pos(u64::from(offset))
            .with_non_blocking();
        let mut events = within(connection.get_binlog_stream(request)).await?;
        while let Ok(Some(event)) = timeout(SILENT_MAX, events.next()).await {
            event.map_err(|error| failure(&error).into_error())?;
        }
        Ok(())
    }

    /// Begins with this place of this file. `holder` is the number of a connection that lives as
    /// long: the replica's is made of it, unless it was given one.
    pub(super) async fn open(feed: &Inner, file: &str, offset: u32, holder: u32) -> Result<Self> {
        let replica = feed.options.server_id.unwrap_or(REPLICAS_FROM | holder);
        within(async {
            let mut connection = Conn::new(feed.address.options()).await?;
            // That we know MariaDB's own events, or it would send others in their place.
            let settings = format!(
                "SET @mariadb_slave_capability = 4, @master_heartbeat_period = {HEARTBEAT_NANOS}"
            );
            connection.query_drop(settings).await?;
            let request = BinlogStreamRequest::new(replica)
                .with_filename(file.as_bytes())
                .with_pos(u64::from(offset));
            Ok(Self { events: connection.get_binlog_stream(request).await? })
        })
        .await
    }

    /// The next one. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Event, Failure> {
        let other = |error| Err(Failure::Other(error));
        match timeout(SILENT_MAX, self.events.next()).await {
            Ok(Some(Ok(event))) => Ok(Event(event)),
            Ok(Some(Err(error))) => Err(failure(&error)),
            Ok(None) => other(Error::new(ErrorKind::SourceDown, "the server ended the log")),
            Err(_) => {
                let message = format!("nothing of the log was heard for {SILENT_MAX:?}");
                other(Error::new(ErrorKind::SourceDown, message))
            }
        }
    }
}

impl Event {
    pub(super) fn head(&self) -> Head {
        let head = self.0.header();
        Head { kind: head.event_type_raw(), seconds: head.timestamp(), end: head.log_pos() }
    }

    pub(super) fn body(&self) -> &[u8] {
        self.0.data()
    }

    /// Of the event that every file begins with: when it was begun, and by whom, mixed.
    pub(super) fn origin(&self) -> u32 {
        let head = self.0.header();
        mixed([u64::from(head.timestamp()), u64::from(head.server_id())])
    }
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Unreadable(reason) => Error::new(ErrorKind::SourceDown, reason),
            Self::Other(error) => error,
        }
    }
}

fn failure(error: &mysql_async::Error) -> Failure {
    let text = format!("the log can't be followed: {error}");
    match error {
        mysql_async::Error::Server(server) => match server.code {
            ER_MASTER_FATAL_ERROR_READING_BINLOG => Failure::Unreadable(text),
            // ER_ACCESS_DENIED, ER_SPECIFIC_ACCESS_DENIED, ER_NO_BINARY_LOGGING
            1045 | 1227 | 1381 => Failure::Other(config(text)),
            _ => Failure::Other(Error::new(ErrorKind::SourceDown, text)),
        },
        _ => Failure::Other(Error::new(ErrorKind::SourceDown, text)),
    }
}
