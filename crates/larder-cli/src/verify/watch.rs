//! The changes that a database tells, and the keys that they touch.
//!
//! They are watched beside the servers, which never hear of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use larder_core::feed::FeedPosition;
use larder_core::{Error, Key};
use larder_server::feed::{Observer, SourceFeed};
use tokio::sync::watch;
use tokio::time::timeout;

/// A key that a change touched.
#[derive(Clone, Debug)]
pub(super) struct Touch {
    /// Its cache.
    pub(super) cache: String,
    pub(super) key: Key,
    /// When it was told.
    pub(super) at: Instant,
}

/// What is told of the changes.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Touch(Touch),
    /// Anything may have been changed meanwhile.
    Lost,
}

/// How far the changes of one database were told here.
#[derive(Clone)]
pub(super) struct Progress {
    feed: SourceFeed,
    told: watch::Receiver<Option<FeedPosition>>,
}

impl Progress {
    /// Waits until everything that was committed before now was told; `false` when it isn't in
    /// time.
    pub(super) async fn catch_up(&mut self, within: Duration) -> bool {
        let caught = async {
            let end = self.feed.observed_end().await.ok()?;
            self.told.wait_for(|told| told.is_some_and(|told| told >= end)).await.ok()?;
            Some(())
        };
        matches!(timeout(within, caught).await, Ok(Some(())))
    }
}

/// Tells `touches` of every key that is touched, until nobody listens any more. What there is no
/// room for is counted in `skipped`.
///
/// # Errors
///
/// Why it can't be followed at all. Later failures are followed again.
pub(super) async fn watch(
    feed: &SourceFeed,
    touches: SyncSender<Told>,
    skipped: Arc<AtomicU64>,
) -> Result<Progress, Error> {
    let observer = feed.observe().await?;
    let (telling, told) = watch::channel(None);
    tokio::spawn(tell(feed.clone(), observer, touches, skipped, telling));
    Ok(Progress { feed: feed.clone(), told })
}

async fn tell(
    feed: SourceFeed,
    mut observer: Observer,
    touches: SyncSender<Told>,
    skipped: Arc<AtomicU64>,
    telling: watch::Sender<Option<FeedPosition>>,
) {
    const AGAIN: Duration = Duration::from_secs(1);
    loop {
        let observed = match observer.next().await {
            Ok(observed) => observed,
            Err(error) => {
                eprintln!("larder: the changes of {}: {}", feed.source(), error.chain());
                // Until it is followed again nobody knows what was changed meanwhile.
                telling.send_replace(None);
                observer = loop {
                    tokio::time::sleep(AGAIN).await;
                    match feed.observe().await {
                        Ok(observer) => break observer,
                        Err(_) if telling.is_closed() => return,
                        Err(_) => {}
                    }
                };
                while let Err(TrySendError::Full(_)) = touches.try_send(Told::Lost) {
                    tokio::time::sleep(AGAIN).await;
                }
                continue;
            }
        };
        for (cache, key) in observed.touched {
            let touch = Touch { cache, key, at: Instant::now() };
            match touches.try_send(Told::Touch(touch)) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => drop(skipped.fetch_add(1, Ordering::Relaxed)),
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
        telling.send_replace(Some(observed.position));
    }
}
