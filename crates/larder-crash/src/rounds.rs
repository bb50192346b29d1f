//! Killing processes that write, again and again.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use larder_core::steps::Step;
use tempfile::TempDir;

use crate::child::{Driver, Reaches};
use crate::database::TestDatabase;
use crate::said::Said;

/// A process that doesn't reach its step within this is killed where it is.
const REACHED_WITHIN: Duration = Duration::from_secs(20);
/// The database is looked at whenever so many more writes were acknowledged.
const LOOK_EVERY: u64 = 200;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// When so many more writes were acknowledged.
    After(u64),
    /// At a step.
    At(Reaches),
}

impl End {
    /// The end of a round: one that may come anywhere, and each of the steps, in turn. `random`
    /// says when.
    #[must_use]
    pub fn of_round(round: u64, random: u64) -> Self {
        let kinds = Step::ALL.len() as u64 + 1;
        let Some(&step) = Step::ALL.get(usize::try_from(round % kinds).unwrap()) else {
            return Self::After(20 + random % 500);
        };
        // As often as each comes in about a second.
        let times = match step {
            Step::Append | Step::Acknowledge => 400,
            Step::Fsync | Step::Publish => 100,
            Step::Begin | Step::Commit | Step::Committed => 20,
            Step::Mark | Step::Truncate => 2,
        };
        Self::At(Reaches { step, time: 1 + random % times })
    }

    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::After(_) => "at random",
            Self::At(Reaches { step, .. }) => step.as_str(),
        }
    }
}

/// One database, its journal, and the processes that are killed over them.
#[derive(Debug)]
pub struct Rounds {
    database: TestDatabase,
    program: fn() -> Command,
    /// Where the journal is, unless it is somewhere else.
    folder: TempDir,
    elsewhere: Option<PathBuf>,
    random: RandomState,
    round: u64,
    said: Said,
    wrong: Vec<String>,
}

impl Rounds {
    /// Rounds over `database`, of processes that `program` starts: they call
    /// [`asked`](crate::child::asked) and do what it says.
    #[must_use]
    pub fn new(database: TestDatabase, program: fn() -> Command) -> Self {
        let folder = TempDir::new().unwrap();
        let (random, said) = (RandomState::new(), Said::default());
        let elsewhere = None;
        Self { database, program, folder, elsewhere, random, round: 0, said, wrong: Vec::new() }
    }

    /// With the journal in the Redis of this URL, which has no steps to end at but those of the
    /// cache and the database.
    #[must_use]
    pub fn with_journal_in(self, url: &str) -> Self {
        Self { elsewhere: Some(url.into()), ..self }
    }

    /// Starts a process, which replays what the last one left, and kills it. Returns whether it
    /// ended where it was to.
    pub async fn kill(&mut self, end: End) -> bool {
        self.kill_with(end, async |_, _| {}).await
    }

    /// The same, and looks at it once when it writes.
    pub async fn kill_with(&mut self, end: End, look: impl AsyncFnOnce(&Self, &Driver)) -> bool {
        let ends = match end {
            End::After(_) => None,
            End::At(reaches) => Some(reaches),
        };
        let mut driver = self.begin(ends);
        let (start, before) = (Instant::now(), self.said.acknowledged);
        let (mut look, mut killed) = (Some(look), false);
        while let Some(words) = driver.says() {
            self.said.hear(&words);
            let acknowledged = self.said.acknowledged - before;
            if killed {
                continue;
            }
            if acknowledged > 0
                && let Some(look) = look.take()
            {
                look(self, &driver).await;
            }
            if acknowledged % LOOK_EVERY == 1 && words[0] == "put" {
                self.wrong.extend(self.said.look(&self.database).await);
            }
            killed = match end {
                End::After(count) => acknowledged >= count,
                End::At(_) => start.elapsed() > REACHED_WITHIN,
            };
            if killed {
                driver.kill();
            }
        }
        killed == matches!(end, End::After(_))
    }

    /// Lets a process replay and apply everything, and end by itself; before that it writes some
    /// more if `writes` isn't 0.
    pub fn settle(&mut self, writes: u64) {
        self.said.stopped = None;
        let mut driver = match writes {
            0 => self.start("settle -", None),
            _ => self.begin(None),
        };
        let enough = self.said.acknowledged + writes;
        while let Some(words) = driver.says() {
            self.said.hear(&words);
            if self.said.acknowledged >= enough {
                driver.ask_to_stop();
            }
        }
        match self.said.stopped {
            Some((0, _)) => {}
            other => self.wrong.push(format!("it didn't stop with nothing left: {other:?}")),
        }
    }

    /// Compares the database, in which everything [is settled](Self::settle), with what was said.
    pub async fn compare(&mut self) {
        let wrong = self.said.compare(&self.database).await;
        self.wrong.extend(wrong);
    }

    /// What was said so far.
    #[must_use]
    pub const fn said(&self) -> &Said {
        &self.said
    }

    /// What was wrong so far, a line each.
    #[must_use]
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Where the journal is: its folder, or its URL.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.elsewhere.clone().unwrap_or_else(|| self.folder.path().join("journal"))
    }

    /// A number for this round, another one each time the program runs.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.random.hash_one(self.round)
    }

    fn begin(&mut self, ends: Option<Reaches>) -> Driver {
        self.round += 1;
        let round = self.round;
        self.start(&format!("write {round}"), ends)
    }

    fn start(&self, does: &str, ends: Option<Reaches>) -> Driver {
        let journal: &Path = &self.journal();
        Driver::start((self.program)(), &self.database.url(), journal, does, ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_rounds_and_so_has_any_moment() {
        let ends: Vec<_> = (0..10).map(|round| End::of_round(round, 7).name()).collect();
        let steps: Vec<_> = Step::ALL.iter().map(|step| step.as_str()).collect();
        assert_eq!(ends[..9], steps);
        assert_eq!(ends[9], "at random");
        assert_eq!(End::of_round(10, 7).name(), "append");
    }

    #[test]
    fn an_end_is_said_in_words() {
        let reaches = Reaches { step: Step::Committed, time: 3 };
        assert_eq!(reaches.to_string().parse(), Ok(reaches));
        assert!("commits 3".parse::<Reaches>().is_err());
    }
}
