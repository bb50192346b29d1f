//! Several larders over one Redis or Memcached and one Postgres: they behave as one cache.

use std::sync::Barrier;
use std::thread;

use larder_test::{
    Larder, Memcached, Nats, Postgres, Redis, RedisCluster, RedisSentinel, Reply, RespClient,
};

use crate::page::Page;
use crate::support::{accounts, admin, bank, connect, error_code, get, queries, serve, until};

/// Larders that share a tier, over a view of their own.
struct Fleet {
    larders: Vec<Larder>,
    bank: std::sync::Arc<Postgres>,
    view: &'static str,
    config: String,
}

impl Fleet {
    fn new(count: usize, tier: &str, view: &'static str) -> Self {
        Self::with(count, tier, "", view)
    }

    /// The same with more to say of the tier.
    fn with(count: usize, tier: &str, said: &str, view: &'static str) -> Self {
        let bank = bank();
        accounts(&bank, view);
        let config = format!(
            "[shared]\nurl = \"{tier}\"\n{said}[source.bank]\nurl = \"{}\"\nchanges = \"announced\"\n\
             [cache.account]\nkey = \"account:{{aid:int}}\"\nload = \"SELECT aid, abalance FROM {view} \
             WHERE aid = {{aid}}\"\ntags = [\"branch\"]\nmax_staleness = \"2s\"\n",
            bank.url()
        );
        let larders = (0..count).map(|_| serve(&config)).collect();
        Self { larders, bank, view, config }
    }

    /// One more.
    fn another(&self) -> Larder {
        serve(&self.config)
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

/// The names and values of a map.
fn fields(reply: &Reply) -> &[Reply] {
    match reply {
        Reply::Array(fields) => fields,
        other => panic!("no map: {other:?}"),
    }
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
    let page = Page::of(&fleet.larders[1]);
    assert!(page.sum("larder_cache_shared_hit_age_seconds_count", &[("cache", "account")]) >= 1);
    assert!(page.sum("larder_bus_messages_total", &[]) >= 1);
    assert_eq!(page.sum("larder_bus_gaps_total", &[]), 0);
    assert_eq!(page.sum("larder_shared_pending", &[]), 0);
}

#[test]
fn a_position_is_read_in_another_larder_at_once() {
    let redis = Redis::start();
    let fleet = Fleet::new(2, &redis.url(), "shared_position");
    let mut clients = fleet.clients();
    for version in 1..=20 {
        for client in &mut clients {
            get(client, "account:777");
        }
        fleet.commit(777, version);
        let announced = ["LARDER.INVALIDATE", "POSITION", "KEYS", "account:777"];
        let Reply::Array(said) = clients[0].command(&announced) else { panic!("no array") };
        let position = said[1].text();
        let reply = clients[1].command(&["LARDER.GET", "account:777", "AT", position]);
        assert_eq!(fields(&reply)[1], row(777, version));
    }
    let error = clients[1].command(&["LARDER.GET", "account:777", "AT", "yesterday"]);
    assert_eq!(error_code(&error), "BADKEY");
    fleet.commit(777, 0);
}

#[test]
fn plain_keys_live_in_the_shared_redis_and_its_own_commands_pass_through() {
    let redis = Redis::start();
    let fleet = Fleet::new(2, &redis.url(), "shared_plain");
    let mut clients = fleet.clients();
    assert_eq!(clients[0].command(&["SET", "greeting", "hello"]).text(), "OK");
    assert_eq!(clients[1].command(&["GET", "greeting"]), Reply::bulk("hello"));
    assert_eq!(redis.cli(&["GET", "greeting"]), "hello");
    assert_eq!(clients[0].command(&["ZADD", "board", "7", "ada"]), Reply::Integer(1));
    assert_eq!(clients[1].command(&["ZSCORE", "board", "ada"]), Reply::bulk("7"));
    assert_eq!(error_code(&clients[0].command(&["HSET", "account:1", "a", "b"])), "REFUSED");
    // A pipeline of both kinds, answered in order.
    let replies = clients[0].pipeline(vec![
        vec!["GET", "account:5"],
        vec!["INCR", "visits"],
        vec!["GET", "account:5"],
        vec!["INCR", "visits"],
    ]);
    assert_eq!(replies, [row(5, 0), Reply::Integer(1), row(5, 0), Reply::Integer(2)]);
}

#[test]
fn plain_keys_live_in_a_cluster_on_a_sentinels_master_and_over_tls() {
    let cluster = RedisCluster::start(3, 0);
    let sentinel = RedisSentinel::start();
    let tls = Redis::start_tls();
    let trusting = format!("{}\"\ncertificates = \"{}", tls.url(), tls.ca_file().display());
    let places = [(cluster.url(), "cluster"), (sentinel.url(), "sentinel"), (trusting, "over_tls")];
    for (place, view) in places {
        let fleet = Fleet::new(2, &place, format!("shared_{view}").leak());
        let mut clients = fleet.clients();
        let plain: Vec<_> = (0..50).map(|at| format!("plain:{at}")).collect();
        for key in &plain {
            assert_eq!(clients[0].command(&["SET", key, key]).text(), "OK", "{view}");
        }
        let mut all = vec!["MGET", "account:5"];
        all.extend(plain.iter().map(String::as_str));
        let mut expected = vec![row(5, 0)];
        expected.extend(plain.iter().map(Reply::bulk));
        assert_eq!(clients[1].command(&all), Reply::Array(expected), "{view}");
        let whole = [vec!["MULTI"], vec!["INCR", "visits"], vec!["EXEC"]];
        let done = clients[1].pipeline(whole);
        assert_eq!(done[2], Reply::Array(vec![Reply::Integer(1)]), "{view}");
        assert_eq!(clients[0].command(&["GET", "visits"]), Reply::bulk("1"), "{view}");
        // Tags need the marks beside the key.
        let tagged = clients[0].command(&["LARDER.SET", "page", "v", "TAGS", "red"]);
        match view {
            "cluster" => {
                assert_eq!(error_code(&tagged), "REFUSED", "{tagged:?}");
                assert_eq!(clients[1].command(&["EXISTS", "page"]), Reply::Integer(0));
            }
            _ => {
                assert_eq!(tagged.text(), "OK", "{view}");
                clients[1].command(&["LARDER.INVALIDATE", "TAGS", "red"]);
                assert_eq!(clients[0].command(&["GET", "page"]), Reply::Null, "{view}");
            }
        }
    }
}

#[test]
fn without_the_shared_redis_reads_go_on_and_what_was_invalidated_is_told_when_it_is_back() {
    let redis = Redis::start();
    let fleet = Fleet::new(2, &redis.url(), "shared_lost");
    let mut clients = fleet.clients();
    for client in &mut clients {
        assert_eq!(get(client, "account:99"), row(99, 0));
    }
    redis.kill();
    fleet.commit(99, 3);
    let refused = clients[0].command(&["LARDER.INVALIDATE", "KEYS", "account:99"]);
    assert_eq!(error_code(&refused), "SHAREDDOWN", "{refused:?}");
    assert_eq!(get(&mut clients[0], "account:99"), row(99, 3), "here it is done");
    assert_eq!(get(&mut clients[0], "account:100"), row(100, 0), "the source answers");
    assert_eq!(error_code(&clients[0].command(&["GET", "greeting"])), "SHAREDDOWN");
    redis.restart();
    until("plain keys are there again", || {
        clients[0].command(&["SET", "greeting", "x"]).text() == "OK"
    });
    until("the other larder has been told", || get(&mut clients[1], "account:99") == row(99, 3));
    until("invalidations are announced again", || {
        error_code(&clients[0].command(&["LARDER.INVALIDATE", "KEYS", "account:99"])).is_empty()
    });
    fleet.commit(99, 0);
}

#[test]
fn larders_over_a_memcached_load_once_and_forget_by_age() {
    let memcached = Memcached::start();
    let bank = bank();
    accounts(&bank, "shared_memcached");
    let config = format!(
        "[shared]\nurl = \"{}\"\n[source.bank]\nurl = \"{}\"\n[cache.account]\nkey = \
         \"account:{{aid:int}}\"\nload = \"SELECT aid, abalance FROM shared_memcached WHERE aid = \
         {{aid}}\"\nmax_staleness = \"60s\"\n",
        memcached.url(),
        bank.url()
    );
    let larders = [serve(&config), serve(&config)];
    let mut clients: Vec<_> = larders.iter().map(connect).collect();
    for client in &mut clients {
        assert_eq!(get(client, "account:31"), row(31, 0));
    }
    assert_eq!(queries(&bank, "shared_memcached"), 1);
    let refused = clients[0].command(&["LARDER.INVALIDATE", "CACHE", "account"]);
    assert_eq!(error_code(&refused), "REFUSED");
}

#[test]
fn larders_over_a_redis_that_speaks_tls_load_once() {
    let redis = Redis::start_tls();
    let bank = bank();
    accounts(&bank, "shared_tls");
    let config = format!(
        "[shared]\nurl = \"{}\"\ncertificates = \"{}\"\n[plain]\nenabled = false\n[source.bank]\n\
         url = \"{}\"\nchanges = \"announced\"\n[cache.account]\nkey = \"account:{{aid:int}}\"\nload = \
         \"SELECT aid, abalance FROM shared_tls WHERE aid = {{aid}}\"\nmax_staleness = \"60s\"\n",
        redis.url(),
        redis.ca_file().display(),
        bank.url()
    );
    let larders = [serve(&config), serve(&config)];
    for larder in &larders {
        assert_eq!(get(&mut connect(larder), "account:32"), row(32, 0));
    }
    assert_eq!(queries(&bank, "shared_tls"), 1);
}

#[test]
fn larders_over_a_memcached_with_a_nats_beside_it_hear_of_what_is_invalidated() {
    let (memcached, nats) = (Memcached::start(), Nats::start());
    let tier = format!("{}\"\nbus = \"{}", memcached.url(), nats.url());
    let fleet = Fleet::new(2, &tier, "shared_memcached_nats");
    let mut clients = fleet.clients();
    for client in &mut clients {
        assert_eq!(get(client, "account:85"), row(85, 0));
    }
    for balance in 1..=20 {
        for client in &mut clients {
            get(client, "account:85");
        }
        fleet.commit(85, balance);
        let announced = ["LARDER.INVALIDATE", "POSITION", "KEYS", "account:85"];
        let said = clients[0].command(&announced);
        let position = fields(&said)[1].text();
        let reply = clients[1].command(&["LARDER.GET", "account:85", "AT", position]);
        assert_eq!(fields(&reply)[1], row(85, balance));
    }
    fleet.commit(85, 0);
}

#[test]
fn an_entry_deleted_in_redis_by_hand_is_heard_of_where_the_bus_tracks() {
    let redis = Redis::start();
    let tier = format!("{}\"\nbus = \"tracking", redis.url());
    let fleet = Fleet::new(2, &tier, "shared_tracking");
    let mut clients = fleet.clients();
    for client in &mut clients {
        assert_eq!(get(client, "account:86"), row(86, 0));
    }
    fleet.commit(86, 7);
    assert_eq!(redis.cli(&["DEL", "larder:{account/account:86}"]), "1");
    for client in &mut clients {
        until("the deleted entry is loaded anew", || get(client, "account:86") == row(86, 7));
    }
    fleet.commit(86, 0);
}

#[test]
fn a_herd_at_three_larders_makes_one_query_cold_and_after_an_invalidation() {
    let redis = Redis::start();
    // However slow the machine is: who has waited for the tier for long enough asks the source.
    let patient = "read_within = \"60s\"\nfill_wait = \"60s\"\n";
    let fleet = Fleet::with(3, &redis.url(), patient, "shared_herd");
    for (round, asked) in [(0, 1), (1, 2)] {
        if round == 1 {
            let mut client = connect(&fleet.larders[0]);
            client.command(&["LARDER.INVALIDATE", "KEYS", "account:555"]);
            let mut others: Vec<_> = fleet.larders[1..].iter().map(connect).collect();
            for other in &mut others {
                until("the announcement arrives", || {
                    other.command(&["TTL", "account:555"]) == Reply::Integer(-2)
                });
            }
        }
        let start = Barrier::new(150);
        thread::scope(|scope| {
            for larder in &fleet.larders {
                for _ in 0..50 {
                    scope.spawn(|| {
                        let mut client = connect(larder);
                        start.wait();
                        let replies = client.pipeline(vec![["GET", "account:555"]; 10]);
                        assert_eq!(replies, vec![row(555, 0); 10]);
                    });
                }
            }
        });
        assert_eq!(fleet.queries(), asked, "round {round}");
    }
}

#[test]
fn a_larder_that_starts_later_holds_what_the_others_found_hot_before_it_is_ready() {
    let redis = Redis::start();
    let fleet = Fleet::new(1, &redis.url(), "shared_hot");
    let mut client = connect(&fleet.larders[0]);
    until("it is ready", || admin(&fleet.larders[0], "/ready").0 == 200);
    for aid in 1..=50 {
        get(&mut client, &format!("account:{aid}"));
    }
    assert_eq!(fleet.queries(), 50);
    // It tells its hottest keys when it ends, too.
    assert!(fleet.larders[0].stop().success());
    let late = fleet.another();
    until("it is ready", || admin(&late, "/ready").0 == 200);
    assert_eq!(Page::of(&late).sum("larder_cache_warm_keys_total", &[("outcome", "loaded")]), 50);
    let mut client = connect(&late);
    for aid in 1..=50 {
        assert_eq!(get(&mut client, &format!("account:{aid}")), row(aid, 0));
    }
    assert_eq!(Page::of(&late).sum("larder_cache_misses_total", &[("cache", "account")]), 0);
    assert_eq!(fleet.queries(), 50, "the shared tier had them all");
}
