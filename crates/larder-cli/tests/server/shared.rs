//! Several larders over one Redis or Memcached and one Postgres: they behave as one cache.

use larder_test::{Larder, Postgres, Redis, Reply, RespClient};

use crate::support::{accounts, bank, connect, get, queries, serve, until};

/// Larders that share a tier, over a view of their own.
struct Fleet {
    larders: Vec<Larder>,
    bank: std::sync::Arc<Postgres>,
    view: &'static str,
}

impl Fleet {
    fn new(count: usize, tier: &str, view: &'static str) -> Self {
        let bank = bank();
        accounts(&bank, view);
        let config = format!(
            "[shared]\nurl = \"{tier}\"\n[source.bank]\nurl = \"{}\"\nchanges = \"announced\"\n\
             [cache.account]\nkey = \"account:{{aid:int}}\"\nload = \"SELECT aid, abalance FROM {view} \
             WHERE aid = {{aid}}\"\ntags = [\"branch\"]\nmax_staleness = \"2s\"\n",
            bank.url()
        );
        let larders = (0..count).map(|_| serve(&config)).collect();
        Self { larders, bank, view }
    }

    fn clients(&self) -> Vec<RespClient> {
        self.larders.iter().map(connect).collect()
    }

    fn queries(&self) -> u64 {
        queries(&self.bank, self.view)
    }

    /// A writer that commits and says nothing.
    fn commit(&self, aid: u64, balance: i64) {
        let statement =
            format!("UPDATE pgbench_accounts SET abalance = {balance} WHERE aid = {aid}");
        self.bank.psql(&statement);
    }
}

fn row(aid: u64, balance: i64) -> Reply {
    Reply::bulk(format!("{{\"aid\":{aid},\"abalance\":{balance}}}"))
}

#[test]
fn what_one_larder_loaded_the_others_find_and_what_it_invalidates_they_forget() {
    let redis = Redis::start();
    let fleet = Fleet::new(3, &redis.url(), "shared_find");
    let mut clients = fleet.clients();
    for client in &mut clients {
        assert_eq!(get(client, "account:4242"), row(4242, 0));
    }
    assert_eq!(fleet.queries(), 1);
    fleet.commit(4242, 7);
    assert_eq!(
        clients[0].command(&["LARDER.INVALIDATE", "KEYS", "account:4242"]),
        Reply::Integer(1)
    );
    for client in &mut clients {
        until("the announcement arrives", || get(client, "account:4242") == row(4242, 7));
    }
    assert_eq!(fleet.queries(), 2);
    fleet.commit(4242, 0);
}
