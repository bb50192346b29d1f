//! What fails while it is read, and how it is made to.
//!
//! It knows the servers, and neither load nor judgement.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::stage::Stage;

/// How long all is well before each strike, and after the last one.
const REST: Duration = Duration::from_secs(1);
/// How long something is away: longer than the promise, so that whoever goes on as before breaks
/// it.
const AWAY: Duration = Duration::from_millis(2_500);
/// How often a slot is tried to be dropped: who follows it takes it again at once.
const DROPS: u32 = 50;

/// What fails, again and again, with a second of rest in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// What sends the log stands still, and nobody is told.
    FeedPaused,
    /// The slot is taken away from who follows it.
    SlotDropped,
    /// Postgres is stopped and started again.
    PostgresRestarted,
    /// Redis is killed and comes back empty.
    RedisKilled,
    /// Redis stands still; connections stay open.
    RedisPaused,
    /// The larder that follows stands still, and then the other one.
    LarderPaused,
    /// The larder that follows loses its connections to Redis, and gets none.
    RedisCut,
    /// It loses those to Postgres.
    PostgresCut,
    /// Nothing passes between it and Postgres, and nobody is told.
    PostgresStalled,
}

impl Fault {
    pub(super) const ALL: [Self; 9] = [
        Self::FeedPaused,
        Self::SlotDropped,
        Self::PostgresRestarted,
        Self::RedisKilled,
        Self::RedisPaused,
        Self::LarderPaused,
        Self::RedisCut,
        Self::PostgresCut,
        Self::PostgresStalled,
    ];

    /// Strikes for so long, and once at least. All is well again then, and has been for a second.
    pub(super) fn strike_for(self, lasts: Duration, stage: &Stage<'_>) {
        let until = Instant::now() + lasts;
        let mut strikes = 0;
        loop {
            sleep(REST);
            if Instant::now() >= until && strikes > 0 {
                return;
            }
            self.strike(stage, strikes);
            strikes += 1;
        }
    }

    fn strike(self, stage: &Stage<'_>, strike: usize) {
        let Stage { larders, redis, to_redis, to_postgres, postgres } = stage;
        match self {
            Self::FeedPaused => postgres.senders_paused(|| sleep(AWAY)),
            Self::SlotDropped => drop_slots(stage),
            Self::PostgresRestarted => postgres.restart(),
            Self::RedisKilled => {
                redis.kill();
                sleep(AWAY);
                redis.restart();
            }
            Self::RedisPaused => {
                redis.pause();
                sleep(AWAY);
                redis.resume();
            }
            Self::LarderPaused => {
                let larder = &larders[strike % larders.len()];
                larder.pause();
                sleep(AWAY);
                larder.resume();
            }
            Self::RedisCut => {
                to_redis.cut();
                sleep(AWAY);
                to_redis.heal();
            }
            Self::PostgresCut => {
                to_postgres.cut();
                sleep(AWAY);
                to_postgres.heal();
            }
            Self::PostgresStalled => {
                to_postgres.stall();
                sleep(AWAY);
                to_postgres.heal();
            }
        }
    }
}

/// Whoever follows is thrown out first.
fn drop_slots(stage: &Stage<'_>) {
    for _ in 0..DROPS {
        stage.postgres.psql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
              WHERE backend_type = 'walsender'",
        );
        let dropped = stage.postgres.psql(
            "SELECT slot_name, pg_drop_replication_slot(slot_name) FROM pg_replication_slots
              WHERE NOT active",
        );
        if !dropped.is_empty() {
            return;
        }
    }
    panic!("the slot is held by somebody all the time");
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::FeedPaused => "feed-paused",
            Self::SlotDropped => "slot-dropped",
            Self::PostgresRestarted => "postgres-restarted",
            Self::RedisKilled => "redis-killed",
            Self::RedisPaused => "redis-paused",
            Self::LarderPaused => "larder-paused",
            Self::RedisCut => "redis-cut",
            Self::PostgresCut => "postgres-cut",
            Self::PostgresStalled => "postgres-stalled",
        })
    }
}
