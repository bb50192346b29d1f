//! From what a builder was told to a cache, or to the reason why there is none.

use std::sync::{Arc, Weak};

use larder_core::freshness::Declared;
use larder_core::sync::AtomicBool;
use larder_core::{CacheKey, Changes, Error, ErrorKind, Result, Window};
use larder_memory::Bounds;

use super::CacheBuilder;
use crate::behind::Behind;
use crate::cache::{Cache, Parts};
use crate::consistency::Consistency;
use crate::counters::Counters;
use crate::engine::Engine;
use crate::events::Sweeps;
use crate::filter::Filter;
use crate::flight::Flights;
use crate::gather::Gathering;
use crate::guard::{Guard, GuardBounds};
use crate::late::Late;
use crate::ledger::Ledger;
use crate::memory::memory_tier;
use crate::patience::Patience;
use crate::penetration::Penetration;
use crate::reload::Reload;
use crate::shared::{Member, Part};
use crate::worth::Notes;
use crate::write::DeclaredWrites;

/// The longest name of a cache that keeps entries in a shared tier.
const NAME_BYTES_MAX: usize = 128;

impl<K: CacheKey, V: Clone + Send + Sync + 'static> CacheBuilder<K, V> {
    /// The cache.
    ///
    /// # Errors
    ///
    /// `Config` when no window is named, when windows or bounds contradict each other, or when
    /// there is neither an engine nor a tokio runtime.
    pub fn build(self) -> Result<Cache<K, V>> {
        let Self { name, declared, window, engine, memory, bounds, policy, .. } = self;
        let engine = match engine {
            Some(engine) => engine,
            None => Engine::on_tokio()?,
        };
        let vouched = match (self.consistency.unwrap_or_default(), self.changes) {
            (Consistency::Eventual, _) | (_, Changes::Unknown) => false,
            (Consistency::Bounded | Consistency::Guarded | Consistency::Strict, _) => {
                engine.shared().is_some_and(|shared| shared.has_bus())
            }
        };
        let vouched = vouched || self.feed.is_some();
        let declared = Declared { vouched, ..declared };
        let window = window.map_or_else(|| Window::resolve(declared), Ok)?;
        if window.vouched && !vouched {
            return Err(config(
                "these windows count on a stream of changes, and none reaches this cache: its \
                 engine must share through a bus, and every change must be announced; or a feed \
                 must cover it",
            ));
        }
        let consistency = self.consistency.unwrap_or_default();
        if consistency.is_guarded() {
            check_guarded(&engine, self.codec.is_some(), self.changes)?;
        }
        if self.codec.is_some() {
            check_shared(&name, &engine)?;
        }
        if self.load_timeout.is_zero() || self.deadline.is_zero() {
            return Err(config("load_timeout and deadline must be longer than zero"));
        }
        if self.idle_for.is_some_and(|idle_for| idle_for.is_zero()) {
            return Err(config("idle_for must be longer than zero"));
        }
        if self.idle_for.is_some() && memory.is_some() {
            return Err(config(
                "idle_for belongs to a memory tier, and this cache shares one: build that with \
                 idle_for, or let the cache have its own",
            ));
        }
        if self.gather.is_some() && self.source.is_none() {
            return Err(config(
                "gather joins loads of a source, and this cache has none: give it one, or leave \
                 gather out",
            ));
        }
        if self.reload == Reload::Hot && self.source.is_none() {
            return Err(config(
                "what is in use is loaded again from a source, and this cache has none: give it \
                 one, or leave reload out",
            ));
        }
        if self.reload == Reload::Hot && memory.is_none() && !policy.marks_uses() {
            return Err(config(
                "which entries are in use isn't known by this policy: take one that marks uses, \
                 such as the adaptive one, or leave reload out",
            ));
        }
        let writes = DeclaredWrites {
            sink: self.sink,
            mode: self.write,
            install: self.install,
            written: self.written,
            timeout: self.write_timeout,
            behind: self
                .behind
                .map(|(behind, codec)| Arc::new(Behind::new(&behind, codec, self.fold))),
        };
        let writes = writes.resolve(self.changes)?;
        let penetration = match self.filter {
            None => None,
            Some(_) if self.changes == Changes::Unknown && self.feed.is_none() => {
                return Err(config(
                    "a filter answers \"absent\" for keys that were inserted behind its back, \
                     however short the window: say changes(Changes::Announced) if every insert is \
                     announced by an invalidation of its key, or Changes::Static if there are \
                     none, or leave the filter out",
                ));
            }
            Some(_) if self.source.is_none() => {
                return Err(config(
                    "a filter stands in front of a source, and this cache has none: give it one, \
                     or leave the filter out",
                ));
            }
            Some((options, list)) => {
                let hears = self.changes != Changes::Static && (vouched || engine.shares());
                Some(Penetration::new(Filter::new(options)?, list, hears))
            }
        };
        if self.budget.is_some() && (memory.is_some() || self.bounds_given) {
            return Err(config(
                "a budget sets the bounds of its caches: leave entries_max, bytes_max and memory \
                 out, or leave the budget out",
            ));
        }
        let bounds = match &self.budget {
            // What is short are bytes; how many entries they are doesn't matter.
            Some(budget) => Bounds::bytes(budget.share()),
            None => bounds,
        };
        let bounds = bounds.candidates(self.candidates);
        let memory = match memory {
            Some(memory) => memory,
            None => Arc::new(memory_tier(bounds, policy, self.idle_for)),
        };
        let seat = self.budget.map(|budget| budget.join(&memory)).transpose()?;
        let patience = Patience {
            wait: self.wait,
            waits_for_fresh: false,
            deadline: self.deadline,
            max_staleness: window.max_staleness,
        };
        let weigh = self.weigh.unwrap_or_else(|| Box::new(|_, _| 0));
        let ledger = Ledger::new(weigh, Arc::clone(engine.clock()));
        let number = memory.keep(&ledger);
        let notes = Notes::new(ledger, number, engine.now(), self.key_parts, self.fingerprint);
        let (schema, compress_from) = (self.schema, self.compress_from);
        let part = self.codec.map(|codec| Part { codec, schema, compress_from });
        let vouches = match &self.feed {
            Some((feeding, _)) => Arc::clone(&feeding.0.horizon),
            None => Arc::clone(engine.horizon()),
        };
        let parts = Arc::new(Parts {
            name,
            scope: engine.new_scope(),
            engine,
            memory,
            seat,
            window,
            vouches,
            source: self.source,
            writes,
            late: Late::default(),
            consistency,
            part,
            guard: self.guard.map_or_else(|| Guard::new(GuardBounds::default()), Ok)?,
            gathering: self.gather.map(Gathering::new),
            load_timeout: self.load_timeout,
            reload: self.reload,
            patience,
            penetration,
            tagged: AtomicBool::new(false),
            notes,
            observers: self.observers,
            flights: Flights::new(),
            sweeps: Sweeps::default(),
            counters: Counters::default(),
        });
        if let Some(behind) = parts.behind() {
            behind.join(&parts)?;
        }
        let member: Weak<dyn Member> = Arc::downgrade(&parts) as _;
        parts.engine.members().add(&parts.name, member);
        if let Some((feeding, route)) = self.feed {
            feeding.0.cover(&parts, route);
        }
        parts.see_to_filter();
        Ok(Cache(parts))
    }
}

/// Whether a cache of this name can keep entries in the engine's shared tier.
fn check_shared(name: &str, engine: &Engine) -> Result<()> {
    if engine.shared().is_none() {
        return Err(config(
            "this cache keeps entries in a shared tier, and its engine has none: await \
             Engine::share before the cache is built, or leave `shared` out",
        ));
    }
    if name.contains('/') || name.len() > NAME_BYTES_MAX {
        return Err(config(
            "the name of a cache that shares is part of its entries' names: at most 128 bytes, \
             without a slash",
        ));
    }
    Ok(())
}

/// Whether the writes of a cache can be announced before they are committed.
fn check_guarded(engine: &Engine, is_shared: bool, changes: Changes) -> Result<()> {
    if changes != Changes::Announced {
        return Err(config(
            "guarded and strict announce every change before it is committed, so every change must \
             be announced: say changes(Changes::Announced), or leave consistency out",
        ));
    }
    let intents = engine.shared().is_some_and(|shared| shared.link.abilities().intents);
    if !is_shared || !intents {
        return Err(config(
            "guarded and strict need a shared tier that knows intents, which Redis does and \
             Memcached doesn't, and this cache must keep its entries there (shared): without one \
             nobody keeps a writer's word when it dies",
        ));
    }
    if !engine.shared().is_some_and(|shared| shared.has_bus()) {
        return Err(config(
            "guarded and strict need a bus, over which other processes hear of a write before it \
             is committed: share with own_bus or bus",
        ));
    }
    Ok(())
}

fn config(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}
