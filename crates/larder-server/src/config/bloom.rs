//! `[cache.NAME.bloom]` resolved: which keys surely don't exist.

use std::fmt;

use larder_core::Changes;
use larder_engine::filter::FilterOptions;

use super::cache::{CacheConfig, Known};
use super::document::{Document, Written};
use super::findings::{Findings, Reported};
use super::inner;
use super::options::bloom as options;
use super::scope::Scope;

/// What a cache's filter is built from, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct BloomConfig {
    /// Which of [`Config::caches`](super::Config::caches).
    pub cache: usize,
    /// The query for all keys.
    pub keys: String,
    /// How it is built.
    pub options: FilterOptions,
}

impl BloomConfig {
    /// What all of `document` say; `declared` are the sections of all caches. What a query is, only
    /// [`check`](Self::check) looks at.
    pub(super) fn resolve_all<'d>(
        document: &'d Document,
        declared: &[&Written],
        scope: &mut Scope<'_, '_>,
    ) -> Vec<(&'d Written, Result<Self, Reported>)> {
        inner::sections(document, &options::SECTION, declared)
            .map(|(written, cache)| (written, Self::resolve(written, cache, scope)))
            .collect()
    }

    /// Those that were `resolved`, held against their `caches` and the sources of those.
    pub(super) fn check(
        resolved: Vec<(&Written, Result<Self, Reported>)>,
        caches: &[CacheConfig],
        sources: &[Known<'_>],
        findings: &mut Findings<'_>,
    ) -> Result<Vec<Self>, Reported> {
        let mut checked = Vec::new();
        let mut fault = None;
        for (written, bloom) in resolved {
            let bloom = match bloom {
                Ok(bloom) => bloom,
                Err(reported) => {
                    fault = Some(reported);
                    continue;
                }
            };
            if let Some(cache) = caches.get(bloom.cache) {
                let source = &sources[cache.source];
                let at = (written, &options::KEYS.about);
                if let Err(reported) = inner::check_query(at, &bloom.keys, cache, source, findings)
                {
                    fault = Some(reported);
                }
                if source.changes == Some(Changes::Unknown) && !source.is_fed {
                    fault = Some(findings.error(
                        &written.at,
                        "a filter denies a row that was inserted behind its back until it is \
                         built again, however short `max_staleness` is",
                        "set `changes = \"announced\"` in the source if every insert is announced \
                         by `LARDER.INVALIDATE KEYS`, `\"static\"` if there are none, give the \
                         source a `feed`, or leave the filter out",
                    ));
                }
            }
            checked.push(bloom);
        }
        fault.map_or(Ok(checked), Err)
    }

    fn resolve(
        written: &Written,
        cache: usize,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Self, Reported> {
        let keys = scope.required(written, &options::KEYS);
        let false_positives = scope.or_default(written, &options::FALSE_POSITIVES);
        let bytes_max = scope.or_default(written, &options::BYTES_MAX);
        let rebuild_after = scope.or_default(written, &options::REBUILD_AFTER);
        let options = FilterOptions {
            false_positives: false_positives?.0,
            bytes_max: usize::try_from(bytes_max?.0).unwrap_or(usize::MAX),
            rebuild_after: rebuild_after?,
            ..FilterOptions::default()
        };
        if let Err(error) = options.check() {
            return Err(scope.findings.error(
                &written.at,
                error.to_string(),
                "for instance `false_positives = 0.01` and `rebuild_after = \"24h\"`",
            ));
        }
        Ok(Self { cache, keys: keys?.0, options })
    }
}

impl fmt::Display for BloomConfig {
    /// In words, as a report says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let through = (1.0 / self.options.false_positives).round();
        write!(
            f,
            "keys that surely don't exist are answered without asking the source; about one in \
             {through} of them gets through. An insert must be announced by its key"
        )
    }
}
