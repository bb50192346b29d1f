//! Who follows a feed, and notes what he is told. How a notice is noted is the test's (`said`), and
//! whether positions only grow while nothing is lost (`ONLY_GROWS`).
#![allow(dead_code, reason = "no feed needs all of it")]

use std::time::Duration;

use larder_core::feed::{FeedEvent, FeedPosition, Following, Notice};
use larder_core::{Error, ErrorKind, Feed, Result};
use tokio::time::timeout;

use crate::{ONLY_GROWS, said};

/// Whatever is waited for comes much earlier; nothing waits for all of it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// See the module's documentation.
pub(crate) struct Follower {
    pub(crate) following: Box<dyn Following>,
    /// What was told, as text.
    pub(crate) told: Vec<String>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) gaps: Vec<String>,
    pub(crate) age: Option<Duration>,
    pub(crate) position: FeedPosition,
}

impl Follower {
    pub(crate) async fn follow(feed: &dyn Feed, since: Option<FeedPosition>) -> Result<Self> {
        let following = feed.follow(since).await?;
        Ok(Self {
            following,
            told: Vec::new(),
            notices: Vec::new(),
            gaps: Vec::new(),
            age: None,
            position: FeedPosition::default(),
        })
    }

    /// As soon as it is noticed that nobody else follows.
    pub(crate) async fn follow_soon(feed: &dyn Feed, since: Option<FeedPosition>) -> Self {
        let following = async {
            loop {
                match Self::follow(feed, since).await {
                    Ok(follower) => return follower,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{error}"),
                }
            }
        };
        timeout(LONG, following).await.expect("nobody else follows at some time")
    }

    pub(crate) async fn next(&mut self) -> Result<FeedEvent> {
        let event = timeout(LONG, self.following.next()).await.expect("it comes at some time")?;
        let position = match &event {
            FeedEvent::Notices { notices, position, age } => {
                self.told.extend(notices.iter().map(said));
                self.notices.extend(notices.iter().cloned());
                self.age = *age;
                position
            }
            FeedEvent::Passed(position) => position,
            FeedEvent::Gap { reason, position } => {
                self.gaps.push(reason.clone());
                // It may begin again anywhere.
                self.position = *position;
                position
            }
        };
        assert!(!ONLY_GROWS || *position >= self.position, "it goes backwards");
        self.position = *position;
        Ok(event)
    }

    /// Listens until everything that is committed by now was told, and returns what was.
    pub(crate) async fn catch_up(&mut self, feed: &dyn Feed) -> Vec<String> {
        let end = feed.end().await.unwrap();
        while self.position < end {
            self.next().await.unwrap();
        }
        std::mem::take(&mut self.told)
    }

    /// Listens until this many notices were told.
    pub(crate) async fn hear(&mut self, count: usize) -> Vec<String> {
        while self.told.len() < count {
            self.next().await.unwrap();
        }
        std::mem::take(&mut self.told)
    }

    /// Whether nothing comes for a while.
    pub(crate) async fn is_idle(&mut self) -> bool {
        timeout(Duration::from_millis(100), self.following.next()).await.is_err()
    }

    pub(crate) fn acknowledge(&mut self) {
        self.following.acknowledge(self.position);
    }

    /// Why it can't be followed any more.
    pub(crate) async fn ended(&mut self) -> Error {
        loop {
            if let Err(error) = self.next().await {
                return error;
            }
        }
    }
}
