//! What isn't prepared for it, and what to do.

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use larder_core::{Error, ErrorKind};
use larder_feed::debezium::nats::{NatsOptions, NatsRecords};
use larder_feed::debezium::records::Records as _;
use larder_test::Nats;

use crate::{BEATS, USERS, connect};

async fn refused(options: NatsOptions) -> Error {
    NatsRecords::new(options).unwrap().open().await.err().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_can_not_be_followed_is_refused_with_the_cure() {
    let nats = Nats::start();
    let context = connect(&nats).await;
    let stream = |name: &str, subjects: &[&str], retention: RetentionPolicy| Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
        retention,
        ..Config::default()
    };
    let limits = RetentionPolicy::Limits;
    for (streams, part) in [
        (vec![], "no stream has the subject shop.public.users"),
        (vec![stream("one", &["*.*.*"], limits)], "no stream has the subject shop.message"),
        (
            vec![stream("one", &["*.*.*"], limits), stream("two", &["*.message"], limits)],
            "the streams one and two know nothing of each other's order",
        ),
        (
            vec![stream("one", &["shop.>"], RetentionPolicy::WorkQueue)],
            "let its retention be limits",
        ),
        (vec![stream("one", &[">"], limits)], "another stream takes larder.debezium.place.*"),
    ] {
        let names: Vec<_> = streams.iter().map(|stream| stream.name.clone()).collect();
        for mut stream in streams {
            // One that takes everything takes what JetStream is asked, too.
            stream.no_ack = stream.subjects == [">"];
            context.create_stream(stream).await.unwrap();
        }
        let error = refused(NatsOptions::new(nats.url(), [USERS, BEATS])).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{}", error.chain());
        assert!(error.to_string().contains(part), "{}", error.chain());
        for name in names {
            context.delete_stream(name).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_so_without_the_password() {
    let nats = Nats::start_with(&["--user", "ann", "--pass", "p@ss"]);
    let at = |login: &str| {
        let url = nats.url().replace("nats://", &format!("nats://{login}@"));
        NatsOptions::new(url, [USERS])
    };
    let error = refused(at("ann:p%40ss")).await;
    assert!(error.to_string().contains("no stream has the subject"), "{}", error.chain());
    for login in ["ann:s3cret", ":s3cret"] {
        let error = refused(at(login)).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{}", error.chain());
        assert!(!format!("{error:?} {}", error.chain()).contains("s3cret"));
    }
    nats.kill();
    assert_eq!(refused(at("ann:p%40ss")).await.kind(), ErrorKind::SourceDown);
}
