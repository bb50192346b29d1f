//! How a cache is written, resolved: which statements, and what a write does.

use std::time::Duration;

use larder_core::Changes;
use larder_engine::{Consistency, Install, WriteMode};
use larder_sql::{Database, Format, Load, Rows, SqlSink, Warning, Writes};

use super::document::Written;
use super::findings::{Findings, Reported};
use super::journal::JournalConfig;
use super::options::{About, cache, write as options};
use super::scope::Scope;
use super::sharing::CacheSharing;
use super::value::{Fault, OptionValue};

/// How a cache is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheWrites {
    /// The statement that stores a value.
    pub store: Option<String>,
    /// The statement that deletes.
    pub delete: Option<String>,
    /// The statement that adds `{delta}`.
    pub add: Option<String>,
    /// What a write does.
    pub mode: WriteMode,
    /// When [`WriteMode::Through`] keeps what was written.
    pub install: Install,
    /// How long one write may take.
    pub timeout: Duration,
    /// Which column of the document `add` adds to; `None`: the only one that is no parameter of
    /// the key.
    pub counter: Option<String>,
}

/// What the writes of a cache depend on.
#[derive(Clone, Copy)]
pub(super) struct Beside<'a> {
    /// What its section says of sharing.
    pub(super) sharing: CacheSharing,
    /// What `[journal]` says.
    pub(super) journal: &'a Result<Option<JournalConfig>, Reported>,
    /// Where it is written; `None` when something about the source was reported.
    pub(super) database: Option<&'a Database>,
    /// Who may change the data; `None` as above.
    pub(super) changes: Option<Changes>,
}

/// What the section says, before it is held against anything.
pub(super) struct Given {
    store: Option<String>,
    delete: Option<String>,
    add: Option<String>,
    mode: WriteMode,
    install: Install,
    timeout: Duration,
    counter: Option<String>,
}

/// The statements' options, in the order of the verbs.
const STATEMENTS: [&About; 3] =
    [&options::STORE.about, &options::DELETE.about, &options::ADD.about];

impl CacheWrites {
    /// The statements, as a sink takes them. `cache` is what it is called in the database, and
    /// `load` how its values are loaded.
    #[must_use]
    pub fn statements(&self, cache: &str, load: Load) -> Writes {
        Writes {
            store: self.store.clone(),
            delete: self.delete.clone(),
            add: self.add.clone(),
            ..Writes::new(cache, load)
        }
    }

    /// The verbs that it has a statement for.
    #[must_use]
    pub fn verbs(&self) -> Vec<&'static str> {
        let all =
            [("store", &self.store), ("delete", &self.delete), ("add", &self.add)].into_iter();
        all.filter_map(|(verb, statement)| statement.as_ref().map(|_| verb)).collect()
    }

    /// Whether a write is acknowledged before the database has it.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.mode == WriteMode::Behind
    }
}

impl Given {
    pub(super) fn read(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let store = scope.get(written, &options::STORE);
        let delete = scope.get(written, &options::DELETE);
        let add = scope.get(written, &options::ADD);
        let mode = scope.or_default(written, &options::WRITE);
        let install = scope.or_default(written, &options::INSTALL);
        let timeout = scope.or_default(written, &options::WRITE_TIMEOUT);
        let counter = scope.get(written, &options::COUNTER);
        Ok(Self {
            store: store?.map(|line| line.0),
            delete: delete?.map(|line| line.0),
            add: add?.map(|line| line.0),
            mode: mode?,
            install: install?,
            timeout: timeout?.0,
            counter: counter?.map(|line| line.0),
        })
    }

    /// Holds it against the rest of the section; `None` where the cache takes no writes.
    pub(super) fn resolve(
        self,
        written: &Written,
        load: &Load,
        beside: Beside<'_>,
        findings: &mut Findings<'_>,
    ) -> Result<Option<CacheWrites>, Reported> {
        let Self { store, delete, add, mode, install, timeout, counter } = self;
        let writes = CacheWrites { store, delete, add, mode, install, timeout, counter };
        if writes.verbs().is_empty() {
            return nothing_to_write(written, beside.sharing.consistency, findings);
        }
        check(written, &writes, load, beside, findings)?;
        if let Some(database) = beside.database {
            check_statements(written, &writes, load, database, findings)?;
        }
        warn(written, &writes, load, beside, findings);
        Ok(Some(writes))
    }
}

/// A cache without statements, which may say nothing that needs one.
fn nothing_to_write(
    written: &Written,
    consistency: Consistency,
    findings: &mut Findings<'_>,
) -> Result<Option<CacheWrites>, Reported> {
    const CURE: &str = "give it `store`, `delete` or `add`, or leave it out";
    let mut fault = None;
    for option in [&options::WRITE.about, &options::INSTALL.about] {
        if let Some(entry) = written.entry(option) {
            let what = format!("`{}` says how to write, and there is no statement", option.name);
            fault = Some(findings.error([&entry.key], what, CURE));
        }
    }
    for option in [&options::WRITE_TIMEOUT.about, &options::COUNTER.about] {
        if let Some(entry) = written.entry(option) {
            let what = format!("`{}` never applies: there is no statement to write", option.name);
            findings.warning([&entry.key], what, CURE);
        }
    }
    if matches!(consistency, Consistency::Guarded | Consistency::Strict) {
        findings.warning(
            &written.place(&cache::CONSISTENCY.about),
            "guarded and strict are about writes through larder, and this cache takes none here",
            "leave it so if other larders write this cache; who commits by himself and then \
             invalidates has \"bounded\"",
        );
    }
    fault.map_or(Ok(None), Err)
}

/// What contradicts itself.
fn check(
    written: &Written,
    writes: &CacheWrites,
    load: &Load,
    beside: Beside<'_>,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let mut fault = None;
    if beside.changes == Some(Changes::Static) {
        fault = Some(findings.error(
            statements(written),
            "it changes what `changes = \"static\"` of the source says never changes",
            "set `changes = \"announced\"` if all writes are made or announced through larder, or \
             leave `changes` out",
        ));
    }
    if writes.store.is_some() && load.rows == Rows::Many {
        fault = Some(findings.error(
            &written.place(&options::STORE.about),
            "`store` stores the fields of one document, and with `rows = \"many\"` the value is \
             an array of them",
            "write rows one by one through a cache with `rows = \"one\"`, and give both caches a \
             tag in common to invalidate",
        ));
    }
    if writes.install == Install::Always && writes.mode != WriteMode::Through {
        fault = Some(findings.error(
            &written.place(&options::INSTALL.about),
            "`install = \"always\"` keeps what was written, which only `write = \"through\"` does",
            "set `write = \"through\"`, or leave it out",
        ));
    }
    if writes.is_behind() && matches!(beside.journal, Ok(None)) {
        fault = Some(findings.error(
            &written.place(&options::WRITE.about),
            "`write = \"behind\"` acknowledges a write when a journal has it, and there is no \
             `[journal]`",
            "declare it: [journal] with its `path`",
        ));
    }
    fault.map_or(Ok(()), Err)
}

/// Where the statements stand.
fn statements(written: &Written) -> Vec<&super::text::Span> {
    let entries = STATEMENTS.into_iter().filter_map(|option| written.entry(option));
    entries.map(|entry| &entry.key).collect()
}

/// Checks each statement, as far as that goes without asking the database.
fn check_statements(
    written: &Written,
    writes: &CacheWrites,
    load: &Load,
    database: &Database,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let none = CacheWrites { store: None, delete: None, add: None, ..writes.clone() };
    let alone = [
        (
            STATEMENTS[0],
            CacheWrites { store: writes.store.clone(), ..none.clone() },
            "for instance \"INSERT INTO users (id, name) VALUES ({id}, {name}) ON CONFLICT (id) DO \
             UPDATE SET name = EXCLUDED.name RETURNING *\"",
        ),
        (
            STATEMENTS[1],
            CacheWrites { delete: writes.delete.clone(), ..none.clone() },
            "for instance \"DELETE FROM users WHERE id = {id}\"",
        ),
        (
            STATEMENTS[2],
            CacheWrites { add: writes.add.clone(), ..none },
            "for instance \"UPDATE pages SET visits = visits + {delta} WHERE id = {id}\"",
        ),
    ];
    let mut fault = None;
    for (option, one, cure) in alone {
        let Some(at) = written.value(option) else { continue };
        match SqlSink::new(database, one.statements(&written.name, load.clone())) {
            Err(error) => fault = Some(findings.error([&at], error.to_string(), cure)),
            Ok(sink) => {
                for warning in sink.warnings() {
                    let cure = match warning {
                        Warning::Unwritten { .. } => {
                            "use it in the statement, or take it out of `key`"
                        }
                        _ => "see whether this is meant",
                    };
                    findings.warning([&at], warning.to_string(), cure);
                }
            }
        }
    }
    fault.map_or(Ok(()), Err)
}

/// Says what is allowed and probably not meant.
fn warn(
    written: &Written,
    writes: &CacheWrites,
    load: &Load,
    beside: Beside<'_>,
    findings: &mut Findings<'_>,
) {
    let mut warn = |option: &About, what: &str, cure: &str| {
        findings.warning(&written.place(option), what, cure);
    };
    let CacheSharing { in_tier, has_bus, consistency, .. } = beside.sharing;
    let is_guarded = matches!(consistency, Consistency::Guarded | Consistency::Strict);
    let is_through = writes.mode == WriteMode::Through;
    if is_through && (in_tier || has_bus) && !is_guarded {
        warn(
            &options::WRITE.about,
            "`write = \"through\"` is as around here: other larders may write at the same time, \
             and nobody knows which write was the last",
            "set `consistency = \"guarded\"`, under which that is known, or leave `write` out",
        );
    }
    if is_through && load.rows == Rows::Many {
        warn(
            &options::WRITE.about,
            "`write = \"through\"` is as around here: a statement returns a row, and the value is \
             many of them",
            "leave it out",
        );
    }
    if writes.install == Install::IfHeld && !is_through && given(written, &options::INSTALL.about) {
        warn(
            &options::INSTALL.about,
            "`install` never applies: only `write = \"through\"` keeps what was written",
            "leave it out",
        );
    }
    if writes.is_behind() && given(written, &options::WRITE_TIMEOUT.about) {
        warn(
            &options::WRITE_TIMEOUT.about,
            "`write_timeout` never applies: nobody waits for what is written behind to be applied",
            "leave it out",
        );
    }
    if writes.counter.is_some() && writes.add.is_none() {
        warn(
            &options::COUNTER.about,
            "`counter` never applies: there is no `add`",
            "give it an `add`, or leave it out",
        );
    } else if writes.counter.is_some() && load.format == Format::Raw {
        warn(
            &options::COUNTER.about,
            "`counter` never applies: with `column = \"raw\"` the value is what is added to",
            "leave it out",
        );
    }
    if writes.is_behind() && writes.add.is_some() && load.rows == Rows::Many {
        warn(
            &options::ADD.about,
            "while something that was added waits to be applied, the key can't be read: what it \
             makes of many rows nobody knows",
            "write it around, or let it be a cache of its own with `rows = \"one\"`",
        );
    }
}

fn given(written: &Written, option: &About) -> bool {
    written.entry(option).is_some()
}

impl OptionValue for WriteMode {
    const WHAT: &'static str = "`\"around\"`, `\"through\"` or `\"behind\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "around" => Ok(Self::Around),
            "through" => Ok(Self::Through),
            "behind" => Ok(Self::Behind),
            _ => Err(Fault::new(
                "must be \"around\", \"through\" or \"behind\"",
                "leave it out: \"around\" is always right",
            )),
        }
    }
}

impl OptionValue for Install {
    const WHAT: &'static str = "`\"if_cached\"` or `\"always\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match text {
            "if_cached" => Ok(Self::IfHeld),
            "always" => Ok(Self::Always),
            _ => Err(Fault::new(
                "must be \"if_cached\" or \"always\"",
                "leave it out: what is written and never read then takes no room",
            )),
        }
    }
}
