//! A Redis that is spoken to over TLS.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

mod support;

use bytes::Bytes;
use larder_core::{Bus, ErrorKind, SharedTier};
use larder_redis::{RedisOptions, RedisTier};
use larder_test::Redis;

use support::{get, put, told};

#[tokio::test]
async fn a_server_is_spoken_to_if_its_certificate_is_trusted() {
    let redis = Redis::start_tls();
    assert!(redis.url().starts_with("rediss://"));
    let trusting = |redis: &Redis| Some(Bytes::from(std::fs::read(redis.ca_file()).unwrap()));
    let options = RedisOptions { certificates: trusting(&redis), ..RedisOptions::new(redis.url()) };
    let tier = RedisTier::connect(options.clone()).unwrap();
    put(&tier, "k", 1, "a").await;
    assert_eq!(told(&get(&tier, "k").await.unwrap()).1, "a");
    tier.probe().await.unwrap();
    assert_eq!(tier.bus().publish("x".into(), None).await.unwrap().number, 1);

    let stranger = Redis::start_tls();
    // The same address, written so that its certificate doesn't have it.
    let otherwise = format!("rediss://[::ffff:127.0.0.1]:{}", redis.port());
    for options in [
        // Somebody else's authority, none that the system knows, and another name than its own.
        RedisOptions { certificates: trusting(&stranger), ..options.clone() },
        RedisOptions { certificates: None, ..options.clone() },
        RedisOptions { url: otherwise, ..options.clone() },
    ] {
        let refused = match RedisTier::connect(options) {
            Ok(tier) => tier.probe().await.unwrap_err(),
            // A system that trusts nobody at all.
            Err(error) => error,
        };
        assert!(matches!(refused.kind(), ErrorKind::SharedDown | ErrorKind::Config));
        assert!(refused.chain().contains("certificate"), "{}", refused.chain());
    }
    let odd = RedisOptions { certificates: Some("no certificate".into()), ..options };
    assert_eq!(RedisTier::connect(odd).unwrap_err().kind(), ErrorKind::Config);
}
