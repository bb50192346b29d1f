//! Who reads: membership in the group, which shares out nothing but that.
//!
//! A member that is given a partition numbered 0 leads. All members name the same topics, and the
//! assignment by ranges gives the first partitions of each topic to the same member, so there is
//! one. Members are sorted by their names; ours begin with the time of their start, so that it is
//! the oldest, and who comes later takes nothing away.
//!
//! The brokers take offsets from whoever belongs to the group's present generation, for any
//! partition. So who leads commits for all, and who has lost the lead without knowing is refused.
//!
//! A thread of its own polls the client, for which it never waits longer than a moment. It ends
//! when nobody else has the member any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use larder_core::{Error, ErrorKind, Result};
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::watch;
use tokio::time::timeout;

use super::errors::down;
use super::offsets::{Partition, marked};
use super::options::KafkaOptions;

/// The client is polled so often.
const POLL_FOR: Duration = Duration::from_millis(50);
/// Who stands by and isn't asked for so long leaves the group: it would have the lead, and not use
/// it.
const ASKED_WITHIN: Duration = Duration::from_secs(30);
/// What couldn't be committed is tried again after this, and given up after that.
const COMMIT_AGAIN: Duration = Duration::from_millis(250);
const COMMITTED_WITHIN: Duration = Duration::from_secs(10);
/// Who leaves tries to commit for so long.
const LEFT_WITHIN: Duration = Duration::from_secs(2);

/// How a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It isn't in the group, or the group is being formed anew.
    Away,
    /// It reads.
    Leads,
    /// Another one does.
    StandsBy,
}

/// See the module's documentation.
pub(super) struct Member {
    client: BaseConsumer<Group>,
    topics: Vec<String>,
    /// When it was asked to read last; `None` when it is to leave.
    asked: Mutex<Option<Instant>>,
    is_read: AtomicBool,
}

/// What the client calls back.
struct Group {
    standing: watch::Sender<Standing>,
    commits: Mutex<Commits>,
}

/// What is to be committed: the offset of each partition, and what stands beside it.
type Places = HashMap<Partition, (i64, Arc<str>)>;

/// Offsets on their way.
#[derive(Default)]
struct Commits {
    wanted: Places,
    sent: Option<Places>,
    failing: Option<Failing>,
}

/// Why offsets aren't committed, and since when.
struct Failing {
    error: Error,
    since: Instant,
    again_at: Instant,
}

impl ClientContext for Group {}

impl ConsumerContext for Group {
    /// Takes note of what was given to this member, and reads none of it: who leads reads all.
    fn rebalance(
        &self,
        client: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        given: &mut TopicPartitionList,
    ) {
        let is_given = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let is_first = given.elements().iter().any(|partition| partition.partition() == 0);
        let (taken, standing) = match (is_given, is_first) {
            (true, true) => (client.assign(&TopicPartitionList::new()), Standing::Leads),
            (true, false) => (client.assign(&TopicPartitionList::new()), Standing::StandsBy),
            (false, _) => (client.unassign(), Standing::Away),
        };
        // A client that takes no answer is on its way out of the group.
        let standing = taken.map_or(Standing::Away, |()| standing);
        self.standing.send_replace(standing);
    }
}

impl Group {
    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    /// What is to be sent now, if anything.
    fn due(&mut self, now: Instant) -> Option<&Places> {
        let waits = self.failing.as_ref().is_some_and(|failing| now < failing.again_at);
        if waits || self.sent.is_some() || self.wanted.is_empty() {
            return None;
        }
        Some(self.sent.insert(std::mem::take(&mut self.wanted)))
    }

    /// What became of it.
    fn sent(&mut self, result: KafkaResult<()>) {
        let Some(sent) = self.sent.take() else { return };
        let Err(error) = result else {
            self.failing = None;
            return;
        };
        for (partition, place) in sent {
            // What was acknowledged since is further.
            self.wanted.entry(partition).or_insert(place);
        }
        let now = Instant::now();
        let since = self.failing.take().map_or(now, |failing| failing.since);
        let error = down("what was acknowledged isn't committed", error);
        self.failing = Some(Failing { error, since, again_at: now + COMMIT_AGAIN });
    }
}

impl Member {
    /// Joins the group as soon as it is asked to [`lead`](Self::lead).
    pub(super) fn start(options: &KafkaOptions, name: &str) -> Result<Arc<Self>> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let group =
            Group { standing: watch::Sender::new(Standing::Away), commits: Mutex::default() };
        let client = options
            .client()
            .set("client.id", format!("larder-{since:016}"))
            .set("partition.assignment.strategy", "range")
            // It is asked where partitions end, and that counts what isn't committed yet.
            .set("isolation.level", "read_uncommitted")
            .create_with_context(group)
            .map_err(|error| down("the client can't be made", error))?;
        let topics = options.topics.clone();
        let member = Arc::new(Self {
            client,
            topics,
            asked: Mutex::new(None),
            is_read: AtomicBool::new(false),
        });
        let polled = Arc::clone(&member);
        let thread = std::thread::Builder::new().name("larder-kafka".to_owned());
        thread.spawn(move || poll(&polled)).map_err(|error| {
            let message = format!("{name} can't be polled: no thread");
            Error::new(ErrorKind::NoRoom, message).caused_by(error)
        })?;
        Ok(member)
    }

    /// Waits until the group says who leads, and leads if it is this one.
    pub(super) async fn lead(member: Arc<Self>, within: Duration) -> Result<Lead> {
        *member.asked() = Some(Instant::now());
        let mut standing = member.client.context().standing.subscribe();
        let told = standing.wait_for(|standing| *standing != Standing::Away);
        let standing = match timeout(within, told).await {
            Ok(Ok(standing)) => *standing,
            Ok(Err(_)) | Err(_) => {
                let message = "records from Kafka: the group isn't formed: its brokers don't \
                               answer, or none of the topics exists";
                return Err(Error::new(ErrorKind::SourceDown, message));
            }
        };
        if standing == Standing::StandsBy || member.is_read.swap(true, Ordering::AcqRel) {
            return Err(refused());
        }
        Ok(Lead(member))
    }

    /// What asks the brokers. It blocks.
    pub(super) fn client(&self) -> &BaseConsumer<impl ConsumerContext + use<>> {
        &self.client
    }

    /// Commits these at once, as a proof that this member leads. It blocks.
    pub(super) fn commit_now<'a>(
        &self,
        places: impl IntoIterator<Item = (&'a Partition, i64, &'a str)>,
    ) -> Result<()> {
        let list = marked(places)?;
        let fail = |error| down("the brokers don't let this process acknowledge", error);
        self.client.commit(&list, CommitMode::Sync).map_err(fail)
    }

    /// Commits at once what is to be committed. It blocks.
    pub(super) fn flush(&self) -> Result<()> {
        let wanted = std::mem::take(&mut self.client.context().commits().wanted);
        let places = wanted.iter().map(|(at, (offset, text))| (at, *offset, &**text));
        if wanted.is_empty() { Ok(()) } else { self.commit_now(places) }
    }

    /// Commits these soon.
    pub(super) fn commit(&self, places: impl IntoIterator<Item = (Partition, (i64, Arc<str>))>) {
        self.client.context().commits().wanted.extend(places);
    }

    /// Whether it can go on reading.
    pub(super) fn check(&self) -> Result<()> {
        let group = self.client.context();
        if *group.standing.borrow() == Standing::StandsBy {
            return Err(refused());
        }
        match &group.commits().failing {
            Some(failing) if failing.since.elapsed() > COMMITTED_WITHIN => {
                Err(failing.error.clone())
            }
            _ => Ok(()),
        }
    }

    fn asked(&self) -> MutexGuard<'_, Option<Instant>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_wanted(&self) -> bool {
        self.is_read.load(Ordering::Acquire)
            || self.asked().is_some_and(|asked| asked.elapsed() < ASKED_WITHIN)
    }

    /// Sends what is to be committed by now.
    fn send(&self) {
        let mut commits = self.client.context().commits();
        let Some(places) = commits.due(Instant::now()) else { return };
        let list = marked(places.iter().map(|(at, (offset, text))| (at, *offset, &**text)));
        drop(commits);
        // This thread may wait for the answer: while none comes there is nothing to be polled.
        let sent = list.map(|list| self.client.commit(&list, CommitMode::Sync));
        if let Ok(sent) = sent {
            self.client.context().commits().sent(sent);
        }
    }

    /// Whether something is still to be committed, and may yet be.
    fn is_committing(&self) -> bool {
        let commits = self.client.context().commits();
        commits.failing.is_none() && (commits.sent.is_some() || !commits.wanted.is_empty())
    }
}

/// The lead, while it is used. Dropped, the member leaves the group, so that another one has it.
pub(super) struct Lead(Arc<Member>);

impl Lead {
    pub(super) fn member(&self) -> &Arc<Member> {
        &self.0
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        *self.0.asked() = None;
        self.0.is_read.store(false, Ordering::Release);
    }
}

/// Polls the client until nobody has the member any more, or wants it.
fn poll(member: &Arc<Member>) {
    let group = Arc::clone(member.client.context());
    let topics: Vec<&str> = member.topics.iter().map(String::as_str).collect();
    let mut is_joined = false;
    let mut wanted_at = Instant::now();
    loop {
        let is_last = Arc::strong_count(member) == 1;
        let mut is_wanted = !is_last && member.is_wanted();
        if is_wanted {
            wanted_at = Instant::now();
        }
        // What was acknowledged is committed before the group is left.
        is_wanted |= is_joined && member.is_committing() && wanted_at.elapsed() < LEFT_WITHIN;
        if is_last && !is_wanted && !is_joined {
            return;
        }
        if is_wanted && !is_joined {
            is_joined = member.client.subscribe(&topics).is_ok();
        } else if is_joined && !is_wanted {
            member.client.unsubscribe();
            is_joined = false;
            group.standing.send_replace(Standing::Away);
            *group.commits() = Commits::default();
        }
        member.send();
        // It reads nothing, so there are only errors, which it gets over by itself or not at all:
        // whoever asks it anything is told.
        let _: Option<Result<_, KafkaError>> = member.client.poll(POLL_FOR);
    }
}

fn refused() -> Error {
    Error::new(
        ErrorKind::Refused,
        "another process reads the records from Kafka, or none of the topics exists",
    )
}
