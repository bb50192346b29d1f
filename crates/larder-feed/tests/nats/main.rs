//! A real NATS, a Debezium Server that is this test, and readers of it.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod begins;
#[path = "../common/follower.rs"]
mod follower;
mod gaps;
mod lead;
#[path = "../common/reader.rs"]
mod reader;
mod refused;
#[path = "../common/text.rs"]
mod text;
mod told;

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, Stream};
use larder_feed::debezium::nats::{NatsOptions, NatsRecords};
use larder_feed::debezium::records::Place;
use larder_test::Nats;

pub(crate) use follower::Follower;
pub(crate) use reader::{LONG, Reader};
use text::of as said;

const ONLY_GROWS: bool = true;

pub(crate) const STREAM: &str = "DebeziumStream";
pub(crate) const USERS: &str = "shop.public.users";
pub(crate) const BEATS: &str = "shop.message";
/// Of a table that nobody reads.
pub(crate) const OTHERS: &str = "shop.public.audit";
/// Where larder keeps its place.
pub(crate) const KEPT: &str = "larder.debezium.place.larder";

/// A NATS with Debezium's stream.
pub(crate) struct Broker {
    pub(crate) nats: Nats,
    pub(crate) context: Context,
}

/// Debezium's stream.
pub(crate) fn config() -> Config {
    let subjects = vec!["shop.>".to_owned()];
    Config { name: STREAM.to_owned(), subjects, ..Config::default() }
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub(crate) async fn start_with(stream: Config) -> Self {
        let nats = Nats::start();
        let context = connect(&nats).await;
        context.create_stream(stream).await.unwrap();
        Self { nats, context }
    }

    pub(crate) fn options(&self) -> NatsOptions {
        let mut options = NatsOptions::new(self.nats.url(), [USERS, BEATS]);
        options.lead_for = Duration::from_secs(1);
        options
    }

    pub(crate) fn records(&self) -> NatsRecords {
        NatsRecords::new(self.options()).unwrap()
    }

    pub(crate) async fn stream(&self) -> Stream {
        self.context.get_stream(STREAM).await.unwrap()
    }

    /// Publishes these as the sink does, one after the other was taken.
    pub(crate) async fn publish(&self, subject: &str, texts: &[&str]) {
        for text in texts {
            let text = text.to_string().into();
            self.context.publish(subject.to_owned(), text).await.unwrap().await.unwrap();
        }
    }

    /// What larder keeps, once it is as wanted.
    pub(crate) async fn kept(&self, wanted: impl Fn(&str) -> bool) -> String {
        let looking = async {
            loop {
                let own = self.context.get_stream("larder_debezium").await.unwrap();
                let last = own.get_last_raw_message_by_subject(KEPT).await.unwrap();
                let text = String::from_utf8(last.payload.to_vec()).unwrap();
                if wanted(&text) {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, looking).await.expect("it is kept at some time")
    }

    /// One that has acknowledged a first record, and its place.
    pub(crate) async fn settled(&self, records: &NatsRecords) -> (Reader, Place) {
        let mut reader = Reader::open(records).await;
        self.publish(USERS, &["first"]).await;
        assert_eq!(reader.read(1).await, ["first"]);
        reader.acknowledge();
        let place = Place { number: reader.number, ..reader.reading.begins().unwrap() };
        self.kept(|text| word(text, 2) == reader.number.to_string()).await;
        (reader, place)
    }
}

pub(crate) async fn connect(nats: &Nats) -> Context {
    async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

/// A word of what is kept: 2 is the number, 3 the message that is read behind, 7 who leads.
pub(crate) fn word(text: &str, at: usize) -> String {
    text.split(' ').nth(at).unwrap().to_owned()
}
