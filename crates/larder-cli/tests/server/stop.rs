//! The end, in good order: what has arrived is answered, nobody new is let in, and the process
//! says that all went well.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use larder_test::{Larder, Postgres, Reply};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{accounts, admin, bank, connect, serve, until};

/// So long the end may take where nobody is waited for.
const SOON: Duration = Duration::from_secs(10);

/// A server whose loads take so many seconds.
fn slow(postgres: &Postgres, view: &str, seconds: u32) -> Larder {
    accounts(postgres, view);
    serve(&format!(
        "[source.bank]
         url = \"{}\"
         [cache.slow]
         key = \"slow:{{aid:int}}\"
         load = \"SELECT aid FROM {view}, pg_sleep({seconds}) WHERE aid = {{aid}}\"
         max_staleness = \"60s\"\n",
        postgres.url()
    ))
}

fn signal(larder: &Larder, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(larder.pid()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Whether the database works on a load of this view.
fn is_loading(postgres: &Postgres, view: &str) -> bool {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE state = 'active' AND query LIKE '%FROM {view}, pg_sleep%'
         AND pid <> pg_backend_pid()"
    );
    postgres.psql(&sql) == "1"
}

/// Waits for the end, which must be a good one, and says how long it took.
fn ended(larder: &Larder) -> Duration {
    let start = Instant::now();
    // A second signal would end it at once; a process that has ended is only asked how.
    until("larder ends", || has_ended(larder));
    let took = start.elapsed();
    assert!(larder.stop().success());
    took
}

/// Whether the process is a zombie: it has ended, and nobody has asked how.
fn has_ended(larder: &Larder) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", larder.pid())).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('Z')
}

fn closes_in_good_order(view: &str, with: Signal) {
    let bank = bank();
    let larder = slow(&bank, view, 1);
    let mut idle = connect(&larder);
    assert_eq!(idle.command(&["SET", "key", "value"]), Reply::Simple("OK".into()));
    let mut waiting = connect(&larder);
    waiting.send(b"GET slow:7\r\nGET slow:8\r\nGET key\r\nPING\r\n");
    until("the load runs", || is_loading(&bank, view));
    signal(&larder, with);
    assert_eq!(waiting.receive(), Reply::bulk("{\"aid\":7}"));
    assert_eq!(waiting.receive(), Reply::bulk("{\"aid\":8}"));
    assert_eq!(waiting.receive(), Reply::bulk("value"));
    assert_eq!(waiting.receive(), Reply::Simple("PONG".into()));
    assert!(waiting.is_closed() && idle.is_closed());
    assert!(ended(&larder) < SOON);
    let log = larder.log();
    assert!(log.contains("stopping") && log.trim_end().ends_with("stopped"), "{log}");
}

#[test]
fn sigterm_answers_what_has_arrived() {
    closes_in_good_order("terminated", Signal::TERM);
}

#[test]
fn sigint_answers_what_has_arrived() {
    closes_in_good_order("interrupted", Signal::INT);
}

#[test]
fn while_the_last_answers_are_on_their_way_new_clients_are_turned_away() {
    let bank = bank();
    let larder = slow(&bank, "closing", 3);
    let address = ("127.0.0.1", larder.resp_port());
    let mut waiting = connect(&larder);
    waiting.send(b"GET slow:1\r\n");
    until("the load runs", || is_loading(&bank, "closing"));
    signal(&larder, Signal::TERM);
    until("nobody new is let in", || TcpStream::connect(address).is_err());
    // Not because it is gone already.
    assert!(is_loading(&bank, "closing"));
    assert_eq!(waiting.receive(), Reply::bulk("{\"aid\":1}"));
    assert!(ended(&larder) < SOON);
}

#[test]
fn who_sends_half_a_request_or_reads_nothing_does_not_hold_up_the_end() {
    let larder = serve("");
    let mut client = connect(&larder);
    let large = "v".repeat(1_000_000);
    assert_eq!(client.command(&["SET", "large", &large]), Reply::Simple("OK".into()));
    let mut half = connect(&larder);
    half.send(b"*2\r\n$3\r\nGET\r\n$5\r\nla");
    let mut deaf = connect(&larder);
    deaf.send(&b"GET large\r\n".repeat(100));
    assert_eq!(deaf.receive(), Reply::bulk(&large));
    // An HTTP client that keeps its connection, and one that never finishes its request.
    let address = larder.admin_url();
    let address = address.strip_prefix("http://").unwrap();
    let mut web: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    web[0].write_all(b"GET /health HTTP/1.1\r\nHost: larder\r\n\r\n").unwrap();
    web[1].write_all(b"GET /health HTTP/1.1\r\nHost: la").unwrap();
    assert_eq!(admin(&larder, "/health").0, 200);
    signal(&larder, Signal::TERM);
    let took = ended(&larder);
    assert!(took < SOON, "{took:?}");
}

#[test]
fn the_end_says_of_each_cache_whether_it_was_worth_it() {
    let bank = bank();
    accounts(&bank, "told");
    let larder = serve(&format!(
        "[source.bank]
         url = \"{}\"
         [cache.slow]
         key = \"slow:{{aid:int}}\"
         load = \"SELECT aid FROM told, pg_sleep(0.02) WHERE aid = {{aid}}\"
         max_staleness = \"10m\"
         [cache.idle]
         key = \"idle:{{aid:int}}\"
         load = \"SELECT aid FROM told WHERE aid = {{aid}}\"
         max_staleness = \"10m\"\n",
        bank.url()
    ));
    let mut client = connect(&larder);
    for _ in 0..200 {
        assert_eq!(client.command(&["GET", "slow:814"]), Reply::bulk("{\"aid\":814}"));
    }
    let Reply::Array(stats) = client.command(&["LARDER.STATS", "slow"]) else { panic!("no map") };
    let verdict = stats.chunks(2).find(|pair| pair[0] == Reply::bulk("verdict")).unwrap();
    // A client is told it before the end.
    assert!(verdict[1].text().starts_with("worth it: 99"), "{verdict:?}");
    assert!(!larder.log().contains("worth it"));
    signal(&larder, Signal::TERM);
    ended(&larder);
    let log = larder.log();
    let of = |cache: &str| {
        let cache = format!("cache=\"{cache}\"");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&cache)).collect();
        assert_eq!(lines.len(), 1, "{log}");
        lines[0]
    };
    assert!(of("slow").contains("worth it: 99"), "{log}");
    assert!(of("idle").contains("too early to say: 0 reads"), "{log}");
    // What was read is nobody's business, and neither is where it comes from.
    assert!(!log.contains("814") && !log.contains(&bank.url()), "{log}");
    assert!(log.trim_end().ends_with("stopped"), "{log}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let larder = serve("");
    let mut client = connect(&larder);
    let large = "v".repeat(1_000_000);
    assert_eq!(client.command(&["SET", "large", &large]), Reply::Simple("OK".into()));
    let mut deaf = connect(&larder);
    deaf.send(&b"GET large\r\n".repeat(100));
    assert_eq!(deaf.receive(), Reply::bulk(&large));
    signal(&larder, Signal::TERM);
    assert!(client.is_closed());
    signal(&larder, Signal::TERM);
    until("larder ends", || has_ended(&larder));
    assert_eq!(larder.stop().code(), Some(130));
}
