//! Tickets of clients that load for themselves, where there is a shared tier: each may hold the
//! lease of its key there, for whose fill others wait.
//!
//! A ticket is found by its token, once, from whichever connection of this server. It is given back
//! when the client that took it goes, and forgotten when its lease is over. There are at most
//! [`TICKETS_MAX`]: the oldest is given back for a further one. The token of a ticket that is gone
//! fills nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use larder_core::sync::Mutex;
use larder_core::{Key, Moment, Value};
use larder_engine::{Ticket, Token};

/// So many tickets are kept.
const TICKETS_MAX: usize = 16_384;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    tickets: HashMap<Token, One>,
    /// By their age.
    by_number: BTreeMap<u64, Token>,
    by_session: BTreeSet<(u64, u64)>,
    last: u64,
}

#[derive(Debug)]
struct One {
    ticket: Ticket<Key, Value>,
    session: u64,
    number: u64,
    until: Moment,
}

impl Tickets {
    /// Keeps the ticket of a session.
    pub(crate) fn keep(&self, session: u64, ticket: Ticket<Key, Value>, now: Moment) {
        self.keep_of(session, ticket, now, TICKETS_MAX);
    }

    fn keep_of(&self, session: u64, ticket: Ticket<Key, Value>, now: Moment, max: usize) {
        let until = ticket.ends_at();
        let mut gone = Vec::new();
        let mut kept = self.0.lock();
        let token = ticket.token();
        gone.extend(kept.take(&token));
        while let Some((_, oldest)) = kept.by_number.first_key_value() {
            let oldest = *oldest;
            let is_over = kept.tickets.get(&oldest).is_none_or(|one| one.until <= now);
            if !is_over && kept.tickets.len() < max {
                break;
            }
            let one = kept.take(&oldest);
            gone.extend(one.filter(|_| !is_over));
        }
        kept.last += 1;
        let number = kept.last;
        kept.by_number.insert(number, token);
        kept.by_session.insert((session, number));
        kept.tickets.insert(token, One { ticket, session, number, until });
        drop(kept);
        gone.into_iter().for_each(|one| one.ticket.give_back());
    }

    /// Takes the ticket of this token, if it is kept.
    pub(crate) fn take(&self, token: &Token) -> Option<Ticket<Key, Value>> {
        self.0.lock().take(token).map(|one| one.ticket)
    }

    /// Gives back what a session took and hasn't used.
    pub(crate) fn leave(&self, session: u64) {
        let mut kept = self.0.lock();
        let numbers: Vec<u64> = kept
            .by_session
            .range((session, 0)..=(session, u64::MAX))
            .map(|&(_, number)| number)
            .collect();
        let tokens: Vec<Token> =
            numbers.iter().filter_map(|number| kept.by_number.get(number).copied()).collect();
        let gone: Vec<One> = tokens.iter().filter_map(|token| kept.take(token)).collect();
        drop(kept);
        gone.into_iter().for_each(|one| one.ticket.give_back());
    }
}

impl Kept {
    fn take(&mut self, token: &Token) -> Option<One> {
        let one = self.tickets.remove(token)?;
        self.by_number.remove(&one.number);
        self.by_session.remove(&(one.session, one.number));
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use larder_core::Clock;
    use larder_engine::runtime::TokioSpawn;
    use larder_engine::{Cache, Engine, Lookup, Raw, Sharing};
    use larder_test::{ManualClock, SimShared};

    use super::*;

    struct Bench {
        clock: ManualClock,
        server: SimShared,
        cache: Cache<Key, Value>,
        tickets: Tickets,
    }

    impl Bench {
        async fn new() -> Self {
            let clock = ManualClock::new();
            let server = SimShared::new(Arc::new(clock.clone()));
            let spawn = TokioSpawn::current().unwrap();
            let engine = Engine::new(Arc::new(clock.clone()), Arc::new(spawn));
            let client = Arc::new(server.client());
            engine.share(Sharing::over(client.clone()).own_bus(client)).await.unwrap();
            let cache = Cache::builder("user")
                .engine(&engine)
                .shared(Raw)
                .max_staleness(Duration::from_secs(60))
                .build()
                .unwrap();
            let bench = Self { clock, server, cache, tickets: Tickets::default() };
            bench.settle().await;
            bench
        }

        async fn settle(&self) {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }

        /// A ticket that a session keeps, of so many at most.
        async fn lease(&self, session: u64, key: &str, max: usize) -> Token {
            let Lookup::Miss(ticket) = self.cache.lookup(&Key::from(key)).await else {
                panic!("{key} is held")
            };
            let token = ticket.token();
            self.tickets.keep_of(session, ticket, self.clock.now(), max);
            self.settle().await;
            token
        }

        fn is_leased(&self, key: &str) -> bool {
            self.server.lease_held(format!("user/{key}").as_bytes())
        }

        fn sizes(&self) -> [usize; 3] {
            let kept = self.tickets.0.lock();
            [kept.tickets.len(), kept.by_number.len(), kept.by_session.len()]
        }
    }

    #[tokio::test]
    async fn at_the_bound_the_oldest_is_given_back() {
        let bench = Bench::new().await;
        let first = bench.lease(1, "a", 2).await;
        let second = bench.lease(1, "b", 2).await;
        assert!(bench.is_leased("a") && bench.is_leased("b"));
        bench.lease(2, "c", 2).await;
        assert!(!bench.is_leased("a") && bench.is_leased("b") && bench.is_leased("c"));
        assert_eq!(bench.sizes(), [2; 3]);
        assert!(bench.tickets.take(&first).is_none());
        assert!(bench.tickets.take(&second).is_some());
        assert!(bench.tickets.take(&second).is_none(), "a token is good once");
        assert_eq!(bench.sizes(), [1; 3]);
    }

    #[tokio::test]
    async fn what_a_session_leaves_is_given_back_and_nobody_elses() {
        let bench = Bench::new().await;
        for (session, key) in [(1, "a"), (2, "b"), (1, "c"), (3, "d")] {
            bench.lease(session, key, 10).await;
        }
        bench.tickets.leave(1);
        bench.settle().await;
        let leased = ["a", "b", "c", "d"].map(|key| bench.is_leased(key));
        assert_eq!(leased, [false, true, false, true]);
        assert_eq!(bench.sizes(), [2; 3]);
        bench.tickets.leave(1);
        assert_eq!(bench.sizes(), [2; 3]);
    }

    #[tokio::test]
    async fn what_has_ended_is_forgotten() {
        let bench = Bench::new().await;
        let old = bench.lease(1, "a", 10).await;
        bench.clock.advance(Duration::from_secs(3600));
        bench.lease(1, "b", 10).await;
        assert!(bench.tickets.take(&old).is_none());
        assert_eq!(bench.sizes(), [1; 3]);
    }
}
