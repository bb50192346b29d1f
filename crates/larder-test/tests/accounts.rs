//! The workload of accounts: versions that count commits, and outcomes that nobody knows.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use larder_test::accounts::{self, Writer};
use larder_test::checker::{Checker, Read, now};
use larder_test::{Postgres, Proxy};

fn connect(postgres: &Postgres, accounts: u64, seed: u64) -> Writer {
    Writer::connect(("127.0.0.1", postgres.port()), accounts, seed).unwrap()
}

fn version(postgres: &Postgres, id: u64) -> u64 {
    postgres.psql(&format!("SELECT version FROM accounts WHERE id = {id}")).parse().unwrap()
}

#[test]
fn every_update_raises_the_version_by_one_whoever_makes_it() {
    let postgres = Postgres::start();
    accounts::create(&postgres, 3);
    assert_eq!(postgres.psql("SELECT id, version FROM accounts ORDER BY id"), "1|0\n2|0\n3|0");
    let mut writer = connect(&postgres, 3, 1);
    let before = now();
    let write = writer.update_one(2).unwrap();
    let committed = write.committed.unwrap();
    assert!(before < write.began && write.began < committed && committed < now());
    assert_eq!((write.key, write.version, write.announced), (2, 1, None));
    postgres.psql("UPDATE accounts SET balance = 7, version = 99 WHERE id = 2");
    assert_eq!(version(&postgres, 2), 2);
    assert_eq!(writer.update_one(2).unwrap().version, 3);
    assert_eq!(version(&postgres, 2), 3);
}

#[test]
fn the_seed_decides_which_accounts_are_updated_and_all_are_sometime() {
    let postgres = Postgres::start();
    accounts::create(&postgres, 5);
    let keys = |seed| -> Vec<u64> {
        let mut writer = connect(&postgres, 5, seed);
        (0..50).map(|_| writer.update().unwrap().key).collect()
    };
    let (one, same, other) = (keys(1), keys(1), keys(2));
    assert_eq!(one, same);
    assert_ne!(one, other);
    assert!((1..=5).all(|id| one.contains(&id)) && one.iter().all(|id| (1..=5).contains(id)));
    assert_eq!(postgres.psql("SELECT sum(version) FROM accounts"), "150");
}

#[test]
fn what_was_not_committed_is_an_error_and_the_writer_goes_on() {
    let postgres = Postgres::start();
    accounts::create(&postgres, 1);
    let mut writer = connect(&postgres, 1, 1);
    assert_eq!(writer.update_one(2).unwrap_err().kind(), ErrorKind::NotFound);
    postgres.psql("ALTER TABLE accounts ADD CHECK (version < 2)");
    assert_eq!(writer.update().unwrap().version, 1);
    assert!(writer.update().unwrap_err().to_string().contains("violates check constraint"));
    postgres.psql("ALTER TABLE accounts DROP CONSTRAINT accounts_version_check");
    assert_eq!(writer.update().unwrap().version, 2);
}

#[test]
fn a_lost_reply_to_a_commit_is_an_unknown_outcome() {
    let postgres = Postgres::start();
    accounts::create(&postgres, 1);
    let proxy = Proxy::to(("127.0.0.1", postgres.port()));
    let mut writer = Writer::connect(proxy.address(), 1, 1).unwrap();
    let passed = proxy.counts().replies.passed;
    assert_eq!(writer.update().unwrap().version, 1);
    let of_one = proxy.counts().replies.passed - passed;
    // The reply to COMMIT: "COMMIT" with its mark, length and end, and "ready".
    let of_commit = 12 + 6;
    proxy.drop_replies_after(of_one - of_commit);
    let write = writer.update().unwrap();
    assert_eq!((write.version, write.committed), (2, None));
    assert_eq!(version(&postgres, 1), 2);
    writer.update().unwrap_err();
    // Before the commit was sent nothing can have happened.
    let mut writer = Writer::connect(proxy.address(), 1, 1).unwrap();
    proxy.drop_replies_after(0);
    writer.update().unwrap_err();
    let mut writer = Writer::connect(proxy.address(), 1, 1).unwrap();
    writer.set_patience(Duration::from_millis(50)).unwrap();
    proxy.stall();
    let silence = writer.update().unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
}

#[test]
fn readers_of_the_source_keep_the_promise_and_readers_of_an_old_copy_break_it() {
    let postgres = Postgres::start();
    accounts::create(&postgres, 4);
    let (current, old) = (Checker::new(), Checker::new());
    let running = AtomicBool::new(true);
    thread::scope(|scope| {
        for process in 0..2 {
            let (postgres, current, old, running) = (&postgres, &current, &old, &running);
            scope.spawn(move || {
                while running.load(Ordering::Relaxed) {
                    let began = now();
                    let versions = postgres.psql("SELECT version FROM accounts ORDER BY id");
                    let ended = now();
                    for (key, version) in (1..).zip(versions.lines()) {
                        let version = version.parse().unwrap();
                        current.read(Read { process, key, version, began, ended });
                        old.read(Read { process, key, version: 0, began, ended });
                    }
                }
            });
        }
        let writers: Vec<_> = (0..2)
            .map(|seed| {
                let (postgres, current, old) = (&postgres, &current, &old);
                scope.spawn(move || {
                    let mut writer = connect(postgres, 4, seed);
                    for _ in 0..300 {
                        let mut write = writer.update().unwrap();
                        write.announced = Some(now());
                        current.wrote(write);
                        old.wrote(write);
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        // One more look when all is written.
        let began = now();
        old.read(Read { process: 9, key: 1, version: 0, began, ended: now() });
        running.store(false, Ordering::Relaxed);
    });
    let report = current.check(Duration::ZERO);
    report.assert_kept();
    assert!(report.reads >= 8, "{report}");
    assert_eq!(report.staleness.worst, None);
    let report = old.check(Duration::ZERO);
    assert!(report.violations > 0 && report.staleness.worst.is_some(), "{report}");
    old.check(Duration::from_secs(3_600)).assert_kept();
}
