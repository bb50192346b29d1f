//! `[cache.NAME.warm]` resolved: what a cache is filled with before anybody asks.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::cache::{CacheConfig, Known};
use super::document::{Document, Written};
use super::findings::{Findings, Reported};
use super::inner;
use super::options::warm as options;
use super::scope::Scope;

/// To warm what is gone after so short a time is hardly worth it.
const SHORT: Duration = Duration::from_secs(60);

/// What a cache is filled with before anybody asks. Files are relative to where larder is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmConfig {
    /// Which of [`Config::caches`](super::Config::caches).
    pub cache: usize,
    /// Where its hottest keys are saved for the next run.
    pub last_run: Option<PathBuf>,
    /// A file with a key on each line.
    pub log: Option<PathBuf>,
    /// A query for keys.
    pub query: Option<String>,
    /// How many keys are taken or saved at most.
    pub keys_max: usize,
    /// How many questions the source is asked at once.
    pub loads_max: Option<usize>,
    /// How many keys are loaded in a second at most.
    pub per_second: Option<NonZeroU32>,
    /// Whether the server is ready only when it is over.
    pub ready_waits: bool,
}

impl WarmConfig {
    /// Nothing but what other larders found hot, and the server is ready when that is held.
    pub(super) fn of_others(cache: usize) -> Self {
        const KEYS_MAX: usize = 10_000;
        Self {
            cache,
            last_run: None,
            log: None,
            query: None,
            keys_max: KEYS_MAX,
            loads_max: None,
            per_second: None,
            ready_waits: true,
        }
    }

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

    /// Those that were `resolved`, held against their `caches` and the `sources` of those.
    pub(super) fn check(
        resolved: Vec<(&Written, Result<Self, Reported>)>,
        caches: &[CacheConfig],
        sources: &[Known<'_>],
        findings: &mut Findings<'_>,
    ) -> Result<Vec<Self>, Reported> {
        let mut checked: Vec<Self> = Vec::new();
        let mut fault = None;
        for (written, warm) in resolved {
            let warm = match warm {
                Ok(warm) => warm,
                Err(reported) => {
                    fault = Some(reported);
                    continue;
                }
            };
            let same = |other: &Self| warm.last_run.is_some() && other.last_run == warm.last_run;
            if checked.iter().any(same) {
                fault = Some(findings.error(
                    &written.value(&options::LAST_RUN.about),
                    "two caches save their keys in one file",
                    "give each a file of its own",
                ));
            }
            if let (Some(query), Some(cache)) = (&warm.query, caches.get(warm.cache)) {
                let at = (written, &options::QUERY.about);
                let source = &sources[cache.source];
                if let Err(reported) = inner::check_query(at, query, cache, source, findings) {
                    fault = Some(reported);
                }
            }
            if let Some(cache) = caches.get(warm.cache)
                && cache.window.max_staleness < SHORT
            {
                findings.warning(
                    &written.at,
                    "what is loaded is gone again before most of it is asked for, as \
                     `max_staleness` of the cache says",
                    "leave it out, or promise less: a longer `max_staleness`",
                );
            }
            checked.push(warm);
        }
        fault.map_or(Ok(checked), Err)
    }

    fn resolve(
        written: &Written,
        cache: usize,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Self, Reported> {
        let last_run = scope.get(written, &options::LAST_RUN);
        let log = scope.get(written, &options::LOG);
        let query = scope.get(written, &options::QUERY);
        let keys_max = scope.or_default(written, &options::KEYS_MAX);
        let loads_max = scope.get(written, &options::LOADS_MAX);
        let per_second = scope.get(written, &options::PER_SECOND);
        let ready_waits = scope.or_default(written, &options::READY_WAITS);
        let (last_run, log, query) = (last_run?, log?, query?);
        if last_run.is_none() && log.is_none() && query.is_none() {
            return Err(scope.findings.error(
                &written.at,
                format!("{} doesn't say what is loaded", written.header()),
                "give it `last_run`, `log` or `query`",
            ));
        }
        let per_second = per_second?.and_then(|keys| u32::try_from(keys.0).ok());
        Ok(Self {
            cache,
            last_run: last_run.map(|line| line.0.into()),
            log: log.map(|line| line.0.into()),
            query: query.map(|line| line.0),
            keys_max: keys_max?.0,
            loads_max: loads_max?.map(|loads| loads.0),
            per_second: per_second.and_then(NonZeroU32::new),
            ready_waits: ready_waits?,
        })
    }
}

impl fmt::Display for WarmConfig {
    /// In words, as a report says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sources = Vec::new();
        sources.extend(
            self.last_run
                .as_ref()
                .map(|file| format!("the last run's hottest keys ({})", file.display())),
        );
        sources.extend(self.log.as_ref().map(|file| format!("the keys in {}", file.display())));
        sources.extend(self.query.as_ref().map(|_| "the keys of a query".to_owned()));
        write!(
            f,
            "at the start it is filled, as far as there is free room, with {}; {} keys at most",
            sources.join(", then "),
            self.keys_max
        )?;
        if self.ready_waits { f.write_str("; the server is ready after that") } else { Ok(()) }
    }
}
