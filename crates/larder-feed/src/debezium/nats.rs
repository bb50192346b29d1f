//! Debezium Server's NATS sink: a stream of `JetStream`, with a subject for each topic.
//!
//! A stream numbers what it takes, in the order of the log, and keeps it until its limits are
//! reached. Larder remembers the last number that was applied everywhere, in a stream of its own,
//! together with who leads.
//!
//! **No consumer remembers anything.** The server moves the floor of a consumer's acknowledgements
//! past what its limits, or a purge, took out of the stream: what was never read would count as
//! read. So readers ask by an ephemeral consumer without acknowledgements, from larder's own place.
//!
//! | trap | what is done |
//! |---|---|
//! | two processes read at once, as one of them was paused and doesn't know | it is harmless: each acknowledges only what it applied everywhere, and what is kept is exchanged only by who exchanged it last (`lead`) |
//! | messages are removed before they are read: limits, a purge, single ones | a number that doesn't follow is a gap (`reader`); so is a place before the stream's first number (`place`) |
//! | the stream is deleted and made again, or restored | its time of making, and the time of the message at the place, are kept beside the number (`place`) |
//! | a single server is killed, and has forgotten what it had accepted | another run of the server is another log: a gap (`place`). In a cluster keep the stream in three copies |
//! | messages are lost on the way | they are asked for again, before they count as gone (`reader`) |
//! | a stream takes every subject of three words, and so the answers to who reads it | answers come under subjects of four and more |
//! | others' messages move the stream on, and its limits remove them | what concerns nobody is passed, and remembered as read (`reading`) |
//!
//! It needs NATS 2.9 or later, and the right to make the stream `larder_debezium`.

mod address;
mod lead;
mod place;
mod reader;
mod reading;
mod stream;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{Context, ContextBuilder, ErrorCode};
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use larder_core::{BoxFuture, Error, ErrorKind, Result};
use tokio::time::timeout;

use self::address::Address;
use self::lead::Watched;
use self::reading::NatsReading;
use super::records::{Reading, Records};
use crate::name::is_plain;
use crate::shown;

/// So long a server may take to connect, and to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A connection that says nothing is asked for a sign of life so often.
const PING_EVERY: Duration = Duration::from_secs(2);
/// So many messages may wait to be sent, and to be read.
const CAPACITY: usize = 1_024;
/// What answers are sent to. The sink's default makes a stream of every subject of three words:
/// one of fewer than these would put into it whatever is read out of it.
const INBOX: &str = "_INBOX.larder.debezium";
/// So many subjects are read at most.
pub const SUBJECTS_MAX: usize = 256;
/// A name has so many bytes at most.
pub const NAME_BYTES_MAX: usize = 63;

/// Which subjects are read, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsOptions {
    /// `nats://USER:PASSWORD@HOST:PORT,HOST:PORT`, of which only a host must be said; several are
    /// servers of one cluster. `nats://:TOKEN@HOST` where a token is asked for, and `tls://` for
    /// TLS.
    ///
    /// It may hold a password, and is therefore no part of `Debug` or of any error.
    pub url: String,
    /// The subjects, called as Debezium's topics: of each table, and of the beats
    /// (`PREFIX.message`, or the table's). One stream has them all.
    pub subjects: Vec<String>,
    /// What is kept under, `larder` by default: small letters, digits and `_`. One for each group
    /// of processes that share a bus.
    pub name: String,
    /// A process that isn't heard of for so long doesn't lead any more; 5 s by default.
    pub lead_for: Duration,
}

impl NatsOptions {
    /// Reads these subjects of the NATS at this URL.
    pub fn new(
        url: impl Into<String>,
        subjects: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            url: url.into(),
            subjects: subjects.into_iter().map(Into::into).collect(),
            name: "larder".to_owned(),
            lead_for: Duration::from_secs(5),
        }
    }

    fn check(&self) -> Result<()> {
        let subjects = &self.subjects;
        if !(1..=SUBJECTS_MAX).contains(&subjects.len()) {
            return Err(config("name the subjects that are read, at most 256"));
        }
        let is_odd = |subject: &&String| subject.split('.').any(|word| !is_word(word));
        if let Some(odd) = subjects.iter().find(is_odd) {
            return Err(config(format!(
                "`{odd}` is no single subject: name each as Debezium does"
            )));
        }
        if (1..subjects.len()).any(|at| subjects[..at].contains(&subjects[at])) {
            return Err(config("a subject is named twice"));
        }
        if !is_plain(&self.name, NAME_BYTES_MAX) {
            return Err(config("a name is of small letters, digits and `_`, at most 63"));
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&self.lead_for) {
            return Err(config("a lead lasts for 100 ms to an hour"));
        }
        Ok(())
    }
}

/// A word of a subject that stands for itself.
fn is_word(word: &str) -> bool {
    let stands_for_others = matches!(word, "*" | ">");
    !word.is_empty()
        && !stands_for_others
        && word.chars().all(|c| !c.is_whitespace() && !c.is_control())
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsOptions")
            .field("subjects", &self.subjects)
            .field("name", &self.name)
            .field("lead_for", &self.lead_for)
            .finish_non_exhaustive()
    }
}

/// Subjects of a stream of `JetStream`. Clones are the same.
///
/// It needs a runtime of tokio.
#[derive(Clone)]
pub struct NatsRecords(Arc<Inner>);

struct Inner {
    options: NatsOptions,
    address: Address,
    shown: String,
    /// What was seen of who leads.
    watched: Watched,
}

impl NatsRecords {
    /// The subjects that the options name. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// `Config` when the URL or an option can't be.
    ///
    /// ```
    /// use larder_feed::debezium::nats::{NatsOptions, NatsRecords};
    ///
    /// let subjects = ["shop.public.users", "shop.message"];
    /// let records = NatsRecords::new(NatsOptions::new("nats://ann:secret@localhost", subjects))?;
    /// assert!(!format!("{records:?}").contains("secret"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn new(options: NatsOptions) -> Result<Self> {
        options.check()?;
        let address = Address::parse(&options.url)?;
        let shown = format!("nats at {}", address.shown());
        Ok(Self(Arc::new(Inner { options, address, shown, watched: Watched::default() })))
    }
}

impl Inner {
    async fn connect(&self) -> Result<(Client, Context)> {
        let options = ConnectOptions::new()
            .name("larder")
            .custom_inbox_prefix(INBOX)
            .connection_timeout(ANSWER_WITHIN)
            .request_timeout(Some(ANSWER_WITHIN))
            .ping_interval(PING_EVERY)
            .client_capacity(CAPACITY)
            .subscription_capacity(CAPACITY);
        let connecting = self.address.say(options).connect(&self.address.servers[..]);
        let client = match timeout(ANSWER_WITHIN, connecting).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => {
                return Err(match error.kind() {
                    ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                        config(format!("{} doesn't accept the URL's login", self.shown))
                    }
                    _ => down(format!("{} can't be reached", self.shown)),
                }
                .caused_by(error));
            }
            Err(_) => return Err(down(format!("{} accepts no connection in time", self.shown))),
        };
        let context = ContextBuilder::new().timeout(ANSWER_WITHIN).build(client.clone());
        Ok((client, context))
    }
}

impl Records for NatsRecords {
    fn name(&self) -> &str {
        &self.0.shown
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Reading>>> {
        Box::pin(async move {
            let reading = NatsReading::open(&self.0).await?;
            Ok(Box::new(reading) as Box<dyn Reading>)
        })
    }
}

impl fmt::Debug for NatsRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown::debug(f, "NatsRecords", &self.0.shown, &self.0.options)
    }
}

fn config(message: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("records from NATS: {message}"))
}

fn down(message: impl fmt::Display) -> Error {
    Error::new(ErrorKind::SourceDown, format!("records from NATS: {message}"))
}

/// The error of a question that was refused with this code, or not answered.
fn refused(code: Option<ErrorCode>, error: impl StdError + Send + Sync + 'static) -> Error {
    match code {
        Some(ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT) => {
            config("it has no JetStream: start it with -js, and let the account use it")
        }
        Some(_) => down("a question was refused"),
        None => down("it doesn't answer: it may be down, or have no JetStream (start it with -js)"),
    }
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_can_not_be_are_refused() {
        let good = NatsOptions::new("nats://localhost", ["shop.public.users", "shop.message"]);
        assert!(NatsRecords::new(good.clone()).is_ok());
        let subjects = |subjects: &[&str]| NatsOptions {
            subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
            ..good.clone()
        };
        let many: Vec<String> = (0..257).map(|at| at.to_string()).collect();
        for options in [
            subjects(&[]),
            subjects(&["a", "a"]),
            subjects(&["shop.>"]),
            subjects(&["shop.*.users"]),
            subjects(&["shop..users"]),
            subjects(&["two words"]),
            NatsOptions { subjects: many, ..good.clone() },
            NatsOptions { name: "a.b".to_owned(), ..good.clone() },
            NatsOptions { lead_for: Duration::ZERO, ..good.clone() },
            NatsOptions { url: "http://localhost".to_owned(), ..good.clone() },
        ] {
            let error = NatsRecords::new(options.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{options:?}");
        }
    }
}
