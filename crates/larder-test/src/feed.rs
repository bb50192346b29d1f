//! A feed to be told what to tell.

use std::fmt;
use std::future::poll_fn;

use larder_core::feed::{Feed, FeedEvent, FeedPosition, Following, Notice};
use larder_core::{BoxFuture, Error, ErrorKind, Result};

use crate::watched::Watched;

/// A database's log, in memory. Clones are the same log.
///
/// ```
/// use larder_core::feed::{FeedEvent, Notice};
/// use larder_core::Feed;
/// use larder_test::TestFeed;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let log = TestFeed::new();
/// let mut following = log.follow(None).await.unwrap();
/// assert!(matches!(following.next().await.unwrap(), FeedEvent::Gap { .. }));
/// log.commit([Notice::Message("x".into())]);
/// assert!(matches!(following.next().await.unwrap(), FeedEvent::Notices { .. }));
/// # });
/// ```
#[derive(Clone)]
pub struct TestFeed(Watched<Log>);

#[derive(Default)]
struct Log {
    /// What was committed, each at its place; what was forgotten is empty.
    commits: Vec<Vec<Notice>>,
    /// What was committed before this place can't be told any more.
    begins: u64,
    /// Who follows; another number than that of a follower ends it.
    follower: Option<u64>,
    followers: u64,
    acknowledged: u64,
    /// Nothing is told, and nobody who asks for the end is answered.
    stands_still: bool,
    ends_asked: u64,
    /// So many who ask for the end are answered; without it all are.
    ends_left: Option<u64>,
}

impl TestFeed {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self(Watched::new(Log::default()))
    }

    /// Commits this, and everybody can read it.
    pub fn commit(&self, notices: impl IntoIterator<Item = Notice>) {
        let notices = notices.into_iter().collect();
        self.0.change(|log| log.commits.push(notices));
    }

    /// Lets it stand still, or go on.
    pub fn stand_still(&self, stands_still: bool) {
        self.0.change(|log| log.stands_still = stands_still);
    }

    /// Answers so many who ask for the end from now on, and lets further ones wait; `None`
    /// answers all.
    pub fn answer_ends(&self, count: Option<u64>) {
        self.0.change(|log| log.ends_left = count);
    }

    /// Ends the connection of whoever follows; another may follow.
    pub fn cut(&self) {
        self.0.change(|log| log.follower = None);
    }

    /// Ends it, and forgets everything that was committed so far.
    pub fn lose(&self) {
        self.0.change(|log| {
            log.follower = None;
            log.begins = log.end() + 1;
            log.commits.push(Vec::new());
        });
    }

    /// What was acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> FeedPosition {
        FeedPosition(self.0.read(|log| log.acknowledged).into())
    }

    /// How often somebody asked for the end.
    #[must_use]
    pub fn ends_asked(&self) -> u64 {
        self.0.read(|log| log.ends_asked)
    }

    /// How many have begun to follow it.
    #[must_use]
    pub fn followers(&self) -> u64 {
        self.0.read(|log| log.followers)
    }

    /// Waits until `look` finds something.
    async fn wait<T>(&self, mut look: impl FnMut(&mut Log) -> Option<T>) -> T {
        poll_fn(|context| self.0.poll_for(context, &mut look)).await
    }
}

impl Log {
    fn end(&self) -> u64 {
        self.commits.len() as u64
    }
}

struct TestFollowing {
    feed: TestFeed,
    number: u64,
    gap: Option<FeedEvent>,
    told: u64,
    passed: Option<u64>,
}

impl Feed for TestFeed {
    fn name(&self) -> &str {
        "a log in memory"
    }

    fn follow(&self, since: Option<FeedPosition>) -> BoxFuture<'_, Result<Box<dyn Following>>> {
        Box::pin(async move {
            let begun = self.0.change(|log| {
                if log.follower.is_some() {
                    return None;
                }
                log.followers += 1;
                log.follower = Some(log.followers);
                Some((log.begins.max(log.acknowledged), log.followers))
            });
            let Some((begins, number)) = begun else {
                return Err(Error::new(ErrorKind::Refused, "another process follows the feed"));
            };
            let is_known = since.is_some_and(|since| since.0 >= u128::from(begins));
            let position = FeedPosition(begins.into());
            let gap =
                (!is_known).then(|| FeedEvent::Gap { reason: "it isn't known".into(), position });
            let feed = self.clone();
            let following = TestFollowing { feed, number, gap, told: begins, passed: None };
            Ok(Box::new(following) as Box<dyn Following>)
        })
    }

    fn end(&self) -> BoxFuture<'_, Result<FeedPosition>> {
        self.0.change(|log| log.ends_asked += 1);
        // As it was when somebody asked.
        let end = FeedPosition(self.0.read(Log::end).into());
        Box::pin(async move {
            self.wait(|log| {
                let is_answered = !log.stands_still && log.ends_left != Some(0);
                if let (true, Some(left)) = (is_answered, &mut log.ends_left) {
                    *left -= 1;
                }
                is_answered.then_some(())
            })
            .await;
            Ok(end)
        })
    }
}

impl Following for TestFollowing {
    fn next(&mut self) -> BoxFuture<'_, Result<FeedEvent>> {
        Box::pin(async move {
            if let Some(gap) = self.gap.take() {
                return Ok(gap);
            }
            let (told, passed, number) = (self.told, self.passed, self.number);
            let event = self.feed.wait(|log| {
                if log.follower != Some(number) {
                    return Some(Err(Error::new(ErrorKind::SourceDown, "it was cut")));
                }
                if log.stands_still {
                    return None;
                }
                let end = log.end();
                let position = FeedPosition(end.into());
                if end == told {
                    return (passed != Some(end)).then_some(Ok(FeedEvent::Passed(position)));
                }
                let from = usize::try_from(told).unwrap_or(usize::MAX);
                let notices = log.commits[from..].concat();
                Some(Ok(FeedEvent::Notices { notices, position, age: None }))
            });
            let event = event.await?;
            if let FeedEvent::Notices { position, .. } | FeedEvent::Passed(position) = &event {
                let position = u64::try_from(position.0).unwrap_or(u64::MAX);
                (self.told, self.passed) = (position, Some(position));
            }
            Ok(event)
        })
    }

    fn acknowledge(&mut self, position: FeedPosition) {
        let position = u64::try_from(position.0).unwrap_or(u64::MAX);
        self.feed.0.change(|log| log.acknowledged = log.acknowledged.max(position));
    }
}

impl Drop for TestFollowing {
    fn drop(&mut self) {
        let number = self.number;
        self.feed.0.change(|log| {
            if log.follower == Some(number) {
                log.follower = None;
            }
        });
    }
}

impl Default for TestFeed {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestFeed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TestFeed").finish_non_exhaustive()
    }
}
