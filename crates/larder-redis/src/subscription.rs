//! Reading the bus: every announcement once and in order, or a gap.
//!
//! Each announcement bears the run of the bus and its number. What follows the one before is
//! passed on; anything else is a gap first. Numbers alone don't show everything:
//!
//! 1. a failover rolls the bus back, from number 10 to 8,
//! 2. two are announced, and again there are 10, but a reader that stands at the id of the old 10
//!    reads on behind it, and the next number fits.
//!
//! So whoever comes back, or hears nothing for a second, looks whether what stands at its own
//! place is still what it read there.
//!
//! Of what a server took, acknowledged and lost before it was read, nothing shows: neither a number
//! nor a place. So whoever comes back to another run of a server, which started again or took
//! over, has a gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use larder_core::Result;
use larder_core::bus::{BusEvent, Message, Position, Subscription};
use larder_core::shared::{Incarnation, MarkClock};
use redis::{Value, pipe};
use tokio::time::sleep;

use crate::client::Client;
use crate::connection::Connection;
use crate::errors::odd;
use crate::reply;
use crate::request::{Request, ask};
use crate::script::{Call, Script};

/// How long a read waits for something new.
const BLOCK: Duration = Duration::from_secs(1);

/// How many announcements one read returns at most, of at most a mebibyte each.
const COUNT_MAX: usize = 512;

/// How long a lost connection is left alone: doubled from one to the other. While the bus isn't
/// heard nothing is known to be fresh, so all must be well again within a second of the server's
/// return: this wait, a new connection, a look, and a token.
const WAIT: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_millis(250);

/// Subscribes at the end of the bus.
pub(crate) async fn subscribe(client: Arc<Client>) -> Result<(Position, Subscription)> {
    let connection = client.topology.another(&client.names.head).await?;
    let place = place(&client, &connection, None).await?;
    let reader = Reader {
        client,
        server: connection.incarnation(),
        connection: Some(connection),
        last: place.end,
        cursor: place.id,
        stands: place.at_end == Some(place.end),
        events: VecDeque::new(),
        wait: WAIT,
    };
    let events = stream::unfold(reader, |mut reader| async {
        let event = reader.next().await;
        Some((event, reader))
    });
    Ok((place.end, Box::pin(events)))
}

/// An id in the stream: milliseconds, and a number within them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64, u64);

impl Id {
    fn read(value: Value) -> Result<Self> {
        let text = reply::text(value)?;
        let (millis, number) = text.split_once('-').ok_or_else(|| odd("id"))?;
        let read = |digits: &str| digits.parse().map_err(|_| odd("id"));
        Ok(Self(read(millis)?, read(number)?))
    }

    fn text(self) -> String {
        format!("{}-{}", self.0, self.1)
    }
}

/// Where the bus ends, and what stands where.
struct Place {
    end: Position,
    /// The id of the last announcement.
    id: Id,
    /// What stands there.
    at_end: Option<Position>,
    /// What stands at the id that was asked for.
    at_cursor: Option<Position>,
}

async fn place(client: &Client, connection: &Connection, cursor: Option<Id>) -> Result<Place> {
    let cursor = cursor.map_or_else(Bytes::new, |id| id.text().into());
    let request = Request::call(Call {
        script: Script::Place,
        keys: vec![client.names.head.clone(), client.names.stream.clone()],
        args: vec![client.random.run(), cursor],
    });
    let outcomes = ask(connection, &client.settings.scripts, &[&request], false).await;
    let outcome = outcomes.into_iter().next().ok_or_else(|| odd("answer"))?;
    let values = outcome?.ok_or_else(|| odd("answer"))?.values;
    let value = values.into_iter().next().unwrap_or_default();
    client.refuse_error(&value)?;
    let [run, number, id, end_run, end_number, run_there, number_there] = reply::array(value)?;
    Ok(Place {
        end: reply::position([run, number])?,
        id: Id::read(id)?,
        at_end: reply::position([end_run, end_number]).ok(),
        at_cursor: reply::position([run_there, number_there]).ok(),
    })
}

/// A reader.
struct Reader {
    client: Arc<Client>,
    connection: Option<Connection>,
    /// The run of the server that was read last.
    server: Incarnation,
    /// What was read last.
    last: Position,
    /// The id at which it stood.
    cursor: Id,
    /// Whether it surely stood there.
    stands: bool,
    /// Read and not yet given out; at most what one read returns, and its gaps.
    events: VecDeque<BusEvent>,
    wait: Duration,
}

impl Reader {
    async fn next(&mut self) -> BusEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if self.step().await.is_err() {
                // Whatever it was, it is tried again on another connection, from the same place.
                self.connection = None;
                sleep(self.wait).await;
                self.wait = (self.wait * 2).min(WAIT_MAX);
            }
        }
    }

    async fn step(&mut self) -> Result<()> {
        let head = self.client.names.head.clone();
        // An old master may go on as if nothing had happened, and be read for ever.
        let elsewhere =
            |connection: &Connection| self.client.topology.is_elsewhere(&head, connection);
        let connection = match self.connection.take().filter(|ours| !elsewhere(ours)) {
            Some(connection) => connection,
            None => {
                let connection = self.client.topology.another(&self.client.names.head).await?;
                self.look(&connection).await?;
                connection
            }
        };
        let entries = self.read(&connection).await?;
        self.wait = WAIT;
        if entries.is_empty() {
            self.look(&connection).await?;
        }
        for entry in entries {
            if self.take(entry).is_err() {
                // Something else writes there: what it overwrote nobody knows.
                let place = place(&self.client, &connection, None).await?;
                self.jump(&place);
                break;
            }
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Looks whether everything up to the cursor is still as it was, and whether something came
    /// that a read from the cursor will not find, or may have and was lost.
    async fn look(&mut self, connection: &Connection) -> Result<()> {
        let place = place(&self.client, connection, self.stands.then_some(self.cursor)).await?;
        let changed = self.stands && place.at_cursor != Some(self.last);
        let hidden = place.id <= self.cursor && place.end != self.last;
        let is_other = connection.incarnation() != self.server;
        if is_other || changed || hidden || place.id < self.cursor {
            self.jump(&place);
            self.server = connection.incarnation();
        }
        Ok(())
    }

    /// Goes on at the end of the bus.
    fn jump(&mut self, place: &Place) {
        self.last = place.end;
        self.cursor = place.id;
        self.stands = place.at_end == Some(place.end);
        self.events.push_back(BusEvent::Gap(Some(self.last)));
    }

    async fn read(&self, connection: &Connection) -> Result<Vec<Value>> {
        let mut question = pipe();
        question.cmd("XREAD").arg("COUNT").arg(COUNT_MAX).arg("BLOCK").arg(BLOCK.as_millis());
        question.arg("STREAMS").arg(&self.client.names.stream[..]).arg(self.cursor.text());
        let answers = connection.send_patiently(&question, BLOCK).await?;
        let answer = answers.into_iter().next().unwrap_or_default();
        self.client.refuse_error(&answer)?;
        if answer == Value::Nil {
            return Ok(Vec::new());
        }
        let streams = reply::pairs(answer)?;
        let (_, entries) = streams.into_iter().next().ok_or_else(|| odd("stream"))?;
        reply::list(entries)
    }

    fn take(&mut self, entry: Value) -> Result<()> {
        let [id, fields] = reply::array(entry)?;
        let id = Id::read(id)?;
        let (mut announcement, mut run, mut number) = (Value::Nil, Value::Nil, Value::Nil);
        let (mut clock, mut incarnation) = (None, None);
        for (field, value) in reply::pairs(fields)? {
            match &reply::bytes(field)?[..] {
                b"a" => announcement = value,
                b"r" => run = value,
                b"n" => number = value,
                b"c" => clock = Some(MarkClock(reply::number(value)?)),
                b"i" => incarnation = Some(reply::run(value)?),
                _ => {}
            }
        }
        let announcement = reply::bytes(announcement)?;
        let position = reply::position([run, number])?;
        let before = position.number.checked_sub(1).ok_or_else(|| odd("number"))?;
        if !self.last.is_followed_by(position) {
            let before = Position { number: before, ..position };
            self.events.push_back(BusEvent::Gap(Some(before)));
        }
        let marks = clock.zip(incarnation);
        self.events.push_back(BusEvent::Message(Message { position, announcement, marks }));
        self.last = position;
        self.cursor = id;
        self.stands = true;
        Ok(())
    }
}
