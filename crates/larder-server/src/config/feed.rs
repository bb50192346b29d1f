//! The feed of a source, resolved: who tells of the changes of its data.

use larder_sql::Database;

use super::cache::Known;
use super::debezium::{self, DebeziumConfig};
use super::document::{Document, Written};
use super::findings::{Findings, Reported};
use super::options::{About, debezium as debezium_options, feed as options, source};
use super::scope::Scope;
use super::shared::SharedConfig;
use super::value::{Fault, OptionValue};

/// What tells of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedKind {
    /// The log of a Postgres, over logical replication.
    Logical,
    /// Triggers, of a Postgres or a SQLite.
    Triggers,
    /// The binary log of a MySQL or MariaDB.
    Binlog,
    /// Debezium, which follows the database's log itself.
    Debezium,
}

impl FeedKind {
    const ALL: [Self; 4] = [Self::Logical, Self::Triggers, Self::Binlog, Self::Debezium];

    /// As a file writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logical => "logical",
            Self::Triggers => "triggers",
            Self::Binlog => "binlog",
            Self::Debezium => "debezium",
        }
    }

    /// The databases that it is for.
    const fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Logical => &["postgres"],
            Self::Triggers => &["postgres", "sqlite"],
            Self::Binlog => &["mysql"],
            Self::Debezium => &["postgres", "mysql"],
        }
    }
}

impl OptionValue for FeedKind {
    const WHAT: &'static str = "one";

    fn range() -> Option<String> {
        Some(format!("of {}", Self::ALL.map(|kind| format!("`\"{}\"`", kind.as_str())).join(", ")))
    }

    fn from_text(text: &str) -> Result<Self, Fault> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            Fault::new("names no feed", format!("write one of {all}"))
        })
    }
}

/// Who tells of the changes of a source's data.
#[derive(Clone, Debug)]
pub struct FeedConfig {
    /// What tells of them.
    pub kind: FeedKind,
    /// What it is called in the database.
    pub name: String,
    /// How far it may be behind before it begins again, in bytes of log.
    pub behind_max: u64,
    /// How much log the server may keep while nobody follows, in bytes; `None`: as it is set.
    pub wal_budget: Option<u64>,
    /// How many changes triggers write down for who is behind.
    pub changes_max: u64,
    /// Where the records come from, of [`FeedKind::Debezium`].
    pub debezium: Option<DebeziumConfig>,
}

/// What means something with [`FeedKind::Logical`] alone.
const OF_THE_LOG: [&About; 2] = [&options::FEED_BEHIND_MAX.about, &options::FEED_WAL_BUDGET.about];

/// The feed that a source's section declares, if any.
pub(super) fn resolve(
    written: &Written,
    scope: &mut Scope<'_, '_>,
) -> Result<Option<FeedConfig>, Reported> {
    let kind = scope.get(written, &options::FEED);
    let name = scope.or_default(written, &options::FEED_NAME);
    let behind_max = scope.or_default(written, &options::FEED_BEHIND_MAX);
    let wal_budget = scope.get(written, &options::FEED_WAL_BUDGET);
    let changes_max = scope.or_default(written, &options::FEED_CHANGES_MAX);
    let (kind, name, behind_max) = (kind?, name?, behind_max?);
    let (wal_budget, changes_max) = (wal_budget?, changes_max?);
    let Some(kind) = kind else {
        let of_a_feed = [&options::FEED_NAME.about, &options::FEED_CHANGES_MAX.about];
        for option in of_a_feed.into_iter().chain(OF_THE_LOG) {
            alone(written, option, scope.findings);
        }
        return Ok(None);
    };
    if written.entry(&source::CHANGES.about).is_some() {
        return Err(scope.findings.error(
            &written.place(&source::CHANGES.about),
            "`feed` tells of every change, whoever makes it, so `changes` has nothing to say",
            "leave one of them out",
        ));
    }
    if kind != FeedKind::Logical {
        OF_THE_LOG.into_iter().for_each(|option| alone(written, option, scope.findings));
    }
    if kind != FeedKind::Triggers {
        alone(written, &options::FEED_CHANGES_MAX.about, scope.findings);
    }
    Ok(Some(FeedConfig {
        kind,
        name: name.0,
        behind_max: behind_max.0,
        wal_budget: wal_budget.map(|size| size.0),
        changes_max: changes_max.0 as u64,
        debezium: None,
    }))
}

/// Whether a database can have such a feed.
pub(super) fn check(
    written: &Written,
    feed: &FeedConfig,
    database: &Database,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let (kind, is) = (feed.kind, database.kind());
    if kind.kinds().contains(&is) {
        return Ok(());
    }
    let fitting: Vec<_> = FeedKind::ALL
        .into_iter()
        .filter(|other| other.kinds().contains(&is))
        .map(|other| format!("`feed = \"{}\"`", other.as_str()))
        .collect();
    let cure = match fitting.is_empty() {
        true => "leave it out: `changes` says who may change the data".to_owned(),
        false => format!("write {}", fitting.join(" or ")),
    };
    let what = format!("`feed = \"{}\"` is for {}", kind.as_str(), kind.kinds().join(" and "));
    Err(findings.error(&written.value(&options::FEED.about), what, cure))
}

/// The section within `written` that says where Debezium's records come from, and what it says.
pub(super) type Records<'d> = Option<(&'d Written, Result<debezium::Given, Reported>)>;

/// Reads it; [`with_records`] holds it against the source.
pub(super) fn records<'d>(
    written: &Written,
    document: &'d Document,
    scope: &mut Scope<'_, '_>,
) -> Records<'d> {
    let mut sections = document.named(&debezium_options::SECTION);
    let section = sections.find(|section| section.name == written.name)?;
    Some((section, debezium::Given::read(section, scope)))
}

/// Gives a feed over Debezium what `[source.NAME.debezium]` says.
pub(super) fn with_records(
    written: &Written,
    records: Records<'_>,
    feed: &mut Option<FeedConfig>,
    database: &Database,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    match (feed, records) {
        (Some(feed), Some((section, given))) if feed.kind == FeedKind::Debezium => {
            feed.debezium = Some(given?.resolve(section, database.kind(), findings)?);
            Ok(())
        }
        (Some(feed), None) if feed.kind == FeedKind::Debezium => Err(findings.error(
            &written.value(&options::FEED.about),
            "nobody says where Debezium's records come from",
            format!("declare it: [source.{}.debezium] with `from` and `topics`", written.name),
        )),
        (_, Some((section, given))) => {
            findings.warning(
                &section.at,
                format!("{} never applies: the source's feed is another one", section.header()),
                "set `feed = \"debezium\"`, or leave it out",
            );
            given.map(drop)
        }
        (_, None) => Ok(()),
    }
}

/// Whether what the feeds cover can be forgotten in the shared tier, as a gap demands.
pub(super) fn check_shared(
    written: &[&Written],
    sources: &[Known<'_>],
    shared: &Result<Option<SharedConfig>, Reported>,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let Ok(Some(shared)) = shared else { return Ok(()) };
    let fed = written.iter().zip(sources).find(|(_, source)| source.is_fed);
    match fed {
        Some((written, _)) if shared.is_memcached() => Err(findings.error(
            &written.place(&options::FEED.about),
            "a feed may have missed something, and everything that it covers must then be \
             forgotten; a Memcached can't forget the entries of a cache",
            "share through Redis, or leave `feed` out",
        )),
        _ => Ok(()),
    }
}

/// An option that means nothing without a feed that has it.
fn alone(written: &Written, option: &About, findings: &mut Findings<'_>) {
    if written.entry(option).is_some() {
        findings.warning(
            &written.place(option),
            format!("`{}` never applies: the source has no `feed` that has it", option.name),
            "declare one, for instance `feed = \"logical\"`, or leave this out",
        );
    }
}
