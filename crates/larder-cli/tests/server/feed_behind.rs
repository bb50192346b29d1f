//! A cache that is written behind over a source with a feed: what is acknowledged is read here and
//! never lost, and what another program changes is read within the promise.

use std::process::Command;

use larder_test::{Postgres, RespClient};

use crate::feed::vouched;
use crate::support::{get, serve, success, until};

/// Counters and names that are written behind, applied after a second.
fn config(folder: &tempfile::TempDir, url: &str, feed: &str) -> String {
    format!(
        "[journal]
         path = \"{}\"
         [source.shop]
         url = \"{url}\"
         feed = \"{feed}\"
         [cache.visits]
         key = \"visits:{{page:int}}\"
         load = \"SELECT n FROM visits WHERE page = {{page}}\"
         column = \"raw\"
         max_staleness = \"1h\"
         fresh_for = \"1h\"
         add = \"INSERT INTO visits VALUES ({{page}}, {{delta}}) ON CONFLICT (page) DO UPDATE SET \
                 n = visits.n + excluded.n RETURNING n\"
         write = \"behind\"
         [cache.title]
         key = \"title:{{page:int}}\"
         load = \"SELECT name FROM titles WHERE page = {{page}}\"
         column = \"raw\"
         max_staleness = \"1h\"
         fresh_for = \"1h\"
         store = \"INSERT INTO titles VALUES ({{page}}, {{value}}) ON CONFLICT (page) DO UPDATE SET \
                   name = excluded.name RETURNING name\"
         write = \"behind\"\n",
        folder.path().join("journal").display()
    )
}

const TABLES: &str = "CREATE TABLE visits (page INTEGER PRIMARY KEY, n INTEGER NOT NULL);
     CREATE TABLE titles (page INTEGER PRIMARY KEY, name TEXT NOT NULL);
     INSERT INTO visits VALUES (1, 100), (2, 100); INSERT INTO titles VALUES (1, 'old'), (2, 'old')";

/// What `larder` prints of this configuration.
fn larder(command: &[&str], config: &str) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let mut program = Command::new(crate::support::binary());
    let output = crate::support::run(program.args(command).arg(file.path()), b"");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Waits until a key is answered with exactly this.
fn sees(client: &mut RespClient, key: &str, value: &str) {
    until(&format!("{key} is {value}"), || get(client, key).text() == value);
}

/// `database` executes SQL, as any program does, and returns what it says.
fn lives_beside_other_writers(url: &str, feed: &str, database: impl Fn(&str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    database(TABLES);
    let config = config(&folder, url, feed);
    // The tables that write-behind needs, as `check` says.
    let (_, said) = larder(&["check"], &config);
    let (_, sql) = said.split_once("in them:\n\n").unwrap();
    let sql = sql.find("\nsource ").map_or(sql, |end| &sql[..end]);
    database(sql);
    let (is_good, said) = larder(&["feed", "install"], &config);
    assert!(is_good, "{said}");
    let larder = serve(&config);
    let mut client = vouched(&larder);
    assert_eq!(get(&mut client, "visits:1").text(), "100");
    assert_eq!(get(&mut client, "title:2").text(), "old");

    // What was acknowledged is read at once.
    let add = |client: &mut RespClient, by: &str| {
        client.command(&["INCRBY", "visits:1", by]);
    };
    add(&mut client, "1");
    client.command(&["SET", "title:1", "mine"]);
    assert_eq!(get(&mut client, "visits:1").text(), "101");
    assert_eq!(get(&mut client, "title:1").text(), "mine");

    // Another program's change of a clean key is known, and of a key with a difference on top.
    database("UPDATE titles SET name = 'theirs' WHERE page = 2");
    sees(&mut client, "title:2", "theirs");
    database("UPDATE visits SET n = n + 1000 WHERE page = 1");
    sees(&mut client, "visits:1", "1101");
    for _ in 0..50 {
        add(&mut client, "1");
        assert_eq!(get(&mut client, "title:1").text(), "mine");
    }
    sees(&mut client, "visits:1", "1151");

    // It is all applied, once, and stays what is read.
    until("everything is applied", || {
        database("SELECT n FROM visits WHERE page = 1").trim() == "1151"
            && database("SELECT name FROM titles WHERE page = 1").trim() == "mine"
    });
    sees(&mut client, "visits:1", "1151");
    database("UPDATE titles SET name = 'theirs' WHERE page = 1");
    sees(&mut client, "title:1", "theirs");

    // What is acknowledged when it is killed is applied when it is back, over what came before.
    add(&mut client, "7");
    client.command(&["SET", "title:2", "mine"]);
    larder.kill();
    database("UPDATE titles SET name = 'lost' WHERE page = 2");
    let larder = serve(&config);
    let mut client = vouched(&larder);
    sees(&mut client, "visits:1", "1158");
    sees(&mut client, "title:2", "mine");
    until("everything is applied", || {
        database("SELECT n FROM visits WHERE page = 1").trim() == "1158"
            && database("SELECT name FROM titles WHERE page = 2").trim() == "mine"
    });
    database("UPDATE visits SET n = 5 WHERE page = 1");
    sees(&mut client, "visits:1", "5");
}

#[test]
fn over_a_postgres_and_its_log() {
    let postgres = Postgres::start_with(&[("wal_level", "logical")]);
    lives_beside_other_writers(&postgres.url(), "logical", |sql| postgres.psql(sql));
}

#[test]
fn over_a_sqlite_and_triggers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    lives_beside_other_writers(&format!("sqlite:{}", file.display()), "triggers", |sql| {
        let mut command = Command::new("sqlite3");
        command.arg("-cmd").arg(".timeout 5000").arg(&file).arg(sql);
        success(&mut command, b"")
    });
}
