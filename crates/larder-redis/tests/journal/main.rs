//! Journals in a real Redis, which is killed, paused, emptied and replaced; and processes that take
//! them from each other.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod contract;
mod limits;
mod losses;
mod owners;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use larder_core::Journal;
use larder_core::journal::Record;
use larder_redis::{RedisJournal, RedisJournalOptions, RedisOptions};
use larder_test::{Proxy, Redis};

/// One that notices soon when something is amiss, and takes the journal from whoever has it.
fn options(url: impl Into<String>) -> RedisJournalOptions {
    let redis = RedisOptions {
        answer_timeout: Duration::from_millis(500),
        connect_timeout: Duration::from_millis(500),
        ..RedisOptions::new(url)
    };
    RedisJournalOptions::new(redis, "j")
        .silence(Duration::ZERO)
        .answer_within(Duration::from_secs(1))
}

fn behind(proxy: &Proxy) -> RedisJournalOptions {
    options(format!("redis://127.0.0.1:{}", proxy.port()))
}

async fn open(url: impl Into<String>) -> RedisJournal {
    options(url).open().await.unwrap()
}

/// Appends texts and waits until they are durable.
async fn append(journal: &RedisJournal, texts: &[&str]) {
    let numbers: Vec<u64> =
        texts.iter().map(|text| journal.append(text.as_bytes()).unwrap()).collect();
    journal.durable(*numbers.last().unwrap()).await.unwrap();
}

fn texts(journal: &RedisJournal) -> Vec<String> {
    let text = |record: Record| String::from_utf8(record.bytes.into()).unwrap();
    journal.read_from(0).unwrap().map(|record| text(record.unwrap())).collect()
}

/// How many records Redis has.
fn count(redis: &Redis) -> u64 {
    redis.cli(&["XLEN", "larder.j:{j}:log"]).parse().unwrap()
}
