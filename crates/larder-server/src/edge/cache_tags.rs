//! The tag of a whole cache, which the edge adds to what names a key of it.
//!
//! A response that has a key as its tag goes when the key is invalidated. A whole cache or a prefix
//! is invalidated without naming keys, in one step however many there are; so such a response has
//! the tag of the cache, too, and goes with it. A prefix drops what depends on any key of its
//! cache: more than it must, and never less.
//!
//! The tag is added where a response comes from the origin, as one line of `Cache-Tag` more, and
//! stays there: a CDN in front that keeps tags drops the response when the webhook names it.

use std::str::from_utf8;

use http::{HeaderMap, HeaderName, HeaderValue};
use larder_core::KeyTemplate;

use crate::config::CacheConfig;

const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// What depends on any key of a cache has this tag: the name of its section.
pub(crate) fn tag_of_cache(name: &str) -> String {
    format!("cache.{name}")
}

/// What the caches of responses are called, with the name of the edge behind it.
pub(super) const RESPONSES: &str = "edge.";

/// The tag of everything that depends on any key of a cache, where keys are tags. A cache of
/// responses has none: its keys are URLs.
pub(crate) fn tag_of_keys(cache: &str) -> Option<String> {
    (!cache.starts_with(RESPONSES)).then(|| tag_of_cache(cache))
}

/// The caches whose keys responses may name.
pub(super) struct CacheTags(Vec<(KeyTemplate, HeaderValue)>);

impl CacheTags {
    pub(super) fn of(caches: &[CacheConfig]) -> Self {
        Self::new(caches.iter().map(|cache| (cache.key.clone(), cache.name.as_str())))
    }

    fn new<'a>(caches: impl Iterator<Item = (KeyTemplate, &'a str)>) -> Self {
        let tagged = |(key, name)| {
            // The name of a section has letters, digits, `-` and `_`.
            let tag = HeaderValue::try_from(tag_of_cache(name)).ok()?;
            Some((key, tag))
        };
        Self(caches.filter_map(tagged).collect())
    }

    /// Adds the tag of each cache of which a key is named.
    pub(super) fn add(&self, headers: &mut HeaderMap) {
        for (template, tag) in &self.0 {
            let is_named = |word: &str| template.matches(word).is_ok();
            if words(headers).any(is_named) && !words(headers).any(|word| tag == word) {
                headers.append(CACHE_TAG, tag.clone());
            }
        }
    }
}

/// The tags that the fields name.
fn words(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines =
        |name| headers.get_all(name).iter().filter_map(|line| from_utf8(line.as_bytes()).ok());
    let tags = lines(CACHE_TAG).flat_map(|line| line.split(','));
    let keys = lines(SURROGATE_KEY).flat_map(|line| line.split([' ', '\t', ',']));
    tags.chain(keys).map(|word| word.trim_matches([' ', '\t'])).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `Cache-Tag` behind those that were sent.
    fn added(field: HeaderName, line: &'static str) -> Vec<String> {
        let template = |text| KeyTemplate::parse(text).unwrap();
        let caches =
            [("user:{id:int}", "user"), ("user:{id:int}:posts", "posts"), ("n:{t:text}", "n")];
        let caches = caches.map(|(key, name)| (template(key), name));
        let mut headers = HeaderMap::new();
        headers.append(field, HeaderValue::from_static(line));
        CacheTags::new(caches.into_iter()).add(&mut headers);
        let lines = headers.get_all(CACHE_TAG).iter().map(|line| line.to_str().unwrap().to_owned());
        lines.filter(|added| added != line).collect()
    }

    #[test]
    fn who_names_keys_gets_the_tags_of_their_caches() {
        for (line, expected) in [
            ("user:7", &["cache.user"][..]),
            ("page , user:7,user:8", &["cache.user"]),
            ("user:7, user:9:posts", &["cache.user", "cache.posts"]),
            ("n:a b", &["cache.n"]),
            ("user:7, cache.user", &[]),
            ("user:07, users, user:, ,", &[]),
        ] {
            assert_eq!(added(CACHE_TAG, line), expected, "{line}");
        }
        assert_eq!(added(SURROGATE_KEY, "page user:7  n:x"), ["cache.user", "cache.n"]);
        assert_eq!(added(HeaderName::from_static("etag"), "user:7"), [""; 0]);
    }
}
