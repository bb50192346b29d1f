//! Waiting with an end: a deadline around any future, a panic turned into a value, and a turn that
//! is passed on.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use larder_core::{BoxFuture, Clock, Moment};

/// What `future` returns, or `None` if `until` comes first.
///
/// The future is polled before the clock is asked, so an answer that is there is taken even
/// past the deadline, and nothing is set up for an answer that comes at once.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    until: Moment,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut sleep: Option<BoxFuture<'static, ()>> = None;
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        let sleep = sleep.get_or_insert_with(|| clock.sleep_until(until));
        sleep.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// What `future` returns, or the message of its panic. A future that panicked is not polled
/// again.
pub(crate) async fn catch_panic<T>(mut future: BoxFuture<'_, T>) -> Result<T, String> {
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(message(&*panic))),
    })
    .await
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

/// Lets other tasks of the same thread run once.
pub(crate) async fn pass_the_turn() {
    let mut passed = false;
    poll_fn(|context| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
