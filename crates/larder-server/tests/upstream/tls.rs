//! Plain keys in a Redis that speaks TLS.

use std::fs;

use larder_test::{Redis, Reply};

use crate::support::{Behind, Bench, check_tags_and_leases, int, ok, pipeline, refusal, talk};

#[test]
fn shared_and_dedicated_connections_speak_tls() {
    let redis = Redis::start_tls();
    let certificates = fs::read(redis.ca_file()).unwrap();
    let bench = Bench::with(redis, |behind| behind.redis.certificates = Some(certificates.into()));
    let mut client = bench.client();
    for hello in ["HELLO 2", "HELLO 3"] {
        talk(&mut client, hello);
        assert_eq!(talk(&mut client, "SET a 1"), ok());
        let replies = pipeline(&mut client, &["MULTI", "INCR a", "EXEC", "GET a"]);
        assert_eq!(replies[2..], [Reply::Array(vec![int(2)]), Reply::bulk("2")]);
    }
    let value = vec![7; 4 << 20];
    assert_eq!(client.command(&[&b"SET"[..], b"big", &value]), ok());
    assert_eq!(talk(&mut client, "GET big"), Reply::Bulk(value));
    assert_eq!(bench.redis.cli(&["GET", "a"]), "2");
}

#[test]
fn over_tls_plain_keys_have_tags_and_leases() {
    let redis = Redis::start_tls();
    let (url, certificates) = (redis.url(), fs::read(redis.ca_file()).unwrap());
    let trusting = |behind: &mut Behind| behind.redis.certificates = Some(certificates.into());
    check_tags_and_leases(&Bench::guarding_over(redis, url, trusting));
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_talked_to() {
    let (redis, other) = (Redis::start_tls(), Redis::start_tls());
    let certificates = fs::read(other.ca_file()).unwrap();
    let bench = Bench::with(redis, |behind| behind.redis.certificates = Some(certificates.into()));
    let mut client = bench.client();
    let reply = talk(&mut client, "SET a 1");
    assert!(
        refusal(&reply).starts_with("SHAREDDOWN the shared Redis can't be reached"),
        "{reply:?}"
    );
    assert_eq!(talk(&mut client, "GET user:1"), Reply::bulk("row of user:1"));
    assert_eq!(bench.redis.cli(&["DBSIZE"]), "0");
}
