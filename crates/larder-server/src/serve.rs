//! A running server: listeners opened, loads prepared, expired entries freed, and all of it
//! ended in good order.

mod prepare;

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};
use larder_engine::Engine;
use larder_resp::Service;
use larder_sql::WriteTables;
use tokio::net::lookup_host;
use tokio::sync::watch;

use prepare::{plan, prepare, prepare_all, share};

use crate::behind::{self, OpenJournal};
use crate::bloom;
use crate::compose::{Composition, Question, compose};
use crate::config::{Address, Config, Secret};
use crate::edge::{Edge, tag_of_keys};
use crate::feed::{self, SourceFeed};
use crate::host::ThisProcess;
use crate::key_log::KeyLogFile;
use crate::listen::admin::{Admin, AdminListener};
use crate::listen::edge::EdgeListener;
use crate::listen::http::{Api, HttpListener};
use crate::listen::resp::{RespListener, Setup};
use crate::metrics::{Metrics, Parts, Writers};
use crate::ready::Readiness;
use crate::warm::Warmings;

/// How long connections have, once the server is told to stop, to answer what has arrived; and
/// how long the key log, and then the hottest keys, have to be written.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How often expired entries are freed.
const FREE_EVERY: Duration = Duration::from_millis(500);
/// How many entries of a shard are freed under one lock.
const FREED_AT_ONCE: usize = 256;

/// A server whose sockets are open.
pub struct Server {
    composition: Composition,
    engine: Engine,
    resp: Option<RespListener>,
    http: Option<(HttpListener, Arc<Api>)>,
    admin: Option<(AdminListener, Arc<Admin>)>,
    edges: Vec<(EdgeListener, Arc<Edge>)>,
    readiness: Readiness,
    warmings: Warmings,
    key_log: Option<KeyLogFile>,
    journal: Option<OpenJournal>,
    /// Where larder keeps what was applied, of each source that is written behind.
    tables: Vec<(String, WriteTables)>,
}

/// Where a server listens; `None` where a listener isn't opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For the Redis protocol.
    pub resp: Option<SocketAddr>,
    /// For HTTP.
    pub http: Option<SocketAddr>,
    /// For the administration.
    pub admin: Option<SocketAddr>,
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
        if config.edges.is_empty() {
            config.listen.require_one()?;
        }
        let engine = Engine::on_tokio()?;
        let port = config.listen.resp.as_ref().map_or(0, |address| address.port);
        let host = Arc::new(ThisProcess { port });
        if let Some(shared) = &config.shared {
            share(shared, &engine).await?;
        }
        let journal = match &config.journal {
            Some(journal) => Some(OpenJournal::open(journal).await?),
            None => None,
        };
        let behind = journal.as_ref().map(OpenJournal::behind);
        let mut composition = compose(config, &engine, host.clone(), behind)?;
        let tables = behind::tables(config, &composition.sources);
        let readiness = Readiness::default();
        if journal.is_some() {
            readiness.replaying("not begun");
        }
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
        let http = match &config.listen.http {
            Some(address) => {
                let clients_max = config.listen.clients_max;
                let (address, head_timeout) = (resolve(address).await?, config.listen.head_timeout);
                let listener = HttpListener::bind(address, clients_max, head_timeout).await?;
                Some((listener, Arc::new(Api::new(config, &composition.service))))
            }
            None => None,
        };
        let edges = edges(config, &engine).await?;
        let admin = match &config.listen.admin {
            Some(address) => {
                let listener = AdminListener::bind(resolve(address).await?).await?;
                let sources = composition.sources.clone();
                let (warmings, clock) = (warmings.clone(), Arc::clone(engine.clock()));
                let service = &composition.service;
                let writers = writers(&composition.questions, journal.as_ref());
                let feeds = composition.feeds.clone();
                let fronts: Vec<_> = edges.iter().map(|(_, edge)| Arc::clone(edge)).collect();
                let http = http.as_ref().map(|(_, api)| Arc::clone(api.counts()));
                let parts =
                    Parts { sources, warmings, writers, feeds, http, edges: fronts.clone() };
                let metrics = Metrics::new(service, &engine, parts, host, clock);
                let token = config.listen.token.as_ref().map(Secret::expose);
                let intake =
                    |feed: &SourceFeed| Some((feed.source().to_owned(), feed.intake()?.clone()));
                let intakes = composition.feeds.iter().filter_map(intake).collect();
                let admin = Admin::new(metrics, readiness.clone(), token, intakes);
                Some((listener, Arc::new(admin.purging(fronts))))
            }
            None => None,
        };
        for feed in &composition.feeds {
            plan(feed).await?;
            feed.start(&engine)?;
        }
        // Last, so that no file is begun where anything else is wrong.
        let key_log = match (&config.trace, composition.notes.take()) {
            (Some(trace), Some(notes)) => Some(KeyLogFile::create(&trace.file, notes)?),
            _ => None,
        };
        Ok(Self {
            composition,
            engine,
            resp,
            http,
            admin,
            edges,
            readiness,
            warmings,
            key_log,
            journal,
            tables,
        })
    }

    /// The addresses that it listens on.
    ///
    /// # Errors
    ///
    /// `Internal` when the system can't tell.
    pub fn addresses(&self) -> Result<Addresses> {
        let resp = self.resp.as_ref().map(RespListener::address).transpose()?;
        let http = self.http.as_ref().map(|(http, _)| http.address()).transpose()?;
        let admin = self.admin.as_ref().map(|(admin, _)| admin.address()).transpose()?;
        Ok(Addresses { resp, http, admin })
    }

    /// The edges, each with the address that it listens on, in the configuration's order.
    ///
    /// # Errors
    ///
    /// `Internal` when the system can't tell.
    pub fn edges(&self) -> Result<Vec<(Arc<Edge>, SocketAddr)>> {
        let edges = self.edges.iter();
        edges.map(|(listener, edge)| Ok((Arc::clone(edge), listener.address()?))).collect()
    }

    /// What the RESP listener serves.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.composition.service
    }

    /// Serves until `stop` completes; then accepts nothing more, answers what has arrived, applies
    /// what waits in the journal, as far as its time reaches, and returns.
    ///
    /// If the journal holds writes of an earlier run, no client is served before they are replayed:
    /// a read would miss what was acknowledged.
    ///
    /// # Errors
    ///
    /// `Internal` when a listener breaks; `Config` when the key log can't be begun; why the journal
    /// can't be replayed, as [`OpenJournal::start`] says.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<()> {
        let service = &self.composition.service;
        let key_log = match (self.key_log, service.keyspace().key_log()) {
            (Some(file), Some(log)) => Some(file.start(log, service)?),
            _ => None,
        };
        let (stopping, stopped) = watch::channel(false);
        let prepared = prepare_all(&self.composition.questions, &self.readiness);
        let freed = free_expired(&self.composition.service, &self.engine);
        let (replayed, mut is_replayed) = watch::channel(false);
        // Until then a read would miss what was acknowledged before.
        let is_owing = self.journal.as_ref().is_some_and(OpenJournal::owes);
        let replay = async {
            if let Some(journal) = &self.journal {
                journal.start(&self.engine, &self.tables, &self.readiness).await?;
            }
            let _ = replayed.send(true);
            std::future::pending::<Result<()>>().await
        };
        let mut is_stopping = stopped.clone();
        let clients = async {
            if is_owing {
                tokio::select! {
                    _ = is_replayed.wait_for(|replayed| *replayed) => {}
                    _ = is_stopping.wait_for(|stopping| *stopping) => return Ok(()),
                }
            }
            let resp = async {
                match self.resp {
                    Some(resp) => {
                        resp.serve(Arc::clone(&self.composition.service), stopped.clone()).await
                    }
                    None => Ok(()),
                }
            };
            let http = async {
                match self.http {
                    Some((listener, api)) => {
                        listener.serve(api, stopped.clone(), STOP_WITHIN).await
                    }
                    None => Ok(()),
                }
            };
            tokio::try_join!(resp, http).map(|_| ())
        };
        let admin = async {
            match self.admin {
                Some((listener, admin)) => {
                    listener.serve(admin, stopped.clone(), STOP_WITHIN).await
                }
                None => Ok(()),
            }
        };
        let told_late: Vec<_> = self.edges.iter().map(|(_, edge)| Arc::clone(edge)).collect();
        let edges = self.edges.into_iter();
        let edges = edges.map(|(listener, edge)| listener.serve(edge, stopped.clone()));
        let edges = futures_util::future::try_join_all(edges.collect::<Vec<_>>());
        let listeners = async { tokio::try_join!(clients, admin, edges).map(|_| ()) };
        let warmed = self.warmings.run(&self.readiness);
        let fed = feed::tell(&self.composition.feeds, &self.engine);
        let background = async { tokio::join!(prepared, freed, warmed, fed) };
        let told = async {
            stop.await;
            tracing::info!("stopping: what has arrived is answered, nothing more is accepted");
            // The listeners hold a receiver until they have stopped.
            let _ = stopping.send(true);
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = listeners => ended,
            // It ends only where it can't be done.
            ended = replay => ended,
            () = told => Ok(()),
            _ = background => Ok(()),
        };
        if let Some(journal) = &self.journal {
            journal.stop(&self.engine).await;
        }
        // A purge that was answered is known to whoever keeps what it struck, too.
        let telling = told_late.iter().map(|edge| edge.finish_telling(STOP_WITHIN));
        futures_util::future::join_all(telling).await;
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

/// Who writes, for the metrics.
fn writers(questions: &[Question], journal: Option<&OpenJournal>) -> Writers {
    let writers = questions.iter().filter(|question| question.sink.is_some());
    Writers {
        caches: writers.map(|question| question.cache.clone()).collect(),
        journal: journal.map(|journal| journal.behind().clone()),
        journal_bytes_max: journal.map_or(0, OpenJournal::limit),
    }
}

/// Opens the edges that `config` describes, and has what they hold go with the keys that it names,
/// and their webhooks told of tags.
async fn edges(config: &Config, engine: &Engine) -> Result<Vec<(EdgeListener, Arc<Edge>)>> {
    let mut edges = Vec::new();
    if !config.edges.is_empty() {
        engine.keys_are_tags(tag_of_keys);
    }
    for one in &config.edges {
        let setup = Setup { clients_max: one.bounds.clients_max, ..setup(config) };
        let listener = EdgeListener::bind(resolve(&one.listen).await?, setup)?;
        edges.push((listener, Arc::new(Edge::open(one, &config.caches, engine)?)));
    }
    let told = edges.iter().map(|(_, edge)| edge).filter(|edge| edge.has_webhook());
    // The engine outlives no edge by it.
    let told: Vec<Weak<Edge>> = told.map(Arc::downgrade).collect();
    if !told.is_empty() {
        engine.observe_tags(move |struck, how| {
            for edge in told.iter().filter_map(Weak::upgrade) {
                edge.tell_struck(struck, how);
            }
        });
    }
    Ok(edges)
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
