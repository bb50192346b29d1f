//! A running server: listeners opened, loads prepared, expired entries freed, and all of it
//! ended in good order.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result, SharedTier};
use larder_engine::Engine;
use larder_resp::Service;
use tokio::net::lookup_host;
use tokio::sync::watch;

use crate::bloom;
use crate::compose::{Composition, Question, compose};
use crate::config::{Address, Beside, Config, Secret, SharedConfig, Tier};
use crate::host::ThisProcess;
use crate::key_log::KeyLogFile;
use crate::listen::admin::{Admin, AdminListener};
use crate::listen::resp::{RespListener, Setup};
use crate::metrics::Metrics;
use crate::ready::Readiness;
use crate::warm::Warmings;

/// How long connections have, once the server is told to stop, to answer what has arrived; and
/// how long the key log, and then the hottest keys, have to be written.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How often a load that could not be prepared is tried again.
const PREPARE_AGAIN: Duration = Duration::from_secs(1);
/// How often expired entries are freed.
const FREE_EVERY: Duration = Duration::from_millis(500);
/// How many entries of a shard are freed under one lock.
const FREED_AT_ONCE: usize = 256;

/// A server whose sockets are open.
pub struct Server {
    composition: Composition,
    engine: Engine,
    resp: Option<RespListener>,
    admin: Option<(AdminListener, Arc<Admin>)>,
    readiness: Readiness,
    warmings: Warmings,
    key_log: Option<KeyLogFile>,
}

impl Server {
    /// Opens what `config` describes: composes the objects, prepares the loads, and opens the
    /// sockets. A database that is down doesn't keep the server from starting; a load that the
    /// database refuses does.
    ///
    /// # Errors
    ///
    /// `Config` when something can't be as it is written.
    pub async fn open(config: &Config) -> Result<Self> {
        config.listen.require_one()?;
        let engine = Engine::on_tokio()?;
        let port = config.listen.resp.as_ref().map_or(0, |address| address.port);
        let host = Arc::new(ThisProcess { port });
        if let Some(shared) = &config.shared {
            share(shared, &engine).await?;
        }
        let mut composition = compose(config, &engine, host.clone())?;
        let readiness = Readiness::default();
        for question in &composition.questions {
            prepare(question, &readiness).await?;
        }
        let warmings = Warmings::new(config, &composition, &engine)?;
        warmings.prepare(&readiness).await?;
        bloom::prepare(config, &composition).await?;
        let resp = match &config.listen.resp {
            Some(address) => Some(RespListener::bind(resolve(address).await?, setup(config))?),
            None => None,
        };
        let admin = match &config.listen.admin {
            Some(address) => {
                let listener = AdminListener::bind(resolve(address).await?).await?;
                let sources = composition.sources.clone();
                let (warmings, clock) = (warmings.clone(), Arc::clone(engine.clock()));
                let metrics = Metrics::new(&composition.service, sources, warmings, host, clock);
                let token = config.listen.token.as_ref().map(Secret::expose);
                Some((listener, Arc::new(Admin::new(metrics, readiness.clone(), token))))
            }
            None => None,
        };
        // Last, so that no file is begun where anything else is wrong.
        let key_log = match (&config.trace, composition.notes.take()) {
            (Some(trace), Some(notes)) => Some(KeyLogFile::create(&trace.file, notes)?),
            _ => None,
        };
        Ok(Self { composition, engine, resp, admin, readiness, warmings, key_log })
    }

    /// The addresses that it listens on: RESP, admin.
    ///
    /// # Errors
    ///
    /// `Internal` when the system can't tell.
    pub fn addresses(&self) -> Result<(Option<SocketAddr>, Option<SocketAddr>)> {
        let resp = self.resp.as_ref().map(RespListener::address).transpose()?;
        let admin = self.admin.as_ref().map(|(admin, _)| admin.address()).transpose()?;
        Ok((resp, admin))
    }

    /// What the RESP listener serves.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.composition.service
    }

    /// Serves until `stop` completes; then accepts nothing more, answers what has arrived, and
    /// returns.
    ///
    /// # Errors
    ///
    /// `Internal` when a listener breaks; `Config` when the key log can't be begun.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<()> {
        let service = &self.composition.service;
        let key_log = match (self.key_log, service.keyspace().key_log()) {
            (Some(file), Some(log)) => Some(file.start(log, service)?),
            _ => None,
        };
        let (stopping, stopped) = watch::channel(false);
        let prepared = prepare_all(&self.composition.questions, &self.readiness);
        let freed = free_expired(&self.composition.service, &self.engine);
        let resp = async {
            match self.resp {
                Some(resp) => {
                    resp.serve(Arc::clone(&self.composition.service), stopped.clone()).await
                }
                None => Ok(()),
            }
        };
        let admin = async {
            match self.admin {
                Some((listener, admin)) => {
                    listener.serve(admin, stopped.clone(), STOP_WITHIN).await
                }
                None => Ok(()),
            }
        };
        let listeners = async { tokio::try_join!(resp, admin).map(|_| ()) };
        let warmed = self.warmings.run(&self.readiness);
        let background = async { tokio::join!(prepared, freed, warmed) };
        let told = async {
            stop.await;
            tracing::info!("stopping: what has arrived is answered, nothing more is accepted");
            // The listeners hold a receiver until they have stopped.
            let _ = stopping.send(true);
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = listeners => ended,
            () = told => Ok(()),
            _ = background => Ok(()),
        };
        if let Some(key_log) = key_log {
            key_log.end(STOP_WITHIN).await;
        }
        if tokio::time::timeout(STOP_WITHIN, self.warmings.save()).await.is_err() {
            tracing::warn!("the hottest keys couldn't be saved in time");
        }
        tell_verdicts(service);
        ended
    }
}

/// Joins the larders that share a tier, and says what the server's eviction policy means for them.
async fn share(shared: &SharedConfig, engine: &Engine) -> Result<()> {
    let (tier, sharing) = shared.open()?;
    engine.share(sharing).await?;
    let answered = match &tier {
        Tier::Redis(tier) => tier.eviction_policy().await.map(|policy| {
            tracing::info!("the shared tier, when it is full: {policy}");
        }),
        Tier::Memcached(tier) => tier.probe().await,
    };
    if let Err(error) = answered {
        tracing::warn!(
            "the shared tier doesn't answer; reads do without it until it does: {}",
            error.chain()
        );
    }
    if let Beside::Nats(nats) = &shared.bus
        && let Err(error) = nats.probe(shared).await
    {
        tracing::warn!(
            "the bus doesn't answer; until it does only age bounds what is held: {}",
            error.chain()
        );
    }
    Ok(())
}

/// Says of each cache whether it was worth it.
fn tell_verdicts(service: &Service) {
    for declared in service.keyspace().declared() {
        tracing::info!(cache = declared.cache.name(), "{}", declared.cache.verdict());
    }
}

fn setup(config: &Config) -> Setup {
    // A worker keeps up with a client that pipelines on another core. The other half is for
    // loads and for the kernel's side of the connections; with a worker for each core, every
    // worker is woken more often for less.
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    Setup {
        clients_max: config.listen.clients_max,
        workers: config.listen.workers.unwrap_or(cores.div_ceil(2)),
        stop_within: STOP_WITHIN,
    }
}

/// The first address of a host.
async fn resolve(address: &Address) -> Result<SocketAddr> {
    let fault = |message: String| Error::new(ErrorKind::Config, message);
    let mut found = lookup_host((address.host.as_str(), address.port)).await.map_err(|error| {
        fault(format!("the host {} of [listen] is unknown", address.host)).caused_by(error)
    })?;
    found.next().ok_or_else(|| fault(format!("the host {} has no address", address.host)))
}

/// Prepares one load. Only what the database will never accept is an error; what it can't say
/// now is waited for.
async fn prepare(question: &Question, readiness: &Readiness) -> Result<()> {
    match question.load.prepare().await {
        Ok(report) => {
            for warning in report.warnings {
                tracing::warn!(cache = question.cache, "{warning}");
            }
            readiness.ready(&question.cache);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Config => {
            readiness.wait_for(&question.cache, error.chain());
            let message = format!("the load of [cache.{}] can't work", question.cache);
            Err(Error::new(ErrorKind::Config, message).caused_by(error))
        }
        Err(error) => {
            readiness.wait_for(&question.cache, error.chain());
            Ok(())
        }
    }
}

/// Prepares the loads that could not be prepared at the start, until all are. Never returns.
async fn prepare_all(questions: &[Question], readiness: &Readiness) {
    let mut told = readiness.unprepared();
    while let Some(missing) = readiness.unprepared() {
        if told.as_ref() == Some(&missing) {
            tracing::warn!("not ready: {missing}");
            told = None;
        }
        tokio::time::sleep(PREPARE_AGAIN).await;
        for question in questions {
            if let Err(error) = prepare(question, readiness).await {
                tracing::error!("{}", error.chain());
            }
        }
    }
    tracing::info!("ready");
    std::future::pending::<()>().await;
}

/// Frees the memory of expired entries now and then, without holding a lock for long. Never
/// returns.
async fn free_expired(service: &Service, engine: &Engine) {
    loop {
        tokio::time::sleep(FREE_EVERY).await;
        for pool in service.pools() {
            while pool.memory.expire(engine.clock().now(), FREED_AT_ONCE).more {
                tokio::task::yield_now().await;
            }
        }
    }
}
