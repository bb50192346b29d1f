//! Many replays of one trace, each contender at each size, on as many threads as wanted.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::{Contender, Future, Outcome, Requests, Size, Unit};

/// Who is compared, and at which sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// The caches' sizes.
    pub sizes: Vec<Size>,
    /// Who is compared.
    pub contenders: Vec<Contender>,
}

/// What a study came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Who was compared.
    pub contenders: Vec<Contender>,
    /// What each came to, size by size.
    pub rows: Vec<Row>,
    /// Which part of all keys was replayed.
    pub sample: f64,
}

/// What all came to at one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The size, as it was given.
    pub size: Size,
    /// In what the capacity is measured.
    pub unit: Unit,
    /// How large a cache over all keys has these outcomes.
    pub capacity: u64,
    /// How large it was over the sampled keys.
    pub capacity_sampled: u64,
    /// One for each contender.
    pub outcomes: Vec<Outcome>,
}

impl Study {
    /// How many requests [`run`](Self::run) replays, for showing its progress.
    pub fn work(&self, requests: &Requests) -> u64 {
        (self.sizes.len() * self.contenders.len()) as u64 * requests.len() as u64
    }

    /// Replays the requests through each contender at each size, `threads` at once.
    ///
    /// `progress` is told now and then, by any thread, how many more requests were replayed.
    ///
    /// Memory: that of `threads` replays, and 4 bytes a request for the optimum.
    ///
    /// # Panics
    ///
    /// When a policy does.
    pub fn run(
        &self,
        requests: &Requests,
        threads: NonZero<usize>,
        progress: &(impl Fn(u64) + Sync),
    ) -> Results {
        let optimum = self.contenders.contains(&Contender::Belady);
        let future = optimum.then(|| Future::of(requests));
        let mut rows: Vec<Row> = self.sizes.iter().map(|size| Row::new(*size, requests)).collect();
        // The largest caches take the longest, and nobody should wait for the last alone.
        let mut jobs: Vec<(usize, usize)> = (0..rows.len())
            .flat_map(|row| (0..self.contenders.len()).map(move |column| (row, column)))
            .collect();
        jobs.sort_by_key(|&(row, _)| std::cmp::Reverse(rows[row].capacity_sampled));
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(&(row, column)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (unit, capacity) = (rows[row].unit, rows[row].capacity_sampled);
                let contender = self.contenders[column];
                let outcome = contender.run(requests, future.as_ref(), unit, capacity, progress);
                done.push((row, column, outcome));
            }
            done
        };
        let done: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
            let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
            joined
                .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        for row in &mut rows {
            row.outcomes = vec![Outcome::default(); self.contenders.len()];
        }
        for (row, column, outcome) in done {
            rows[row].outcomes[column] = outcome;
        }
        Results { contenders: self.contenders.clone(), rows, sample: requests.sample() }
    }
}

impl Row {
    fn new(size: Size, requests: &Requests) -> Self {
        Self {
            size,
            unit: size.unit(),
            capacity: size.capacity(requests),
            capacity_sampled: size.capacity_sampled(requests),
            outcomes: Vec::new(),
        }
    }
}
