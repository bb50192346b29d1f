//! Taking a journal over, and reading what it holds.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::RedisJournal;
use super::log::{Head, Log, Taken};
use super::options::Settings;
use super::report::{RecordsLost, RedisRecovery};
use super::sender::Sender;
use super::shared::{Found, Shared};
use crate::client::Client;
use crate::options::RedisOptions;

/// What a thread that has opened a journal tells.
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    pub(super) id: String,
    pub(super) recovery: RedisRecovery,
}

/// Opens a journal on a thread of its own, which then sends.
pub(super) async fn open(redis: RedisOptions, settings: Settings) -> Result<RedisJournal> {
    let client = Client::new(&redis)?;
    let (told, opened) = oneshot::channel();
    let thread = std::thread::Builder::new().name("larder-redis-journal".to_owned());
    let thread = thread.spawn(move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(told.send(Err(no_thread(error)))),
        };
        let log = Log::new(client, &settings);
        runtime.block_on(async {
            match take_over(&log, settings).await {
                Err(error) => drop(told.send(Err(error))),
                Ok(opened) => {
                    let sender = Sender::new(log, Arc::clone(&opened.shared), opened.id.clone());
                    if told.send(Ok(opened)).is_ok() {
                        sender.run().await;
                    } else {
                        // Nobody waited for it.
                        sender.give_back().await;
                    }
                }
            }
        });
    });
    let thread = thread.map_err(no_thread)?;
    let opened = opened.await.map_err(|_| {
        Error::new(ErrorKind::Internal, "the thread that opens the journal has panicked")
    })??;
    Ok(RedisJournal::new(opened, thread))
}

fn no_thread(error: std::io::Error) -> Error {
    let message = "the system gives no thread to write the journal";
    Error::new(ErrorKind::Internal, message).caused_by(error)
}

async fn take_over(log: &Log, settings: Settings) -> Result<Opened> {
    let policy = log.policy().await?;
    if policy.evicts_anything() {
        let message = format!(
            "the Redis of the journal {} evicts anything when it is full ({}), acknowledged writes \
             too: give it maxmemory-policy noeviction, or one that begins with volatile-",
            settings.name,
            policy.name()
        );
        return Err(Error::new(ErrorKind::Config, message));
    }
    let head = take(log, &settings).await?;
    let mut records = Vec::new();
    let mut behind = head.first.saturating_sub(1);
    loop {
        let read = log.read(behind).await?;
        let Some(last) = read.last() else { break };
        behind = last.number;
        records.extend(read);
        if behind >= head.next {
            return Err(log.torn());
        }
    }
    let numbers = records.iter().map(|record| record.number);
    let needed = head.first.max(head.accepted.min(head.next))..head.next;
    let mut lost = RecordsLost::among(needed, numbers);
    let mut accepted = head.accepted;
    if !lost.lost.is_empty() {
        if !settings.accept_loss {
            let message = format!(
                "the journal {} lacks records that it should hold: read which ones, and open it \
                 with accept_loss to go on without them",
                settings.name
            );
            // It is given back, so that it can be opened anew at once.
            let _ = log.close().await;
            return Err(Error::new(ErrorKind::Refused, message).caused_by(lost));
        }
        accepted = head.next;
    }
    let lost = (!lost.lost.is_empty()).then(|| std::mem::take(&mut lost));
    let recovery = RedisRecovery {
        is_new: head.is_new,
        records: records.len() as u64,
        may_lack_from: head.is_doubtful.then_some(head.next),
        lost,
    };
    let Head { id, first, next, .. } = head;
    let found = Found { first, next, accepted, records: records.into() };
    Ok(Opened { shared: Arc::new(Shared::new(settings, found)), id, recovery })
}

/// Takes it over, when whoever has it is silent.
async fn take(log: &Log, settings: &Settings) -> Result<Head> {
    let (beat, age) = match log.take(settings.silence, Bytes::new()).await? {
        Taken::Now(head) => return Ok(head),
        Taken::Held { beat, age, .. } => (beat, age),
    };
    sleep(settings.silence.saturating_sub(age)).await;
    match log.take(settings.silence, beat).await? {
        Taken::Now(head) => Ok(head),
        Taken::Held { who, .. } => {
            let message = format!(
                "the journal {} belongs to {who}, which lives: give this process a journal of \
                 another name, or end the other one",
                settings.name
            );
            Err(Error::new(ErrorKind::Refused, message))
        }
    }
}
