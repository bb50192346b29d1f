//! Clients that load for themselves, at several larders over one Redis: of a declared key one of
//! them all has the lease.

use std::sync::Barrier;
use std::thread;

use larder_test::{Larder, Redis, Reply, RespClient};
use tempfile::NamedTempFile;

use crate::support::{connect, get, serve, until};

/// Larders over one Redis, and a source whose rows tell their key.
struct Fleet {
    larders: Vec<Larder>,
    _file: NamedTempFile,
}

impl Fleet {
    fn new(count: usize, redis: &Redis, source: &str) -> Self {
        let file = NamedTempFile::new().unwrap();
        let config = format!(
            "[shared]\nurl = \"{}\"\n[source.db]\nurl = \"sqlite:{}\"\nchanges = \"announced\"\n\
             {source}[cache.user]\nkey = \"user:{{id:int}}\"\nload = \"SELECT {{id}} AS id\"\n\
             max_staleness = \"60s\"\n",
            redis.url(),
            file.path().display()
        );
        Self { larders: (0..count).map(|_| serve(&config)).collect(), _file: file }
    }

    /// Clients, once each larder is in touch with the tier.
    fn clients(&self) -> Vec<RespClient> {
        let mut clients: Vec<_> = self.larders.iter().map(connect).collect();
        for client in &mut clients {
            until("the tier is asked", || {
                let reply = client.command(&["LARDER.GET", "user:999999", "LEASE"]);
                matches!(text(&reply, "reason"), "busy" | "held")
            });
        }
        clients
    }
}

/// The field of a map.
pub(crate) fn field<'r>(reply: &'r Reply, name: &str) -> Option<&'r Reply> {
    let Reply::Array(fields) = reply else { panic!("no map: {reply:?}") };
    fields.chunks(2).find(|pair| pair[0] == Reply::bulk(name)).map(|pair| &pair[1])
}

/// The text in a field of a map, which may be missing.
pub(crate) fn text<'r>(reply: &'r Reply, name: &str) -> &'r str {
    field(reply, name).map_or("", Reply::text)
}

pub(crate) fn lease(client: &mut RespClient, key: &str) -> Reply {
    client.command(&["LARDER.GET", key, "LEASE"])
}

#[test]
fn of_a_herd_that_loads_for_itself_at_three_larders_one_has_the_token() {
    let redis = Redis::start();
    let fleet = Fleet::new(3, &redis, "");
    // Whoever asks first takes the lease of this key, so that the others are told of it.
    let mut holder = connect(&fleet.larders[0]);
    until("the tier is asked", || {
        let reply = lease(&mut holder, "user:999999");
        text(&reply, "reason") == "busy"
    });
    let mut clients = fleet.clients();
    let start = Barrier::new(30);
    let replies: Vec<(usize, Reply, RespClient)> = thread::scope(|scope| {
        let asking: Vec<_> = (0..30)
            .map(|nth| {
                let (fleet, start) = (&fleet, &start);
                scope.spawn(move || {
                    let mut client = connect(&fleet.larders[nth % 3]);
                    start.wait();
                    (nth % 3, lease(&mut client, "user:1"), client)
                })
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (tokens, others): (Vec<_>, Vec<_>) =
        replies.iter().partition(|(_, reply, _)| field(reply, "token").is_some());
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    for (_, reply, _) in others {
        assert_eq!((text(reply, "state"), text(reply, "reason")), ("gone", "busy"), "{reply:?}");
        let Some(Reply::Integer(left)) = field(reply, "busy_ms") else { panic!("{reply:?}") };
        assert!(*left > 0);
    }
    // It fills from another connection of that larder, and all three have it.
    let (larder, token) = (tokens[0].0, text(&tokens[0].1, "token"));
    let elsewhere = clients[(larder + 1) % 3].command(&["LARDER.FILL", "user:1", token, "mine"]);
    assert!(matches!(&elsewhere, Reply::Error(text) if text.contains("not given out here")));
    let filled = clients[larder].command(&["LARDER.FILL", "user:1", token, "mine"]);
    assert_eq!(filled, Reply::Integer(1));
    for client in &mut clients {
        let reply = lease(client, "user:1");
        assert_eq!(field(&reply, "value"), Some(&Reply::bulk("mine")), "{reply:?}");
        assert_eq!(get(client, "user:1"), Reply::bulk("mine"));
        let stats = client.command(&["LARDER.STATS", "user"]);
        assert_eq!(field(&stats, "loads"), Some(&Reply::Integer(0)));
    }
    let again = clients[larder].command(&["LARDER.FILL", "user:1", token, "again"]);
    assert_eq!(again, Reply::Integer(0), "the lease ended with the fill");
}

#[test]
fn a_fill_is_refused_when_the_key_was_invalidated_at_another_larder() {
    let redis = Redis::start();
    let fleet = Fleet::new(2, &redis, "");
    let mut clients = fleet.clients();
    for what in ["KEYS user:5", "CACHE user"] {
        let reply = lease(&mut clients[0], "user:5");
        let token = text(&reply, "token").to_owned();
        assert!(!token.is_empty(), "{reply:?}");
        let line = format!("LARDER.INVALIDATE {what}");
        clients[1].command(&line.split(' ').collect::<Vec<_>>());
        let filled = clients[0].command(&["LARDER.FILL", "user:5", &token, "old"]);
        if what.starts_with("KEYS") {
            assert_eq!(filled, Reply::Integer(0));
            assert_eq!(get(&mut clients[0], "user:5"), Reply::bulk("{\"id\":5}"));
        }
        for client in &mut clients {
            // What strikes a whole cache the other larder may be told of a moment later.
            until("it is forgotten", || get(client, "user:5") != Reply::bulk("old"));
        }
        clients[1].command(&["LARDER.INVALIDATE", "KEYS", "user:5"]);
        until("it is forgotten", || clients[0].command(&["TTL", "user:5"]) == Reply::Integer(-2));
    }
}

#[test]
fn who_goes_away_gives_the_lease_back() {
    let redis = Redis::start();
    // A lease lasts for twice as long as a load may take: longer than the test waits.
    let fleet = Fleet::new(2, &redis, "load_timeout = \"60s\"\n");
    let mut clients = fleet.clients();
    let mut leaves = connect(&fleet.larders[0]);
    assert_ne!(text(&lease(&mut leaves, "user:7"), "token"), "");
    let reply = lease(&mut clients[1], "user:7");
    assert_eq!(text(&reply, "reason"), "busy");
    drop(leaves);
    until("the lease is given back", || {
        !text(&lease(&mut clients[1], "user:7"), "token").is_empty()
    });
}
