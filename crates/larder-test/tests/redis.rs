//! Redis, started, asked, killed, paused and restarted; and what holds for every server.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use larder_test::{Postgres, Redis, Reply, RespClient};

#[test]
fn it_answers_and_forgets_what_a_kill_takes() {
    let redis = Redis::start();
    assert_eq!(redis.cli(&["SET", "greeting", "hello"]), "OK");
    assert_eq!(redis.cli(&["GET", "greeting"]), "hello");
    let (port, pid) = (redis.port(), redis.pid());
    redis.kill();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    redis.restart();
    assert_eq!(redis.port(), port);
    assert_ne!(redis.pid(), pid);
    assert_eq!(redis.cli(&["GET", "greeting"]), "");
    assert!(redis.stop().success());
}

#[test]
fn its_arguments_win_over_the_kits_own_and_its_data_stay_on_a_restart() {
    let redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    redis.cli(&["SET", "greeting", "hello"]);
    redis.kill();
    redis.restart();
    assert_eq!(redis.cli(&["GET", "greeting"]), "hello");
}

#[test]
fn a_paused_server_accepts_connections_and_answers_after_it_is_resumed() {
    let redis = Redis::start();
    redis.pause();
    let mut connection = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    connection.write_all(b"PING\r\n").unwrap();
    connection.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    connection.read_exact(&mut [0; 7]).unwrap_err();
    redis.resume();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = [0; 7];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn the_client_pipelines_and_speaks_both_versions() {
    let redis = Redis::start();
    let mut client = RespClient::connect(("127.0.0.1", redis.port()));
    let replies = client.pipeline([["SET", "a", "1"], ["SET", "b", "2"], ["MGET", "a", "b"]]);
    let both = Reply::Array(vec![Reply::bulk("1"), Reply::bulk("2")]);
    assert_eq!(replies, [Reply::Simple("OK".into()), Reply::Simple("OK".into()), both]);
    assert!(client.command(&["NO-SUCH"]).text().starts_with("ERR unknown command"));
    assert!(matches!(client.command(&["HELLO", "3"]), Reply::Map(_)));
    assert_eq!(client.command(&[&b"GET"[..], b"\xff"]), Reply::Null);
    client.send(b"*1\r\n$4\r\nPI");
    client.send(b"NG\r\n");
    assert_eq!(client.receive(), Reply::Simple("PONG".into()));
    assert_eq!(client.command(&["QUIT"]), Reply::Simple("OK".into()));
    assert!(client.is_closed());
}

#[test]
fn two_servers_have_two_ports_and_two_folders() {
    let (one, other) = (Redis::start(), Redis::start());
    assert_ne!(one.port(), other.port());
    assert_ne!(one.place().folder(), other.place().folder());
}

#[test]
#[should_panic(expected = "Bad directive or wrong number of arguments")]
fn one_that_does_not_come_up_shows_its_log() {
    let _ = Redis::start_with(&["--no-such-setting", "1"]);
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_folder() {
    let redis = Redis::start();
    let (pid, folder) = (redis.pid(), redis.place().folder().to_owned());
    assert!(folder.is_dir());
    drop(redis);
    assert!(!folder.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let redis = std::thread::spawn(Redis::start).join().unwrap();
    assert_eq!(redis.cli(&["PING"]), "PONG");
}

/// Set in the process that [`a_server_dies_with_the_test_process`] starts: this binary again.
const VICTIM: &str = "LARDER_TEST_VICTIM";

#[test]
fn a_server_dies_with_the_test_process() {
    if std::env::var_os(VICTIM).is_some() {
        run_until_killed();
    }
    // A killed process can't tidy up behind itself: this one does it.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim.args(["--exact", "a_server_dies_with_the_test_process", "--nocapture"]);
    victim.env(VICTIM, "1").env("TMPDIR", folder.path()).stdout(Stdio::piped());
    let mut victim = victim.spawn().unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let ports = lines.find_map(|line| Some(line.unwrap().split_once("ports ")?.1.to_owned()));
    let ports: Vec<u16> = ports.unwrap().split(' ').map(|port| port.parse().unwrap()).collect();
    let listening =
        || ports.iter().filter(|&&port| TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(listening().count(), 2);
    victim.kill().unwrap();
    victim.wait().unwrap();
    within_half_a_minute("both servers are gone", || listening().count() == 0);
    within_half_a_minute("nobody writes any more", || fs::remove_dir_all(folder.path()).is_ok());
}

fn run_until_killed() -> ! {
    let (redis, postgres) = (Redis::start(), Postgres::start());
    // Not println!, which the test harness would keep to itself.
    let ports = format!("ports {} {}\n", redis.port(), postgres.port());
    std::io::stdout().write_all(ports.as_bytes()).unwrap();
    loop {
        std::thread::park();
    }
}

fn within_half_a_minute(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !happened() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
