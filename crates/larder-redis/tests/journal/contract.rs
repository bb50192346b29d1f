//! The contract of journals, held against a real Redis, a real cluster, and a real Valkey where
//! there is one.

use std::sync::Arc;

use larder_core::Journal;
use larder_redis::{RedisJournalOptions, RedisOptions};
use larder_test::contract::check_journal;
use larder_test::{Redis, RedisCluster, skipped};

#[tokio::test]
async fn a_journal_in_one_redis_keeps_the_contract() {
    let redis = Redis::start();
    check(&redis.url()).await;
}

#[tokio::test]
async fn a_journal_in_a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start(3, 0);
    check(&cluster.url()).await;
}

#[tokio::test]
async fn a_journal_in_a_valkey_keeps_the_contract() {
    let Some(valkey) = Redis::start_valkey() else { return skipped("valkey-server") };
    check(&valkey.url()).await;
}

async fn check(url: &str) {
    check_journal(3 << 20, || async {
        let options = RedisJournalOptions::new(RedisOptions::new(url), "contract");
        let options = options.record_bytes_max(3 << 20);
        let journal: Arc<dyn Journal> = Arc::new(options.open().await?);
        Ok(journal)
    })
    .await;
}
