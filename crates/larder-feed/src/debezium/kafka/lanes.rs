//! All partitions, read by one thread: batches, places, and what is gone.
//!
//! The client of this thread belongs to no group, so nothing is given to it or taken away. What it
//! has fetched is bounded (`queued.max.messages.kbytes`, 16 MiB), and so are the batches that wait
//! to be taken.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_core::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset};
use tokio::sync::mpsc;

use super::errors::{Fault, down};
use super::offsets::{At, Partition, extents, list, partitions};
use super::options::KafkaOptions;
use crate::debezium::records::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Record};

/// So long a batch waits for its first record.
const POLL_FOR: Duration = Duration::from_millis(50);
/// So often it is looked whether there are new partitions.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What the thread says.
pub(super) enum Delivered {
    /// Records, and the places behind the last of each lane.
    Records { records: Vec<Record>, places: Vec<(u32, i64)> },
    /// Nothing that concerns anybody came before these places.
    Moved(Vec<(u32, i64)>),
    /// Further lanes, and where they begin.
    Lanes(Vec<At>),
    /// Something is gone. These are the places that it goes on at.
    Lost { reason: String, places: Vec<(u32, i64)> },
    /// It can't go on.
    Failed(Error),
}

/// Settings of the client that reads.
pub(super) fn client(options: &KafkaOptions) -> ClientConfig {
    let mut client = options.client();
    client
        .set("client.id", "larder-reads")
        .set("isolation.level", "read_committed")
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.max.bytes", "16777216");
    client
}

/// See the module's documentation.
pub(super) struct Lanes {
    client: BaseConsumer,
    options: KafkaOptions,
    lanes: Vec<At>,
    numbers: HashMap<Box<str>, HashMap<i32, u32>>,
    /// Whether somebody knows of a partition that isn't among the lanes.
    look_now: Arc<AtomicBool>,
    looked: Instant,
    delivered: mpsc::Sender<Delivered>,
    /// What came behind the records that were gathered.
    fault: Option<KafkaError>,
}

impl Lanes {
    /// Begins to read these, at these places.
    pub(super) fn open(
        client: BaseConsumer,
        options: KafkaOptions,
        lanes: &[At],
        look_now: Arc<AtomicBool>,
        delivered: mpsc::Sender<Delivered>,
    ) -> Result<Self> {
        let mut opened = Self {
            client,
            options,
            lanes: Vec::new(),
            numbers: HashMap::new(),
            look_now,
            looked: Instant::now(),
            delivered,
            fault: None,
        };
        opened.add(lanes);
        opened.assign()?;
        Ok(opened)
    }

    fn add(&mut self, lanes: &[At]) {
        for (partition, place) in lanes {
            // There are no four billion partitions.
            let number = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
            let numbers = self.numbers.entry(partition.topic.clone()).or_default();
            numbers.insert(partition.number, number);
            self.lanes.push((partition.clone(), *place));
        }
    }

    fn number(&self, topic: &str, partition: i32) -> Option<u32> {
        self.numbers.get(topic)?.get(&partition).copied()
    }

    fn assign(&self) -> Result<()> {
        let places =
            self.lanes.iter().map(|(partition, place)| (partition, Offset::Offset(*place)));
        let fail = |error| down("the partitions can't be read", error);
        self.client.assign(&list(places)?).map_err(fail)
    }

    /// Reads until nobody takes what it says.
    pub(super) fn run(mut self) {
        while !self.delivered.is_closed() {
            let said = self.step();
            let (is_over, said) = match said {
                Ok(said) => (false, said),
                Err(error) => (true, Some(Delivered::Failed(error))),
            };
            let is_taken = said.is_none_or(|said| self.delivered.blocking_send(said).is_ok());
            if is_over || !is_taken {
                return;
            }
        }
    }

    fn step(&mut self) -> Result<Option<Delivered>> {
        if let Some(fault) = self.fault.take() {
            return self.get_over(fault);
        }
        let is_due = self.looked.elapsed() >= LOOK_EVERY;
        if self.look_now.swap(false, Ordering::AcqRel) || is_due {
            self.looked = Instant::now();
            // A Kafka that doesn't answer is asked again; what it has is read all the same.
            if let Ok(Some(said)) = self.look() {
                return Ok(Some(said));
            }
        }
        let (records, places) = self.gather();
        if !records.is_empty() {
            return Ok(Some(Delivered::Records { records, places }));
        }
        if self.fault.is_some() {
            return Ok(None);
        }
        let moved = self.moved()?;
        Ok((!moved.is_empty()).then_some(Delivered::Moved(moved)))
    }

    /// What has come, up to a batch.
    fn gather(&mut self) -> (Vec<Record>, Vec<(u32, i64)>) {
        let mut records: Vec<Record> = Vec::new();
        let mut places: HashMap<u32, i64> = HashMap::new();
        let mut bytes = 0;
        while records.len() < BATCH_RECORDS_MAX && bytes < BATCH_BYTES_MAX {
            let wait = if records.is_empty() { POLL_FOR } else { Duration::ZERO };
            match self.client.poll(wait) {
                None => break,
                Some(Err(error)) => {
                    self.fault = Some(error);
                    break;
                }
                Some(Ok(message)) => {
                    let Some(lane) = self.number(message.topic(), message.partition()) else {
                        continue;
                    };
                    let record = copy(&message, lane);
                    bytes += record.key.as_ref().map_or(0, Bytes::len)
                        + record.value.as_ref().map_or(0, Bytes::len);
                    places.insert(lane, message.offset() + 1);
                    records.push(record);
                }
            }
        }
        for (lane, place) in &places {
            self.move_to(*lane, *place);
        }
        (records, places.into_iter().collect())
    }

    fn move_to(&mut self, lane: u32, place: i64) {
        if let Some((_, at)) = self.lanes.get_mut(lane as usize) {
            *at = place;
        }
    }

    /// Where there was something that is nobody's, as the ends of transactions are.
    fn moved(&mut self) -> Result<Vec<(u32, i64)>> {
        let fail = |error| down("the client doesn't know where it is", error);
        let positions = self.client.position().map_err(fail)?;
        let mut moved = Vec::new();
        for position in positions.elements() {
            let Some(lane) = self.number(position.topic(), position.partition()) else { continue };
            if let Offset::Offset(place) = position.offset()
                && self.lanes.get(lane as usize).is_some_and(|(_, at)| place > *at)
            {
                moved.push((lane, place));
            }
        }
        for (lane, place) in &moved {
            self.move_to(*lane, *place);
        }
        Ok(moved)
    }

    /// Looks for partitions that have come up. They are read from their start, if it is there.
    fn look(&mut self) -> Result<Option<Delivered>> {
        let within = self.options.answer_timeout;
        let found = partitions(&self.client, &self.options.topics, within)?;
        let is_new = |one: &Partition| self.number(&one.topic, one.number).is_none();
        let new: Vec<Partition> = found.into_iter().filter(is_new).collect();
        if new.is_empty() {
            return Ok(None);
        }
        let ends = extents(&self.client, &new, Offset::End, within)?;
        let begins = extents(&self.client, &new, Offset::Beginning, within)?;
        let lost = new.iter().zip(&begins).find(|(_, begins)| **begins > 0);
        let reason = lost.map(|(partition, _)| gone(partition));
        // Where a part is gone, what is left of it is covered by that.
        let places = begins.iter().zip(ends).map(|(begins, end)| if *begins > 0 { end } else { 0 });
        let new: Vec<At> = new.into_iter().zip(places).collect();
        self.add(&new);
        self.assign()?;
        if let Some(reason) = reason {
            // Both must be said.
            let told = self.delivered.blocking_send(Delivered::Lanes(new));
            let lost = Delivered::Lost { reason, places: Vec::new() };
            return Ok(told.is_ok().then_some(lost));
        }
        Ok(Some(Delivered::Lanes(new)))
    }

    /// What an error means, and going on behind it.
    fn get_over(&mut self, error: KafkaError) -> Result<Option<Delivered>> {
        match Fault::of(&error) {
            Fault::Passing => Ok(None),
            Fault::Final => Err(down("no more records come", error)),
            Fault::Unreadable => {
                let reason = format!("records from Kafka that can't be read: {error}");
                Ok(Some(Delivered::Lost { reason, places: Vec::new() }))
            }
            Fault::Gone => self.begin_behind(&error).map(Some),
        }
    }

    /// Goes on at the end of what can't be read from where it was.
    fn begin_behind(&mut self, error: &KafkaError) -> Result<Delivered> {
        let within = self.options.answer_timeout;
        let found = partitions(&self.client, &self.options.topics, within)?;
        let ends = extents(&self.client, &found, Offset::End, within)?;
        let begins = extents(&self.client, &found, Offset::Beginning, within)?;
        let mut reason = format!("a place in Kafka is gone: {error}");
        let mut places = Vec::new();
        for (partition, (begins, end)) in found.iter().zip(begins.into_iter().zip(ends)) {
            let Some(lane) = self.number(&partition.topic, partition.number) else { continue };
            let at = self.lanes.get(lane as usize).map_or(end, |(_, at)| *at);
            if !(begins..=end).contains(&at) {
                reason = gone(partition);
                places.push((lane, end));
                self.move_to(lane, end);
            }
        }
        self.assign()?;
        Ok(Delivered::Lost { reason, places })
    }
}

/// Why a partition counts as lost.
pub(super) fn gone(partition: &Partition) -> String {
    let Partition { topic, number } = partition;
    format!("what comes next in partition {number} of {topic} isn't there any more")
}

fn copy(message: &BorrowedMessage<'_>, lane: u32) -> Record {
    Record {
        topic: message.topic().into(),
        lane,
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
    }
}
