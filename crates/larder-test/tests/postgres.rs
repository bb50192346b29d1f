//! Postgres, started, asked, killed, paused and restarted.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use larder_test::Postgres;

#[test]
fn it_answers_and_counts_what_it_is_asked() {
    let postgres = Postgres::start();
    postgres.psql("CREATE TABLE users (id int PRIMARY KEY, name text);");
    postgres.psql("INSERT INTO users VALUES (1, 'Ada'), (2, 'it''s Bob');");
    assert_eq!(postgres.psql("SELECT * FROM users ORDER BY id"), "1|Ada\n2|it's Bob");
    postgres.psql("SELECT name FROM users WHERE id = 1; SELECT name FROM users WHERE id = 2");
    assert_eq!(postgres.calls("SELECT name FROM users WHERE id = $1"), 2);
    assert_eq!(postgres.calls("%no such text%"), 0);
    postgres.reset_calls();
    assert_eq!(postgres.calls("SELECT name FROM users%"), 0);
}

#[test]
#[should_panic(expected = "relation \"nothing\" does not exist")]
fn a_failing_statement_says_what_postgres_said() {
    Postgres::start().psql("SELECT * FROM nothing");
}

#[test]
fn what_was_committed_survives_kill_and_stop() {
    let postgres = Postgres::start();
    let url = postgres.url();
    postgres.psql("CREATE TABLE t (n int)");
    postgres.psql("INSERT INTO t VALUES (1)");
    postgres.kill();
    assert!(!postgres.is_running());
    assert!(TcpStream::connect(("127.0.0.1", postgres.port())).is_err());
    postgres.restart();
    postgres.psql("INSERT INTO t VALUES (2)");
    assert!(postgres.stop().success());
    postgres.restart();
    postgres.restart();
    assert_eq!(postgres.psql("SELECT sum(n) FROM t"), "3");
    assert_eq!(postgres.url(), url);
}

#[test]
fn a_paused_server_stands_still_with_all_its_processes_and_then_goes_on() {
    let postgres = Postgres::start();
    let mut session = Session::open(&postgres);
    let backend = session.ask("SELECT pg_backend_pid()");
    postgres.pause();
    assert_eq!(process_state(&backend), 'T');
    assert_eq!(process_state(&postgres.pid().to_string()), 'T');
    session.say("SELECT 'late'");
    assert!(postgres.is_running());
    postgres.resume();
    assert_eq!(session.hear(), "late");
    postgres.pause();
    // Being asked to stop wakes it.
    assert!(postgres.stop().success());
}

/// One connection that stays open.
struct Session {
    psql: Child,
    answers: BufReader<ChildStdout>,
}

impl Session {
    fn open(postgres: &Postgres) -> Self {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", &postgres.url()]);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(psql.stdout.take().unwrap());
        Self { psql, answers }
    }

    fn say(&mut self, statement: &str) {
        writeln!(self.psql.stdin.as_mut().unwrap(), "{statement};").unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, statement: &str) -> String {
        self.say(statement);
        self.hear()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.psql.stdin.take());
        self.psql.wait().unwrap();
    }
}

fn process_state(pid: &str) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn settings_win_over_the_kits_own() {
    let postgres = Postgres::start_with(&[("fsync", "on"), ("wal_level", "logical")]);
    assert_eq!(postgres.psql("SHOW fsync; SHOW wal_level"), "on\nlogical");
}

#[test]
fn pgbench_runs() {
    let postgres = Postgres::start();
    postgres.pgbench(&["-i", "-q", "-s", "1"]);
    let report = postgres.pgbench(&["-t", "10", "-c", "2"]);
    assert!(report.contains("20/20"), "{report}");
}

#[test]
fn pgbench_that_fails_says_so_where_it_may() {
    let postgres = Postgres::start();
    let error = postgres.try_pgbench(&["-n", "-t", "1"]).unwrap_err();
    assert!(error.contains("pgbench_branches"), "{error}");
}

#[test]
fn what_sends_the_log_stands_still_for_a_while() {
    let postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let mut follower = Command::new("pg_receivewal")
        .args(["-h", "127.0.0.1", "-U", "postgres", "--no-sync", "-p"])
        .arg(postgres.port().to_string())
        .arg("-D")
        .arg(folder.path())
        .spawn()
        .unwrap();
    let sender =
        || postgres.psql("SELECT pid FROM pg_stat_replication WHERE state = 'streaming' LIMIT 1");
    let deadline = Instant::now() + Duration::from_secs(30);
    while sender().is_empty() {
        assert!(Instant::now() < deadline, "nobody follows");
    }
    let pid = sender();
    postgres.senders_paused(|| {
        // It stops when it is next to run.
        while process_state(&pid) != 'T' {
            assert!(Instant::now() < deadline, "it goes on");
        }
        assert_eq!(postgres.psql("SELECT 1"), "1");
    });
    while process_state(&pid) == 'T' {
        assert!(Instant::now() < deadline, "it stands still for ever");
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
#[should_panic(expected = "unrecognized configuration parameter")]
fn one_that_does_not_come_up_shows_its_log() {
    let _ = Postgres::start_with(&[("no_such_setting", "1")]);
}
