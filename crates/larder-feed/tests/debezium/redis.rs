//! Real streams: what is read, by whom, and what is lost.

use std::time::Duration;

use larder_core::ErrorKind;
use larder_feed::debezium::redis::{RedisStreams, RedisStreamsOptions};
use larder_feed::debezium::{Batch, Reading, Record, Records as _};
use larder_test::Redis;
use tokio::time::timeout;

const USERS: &str = "shop.public.users";
const BEATS: &str = "shop.message";

fn streams_of(redis: &Redis) -> RedisStreams {
    RedisStreams::new(RedisStreamsOptions::new(&redis.url(), [USERS, BEATS])).unwrap()
}

/// What comes, as `topic lane key value`; what was lost as its reason.
async fn heard(reading: &mut dyn Reading) -> (u64, Vec<String>) {
    loop {
        let batch = timeout(crate::LONG, reading.next()).await.unwrap().unwrap();
        match batch {
            Batch::Nothing => {}
            Batch::Lost { reason } => return (0, vec![reason]),
            Batch::Records { number, records } => {
                return (number, records.iter().map(text).collect());
            }
        }
    }
}

fn text(record: &Record) -> String {
    let part = |part: &Option<bytes::Bytes>| {
        part.as_ref().map_or("-".to_owned(), |part| String::from_utf8(part.to_vec()).unwrap())
    };
    format!("{} {} {} {}", record.topic, record.lane, part(&record.key), part(&record.value))
}

async fn is_idle(reading: &mut dyn Reading) -> bool {
    timeout(crate::LONG, reading.next()).await.unwrap().unwrap() == Batch::Nothing
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_entries_are_read_in_their_order() {
    let redis = Redis::start();
    redis.cli(&["XADD", USERS, "*", "before", "it"]);
    let mut reading = streams_of(&redis).open().await.unwrap();
    redis.cli(&["XADD", USERS, "*", "k1", "v1"]);
    assert_eq!(heard(&mut *reading).await.1, ["shop.public.users 0 k1 v1"]);
    redis.cli(&["XADD", USERS, "*", "key", "k2", "value", "v2", "HEADER", "x"]);
    assert_eq!(heard(&mut *reading).await.1, ["shop.public.users 0 k2 v2"]);
    redis.cli(&["XADD", BEATS, "*", "default", "v3"]);
    assert_eq!(heard(&mut *reading).await.1, ["shop.message 1 - v3"]);
    redis.cli(&["XADD", USERS, "*", "k4", "default"]);
    assert_eq!(heard(&mut *reading).await.1, ["shop.public.users 0 k4 -"]);
    redis.cli(&["XADD", USERS, "*", "a", "1", "b", "2", "c", "3"]);
    let (number, odd) = heard(&mut *reading).await;
    assert!(odd[0].contains("neither form"), "{odd:?}");
    assert_eq!(number, 5);
    assert!(is_idle(&mut *reading).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_is_delivered_again_and_the_rest_is_not() {
    let redis = Redis::start();
    let streams = streams_of(&redis);
    let mut reading = streams.open().await.unwrap();
    let begins = reading.begins().unwrap();
    redis.cli(&["XADD", USERS, "*", "k1", "v1"]);
    let (first, _) = heard(&mut *reading).await;
    redis.cli(&["XADD", BEATS, "*", "k2", "v2"]);
    heard(&mut *reading).await;
    reading.acknowledge(first);
    assert!(is_idle(&mut *reading).await, "which carries the acknowledgement");
    drop(reading);
    let mut reading = reopened(&streams).await;
    let now = reading.begins().unwrap();
    assert_eq!((now.log, now.number), (begins.log, begins.number + 1));
    assert_eq!(heard(&mut *reading).await, (now.number + 1, vec!["shop.message 1 k2 v2".into()]));
}

/// Opens it as soon as the one that read before has given it back.
async fn reopened(streams: &RedisStreams) -> Box<dyn Reading> {
    let opened = async {
        loop {
            match streams.open().await {
                Ok(reading) => return reading,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}"),
            }
        }
    };
    timeout(crate::LONG, opened).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_reads_and_who_lost_the_streams_neither_reads_nor_acknowledges() {
    let redis = Redis::start();
    let streams = streams_of(&redis);
    let mut first = streams.open().await.unwrap();
    assert_eq!(streams.open().await.err().unwrap().kind(), ErrorKind::Refused);
    redis.cli(&["XADD", USERS, "*", "k1", "v1"]);
    let (number, _) = heard(&mut *first).await;
    // As if it had been stopped for so long that the lock ended.
    redis.cli(&["DEL", "larder:debezium:larder:lock"]);
    let mut second = streams.open().await.unwrap();
    first.acknowledge(number);
    let error = timeout(crate::LONG, first.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    drop(first);
    assert_eq!(heard(&mut *second).await.1, ["shop.public.users 0 k1 v1"]);
    assert_eq!(streams.open().await.err().unwrap().kind(), ErrorKind::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_trimmed_before_it_was_read_is_lost_and_what_was_read_is_not() {
    let redis = Redis::start();
    let streams = streams_of(&redis);
    let mut reading = streams.open().await.unwrap();
    for value in ["1", "2", "3"] {
        redis.cli(&["XADD", USERS, "*", "k", value]);
        heard(&mut *reading).await;
    }
    redis.cli(&["XTRIM", USERS, "MAXLEN", "1"]);
    redis.cli(&["XADD", USERS, "*", "k", "4"]);
    assert_eq!(heard(&mut *reading).await.1, ["shop.public.users 0 k 4"]);
    drop(reading);
    // Nothing was acknowledged, and the first of it is gone.
    let mut reading = reopened(&streams).await;
    let (_, lost) = heard(&mut *reading).await;
    assert!(lost[0].contains(USERS) && lost[0].contains("gone"), "{lost:?}");
    let left = ["shop.public.users 0 k 3", "shop.public.users 0 k 4"];
    assert_eq!(heard(&mut *reading).await.1, left);
    redis.cli(&["DEL", USERS]);
    redis.cli(&["XADD", USERS, "1-1", "k", "5"]);
    let (_, lost) = heard(&mut *reading).await;
    assert!(lost[0].contains("gone"), "{lost:?}");
    assert_eq!(heard(&mut *reading).await.1, ["shop.public.users 0 k 5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_started_anew_is_another_log() {
    let redis = Redis::start_saving();
    let streams = streams_of(&redis);
    let before = streams.open().await.unwrap().begins().unwrap();
    let same = reopened(&streams).await.begins().unwrap();
    assert_eq!(before, same);
    redis.save();
    redis.restart();
    let after = reopened(&streams).await.begins().unwrap();
    assert_ne!(before.log, after.log);
    let more = RedisStreamsOptions::new(&redis.url(), [USERS, BEATS, "another"]);
    let more = reopened(&RedisStreams::new(more).unwrap()).await.begins().unwrap();
    assert_ne!(after.log, more.log, "a stream that was never read");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_caught_up_when_every_stream_has_been_delivered_as_far_as_it_went() {
    let redis = Redis::start();
    let mut reading = streams_of(&redis).open().await.unwrap();
    assert!(reading.caught_up().await.unwrap());
    // Several batches in one stream, and a beat in the other, after them.
    let script = format!(
        "for i = 1, 3000 do redis.call('XADD', '{USERS}', '*', 'k', i) end
         redis.call('XADD', '{BEATS}', '*', 'k', 'beat')"
    );
    redis.cli(&["EVAL", &script, "0"]);
    let mut records = Vec::new();
    while !records.iter().any(|record: &String| record.ends_with("beat")) {
        records.extend(heard(&mut *reading).await.1);
    }
    assert!(!reading.caught_up().await.unwrap());
    while !reading.caught_up().await.unwrap() {
        // However much is produced meanwhile.
        redis.cli(&["XADD", USERS, "*", "k", "more"]);
        records.extend(heard(&mut *reading).await.1);
    }
    let told = records.iter().filter(|record| !record.ends_with("more")).count();
    assert_eq!(told, 3_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_bounded_in_records_and_bytes() {
    let redis = Redis::start();
    let mut reading = streams_of(&redis).open().await.unwrap();
    let script = format!(
        "for i = 1, 10 do redis.call('XADD', '{USERS}', '*', 'k', string.rep('x', 1000000)) end
         redis.call('XADD', '{USERS}', '*', 'k', string.rep('x', 6000000))
         for i = 1, 1100 do redis.call('XADD', '{USERS}', '*', 'k', 'v') end"
    );
    redis.cli(&["EVAL", &script, "0"]);
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 1_111 {
        sizes.push(heard(&mut *reading).await.1.len());
    }
    assert_eq!(sizes, [4, 4, 2, 1, 1_024, 76]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_said_and_what_is_no_stream_is_a_mistake() {
    let redis = Redis::start();
    let streams = streams_of(&redis);
    redis.cli(&["SET", USERS, "x"]);
    assert_eq!(streams.open().await.err().unwrap().kind(), ErrorKind::Config);
    redis.flushall();
    let mut reading = streams.open().await.unwrap();
    redis.kill();
    let error = timeout(Duration::from_secs(30), async {
        loop {
            if let Err(error) = reading.next().await {
                return error;
            }
        }
    });
    assert_eq!(error.await.unwrap().kind(), ErrorKind::SourceDown);
    assert_eq!(streams.open().await.err().unwrap().kind(), ErrorKind::SourceDown);
}

#[test]
fn what_can_not_be_is_refused() {
    let refused = |url: &str, streams: Vec<String>| {
        RedisStreams::new(RedisStreamsOptions::new(url, streams)).unwrap_err().kind()
    };
    let url = "redis://localhost";
    assert_eq!(refused(url, Vec::new()), ErrorKind::Config);
    assert_eq!(refused(url, vec!["a".into(), "a".into()]), ErrorKind::Config);
    assert_eq!(refused(url, (0..257).map(|at| at.to_string()).collect()), ErrorKind::Config);
    assert_eq!(refused("postgres://localhost", vec!["a".into()]), ErrorKind::Config);
    assert_eq!(refused("rediss://localhost", vec!["a".into()]), ErrorKind::Config);
}
