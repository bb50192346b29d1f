//! A cache's hottest keys in the shared tier, where larders that start later find them.
//!
//! They stand there as an entry of a cache of its own, under the name of the cache that they are
//! of: the template on the first line, so that keys of another shape are never taken for these,
//! then a key on each. The last larder that saves wins.

use std::time::Duration;

use larder_core::{Key, KeyTemplate, Result, Value};
use larder_engine::{Cache, Engine, Lookup, Raw};

use super::lines;

/// What the cache is called in which they stand. No cache of a user can have this name.
const NAME: &str = "~hottest";
/// They are of use for so long.
const LASTS: Duration = Duration::from_secs(7 * 24 * 3600);
/// No more than this is written: a tier may take no larger values.
const TEXT_BYTES_MAX: usize = 512 << 10;

/// The hottest keys of all caches.
#[derive(Clone, Debug)]
pub(super) struct SharedKeys(Cache<Key, Value>);

impl SharedKeys {
    /// Those in the tier that this engine shares.
    ///
    /// # Errors
    ///
    /// `Config` when it shares none.
    pub(super) fn new(engine: &Engine) -> Result<Self> {
        let keys = Cache::builder(NAME).engine(engine).shared(Raw).max_staleness(LASTS);
        // They are read once.
        Ok(Self(keys.entries_max(16).build()?))
    }

    /// The first `max` keys that were saved of this cache; none if nobody saved any, or the tier
    /// doesn't answer.
    pub(super) async fn read(&self, cache: &str, template: &KeyTemplate, max: usize) -> Vec<Key> {
        let mut keys = Vec::new();
        let text = match self.0.lookup(&Key::from(cache)).await {
            Lookup::Hit(answer) => answer.value.map(|value| value.bytes).unwrap_or_default(),
            Lookup::Miss(ticket) => {
                ticket.give_back();
                return keys;
            }
        };
        let Some(list) = text.strip_prefix(header(template).as_bytes()) else { return keys };
        let read = lines::keys(list, template, |key| {
            keys.push(key);
            keys.len() < max
        });
        debug_assert!(read.is_ok(), "memory can be read");
        keys
    }

    /// Saves keys, in place of what was there. Returns how many.
    pub(super) async fn write(&self, cache: &str, template: &KeyTemplate, keys: &[Key]) -> usize {
        let mut text = header(template).into_bytes();
        let mut written = 0;
        for key in keys {
            if text.len() + key.as_bytes().len() >= TEXT_BYTES_MAX {
                break;
            }
            text.extend_from_slice(key.as_bytes());
            text.push(b'\n');
            written += 1;
        }
        let name = Key::from(cache);
        // What isn't saved now is saved the next time.
        if self.0.invalidate(&name).await.is_err() {
            return 0;
        }
        if let Lookup::Miss(ticket) = self.0.lookup(&name).await {
            // The process may be about to end.
            let _kept_or_not = ticket.fill_everywhere(Some(Value::raw(text))).await;
        }
        written
    }
}

fn header(template: &KeyTemplate) -> String {
    format!("larder-hot-keys 1 {}\n", template.text())
}
