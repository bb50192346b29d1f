//! Reading a driver's rows one by one.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;

/// The rows of a running statement.
pub(crate) type Rows<'a, R> = Pin<Box<dyn Stream<Item = Result<R, sqlx::Error>> + Send + 'a>>;

/// The next row, if there is one.
///
/// # Cancel safety
///
/// Dropping the future loses no row, but the statement goes on until the rows are dropped.
pub(crate) async fn next<R>(rows: &mut Rows<'_, R>) -> Result<Option<R>, sqlx::Error> {
    poll_fn(|context| rows.as_mut().poll_next(context)).await.transpose()
}
