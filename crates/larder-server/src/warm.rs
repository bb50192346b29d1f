//! Warming: caches are filled before anybody asks, and their hottest keys are saved for the next
//! run.
//!
//! What is loaded, how fast and how far is the engine's: see [`larder_engine::Warm`]. Here is
//! where the keys come from: what other larders saved in the shared tier, a file of the last run, a
//! log, a query. None of them keeps the server
//! from starting once it was found sound, and nothing here is on the way of a request.

mod hot_file;
mod lines;
mod lists;
mod shared;
mod tally;

use std::fmt;
use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use larder_core::sync::Mutex;
use larder_core::{Error, ErrorKind, Key, KeyTemplate, Result, Value};
use larder_engine::{Cache, Engine, WarmEnd, WarmReport, Warming};
use larder_sql::SqlKeys;

use crate::compose::Composition;
use crate::config::{Config, WarmConfig};
use crate::ready::Readiness;
use lists::Lists;
use shared::SharedKeys;
use tally::Tally;

/// So many keys a larder tells those that start later.
const SHARED_KEYS_MAX: usize = 10_000;
/// How often the hottest keys are saved.
const SAVE_EVERY: Duration = Duration::from_secs(10 * 60);
/// How often it is looked how far a warming is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often that is told in the log.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The keys of `template` that stand in `file`, one on a line, up to `max`: those first that are
/// there most often, and of equals those that come first. So a log of requests will do, or a
/// list. Twice as many keys are held at most; beyond that, keys that are there only once or twice
/// may be missed. What is no key of the template is left out.
///
/// # Errors
///
/// When the file can't be read.
pub fn keys_in(file: impl BufRead, template: &KeyTemplate, max: usize) -> io::Result<Vec<Key>> {
    let mut tally = Tally::new(max);
    lines::keys(file, template, |key| {
        tally.add(key);
        true
    })?;
    Ok(tally.finish())
}

/// The warmings of a server's caches. Clones are the same.
#[derive(Clone)]
pub struct Warmings(Arc<[Arc<One>]>);

/// That of one cache.
struct One {
    cache: Cache<Key, Value>,
    key: KeyTemplate,
    config: WarmConfig,
    query: Option<Arc<SqlKeys>>,
    /// Where larders tell each other their hottest keys, if it keeps entries in a shared tier.
    shared: Option<SharedKeys>,
    /// Once it was begun.
    warming: Mutex<Option<Warming>>,
}

impl Warmings {
    /// Those that `config` describes, of the caches in `composition`. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// `Config` when a query can't be one, or there is no folder to save keys in.
    pub fn new(config: &Config, composition: &Composition, engine: &Engine) -> Result<Self> {
        let declared = composition.service.keyspace().declared();
        let shares = config.caches.iter().any(|cache| cache.sharing.in_tier);
        let shared = shares.then(|| SharedKeys::new(engine)).transpose()?;
        let mut all = Vec::new();
        for warm in &config.all_warm() {
            let cache = &config.caches[warm.cache];
            let Some(declared) = declared.iter().find(|one| one.cache.name() == cache.name) else {
                continue;
            };
            let database = &composition.sources[cache.source].database;
            let query = warm.query.as_deref();
            let query = query.map(|sql| SqlKeys::new(database, &cache.key, sql)).transpose()?;
            if let Some(file) = &warm.last_run {
                check_folder(file, &cache.name)?;
            }
            all.push(Arc::new(One {
                cache: declared.cache.clone(),
                key: cache.key.clone(),
                config: warm.clone(),
                query: query.map(Arc::new),
                shared: shared.clone().filter(|_| cache.sharing.in_tier),
                warming: Mutex::default(),
            }));
        }
        Ok(Self(all.into()))
    }

    /// Asks the databases whether they accept the queries; one that is down may say so later.
    /// From here on `readiness` waits for those that are to be waited for.
    ///
    /// # Errors
    ///
    /// `Config` when a database refuses a query.
    pub async fn prepare(&self, readiness: &Readiness) -> Result<()> {
        for one in &*self.0 {
            let name = one.cache.name();
            if let Some(query) = &one.query
                && let Err(error) = query.prepare().await
                && error.kind() == ErrorKind::Config
            {
                let message = format!("the query of [cache.{name}.warm] can't work");
                return Err(Error::new(ErrorKind::Config, message).caused_by(error));
            }
            if one.config.ready_waits {
                readiness.warming(name, "not warm yet");
            }
        }
        Ok(())
    }

    /// Warms all caches, and saves their hottest keys now and then. Never returns.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the warmings; what is held stays.
    pub async fn run(&self, readiness: &Readiness) {
        let all = join_all(self.0.iter().map(|one| one.run(readiness)));
        tokio::join!(all, self.save_again_and_again());
    }

    async fn save_again_and_again(&self) {
        loop {
            tokio::time::sleep(SAVE_EVERY).await;
            self.save().await;
        }
    }

    /// Saves the hottest keys of the caches that are to have theirs saved. A cache whose warming
    /// isn't over, or that holds nothing, leaves what was saved before.
    pub async fn save(&self) {
        for one in &*self.0 {
            one.share().await;
        }
        for one in self.0.iter().filter(|one| one.config.last_run.is_some()) {
            let one = Arc::clone(one);
            let name = one.cache.name().to_owned();
            // It looks at every entry and writes a file.
            match tokio::task::spawn_blocking(move || one.save()).await {
                Ok(Ok(Some(keys))) => tracing::debug!(cache = name, keys, "hottest keys saved"),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(cache = name, "the hottest keys can't be saved: {error}");
                }
                Err(error) => tracing::error!(cache = name, "saving the hottest keys: {error}"),
            }
        }
    }

    /// How far those are that were begun, each with its cache's name.
    pub fn progress(&self) -> impl Iterator<Item = (&str, WarmReport)> {
        self.0.iter().filter_map(|one| {
            let warming = one.warming.lock().clone()?;
            Some((one.cache.name(), warming.progress()))
        })
    }
}

impl fmt::Debug for Warmings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|one| &one.config)).finish()
    }
}

impl One {
    async fn run(&self, readiness: &Readiness) {
        let name = self.cache.name();
        while readiness.is_unprepared(name) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let hot = match &self.shared {
            Some(shared) => shared.read(name, &self.key, self.config.keys_max).await,
            None => Vec::new(),
        };
        let lists = Lists::new(&self.key, hot, &self.config, self.query.clone());
        let mut warm = self.cache.warm(lists);
        if let Some(loads_max) = self.config.loads_max {
            warm = warm.loads_max(loads_max);
        }
        if let Some(per_second) = self.config.per_second {
            warm = warm.per_second(per_second);
        }
        let warming = warm.warming();
        *self.warming.lock() = Some(warming.clone());
        tracing::info!(cache = name, "warming");
        let mut run = std::pin::pin!(warm.run());
        let mut told = tokio::time::Instant::now();
        let report = loop {
            tokio::select! {
                report = &mut run => break report,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let progress = Shown(&warming.progress()).to_string();
            if told.elapsed() >= TELL_EVERY {
                told = tokio::time::Instant::now();
                tracing::info!(cache = name, "warming: {progress}");
            }
            if self.config.ready_waits {
                readiness.warming(name, format!("warming: {progress}"));
            }
        };
        match report.error() {
            Some(error) => {
                tracing::warn!(
                    cache = name,
                    "warming failed, {}: {}",
                    Shown(&report),
                    error.chain()
                );
            }
            None => {
                let end = report.end.as_ref().map_or("", |end| end.as_str());
                tracing::info!(cache = name, end, "warm: {}", Shown(&report));
            }
        }
        readiness.warm(name);
    }

    /// Whether what it holds is worth saving: during a warming it may be only the first part of
    /// what was saved before.
    fn is_warm(&self) -> bool {
        let end = self.warming.lock().as_ref().and_then(|warming| warming.progress().end);
        !matches!(end, None | Some(WarmEnd::Stopped))
    }

    /// Saves its hottest keys in the shared tier, for larders that start later.
    async fn share(self: &Arc<Self>) {
        let Some(shared) = self.shared.as_ref().filter(|_| self.is_warm()) else { return };
        let one = Arc::clone(self);
        // It looks at every entry.
        let hottest = tokio::task::spawn_blocking(move || one.cache.hottest(SHARED_KEYS_MAX));
        let keys = hottest.await.unwrap_or_default();
        if !keys.is_empty() {
            let keys = shared.write(self.cache.name(), &self.key, &keys).await;
            tracing::debug!(cache = self.cache.name(), keys, "hottest keys told to other larders");
        }
    }

    /// Saves its hottest keys, and returns how many; `None` if it left what there was.
    fn save(&self) -> io::Result<Option<usize>> {
        let Some(file) = self.config.last_run.as_ref().filter(|_| self.is_warm()) else {
            return Ok(None);
        };
        let keys = self.cache.hottest(self.config.keys_max);
        if keys.is_empty() {
            return Ok(None);
        }
        hot_file::write(file, &self.key, &keys)?;
        Ok(Some(keys.len()))
    }
}

/// How far a warming is, in words.
struct Shown<'a>(&'a WarmReport);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WarmReport { seen, of, loaded, held, no_room, failed, .. } = self.0;
        write!(f, "{seen}")?;
        if let Some(of) = of {
            write!(f, " of {of}")?;
        }
        write!(f, " keys seen, {loaded} loaded, {held} held already, ")?;
        write!(f, "{no_room} without room, {failed} failed")
    }
}

/// A folder that isn't there would be noticed only after 10 minutes.
fn check_folder(file: &Path, cache: &str) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_none_or(Path::is_dir) && !file.is_dir() {
        return Ok(());
    }
    let message = format!(
        "can't save the hottest keys in {}: name a file in a folder that is there as `last_run` \
         in [cache.{cache}.warm]",
        file.display()
    );
    Err(Error::new(ErrorKind::Config, message))
}
