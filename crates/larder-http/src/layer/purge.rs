//! What is invalidated, by a purge or by the response to an unsafe request.

use http::{HeaderMap, Method, StatusCode, Uri};
use larder_core::{Error, ErrorKind, Key, Result};
use larder_engine::{Invalidated, Invalidation};

use super::key;
use super::searches::{all_struck, key_of_list};
use super::store::Store;
use super::tags;
use crate::invalidated;

/// What a [`purge`](super::ResponseCache::purge) invalidates.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purge {
    /// The responses to an absolute URI, all variants of it, and those to all URIs of its path that
    /// answer several queries (No-Vary-Search).
    Url(Uri),
    /// Everything that has one of these tags, in every cache of the engine: `Cache-Tag` and
    /// `Surrogate-Key` name the same tags as other caches do.
    Tags(Vec<Box<str>>),
    /// The responses to all URIs that begin with this text, scheme and host in lower case:
    /// `https://example.org/assets/`. It looks at every entry; where a tag can be used, use a tag.
    Prefix(Box<str>),
    /// Everything that this cache holds.
    All,
}

impl Purge {
    /// Everything that has this tag.
    #[must_use]
    pub fn tag(tag: impl Into<Box<str>>) -> Self {
        Self::Tags(vec![tag.into()])
    }
}

impl Store {
    pub(super) async fn purge(&self, what: &Purge, how: Invalidation) -> Result<Invalidated> {
        let cache = &self.cache;
        let drops = how == Invalidation::Drop;
        match what {
            Purge::Url(uri) => {
                let key = key::of_uri(uri, &self.selection.query).ok_or_else(|| {
                    let message = format!(
                        "{uri} can't be purged: name the whole URI, with scheme and host, as the \
                         responses were asked for"
                    );
                    Error::new(ErrorKind::BadKey, message)
                })?;
                // Variants are found through this entry alone, and what stands for other queries
                // as well through that of the path.
                let keys = all_struck(vec![key]);
                match how {
                    Invalidation::Drop => cache.invalidate_many(&keys).await,
                    Invalidation::MarkStale => cache.mark_many_stale(&keys).await,
                }
            }
            Purge::Tags(tags) if drops => cache.invalidate_tags(tags).await,
            Purge::Tags(tags) => cache.mark_tags_stale(tags).await,
            Purge::Prefix(prefix) => {
                // What stands for several queries has only one of them in its key.
                let list = key_of_list(prefix.as_bytes()).filter(|_| prefix.contains('?'));
                // All of it is done here before anything is waited for, and elsewhere in this
                // order, so it is enough to wait for the last.
                let of_list = cache.invalidate_here(list.as_slice(), how);
                let of_cut = key::prefix_of_cut(prefix)
                    .map_or(Ok(0), |prefix| cache.invalidate_prefix_here(&prefix, how));
                let all = match how {
                    Invalidation::Drop => cache.invalidate_prefix(prefix).await?,
                    Invalidation::MarkStale => cache.mark_prefix_stale(prefix).await?,
                };
                Ok(Invalidated { entries: of_list? + of_cut? + all.entries, ..all })
            }
            Purge::All if drops => cache.invalidate_all().await,
            Purge::All => cache.mark_all_stale().await,
        }
    }

    /// What the response to a request that may have changed something invalidates (RFC 9111
    /// section 4.4, RFC 9875 section 3): it is marked stale, so that it is validated. When this
    /// returns it is done in this process, and handed over for the others.
    pub(super) fn strike(
        &self,
        method: &Method,
        key: &[u8],
        status: StatusCode,
        headers: &HeaderMap,
    ) {
        let changed = status.is_success() || status.is_redirection();
        if method.is_safe() || !changed {
            return;
        }
        let mut keys = vec![Key::new(key)];
        if let Some(target) = std::str::from_utf8(key).ok().and_then(|uri| uri.parse().ok()) {
            for uri in invalidated(method, &target, status, headers) {
                let key = key::of_uri(&uri, &self.selection.query);
                keys.extend(key.filter(|key| *key != keys[0]));
            }
        }
        // A key that has no text is in no tier.
        let _ = self.cache.invalidate_here(&all_struck(keys), Invalidation::MarkStale);
        let origin = key::origin(key);
        match tags::invalidated(method, headers, origin) {
            Some(groups) if groups.is_empty() => {}
            Some(groups) => {
                self.cache.engine().invalidate_tags_here(&groups, Invalidation::MarkStale);
            }
            None => {
                // Too many to tell: all that the origin has.
                let origin = format!("{}/", String::from_utf8_lossy(origin));
                let _ = self.cache.invalidate_prefix_here(&origin, Invalidation::MarkStale);
            }
        }
    }
}
