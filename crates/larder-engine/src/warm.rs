//! Warming: a memory tier is filled before it is asked, from any list of keys.
//!
//! Keys take the way of a read that misses: they join or lead flights, whose loads ask the source
//! in batches, in their turn behind its guard, and fill memory under their fence, through the
//! policy's admission. Only the look into memory is another one, so that a warming is no use of an
//! entry and counts neither hits nor misses; its questions count as loads like all others.
//!
//! It is modest. It asks a tenth of what the source is asked at once, pauses while the source
//! fails, and fills free room only.
//!
//! # Free room
//!
//! Whether a key has room is judged by what an entry takes in the mean, with a margin of one more,
//! in the part of the memory tier that the key belongs to, and before the load. What turns out
//! heavier may still cost another entry its place; and where a tier is shared, others may take the
//! room meanwhile. A refresh of what is held and stale is treated alike.
//!
//! | part | idea |
//! |---|---|
//! | `warm` | what a warming can be told |
//! | `warm/run` | which keys are loaded, when, and when no more |
//! | `warm/reading` | the keys that are still to be looked at |
//! | `warm/room` | whether an entry can be held without another one leaving |
//! | `warm/progress` | how far it is |
//! | `warm/hottest` | the keys that the next run begins with |

mod hottest;
mod progress;
mod reading;
mod room;
mod run;

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use larder_core::{CacheKey, KeyList};

use crate::cache::Cache;
use crate::keys::AnyKeyList;

use self::run::Run;

pub use progress::{WarmEnd, WarmReport, Warming};

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// A warming of this cache from `list`, whose first keys matter most.
    ///
    /// ```
    /// use larder_core::{LoadContext, LoadError, Source, keys_of};
    /// use larder_engine::{Cache, WarmEnd};
    /// use std::time::Duration;
    ///
    /// struct Squares;
    ///
    /// impl Source<u64, u64> for Squares {
    ///     async fn load(&self, key: &u64, _: &mut LoadContext) -> Result<Option<u64>, LoadError> {
    ///         Ok(Some(key * key))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder_core::Result<()> {
    /// let minute = Duration::from_secs(60);
    /// let squares = Cache::builder("square").max_staleness(minute).source(Squares).build()?;
    /// let report = squares.warm(keys_of(0..100)).run().await;
    /// assert!(matches!(report.end, Some(WarmEnd::Listed)));
    /// assert_eq!((report.seen, report.loaded), (100, 100));
    /// assert_eq!(squares.peek(&9).and_then(|held| held.value), Some(81));
    /// # Ok(()) }
    /// ```
    pub fn warm(&self, list: impl KeyList<K>) -> Warm<K, V> {
        Warm {
            cache: self.clone(),
            list: AnyKeyList::new(list),
            loads_max: None,
            per_second: None,
            keys_max: u64::MAX,
            deadline: None,
            warming: Warming::default(),
        }
    }
}

/// A warming that is to be [run](Self::run); see [`Cache::warm`].
#[must_use = "a warming does nothing until it is run"]
pub struct Warm<K, V> {
    cache: Cache<K, V>,
    list: AnyKeyList<K>,
    loads_max: Option<usize>,
    per_second: Option<NonZeroU32>,
    keys_max: u64,
    deadline: Option<Duration>,
    warming: Warming,
}

impl<K: CacheKey, V: Clone + Send + Sync + 'static> Warm<K, V> {
    /// Asks the source so many questions at once, at least one and at most what its guard lets
    /// through; by default a tenth of that.
    pub fn loads_max(mut self, questions: usize) -> Self {
        self.loads_max = Some(questions);
        self
    }

    /// Loads at most so many keys in a second, on average; by default as many as come.
    pub fn per_second(mut self, keys: NonZeroU32) -> Self {
        self.per_second = Some(keys);
        self
    }

    /// Takes at most so many keys from the list; by default all.
    pub fn keys_max(mut self, keys: u64) -> Self {
        self.keys_max = keys;
        self
    }

    /// Ends after so long, whatever is left; by default it goes on to the end of the list.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// To see how far it is, and to stop it.
    #[must_use]
    pub fn warming(&self) -> Warming {
        self.warming.clone()
    }

    /// Loads what is not held and fresh and has free room, until the list or the room ends.
    ///
    /// While the source is down or sheds loads it pauses, for 1 s at first and twice as long each
    /// time, up to 30 s, and asks again; after eight such pauses in a row it gives up. What a key
    /// fails with otherwise is that key's, unless there are nothing but such failures. Nothing of
    /// this is an error of the call: the report says how it ended.
    ///
    /// It holds a page of 1,024 keys, and the keys of the questions that are under way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the warming; loads that are under way go on, and what they bring
    /// is kept.
    pub async fn run(self) -> WarmReport {
        /// Says that it was stopped, if nobody said anything else.
        struct Dropped<'a>(&'a Warming);

        impl Drop for Dropped<'_> {
            fn drop(&mut self) {
                self.0.end(WarmEnd::Stopped);
            }
        }

        let dropped = Dropped(&self.warming);
        let end = Run::new(&self).fill().await;
        self.warming.end(end);
        drop(dropped);
        self.warming.progress()
    }
}

impl<K, V> fmt::Debug for Warm<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warm").field("cache", &self.cache).finish_non_exhaustive()
    }
}
