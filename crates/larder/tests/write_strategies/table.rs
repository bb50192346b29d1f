//! What is observed, in words, and the page that is held to it. It knows no server.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use larder::core::sink::WriteFault;
use larder::{ErrorKind, Tier};
use larder_test::assert_page;

use crate::mode::{Level, Mode, Way};

const PAGE: &str = "guides/choosing-a-write-strategy.md";
const END: &str = "<!-- end -->\n";

/// What the writer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It died before it got anything.
    Nothing,
    Success,
    /// It is written, and the others will be told later.
    Untold,
    /// Its own commit is done, and `invalidate` failed.
    Uninvalidated(ErrorKind),
    /// Its own commit didn't answer, and it invalidated all the same.
    GaveUp,
    Failed(ErrorKind, Option<WriteFault>),
    /// The second of two processes isn't started.
    NoSecond(ErrorKind),
}

/// What a reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nobody is there to read.
    Nobody,
    AtOnce,
    /// What came last, of several.
    Last,
    /// The same, when its process has heard.
    LastHeard,
    /// Nothing was written.
    Unchanged,
    /// Old until its process has heard.
    Heard,
    /// Old until it was applied, and its process has heard.
    Applied,
    /// Old until the process that wrote is started again, and has applied it.
    Started,
    /// Old until the database is back, and it was applied.
    Back,
    Window,
    Lifetime,
    Fails(ErrorKind),
}

/// One mode under one failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) mode: Mode,
    pub(crate) told: Told,
    /// It was acknowledged, and isn't there when everything is back.
    pub(crate) lost: bool,
    pub(crate) here: Seen,
    pub(crate) elsewhere: Seen,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: &'static str,
    pub(crate) rows: Vec<Observed>,
}

/// What a write costs where nothing fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) mode: Mode,
    /// Round trips before the caller has its answer.
    pub(crate) database: u64,
    pub(crate) shared: u64,
    /// From where the next read of this process comes; `None` for what waits in the journal.
    pub(crate) next: Option<Tier>,
}

impl Failure {
    /// What no table may say.
    pub(crate) fn check(&self) {
        for row in &self.rows {
            assert!(!row.lost, "{}: an acknowledged write is lost: {row:?}", self.name);
            let is_old = [row.here, row.elsewhere].contains(&Seen::Lifetime);
            assert!(!(row.mode.is_guarded() && is_old), "{}: {row:?}", self.name);
            assert!(!matches!(row.here, Seen::Window | Seen::Lifetime), "{}: {row:?}", self.name);
        }
    }
}

impl Told {
    /// Nothing is written.
    pub(crate) fn is_refused(self) -> bool {
        matches!(self, Self::Failed(_, fault) if fault != Some(WriteFault::Unknown))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing: it is dead"),
            Self::Success => f.write_str("success"),
            Self::Untold => f.write_str("success, `announced: false`"),
            Self::Uninvalidated(kind) => {
                write!(f, "it is committed; `invalidate` fails: `{kind:?}`")
            }
            Self::GaveUp => {
                f.write_str("its own timeout: **unknown**; it invalidates all the same")
            }
            Self::Failed(kind, None) => write!(f, "`{kind:?}`: nothing is written"),
            Self::Failed(kind, Some(WriteFault::Unknown)) => {
                write!(f, "`{kind:?}`, fault `Unknown`: **unknown**")
            }
            Self::Failed(kind, Some(fault)) => {
                write!(f, "`{kind:?}`, fault `{fault:?}`: nothing is written")
            }
            Self::NoSecond(kind) => write!(f, "success; the second isn't started: `{kind:?}`"),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "–",
            Self::AtOnce => "the new value at once",
            Self::Last => "the last value at once",
            Self::LastHeard => "the last value once it has heard",
            Self::Unchanged => "the old value, which is true",
            Self::Heard => "the old value until it has heard, a moment later",
            Self::Applied => "the old value until it is applied, and a moment",
            Self::Started => "the old value until the writer is started again",
            Self::Back => "the old value until the database is back",
            Self::Window => "the old value for `max_staleness` at most",
            Self::Lifetime => "**the old value for its lifetime**",
            Self::Fails(kind) => return write!(f, "`{kind:?}`: nothing is held"),
        })
    }
}

/// Holds the page to this.
pub(crate) fn check(failures: &[Failure], costs: &[Cost]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(PAGE);
    let page = fs::read_to_string(path).unwrap();
    let page = with("failures", &failures_table(failures), &page);
    assert_page(PAGE, &with("costs", &costs_table(costs), &page), "larder");
}

/// The page with a generated part.
fn with(part: &str, made: &str, page: &str) -> String {
    let begin =
        format!("<!-- {part}, observed by crates/larder/tests/write_strategies/main.rs -->\n");
    let (before, rest) = page.split_once(&begin).expect("the page has a place for it");
    let (_, after) = rest.split_once(END).expect("the place has an end");
    format!("{before}{begin}{made}{END}{after}")
}

fn failures_table(failures: &[Failure]) -> String {
    let mut text = String::new();
    for Failure { name, rows } in failures {
        write!(
            text,
            "**{name}**\n\n\
             | mode | the writer gets | a reader in its process gets | one in another process gets |\n\
             |---|---|---|---|\n"
        )
        .unwrap();
        let outcome = |row: &Observed| (row.told, row.here, row.elsewhere);
        let mut done: Vec<&Observed> = Vec::new();
        for row in rows {
            if done.iter().any(|other| outcome(other) == outcome(row)) {
                continue;
            }
            done.push(row);
            let alike = rows.iter().filter(|other| outcome(other) == outcome(row));
            let modes = names(alike.map(|row| row.mode).collect());
            let Observed { told, here, elsewhere, .. } = row;
            writeln!(text, "| {modes} | {told} | {here} | {elsewhere} |").unwrap();
        }
        text.push('\n');
    }
    text.truncate(text.len() - 1);
    text
}

fn costs_table(costs: &[Cost]) -> String {
    let mut text = String::from(
        "| mode | round trips to the database | to Redis | the next read in this process |\n\
         |---|--:|--:|---|\n",
    );
    for Cost { mode, database, shared, next } in costs {
        let modes = names(vec![*mode]);
        let journal = if mode.is_behind() { ", and a sync of the journal" } else { "" };
        let next = match next {
            Some(Tier::Memory) => "memory",
            Some(Tier::Shared) => "Redis",
            Some(Tier::Source) => "the database",
            Some(other) => other.as_str(),
            None => "what waits to be applied",
        };
        writeln!(text, "| {modes} | {database}{journal} | {shared} | {next} |").unwrap();
    }
    text
}

/// `around, through (bounded)`: ways of the same levels together.
fn names(modes: Vec<Mode>) -> String {
    let mut groups: Vec<(Vec<Level>, Vec<Way>)> = Vec::new();
    let mut ways: Vec<(Way, Vec<Level>)> = Vec::new();
    for Mode { way, level } in modes {
        match ways.iter_mut().find(|(other, _)| *other == way) {
            Some((_, levels)) => levels.push(level),
            None => ways.push((way, vec![level])),
        }
    }
    for (way, levels) in ways {
        match groups.iter_mut().find(|(others, _)| *others == levels) {
            Some((_, ways)) => ways.push(way),
            None => groups.push((levels, vec![way])),
        }
    }
    let join = |words: Vec<String>| words.join(", ");
    let group = |(levels, ways): (Vec<Level>, Vec<Way>)| {
        let ways = join(ways.iter().map(Way::to_string).collect());
        let levels = join(levels.iter().map(Level::to_string).collect());
        format!("{ways} ({levels})")
    };
    groups.into_iter().map(group).collect::<Vec<_>>().join("; ")
}
