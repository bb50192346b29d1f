//! MariaDB, started, asked, killed, paused and restarted.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::net::TcpStream;

use larder_test::Mariadb;

#[test]
fn it_answers_what_it_is_asked() {
    let mariadb = Mariadb::start();
    mariadb.sql("CREATE TABLE users (id int PRIMARY KEY, name text);");
    mariadb.sql("INSERT INTO users VALUES (1, 'Ada'), (2, 'it''s Bób');");
    assert_eq!(mariadb.sql("SELECT * FROM users ORDER BY id"), "1|Ada\n2|it's Bób");
}

#[test]
#[should_panic(expected = "Table 'shop.nothing' doesn't exist")]
fn a_failing_statement_says_what_mariadb_said() {
    Mariadb::start().sql("SELECT * FROM nothing");
}

#[test]
fn what_was_committed_survives_stop_and_restart() {
    let mariadb = Mariadb::start_with(&[("innodb_flush_log_at_trx_commit", "1")]);
    let url = mariadb.url();
    mariadb.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    mariadb.kill();
    assert!(!mariadb.is_running());
    assert!(TcpStream::connect(("127.0.0.1", mariadb.port())).is_err());
    mariadb.restart();
    mariadb.sql("INSERT INTO t VALUES (2)");
    assert!(mariadb.stop().success());
    mariadb.restart();
    mariadb.pause();
    assert!(mariadb.is_paused());
    mariadb.resume();
    assert_eq!(mariadb.sql("SELECT sum(n) FROM t"), "3");
    assert_eq!(mariadb.url(), url);
}

#[test]
fn settings_win_over_the_kits_own() {
    let mariadb = Mariadb::start_with(&[("sync_binlog", "7"), ("read_only", "1")]);
    assert_eq!(mariadb.sql("SELECT @@sync_binlog, @@read_only"), "7|1");
}

#[test]
#[should_panic(expected = "unknown variable 'no_such_setting=1'")]
fn one_that_does_not_come_up_shows_its_log() {
    let _ = Mariadb::start_with(&[("no_such_setting", "1")]);
}
