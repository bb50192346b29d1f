//! Records while they are read: where it begins, batches, acknowledgements, and being caught up.
//!
//! With one partition there is one order, and whoever has a record has all before it. With several
//! there is none: a producer may have written a later record into one partition while an earlier
//! one is still on its way to another one's broker. A producer that writes in transactions has
//! written everything before anything of it can be read. So the ends that are noted behind a
//! record, with what isn't committed yet, have all that was produced before it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_core::{BoxFuture, Error, ErrorKind, Result};
use rdkafka::Offset;
use rdkafka::consumer::BaseConsumer;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::lanes::{self, Delivered, Lanes, gone};
use super::marks::Count;
use super::member::{Lead, Member};
use super::offsets::{At, Partition, committed, extents, partitions};
use super::options::{KafkaOptions, config};
use super::unacknowledged::Unacknowledged;
use crate::debezium::records::{Batch, Place, Reading};

/// So many batches wait to be taken.
const WAITING_MAX: usize = 2;
/// So long it is waited for a batch.
const NOTHING_AFTER: Duration = Duration::from_millis(100);
/// Brokers that don't say where partitions end are asked again for so long.
const SAID_WITHIN: Duration = Duration::from_secs(10);

/// See the module's documentation.
pub(super) struct KafkaReading {
    lead: Lead,
    options: KafkaOptions,
    count: Count,
    begins: Option<Place>,
    /// Told once, before anything else.
    lost: Option<String>,
    /// The partition of each lane, and what was delivered of it.
    lanes: Vec<At>,
    numbers: HashMap<Partition, u32>,
    delivered: mpsc::Receiver<Delivered>,
    unacknowledged: Unacknowledged,
    look_now: Arc<AtomicBool>,
    /// Where the lanes ended when it was noted.
    ends: Option<Vec<At>>,
    silent_since: Option<Instant>,
}

/// Where a reading begins.
struct Beginning {
    client: BaseConsumer,
    count: Count,
    lanes: Vec<At>,
    lost: Option<String>,
    /// Some lane begins at a place that nobody acknowledged.
    is_new: bool,
}

/// Begins to read as who leads.
pub(super) async fn open(lead: Lead, options: KafkaOptions) -> Result<KafkaReading> {
    let (member, asked) = (Arc::clone(lead.member()), options.clone());
    let began = blocking(move || begin(&member, &asked)).await?;
    let (sender, delivered) = mpsc::channel(WAITING_MAX);
    let look_now = Arc::new(AtomicBool::new(false));
    let (lanes, settings, flag) = (began.lanes.clone(), options.clone(), Arc::clone(&look_now));
    let reads = blocking(move || Lanes::open(began.client, settings, &lanes, flag, sender)).await?;
    let thread = std::thread::Builder::new().name("larder-kafka-reads".to_owned());
    thread.spawn(move || reads.run()).map_err(|error| {
        let message = "records from Kafka can't be read: no thread";
        Error::new(ErrorKind::NoRoom, message).caused_by(error)
    })?;
    let mut reading = KafkaReading {
        lead,
        options,
        count: began.count,
        begins: began.count.begins(),
        lost: began.lost,
        lanes: Vec::new(),
        numbers: HashMap::new(),
        delivered,
        unacknowledged: Unacknowledged::default(),
        look_now,
        ends: None,
        silent_since: None,
    };
    reading.add(began.lanes, began.is_new);
    Ok(reading)
}

/// Finds out where to begin, and writes down that a reading begins. It blocks.
fn begin(member: &Member, options: &KafkaOptions) -> Result<Beginning> {
    let within = options.answer_timeout;
    // What was acknowledged here before, and would be committed later.
    member.flush()?;
    let client: BaseConsumer = lanes::client(options)
        .create()
        .map_err(|error| super::errors::down("the client can't be made", error))?;
    let found = partitions(member.client(), &options.topics, within)?;
    let places = committed(member.client(), &found, within)?;
    let begins = extents(member.client(), &found, Offset::Beginning, within)?;
    let ends = extents(&client, &found, Offset::End, within)?;
    let is_first = places.iter().all(Option::is_none);
    let mut lost = None;
    let mut lanes = Vec::new();
    let asked = found.iter().zip(&places).zip(begins.into_iter().zip(ends));
    for ((partition, place), (begins, end)) in asked {
        let place = place.as_ref().map(|(place, _)| *place);
        let at = place.filter(|place| (begins..=end).contains(place));
        if at.is_none() && !is_first {
            lost = Some(gone(partition));
        }
        lanes.push((partition.clone(), at.unwrap_or(end)));
    }
    let texts = places.iter().map(|place| place.as_ref().map_or("", |(_, text)| text));
    let count = Count::after(texts, lost.is_some() || is_first);
    if count.begins().is_some() {
        let text = count.text(None);
        member.commit_now(lanes.iter().map(|(partition, place)| (partition, *place, &*text)))?;
    }
    Ok(Beginning { client, count, lanes, is_new: is_first || lost.is_some(), lost })
}

impl KafkaReading {
    async fn batch(&mut self) -> Result<Batch> {
        if let Some(reason) = self.lost.take() {
            return Ok(Batch::Lost { reason });
        }
        loop {
            self.lead.member().check()?;
            let Ok(delivered) = timeout(NOTHING_AFTER, self.delivered.recv()).await else {
                return Ok(Batch::Nothing);
            };
            match delivered {
                Some(Delivered::Records { records, places }) => {
                    let Some(number) = self.count.next() else {
                        let message = "four billion batches were read: open it again";
                        return Err(Error::new(ErrorKind::SourceDown, message));
                    };
                    self.reach(places);
                    self.unacknowledged.deliver(number);
                    return Ok(Batch::Records { number, records });
                }
                Some(Delivered::Moved(places)) => self.reach(places),
                Some(Delivered::Lanes(lanes)) => self.add(lanes, true),
                Some(Delivered::Lost { reason, places }) => {
                    self.reach(places);
                    return Ok(Batch::Lost { reason });
                }
                Some(Delivered::Failed(error)) => return Err(error),
                None => {
                    let message = "nobody reads the records from Kafka any more";
                    return Err(Error::new(ErrorKind::SourceDown, message));
                }
            }
        }
    }

    /// Further lanes; where they are new nobody has acknowledged their places.
    fn add(&mut self, lanes: Vec<At>, are_new: bool) {
        for (partition, place) in lanes {
            // There are no four billion partitions.
            let lane = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
            self.unacknowledged.reach(are_new.then_some((lane, place)));
            self.numbers.insert(partition.clone(), lane);
            self.lanes.push((partition, place));
        }
    }

    fn reach(&mut self, places: Vec<(u32, i64)>) {
        for (lane, place) in &places {
            if let Some((_, at)) = self.lanes.get_mut(*lane as usize) {
                *at = *place;
            }
        }
        self.unacknowledged.reach(places);
    }

    fn acknowledged(&mut self, batch: u64) {
        let text: Arc<str> = self.count.text(Some(batch)).into();
        let places = self.unacknowledged.acknowledge(batch).into_iter();
        self.lead.member().commit(places.filter_map(|(lane, place)| {
            let (partition, _) = self.lanes.get(lane as usize)?;
            Some((partition.clone(), (place, Arc::clone(&text))))
        }));
    }

    /// What was delivered of this partition; `None` where it isn't among the lanes.
    fn at(&self, partition: &Partition) -> Option<i64> {
        let lane = self.numbers.get(partition)?;
        self.lanes.get(*lane as usize).map(|(_, place)| *place)
    }

    async fn is_caught_up(&mut self) -> Result<bool> {
        if self.ends.is_none() {
            self.ends = self.note_ends().await?;
        }
        let Some(ends) = &self.ends else { return Ok(false) };
        let is_known = ends.iter().all(|(partition, _)| self.at(partition).is_some());
        if !is_known {
            self.look_now.store(true, Ordering::Release);
        }
        // Of one order everything before what was delivered was delivered.
        let is_reached = ends.len() == 1
            || ends.iter().all(|(partition, end)| self.at(partition).is_some_and(|at| at >= *end));
        if is_known && is_reached {
            self.ends = None;
        }
        Ok(is_known && is_reached)
    }

    /// Where all partitions end; nothing while the brokers don't say.
    async fn note_ends(&mut self) -> Result<Option<Vec<At>>> {
        let (member, options) = (Arc::clone(self.lead.member()), self.options.clone());
        match blocking(move || ends(&member, &options)).await {
            Ok(ends) => {
                self.silent_since = None;
                Ok(Some(ends))
            }
            Err(error) if matches!(error.kind(), ErrorKind::SourceDown | ErrorKind::Timeout) => {
                let since = *self.silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() < SAID_WITHIN { Ok(None) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }
}

/// Where all partitions end, with what isn't committed yet. It blocks.
fn ends(member: &Member, options: &KafkaOptions) -> Result<Vec<At>> {
    let within = options.answer_timeout;
    let found = partitions(member.client(), &options.topics, within)?;
    if found.len() < 2 {
        return Ok(found.into_iter().map(|partition| (partition, 0)).collect());
    }
    if !options.in_transactions {
        return Err(config(
            "several partitions know nothing of each other's order, so how far everything is \
             known can't be told: let Debezium write into one topic of one partition, or in \
             transactions, and say so",
        ));
    }
    let ends = extents(member.client(), &found, Offset::End, within)?;
    Ok(found.into_iter().zip(ends).collect())
}

impl Reading for KafkaReading {
    fn begins(&self) -> Option<Place> {
        self.begins
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Batch>> {
        Box::pin(self.batch())
    }

    fn acknowledge(&mut self, batch: u64) {
        self.acknowledged(batch);
    }

    fn caught_up(&mut self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(self.is_caught_up())
    }
}

/// Asks where it may block.
async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let asked = tokio::task::spawn_blocking(ask).await;
    asked.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Internal, "what asks Kafka has panicked or was stopped"))
    })
}
