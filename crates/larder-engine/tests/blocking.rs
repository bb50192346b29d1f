//! The blocking handle: on plain threads, inside runtimes, and where waiting would never end.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use larder_core::ErrorKind;
use larder_engine::{Cache, Engine};

fn cache(engine: &Engine) -> Cache<u64, u64> {
    Cache::builder("blocking")
        .engine(engine)
        .max_staleness(Duration::from_secs(3600))
        .build()
        .unwrap()
}

#[test]
fn threads_that_miss_together_load_once() {
    let engine = Engine::on_threads(1).unwrap();
    let (cache, loads) = (cache(&engine), Arc::new(AtomicUsize::new(0)));
    let barrier = std::sync::Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                let loads = Arc::clone(&loads);
                let load = move |_| {
                    loads.fetch_add(1, Ordering::SeqCst);
                    Ok(Some(49))
                };
                assert_eq!(cache.blocking().get_or_load(&7, load).unwrap(), Some(49));
            });
        }
    });
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert_eq!(cache.blocking().invalidate(&7).unwrap().entries, 1);
    assert_eq!(cache.peek(&7), None);
}

#[test]
fn a_load_that_blocks_holds_up_nobody_else() {
    let engine = Engine::on_threads(1).unwrap();
    let cache = cache(&engine);
    let (entered, waits) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let load = move |_| {
                entered.send(()).unwrap();
                released.recv().unwrap();
                Ok(Some(1))
            };
            cache.blocking().get_or_load(&1, load)
        });
        waits.recv().unwrap();
        assert_eq!(cache.blocking().get_or_load(&2, |_| Ok(Some(2))).unwrap(), Some(2));
        release.send(()).unwrap();
        assert_eq!(slow.join().unwrap().unwrap(), Some(1));
    });
}

#[test]
fn a_panic_of_the_load_is_an_error() {
    let engine = Engine::on_threads(1).unwrap();
    let error = cache(&engine).blocking().get_or_load(&1, |_| panic!("out of cheese")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Loader);
    assert!(error.to_string().contains("out of cheese"), "{error}");
}

#[tokio::test]
async fn the_thread_that_runs_the_loads_is_told_not_to_wait_for_them() {
    let cache = cache(&Engine::on_tokio().unwrap());
    let error = cache.blocking().get_or_load(&1, |_| Ok(Some(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("threads of its own"), "{error}");
    // What is held needs no waiting.
    cache.get_or_load(&1, |_| async { Ok(Some(1)) }).await.unwrap();
    assert_eq!(cache.blocking().get(&1).unwrap(), Some(1));
}

#[tokio::test]
async fn with_threads_of_its_own_it_may_be_waited_for_anywhere() {
    let cache = cache(&Engine::on_threads(1).unwrap());
    assert_eq!(cache.blocking().get_or_load(&1, |_| Ok(Some(1))).unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn on_a_runtime_with_threads_the_others_tasks_go_on() {
    let cache = cache(&Engine::on_tokio().unwrap());
    let task = tokio::spawn(async move { cache.blocking().get_or_load(&1, |_| Ok(Some(1))) });
    assert_eq!(task.await.unwrap().unwrap(), Some(1));
}

#[test]
fn who_waits_when_the_threads_end_gets_an_error() {
    let engine = Engine::on_threads(1).unwrap();
    let cache = cache(&engine);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let on_runtime = {
        let _inside = runtime.enter();
        Engine::on_tokio().unwrap()
    };
    let doomed = self::cache(&on_runtime);
    runtime.shutdown_background();
    let error = doomed.blocking().get(&1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    drop(cache);
}

/// Deadlines arm their timers where the engine's tasks run, so who awaits may be polled by
/// anything.
#[test]
fn with_threads_of_its_own_a_cache_can_be_awaited_without_any_runtime() {
    let engine = Engine::on_threads(1).unwrap();
    let cache = cache(&engine);
    let read = cache.read(&1).deadline(Duration::from_millis(20));
    let never = || std::future::pending::<Result<Option<u64>, larder_core::LoadError>>();
    let mut read = Box::pin(read.get_or_load(move |_| never()));
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let error = loop {
        match read.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => break result.unwrap_err(),
            std::task::Poll::Pending => thread::park(),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Timeout);
}
