//! SET, INCR, LARDER.DELETE and their kin where the key belongs to a cache: its row is written, as
//! the cache's mode has it, and the reply comes when what that mode promises is true.
//!
//! What reads follow in the pipeline wait for it, and see it. Where writes are acknowledged by a
//! journal, those of different keys that follow each other are put into it together, in their
//! order, and wait for one sync of its disk.

use larder_core::{Error, ErrorKind, Key, Result, Value, Write, Written};
use larder_engine::WriteMode;

use super::writes::{Condition, Put, value};
use super::{Call, Outcome};
use crate::codec::{Request, Writer};
use crate::counter::Counter;
use crate::fault;
use crate::keyspace::{Declared, Home, Whose, shown};
use crate::reads::{Later, Waiting};
use crate::row::{Row, Statement};
use crate::service::Service;

/// Puts the argument at `at` into a row under a condition, and has the reply written of what came
/// of it. The value that was held before is told only if it `wants_old`.
pub(super) fn put(
    call: &mut Call<'_>,
    (declared, key): (&Declared, Key),
    at: usize,
    (condition, wants_old): (Condition, bool),
    write: impl FnOnce(&Put, &mut Writer<'_>) + Send + 'static,
) -> Outcome {
    if let Err(error) = Statement::Store.check(&declared.cache, &key) {
        return call.fail(&error);
    }
    let (row, value) = (Row::new(call.service, declared, key), value(&call.request[at]));
    let write = move |put: Put, reply: &mut Writer<'_>| write(&put, reply);
    match condition {
        Condition::Always if !wants_old => wait(row, write, |row| async move {
            row.put(value).await?;
            Ok(Put { set: true, old: None })
        }),
        _ => Outcome::Wait(waiting(write, swap(row, value, condition))),
    }
}

/// Adds to the number in a row, and replies with the sum.
pub(super) fn add(call: &mut Call<'_>, declared: &Declared, key: Key, amount: i64) -> Outcome {
    if let Err(error) = Statement::Add.check(&declared.cache, &key) {
        return call.fail(&error);
    }
    let counter = Counter::new(&declared.template, declared.counter.as_deref());
    let name = declared.cache.name().to_owned();
    let write = move |sum: Option<i64>, reply: &mut Writer<'_>| match sum {
        Some(sum) => reply.integer(sum),
        None => reply.error(
            "ERR",
            format_args!(
                "value is not an integer or out of range: the row is written, but its value is no \
                 number, or has several columns of which counter = \"...\" in [cache.{name}] names \
                 none"
            ),
        ),
    };
    let row = Row::new(call.service, declared, key);
    wait(row, write, |row| async move { add_to(&row, amount, &counter).await })
}

/// `LARDER.DELETE key [key …]`: deletes rows, each by itself, and replies how many it was asked to.
/// What can't be is refused before anything is done.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    let mut rows = Vec::with_capacity(call.request.len() - 1);
    for at in 1..call.request.len() {
        match row_to_delete(call, at) {
            Ok(row) => rows.push(row),
            Err(error) => return call.fail(&error),
        }
    }
    let write = |count: usize, reply: &mut Writer<'_>| {
        reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    };
    if rows.len() > 1 {
        return Outcome::Wait(waiting(write, delete_all(rows)));
    }
    match rows.pop() {
        Some(row) => wait(row, write, |row| async move { row.delete().await.map(|_| 1) }),
        None => call.syntax(),
    }
}

fn row_to_delete(call: &Call<'_>, at: usize) -> Result<Row> {
    let (keyspace, key) = (&call.service.keyspace, &call.request[at]);
    let lives_upstream = keyspace.upstream().is_some();
    match keyspace.home(key) {
        Ok(Home::Declared(declared, key)) => {
            Statement::Delete.check(&declared.cache, &key)?;
            return Ok(Row::new(call.service, declared, key));
        }
        Err(error) if !lives_upstream || matches!(keyspace.whose(key), Whose::Cache(_)) => {
            return Err(error);
        }
        Ok(Home::Plain(_)) | Err(_) => {}
    }
    let message = "LARDER.DELETE deletes rows of caches: DEL deletes a plain key";
    Err(Error::new(ErrorKind::Refused, message).for_key(shown(key)))
}

async fn delete_all(rows: Vec<Row>) -> Result<usize> {
    let count = rows.len();
    for (done, row) in rows.iter().enumerate() {
        row.delete().await.map_err(|error| {
            let message = format!("{done} of {count} rows were deleted before this one");
            let after = error.retry_delay();
            let failed = row.blame(Error::new(error.kind(), message).caused_by(error));
            after.into_iter().fold(failed, Error::retry_after)
        })?;
    }
    Ok(count)
}

/// Has a row written, and the reply when that is done. Others may be written with it if a journal
/// keeps them in order.
fn wait<R: Send + 'static, F: Future<Output = Result<R>> + Send + 'static>(
    row: Row,
    write: impl FnOnce(R, &mut Writer<'_>) + Send + 'static,
    doing: impl FnOnce(Row) -> F,
) -> Outcome {
    let key = row.is_pushed().then(|| row.key().clone());
    let waiting = waiting(write, doing(row));
    match key {
        Some(key) => Outcome::Push(key, waiting),
        None => Outcome::Wait(waiting),
    }
}

/// Puts a value if what is held meets the condition, and nobody else writes in between.
async fn swap(row: Row, value: Value, condition: Condition) -> Result<Put> {
    let mut put = Put { set: false, old: None };
    let change = |held: Option<Value>| {
        let set = condition.is_met(held.is_some());
        put = Put { set, old: held };
        set.then(|| Write::Store(value.clone()))
    };
    row.update(change).await?;
    Ok(put)
}

/// The sum, if the value has a number.
async fn add_to(row: &Row, amount: i64, counter: &Counter) -> Result<Option<i64>> {
    let value = match row.add(amount).await?.written {
        Written::Value(value) => Some(value),
        Written::Absent => None,
        Written::Unsaid => read_sum(row).await?,
    };
    let value = value.ok_or_else(|| {
        let message = "there is no row that could be added to, and nothing changed: SET the key \
                       first, or declare an add that inserts the row";
        row.blame(Error::new(ErrorKind::Refused, message))
    })?;
    Ok(counter.number(&value))
}

/// What is read after something was added to it and nobody said what that makes.
async fn read_sum(row: &Row) -> Result<Option<Value>> {
    let answer = row.cache().ask(row.key()).await.map_err(|error| {
        let message = "it is written, and counts: don't repeat it. But what it makes can't be read";
        row.blame(Error::new(error.kind(), message).caused_by(error))
    })?;
    Ok(answer.value)
}

/// Does something, and then has the reply written of what came of it.
fn waiting<R: Send + 'static>(
    write: impl FnOnce(R, &mut Writer<'_>) + Send + 'static,
    doing: impl Future<Output = Result<R>> + Send + 'static,
) -> Waiting {
    Box::pin(async move {
        let done = doing.await;
        let later: Later = Box::new(move |reply: &mut Writer<'_>| match done {
            Ok(done) => write(done, reply),
            Err(error) => fault::error(reply, &error),
        });
        later
    })
}

/// The key of a write that a journal acknowledges, if that is all that a request is.
pub(crate) fn pushed_key(service: &Service, request: &Request<'_>) -> Option<Key> {
    let is = |name: &str| request.name().eq_ignore_ascii_case(name.as_bytes());
    let pushes = match request.len() {
        2 => is("INCR") || is("DECR") || is("LARDER.DELETE"),
        3 => is("SET") || is("INCRBY") || is("DECRBY"),
        _ => false,
    };
    match service.keyspace.home(request.get(1).filter(|_| pushes)?) {
        Ok(Home::Declared(declared, key))
            if declared.cache.write_mode() == Some(WriteMode::Behind) =>
        {
            Some(key)
        }
        _ => None,
    }
}
