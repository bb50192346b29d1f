//! What can fail in a fleet, and how it is made to.
//!
//! It knows the servers, and neither load nor judgement.

use std::fmt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::stage::Stage;
use crate::{Reply, RespClient};

/// How long all is well before each strike, and after the last one.
const REST: Duration = Duration::from_secs(1);
/// How long something is away: longer than the promise, so that whoever goes on as before breaks
/// it.
const AWAY: Duration = Duration::from_secs(3);
/// How long a larder is paused.
const PAUSED: Duration = Duration::from_secs(4);
/// How long writes go on between what Redis saves and its end.
const UNSAVED: Duration = Duration::from_millis(500);
/// By how much Redis's memory is limited to less than what it uses.
const BYTES_LACKING: u64 = 16 << 10;

/// What fails, again and again, with a second of rest in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// Redis is killed and comes back empty three seconds later.
    RedisLost,
    /// Redis is killed and comes back three seconds later with what it held half a second before
    /// its end: invalidations that were done are undone.
    RedisRestored,
    /// Redis stands still for this long; connections stay open.
    RedisPaused(Duration),
    /// Redis forgets all that it holds.
    RedisFlushed,
    /// Redis forgets all scripts.
    ScriptsFlushed,
    /// Redis has too little memory for three seconds, and evicts whatever it likes: entries,
    /// leases, marks and announcements.
    RedisFull,
    /// The first larder loses its connections to Redis, and gets none for three seconds.
    LarderCut,
    /// Nothing passes between the first larder and Redis for three seconds, and nobody is told.
    LarderStalled,
    /// The last larder stands still for four seconds.
    LarderPaused,
    /// The last larder stands still for four seconds, and the announcements that it hasn't seen
    /// are gone when it goes on.
    AnnouncementsTrimmed,
    /// The last larder is killed and started again.
    LarderKilled,
}

impl Fault {
    /// Each of them, with Redis paused for half a second and for three seconds.
    pub const ALL: [Self; 13] = [
        Self::Nothing,
        Self::RedisLost,
        Self::RedisRestored,
        Self::RedisPaused(Duration::from_millis(500)),
        Self::RedisPaused(Duration::from_secs(3)),
        Self::RedisFlushed,
        Self::ScriptsFlushed,
        Self::RedisFull,
        Self::LarderCut,
        Self::LarderStalled,
        Self::LarderPaused,
        Self::AnnouncementsTrimmed,
        Self::LarderKilled,
    ];

    /// Whether Redis must be able to save what it holds.
    pub(super) fn saves(self) -> bool {
        self == Self::RedisRestored
    }

    /// Strikes for so long, and once at least, and returns how often it has; nothing never does.
    /// All is well again then, and has been for a second.
    pub(super) fn strike_for(self, lasts: Duration, stage: &Stage) -> u32 {
        if self == Self::Nothing {
            sleep(lasts);
            return 0;
        }
        let deadline = Instant::now() + lasts;
        let mut strikes = 0;
        loop {
            sleep(REST);
            if Instant::now() >= deadline && strikes > 0 {
                return strikes;
            }
            self.strike(stage);
            strikes += 1;
        }
    }

    fn strike(self, stage: &Stage) {
        let Stage { larders: _, proxy, redis, postgres: _ } = stage;
        let victim = stage.victim();
        match self {
            Self::Nothing => {}
            Self::RedisLost => {
                redis.kill();
                sleep(AWAY);
                redis.restart();
            }
            Self::RedisRestored => {
                redis.save();
                sleep(UNSAVED);
                redis.kill();
                sleep(AWAY);
                redis.restart();
            }
            Self::RedisPaused(paused) => {
                redis.pause();
                sleep(paused);
                redis.resume();
            }
            Self::RedisFlushed => redis.flushall(),
            Self::ScriptsFlushed => tell(stage, &["SCRIPT", "FLUSH"]),
            Self::RedisFull => {
                let bytes = used_bytes(stage).saturating_sub(BYTES_LACKING).to_string();
                tell(stage, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
                tell(stage, &["CONFIG", "SET", "maxmemory", &bytes]);
                sleep(AWAY);
                tell(stage, &["CONFIG", "SET", "maxmemory", "0"]);
            }
            Self::LarderCut => {
                proxy.cut();
                sleep(AWAY);
                proxy.heal();
            }
            Self::LarderStalled => {
                proxy.stall();
                sleep(AWAY);
                proxy.heal();
            }
            Self::LarderPaused => {
                victim.pause();
                sleep(PAUSED);
                victim.resume();
            }
            Self::AnnouncementsTrimmed => {
                victim.pause();
                sleep(PAUSED);
                ask(stage, &["XTRIM", Stage::ANNOUNCEMENTS, "MAXLEN", "0"]);
                victim.resume();
            }
            Self::LarderKilled => {
                victim.kill();
                victim.restart();
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::RedisLost => "redis-lost",
            Self::RedisRestored => "redis-restored",
            Self::RedisPaused(paused) => return write!(f, "redis-paused-{paused:?}"),
            Self::RedisFlushed => "redis-flushed",
            Self::ScriptsFlushed => "scripts-flushed",
            Self::RedisFull => "redis-full",
            Self::LarderCut => "larder-cut",
            Self::LarderStalled => "larder-stalled",
            Self::LarderPaused => "larder-paused",
            Self::AnnouncementsTrimmed => "announcements-trimmed",
            Self::LarderKilled => "larder-killed",
        })
    }
}

/// Asks Redis itself, on a connection of its own.
fn ask(stage: &Stage, command: &[&str]) -> Reply {
    let reply = RespClient::connect(("127.0.0.1", stage.redis.port())).command(command);
    assert!(!matches!(reply, Reply::Error(_)), "{command:?}: {reply:?}");
    reply
}

fn tell(stage: &Stage, command: &[&str]) {
    assert_eq!(ask(stage, command).text(), "OK", "{command:?}");
}

/// How many bytes Redis uses.
fn used_bytes(stage: &Stage) -> u64 {
    let memory = ask(stage, &["INFO", "memory"]);
    let used = memory.text().lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.and_then(|bytes| bytes.trim().parse().ok()).expect("Redis says how much it uses")
}
