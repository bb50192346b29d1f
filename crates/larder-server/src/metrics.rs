//! `/metrics`: everything that is counted, in Prometheus's text format.
//!
//! The numbers are read where they are counted, when they are asked for; nothing is copied on
//! the way of a read.

mod behind;
mod cache;
mod edge;
mod feed;
mod filter;
mod http;
mod memory;
mod page;
mod process;
mod resp;
mod shared;
mod source;
mod warm;

use std::fmt;
use std::sync::Arc;

use larder_core::Clock;
use larder_engine::Engine;
use larder_resp::{Host, Service};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use behind::Writers;

use page::Page;

use crate::compose::Source;
use crate::edge::Edge;
use crate::feed::SourceFeed;
use crate::listen::http::HttpCounts;
use crate::warm::Warmings;

/// Beside its service, what a server has that is counted.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The systems of record.
    pub sources: Vec<Source>,
    /// What fills caches before anybody asks.
    pub warmings: Warmings,
    /// Who writes.
    pub writers: Writers,
    /// What tells of the sources' changes.
    pub feeds: Vec<SourceFeed>,
    /// What is asked over HTTP, if there is such a listener.
    pub http: Option<Arc<HttpCounts>>,
    /// The caching reverse proxies.
    pub edges: Vec<Arc<Edge>>,
}

/// The numbers of a server.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The numbers of this service and these parts; `engine` and `clock` are those that its caches
    /// have.
    pub fn new(
        service: &Arc<Service>,
        engine: &Engine,
        parts: Parts,
        host: Arc<dyn Host>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut registry = Registry::with_prefix("larder");
        let (service, engine) = (Arc::clone(service), engine.clone());
        let numbers = Numbers { service, engine, parts, host, clock };
        registry.register_collector(Box::new(numbers));
        Self { registry }
    }

    /// All of them, as text.
    ///
    /// # Errors
    ///
    /// When a number can't be written, which would be a defect here.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

struct Numbers {
    service: Arc<Service>,
    engine: Engine,
    parts: Parts,
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

impl Collector for Numbers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (service, page) = (&*self.service, &mut Page::new(encoder));
        cache::write(service, page)?;
        filter::write(service, page)?;
        shared::write(service, page)?;
        warm::write(&self.parts.warmings, page)?;
        behind::write(service, &self.parts.writers, page)?;
        feed::write(&self.parts.feeds, &self.engine, page)?;
        edge::write(&self.parts.edges, page)?;
        memory::write(service, page)?;
        source::write(&self.parts.sources, self.clock.now(), page)?;
        resp::write(service, page)?;
        http::write(self.parts.http.as_deref(), page)?;
        process::write(&*self.host, page)
    }
}
