//! Questions about partitions: which there are, where they begin and end, what was committed.
//!
//! They block, for as long as an answer may take.

use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};

use super::errors::down;

/// With more topics than this all of the cluster's are asked for at once.
const ASKED_ONE_BY_ONE_MAX: usize = 8;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Partition {
    pub(super) topic: Box<str>,
    pub(super) number: i32,
}

/// A place in one.
pub(super) type At = (Partition, i64);

/// The partitions of these topics, as far as they exist, in order.
pub(super) fn partitions<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topics: &[String],
    within: Duration,
) -> Result<Vec<Partition>> {
    let fail = |error| down("the brokers don't say which partitions there are", error);
    let mut found = Vec::new();
    if topics.len() > ASKED_ONE_BY_ONE_MAX {
        let metadata = client.fetch_metadata(None, within).map_err(fail)?;
        let wanted = |topic: &&MetadataTopic| topics.iter().any(|name| name == topic.name());
        for topic in metadata.topics().iter().filter(wanted) {
            add(&mut found, topic)?;
        }
    } else {
        for name in topics {
            let metadata = client.fetch_metadata(Some(name), within).map_err(fail)?;
            for topic in metadata.topics().iter().filter(|topic| topic.name() == name) {
                add(&mut found, topic)?;
            }
        }
    }
    found.sort_by(|one, other| (&one.topic, one.number).cmp(&(&other.topic, other.number)));
    found.dedup();
    Ok(found)
}

fn add(found: &mut Vec<Partition>, topic: &MetadataTopic) -> Result<()> {
    if let Some(error) = topic.error() {
        return match RDKafkaErrorCode::from(error) {
            // There is none yet.
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => Ok(()),
            code => {
                let words = format!("the topic {} can't be read", topic.name());
                Err(down(words, rdkafka::error::KafkaError::MetadataFetch(code)))
            }
        };
    }
    found.extend(
        topic
            .partitions()
            .iter()
            .map(|partition| Partition { topic: topic.name().into(), number: partition.id() }),
    );
    Ok(())
}

/// Where these begin (`Offset::Beginning`) or end (`Offset::End`), in their order. Where one ends
/// is a matter of the client's isolation: with the last that was committed, or with the last.
pub(super) fn extents<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[Partition],
    at: Offset,
    within: Duration,
) -> Result<Vec<i64>> {
    let fail = |error| down("the brokers don't say where partitions begin and end", error);
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let asked = list(partitions.iter().map(|partition| (partition, at)))?;
    let answer = client.offsets_for_times(asked, within).map_err(fail)?;
    let offsets = partitions.iter().map(|partition| {
        let found = answer.find_partition(&partition.topic, partition.number);
        let found = found.ok_or_else(|| odd("an answer lacks a partition"))?;
        found.error().map_err(fail)?;
        match found.offset() {
            Offset::Offset(offset) => Ok(offset),
            _ => Err(odd("a partition begins or ends nowhere")),
        }
    });
    offsets.collect()
}

/// What was committed for these, in their order: the offset, and what stands beside it.
pub(super) fn committed<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[Partition],
    within: Duration,
) -> Result<Vec<Option<(i64, String)>>> {
    let fail = |error| down("the brokers don't say what was committed", error);
    let asked = list(partitions.iter().map(|partition| (partition, Offset::Invalid)))?;
    let answer = client.committed_offsets(asked, within).map_err(fail)?;
    let offsets = partitions.iter().map(|partition| {
        let found = answer.find_partition(&partition.topic, partition.number);
        let found = found.ok_or_else(|| odd("an answer lacks a partition"))?;
        found.error().map_err(fail)?;
        match found.offset() {
            Offset::Offset(offset) => Ok(Some((offset, found.metadata().to_owned()))),
            _ => Ok(None),
        }
    });
    offsets.collect()
}

/// A list as the client wants it.
pub(super) fn list<'a>(
    places: impl IntoIterator<Item = (&'a Partition, Offset)>,
) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in places {
        list.add_partition_offset(&partition.topic, partition.number, offset)
            .map_err(|error| down("an offset can't be", error))?;
    }
    Ok(list)
}

/// A list of offsets to commit, with this beside them.
pub(super) fn marked<'a>(
    places: impl IntoIterator<Item = (&'a Partition, i64, &'a str)>,
) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset, text) in places {
        let mut one = list.add_partition(&partition.topic, partition.number);
        one.set_offset(Offset::Offset(offset))
            .map_err(|error| down("an offset can't be", error))?;
        one.set_metadata(text);
    }
    Ok(list)
}

fn odd(words: &'static str) -> Error {
    Error::new(ErrorKind::SourceDown, format!("records from Kafka: {words}"))
}
