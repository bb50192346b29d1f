//! Synchronous functions: from plain threads, and from inside async code of any kind.

use std::thread;

use larder::State;
use larder::engine::Invalidation;

use super::support::Gate;

#[test]
fn concurrent_threads_that_ask_for_one_key_run_the_body_once() {
    #[larder::cached(fresh_for = "1h", skip(gate))]
    fn square(number: u64, gate: &Gate) -> u64 {
        gate.pass();
        number * number
    }

    let gate = Gate::default();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..40).map(|_| scope.spawn(|| square(12, &gate))).collect();
        while square_cache().stats().joined < 39 {
            thread::yield_now();
        }
        gate.open();
        assert!(callers.into_iter().all(|caller| caller.join().unwrap() == 144));
    });
    assert_eq!(gate.runs(), 1);
}

#[test]
fn what_is_invalidated_or_stale_is_loaded_again_without_a_runtime() {
    #[larder::cached(fresh_for = "1h", stale_for = "1h", skip(gate))]
    fn runs(_id: u64, gate: &Gate) -> usize {
        gate.pass()
    }

    let gate = Gate::opened();
    assert_eq!([runs(1, &gate), runs(1, &gate)], [1, 1]);
    assert_eq!(runs_cache().invalidate_here(&[1], Invalidation::Drop).unwrap(), 1);
    assert_eq!([runs(1, &gate), runs(1, &gate)], [2, 2]);
    assert_eq!(runs_cache().invalidate_here(&[1], Invalidation::MarkStale).unwrap(), 1);
    assert_eq!(runs(1, &gate), 2, "stale, while one refresh runs");
    while runs_cache().peek(&1).unwrap().state == State::Stale {
        thread::yield_now();
    }
    assert_eq!(runs(1, &gate), 3);
}

#[larder::cached(fresh_for = "1h", skip(gate))]
fn length(text: &str, gate: &Gate) -> Result<usize, String> {
    gate.pass();
    Ok(text.len())
}

#[tokio::test(flavor = "current_thread")]
async fn it_works_inside_a_runtime_of_one_thread() {
    let gate = Gate::opened();
    assert_eq!(length("one thread", &gate), Ok(10));
    assert_eq!(length("one thread", &gate), Ok(10));
    assert_eq!(gate.runs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_inside_a_runtime_of_many_threads() {
    let gate = Gate::opened();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move { length("many threads", &gate) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(12));
    }
    assert_eq!(gate.runs(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn it_works_inside_a_local_set() {
    let gate = Gate::opened();
    let local = tokio::task::LocalSet::new();
    assert_eq!(local.run_until(async { length("local", &gate) }).await, Ok(5));
}

#[test]
fn a_body_may_block_and_build_a_runtime_of_its_own() {
    #[larder::cached(fresh_for = "1h")]
    fn answer() -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { 42 })
    }

    assert_eq!((answer(), answer()), (42, 42));
    assert_eq!(answer_cache().peek(&()).unwrap().value, Some(42));
}
