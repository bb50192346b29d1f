//! The bank: a million accounts in Postgres, read through larder by many clients. The database
//! itself counts what it is asked.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use larder_test::{Larder, Postgres, Reply};

use crate::page::Page;
use crate::support::{
    PATIENCE, account, accounts, bank, bank_config, connect, error_code, get, queries,
    redis_program, serve, success,
};

/// A server with the cache of accounts over a view of its own.
fn serve_view(postgres: &Postgres, view: &str) -> Larder {
    accounts(postgres, view);
    serve(&bank_config(postgres, view))
}

#[test]
fn ten_thousand_gets_of_one_key_make_one_query() {
    let bank = bank();
    let larder = serve(&bank_config(&bank, "pgbench_accounts"));
    let commands = "GET account:424242\n".repeat(5_000);
    let printed = success(&mut redis_program("redis-cli", &larder), commands.as_bytes());
    assert_eq!(printed.lines().count(), 5_000);
    assert!(printed.lines().all(|line| line == account(424_242)), "{printed:.200}");
    let replies = connect(&larder).pipeline(vec![["GET", "account:424242"]; 5_000]);
    assert_eq!(replies, vec![Reply::bulk(account(424_242)); 5_000]);
    assert_eq!(queries(&bank, "pgbench_accounts"), 1);
}

#[test]
fn redis_benchmark_reads_a_hundred_thousand_accounts_one_by_one_and_in_pipelines() {
    let bank = bank();
    let larder = serve_view(&bank, "benchmark");
    let mut asked = 0;
    for (pipeline, requests) in [("1", "20000"), ("16", "100000")] {
        let mut benchmark = redis_program("redis-benchmark", &larder);
        benchmark.args(["-r", "100000", "-n", requests, "-P", pipeline, "--csv"]);
        // It ends with an error as soon as one reply is an error.
        let printed = success(benchmark.args(["GET", "account:__rand_int__"]), b"");
        let result = printed.lines().find(|line| line.starts_with("\"GET account:"));
        let result = result.unwrap_or_else(|| panic!("no result: {printed}"));
        let per_second: f64 = result.split("\",\"").nth(1).unwrap().parse().unwrap();
        assert!(per_second > 0.0, "{printed}");
        asked += requests.parse::<u64>().unwrap();
        let page = Page::of(&larder);
        let count = |name: &str| page.sum(name, &[("cache", "account")]);
        assert_eq!(count("larder_cache_hits_total") + count("larder_cache_misses_total"), asked);
        assert_eq!(count("larder_cache_load_errors_total"), 0);
        // The accounts were loaded for real: of so many draws from a hundred thousand more than
        // half are new. Only account 0 isn't there.
        assert!(page.sum("larder_memory_entries", &[]) > requests.parse::<u64>().unwrap() / 2);
        assert!(count("larder_cache_absent_total") <= 2, "{}", page.text());
    }
}

#[test]
fn the_twelve_digits_of_redis_benchmark_are_the_number_that_they_mean() {
    let bank = bank();
    let larder = serve_view(&bank, "padded");
    let mut client = connect(&larder);
    let spellings = ["account:000000012345", "account:12345"];
    for spelling in spellings {
        assert_eq!(get(&mut client, spelling), Reply::bulk(account(12_345)));
    }
    assert_eq!(queries(&bank, "padded"), 1);
    // One row, one entry.
    assert_eq!(client.command(&["DEL", spellings[0]]), Reply::Integer(1));
    assert_eq!(client.command(&["DEL", spellings[1]]), Reply::Integer(0));
    // Any other padding is a mistake that should be seen.
    for other in ["account:0012345", "account:0000000012345"] {
        let reply = get(&mut client, other);
        assert_eq!(error_code(&reply), "BADKEY");
        assert!(reply.text().contains("it is written 12345"), "{reply:?}");
    }
    assert_eq!(queries(&bank, "padded"), 1);
}

#[test]
fn two_hundred_clients_on_one_cold_key_make_one_query() {
    let bank = bank();
    let larder = serve_view(&bank, "herd");
    let start = Barrier::new(200);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..200)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = connect(&larder);
                    start.wait();
                    get(&mut client, "account:777")
                })
            })
            .collect();
        for client in clients {
            assert_eq!(client.join().unwrap(), Reply::bulk(account(777)));
        }
    });
    assert_eq!(queries(&bank, "herd"), 1);
}

#[test]
fn a_missing_row_makes_one_query_for_each_missing_for() {
    const MISSING_FOR: Duration = Duration::from_millis(500);
    let bank = bank();
    accounts(&bank, "absent");
    let larder = serve(&format!("{}missing_for = \"500ms\"\n", bank_config(&bank, "absent")));
    let mut client = connect(&larder);
    let start = Instant::now();
    // One question opens each period, and the third shows that two periods have ended.
    let mut asked = 0;
    while asked < 3 {
        for _ in 0..50 {
            assert_eq!(get(&mut client, "account:1000001"), Reply::Null);
        }
        asked = queries(&bank, "absent");
        assert!(start.elapsed() < PATIENCE, "{asked} questions");
    }
    let periods = start.elapsed().as_nanos() / MISSING_FOR.as_nanos();
    assert!(u128::from(asked) <= periods + 1, "{asked} questions in {periods} periods");
}

#[test]
fn keys_that_no_row_can_have_make_no_query() {
    let bank = bank();
    let larder = serve_view(&bank, "impossible");
    let mut client = connect(&larder);
    // The first load of any key tells what the column can hold.
    assert_eq!(get(&mut client, "account:1"), Reply::bulk(account(1)));
    for key in [
        "account:abc",
        "account:",
        "account:1:2",
        "account: 1",
        "account:1;DROP TABLE pgbench_accounts",
        "account:+1",
        "account:-0",
        "account:01",
        "account:1.0",
        "account:\u{662}",
        // Beyond int4, and beyond int8.
        "account:2147483648",
        "account:-2147483649",
        "account:9223372036854775808",
    ] {
        let reply = get(&mut client, key);
        assert_eq!(error_code(&reply), "BADKEY", "{key}: {reply:?}");
        let batch = client.command(&["MGET", "account:2", key]);
        assert_eq!(error_code(&batch), "BADKEY", "{key}: {batch:?}");
    }
    // One question for each of the two accounts that there are.
    assert_eq!(queries(&bank, "impossible"), 2);
}

#[test]
fn an_mget_of_a_hundred_cold_keys_makes_one_query() {
    let bank = bank();
    let larder = serve_view(&bank, "batch");
    let keys: Vec<String> = (1..=100).map(|at| format!("account:{}", at * 9_999)).collect();
    let mget: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
    let mut client = connect(&larder);
    let values: Vec<Reply> = (1..=100).map(|at| Reply::bulk(account(at * 9_999))).collect();
    for _ in 0..2 {
        assert_eq!(client.command(&mget), Reply::Array(values.clone()));
    }
    assert_eq!(queries(&bank, "batch"), 1);
}

#[test]
fn sixteen_pipelined_gets_of_cold_keys_make_one_query() {
    let bank = bank();
    let larder = serve_view(&bank, "pipeline");
    let keys: Vec<String> = (1..=16).map(|aid| format!("account:{aid}")).collect();
    let gets: Vec<_> = keys.iter().map(|key| ["GET", key]).collect();
    let replies = connect(&larder).pipeline(gets);
    assert_eq!(replies, (1..=16).map(|aid| Reply::bulk(account(aid))).collect::<Vec<_>>());
    assert_eq!(queries(&bank, "pipeline"), 1);
}

#[test]
fn deleting_a_key_makes_the_next_read_ask_again_and_a_change_seen() {
    let bank = bank();
    bank.psql("CREATE TABLE savings (LIKE pgbench_accounts); INSERT INTO savings VALUES (5, 1, 0)");
    let larder = serve(&bank_config(&bank, "savings"));
    let mut client = connect(&larder);
    assert_eq!(get(&mut client, "account:5"), Reply::bulk(account(5)));
    bank.psql("UPDATE savings SET abalance = 100 WHERE aid = 5");
    assert_eq!(get(&mut client, "account:5"), Reply::bulk(account(5)));
    assert_eq!(client.command(&["DEL", "account:5"]), Reply::Integer(1));
    let changed = "{\"aid\":5,\"bid\":1,\"abalance\":100}";
    assert_eq!(get(&mut client, "account:5"), Reply::bulk(changed));
    assert_eq!(queries(&bank, "savings"), 2);
}
