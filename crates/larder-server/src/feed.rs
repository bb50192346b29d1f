//! The feeds of a server: what tells of the changes of a source, and what those touch.
//!
//! Which tables are followed, and what a change of them touches, only the database knows; so that
//! is [planned](SourceFeed::plan) when it answers. Until then nothing is followed, and entries are
//! as old as their cache allows.

mod debezium;
mod followed;
mod plan;
mod planned;
mod route;

use std::sync::Arc;
use std::time::Duration;

use larder_core::feed::{FeedEvent, FeedPosition, Following};
use larder_core::{Error, ErrorKind, Result};
use larder_core::{Key, Value};
use larder_engine::feeding::{FeedBounds, FeedStanding, Feeding, Route as _, Touched};
use larder_engine::{CacheBuilder, Engine};
use larder_feed::debezium::http::HttpIntake;
use larder_sql::Database;

use crate::config::{CacheConfig, Config, FeedConfig, RecordsUrl, SourceConfig};
use plan::Covered;
pub use plan::Told;
use planned::{Planned, PlannedFeed};

/// How often it is looked at how a feed stands, to tell what has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The feed of one source, and the caches that it covers. Clones are the same.
#[derive(Clone, Debug)]
pub struct SourceFeed {
    planned: Arc<Planned>,
    feeding: Feeding,
}

impl SourceFeed {
    /// The feed of each source that has one and whose changes concern a cache. `databases` are
    /// those of the sources.
    #[must_use]
    pub fn all<'d>(
        config: &Config,
        databases: impl IntoIterator<Item = &'d Database>,
    ) -> Vec<Self> {
        let mut feeds = Self::declared(config, databases);
        feeds.retain(|feed| !feed.planned.covered.is_empty());
        feeds
    }

    /// The feed of each source that has one, also where no cache is left that it would cover.
    #[must_use]
    pub fn declared<'d>(
        config: &Config,
        databases: impl IntoIterator<Item = &'d Database>,
    ) -> Vec<Self> {
        let sources = config.sources.iter().enumerate().zip(databases);
        let feed = |((at, source), database): ((usize, &SourceConfig), &Database)| {
            let of_source = config.caches.iter().filter(|cache| cache.source == at);
            let covered: Vec<Covered> = of_source.map(Covered::new).collect();
            let feed = source.feed.clone()?;
            Some(Self::new(feed, source, database, covered))
        };
        sources.filter_map(feed).collect()
    }

    fn new(
        feed: FeedConfig,
        source: &SourceConfig,
        database: &Database,
        covered: Vec<Covered>,
    ) -> Self {
        let planned = Arc::new(Planned::new(feed, source, database, covered));
        let as_feed = Arc::new(PlannedFeed(Arc::clone(&planned)));
        let feeding = Feeding::with(source.name.as_str(), as_feed, FeedBounds::default());
        Self { planned, feeding }
    }

    /// What its source is called.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.planned.source.name
    }

    /// `builder`'s cache is covered, if it is one of those.
    pub fn cover(
        &self,
        cache: &CacheConfig,
        builder: CacheBuilder<Key, Value>,
    ) -> CacheBuilder<Key, Value> {
        match self.planned.covered.iter().find(|covered| covered.is(cache)) {
            Some(covered) => builder.feed(&self.feeding, covered.route.clone()),
            None => builder,
        }
    }

    /// Asks the database what the caches read and how those tables stand.
    ///
    /// # Errors
    ///
    /// `Config`, with what to do, when a cache can't be covered. `SourceDown` when the database
    /// can't be asked now.
    pub async fn plan(&self) -> Result<Vec<Told>> {
        self.planned.plan().await.map(|plan| plan.told().to_vec())
    }

    /// What should be done about it in the database, each in a sentence.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan).
    pub async fn warnings(&self) -> Result<Vec<String>> {
        self.planned.plan().await.map(|plan| plan.warnings().to_vec())
    }

    /// Prepares the database, so that it can be followed.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan), and `Config` when the database refuses.
    pub async fn install(&self) -> Result<()> {
        self.planned.plan().await?.followed.install().await
    }

    /// How it stands in the database, in words.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan).
    pub async fn status(&self) -> Result<String> {
        self.planned.plan().await?.followed.status().await
    }

    /// Takes away what was made for it in the database, which goes by its name: what the caches
    /// read may be gone, or the caches.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the database can't be asked now, and `Config` when it refuses.
    pub async fn remove(&self) -> Result<()> {
        self.planned.remove().await
    }

    /// Where the requests go that Debezium posts here; `None` when it posts none.
    #[must_use]
    pub fn intake(&self) -> Option<&HttpIntake> {
        let debezium = self.planned.feed.debezium.as_ref()?;
        matches!(debezium.from, RecordsUrl::Http).then_some(&self.planned.intake)
    }

    /// Whether it covers this cache.
    #[must_use]
    pub fn covers(&self, cache: &CacheConfig) -> bool {
        self.planned.covered.iter().any(|covered| covered.is(cache))
    }

    /// Where the log ends now, as an [observer](Self::observe) passes it.
    ///
    /// # Errors
    ///
    /// `SourceDown` when the database can't be asked, or nobody observes.
    pub async fn observed_end(&self) -> Result<FeedPosition> {
        let observed = self.planned.observed.lock().await.clone();
        let nobody = || Error::new(ErrorKind::SourceDown, "nobody watches the changes");
        observed.ok_or_else(nobody)?.end().await
    }

    /// Watches the changes beside whoever follows them, from now on. One at a time can.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan), `Config` where nobody can, and `Refused` while somebody else
    /// watches them.
    pub async fn observe(&self) -> Result<Observer> {
        let plan = self.planned.plan().await?;
        let observer = plan.followed.observer()?;
        let following = observer.follow(None).await?;
        *self.planned.observed.lock().await = Some(observer);
        Ok(Observer { planned: Arc::clone(&self.planned), following })
    }

    /// Takes away what the database keeps for who has watched.
    pub async fn forget_observer(&self) {
        if let Some(plan) = self.planned.known().await {
            plan.followed.forget_observer().await;
        }
    }

    /// Begins to follow it, or to wait until nobody else does.
    ///
    /// # Errors
    ///
    /// `Config` when it can't be.
    pub fn start(&self, engine: &Engine) -> Result<()> {
        self.feeding.start(engine)
    }

    /// How it stands in this process.
    #[must_use]
    pub fn standing(&self, engine: &Engine) -> FeedStanding {
        self.feeding.standing(engine)
    }
}

/// The changes, as somebody sees them who applies none.
pub struct Observer {
    planned: Arc<Planned>,
    following: Box<dyn Following>,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Everything before it was seen.
    pub position: FeedPosition,
    /// The keys that changes touched, each with its cache. What touches more isn't among them.
    pub touched: Vec<(String, Key)>,
}

impl Observer {
    /// What comes next.
    ///
    /// # Errors
    ///
    /// Why nothing comes any more: observe again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Observed> {
        let (notices, position) = match self.following.next().await? {
            FeedEvent::Notices { notices, position, .. } => (notices, position),
            FeedEvent::Passed(position) | FeedEvent::Gap { position, .. } => (Vec::new(), position),
        };
        self.following.acknowledge(position);
        let mut touched = Vec::new();
        for covered in &self.planned.covered {
            for notice in &notices {
                let keys = named(covered.route.touched(notice));
                touched.extend(keys.into_iter().map(|key| (covered.name().to_owned(), key)));
            }
        }
        Ok(Observed { position, touched })
    }
}

/// The keys that something names.
fn named(touched: Touched<Key>) -> Vec<Key> {
    match touched {
        Touched::Keys(keys) => keys,
        Touched::Several(all) => all.into_iter().flat_map(named).collect(),
        Touched::Nothing | Touched::Tags(_) | Touched::Everything => Vec::new(),
    }
}

/// Tells what becomes of the feeds, as long as it is polled.
pub(crate) async fn tell(feeds: &[SourceFeed], engine: &Engine) {
    let mut told: Vec<FeedStanding> = feeds.iter().map(|feed| feed.standing(engine)).collect();
    for (feed, now) in feeds.iter().zip(&told) {
        tell_change(feed.source(), None, now);
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for (feed, told) in feeds.iter().zip(&mut told) {
            let now = feed.standing(engine);
            tell_change(feed.source(), Some(told), &now);
            *told = now;
        }
    }
}

fn tell_change(source: &str, before: Option<&FeedStanding>, now: &FeedStanding) {
    let followed = before.is_some_and(|before| before.follows);
    if now.follows && !followed {
        tracing::info!(source, "this process follows the feed");
    } else if followed && !now.follows {
        tracing::warn!(source, "this process doesn't follow the feed any more");
    }
    if now.gaps > before.map_or(0, |before| before.gaps) {
        let reason = now.last_gap.as_deref().unwrap_or_default();
        tracing::warn!(source, "the feed begins again, and what it covers is dropped: {reason}");
    }
    if before.is_some_and(|before| before.horizon_age.is_some()) != now.horizon_age.is_some() {
        match now.horizon_age {
            Some(_) => tracing::info!(source, "the feed vouches for what is held"),
            None => tracing::warn!(source, "the feed vouches for nothing that is held"),
        }
    }
    let failure = now.last_failure.as_ref().map(Error::chain);
    let told = before.and_then(|before| before.last_failure.as_ref()).map(Error::chain);
    // Somebody else follows it, as it should be.
    let is_refused = now.last_failure.as_ref().is_some_and(|it| it.kind() == ErrorKind::Refused);
    if is_refused {
        return;
    }
    if let Some(failure) = failure.filter(|failure| told.as_ref() != Some(failure)) {
        tracing::warn!(source, "the feed: {failure}");
    }
}
