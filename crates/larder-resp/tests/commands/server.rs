//! COMMAND, INFO, CONFIG, DBSIZE, and what is said about commands that don't exist.

use std::collections::HashMap;

use larder_memory::policy::PolicyKind;
use larder_memory::{Bounds, Candidates};
use larder_resp::codec::Reply;

use crate::common::{Bench, Client, S, Setup, assert_error, bulk, error, field, int, ok, text};

fn array(reply: &Reply) -> &[Reply] {
    let Reply::Array(parts) = reply else { panic!("it is no array: {reply:?}") };
    parts
}

#[tokio::test]
async fn command_describes_every_command() {
    let mut client = Bench::new().client();
    client.talk("HELLO 3").await;
    let all = client.talk("COMMAND").await;
    let count = client.talk("COMMAND COUNT").await;
    assert_eq!(count, int(array(&all).len() as i64));
    assert_eq!(client.talk("COMMAND INFO").await, all);
    for command in array(&all) {
        let [name, Reply::Integer(arity), Reply::Set(flags), rest @ ..] = array(command) else {
            panic!("it begins otherwise: {command:?}");
        };
        let name = text(name);
        assert!(*arity != 0 && !flags.is_empty(), "{name}");
        let [Reply::Integer(first), Reply::Integer(last), Reply::Integer(step), rest @ ..] = rest
        else {
            panic!("it goes on otherwise: {rest:?}");
        };
        assert!((*first == 0) == (*last == 0) && (*first == 0) == (*step == 0), "{name}");
        assert_eq!(rest, vec![Reply::Set(vec![]); 4]);
        let one = client.command(&["COMMAND", "INFO", &name.to_uppercase()]).await;
        assert_eq!(array(&one), std::slice::from_ref(command));
    }
    let two = client.talk("COMMAND INFO get nothing").await;
    assert_eq!(array(&two)[1], Reply::Null);
    let docs = client.talk("COMMAND DOCS").await;
    let Reply::Map(docs) = docs else { panic!("docs are a map") };
    assert_eq!(docs.len(), array(&all).len());
    let docs = client.talk("COMMAND DOCS get nothing larder.fill").await;
    assert_eq!(text(field(field(&docs, "get"), "group")), "string");
    assert!(text(field(field(&docs, "larder.fill"), "summary")).starts_with("Fills a key"));
    assert!(matches!(docs, Reply::Map(pairs) if pairs.len() == 2));
}

#[tokio::test]
async fn commands_are_listed_by_pattern_and_tell_their_keys() {
    let mut client = Bench::new().client();
    let names = |reply: &Reply| array(reply).iter().map(|name| text(name).to_owned()).collect();
    let list: Vec<String> = names(&client.talk("COMMAND LIST").await);
    assert_eq!(client.talk("COMMAND COUNT").await, int(list.len() as i64));
    let some: Vec<String> = names(&client.talk("COMMAND LIST FILTERBY PATTERN MGE*").await);
    assert_eq!(some, ["mget"]);
    assert_eq!(client.talk("COMMAND LIST FILTERBY MODULE x").await, Reply::Array(Vec::new()));
    assert_error(&client.talk("COMMAND LIST FILTERBY x y").await, "ERR", "syntax error");
    let keys: Vec<String> = names(&client.talk("COMMAND GETKEYS LARDER.GET k LEASE").await);
    assert_eq!(keys, ["k"]);
    // No Redis is behind this one, so what only Redis has isn't told.
    assert!(!list.contains(&"hset".to_owned()));
    assert_eq!(client.talk("COMMAND INFO hset").await, Reply::Array(vec![Reply::Null]));
}

#[tokio::test]
async fn a_container_of_commands_has_help() {
    let mut client = Bench::new().client();
    for container in ["CLIENT", "COMMAND", "CONFIG"] {
        let help = client.talk(&format!("{container} help")).await;
        let lines: Vec<_> = array(&help).iter().map(text).collect();
        assert!(lines[0].starts_with(&format!("{container} <subcommand>")));
        assert!(lines.contains(&"HELP") && lines.len() % 2 == 1);
        let reply = client.talk(&format!("{container} HELP x")).await;
        let name = container.to_lowercase();
        assert_error(
            &reply,
            "ERR",
            &format!("wrong number of arguments for '{name}|help' command"),
        );
        let reply = client.talk(&format!("{container} NONSENSE x")).await;
        let message = format!("unknown subcommand 'NONSENSE'. Try {container} HELP.");
        assert_error(&reply, "ERR", &message);
    }
}

/// The fields of INFO.
async fn info(client: &mut Client, line: &str) -> HashMap<String, String> {
    let reply = client.talk(line).await;
    let fields = text(&reply).split("\r\n").filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn info_has_what_exporters_read() {
    let bounds = Bounds::entries(2).and_bytes(1 << 20).shards(1);
    let bench = Bench::with(Setup { bounds, ..Setup::default() });
    let mut client = bench.client();
    let _other = bench.client();
    drop(bench.client());
    client.talk("SET a v PX 1").await;
    bench.clock.advance(10 * S);
    client.talk_all(&["GET a", "SET b v", "GET b", "GET user:1"]).await;
    client.talk_all(&["GET user:1", "SET c v EX 10"]).await;
    bench.service.count_input(7);
    bench.service.count_output(8);
    bench.service.refuse_client();
    bench.clock.advance(90_000 * S);
    let fields = info(&mut client, "INFO").await;
    let used = bench.service.pools()[0].memory.bytes().to_string();
    for (name, value) in [
        ("redis_version", "7.0.15"),
        ("larder_version", env!("CARGO_PKG_VERSION")),
        ("redis_mode", "standalone"),
        ("process_id", "77"),
        ("tcp_port", "7379"),
        ("uptime_in_seconds", "90010"),
        ("uptime_in_days", "1"),
        ("connected_clients", "2"),
        ("blocked_clients", "0"),
        ("used_memory", &used),
        ("used_memory_rss", "123456"),
        ("maxmemory", "1048576"),
        ("maxmemory_policy", "allkeys-lru"),
        ("loading", "0"),
        ("total_connections_received", "3"),
        ("total_commands_processed", "7"),
        ("total_net_input_bytes", "7"),
        ("total_net_output_bytes", "8"),
        ("rejected_connections", "1"),
        ("expired_keys", "1"),
        ("evicted_keys", "1"),
        ("keyspace_hits", "2"),
        ("keyspace_misses", "2"),
        ("role", "master"),
        ("connected_slaves", "0"),
        ("used_cpu_user", "1.500000"),
        ("used_cpu_sys", "0.250000"),
        ("db0", "keys=2,expires=2,avg_ttl=0"),
    ] {
        assert_eq!(fields.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn several_parts_of_memory_are_one_to_clients() {
    for (policy, candidates, name) in [
        (PolicyKind::Lfu, Candidates::All, "allkeys-lfu"),
        (PolicyKind::Lru, Candidates::Expiring, "volatile-lru"),
        (PolicyKind::Sieve, Candidates::All, "allkeys-sieve"),
    ] {
        let plain = Bounds::entries(2).and_bytes(1 << 20).entry_bytes_max(1000);
        let plain_apart = Some((policy, candidates, plain));
        let bench = Bench::with(Setup { plain_apart, ..Setup::default() });
        let mut client = bench.client();
        client.talk_all(&["GET user:1", "GET user:2", "GET note:a", "SET a v EX 9"]).await;
        client.talk_all(&["SET b v EX 9", "SET c v EX 9"]).await;
        assert_error(&client.command(&["SET", "d", &"v".repeat(1001)]).await, "REFUSED", "");
        assert_eq!(client.talk("DBSIZE").await, int(5));
        let fields = info(&mut client, "INFO").await;
        let limit = ((256 << 20) + (1 << 20)).to_string();
        let used: usize = bench.service.pools().iter().map(|pool| pool.memory.bytes()).sum();
        for (field, value) in [
            ("maxmemory", &*limit),
            ("used_memory", &*used.to_string()),
            ("maxmemory_policy", name),
            ("evicted_keys", "1"),
            ("larder_too_heavy", "1"),
            ("larder_no_room", "0"),
            ("db0", "keys=5,expires=5,avg_ttl=0"),
        ] {
            assert_eq!(fields.get(field).map(String::as_str), Some(value), "{field}, {name}");
        }
        let setting = |name: &str, value: &str| Reply::Array(vec![bulk(name), bulk(value)]);
        assert_eq!(client.talk("CONFIG GET maxmemory").await, setting("maxmemory", &limit));
        let policy = setting("maxmemory-policy", name);
        assert_eq!(client.talk("CONFIG GET maxmemory-policy").await, policy);
    }
}

#[tokio::test]
async fn where_nothing_may_be_evicted_a_set_is_out_of_memory() {
    let bounds = Bounds::entries(2);
    let plain_apart = Some((PolicyKind::Lru, Candidates::Expiring, bounds));
    let bench = Bench::with(Setup { plain_apart, ..Setup::default() });
    let mut client = bench.client();
    client.talk_all(&["SET a 1", "SET b 2"]).await;
    let full = "memory is full of keys that never expire, and these may not be evicted: delete \
                some, give them an expiry, or raise the limit (key c)";
    for line in ["SET c 3", "SET c 3 EX 9", "INCR c", "SET c 3 NX", "SET c 3 GET"] {
        assert_error(&client.talk(line).await, "OOM", full);
    }
    assert_eq!(info(&mut client, "INFO memory").await["larder_no_room"], "5");
    assert_eq!(
        client.talk("MGET a b c").await,
        Reply::Array(vec![bulk("1"), bulk("2"), Reply::Null])
    );
    // What replaces needs no room, what is deleted gives it, what expires is evicted.
    assert_eq!(client.talk_all(&["SET a 4", "INCR b", "DEL a", "SET c 3"]).await[2], int(1));
    assert_eq!(client.talk_all(&["EXPIRE b 9", "SET d 5"]).await[1], ok());
    assert_eq!(
        client.talk("MGET b c d").await,
        Reply::Array(vec![Reply::Null, bulk("3"), bulk("5")])
    );
}

#[tokio::test]
async fn info_has_sections() {
    let mut client = Bench::new().client();
    let all = client.talk("INFO").await;
    let sections = text(&all).split("\r\n\r\n").map(|section| section.lines().next().unwrap());
    let expected = [
        "# Server",
        "# Clients",
        "# Memory",
        "# Persistence",
        "# Stats",
        "# Replication",
        "# CPU",
        "# Keyspace",
    ];
    assert_eq!(sections.collect::<Vec<_>>(), expected);
    for line in ["INFO everything", "INFO all", "info DEFAULT"] {
        assert_eq!(info(&mut client, line).await.len(), info(&mut client, "INFO").await.len());
    }
    assert_eq!(client.talk("INFO nothing").await, bulk(""));
    assert_eq!(client.talk("INFO keyspace").await, bulk("# Keyspace\r\n"));
    let two = client.talk("INFO replication clients").await;
    let clients = "# Clients\r\nconnected_clients:1\r\nblocked_clients:0\r\n";
    let replication = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n";
    assert_eq!(two, bulk(&format!("{clients}\r\n{replication}")));
    client.talk("HELLO 3").await;
    let Reply::Verbatim { format, .. } = client.talk("INFO").await else { panic!("no verbatim") };
    assert_eq!(&format, b"txt");
}

#[tokio::test]
async fn config_get_answers_for_what_clients_ask() {
    let mut client = Bench::new().client();
    let get = |name: &str, value: &str| Reply::Array(vec![bulk(name), bulk(value)]);
    assert_eq!(client.talk("CONFIG GET save").await, get("save", ""));
    assert_eq!(client.talk("config get APPENDONLY").await, get("appendonly", "no"));
    assert_eq!(client.talk("CONFIG GET maxmemory").await, get("maxmemory", "268435456"));
    assert_eq!(client.talk("CONFIG GET max*y").await.clone(), {
        let parts = ["maxmemory", "268435456", "maxmemory-policy", "allkeys-lru"];
        Reply::Array(parts.map(bulk).to_vec())
    });
    assert_eq!(client.talk("CONFIG GET nothing").await, Reply::Array(vec![]));
    let two = client.talk("CONFIG GET save databases sav?").await;
    assert_eq!(two, Reply::Array(["save", "", "databases", "1"].map(bulk).to_vec()));
    assert_eq!(array(&client.talk("CONFIG GET *").await).len(), 10);
    client.talk("HELLO 3").await;
    assert_eq!(client.talk("CONFIG GET save").await, Reply::Map(vec![(bulk("save"), bulk(""))]));
    for (line, message) in [
        ("CONFIG", "wrong number of arguments for 'config' command"),
        ("CONFIG GET", "wrong number of arguments for 'config|get' command"),
        ("CONFIG SET a b", "unknown subcommand 'SET'. Try CONFIG HELP."),
    ] {
        assert_error(&client.talk(line).await, "ERR", message);
    }
}

#[tokio::test]
async fn dbsize_counts_what_is_held() {
    let mut client = Bench::new().client();
    assert_eq!(client.talk("DBSIZE").await, int(0));
    client.talk_all(&["SET p v", "GET user:1", "GET user:1000", "GET q"]).await;
    assert_eq!(client.talk("DBSIZE").await, int(3));
    client.talk("DEL p user:1").await;
    assert_eq!(client.talk("DBSIZE").await, int(1));
}

#[tokio::test]
async fn commands_that_do_not_exist_are_named_in_the_error() {
    let mut client = Bench::new().client();
    for (line, message) in [
        ("HGOTALL user:1", "unknown command 'HGOTALL', with args beginning with: 'user:1' "),
        ("nothing", "unknown command 'nothing', with args beginning with: "),
        ("''", "unknown command '', with args beginning with: "),
        (
            "LARDER.NOTHING a b",
            "unknown command 'LARDER.NOTHING', with args beginning with: 'a' 'b' ",
        ),
    ] {
        assert_eq!(client.talk(line).await, error(&format!("ERR {message}")));
    }
    let long = "x".repeat(1000);
    let reply = client.command(&[&long, &long, "b"]).await;
    assert_eq!(text(&reply).matches('x').count(), 2 * 128);
    let reply = client.command(&[&b"a\r\n\xff"[..], b"b\0c"]).await;
    let expected = "ERR unknown command 'a  \u{fffd}', with args beginning with: 'b' ";
    assert_eq!(reply, error(expected));
}

#[tokio::test]
async fn every_command_checks_the_number_of_its_arguments() {
    let mut client = Bench::new().client();
    for command in array(&client.talk("COMMAND").await) {
        let name = text(&array(command)[0]);
        let Reply::Integer(arity) = array(command)[1] else { panic!("an arity is a number") };
        let too_few = arity.unsigned_abs() as usize - 1;
        let too_many = usize::try_from(arity).map(|arity| arity + 1);
        for count in [Some(too_few).filter(|&count| count > 0), too_many.ok()].into_iter().flatten()
        {
            let request = [vec![name], vec!["x"; count - 1]].concat();
            let message = format!("ERR wrong number of arguments for '{name}' command");
            assert_eq!(client.command(&request).await, error(&message), "{name} with {count}");
        }
    }
}

#[tokio::test]
async fn clients_are_counted_while_they_are_connected() {
    let bench = Bench::new();
    let clients: Vec<_> = (0..3).map(|_| bench.client()).collect();
    assert_eq!((bench.service.connected(), bench.service.sessions()), (3, 3));
    drop(clients);
    assert_eq!((bench.service.connected(), bench.service.sessions()), (0, 3));
    bench.client().talk_all(&["PING", "NONSENSE", "GET user:1", "TTL user:1"]).await;
    assert_eq!((bench.service.commands(), bench.service.refused()), (4, 0));
}
