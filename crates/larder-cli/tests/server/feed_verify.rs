//! `larder verify`: what the servers hold, and what triggers tell, is compared with the database while it
//! is changed.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_test::{Larder, Postgres};

use crate::feed::{config, install, postgres, users, vouched};
use crate::feed_debezium::over_debezium;
use crate::page::Page;
use crate::support::{binary, connect, get, run, serve, success, until};

/// What `larder verify` prints as JSON, and whether all was right.
fn verify(config: &str, servers: &[&Larder], lasts: &str) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let mut command = Command::new(binary());
    command.args(["verify", "--json", "--after", "300ms", "--for", lasts]);
    for server in servers {
        command.arg("--server").arg(format!("127.0.0.1:{}", server.resp_port()));
    }
    let output = run(command.arg(file.path()), b"");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// What the database keeps for who watches is forgotten, or it would keep it for ever.
#[test]
fn who_ends_a_comparison_early_leaves_nothing_behind() {
    let postgres = postgres();
    let config = config(&postgres, "");
    install(&config);
    let larder = serve(&config);
    vouched(&larder);
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'larder_watch'";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &config).unwrap();
    for signal in ["-INT", "-TERM"] {
        let mut command = Command::new(binary());
        command.args(["verify", "--for", "1h", "--server"]);
        command.arg(format!("127.0.0.1:{}", larder.resp_port())).arg(file.path());
        let mut verify = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        until("somebody watches", || {
            let active = format!("{slots} AND active");
            postgres.psql(&active) == "1"
        });
        success(Command::new("kill").arg(signal).arg(verify.id().to_string()), b"");
        verify.wait().unwrap();
        assert_eq!(postgres.psql(slots), "0", "{signal}");
    }
}

/// Changes users all the time, and reads them through a larder, until the other thing is done.
fn while_changed<T>(postgres: &Postgres, larder: &Larder, meanwhile: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = connect(larder);
            for n in (1..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                let id = n % 4 + 1;
                postgres.psql(&format!("UPDATE users SET name = 'n{n}' WHERE id = {id}"));
                for id in 1..=4 {
                    get(&mut client, &format!("user:{id}"));
                }
                // Each key rests for long enough to be looked at.
                std::thread::sleep(Duration::from_millis(150));
            }
        });
        let result = meanwhile();
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn what_servers_hold_is_compared_with_the_database_after_each_change() {
    let postgres = postgres();
    let fed = config(&postgres, "").replace("max_staleness = \"1h\"", "max_staleness = \"200ms\"");
    install(&fed);
    let larder = serve(&fed);
    drop(vouched(&larder));
    let (right, said) = while_changed(&postgres, &larder, || verify(&fed, &[&larder], "5s"));
    assert!(right, "{said}");
    assert!(said.contains("\"tier\":\"memory\"") && said.contains("\"wrong\":0"), "{said}");
    assert_eq!(
        postgres.psql("SELECT slot_name FROM pg_replication_slots").trim(),
        "larder",
        "nothing is kept for who has watched"
    );
    // One that hears of nothing, and holds what it has for an hour, is found out.
    let deaf =
        serve(&fed.replace("feed = \"logical\"", "changes = \"static\"").replace("200ms", "1h"));
    let both = || verify(&fed, &[&larder, &deaf], "5s");
    let (right, said) = while_changed(&postgres, &deaf, both);
    assert!(!right && said.contains("the promise was broken"), "{said}");
    let of = |larder: &Larder| {
        let name = format!("127.0.0.1:{}", larder.resp_port());
        let lines = said.lines().filter(|line| line.contains(&name)).map(str::to_owned);
        lines.collect::<String>()
    };
    assert!(!of(&larder).contains("\"wrong\":1") && of(&deaf).contains("memory"), "{said}");
}

/// Changes users by a program, and reads them through a larder, while it is verified.
fn what_triggers_tell_is_watched(url: &str, program: impl Fn(&str) + Sync) {
    let of = |promise: &str| users(url, "triggers").replace("max_staleness = \"1h\"", promise);
    // Long enough for what is held to be vouched for, however busy the machine is.
    let fed = of("max_staleness = \"10s\"");
    install(&fed);
    let larder = serve(&fed);
    drop(vouched(&larder));
    let (right, said) = while_written(&larder, &program, || verify(&fed, &[&larder], "7s"));
    assert!(right && said.contains("\"tier\":\"memory\""), "{said}");
    // One that hears of nothing is found out.
    let deaf = users(url, "triggers").replace("feed = \"triggers\"", "changes = \"static\"");
    let deaf = serve(&deaf);
    let strict = of("max_staleness = \"200ms\"");
    let (right, said) = while_written(&deaf, &program, || verify(&strict, &[&deaf], "7s"));
    assert!(!right && said.contains("the promise was broken"), "{said}");
    let gaps = Page::of(&larder).sum("larder_feed_gaps_total", &[("source", "shop")]);
    assert_eq!(gaps, 1, "who follows never heard of it");
}

/// Writes and reads until the other thing is done.
fn while_written<T>(
    larder: &Larder,
    program: &(impl Fn(&str) + Sync),
    meanwhile: impl FnOnce() -> T,
) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = connect(larder);
            for n in (1..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                // Each key rests for long enough to be looked at, and is held then.
                if n % 20 == 1 {
                    let id = n / 20 % 3 + 1;
                    program(&format!("UPDATE users SET name = 'n{n}' WHERE id = {id}"));
                }
                for id in 1..=3 {
                    get(&mut client, &format!("user:{id}"));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let result = meanwhile();
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn what_triggers_of_a_postgres_tell_is_watched_beside_the_servers() {
    let postgres = Postgres::start();
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text);
         INSERT INTO users VALUES (1, 'old'), (2, 'old'), (3, 'old')",
    );
    what_triggers_tell_is_watched(&postgres.url(), |sql| drop(postgres.psql(sql)));
}

#[test]
fn what_triggers_of_a_sqlite_tell_is_watched_beside_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    let sqlite3 = |sql: &str| {
        let mut command = Command::new("sqlite3");
        command.arg("-cmd").arg(".timeout 5000").arg(&file).arg(sql);
        success(&mut command, b"");
    };
    sqlite3(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO users VALUES (1, 'old'), (2, 'old'), (3, 'old')",
    );
    what_triggers_tell_is_watched(&format!("sqlite:{}", file.display()), sqlite3);
}

#[test]
fn where_nobody_can_watch_what_debezium_tells_it_is_said_why() {
    let postgres = postgres();
    for (from, part) in [
        ("from = \"http\"", "posts its records to one larder"),
        ("from = \"redis://127.0.0.1:1\"\ntopics = [\"a\"]", "without a heartbeat"),
    ] {
        let config = over_debezium(&postgres, from);
        let (right, said) = verify(&config, &[], "1s");
        assert!(!right && said.contains(part), "{said}");
    }
}
