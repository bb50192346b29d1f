//! The crowd that reads accounts, who announces, and who watches what is held.
//!
//! It knows the larders' protocol, and not what happens to Redis but by the phase it is told.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::report::count;
use super::stage::{ACCOUNTS, HOT, Stage};
use super::{Outage, Plan};
use crate::fleet::load::{Client, Draw, End};
use crate::{Larder, Reply};

/// How long anybody waits for an answer: so much longer than the deadline that a reply which comes
/// too late is seen and measured.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a watcher rests between two reads.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
/// How long a writer rests between two announcements.
const BETWEEN_ANNOUNCEMENTS: Duration = Duration::from_millis(50);
/// How long one rests who was refused: whoever comes back at once makes no sense of it.
const REFUSED_REST: Duration = Duration::from_millis(20);

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    There,
    StillThere,
    Away,
    Unmeasured,
}

/// How many phases are measured.
const MEASURED: usize = Phase::Unmeasured as usize;

pub(super) struct Load<'a> {
    plan: &'a Plan,
    stage: &'a Stage,
    phase: AtomicU8,
    over: AtomicBool,
    /// How long reads of what is held took, by phase.
    waits: [Mutex<Vec<u64>>; MEASURED],
    met: Mutex<Outage>,
}

impl<'a> Load<'a> {
    pub(super) fn new(plan: &'a Plan, stage: &'a Stage) -> Self {
        let phase = AtomicU8::new(Phase::Unmeasured as u8);
        let waits = Default::default();
        Self { plan, stage, phase, over: AtomicBool::new(false), waits, met: Mutex::default() }
    }

    /// Keeps everybody busy while `meanwhile` runs, and until they have ended.
    pub(super) fn run<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            // Also when `meanwhile` panics: the scope waits for all threads.
            let _end = End(&self.over);
            for (seed, larder) in self.stage.larders.iter().enumerate() {
                for reader in 0..self.plan.readers_each {
                    scope.spawn(move || self.read(larder, Draw((seed << 32 | reader) as u64)));
                }
                for watcher in 0..self.plan.watchers_each {
                    scope.spawn(move || self.watch(larder, Draw((watcher << 16) as u64)));
                }
                scope.spawn(move || self.announce(larder, Draw((seed << 8) as u64)));
            }
            meanwhile()
        })
    }

    /// What is measured from now on belongs to this phase.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// What was measured in each phase, which is forgotten here.
    pub(super) fn take(&self) -> [Vec<u64>; MEASURED] {
        self.waits.each_ref().map(|waits| std::mem::take(&mut *lock(waits)))
    }

    /// What everybody met.
    pub(super) fn outage(&self) -> Outage {
        lock(&self.met).clone()
    }

    fn read(&self, larder: &Larder, mut draw: Draw) {
        let mut client = Client { larder, patience: PATIENCE, connection: None };
        while !self.is_over() {
            let key = format!("account:{}", 1 + draw.below(ACCOUNTS));
            let (began, phase) = (Instant::now(), self.phase());
            let reply = client.ask(&["GET", &key]);
            let took = began.elapsed();
            let rest = {
                let mut met = lock(&self.met);
                met.slowest = met.slowest.max(took);
                match reply {
                    Ok((_, Reply::Bulk(_))) => {
                        let is_away = phase == Phase::Away as u8;
                        met.answered[usize::from(is_away)] += 1;
                        self.plan.between_reads
                    }
                    Ok((_, Reply::Error(text))) | Err(text) => {
                        count(&mut met.refused, &text);
                        REFUSED_REST
                    }
                    Ok(_) => {
                        met.odd += 1;
                        REFUSED_REST
                    }
                }
            };
            sleep(rest);
        }
    }

    fn announce(&self, larder: &Larder, mut draw: Draw) {
        let mut client = Client { larder, patience: PATIENCE, connection: None };
        while !self.is_over() {
            let key = format!("account:{}", 1 + draw.below(ACCOUNTS));
            let reply = client.ask(&["LARDER.INVALIDATE", "KEYS", &key]);
            {
                let mut met = lock(&self.met);
                match reply {
                    Ok((_, Reply::Integer(_))) => met.announced += 1,
                    Ok((_, Reply::Error(text))) | Err(text) => count(&mut met.unannounced, &text),
                    Ok(_) => met.odd += 1,
                }
            }
            sleep(BETWEEN_ANNOUNCEMENTS);
        }
    }

    fn watch(&self, larder: &Larder, mut draw: Draw) {
        let mut client = Client { larder, patience: PATIENCE, connection: None };
        while !self.is_over() {
            let key = format!("hot:{}", 1 + draw.below(HOT));
            let (began, phase) = (Instant::now(), self.phase());
            let reply = client.ask(&["GET", &key]);
            let took = began.elapsed();
            if let Some(waits) = self.waits.get(usize::from(phase)) {
                match reply {
                    Ok((_, Reply::Bulk(_))) => lock(waits).push(took.as_nanos() as u64),
                    // What is held and fresh is answered, come what may.
                    Ok((_, Reply::Error(text))) | Err(text) => {
                        count(&mut lock(&self.met).refused, &format!("hot: {text}"));
                    }
                    Ok(_) => lock(&self.met).odd += 1,
                }
            }
            sleep(BETWEEN_LOOKS);
        }
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::SeqCst)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
