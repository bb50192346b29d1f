//! Commands of Redis that larder doesn't have: what a client is told.

use larder_resp::codec::Reply;

use crate::common::{Bench, Setup, assert_error, error, ok};

#[tokio::test]
async fn what_a_redis_behind_could_do_is_told_with_what_to_configure() {
    let mut client = Bench::new().client();
    for name in ["HSET", "EVAL", "MULTI", "SUBSCRIBE", "BLPOP", "PFADD", "GEOADD", "XADD", "BITOP"]
    {
        let expected = format!("ERR {name} needs a Redis behind larder: set [shared] url = ");
        let reply = client.talk(&format!("{} p f v", name.to_ascii_lowercase())).await;
        assert_error(&reply, "ERR", &expected);
    }
}

#[tokio::test]
async fn what_is_not_for_clients_is_refused_with_the_reason() {
    let bench = Bench::new();
    let mut client = bench.client();
    assert_eq!(client.talk("SET p v").await, ok());
    for (line, reason) in [
        ("FLUSHALL", "LARDER.INVALIDATE"),
        ("flushdb async", "LARDER.INVALIDATE"),
        ("SHUTDOWN NOSAVE", "end its process"),
        ("REPLICAOF host 6379", "no replicas"),
        ("CLUSTER NODES", "no node of a cluster"),
        ("MONITOR", "key log"),
        ("MOVE p 1", "one database"),
    ] {
        assert_error(&client.talk(line).await, "REFUSED", reason);
    }
    assert_eq!(client.talk("EXISTS p").await, Reply::Integer(1));
    assert!(!client.closed);
}

#[tokio::test]
async fn who_has_not_authenticated_hears_nothing_of_it() {
    let bench = Bench::with(Setup { password: Some("secret"), ..Setup::default() });
    let mut client = bench.client();
    for line in ["HSET p f v", "FLUSHALL"] {
        assert_eq!(client.talk(line).await, error("NOAUTH Authentication required."));
    }
}
