//! A journal's log in Redis: what is asked of it, as scripts.
//!
//! It keeps nothing and decides nothing.

use std::time::Duration;

use bytes::Bytes;
use larder_core::journal::Record;
use larder_core::{Error, ErrorKind, Result};
use redis::{Value, pipe};

use super::options::Settings;
use super::shared::Batch;
use crate::client::Client;
use crate::errors;
use crate::policy::EvictionPolicy;
use crate::reply;
use crate::request::{Body, Request};
use crate::script::{Call, Script};

/// The log of one journal, for who has a token.
#[derive(Debug)]
pub(super) struct Log {
    client: Client,
    name: String,
    keys: [Bytes; 2],
    token: Bytes,
    who: Bytes,
}

/// What became of a try to take it over.
#[derive(Debug)]
pub(super) enum Taken {
    /// Another process has it, which gave this sign of life so long ago.
    Held {
        who: String,
        beat: Bytes,
        age: Duration,
    },
    Now(Head),
}

/// What a journal says of itself.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) accepted: u64,
    pub(super) is_new: bool,
    /// It was last written to in another run.
    pub(super) is_doubtful: bool,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Sent {
    /// Everything below `next` is there, and so many replicas have it.
    Stored { next: u64, count: u64, replicas: u64 },
    /// It holds what is below this number, and no more.
    Lost(u64),
    /// There is nothing.
    Gone,
    /// Parts of it are missing.
    Torn,
    /// Somebody else has it.
    Owned(String),
}

impl Log {
    pub(super) fn new(client: Client, settings: &Settings) -> Self {
        let (name, who) = (settings.name.clone(), settings.who.clone().into());
        let (keys, token) = (client.names.journal(&name), hex(&client.random.token()));
        Self { client, name, keys, token, who }
    }

    /// What its server does when it is full.
    pub(super) async fn policy(&self) -> Result<EvictionPolicy> {
        let connection = self.client.topology.another(&self.keys[0]).await?;
        let mut question = pipe();
        question.cmd("INFO").arg("memory");
        let answers = connection.ask(&mut question).await?;
        let answer = answers.into_iter().next().unwrap_or_default();
        self.client.refuse_error(&answer)?;
        Ok(EvictionPolicy::read_info(&reply::text(answer)?))
    }

    /// Takes it over, if whoever has it has been silent for so long, or has given no further sign
    /// of life than the one that was `seen`.
    pub(super) async fn take(&self, silence: Duration, seen: Bytes) -> Result<Taken> {
        let id = format!("{}-", self.name).into_bytes();
        let id = [&id[..], &hex(&self.client.random.token())].concat();
        let silence = silence.as_millis().to_string();
        let args =
            vec![self.token.clone(), self.who.clone(), id.clone().into(), silence.into(), seen];
        let call = self.call(Script::JournalTake, args);
        // The run that it was asked of is known with the answer alone.
        let reply = self.client.one(Request::call(call)).await?;
        let run = reply.as_ref().map(|reply| reply.incarnation);
        let mut values = reply::list(self.client.value(Ok(reply))?)?.into_iter();
        let mut next = || values.next().ok_or_else(|| errors::odd("further value"));
        match &*reply::text(next()?)? {
            "held" => Ok(Taken::Held {
                who: reply::text(next()?)?,
                beat: reply::bytes(next()?)?,
                age: Duration::from_millis(reply::number(next()?)?),
            }),
            "taken" => {
                let name = reply::text(next()?)?;
                let (first, end) = (reply::number(next()?)?, reply::number(next()?)?);
                let accepted = reply::number(next()?)?;
                let last_run = reply::run(next()?)?;
                Ok(Taken::Now(Head {
                    is_new: name.as_bytes() == id,
                    id: name,
                    first,
                    next: end,
                    accepted,
                    is_doubtful: run.is_none_or(|run| run.0 != last_run),
                }))
            }
            "torn" => Err(self.torn()),
            _ => Err(errors::odd("such answer")),
        }
    }

    /// The records behind this number, about a mebibyte of them; none at the end.
    pub(super) async fn read(&self, behind: u64) -> Result<Vec<Record>> {
        let args = vec![self.token.clone(), behind.to_string().into()];
        let answer = self.ask(Script::JournalRead, args).await?;
        let mut values = reply::list(answer)?.into_iter();
        let kind = reply::text(values.next().unwrap_or_default())?;
        if kind != "read" {
            return Err(self.taken_by(&reply::text(values.next().unwrap_or_default())?));
        }
        let mut records = Vec::new();
        while let Some(id) = values.next() {
            let bytes = reply::bytes(values.next().unwrap_or_default())?;
            let id = reply::text(id)?;
            let number = id.strip_suffix("-0").and_then(|number| number.parse().ok());
            let number = number.ok_or_else(|| self.torn())?;
            records.push(Record { number, bytes });
        }
        Ok(records)
    }

    /// Appends a batch, removes what is needed no more, and waits for replicas for a while.
    pub(super) async fn send(&self, batch: &Batch, id: &str, replicas: u32) -> Result<Sent> {
        let number = |number: u64| Bytes::from(number.to_string());
        let mut args = vec![self.token.clone(), id.to_owned().into(), self.who.clone()];
        args.extend([batch.first, batch.reached, batch.at, batch.accepted].map(number));
        args.push(if batch.is_anew { "1" } else { "" }.into());
        args.extend(batch.records.iter().cloned());
        let (answer, replicas) = if replicas == 0 {
            (self.ask(Script::JournalAppend, args).await?, 0)
        } else {
            let name = self.keys[0].clone();
            // Others may be waiting on the connection, and an answer has its time.
            let within = self.client.settings.answer_timeout / 4;
            let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX).max(1);
            let body = Body::Replicated(self.call(Script::JournalAppend, args), replicas, within);
            let request = Request { name, body, only_in: None, is_patient: true };
            let reply = self.client.one(request).await?.ok_or_else(|| errors::odd("answer"))?;
            let [answer, count] = self.client.values(reply)?;
            (answer, reply::number(count)?)
        };
        let mut values = reply::list(answer)?.into_iter();
        let mut next = || values.next().ok_or_else(|| errors::odd("further value"));
        match &*reply::text(next()?)? {
            "stored" => Ok(Sent::Stored {
                next: reply::number(next()?)?,
                count: reply::number(next()?)?,
                replicas,
            }),
            "lost" => Ok(Sent::Lost(reply::number(next()?)?)),
            "gone" => Ok(Sent::Gone),
            "torn" => Ok(Sent::Torn),
            "owned" => Ok(Sent::Owned(reply::text(next()?)?)),
            _ => Err(errors::odd("such answer")),
        }
    }

    /// Gives it back.
    pub(super) async fn close(&self) -> Result<()> {
        self.ask(Script::JournalClose, vec![self.token.clone()]).await.map(drop)
    }

    /// Why nothing more is appended: another process has it.
    pub(super) fn taken_by(&self, who: &str) -> Error {
        let who = if who.is_empty() { "another process" } else { who };
        let message = format!(
            "the journal {} was taken over by {who}: this process appends nothing any more; start \
             it again with a journal of another name, or end the other one",
            self.name
        );
        Error::new(ErrorKind::Refused, message)
    }

    /// Why nothing more is appended: somebody has removed what belongs to it.
    pub(super) fn torn(&self) -> Error {
        let [head, log] = &self.keys;
        let message = format!(
            "the journal {} isn't what was written: {} or {} was changed by somebody else, or \
             evicted",
            self.name,
            head.escape_ascii(),
            log.escape_ascii()
        );
        Error::new(ErrorKind::Refused, message)
    }

    fn call(&self, script: Script, args: Vec<Bytes>) -> Call {
        Call { script, keys: self.keys.to_vec(), args }
    }

    async fn ask(&self, script: Script, args: Vec<Bytes>) -> Result<Value> {
        self.client.call(script, self.keys.to_vec(), args).await
    }
}

fn hex(bytes: &[u8]) -> Bytes {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}
