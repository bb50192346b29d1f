//! Random programs with random faults against a list of what was appended.
//!
//! After each of them, and whatever happened: every record that was durable is there, the numbers
//! have no gap, the records are what was appended under their numbers and nothing else is there.
//! A disk that is honest, however badly it fails, is never accused of a loss.

use larder_core::{ErrorKind, Journal};
use proptest::collection::vec;
use proptest::prelude::*;

use super::bench::{Bench, settings};
use super::simulated::{Faults, Machine};
use crate::Durability;
use crate::omit::Omit;
use crate::options::Settings;

/// A step of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A record of this length.
    Append(usize),
    /// The thread that writes gets to it.
    Turn,
    /// The interval is over.
    Sync,
    /// All but so many of the durable ones are needed no more.
    Truncate(u64),
    CutPower,
    Kill,
    Close,
    /// After so many steps of the machine the power is cut.
    CutAfter(u64),
    SyncFailsAfter(u64),
    WriteFailsAfter(u64),
    /// There is room for so many bytes.
    Full(usize),
    Room,
}

/// What goes wrong ends the process, and a new one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Power,
    Killed,
}

struct Model {
    machine: Machine,
    settings: Settings,
    bench: Option<Bench>,
    /// What was appended, from number 1 on. The end of it may turn out to be lost.
    appended: Vec<Vec<u8>>,
    nonce: u64,
    /// Everything below this survives a power cut.
    durable: u64,
    /// Everything below this survives a kill.
    written: u64,
    /// What nobody needs was below this.
    truncated: u64,
}

type Outcome = Result<(), TestCaseError>;

impl Model {
    fn new(random: u64, durability: Durability, omit: Option<Omit>) -> Result<Self, TestCaseError> {
        let machine = Machine::new(random);
        let settings = Settings { durability, omit, ..settings() };
        let mut model = Self {
            machine,
            settings,
            bench: None,
            appended: Vec::new(),
            nonce: 0,
            durable: 1,
            written: 1,
            truncated: 1,
        };
        model.open()?;
        Ok(model)
    }

    fn step(&mut self, step: Step) -> Outcome {
        let mut faults = self.machine.faults();
        let Some(bench) = &mut self.bench else { return Ok(()) };
        match step {
            Step::Append(length) => {
                self.nonce += 1;
                let nonce = self.nonce.to_be_bytes();
                let bytes: Vec<u8> = nonce.into_iter().cycle().take(length).collect();
                match bench.journal.append(&bytes) {
                    Ok(number) => {
                        prop_assert_eq!(number, self.appended.len() as u64 + 1);
                        self.appended.push(bytes);
                    }
                    Err(error) if error.kind() == ErrorKind::Shed => {}
                    Err(_) => return self.end(End::Killed),
                }
            }
            Step::Turn => bench.committer.turn(),
            Step::Sync => bench.committer.sync(),
            Step::Truncate(back) => {
                let below = bench.journal.durable_below().saturating_sub(back);
                if bench.journal.truncate_below(below).is_ok() {
                    self.truncated = self.truncated.max(below);
                }
            }
            Step::CutPower => {
                self.machine.cut_power();
                return self.end(End::Power);
            }
            Step::Kill => return self.end(End::Killed),
            Step::Close => {
                self.look();
                let Some(bench) = self.bench.take() else { return Ok(()) };
                let life = bench.life;
                if bench.close().is_ok() {
                    self.durable = self.appended.len() as u64 + 1;
                    self.written = self.durable;
                }
                let has_died = self.machine.is_dead(life);
                return self.end(if has_died { End::Power } else { End::Killed });
            }
            Step::CutAfter(steps) => faults.cut_after = Some(steps),
            Step::SyncFailsAfter(steps) => faults.sync_fails_after = Some(steps),
            Step::WriteFailsAfter(steps) => faults.write_fails_after = Some(steps),
            Step::Full(capacity) => faults.capacity = Some(capacity),
            Step::Room => faults.capacity = None,
        }
        let is_fault =
            !matches!(step, Step::Append(_) | Step::Turn | Step::Sync | Step::Truncate(_));
        if is_fault {
            self.machine.set(faults);
        }
        self.look();
        Ok(())
    }

    /// Notes what the journal says.
    fn look(&mut self) {
        let Some(bench) = &self.bench else { return };
        let shared = &bench.journal.shared;
        let (written, synced) = shared.progress();
        self.durable = self.durable.max(synced);
        self.written = self.written.max(written);
    }

    fn end(&mut self, end: End) -> Outcome {
        self.look();
        let has_died = self.bench.as_ref().is_some_and(Bench::has_died);
        if end == End::Power || has_died {
            self.written = self.durable;
        }
        self.bench = None;
        self.machine.kill();
        self.open()
    }

    fn open(&mut self) -> Outcome {
        let bench = loop {
            let life = self.machine.life();
            match Bench::open(&self.machine, self.settings) {
                Ok(bench) => break bench,
                Err(_) if self.machine.is_dead(life) => self.written = self.durable,
                Err(error) if error.kind() == ErrorKind::Internal => {
                    self.machine.kill();
                    self.machine.set(Faults::default());
                }
                Err(error) => {
                    return Err(TestCaseError::fail(format!("accused: {}", error.chain())));
                }
            }
        };
        let standing = bench.journal.standing();
        // What is gone was not promised, and what is there was appended.
        prop_assert!(standing.next >= self.written, "{standing:?}, written: {}", self.written);
        prop_assert!(standing.next <= self.appended.len() as u64 + 1, "{:?}", standing);
        prop_assert!(standing.first <= self.truncated, "{:?} {}", standing, self.truncated);
        let mut expected = standing.first;
        for record in bench.journal.read_from(0).map_err(|e| TestCaseError::fail(e.chain()))? {
            let record = record.map_err(|error| TestCaseError::fail(error.chain()))?;
            prop_assert_eq!(record.number, expected);
            let appended = &self.appended[usize::try_from(expected - 1).unwrap()];
            prop_assert!(record.bytes == *appended, "record {} is another one", expected);
            expected += 1;
        }
        prop_assert_eq!(expected, standing.next);
        prop_assert!(standing.bytes <= self.settings.bytes_max + 2048);
        self.appended.truncate(usize::try_from(standing.next - 1).unwrap());
        self.durable = standing.next;
        self.written = standing.next;
        self.bench = Some(bench);
        Ok(())
    }
}

/// Runs a program, then ends it in a power cut.
pub(crate) fn run(
    random: u64,
    durability: Durability,
    omit: Option<Omit>,
    steps: &[Step],
) -> Outcome {
    let mut model = Model::new(random, durability, omit)?;
    for &step in steps {
        model.step(step)?;
    }
    model.machine.set(Faults::default());
    model.step(Step::CutPower)?;
    model.step(Step::Kill)
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![Just(0), Just(40), Just(600), 0..1500_usize];
    let step = prop_oneof![
        30 => length.prop_map(Step::Append),
        20 => Just(Step::Turn),
        3 => Just(Step::Sync),
        5 => (0..6_u64).prop_map(Step::Truncate),
        2 => Just(Step::CutPower),
        2 => Just(Step::Kill),
        2 => Just(Step::Close),
        3 => (0..12_u64).prop_map(Step::CutAfter),
        2 => (0..6_u64).prop_map(Step::SyncFailsAfter),
        1 => (0..6_u64).prop_map(Step::WriteFailsAfter),
        1 => (8192..20_000_usize).prop_map(Step::Full),
        1 => Just(Step::Room),
    ];
    vec(step, 0..80)
}

const HOUR: Durability = Durability::Interval(std::time::Duration::from_secs(3600));

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_durable_is_lost(random: u64, steps in steps()) {
        run(random, Durability::Fsync, None, &steps)?;
    }

    #[test]
    fn in_an_interval_nothing_synced_is_lost(random: u64, steps in steps()) {
        run(random, HOUR, None, &steps)?;
    }

    #[test]
    fn in_memory_nothing_written_is_lost_by_a_kill(random: u64, steps in steps()) {
        run(random, Durability::Memory, None, &steps)?;
    }

    /// Whatever a disk makes up, what is read was appended, no number is there twice, and what is
    /// said to be lost is. What is accepted once isn't complained about again.
    #[test]
    fn a_disk_that_lies_is_believed_in_nothing(
        random: u64,
        batches in vec((vec(0..700_usize, 1..5), any::<bool>()), 1..20),
    ) {
        let machine = Machine::new(random);
        let mut bench = Bench::open(&machine, settings()).unwrap();
        let mut durable = 1;
        for (lengths, lies) in &batches {
            machine.set(Faults { syncs_lie: *lies, ..Faults::default() });
            bench.commit(lengths);
            durable = bench.journal.durable_below();
        }
        machine.cut_power();
        drop(bench);
        let opened = Bench::open(&machine, settings());
        if let Ok(bench) = &opened {
            let next = bench.journal.standing().next;
            prop_assert_eq!(bench.numbers(), (1..next).collect::<Vec<_>>());
            // The last one who could know of more was lost too.
            let lied = batches.iter().rev().take_while(|(_, lies)| *lies);
            let end: usize = lied.map(|(lengths, _)| lengths.len()).sum();
            prop_assert!(next >= durable - end as u64, "{} of {}", next, durable);
        } else {
            let damage = super::bench::damage(opened);
            let accepting = Settings { accept_loss: true, ..settings() };
            let bench = Bench::open(&machine, accepting).unwrap();
            let next = bench.journal.standing().next;
            prop_assert!(next <= durable);
            let is_lost = |number| damage.lost.iter().any(|lost| lost.contains(&number));
            let left: Vec<_> = (1..next).filter(|&number| !is_lost(number)).collect();
            prop_assert_eq!(bench.numbers(), left.clone());
            drop(bench);
            let bench = Bench::open(&machine, settings()).unwrap();
            prop_assert_eq!(bench.numbers(), left);
        }
    }
}
