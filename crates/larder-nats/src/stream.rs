//! The stream: what it is called, what bounds it, and which run of the bus it is.
//!
//! Each stream has one subject, whose last part is the run: eight hexadecimal digits, random, from
//! whoever made the stream. Who publishes names the run that it knows. So what was meant for a
//! stream that is gone is heard by nobody, and never gets a number of its successor.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_nats::jetstream::context::{
    ConsumerInfoErrorKind, CreateStreamErrorKind, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use larder_core::bus::Position;
use larder_core::{Error, ErrorKind, Result};

use crate::errors;
use crate::link::Link;

/// The most announcements that are kept, their bytes, and how long. Who is further behind is told
/// of a gap.
const MESSAGES_MAX: i64 = 100_000;
const BYTES_MAX: i64 = 256 << 20;
const AGE_MAX: Duration = Duration::from_secs(3_600);

/// Nanoseconds since 1970 by the server's clock. They are compared, and never counted with.
pub(crate) type Stamp = i128;

/// What a stream is called: the namespace and `_bus`, where `=` and two hexadecimal digits stand
/// for what no name of a stream may have.
pub(crate) fn name(namespace: &str) -> String {
    let spelt = |c: char| match c {
        c if c.is_ascii_alphanumeric() || "-_".contains(c) => c.to_string(),
        c => format!("={:02X}", u32::from(c)),
    };
    namespace.chars().map(spelt).chain(["_bus".to_owned()]).collect()
}

/// A stream as it was found.
pub(crate) struct Found {
    pub(crate) stream: Stream,
    /// Where it ends.
    pub(crate) end: Position,
    /// The first announcement that is still there, or would be.
    pub(crate) first: u64,
    /// When it was made.
    pub(crate) made_at: Stamp,
    /// Where to publish.
    pub(crate) subject: String,
}

/// The stream of this name, made if there is none.
pub(crate) async fn find(link: &Link, name: &str) -> Result<Found> {
    let context = link.context().await?;
    let stream = match get(link, &context, name).await? {
        Some(stream) => stream,
        None => make(link, &context, name).await?,
    };
    read(link, name, stream)
}

async fn get(link: &Link, context: &Context, name: &str) -> Result<Option<Stream>> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(said)
                if said.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::JetStream(said) => {
                Err(errors::refused(&link.name, Some(said.error_code()), error))
            }
            _ => Err(errors::refused(&link.name, None, error)),
        },
    }
}

async fn make(link: &Link, context: &Context, name: &str) -> Result<Stream> {
    let run = RandomState::new().hash_one(()) >> 32;
    let config = Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.{run:08x}")],
        max_messages: MESSAGES_MAX,
        max_bytes: BYTES_MAX,
        max_age: AGE_MAX,
        discard: DiscardPolicy::Old,
        num_replicas: 1,
        description: Some("larder: what was invalidated, for everybody to hear".to_owned()),
        ..Config::default()
    };
    let error = match context.create_stream(config).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    let code = match error.kind() {
        CreateStreamErrorKind::JetStream(said) => Some(said.error_code()),
        _ => None,
    };
    // Another process may have been faster.
    if code == Some(ErrorCode::STREAM_NAME_EXIST)
        && let Some(stream) = get(link, context, name).await?
    {
        return Ok(stream);
    }
    Err(errors::refused(&link.name, code, error))
}

fn read(link: &Link, name: &str, stream: Stream) -> Result<Found> {
    let Info { config, created, state, .. } = stream.cached_info();
    let run = match &config.subjects[..] {
        [subject] => subject.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')),
        _ => None,
    };
    let run = run.filter(|run| run.len() == 8).and_then(|run| u32::from_str_radix(run, 16).ok());
    let run = run.ok_or_else(|| {
        let link = &link.name;
        let words = format!(
            "the bus, {link}, has a stream {name} that is not of larder's making: choose another \
             namespace, or delete it"
        );
        Error::new(ErrorKind::Config, words)
    })?;
    Ok(Found {
        end: Position { run, number: state.last_sequence },
        first: state.first_sequence,
        made_at: created.unix_timestamp_nanos(),
        subject: format!("{name}.{run:08x}"),
        stream,
    })
}

impl Found {
    /// Whether the server still has the consumer of this name.
    pub(crate) async fn has_consumer(&self, link: &Link, consumer: &str) -> Result<bool> {
        let Err(error) = self.stream.consumer_info(consumer).await else { return Ok(true) };
        match error.kind() {
            ConsumerInfoErrorKind::NotFound => Ok(false),
            ConsumerInfoErrorKind::JetStream(said)
                if said.error_code() == ErrorCode::CONSUMER_NOT_FOUND =>
            {
                Ok(false)
            }
            _ => Err(errors::refused(&link.name, None, error)),
        }
    }

    /// When the announcement of this number was published, if it is still there.
    pub(crate) async fn published_at(&self, link: &Link, number: u64) -> Result<Option<Stamp>> {
        if number == 0 {
            return Ok(None);
        }
        match self.stream.get_raw_message(number).await {
            Ok(message) => Ok(Some(message.time.unix_timestamp_nanos())),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::JetStream(said)
                    if said.error_code() == ErrorCode::NO_MESSAGE_FOUND =>
                {
                    Ok(None)
                }
                _ => Err(errors::refused(&link.name, None, error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_namespaces_never_get_one_stream() {
        assert_eq!(name("larder"), "larder_bus");
        assert_eq!(name("shop.v2"), "shop=2Ev2_bus");
        assert_ne!(name("a.b"), name("a=2Eb"));
        assert!(name("*>/\\ .").chars().all(|c| c.is_ascii_alphanumeric() || "=_".contains(c)));
    }
}
