//! Questions about streams: which one has the subjects, where it begins and ends, and the one of
//! larder's own.

use async_nats::Client;
use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamByNameErrorKind, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, LastRawMessageErrorKind, RetentionPolicy, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use larder_core::Result;

use super::place::{At, Found, Origin, Stamp};
use super::{config, down, refused};

/// The stream of larder's own, in which each name has one message.
pub(super) const KEPT_IN: &str = "larder_debezium";
/// How its subjects begin. Four words, as Debezium's have two or three, and a stream takes them
/// with stars.
pub(super) const KEPT_UNDER: &str = "larder.debezium.place";

/// The stream that has these subjects.
pub(super) async fn of(context: &Context, subjects: &[String]) -> Result<Stream> {
    let mut found: Option<String> = None;
    for subject in subjects {
        let name = match context.stream_by_subject(subject.as_str()).await {
            Ok(name) => name,
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => {
                return Err(config(format!(
                    "no stream has the subject {subject}: name it among the stream's subjects \
                     (debezium.sink.nats-jetstream.subjects)"
                )));
            }
            Err(error) => return Err(refused(None, error)),
        };
        match &found {
            Some(first) if *first != name => {
                return Err(config(format!(
                    "the streams {first} and {name} know nothing of each other's order: let one \
                     stream have all subjects"
                )));
            }
            _ => found = Some(name),
        }
    }
    let name = found.ok_or_else(|| config("name the subjects that are read"))?;
    let stream = match get(context, &name).await? {
        Some(stream) => stream,
        None => return Err(down(format!("the stream {name} is gone again"))),
    };
    let retention = stream.cached_info().config.retention;
    if retention != RetentionPolicy::Limits {
        return Err(config(format!(
            "the stream {name} forgets what others have read: let its retention be limits"
        )));
    }
    Ok(stream)
}

async fn get(context: &Context, name: &str) -> Result<Option<Stream>> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(said)
                if said.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::JetStream(said) => Err(refused(Some(said.error_code()), error)),
            _ => Err(refused(None, error)),
        },
    }
}

/// The stream of larder's own, made if there is none, as durable as the other one.
pub(super) async fn own(context: &Context, beside: &Stream) -> Result<Stream> {
    if let Some(stream) = get(context, KEPT_IN).await? {
        return Ok(stream);
    }
    let made = context.create_stream(Config {
        name: KEPT_IN.to_owned(),
        subjects: vec![format!("{KEPT_UNDER}.*")],
        max_messages_per_subject: 1,
        discard: DiscardPolicy::Old,
        num_replicas: beside.cached_info().config.num_replicas,
        description: Some("larder: how far Debezium's records were applied".to_owned()),
        ..Config::default()
    });
    let error = match made.await {
        Ok(_) => return again(context).await,
        Err(error) => error,
    };
    match error.kind() {
        // Another process was faster.
        CreateStreamErrorKind::JetStream(said)
            if said.error_code() == ErrorCode::STREAM_NAME_EXIST =>
        {
            again(context).await
        }
        CreateStreamErrorKind::JetStream(said)
            if said.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP =>
        {
            Err(config(format!(
                "another stream takes {KEPT_UNDER}.*, which larder needs: give it fewer subjects"
            ))
            .caused_by(error))
        }
        CreateStreamErrorKind::JetStream(said) => Err(refused(Some(said.error_code()), error)),
        _ => Err(refused(None, error)),
    }
}

async fn again(context: &Context) -> Result<Stream> {
    let stream = get(context, KEPT_IN).await?;
    stream.ok_or_else(|| down(format!("the stream {KEPT_IN} is gone again")))
}

/// What stands in larder's own stream under this subject, and its number there.
pub(super) async fn last(stream: &Stream, subject: &str) -> Result<Option<(u64, bytes::Bytes)>> {
    match stream.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(Some((message.sequence, message.payload))),
        Err(error) => match nothing(&error.kind()) {
            Ok(()) => Ok(None),
            Err(code) => Err(refused(code, error)),
        },
    }
}

/// How a stream stands by now.
pub(super) async fn look(client: &Client, stream: &Stream) -> Result<Found> {
    let info = stream.get_info().await.map_err(|error| refused(None, error))?;
    let Info { config, created, state, .. } = info;
    let stamp = state.last_timestamp.unix_timestamp_nanos();
    let last = At { sequence: state.last_sequence, stamp };
    // What a majority has taken isn't forgotten when one server is.
    let run = (config.num_replicas < 2).then(|| run(client));
    let origin = Origin { made_at: created.unix_timestamp_nanos(), run };
    Ok(Found { origin, first: state.first_sequence, last })
}

/// Which run of a server answers. Each has a random number.
pub(super) fn run(client: &Client) -> String {
    client.server_info().server_id
}

/// When the message of this number was taken, if it is still there.
pub(super) async fn stamp(stream: &Stream, sequence: u64) -> Result<Option<Stamp>> {
    if sequence == 0 {
        return Ok(None);
    }
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(message.time.unix_timestamp_nanos())),
        Err(error) => match nothing(&error.kind()) {
            Ok(()) => Ok(None),
            Err(code) => Err(refused(code, error)),
        },
    }
}

/// Whether an error says that there is no such message; else what it says.
fn nothing(kind: &LastRawMessageErrorKind) -> std::result::Result<(), Option<ErrorCode>> {
    match kind {
        LastRawMessageErrorKind::NoMessageFound => Ok(()),
        LastRawMessageErrorKind::JetStream(said) => match said.error_code() {
            ErrorCode::NO_MESSAGE_FOUND => Ok(()),
            code => Err(Some(code)),
        },
        _ => Err(None),
    }
}
