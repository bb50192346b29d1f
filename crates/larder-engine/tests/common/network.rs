//! Several processes in one test: each an engine of its own, over one server in memory, one source
//! and one clock.

use std::sync::Arc;
use std::time::Duration;

use larder_core::Changes;
use larder_core::envelope::Envelope;
use larder_engine::runtime::TokioSpawn;
use larder_engine::{Cache, CacheBuilder, Engine, MessagePack, Sharing, SharingBounds};
use larder_test::{ManualClock, SimClient, SimShared, TestSource};

use super::{Numbers, settle};

/// What all processes have in common.
pub(crate) struct Network {
    pub(crate) clock: ManualClock,
    pub(crate) server: SimShared,
    pub(crate) source: TestSource<u64, u64>,
}

/// One process.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    pub(crate) client: SimClient,
    source: TestSource<u64, u64>,
}

impl Network {
    /// A source that squares.
    pub(crate) fn new() -> Self {
        Self::with(TestSource::answering(|key: &u64| key.checked_mul(*key)))
    }

    pub(crate) fn with(source: TestSource<u64, u64>) -> Self {
        Self::over(source, |server| server)
    }

    /// Over a server that is made otherwise.
    pub(crate) fn over(
        source: TestSource<u64, u64>,
        server: impl FnOnce(SimShared) -> SimShared,
    ) -> Self {
        let clock = ManualClock::new();
        let server = server(SimShared::new(Arc::new(clock.clone())));
        Self { clock, server, source }
    }

    /// One more process, which has joined.
    pub(crate) async fn process(&self) -> Process {
        let process = self.alone();
        let sharing = own(&process.client);
        process.engine.share(sharing).await.unwrap();
        settle().await;
        process
    }

    /// One whose bounds are others.
    pub(crate) async fn process_with(&self, bounds: SharingBounds) -> Process {
        let process = self.alone();
        let sharing = own(&process.client).bounds(bounds);
        process.engine.share(sharing).await.unwrap();
        settle().await;
        process
    }

    /// One that shares the tier and has no bus.
    pub(crate) async fn process_without_bus(&self) -> Process {
        let process = self.alone();
        let sharing = Sharing::over(Arc::new(process.client.clone()));
        process.engine.share(sharing).await.unwrap();
        settle().await;
        process
    }

    /// One that shares nothing yet.
    pub(crate) fn alone(&self) -> Process {
        let spawn = TokioSpawn::current().unwrap();
        let engine = Engine::new(Arc::new(self.clock.clone()), Arc::new(spawn));
        Process { engine, client: self.server.client(), source: self.source.clone() }
    }

    /// Lets time pass, and everybody do what they do meanwhile.
    pub(crate) async fn pass(&self, time: Duration) {
        const STEP: Duration = Duration::from_millis(20);
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(STEP);
            self.clock.advance(step);
            left -= step;
            settle().await;
        }
    }

    /// What the server holds of a key of the caches here.
    pub(crate) fn held(&self, key: u64) -> Option<Envelope> {
        let bytes = self.server.held(&name(key))?;
        Some(Envelope::decode(&bytes).unwrap())
    }
}

/// The name of a key in the server.
pub(crate) fn name(key: u64) -> Vec<u8> {
    format!("numbers/{key}").into_bytes()
}

impl Process {
    /// A builder of a shared cache over the source, without jitter.
    pub(crate) fn builder(&self) -> CacheBuilder<u64, u64> {
        Cache::builder("numbers")
            .engine(&self.engine)
            .source(self.source.clone())
            .jitter(Duration::ZERO)
            .shared(MessagePack)
    }

    /// A shared cache whose changes are announced, and which promises two seconds.
    pub(crate) fn two_seconds(&self) -> Numbers {
        let builder = self.builder().changes(Changes::Announced);
        builder.max_staleness(Duration::from_secs(2)).refresh_at(1.0).xfetch(0.0).build().unwrap()
    }
}

/// Sharing through a server that has a bus of its own.
pub(crate) fn own(client: &SimClient) -> Sharing {
    Sharing::over(Arc::new(client.clone())).own_bus(Arc::new(client.clone()))
}
