//! Whether the server is ready: which caches still have to show that their load works.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_core::sync::Mutex;

/// The caches that have not been prepared yet, each with the reason. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, String>>>);

impl Readiness {
    /// Waits for `cache`, for this reason; replaces an earlier reason.
    pub fn wait_for(&self, cache: &str, reason: impl Into<String>) {
        self.0.lock().insert(cache.to_owned(), reason.into());
    }

    /// `cache` is ready.
    pub fn ready(&self, cache: &str) {
        self.0.lock().remove(cache);
    }

    /// What is waited for, in a sentence; `None` when everything is ready.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let waiting = self.0.lock();
        let parts: Vec<_> =
            waiting.iter().map(|(cache, reason)| format!("cache {cache}: {reason}")).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
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
}
