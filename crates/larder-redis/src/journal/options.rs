//! What a user says of a journal in Redis, and its bounds.

use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};

use super::RedisJournal;
use super::opening;
use crate::options::RedisOptions;

/// The longest record that can be allowed, in bytes.
const RECORD_BYTES_MAX: usize = 8 << 20;

/// The longest name of a journal, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What each record costs in Redis beside its bytes, about.
pub(super) const OVERHEAD_BYTES: u64 = 64;

/// How a journal in Redis is opened, and its bounds.
///
/// ```no_run
/// use larder_core::Journal;
/// use larder_redis::{RedisJournalOptions, RedisOptions};
///
/// # async fn example() -> larder_core::Result<()> {
/// let redis = RedisOptions::new("redis+sentinel://one:26379,two:26379/mymaster");
/// let journal = RedisJournalOptions::new(redis, "shop-1").replicas(1).open().await?;
/// if let Some(words) = journal.recovery().doubt() {
///     eprintln!("{words}");
/// }
/// let number = journal.append(b"paid 7")?;
/// journal.durable(number).await?;
/// journal.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a journal is opened with `open`"]
pub struct RedisJournalOptions {
    pub(super) redis: RedisOptions,
    pub(super) settings: Settings,
}

/// What the parts of a journal are told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) who: String,
    pub(super) replicas: u32,
    pub(super) silence: Duration,
    pub(super) answer_within: Duration,
    pub(super) bytes_max: u64,
    pub(super) waiting_bytes_max: u64,
    pub(super) record_bytes_max: usize,
    pub(super) waiters_max: usize,
    pub(super) accept_loss: bool,
}

impl RedisJournalOptions {
    /// The journal of this name, which is made if it isn't there. A name belongs to one process at
    /// a time; give each that may run at the same time one of its own, and whoever is to take its
    /// place the same. It has at most 64 letters, digits, `-`, `_`, `.` and `:`.
    pub fn new(redis: RedisOptions, name: impl Into<String>) -> Self {
        let settings = Settings {
            name: name.into(),
            who: format!("process {}", std::process::id()),
            replicas: 0,
            silence: Duration::from_secs(10),
            answer_within: Duration::from_secs(10),
            bytes_max: 256 << 20,
            waiting_bytes_max: 32 << 20,
            record_bytes_max: RECORD_BYTES_MAX,
            waiters_max: 65_536,
            accept_loss: false,
        };
        Self { redis, settings }
    }

    /// What another process is told of who has the journal, such as the name of this machine;
    /// `process` and its number by default.
    pub fn known_as(mut self, who: impl Into<String>) -> Self {
        self.settings.who = who.into();
        self
    }

    /// A record counts as durable when so many replicas have it, too; none by default. Where there
    /// are fewer, nothing is acknowledged. On a cluster those of the node that has the journal.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.settings.replicas = replicas;
        self
    }

    /// Another process that has the journal must give no sign of life for so long before it is
    /// taken from it; 10 s by default. It gives one at least four times in that time, so all who
    /// use a journal say the same. Zero takes it at once: say so if you know that the other has
    /// ended. That only keeps two who were given the same name from each other; that no two write
    /// at once doesn't rest on it.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.settings.silence = silence;
        self
    }

    /// How long a record may wait until Redis has it; 10 s by default. After that whoever waits is
    /// told so, and further records are shed until Redis answers again. What was appended goes
    /// there all the same. Closing it waits for so long at most, too.
    pub fn answer_within(mut self, time: Duration) -> Self {
        self.settings.answer_within = time;
        self
    }

    /// How much it holds at most, in bytes: in Redis, and once more in this process; 256 MiB by
    /// default. Each record counts for 64 bytes more than it has. Beyond it a record is shed.
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.settings.bytes_max = bytes;
        self
    }

    /// How much of that may be on its way to Redis, in bytes; 32 MiB by default. Beyond it a record
    /// is shed.
    pub fn waiting_bytes_max(mut self, bytes: u64) -> Self {
        self.settings.waiting_bytes_max = bytes;
        self
    }

    /// The longest record, in bytes; 8 MiB by default and at most. A longer one is refused.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.record_bytes_max = bytes;
        self
    }

    /// Goes on with what is left although records were removed from Redis. Say so after reading
    /// which ones ([`RecordsLost`](crate::RecordsLost)): what is lost then is lost for good.
    pub fn accept_loss(mut self, accept: bool) -> Self {
        self.settings.accept_loss = accept;
        self
    }

    /// Takes the journal over and reads all of it.
    ///
    /// Whoever had it can append nothing from then on. If it gave a sign of life within the
    /// [silence](Self::silence), that is waited for once, and if there is another one meanwhile,
    /// it is refused.
    ///
    /// # Errors
    ///
    /// `Config` when the options contradict each other, or no Redis can have such a URL; when the
    /// server evicts what has no end. `Refused` when another process has it and lives, with who it
    /// is; when records were removed, with a [`RecordsLost`](crate::RecordsLost) inside.
    /// `SharedDown` when Redis can't be reached. `Internal` when the system gives no thread.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the journal taken over by nobody, until it is opened again.
    pub async fn open(self) -> Result<RedisJournal> {
        self.settings.check()?;
        opening::open(self.redis, self.settings).await
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        let spelt = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(spelt)
        {
            return refuse(format!(
                "a journal has a name of at most {NAME_BYTES_MAX} letters, digits, -, _, . and :"
            ));
        }
        if self.record_bytes_max > RECORD_BYTES_MAX {
            return refuse(format!("a record has at most {RECORD_BYTES_MAX} bytes"));
        }
        let record = self.record_bytes_max as u64 + OVERHEAD_BYTES;
        if self.waiting_bytes_max < record {
            return refuse(format!("{record} bytes must be allowed to wait: the longest record"));
        }
        if self.bytes_max < self.waiting_bytes_max {
            return refuse(format!(
                "a journal of {} bytes is too small for {} that may wait",
                self.bytes_max, self.waiting_bytes_max
            ));
        }
        if self.answer_within.is_zero() {
            return refuse("no time to answer within, in which nothing can be done".to_owned());
        }
        Ok(())
    }

    /// How often a sign of life is given when there is nothing else to say.
    pub(super) fn beat_every(&self) -> Duration {
        let often = Duration::from_millis(2_500);
        if self.silence.is_zero() { often } else { (self.silence / 4).min(often) }
    }
}
