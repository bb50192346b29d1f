//! What is asked of Redis, and how its answers are taken apart.

use std::time::Duration;

use larder_core::Result;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, Value};

use super::place::{At, Id, Standing};
use super::reply::{self, odd};
use super::{LOCKED_FOR, RedisStreamsOptions};
use crate::debezium::records::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Place, Record};

/// The scripts, each a few lines of Lua.
pub(super) struct Scripts {
    open: Script,
    read: Script,
    close: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            open: Script::new(include_str!("open.lua")),
            read: Script::new(include_str!("read.lua")),
            close: Script::new(include_str!("close.lua")),
        }
    }
}

/// Where reading begins.
pub(super) struct Opened {
    pub(super) begins: Place,
    /// Of each stream.
    pub(super) at: Vec<At>,
}

/// What is read, and acknowledged.
pub(super) struct Ask<'a> {
    pub(super) options: &'a RedisStreamsOptions,
    pub(super) token: &'a str,
    /// In which the streams are read.
    pub(super) order: &'a [usize],
    pub(super) at: &'a [At],
    pub(super) acknowledge: Option<(u64, &'a [At])>,
}

/// What was read.
pub(super) struct Answer {
    pub(super) records: Vec<Record>,
    /// The place of each stream behind what was read.
    pub(super) at: Vec<At>,
    /// Where each stream ends.
    pub(super) ends: Vec<At>,
    /// A stream has lost entries that weren't read, and begins here.
    pub(super) lost: Option<(usize, At)>,
}

impl Scripts {
    /// Takes the streams; `None` where somebody else has them.
    pub(super) async fn open(
        &self,
        connection: &mut MultiplexedConnection,
        options: &RedisStreamsOptions,
        token: &str,
    ) -> RedisResult<Option<Result<Opened>>> {
        let mut call = self.open.prepare_invoke();
        keys(&mut call, options);
        call.key(&options.streams);
        // The token is random, and so is its beginning.
        let log = u32::from_str_radix(&token[..8], 16).unwrap_or(1);
        call.arg(token).arg(LOCKED_FOR.as_millis() as u64).arg(log);
        let answer: Value = call.invoke_async(connection).await?;
        Ok(reply::taken(answer).map(|answer| opened(answer, options)))
    }

    /// Reads; `None` where somebody else has the streams.
    pub(super) async fn read(
        &self,
        connection: &mut MultiplexedConnection,
        ask: &Ask<'_>,
    ) -> RedisResult<Option<Result<Answer>>> {
        let mut call = self.read.prepare_invoke();
        keys(&mut call, ask.options);
        for &stream in ask.order {
            call.key(&ask.options.streams[stream]);
        }
        call.arg(ask.token).arg(LOCKED_FOR.as_millis() as u64);
        call.arg(BATCH_RECORDS_MAX).arg(BATCH_BYTES_MAX);
        call.arg(ask.acknowledge.map_or(String::new(), |(number, _)| number.to_string()));
        for &stream in ask.order {
            let place = ask.acknowledge.and_then(|(_, at)| at.get(stream));
            let place = place.map_or(String::new(), |at| format!("{} {}", at.id, at.count));
            call.arg(ask.at[stream].id.to_string()).arg(place);
        }
        let answer: Value = call.invoke_async(connection).await?;
        Ok(reply::taken(answer).map(|answer| read(answer, ask)))
    }

    /// Waits until there is an entry behind one of these places.
    pub(super) async fn wait(
        &self,
        connection: &mut MultiplexedConnection,
        streams: &[String],
        at: &[At],
        time: Duration,
    ) -> RedisResult<bool> {
        let mut call = redis::cmd("XREAD");
        call.arg("COUNT").arg(1).arg("BLOCK").arg(time.as_millis() as u64).arg("STREAMS");
        call.arg(streams).arg(at.iter().map(|at| at.id.to_string()).collect::<Vec<_>>());
        let answer: Value = call.query_async(connection).await?;
        Ok(answer != Value::Nil)
    }

    /// Gives the streams back.
    pub(super) async fn close(
        &self,
        connection: &mut MultiplexedConnection,
        options: &RedisStreamsOptions,
        token: &str,
    ) -> RedisResult<()> {
        let mut call = self.close.prepare_invoke();
        keys(&mut call, options);
        call.arg(token).invoke_async::<Value>(connection).await.map(drop)
    }
}

fn keys(call: &mut redis::ScriptInvocation<'_>, options: &RedisStreamsOptions) {
    let state = format!("larder:debezium:{}", options.name);
    call.key(&state).key(format!("{state}:lock"));
}

fn opened(answer: Value, options: &RedisStreamsOptions) -> Result<Opened> {
    let mut parts = reply::array(answer)?.into_iter();
    let mut next = || parts.next().ok_or_else(odd);
    let log = reply::number(&next()?)?;
    let log = u32::try_from(log).map_err(|_| odd())?;
    let begins = Place { log, number: reply::number(&next()?)? };
    let place = |place: Value| {
        let (id, count) = reply::text(&place)?.split_once(' ').ok_or_else(odd)?;
        let (id, count) = (id.parse().map_err(|()| odd())?, count.parse().map_err(|_| odd())?);
        Ok(At { id, count })
    };
    let at = parts.map(place).collect::<Result<Vec<_>>>()?;
    if at.len() != options.streams.len() {
        return Err(odd());
    }
    Ok(Opened { begins, at })
}

fn read(answer: Value, ask: &Ask<'_>) -> Result<Answer> {
    let streams = reply::array(answer)?;
    if streams.len() != ask.order.len() {
        return Err(odd());
    }
    let (mut at, mut ends) = (ask.at.to_vec(), ask.at.to_vec());
    let (mut records, mut lost) = (Vec::new(), None);
    for (&stream, value) in ask.order.iter().zip(streams) {
        let [added, length, last, entries] = reply::parts(value)?;
        let end = At { id: id(&last)?, count: reply::number(&added)? };
        ends[stream] = end;
        let standing = Standing { end, length: reply::number(&length)? };
        lost = lost.or_else(|| Some((stream, standing.lost(ask.at[stream])?)));
        for entry in reply::array(entries)? {
            let [name, fields] = reply::parts(entry)?;
            at[stream] = At { id: id(&name)?, count: at[stream].count + 1 };
            let lane = u32::try_from(stream).unwrap_or(u32::MAX);
            records.push(reply::record(&ask.options.streams[stream], lane, fields, ask.options)?);
        }
    }
    Ok(Answer { records, at, ends, lost })
}

fn id(value: &Value) -> Result<Id> {
    reply::text(value)?.parse().map_err(|()| odd())
}
