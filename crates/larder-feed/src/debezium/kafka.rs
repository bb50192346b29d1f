//! Debezium's records from Kafka.
//!
//! Who reads must read **every** partition: what a place proves, and the order of a row's changes,
//! is nothing that two halves know. A consumer group shares partitions out among its members. So
//! its members here share out only *who reads*: the one that the group gives a partition number 0
//! leads, and reads all partitions of all topics by a client of its own; the others stand by, and
//! stay in the group, so that the death of one is noticed and answered by the brokers.
//!
//! | trap | what is done |
//! |---|---|
//! | two processes read at once, as one of them was paused and doesn't know | it is harmless: each acknowledges only what it applied everywhere, and the brokers refuse the offsets of who doesn't belong to the group any more (`member`) |
//! | a newcomer takes the lead with every deployment | members are named after the time of their start, and the oldest is given what has number 0 (`member`) |
//! | offsets that retention has overtaken are silently replaced by the end | no offset is ever reset: it is told as lost, and what comes begins at the end (`lanes`) |
//! | a topic or a partition comes up later | it is looked for every ten seconds, and read from its start (`lanes`) |
//! | where partitions end is asked for with transactions under way | the end counts what isn't committed yet, and is reached when it is (`reading`) |
//! | partitions know nothing of each other's order | with several a horizon is known only if the producer writes in transactions (`reading`) |
//! | two processes count differently what they have read | every reading has a number of its own, which is kept beside the offsets (`marks`) |
//!
//! A topic that was deleted, made anew and filled beyond the old place since it was read last can't
//! be told from the old one.

mod errors;
mod lanes;
mod marks;
mod member;
mod offsets;
mod options;
mod reading;
mod unacknowledged;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use larder_core::{BoxFuture, Result};

use self::member::Member;
pub use self::options::KafkaOptions;
use super::records::{Reading, Records};
use crate::shown;

/// Debezium's topics in a Kafka. Clones are the same.
///
/// The group is joined when they are opened for the first time, and left 30 s after they were
/// opened last while another process read them, or when what was opened is dropped.
#[derive(Clone)]
pub struct KafkaRecords(Arc<Inner>);

struct Inner {
    options: KafkaOptions,
    name: String,
    member: Mutex<Option<Arc<Member>>>,
}

impl KafkaRecords {
    /// The topics that the options name. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// `Config` when an option can't be.
    ///
    /// ```
    /// use larder_feed::debezium::kafka::{KafkaOptions, KafkaRecords};
    ///
    /// let mut options = KafkaOptions::new("kafka.example.com:9092", ["shop"]);
    /// options.settings.push(("sasl.password".into(), "secret".into()));
    /// let records = KafkaRecords::new(options)?;
    /// assert!(!format!("{records:?}").contains("secret"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn new(options: KafkaOptions) -> Result<Self> {
        options.check()?;
        let name = format!("kafka at {}", options.servers);
        Ok(Self(Arc::new(Inner { options, name, member: Mutex::new(None) })))
    }
}

impl Inner {
    fn member(&self) -> Result<Arc<Member>> {
        let mut member = self.member.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(member) = &*member {
            return Ok(Arc::clone(member));
        }
        Ok(Arc::clone(member.insert(Member::start(&self.options, &self.name)?)))
    }
}

impl Records for KafkaRecords {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Reading>>> {
        Box::pin(async move {
            let lead = Member::lead(self.0.member()?, self.0.options.join_within).await?;
            let reading = reading::open(lead, self.0.options.clone()).await?;
            Ok(Box::new(reading) as Box<dyn Reading>)
        })
    }
}

impl fmt::Debug for KafkaRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown::debug(f, "KafkaRecords", &self.0.name, &self.0.options)
    }
}
