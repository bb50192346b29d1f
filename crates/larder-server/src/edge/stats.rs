//! What an edge counts, beside what its cache does.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counts of one edge.
#[derive(Debug, Default)]
pub struct EdgeStats {
    clients: AtomicU64,
    connections: AtomicU64,
    refused_clients: AtomicU64,
    slow_clients: AtomicU64,
    answers: [AtomicU64; 5],
    refused: AtomicU64,
    origin_requests: AtomicU64,
    origin_errors: AtomicU64,
    origin_retries: AtomicU64,
    origin_busy: AtomicU64,
    purges: AtomicU64,
    purges_refused: AtomicU64,
    webhook_posted: AtomicU64,
    webhook_failed: AtomicU64,
    webhook_waiting: AtomicU64,
}

/// A moment's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeCounts {
    /// Clients that are connected.
    pub clients: u64,
    /// Connections that were accepted.
    pub connections: u64,
    /// Clients that were one too many.
    pub refused_clients: u64,
    /// Clients that were disconnected because they took nothing.
    pub slow_clients: u64,
    /// Answers, by the first digit of their status, from 1 on.
    pub answers: [u64; 5],
    /// Requests that were answered without asking cache or origin.
    pub refused: u64,
    /// Requests to the origin.
    pub origin_requests: u64,
    /// Those that it didn't answer.
    pub origin_errors: u64,
    /// Those that were sent once more.
    pub origin_retries: u64,
    /// Requests that weren't sent because too many were with it.
    pub origin_busy: u64,
    /// Purges that were carried out.
    pub purges: u64,
    /// Purges that weren't permitted.
    pub purges_refused: u64,
    /// Purges that the webhook took.
    pub webhook_posted: u64,
    /// Purges that it didn't.
    pub webhook_failed: u64,
    /// Purges that wait to be told.
    pub webhook_waiting: u64,
}

impl EdgeStats {
    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> EdgeCounts {
        let of = |count: &AtomicU64| count.load(Relaxed);
        EdgeCounts {
            clients: of(&self.clients),
            connections: of(&self.connections),
            refused_clients: of(&self.refused_clients),
            slow_clients: of(&self.slow_clients),
            answers: self.answers.each_ref().map(of),
            refused: of(&self.refused),
            origin_requests: of(&self.origin_requests),
            origin_errors: of(&self.origin_errors),
            origin_retries: of(&self.origin_retries),
            origin_busy: of(&self.origin_busy),
            purges: of(&self.purges),
            purges_refused: of(&self.purges_refused),
            webhook_posted: of(&self.webhook_posted),
            webhook_failed: of(&self.webhook_failed),
            webhook_waiting: of(&self.webhook_waiting),
        }
    }

    pub(crate) fn connected(&self) {
        self.clients.fetch_add(1, Relaxed);
        self.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.clients.fetch_sub(1, Relaxed);
    }

    pub(crate) fn refused_client(&self) {
        self.refused_clients.fetch_add(1, Relaxed);
    }

    pub(crate) fn slow_client(&self) {
        self.slow_clients.fetch_add(1, Relaxed);
    }

    pub(super) fn answered(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(count) = class.checked_sub(1).and_then(|class| self.answers.get(class)) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn asked(&self) {
        self.origin_requests.fetch_add(1, Relaxed);
    }

    pub(super) fn origin_failed(&self) {
        self.origin_errors.fetch_add(1, Relaxed);
    }

    pub(super) fn retried(&self) {
        self.origin_retries.fetch_add(1, Relaxed);
    }

    pub(super) fn busy(&self) {
        self.origin_busy.fetch_add(1, Relaxed);
    }

    pub(super) fn purged(&self) {
        self.purges.fetch_add(1, Relaxed);
    }

    pub(super) fn purge_refused(&self) {
        self.purges_refused.fetch_add(1, Relaxed);
    }

    pub(super) fn webhook_posted(&self, many: usize) {
        self.webhook_posted.fetch_add(many as u64, Relaxed);
    }

    pub(super) fn webhook_failed(&self, many: usize) {
        self.webhook_failed.fetch_add(many as u64, Relaxed);
    }

    pub(super) fn webhook_waits(&self, many: usize) {
        self.webhook_waiting.store(many as u64, Relaxed);
    }
}
