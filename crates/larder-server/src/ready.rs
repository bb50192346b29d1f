//! Whether the server is ready: which caches still have to show that their load works, which are
//! to be warm first, and whether the journal is replayed.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_core::sync::Mutex;

/// What is waited for. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// The caches that have not been prepared yet, each with the reason.
    unprepared: BTreeMap<String, String>,
    /// The caches that are not warm yet, each with how far they are.
    cold: BTreeMap<String, String>,
    /// How far the replay of the journal is, while it isn't over.
    replaying: Option<String>,
}

impl Readiness {
    /// Waits for `cache`, for this reason; replaces an earlier reason.
    pub fn wait_for(&self, cache: &str, reason: impl Into<String>) {
        self.0.lock().unprepared.insert(cache.to_owned(), reason.into());
    }

    /// `cache` is ready.
    pub fn ready(&self, cache: &str) {
        self.0.lock().unprepared.remove(cache);
    }

    /// Waits for `cache` to be warm, which is so far; replaces what was said earlier.
    pub fn warming(&self, cache: &str, progress: impl Into<String>) {
        self.0.lock().cold.insert(cache.to_owned(), progress.into());
    }

    /// `cache` is as warm as it will be.
    pub fn warm(&self, cache: &str) {
        self.0.lock().cold.remove(cache);
    }

    /// Waits for the journal to be replayed, which is so far; replaces what was said earlier.
    pub fn replaying(&self, progress: impl Into<String>) {
        self.0.lock().replaying = Some(progress.into());
    }

    /// The journal is replayed.
    pub fn replayed(&self) {
        self.0.lock().replaying = None;
    }

    /// Whether the load of `cache` has not been prepared yet.
    #[must_use]
    pub fn is_unprepared(&self, cache: &str) -> bool {
        self.0.lock().unprepared.contains_key(cache)
    }

    /// What has not been prepared, in a sentence; `None` when everything has.
    #[must_use]
    pub fn unprepared(&self) -> Option<String> {
        join(sentences(self.0.lock().unprepared.iter()))
    }

    /// What is waited for, in a sentence; `None` when everything is ready.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let waiting = self.0.lock();
        let journal = waiting.replaying.iter().map(|progress| format!("journal: {progress}"));
        join(journal.chain(sentences(waiting.unprepared.iter().chain(&waiting.cold))))
    }
}

fn sentences<'w>(
    waiting: impl Iterator<Item = (&'w String, &'w String)>,
) -> impl Iterator<Item = String> {
    waiting.map(|(cache, reason)| format!("cache {cache}: {reason}"))
}

fn join(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_nothing_is_waited_for_any_more() {
        let readiness = Readiness::default();
        readiness.wait_for("user", "not asked yet");
        readiness.wait_for("user", "the source shop is down");
        assert_eq!(readiness.missing().unwrap(), "cache user: the source shop is down");
        readiness.ready("user");
        assert_eq!(readiness.missing(), None);
    }

    #[test]
    fn it_waits_for_caches_to_be_warm_which_are_prepared_already() {
        let readiness = Readiness::default();
        readiness.warming("user", "warming, 0 keys");
        readiness.warming("user", "warming, 10 keys");
        assert_eq!(readiness.unprepared(), None);
        assert_eq!(readiness.missing().unwrap(), "cache user: warming, 10 keys");
        readiness.replaying("replaying, 0 of 7 records read");
        let missing = readiness.missing().unwrap();
        assert!(missing.starts_with("journal: replaying, 0 of 7 records read; cache user: "));
        assert_eq!(readiness.unprepared(), None);
        readiness.replayed();
        readiness.wait_for("item", "down");
        assert!(readiness.is_unprepared("item") && !readiness.is_unprepared("user"));
        readiness.ready("user");
        assert_eq!(readiness.missing().unwrap(), "cache item: down; cache user: warming, 10 keys");
        readiness.warm("user");
        readiness.ready("item");
        assert_eq!(readiness.missing(), None);
    }
}
