//! `[cache.NAME]` resolved: what is cached, and what is promised about it.

use std::time::Duration;

use larder_core::template::{TagTemplate, nearest};
use larder_core::{Changes, Error, ErrorKind, KeyTemplate, Window};
use larder_engine::{Reload, WriteMode};
use larder_sql::{Column, Database, Format, Load, Rows, Warning};

use super::document::Written;
use super::findings::{Findings, Reported};
use super::invalidate::Invalidate;
use super::journal::JournalConfig;
use super::memory::{MemoryConfig, Whole};
use super::options::cache as options;
use super::patience::Patience;
use super::scope::Scope;
use super::shared::SharedConfig;
use super::sharing::CacheSharing;
use super::write::{Beside, CacheWrites, Given};
use super::{memory, patience, sharing, statement, tags, unknown, window};

/// What is cached, and what is promised about it.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// `NAME` of `[cache.NAME]`.
    pub name: String,
    /// What its keys look like. No key of another cache does.
    pub key: KeyTemplate,
    /// The statement that loads a key. Each of its parameters stands in the key.
    pub load: String,
    /// Which of [`Config::sources`](super::Config::sources) it loads from.
    pub source: usize,
    /// How many rows make a value.
    pub rows: Rows,
    /// What a row becomes.
    pub format: Format,
    /// The promise, and the windows within it.
    pub window: Window,
    /// How long one read may wait.
    pub deadline: Duration,
    /// How long one read waits before it takes what may stand in.
    pub wait: Duration,
    /// How long a load of one key waits for others, to go together; `None`: each goes alone.
    pub gather: Option<Duration>,
    /// Whether an entry is loaded again when its key is invalidated.
    pub reload: Reload,
    /// What its entries depend on.
    pub tags: Vec<TagTemplate>,
    /// The part of memory that it has for itself; `None` when it shares
    /// [`Config::common`](super::Config::common).
    pub memory: Option<MemoryConfig>,
    /// What it shares with other larders.
    pub sharing: CacheSharing,
    /// How it is written; `None` when it takes no writes.
    pub writes: Option<CacheWrites>,
    /// What changes of tables touch, where that isn't seen from its load.
    pub invalidate: Vec<Invalidate>,
}

/// What a cache's section depends on.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// All sources, in their order.
    pub(super) sources: &'a [Known<'a>],
    /// What `[memory]` says.
    pub(super) whole: Result<Whole, Reported>,
    /// What `[shared]` says.
    pub(super) shared: &'a Result<Option<SharedConfig>, Reported>,
    /// What `[journal]` says.
    pub(super) journal: &'a Result<Option<JournalConfig>, Reported>,
}

/// A source that a cache may name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'s> {
    pub(super) name: &'s str,
    /// `None` when something about the source was reported.
    pub(super) database: Option<&'s Database>,
    /// Who may change its data; `None` as above.
    pub(super) changes: Option<Changes>,
    /// Whether a feed tells of its changes.
    pub(super) is_fed: bool,
}

impl CacheConfig {
    /// The question that a key asks its database.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            key: self.key.clone(),
            sql: self.load.clone(),
            rows: self.rows,
            format: self.format,
            tags: self.tags.clone(),
        }
    }

    /// Whether its writes are acknowledged before the database has them.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.writes.as_ref().is_some_and(CacheWrites::is_behind)
    }

    /// Which warnings of its sink are worth telling: that what a statement returns isn't the value
    /// matters only where it would be kept.
    pub fn tells_what_is_unsaid(&self) -> impl Fn(&Warning) -> bool {
        let is_kept = self.writes.as_ref().is_some_and(|writes| writes.mode == WriteMode::Through);
        move |warning| is_kept || !matches!(warning, Warning::Unsaid { .. })
    }

    /// Whether `counter` is one of the columns that the database says its load has.
    ///
    /// # Errors
    ///
    /// `Config` when it isn't, with the nearest one.
    pub fn check_counter(&self, columns: &[Column]) -> larder_core::Result<()> {
        let counter = self.writes.as_ref().and_then(|writes| writes.counter.as_deref());
        let Some(counter) = counter.filter(|_| self.format == Format::Json) else { return Ok(()) };
        let names = || columns.iter().map(|column| column.name.as_str());
        if names().any(|name| name == counter) {
            return Ok(());
        }
        let cure = match nearest(counter, names()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
        };
        let message = format!("counter = \"{counter}\" is no column of load: {cure}");
        Err(Error::new(ErrorKind::Config, message))
    }

    pub(super) fn resolve(
        written: &Written,
        key: Result<KeyTemplate, Reported>,
        around: Around<'_>,
        scope: &mut Scope<'_, '_>,
    ) -> Result<Self, Reported> {
        let Around { sources, whole, shared, journal } = around;
        let load = scope.required(written, &options::LOAD);
        let source = source(written, sources, scope);
        let rows = scope.or_default(written, &options::ROWS);
        let format = scope.get(written, &options::COLUMN);
        let changes = source.as_ref().ok().and_then(|&source| sources[source].changes);
        let is_fed = source.as_ref().is_ok_and(|&source| sources[source].is_fed);
        let sharing = sharing::resolve(written, shared, (changes, is_fed), scope);
        let writes = Given::read(written, scope);
        let vouched = sharing.as_ref().is_ok_and(|sharing| sharing.vouches(changes)) || is_fed;
        let window = window::resolve(written, vouched, scope);
        let patience = Patience::resolve(written, window, scope);
        let tags = tags::resolve(written, scope);
        let memory = memory::own(written, whole, scope);
        let policy = memory::policy(&memory, whole);
        let reload = patience::reload(written, policy, scope);
        if let (Ok(Some(memory)), Ok(window)) = (&memory, &window) {
            memory::warn_of_idle(written, memory, window, scope.findings);
        }
        let shape = shape(written, rows, format, scope.findings);
        let (key, load) = (key?, load?.0);
        let (rows, format) = shape?;
        let (tags, patience) = (tags?, patience?);
        let source = source?;
        let database = sources[source].database;
        let question = {
            let (key, sql, tags) = (key.clone(), load.clone(), tags.clone());
            Load { key, sql, rows, format, tags }
        };
        if let Some(database) = database {
            statement::check(written, database, question.clone(), scope.findings)?;
        }
        let (sharing, writes) = (sharing?, writes?);
        let beside = Beside { sharing, journal, database, changes };
        let writes = writes.resolve(written, &question, beside, scope.findings)?;
        Ok(Self {
            name: written.name.clone(),
            key,
            load,
            source,
            rows,
            format,
            window: window?,
            deadline: patience.deadline,
            wait: patience.wait,
            gather: patience.gather,
            reload: reload?,
            tags,
            memory: memory?,
            sharing,
            writes,
            invalidate: Vec::new(),
        })
    }
}

/// What a value is made of: not every format goes with every number of rows.
fn shape(
    written: &Written,
    rows: Result<Rows, Reported>,
    format: Result<Option<Format>, Reported>,
    findings: &mut Findings<'_>,
) -> Result<(Rows, Format), Reported> {
    let (rows, format) = (rows?, format?.unwrap_or(Format::Json));
    if (rows, format) == (Rows::Many, Format::Raw) {
        return Err(findings.error(
            &written.place(&options::COLUMN.about),
            "`column = \"raw\"` is the value of one row, and `rows` is \"many\"",
            "leave `column` out: many rows are a JSON array",
        ));
    }
    if rows == Rows::Many && written.entry(&options::MISSING_FOR.about).is_some() {
        findings.warning(
            &written.place(&options::MISSING_FOR.about),
            "`missing_for` never applies: with `rows = \"many\"` no rows are an answer like any \
             other",
            "leave it out",
        );
    }
    Ok((rows, format))
}

/// The source that `written` names, or the only one.
fn source(
    written: &Written,
    sources: &[Known<'_>],
    scope: &mut Scope<'_, '_>,
) -> Result<usize, Reported> {
    let option = &options::SOURCE;
    let name = scope.get(written, option)?;
    let at = written.place(&option.about);
    let list = sources.iter().map(|source| unknown::plain(source.name)).collect::<Vec<_>>();
    let list = list.join(", ");
    match (name, sources) {
        (Some(name), _) => {
            let named = |source: &Known<'_>| source.name == name.0;
            sources.iter().position(named).ok_or_else(|| {
                let cure = match nearest(&name.0, sources.iter().map(|source| source.name)) {
                    Some(near) => format!("did you mean \"{}\"?", unknown::plain(near)),
                    None if sources.is_empty() => "declare it: [source.NAME]".to_owned(),
                    None => format!("the sources are: {list}"),
                };
                scope.findings.error(&at, "no source has this name", cure)
            })
        }
        (None, [_]) => Ok(0),
        (None, []) => Err(scope.findings.error(
            &at,
            format!("{} has nothing to load from: there is no source", written.header()),
            "declare one: [source.NAME] with its `url`",
        )),
        (None, _) => Err(scope.findings.error(
            &at,
            format!("{} doesn't say which source it loads from", written.header()),
            format!("set `source` to one of: {list}"),
        )),
    }
}
