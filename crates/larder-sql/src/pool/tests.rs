//! The pool with connections that are numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_core::ErrorKind;
use tokio::time::{advance, sleep};

use super::*;

/// What happens to a backend.
#[derive(Default)]
struct World {
    opened: AtomicUsize,
    open: AtomicUsize,
    is_down: AtomicBool,
    is_silent: AtomicBool,
    replaced: AtomicBool,
    /// Connections below it don't answer.
    is_dead: AtomicUsize,
}

struct Numbers(Arc<World>);

struct Number {
    number: usize,
    world: Arc<World>,
}

impl Drop for Number {
    fn drop(&mut self) {
        self.world.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backend for Numbers {
    type Connection = Number;

    async fn connect(&self) -> Result<Number, sqlx::Error> {
        let world = Arc::clone(&self.0);
        if world.is_silent.load(Ordering::Relaxed) {
            sleep(Duration::from_secs(3_600)).await;
        }
        if world.is_down.load(Ordering::Relaxed) {
            return Err(lost());
        }
        world.open.fetch_add(1, Ordering::Relaxed);
        Ok(Number { number: world.opened.fetch_add(1, Ordering::Relaxed), world })
    }

    fn is_current(&self, _: &Number) -> bool {
        !self.0.replaced.swap(false, Ordering::Relaxed)
    }

    async fn is_alive(&self, connection: &mut Number) -> bool {
        connection.number >= self.0.is_dead.load(Ordering::Relaxed)
    }
}

fn lost() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())
}

/// Takes a moment and answers with the number of its connection; connections below `dead` are
/// lost.
struct Tell {
    dead: usize,
}

impl Job<Numbers> for Tell {
    type Output = usize;

    async fn run(&self, connection: &mut Number) -> Result<usize, Failure> {
        sleep(Duration::from_millis(10)).await;
        if connection.number < self.dead { Err(lost().into()) } else { Ok(connection.number) }
    }
}

const TELL: Tell = Tell { dead: 0 };

fn pool(connections: usize) -> (Arc<World>, Pool<Numbers>) {
    let world = Arc::new(World::default());
    let options = Options { connections, ..Options::new("shop") };
    (Arc::clone(&world), Pool::new(Numbers(world), &options))
}

#[tokio::test(start_paused = true)]
async fn connections_are_bounded_and_the_last_used_is_taken_first() {
    let (world, pool) = pool(2);
    let (a, b, c) = tokio::join!(pool.run(&TELL), pool.run(&TELL), pool.run(&TELL));
    assert_eq!((a.unwrap(), b.unwrap()), (0, 1));
    assert!(c.unwrap() < 2);
    assert_eq!(world.opened.load(Ordering::Relaxed), 2);
    let last = pool.run(&TELL).await.unwrap();
    for _ in 0..5 {
        assert_eq!(pool.run(&TELL).await.unwrap(), last);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_idle_is_replaced_once_and_its_siblings_with_it() {
    let (world, pool) = pool(4);
    let _ = tokio::join!(pool.run(&TELL), pool.run(&TELL), pool.run(&TELL));
    assert_eq!(pool.run(&Tell { dead: 3 }).await.unwrap(), 3);
    assert_eq!(world.open.load(Ordering::Relaxed), 1);
    // A fresh one that is lost is the database's word.
    let failed = pool.run(&Tell { dead: 1_000 }).await.unwrap_err();
    assert!(matches!(failed, Failure::Driver(_)));
    assert_eq!(world.opened.load(Ordering::Relaxed), 5);
    assert_eq!(world.open.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_job_closes_its_connection_and_frees_its_place() {
    let (world, pool) = pool(1);
    assert!(timeout(Duration::from_millis(5), pool.run(&TELL)).await.is_err());
    assert_eq!(world.open.load(Ordering::Relaxed), 0);
    assert_eq!(pool.run(&TELL).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_grow_old() {
    let (_world, pool) = pool(1);
    assert_eq!(pool.run(&TELL).await.unwrap(), 0);
    advance(IDLE_MAX - Duration::from_secs(1)).await;
    assert_eq!(pool.run(&TELL).await.unwrap(), 0);
    advance(IDLE_MAX).await;
    assert_eq!(pool.run(&TELL).await.unwrap(), 1);
    for _ in 0..LIFE_MAX.as_secs() / 60 {
        assert_eq!(pool.run(&TELL).await.unwrap(), 1);
        advance(Duration::from_secs(60)).await;
    }
    assert_eq!(pool.run(&TELL).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_was_replaced_gets_a_new_connection() {
    let (world, pool) = pool(1);
    assert_eq!(pool.run(&TELL).await.unwrap(), 0);
    world.replaced.store(true, Ordering::Relaxed);
    assert_eq!(pool.run(&TELL).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_costs_everybody_one_connect_timeout_together() {
    let (world, pool) = pool(2);
    world.is_silent.store(true, Ordering::Relaxed);
    let pool = Arc::new(pool);
    let start = Instant::now();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(&TELL).await })
        })
        .collect();
    for task in tasks {
        let Err(Failure::Unreachable(error)) = task.await.unwrap() else {
            panic!("nobody was there")
        };
        assert_eq!(error.kind(), ErrorKind::SourceDown);
    }
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    world.is_silent.store(false, Ordering::Relaxed);
    world.is_down.store(true, Ordering::Relaxed);
    advance(crate::reach::REST).await;
    assert!(pool.run(&TELL).await.is_err());
    world.is_down.store(false, Ordering::Relaxed);
    // Still the last one's word.
    assert!(pool.run(&TELL).await.is_err());
    advance(crate::reach::REST).await;
    assert!(pool.run(&TELL).await.is_ok());
}

/// Comes as far as it says, and is then lost on connections below `dead`.
struct Put {
    dead: usize,
    far: Stage,
    done: AtomicUsize,
}

impl Once<Numbers> for Put {
    type Output = usize;

    async fn run(&self, connection: &mut Number, progress: &Progress) -> Result<usize, Failure> {
        match self.far {
            Stage::Nothing => {}
            Stage::Begun => progress.begun(),
            Stage::Sent => progress.sent(),
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(10)).await;
        if connection.number < self.dead { Err(lost().into()) } else { Ok(connection.number) }
    }
}

#[tokio::test(start_paused = true)]
async fn what_writes_is_repeated_only_while_nothing_was_sent() {
    for (far, times) in [(Stage::Nothing, 2), (Stage::Begun, 1), (Stage::Sent, 1)] {
        let (_world, pool) = pool(1);
        pool.run(&TELL).await.unwrap();
        let (put, progress) =
            (Put { dead: 1, far, done: AtomicUsize::new(0) }, Progress::default());
        let done = pool.run_once(&put, &progress).await;
        assert_eq!(put.done.load(Ordering::Relaxed), times, "{far:?}");
        assert_eq!((done.is_ok(), progress.stage()), (times == 2, far), "{far:?}");
        // Either way the next one has a connection that lives.
        assert_eq!(pool.run(&TELL).await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_within_a_transaction_is_not_given_to_another() {
    let (world, pool) = pool(1);
    let put = Put { dead: 0, far: Stage::Begun, done: AtomicUsize::new(0) };
    let progress = Progress::default();
    pool.run_once(&put, &progress).await.unwrap();
    assert_eq!(pool.run(&TELL).await.unwrap(), 1);
    assert_eq!(world.open.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_idle_is_asked_before_anything_is_sent() {
    let (world, pool) = pool(1);
    pool.run(&TELL).await.unwrap();
    world.is_dead.store(1, Ordering::Relaxed);
    advance(Duration::from_secs(1)).await;
    let (put, progress) =
        (Put { dead: 1, far: Stage::Sent, done: AtomicUsize::new(0) }, Progress::default());
    assert_eq!(pool.run_once(&put, &progress).await.unwrap(), 1);
    assert_eq!(put.done.load(Ordering::Relaxed), 1);
}
