//! Whether a database can be reached, shared by everyone who wants a connection.
//!
//! While it can, connections are opened side by side. Once one could not be opened, the database
//! is *down*: for a short while nobody tries and everybody fails at once; then one of them
//! tries, and the others wait for what it finds. So a database that is down costs each load at
//! most one attempt, however many loads there are, and it is asked a few times a second at most.
//!
//! It knows nothing about connections.

use std::time::Duration;

use larder_core::Error;
use larder_core::sync::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a database that is down is left alone between two attempts.
pub(crate) const REST: Duration = Duration::from_millis(250);

/// The shared knowledge.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    state: Mutex<State>,
    /// Told when an attempt on a database that is down has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Up,
    Down {
        error: Error,
        again: Instant,
        /// Somebody is trying.
        trying: bool,
    },
}

impl Reach {
    /// Waits until the caller may try to connect, or fails as the last attempt did.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind; dropping the [`Attempt`] lets another try.
    pub(crate) async fn attempt(&self) -> Result<Attempt<'_>, Error> {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Enabled before the state is looked at: an attempt that ends in between is heard.
            ended.as_mut().enable();
            match &mut *self.state.lock() {
                State::Up => {
                    return Ok(Attempt { reach: self, probes: false });
                }
                State::Down { error, again, trying: false } if Instant::now() < *again => {
                    return Err(error.clone());
                }
                State::Down { trying: trying @ false, .. } => {
                    *trying = true;
                    return Ok(Attempt { reach: self, probes: true });
                }
                State::Down { trying: true, .. } => {}
            }
            ended.await;
        }
    }
}

/// The right to try once.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    reach: &'a Reach,
    /// Others wait for this one.
    probes: bool,
}

impl Attempt<'_> {
    /// The database was reached.
    pub(crate) fn succeeded(mut self) {
        self.end(State::Up);
    }

    /// It was not.
    pub(crate) fn failed(mut self, error: &Error) {
        let again = Instant::now() + REST;
        self.end(State::Down { error: error.clone(), again, trying: false });
    }

    fn end(&mut self, state: State) {
        let mut current = self.reach.state.lock();
        // An attempt that began before the database was found down knows less than the one that
        // is looking now.
        let outdated = !self.probes && matches!(*current, State::Down { trying: true, .. });
        if !outdated || matches!(state, State::Up) {
            *current = state;
        }
        self.probes = false;
        drop(current);
        self.reach.ended.notify_waiters();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.probes {
            if let State::Down { trying, .. } = &mut *self.reach.state.lock() {
                *trying = false;
            }
            self.reach.ended.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use larder_core::ErrorKind;

    use super::*;

    fn down() -> Error {
        Error::new(ErrorKind::SourceDown, "down")
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_everybodys_until_the_rest_is_over() {
        let reach = Reach::default();
        let (first, second) = (reach.attempt().await.unwrap(), reach.attempt().await.unwrap());
        first.failed(&down());
        assert!(reach.attempt().await.is_err());
        // A slower success counts for more than the failure.
        second.succeeded();
        assert!(reach.attempt().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_tries_and_the_others_learn_what_it_found() {
        let reach = Reach::default();
        reach.attempt().await.unwrap().failed(&down());
        tokio::time::advance(REST).await;
        let probe = reach.attempt().await.unwrap();
        let (waited, ()) = tokio::join!(reach.attempt(), async {
            tokio::task::yield_now().await;
            probe.failed(&down());
        });
        assert!(waited.is_err());
        tokio::time::advance(REST).await;
        let probe = reach.attempt().await.unwrap();
        let (waited, ()) = tokio::join!(reach.attempt(), async {
            tokio::task::yield_now().await;
            probe.succeeded();
        });
        assert!(waited.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_lets_another_try() {
        let reach = Reach::default();
        reach.attempt().await.unwrap().failed(&down());
        tokio::time::advance(REST).await;
        let probe = reach.attempt().await.unwrap();
        let (waited, ()) = tokio::join!(reach.attempt(), async {
            tokio::task::yield_now().await;
            drop(probe);
        });
        assert!(waited.unwrap().probes);
    }
}
