//! A feed whose plan is made when its database answers, and again when a table was altered.
//!
//! A view that a load goes through may be made anew, over other tables: whoever followed only those
//! of before would vouch for what nobody tells. So the database is asked again by whom it is
//! followed, when that begins and whenever something was altered, before that is told. What is
//! planned otherwise then begins with a gap; what can't be planned isn't followed, and the horizon
//! stands still.

use std::sync::Arc;

use larder_core::feed::{FeedEvent, FeedPosition, Following, Notice};
use larder_core::sync::{AtomicBool, Ordering};
use larder_core::{BoxFuture, Error, ErrorKind, Feed, Result};
use larder_feed::debezium::http::{HttpIntake, HttpIntakeOptions};
use larder_sql::Database;
use tokio::sync::Mutex;

use super::followed::Followed;
use super::plan::{Covered, Plan};
use crate::config::{FeedConfig, FeedKind, SourceConfig};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) feed: FeedConfig,
    pub(super) source: SourceConfig,
    database: Database,
    pub(super) covered: Vec<Covered>,
    plan: Mutex<Option<Arc<Plan>>>,
    /// What is watched beside who follows, once somebody has begun to.
    pub(super) observed: Mutex<Option<Arc<dyn Feed>>>,
    /// What was applied before was applied by another plan.
    is_changed: AtomicBool,
    /// Where Debezium's requests go, if they are posted here.
    pub(super) intake: HttpIntake,
}

impl Planned {
    pub(super) fn new(
        feed: FeedConfig,
        source: &SourceConfig,
        database: &Database,
        covered: Vec<Covered>,
    ) -> Self {
        Self {
            feed,
            source: source.clone(),
            database: database.clone(),
            covered,
            plan: Mutex::default(),
            observed: Mutex::default(),
            is_changed: AtomicBool::new(false),
            intake: HttpIntake::new(HttpIntakeOptions::default()),
        }
    }

    /// The plan, which is made if there is none.
    pub(super) fn plan(&self) -> BoxFuture<'_, Result<Arc<Plan>>> {
        Box::pin(async {
            let mut plan = self.plan.lock().await;
            if let Some(plan) = &*plan {
                return Ok(Arc::clone(plan));
            }
            let made = Arc::new(self.make().await?);
            made.set_routes(&self.covered);
            *plan = Some(Arc::clone(&made));
            Ok(made)
        })
    }

    /// The plan, if there is one.
    pub(super) async fn known(&self) -> Option<Arc<Plan>> {
        self.plan.lock().await.clone()
    }

    /// Takes away what was made in the database, whatever the caches read.
    pub(super) async fn remove(&self) -> Result<()> {
        let Self { feed, source, database, intake, .. } = self;
        if matches!(feed.kind, FeedKind::Binlog | FeedKind::Debezium) {
            // Nothing is made for them.
            return Ok(());
        }
        // What was made is found by the feed's name, so any table's does here.
        let tables = [source.name.clone()];
        let followed = Followed::new(feed, (source.url.expose(), database), &tables, intake)?;
        followed.remove().await
    }

    fn make(&self) -> BoxFuture<'_, Result<Plan>> {
        let Self { feed, source, database, covered, intake, .. } = self;
        Box::pin(Plan::make(feed, source, database, covered, intake))
    }

    /// Asks the database again. An error, if it says something else than before: what was told
    /// since isn't known.
    async fn plan_again(&self) -> Result<()> {
        let mut plan = self.plan.lock().await;
        let made = self.make().await;
        if let (Ok(made), Some(known)) = (&made, &*plan)
            && made.is_as(known)
        {
            return Ok(());
        }
        self.is_changed.store(true, Ordering::Release);
        *plan = None;
        let made = Arc::new(made?);
        made.set_routes(&self.covered);
        *plan = Some(made);
        let message = "the caches read other tables than before: the feed begins again";
        Err(Error::new(ErrorKind::SourceDown, message))
    }
}

/// It as a feed.
#[derive(Debug)]
pub(super) struct PlannedFeed(pub(super) Arc<Planned>);

impl Feed for PlannedFeed {
    fn name(&self) -> &str {
        &self.0.source.name
    }

    fn follow(&self, since: Option<FeedPosition>) -> BoxFuture<'_, Result<Box<dyn Following>>> {
        Box::pin(async move {
            let plan = self.0.plan().await?;
            let since = since.filter(|_| !self.0.is_changed.load(Ordering::Acquire));
            let following = plan.followed.feed().follow(since).await?;
            // Only who follows asks: others try again and again.
            self.0.plan_again().await?;
            self.0.is_changed.store(false, Ordering::Release);
            let planned = Arc::clone(&self.0);
            Ok(Box::new(PlannedFollowing { planned, following, next: None }) as Box<dyn Following>)
        })
    }

    fn end(&self) -> BoxFuture<'_, Result<FeedPosition>> {
        Box::pin(async move {
            let unplanned = || Error::new(ErrorKind::SourceDown, "the feed isn't followed yet");
            self.0.known().await.ok_or_else(unplanned)?.followed.feed().end().await
        })
    }
}

struct PlannedFollowing {
    planned: Arc<Planned>,
    following: Box<dyn Following>,
    /// What came and wasn't told yet.
    next: Option<FeedEvent>,
}

impl Following for PlannedFollowing {
    fn next(&mut self) -> BoxFuture<'_, Result<FeedEvent>> {
        Box::pin(async move {
            if self.next.is_none() {
                self.next = Some(self.following.next().await?);
            }
            if self.next.as_ref().is_some_and(is_altered) {
                self.planned.plan_again().await?;
            }
            let lost = || Error::new(ErrorKind::Internal, "what was told is gone");
            self.next.take().ok_or_else(lost)
        })
    }

    fn acknowledge(&mut self, position: FeedPosition) {
        self.following.acknowledge(position);
    }
}

fn is_altered(event: &FeedEvent) -> bool {
    match event {
        FeedEvent::Notices { notices, .. } => {
            notices.iter().any(|notice| matches!(notice, Notice::Altered(_)))
        }
        FeedEvent::Passed(_) | FeedEvent::Gap { .. } => false,
    }
}
