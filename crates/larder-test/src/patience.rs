//! How long tests wait for what they expect, and the wait itself.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a test waits for something that it expects. A machine that has other things to do is
/// slow, and only what will never come should fail a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long is waited between two looks.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Waits until something has happened. It blocks its thread.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let is_done = AtomicBool::new(false);
/// std::thread::scope(|scope| {
///     scope.spawn(|| is_done.store(true, Ordering::Release));
///     larder_test::until("the other thread is done", || is_done.load(Ordering::Acquire));
/// });
/// ```
///
/// # Panics
///
/// When that takes longer than [`PATIENCE`], with `what` was waited for.
#[track_caller]
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "waited in vain for {PATIENCE:?} until {what}");
        sleep(BETWEEN_LOOKS);
    }
}
