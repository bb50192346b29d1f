//! What is posted, and when it is answered.

use std::time::Duration;

use bytes::Bytes;
use larder_core::ErrorKind;
use larder_feed::debezium::http::{BODY_BYTES_MAX, HttpIntake, HttpIntakeOptions};
use larder_feed::debezium::{DebeziumFeed, DebeziumOptions};
use tokio::time::timeout;

use crate::Follower;
use crate::kit::change;

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

fn intake(options: HttpIntakeOptions) -> (HttpIntake, DebeziumFeed) {
    let intake = HttpIntake::new(options);
    let feed = DebeziumFeed::new("shop", intake.clone(), DebeziumOptions::new(["users"]));
    (intake, feed)
}

fn inserted(id: u32) -> Bytes {
    change("c", "null", &format!(r#"{{"id":{id}}}"#), 5).into()
}

#[tokio::test]
async fn it_is_answered_when_it_was_applied_and_not_before() {
    let (intake, feed) = intake(HttpIntakeOptions::default());
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let accepting = tokio::spawn(async move { intake.accept(JSON, inserted(1)).await });
    assert_eq!(follower.hear(1).await, ["public.users +id=1"]);
    tokio::task::yield_now().await;
    assert!(!accepting.is_finished());
    assert!(follower.is_idle().await);
    accepting.await.unwrap().unwrap();
}

#[tokio::test]
async fn several_records_come_as_an_array() {
    let (intake, feed) = intake(HttpIntakeOptions::default());
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let body = [&b"["[..], &inserted(1), b",null,", &inserted(2), b"]"].concat();
    let accepting = tokio::spawn(async move { intake.accept(JSON, body.into()).await });
    assert_eq!(follower.hear(2).await, ["public.users +id=1", "public.users +id=2"]);
    assert!(follower.is_idle().await);
    accepting.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_event_of_the_cloud_may_have_its_attributes_in_headers() {
    let (intake, feed) = intake(HttpIntakeOptions::default());
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let headers = [
        ("content-type", "application/json"),
        ("CE-SpecVersion", "1.0"),
        ("ce-iodebeziumop", "c"),
        ("ce-iodebeziumconnector", "postgresql"),
        ("ce-iodebeziumschema", "public"),
        ("ce-iodebeziumtable", "users"),
    ];
    let body = r#"{"before":null,"after":{"id":3}}"#.into();
    let accepting = tokio::spawn(async move { intake.accept(headers, body).await });
    assert_eq!(follower.hear(1).await, ["public.users +id=3"]);
    assert!(follower.is_idle().await);
    accepting.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_no_json_is_refused_and_what_is_no_record_is_a_gap() {
    let (intake, feed) = intake(HttpIntakeOptions::default());
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    follower.next().await.unwrap();
    let refused = async |headers: [(&'static str, &'static str); 1], body: Bytes| {
        intake.accept(headers, body).await.unwrap_err().kind()
    };
    assert_eq!(refused(JSON, "{".into()).await, ErrorKind::Refused);
    assert_eq!(refused([("content-type", "avro/bytes")], "{}".into()).await, ErrorKind::Refused);
    let long = vec![b' '; BODY_BYTES_MAX + 1];
    assert_eq!(refused(JSON, long.into()).await, ErrorKind::Refused);
    let many = format!("[{}1]", "1,".repeat(1_024));
    assert_eq!(refused(JSON, many.into()).await, ErrorKind::Refused);
    intake.accept(JSON, Bytes::new()).await.unwrap();
    let accepting = tokio::spawn(async move { intake.accept(JSON, "{}".into()).await });
    follower.next().await.unwrap();
    assert_eq!(follower.gaps.len(), 2);
    assert!(follower.is_idle().await);
    accepting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let (intake, _feed) = intake(HttpIntakeOptions::default());
    let error = intake.accept(JSON, inserted(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_it_is_shed() {
    let within = Duration::from_secs(1);
    let options = HttpIntakeOptions { waiting_max: 2, within, ..HttpIntakeOptions::default() };
    let (few, _feed) = intake(options);
    for expected in [ErrorKind::Timeout, ErrorKind::Timeout, ErrorKind::Shed] {
        assert_eq!(few.accept(JSON, inserted(1)).await.unwrap_err().kind(), expected);
    }
    let waiting_bytes_max = inserted(1).len() * 2 + 1;
    let options = HttpIntakeOptions { waiting_bytes_max, within, ..HttpIntakeOptions::default() };
    let (short, _feed) = intake(options);
    for expected in [ErrorKind::Timeout, ErrorKind::Timeout, ErrorKind::Shed] {
        assert_eq!(short.accept(JSON, inserted(1)).await.unwrap_err().kind(), expected);
    }
}

/// What was posted is posted again by who posted it, in its order; nothing is kept for the next.
#[tokio::test]
async fn when_who_follows_stops_it_is_to_be_posted_again() {
    let (intake, feed) = intake(HttpIntakeOptions::default());
    let mut follower = Follower::follow(&feed, None).await.unwrap();
    let poster = intake.clone();
    let accepting = tokio::spawn(async move { poster.accept(JSON, inserted(1)).await });
    follower.hear(1).await;
    let since = Some(follower.position);
    drop(follower);
    let error = accepting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceDown);
    let mut follower = Follower::follow(&feed, since).await.unwrap();
    let accepting = tokio::spawn(async move { intake.accept(JSON, inserted(1)).await });
    assert_eq!(follower.hear(1).await, ["public.users +id=1"]);
    assert!(follower.gaps.is_empty(), "this process knows what it applied: {:?}", follower.gaps);
    assert!(follower.is_idle().await);
    timeout(crate::LONG, accepting).await.unwrap().unwrap().unwrap();
}
