//! Cached functions that call cached functions, themselves among them: nothing waits for itself.

use larder::core::BoxFuture;

#[test]
fn a_function_may_call_itself_deeper_than_bodies_run_at_once() {
    #[larder::cached(fresh_for = "1h", loads_max = 1)]
    fn fibonacci(n: u64) -> u64 {
        if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
    }

    assert_eq!(fibonacci(80), 23_416_728_348_467_685);
    // Not a body for each call, which would take years, and no call ran into a timeout.
    assert_eq!(fibonacci_cache().peek(&79).unwrap().value, Some(14_472_334_024_676_221));
    assert_eq!(fibonacci_cache().stats().load_errors, 0);
}

#[tokio::test]
async fn an_async_function_may_call_itself_through_a_box() {
    #[larder::cached(fresh_for = "1h", loads_max = 1)]
    async fn sum(n: u64) -> larder::Result<u64> {
        Ok(if n == 0 { 0 } else { n + boxed(n - 1).await? })
    }

    fn boxed(n: u64) -> BoxFuture<'static, larder::Result<u64>> {
        Box::pin(sum(n))
    }

    assert_eq!(sum(60).await.unwrap(), 1830);
    assert_eq!(sum_cache().stats().load_errors, 0);
}

#[tokio::test]
async fn functions_may_call_each_other_around_a_circle() {
    #[larder::cached(fresh_for = "1h", loads_max = 1)]
    fn is_even(n: u32) -> Result<bool, larder::Error> {
        if n == 0 { Ok(true) } else { is_odd(n - 1) }
    }

    #[larder::cached(fresh_for = "1h", loads_max = 1)]
    fn is_odd(n: u32) -> Result<bool, larder::Error> {
        if n == 0 { Ok(false) } else { is_even(n - 1) }
    }

    assert!(is_even(40).unwrap());
}

#[tokio::test]
async fn async_bodies_may_call_synchronous_functions_on_every_thread_at_once() {
    #[larder::cached(fresh_for = "1h")]
    fn inner(n: u64) -> Result<u64, larder::Error> {
        Ok(n + 1)
    }

    #[larder::cached(fresh_for = "1h")]
    async fn outer(n: u64) -> Result<u64, larder::Error> {
        // The threads that poll this are the ones that the inner load needs.
        inner(n)
    }

    let all = futures_util::future::join_all((0..16).map(outer)).await;
    let all: Vec<u64> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all, (1..17).collect::<Vec<_>>());
}
