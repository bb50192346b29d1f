//! The clock of a process: it is turned, and what it makes happen is waited for.

use std::pin::pin;
use std::time::{Duration, Instant};

use larder_test::PATIENCE;

use crate::mode::Level;
use crate::process::{LONG, Process};

/// How often a process proves that it has heard everything.
const STEP: Duration = Duration::from_millis(200);
/// While somebody waits for an answer the clock goes this much in each pause: slower than time, so
/// that a busy machine makes nothing late.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
const PER_PAUSE: Duration = Duration::from_millis(5);

impl Process {
    /// Hears everything that was announced so far: what it says itself comes back behind it.
    pub(crate) async fn catch_up(&self) {
        self.turn(STEP, true).await;
    }

    /// Turns its clock; its horizon follows where announcements arrive.
    pub(crate) async fn turn(&self, time: Duration, hears: bool) {
        for _ in 0..time.as_millis().div_ceil(STEP.as_millis()) {
            self.clock.advance(STEP);
            if hears {
                until("the horizon follows", || self.horizon_age() < STEP).await;
            } else {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    /// Turns its clock step by step until something is done.
    pub(crate) async fn turn_until(&self, what: &str, done: impl Fn() -> bool) {
        let since = Instant::now();
        while !done() {
            assert!(since.elapsed() < PATIENCE, "turned the clock in vain until {what}");
            self.clock.advance(STEP);
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn horizon_age(&self) -> Duration {
        self.engine.shared_stats().unwrap().horizon_age.unwrap_or(LONG)
    }

    /// Announcements reach it.
    pub(crate) async fn joined(&self) {
        if self.mode.level != Level::Alone {
            self.turn_until("the horizon is known", || self.horizon_age() < STEP).await;
        }
    }

    /// Announcements reach it again: those from before, too.
    pub(crate) async fn joined_again(&self) {
        self.clock.advance(STEP);
        self.joined().await;
    }

    /// Waits for an answer, and lets its clock go meanwhile.
    pub(crate) async fn drive<T>(&self, answer: impl Future<Output = T>) -> T {
        let (since, mut answer) = (Instant::now(), pin!(answer));
        loop {
            match tokio::time::timeout(PAUSE, &mut answer).await {
                Ok(answer) => return answer,
                Err(_) => self.clock.advance(PER_PAUSE),
            }
            assert!(since.elapsed() < PATIENCE, "no answer");
        }
    }
}

/// Waits for what other tasks and servers do.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
