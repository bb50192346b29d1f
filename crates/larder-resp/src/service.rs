//! What all sessions of a server share: the keyspace, the password, and the counts that INFO
//! reports.

use std::fmt;
use std::sync::Arc;

use larder_core::sync::{AtomicU64, AtomicUsize, Counter, Ordering};
use larder_core::{Key, Moment, Value};
use larder_engine::{Engine, Slot};
use larder_memory::Memory;
use subtle::ConstantTimeEq;

use crate::keyspace::Keyspace;

/// What the protocol can't know by itself about the process that it runs in.
pub trait Host: Send + Sync + 'static {
    /// How many bytes of memory the process occupies; 0 where that can't be told.
    fn resident_bytes(&self) -> u64;

    /// How many seconds of CPU time the process has used, in the program and in the kernel.
    fn cpu_seconds(&self) -> (f64, f64);

    /// The number of the process.
    fn process_id(&self) -> u32;

    /// The port that clients connect to.
    fn port(&self) -> u16;
}

/// The server, as its sessions see it.
pub struct Service {
    pub(crate) keyspace: Keyspace,
    pub(crate) engine: Engine,
    pub(crate) memory: Arc<Memory<Key, Slot<Value>>>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) started: Moment,
    pub(crate) counts: Counts,
    password: Option<Password>,
}

/// What the sessions count together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commands: Counter,
    pub(crate) sessions: AtomicU64,
    pub(crate) refused: Counter,
    pub(crate) input_bytes: Counter,
    pub(crate) output_bytes: Counter,
    pub(crate) connected: AtomicUsize,
}

impl Service {
    /// A server over this keyspace. `memory` is the tier that all its caches and plain keys
    /// share.
    pub fn new(
        keyspace: Keyspace,
        engine: &Engine,
        memory: Arc<Memory<Key, Slot<Value>>>,
        host: Arc<dyn Host>,
    ) -> Self {
        let started = engine.clock().now();
        let engine = engine.clone();
        let counts = Counts::default();
        Self { keyspace, engine, memory, host, started, counts, password: None }
    }

    /// Asks every client for this password first.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = Some(Password(password.as_bytes().into()));
        self
    }

    /// The keys that it answers for.
    pub fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// The tier that all its caches and plain keys share.
    pub fn memory(&self) -> &Memory<Key, Slot<Value>> {
        &self.memory
    }

    /// How many clients are connected.
    pub fn connected(&self) -> usize {
        self.counts.connected.load(Ordering::Relaxed)
    }

    /// How many commands were executed so far.
    pub fn commands(&self) -> u64 {
        self.counts.commands.get()
    }

    /// How many connections were accepted so far.
    pub fn sessions(&self) -> u64 {
        self.counts.sessions.load(Ordering::Relaxed)
    }

    /// How many connections were refused so far because too many were open.
    pub fn refused(&self) -> u64 {
        self.counts.refused.get()
    }

    /// Counts a connection that was refused because too many were open.
    pub fn refuse_client(&self) {
        self.counts.refused.add(1);
    }

    /// Counts bytes that came in.
    pub fn count_input(&self, bytes: usize) {
        self.counts.input_bytes.add(bytes as u64);
    }

    /// Counts bytes that go out.
    pub fn count_output(&self, bytes: usize) {
        self.counts.output_bytes.add(bytes as u64);
    }

    pub(crate) fn asks_password(&self) -> bool {
        self.password.is_some()
    }

    pub(crate) fn accepts(&self, password: &[u8]) -> bool {
        self.password.as_ref().is_none_or(|own| own.is(password))
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("keyspace", &self.keyspace).finish_non_exhaustive()
    }
}

/// A password that shows itself to nobody and compares in constant time.
struct Password(Box<[u8]>);

impl Password {
    fn is(&self, given: &[u8]) -> bool {
        bool::from(self.0.ct_eq(given))
    }
}
