//! What a start asks of others: the databases, whether they take the loads, the writes and the
//! feeds; the shared tier, whether it is there.
//!
//! What one of them will never accept ends the start. Who doesn't answer is waited for, while the
//! server serves what it can.

use std::time::Duration;

use larder_core::{Error, ErrorKind, Result, SharedTier};
use larder_engine::Engine;
use larder_sql::Warning;

use crate::compose::Question;
use crate::config::{Beside, SharedConfig, Tier};
use crate::feed::SourceFeed;
use crate::ready::Readiness;

/// How often a load that could not be prepared is tried again.
const PREPARE_AGAIN: Duration = Duration::from_secs(1);

/// Joins the larders that share a tier, and says what the server's eviction policy means for them.
pub(super) async fn share(shared: &SharedConfig, engine: &Engine) -> Result<()> {
    let (tier, sharing) = shared.open()?;
    engine.share(sharing).await?;
    let answered = match &tier {
        Tier::Redis(tier) => tier.eviction_policy().await.map(|policy| {
            tracing::info!("the shared tier, when it is full: {policy}");
        }),
        Tier::Memcached(tier) => tier.probe().await,
    };
    if let Err(error) = answered {
        tracing::warn!(
            "the shared tier doesn't answer; reads do without it until it does: {}",
            error.chain()
        );
    }
    if let Beside::Nats(nats) = &shared.bus
        && let Err(error) = nats.probe(shared).await
    {
        tracing::warn!(
            "the bus doesn't answer; until it does only age bounds what is held: {}",
            error.chain()
        );
    }
    Ok(())
}

/// Prepares one load, and the statements that write. Only what the database will never accept is
/// an error; what it can't say now is waited for.
pub(super) async fn prepare(question: &Question, readiness: &Readiness) -> Result<()> {
    let loads = question.prepare_load().await.map_err(|error| ("load", error));
    let prepared = match loads {
        Ok(()) => question.prepare_writes().await.map_err(|error| ("write", error)),
        failed => failed,
    };
    match prepared {
        Ok(()) => {
            readiness.ready(&question.cache);
            Ok(())
        }
        Err((what, error)) if error.kind() == ErrorKind::Config => {
            readiness.wait_for(&question.cache, error.chain());
            let message = format!("the {what} of [cache.{}] can't work", question.cache);
            Err(Error::new(ErrorKind::Config, message).caused_by(error))
        }
        Err((_, error)) => {
            readiness.wait_for(&question.cache, error.chain());
            Ok(())
        }
    }
}

/// Prepares the loads that could not be prepared at the start, until all are. Never returns.
pub(super) async fn prepare_all(questions: &[Question], readiness: &Readiness) {
    let mut told = readiness.unprepared();
    while let Some(missing) = readiness.unprepared() {
        if told.as_ref() == Some(&missing) {
            tracing::warn!("not ready: {missing}");
            told = None;
        }
        tokio::time::sleep(PREPARE_AGAIN).await;
        for question in questions {
            if let Err(error) = prepare(question, readiness).await {
                tracing::error!("{}", error.chain());
            }
        }
    }
    tracing::info!("ready");
    std::future::pending::<()>().await;
}

/// Plans a feed. One whose database doesn't answer is planned when it does: until then its entries
/// are as old as their caches allow.
pub(super) async fn plan(feed: &SourceFeed) -> Result<()> {
    let source = feed.source();
    match feed.plan().await {
        Ok(told) => {
            for what in feed.warnings().await? {
                tracing::warn!(source, "{what}");
            }
            for told in told {
                let cache = &told.cache;
                told.routes.iter().for_each(|route| tracing::info!(source, cache, "{route}"));
                told.warnings.iter().for_each(|what| tracing::warn!(source, cache, "{what}"));
            }
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Config => {
            let message = format!("the feed of [source.{source}] can't be followed");
            Err(Error::new(ErrorKind::Config, message).caused_by(error))
        }
        Err(error) => {
            tracing::warn!(source, "the feed waits for its database: {}", error.chain());
            Ok(())
        }
    }
}

impl Question {
    async fn prepare_load(&self) -> Result<()> {
        let report = self.load.prepare().await?;
        self.config.check_counter(&report.columns)?;
        warn(&self.cache, report.warnings);
        Ok(())
    }

    async fn prepare_writes(&self) -> Result<()> {
        let Some(sink) = &self.sink else { return Ok(()) };
        let report = sink.prepare().await?;
        // Elsewhere nobody looks at what a statement returns.
        let is_told = self.config.tells_what_is_unsaid();
        warn(&self.cache, report.warnings.into_iter().filter(is_told));
        Ok(())
    }
}

fn warn(cache: &str, warnings: impl IntoIterator<Item = Warning>) {
    for warning in warnings {
        tracing::warn!(cache, "{warning}");
    }
}
