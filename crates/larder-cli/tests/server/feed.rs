//! Feeds: what is changed straight in the database is known within the promise, in every larder,
//! and what can't be covered is said before it is.

use std::process::Command;

use larder_test::{Larder, Mariadb, Postgres, Redis, Reply, RespClient};

use crate::page::Page;
use crate::support::{binary, connect, get, run, serve, success, until};

/// One cache over users, in whatever database, kept until a change is told.
pub(crate) fn users(url: &str, feed: &str) -> String {
    format!(
        "[source.shop]
         url = \"{url}\"
         feed = \"{feed}\"
         [cache.user]
         key = \"user:{{id:int}}\"
         load = \"SELECT id, name FROM users WHERE id = {{id}}\"
         {LONG}"
    )
}

/// Changes users by a program that never heard of larder, and reads them through it.
fn sees_what_a_program_changes(config: &str, program: impl Fn(&str)) {
    let said = install(config);
    assert!(said.contains("touches user:{id:int} with id = id"), "{said}");
    let larder = serve(config);
    let mut client = vouched(&larder);
    for id in 1..=3 {
        assert!(get(&mut client, &format!("user:{id}")).text().contains("old"));
    }
    program("UPDATE users SET name = 'new' WHERE id = 2");
    sees(&mut client, "user:2", "new");
    program("DELETE FROM users WHERE id = 3");
    until("user:3 is absent", || get(&mut client, "user:3") == Reply::Null);
    program("INSERT INTO users VALUES (3, 'again')");
    sees(&mut client, "user:3", "again");
    assert!(get(&mut client, "user:1").text().contains("old"));
    let loads = Page::of(&larder).sum("larder_cache_load_seconds_count", &[("cache", "user")]);
    assert!((6..=12).contains(&loads), "{loads} loads: what wasn't touched is held");
    let (done, said) = self::larder(&["feed", "status"], config);
    assert!(done && said.contains("source shop: followed"), "{said}");
    drop(larder);
    let (done, said) = self::larder(&["feed", "remove"], config);
    assert!(done, "{said}");
}

/// The same users through a view, which is replaced while nobody writes any row.
fn sees_that_a_view_is_replaced(config: &str, program: impl Fn(&str)) {
    let config = config.replace("FROM users", "FROM named");
    program("CREATE VIEW named AS SELECT id, name FROM users");
    let said = install(&config);
    assert!(said.contains("users drops everything"), "{said}");
    let larder = serve(&config);
    let mut client = vouched(&larder);
    assert!(get(&mut client, "user:1").text().contains("old"));
    program("DROP VIEW named; CREATE VIEW named AS SELECT id, upper(name) AS name FROM users");
    sees(&mut client, "user:1", "OLD");
}

#[test]
fn a_sqlite_that_other_programs_write_tells_of_it_by_triggers() {
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
    let config = users(&format!("sqlite:{}", file.display()), "triggers");
    sees_what_a_program_changes(&config, sqlite3);
    sqlite3("CREATE TABLE is_clean AS SELECT 1 FROM sqlite_schema WHERE name LIKE 'larder%'");
    sees_that_a_view_is_replaced(&config, sqlite3);
}

#[test]
fn a_postgres_without_the_right_to_replicate_tells_of_it_by_triggers() {
    let postgres = Postgres::start();
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text);
         INSERT INTO users VALUES (1, 'old'), (2, 'old'), (3, 'old')",
    );
    let (config, psql) = (users(&postgres.url(), "triggers"), |sql: &str| drop(postgres.psql(sql)));
    sees_what_a_program_changes(&config, psql);
    assert_eq!(postgres.psql("SELECT count(*) FROM pg_namespace WHERE nspname = 'larder'"), "0");
    sees_that_a_view_is_replaced(&config, psql);
}

#[test]
fn a_mariadb_tells_of_it_by_its_binary_log() {
    let settings = [("log-bin", "bin"), ("binlog-format", "ROW"), ("binlog-row-metadata", "FULL")];
    let mariadb = Mariadb::start_with(&[&settings[..], &[("server-id", "7")]].concat());
    mariadb.sql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    mariadb.sql("INSERT INTO users VALUES (1, 'old'), (2, 'old'), (3, 'old')");
    let (config, sql) = (users(&mariadb.url(), "binlog"), |sql: &str| drop(mariadb.sql(sql)));
    sees_what_a_program_changes(&config, sql);
    sees_that_a_view_is_replaced(&config, sql);
    let silent = Mariadb::start();
    silent.sql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    let (done, said) = larder(&["check"], &users(&silent.url(), "binlog"));
    assert!(!done && said.contains("log_bin"), "{said}");
}

/// Much longer than any test takes: what goes, goes because something was told.
const LONG: &str = "max_staleness = \"1h\"\nfresh_for = \"1h\"\n";

pub(crate) fn postgres() -> Postgres {
    let postgres = Postgres::start_with(&[("wal_level", "logical")]);
    postgres.psql(
        "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, team int, name text);
         INSERT INTO users SELECT n, 'user' || n, n % 2, 'old' FROM generate_series(1, 4) n;
         CREATE TABLE logins (id int PRIMARY KEY, user_id int, at text);
         CREATE TABLE teams (id int PRIMARY KEY, label text);
         INSERT INTO teams VALUES (0, 'old'), (1, 'old');
         ALTER TABLE logins REPLICA IDENTITY FULL",
    );
    postgres
}

/// A source with a feed, and a cache of its users by their key.
pub(crate) fn config(postgres: &Postgres, more: &str) -> String {
    format!(
        "[source.shop]
         url = \"{}\"
         feed = \"logical\"
         [cache.user]
         key = \"user:{{id:int}}\"
         load = \"SELECT id, name FROM users WHERE id = {{id}}\"
         {LONG}{more}",
        postgres.url()
    )
}

/// What `larder COMMAND FILE` prints, and whether it succeeded.
fn larder(command: &[&str], config: &str) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let output = run(Command::new(binary()).args(command).arg(file.path()), b"");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Installs the feed that `config` names, and returns what is said of it.
pub(crate) fn install(config: &str) -> String {
    let (done, text) = larder(&["feed", "install"], config);
    assert!(done, "{text}");
    text
}

/// Waits until what is held is vouched for, and returns a client.
pub(crate) fn vouched(larder: &Larder) -> RespClient {
    until("the feed vouches for what is held", || {
        Page::of(larder).has("larder_feed_horizon_age_seconds", &[("source", "shop")])
    });
    connect(larder)
}

/// Waits until a key is answered with this in it.
pub(crate) fn sees(client: &mut RespClient, key: &str, part: &str) {
    let is = |reply: Reply| matches!(reply, Reply::Bulk(_)) && reply.text().contains(part);
    until(&format!("{key} is {part}"), || is(get(client, key)));
}

#[test]
fn what_is_changed_in_the_database_is_known_and_the_rest_is_held() {
    let postgres = postgres();
    let config = config(&postgres, "");
    let said = install(&config);
    assert!(said.contains("a change of public.users touches user:{id:int} with id = id"), "{said}");
    let larder = serve(&config);
    let mut client = vouched(&larder);
    for id in 1..=4 {
        assert!(get(&mut client, &format!("user:{id}")).text().contains("old"));
    }
    let loads = || Page::of(&larder).sum("larder_cache_load_seconds_count", &[("cache", "user")]);
    let before = loads();
    postgres.psql("UPDATE users SET name = 'new' WHERE id = 2");
    sees(&mut client, "user:2", "new");
    postgres.psql("DELETE FROM users WHERE id = 3");
    until("user:3 is absent", || get(&mut client, "user:3") == Reply::Null);
    postgres.psql("UPDATE users SET id = 5 WHERE id = 4");
    sees(&mut client, "user:5", "old");
    until("user:4 is absent", || get(&mut client, "user:4") == Reply::Null);
    assert!(get(&mut client, "user:1").text().contains("old"));
    // 2, 3, 4 and 5, each once, or twice where it was asked for while it was told; polled for, each
    // would have been asked for far more often.
    let loaded = loads() - before;
    assert!((4..=8).contains(&loaded), "{loaded}");
    postgres.psql("TRUNCATE users");
    until("user:1 is absent", || get(&mut client, "user:1") == Reply::Null);
    let page = Page::of(&larder);
    let of_feed = [("source", "shop")];
    assert_eq!(page.sum("larder_feed_follows", &of_feed), 1);
    assert!(page.sum("larder_feed_lag_seconds_count", &of_feed) >= 4);
}

#[test]
fn what_a_load_reads_of_several_tables_is_said_in_the_configuration() {
    let postgres = postgres();
    let config = config(
        &postgres,
        "[cache.profile]
         key = \"profile:{id:int}\"
         load = \"\"\"SELECT u.name, t.label, (SELECT max(l.at) FROM logins l WHERE l.user_id = u.id)
                 FROM users u JOIN teams t ON t.id = u.team WHERE u.id = {id}\"\"\"
         max_staleness = \"1h\"
         fresh_for = \"1h\"
         tags = [\"label of {name}\"]
         invalidate = [
             { table = \"users\", key = \"profile:{id}\" },
             { table = \"logins\", key = \"profile:{user_id}\" },
         ]\n",
    );
    let (_, said) = larder(&["check"], &config);
    assert!(
        said.contains("a change of public.logins touches profile:{id:int} with id = user_id"),
        "{said}"
    );
    assert!(
        said.contains("warning: any change of public.teams drops everything that profile"),
        "{said}"
    );
    install(&config);
    let larder = serve(&config);
    let mut client = vouched(&larder);
    for key in ["profile:1", "profile:2", "user:1"] {
        assert!(get(&mut client, key).text().contains("old"));
    }
    let loads =
        || Page::of(&larder).sum("larder_cache_load_seconds_count", &[("cache", "profile")]);
    assert_eq!(loads(), 2);
    postgres.psql("INSERT INTO logins VALUES (1, 1, 'monday')");
    sees(&mut client, "profile:1", "monday");
    let before = loads();
    get(&mut client, "profile:2");
    assert_eq!(loads(), before, "only profile:1 was touched");
    // The old row is told too: the login goes from one to the other.
    postgres.psql("UPDATE logins SET user_id = 2");
    sees(&mut client, "profile:2", "monday");
    until("profile:1 has none", || !get(&mut client, "profile:1").text().contains("monday"));
    postgres.psql("UPDATE teams SET label = 'new'");
    sees(&mut client, "profile:1", "new");
    sees(&mut client, "profile:2", "new");
}

#[test]
fn a_view_that_is_made_anew_over_another_table_is_not_vouched_for_by_the_old_ones() {
    let postgres = postgres();
    postgres.psql(
        "CREATE TABLE people (id int PRIMARY KEY, name text);
         INSERT INTO people VALUES (1, 'person');
         CREATE VIEW named AS SELECT id, name FROM users",
    );
    let config = config(&postgres, "").replace("FROM users", "FROM named");
    install(&config);
    let larder = serve(&config);
    let mut client = vouched(&larder);
    assert!(get(&mut client, "user:1").text().contains("old"));
    let of_feed = [("source", "shop")];
    postgres.psql("CREATE OR REPLACE VIEW named AS SELECT id, name FROM people");
    until("nobody follows what isn't read any more", || {
        Page::of(&larder).sum("larder_feed_follows", &of_feed) == 0
    });
    let gaps = Page::of(&larder).sum("larder_feed_gaps_total", &of_feed);
    install(&config);
    until("it is followed with a gap", || {
        Page::of(&larder).sum("larder_feed_gaps_total", &of_feed) > gaps
    });
    sees(&mut client, "user:1", "person");
    postgres.psql("UPDATE people SET name = 'renamed'");
    sees(&mut client, "user:1", "renamed");
}

#[test]
fn a_writer_says_more_than_rows_in_its_transaction() {
    let postgres = postgres();
    let config = config(&postgres, "tags = [\"team of {id}\"]\n");
    install(&config);
    let larder = serve(&config);
    let mut client = vouched(&larder);
    let loads = || Page::of(&larder).sum("larder_cache_load_seconds_count", &[("cache", "user")]);
    for id in 1..=3 {
        get(&mut client, &format!("user:{id}"));
    }
    postgres.psql("SELECT pg_logical_emit_message(true, 'larder', E'key user:1\ntag team of 2')");
    until("both are loaded again", || {
        for id in 1..=3 {
            get(&mut client, &format!("user:{id}"));
        }
        loads() >= 5
    });
    let told = "BEGIN; SELECT pg_logical_emit_message(true, 'larder', 'key user:1'); ROLLBACK;
                UPDATE users SET name = 'new' WHERE id = 3";
    postgres.psql(told);
    sees(&mut client, "user:3", "new");
    let before = loads();
    get(&mut client, "user:1");
    assert_eq!(loads(), before, "what was rolled back was never said");
}

#[test]
fn of_two_larders_one_follows_and_the_other_goes_on_when_it_dies() {
    let postgres = postgres();
    let redis = Redis::start();
    let shared = format!("[shared]\nurl = \"redis://127.0.0.1:{}\"\n", redis.port());
    let config = config(&postgres, &shared);
    install(&config);
    let larders = [serve(&config), serve(&config)];
    let mut clients = larders.each_ref().map(vouched);
    let follows =
        |larder: &Larder| Page::of(larder).sum("larder_feed_follows", &[("source", "shop")]) == 1;
    let follower = larders.iter().position(follows).unwrap();
    let other = 1 - follower;
    assert!(!follows(&larders[other]));
    for client in &mut clients {
        get(client, "user:1");
    }
    postgres.psql("UPDATE users SET name = 'new' WHERE id = 1");
    for client in &mut clients {
        sees(client, "user:1", "new");
    }
    larders[follower].kill();
    postgres.psql("UPDATE users SET name = 'newer' WHERE id = 1");
    sees(&mut clients[other], "user:1", "newer");
    until("the other one follows", || follows(&larders[other]));
    postgres.psql("UPDATE users SET name = 'newest' WHERE id = 1");
    sees(&mut clients[other], "user:1", "newest");
    let page = Page::of(&larders[other]);
    assert_eq!(
        page.sum("larder_feed_gaps_total", &[("source", "shop")]),
        0,
        "it went on where it was"
    );
}

#[test]
fn what_can_not_be_covered_keeps_the_server_from_starting_and_says_what_to_do() {
    let postgres = postgres();
    for (more, part) in [
        (
            "[cache.mail]\nkey = \"mail:{email:text}\"\nload = \"SELECT id FROM users WHERE email = \
             {email}\"\nmax_staleness = \"2s\"\n",
            "ALTER TABLE public.users REPLICA IDENTITY FULL",
        ),
        (
            "[cache.lucky]\nkey = \"lucky:{id:int}\"\nload = \"SELECT id, random() AS luck FROM \
             users WHERE id = {id}\"\nmax_staleness = \"2s\"\n",
            "random",
        ),
        (
            "[cache.a]\nkey = \"a:{id:int}\"\nload = \"SELECT id FROM users WHERE id = \
             {id}\"\nmax_staleness = \"2s\"\ninvalidate = [{ table = \"nothing\" }]\n",
            "there is no table nothing",
        ),
    ] {
        let config = config(&postgres, more);
        for command in [&["check"][..], &["feed", "install"]] {
            let (done, said) = larder(command, &config);
            assert!(!done && said.contains(part), "{command:?}: {said}");
        }
        let (done, said) =
            larder(&["serve"], &format!("[listen]\nresp = \"127.0.0.1:0\"\n{config}"));
        assert!(!done && said.contains(part), "{said}");
    }
    let plain = Postgres::start();
    plain.psql("CREATE TABLE users (id int PRIMARY KEY, name text)");
    let (done, said) = larder(&["check"], &config(&plain, ""));
    assert!(!done && said.contains("wal_level"), "{said}");
}

/// A slot that nobody reads keeps the log until the disk is full, so it can always be removed.
#[test]
fn a_feed_is_removed_whatever_became_of_the_tables_and_the_caches() {
    let postgres = postgres();
    let config = config(&postgres, "");
    let slots = "SELECT count(*) FROM pg_replication_slots";
    for without in ["the table", "the cache"] {
        install(&config);
        let larder = serve(&config);
        vouched(&larder);
        drop(larder);
        until("nobody follows", || {
            postgres.psql("SELECT count(*) FROM pg_replication_slots WHERE active") == "0"
        });
        assert_eq!(postgres.psql(slots), "1");
        let config = match without {
            "the table" => {
                postgres.psql("ALTER TABLE users RENAME TO people");
                config.clone()
            }
            _ => config.split("[cache.user]").next().unwrap().to_owned(),
        };
        let (done, said) = self::larder(&["feed", "remove"], &config);
        assert!(done && said.contains("source shop: removed"), "without {without}: {said}");
        assert_eq!(postgres.psql(slots), "0", "without {without}");
        assert_eq!(postgres.psql("SELECT count(*) FROM pg_publication"), "0");
        if without == "the table" {
            postgres.psql("ALTER TABLE people RENAME TO users");
        }
    }
}

#[test]
fn a_feed_that_is_not_installed_vouches_for_nothing_until_it_is() {
    let postgres = postgres();
    let config =
        config(&postgres, "").replace("max_staleness = \"1h\"", "max_staleness = \"200ms\"");
    let larder = serve(&config);
    let mut client = connect(&larder);
    get(&mut client, "user:1");
    postgres.psql("UPDATE users SET name = 'new' WHERE id = 1");
    // Age bounds it.
    sees(&mut client, "user:1", "new");
    let page = Page::of(&larder);
    assert!(!page.has("larder_feed_horizon_age_seconds", &[("source", "shop")]));
    assert!(install(&config).contains("installed"));
    vouched(&larder);
    let (done, said) = self::larder(&["feed", "status"], &config);
    assert!(done && said.contains("followed"), "{said}");
    let (done, said) = self::larder(&["feed", "remove"], &config);
    assert!(done && said.contains("removed"), "{said}");
    until("the feed has ended", || {
        Page::of(&larder).sum("larder_feed_follows", &[("source", "shop")]) == 0
    });
    assert_eq!(postgres.psql("SELECT count(*) FROM pg_publication").trim(), "0");
}
