//! Code of users that is called back in the middle of something: keys that are written as text and
//! values that are copied. What they look at, or break, then is no worse than anything else.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use common::{S, at_once};
use larder_core::{CacheKey, KeyText, LoadContext, LoadError, Moment, Source, State};
use larder_engine::{Cache, Engine, Fill, Invalidation, Lookup, memory_tier};
use larder_memory::Bounds;
use larder_memory::policy::PolicyKind;

type Watch = Box<dyn FnMut(u64)>;

thread_local! {
    /// Who looks on when this thread writes a key as text.
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

fn watch(watch: impl FnMut(u64) + 'static) {
    WATCH.with(|watches| *watches.borrow_mut() = Some(Box::new(watch)));
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Watched(u64);

impl CacheKey for Watched {
    fn write(&self, text: &mut KeyText) {
        // Whoever looks on may write keys himself.
        if let Some(mut watch) = WATCH.with(|watches| watches.borrow_mut().take()) {
            watch(self.0);
            WATCH.with(|watches| {
                watches.borrow_mut().get_or_insert(watch);
            });
        }
        self.0.write(text);
    }

    fn parse(text: &str) -> Option<Self> {
        u64::parse(text).map(Self)
    }
}

/// The copy of one of them panics.
struct Fragile(u64, Arc<AtomicBool>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!self.1.swap(false, Ordering::SeqCst), "it breaks");
        Self(self.0, Arc::clone(&self.1))
    }
}

/// 1. A finds nothing in memory,
/// 2. somebody fills it,
/// 3. A leads a flight, looks again, and panics with the copy of what it finds.
#[tokio::test]
async fn a_copy_that_panics_leaves_no_flight_behind() {
    let cache: Cache<Watched, Fragile> =
        Cache::builder("fragile").max_staleness(10 * S).build().unwrap();
    let breaks = Arc::<AtomicBool>::default();
    let Lookup::Miss(ticket) = cache.lookup_here(&Watched(1)) else { panic!("nothing is held") };
    let (mut ticket, armed) = (Some(ticket), Arc::clone(&breaks));
    watch(move |_| {
        let Some(ticket) = ticket.take() else { return };
        assert_eq!(ticket.fill(Some(Fragile(7, Arc::clone(&armed)))), Fill::Stored);
        armed.store(true, Ordering::SeqCst);
    });
    let read = || at_once(cache.get_or_load(&Watched(1), |_| async { Ok(None) }));
    assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
    assert!(!breaks.load(Ordering::SeqCst));
    assert_eq!((cache.flights(), read().unwrap().map(|value| value.0)), (0, Some(7)));
}

type Look = Box<dyn FnOnce() + Send>;

/// Somebody looks on when it is copied next.
struct Copied(u64, Arc<Mutex<Option<Look>>>);

impl Clone for Copied {
    fn clone(&self) -> Self {
        let look = self.1.lock().unwrap().take();
        if let Some(look) = look {
            look();
        }
        Self(self.0, Arc::clone(&self.1))
    }
}

/// Memory is read without a lock, so somebody may look while a strike is half done. What is held
/// is copied then to be marked stale: a ticket that is taken at that moment, together with what is
/// still held, must not bring it back.
#[tokio::test]
async fn a_ticket_taken_in_the_middle_of_a_strike_is_void() {
    let cache: Cache<u64, Copied> = Cache::builder("copied").max_staleness(10 * S).build().unwrap();
    let looks = Arc::default();
    let Lookup::Miss(ticket) = cache.lookup_here(&1) else { panic!("nothing is held") };
    assert_eq!(ticket.fill(Some(Copied(10, Arc::clone(&looks)))), Fill::Stored);
    let (sender, taken) = mpsc::channel();
    *looks.lock().unwrap() = Some(Box::new({
        let cache = cache.clone();
        move || {
            let Lookup::Miss(ticket) = cache.lookup_newer_here(&1, Moment::MAX) else { return };
            let held = cache.fresh(&1, cache.engine().clock().now(), |held| held.unwrap().0);
            sender.send((ticket, held)).unwrap();
        }
    }));
    assert_eq!(cache.invalidate_here(&[1], Invalidation::MarkStale).unwrap(), 1);
    let (ticket, held) = taken.recv().unwrap();
    assert_eq!(held, Some(10));
    assert_eq!(ticket.fill(Some(Copied(10, looks))), Fill::Refused);
    assert_eq!(cache.peek(&1).unwrap().state, State::Stale);
}

/// The system of record, whose rows are all the same.
#[derive(Clone, Default)]
struct Rows(Arc<AtomicU64>, Arc<Mutex<Option<Look>>>);

impl Source<Watched, Copied> for Rows {
    async fn load(&self, _: &Watched, _: &mut LoadContext) -> Result<Option<Copied>, LoadError> {
        Ok(Some(Copied(self.0.load(Ordering::SeqCst), Arc::clone(&self.1))))
    }
}

/// What a future returns, polled for on this thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::yield_now(),
        }
    }
}

/// 1. W commits `v1`, and walks through memory for what has the prefix,
/// 2. A leads a flight, looks again, and sees `v0`,
/// 3. that is evicted, so W doesn't find it, and ends,
/// 4. B, who comes then, must not be given what A saw.
#[test]
fn who_comes_after_a_prefix_joins_nobody_who_saw_what_it_concerned() {
    let engine = Engine::on_threads(1).unwrap();
    let (rows, all) = (Rows::default(), 1_000..1_100_u64);
    let memory = memory_tier(Bounds::entries(1_000).shards(8), PolicyKind::default(), None);
    let cache: Cache<Watched, Copied> = Cache::builder("rows")
        .engine(&engine)
        .memory(Arc::new(memory))
        .max_staleness(3600 * S)
        .source(rows.clone())
        .build()
        .unwrap();
    let fill = |key| {
        let Lookup::Miss(ticket) = cache.lookup_here(&Watched(key)) else { panic!("it is held") };
        assert_eq!(ticket.fill(Some(Copied(0, Arc::clone(&rows.1)))), Fill::Stored);
    };
    all.for_each(fill);
    // In which order a walk comes to them: the first and the last are under different locks.
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    watch(move |key| noted.lock().unwrap().push(key));
    assert_eq!(cache.invalidate_prefix_here("none", Invalidation::Drop).unwrap(), 0);
    WATCH.take();
    let order = order.lock().unwrap().clone();
    let (first, last) = (order[0], order[order.len() - 1]);
    let key = Watched(last);
    assert!(cache.evict_if(&key, |_| true));
    thread::scope(|scope| {
        let (a_came, a_comes) = mpsc::channel();
        let (a_let_go, a_goes) = mpsc::channel::<()>();
        let a = scope.spawn({
            let (cache, key) = (cache.clone(), key.clone());
            move || {
                watch(move |_| {
                    if a_came.send(()).is_ok() {
                        let _ = a_goes.recv();
                    }
                });
                drop(wait(cache.get(&key)).unwrap());
            }
        });
        // It has found nothing, and has no fence yet.
        a_comes.recv().unwrap();
        fill(last);
        rows.0.store(1, Ordering::SeqCst);
        let (w_came, w_comes) = mpsc::channel();
        let (w_let_go, w_goes) = mpsc::channel::<()>();
        let w = scope.spawn({
            let cache = cache.clone();
            move || {
                watch(move |key| {
                    if key == first && w_came.send(()).is_ok() {
                        let _ = w_goes.recv();
                    }
                });
                cache.invalidate_prefix_here("1", Invalidation::Drop).unwrap();
            }
        });
        w_comes.recv().unwrap();
        let (copying_let_go, copying_goes) = mpsc::channel::<()>();
        let (copying_came, copying_comes) = mpsc::channel();
        *rows.1.lock().unwrap() = Some(Box::new(move || {
            copying_came.send(()).unwrap();
            copying_goes.recv().unwrap();
        }));
        a_let_go.send(()).unwrap();
        drop((a_let_go, a_comes));
        // It sees what the walk hasn't come to.
        copying_comes.recv().unwrap();
        assert!(cache.evict_if(&key, |_| true));
        w_let_go.send(()).unwrap();
        drop((w_let_go, w_comes));
        w.join().unwrap();
        let mut b = pin!(cache.get(&key));
        // It comes before A's flight has landed.
        let polled = b.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        copying_let_go.send(()).unwrap();
        let read = match polled {
            Poll::Ready(read) => read,
            Poll::Pending => wait(b),
        };
        assert_eq!(read.unwrap().unwrap().0, 1);
        a.join().unwrap();
    });
}
