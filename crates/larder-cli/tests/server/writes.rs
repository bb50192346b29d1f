//! `larder check` and `larder serve` on caches that are written.

use std::fs;
use std::process::Command;

use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use crate::support::{admin, binary, run, serve, until};

const TABLE: &str = "CREATE TABLE visits (page INTEGER PRIMARY KEY, n INTEGER NOT NULL)";

/// A folder with a database.
fn shop() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::File::create(folder.path().join("shop.db")).unwrap();
    execute(&folder, TABLE);
    folder
}

fn execute(folder: &TempDir, sql: &str) {
    let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// Visits that are written behind, added by this statement.
fn config(folder: &TempDir, add: &str) -> String {
    let path = folder.path().display();
    format!(
        "[journal]
         path = \"{path}/journal\"
         [source.shop]
         url = \"sqlite:{path}/shop.db\"
         [cache.visits]
         key = \"visits:{{page:int}}\"
         load = \"SELECT n FROM visits WHERE page = {{page}}\"
         column = \"raw\"
         max_staleness = \"1m\"
         add = \"{add}\"
         write = \"behind\"\n"
    )
}

const ADD: &str = "INSERT INTO visits VALUES ({page}, {delta}) ON CONFLICT (page) DO UPDATE SET n = n \
                   + excluded.n RETURNING n";

/// What `larder check` or `serve` comes to: whether it went well, the output, the errors.
fn larder(command: &str, folder: &TempDir, config: &str) -> (bool, String, String) {
    fs::write(folder.path().join("larder.toml"), config).unwrap();
    let mut larder = Command::new(binary());
    let output = run(larder.current_dir(folder.path()).args([command, "larder.toml"]), b"");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_refuses_behind_without_the_tables_and_prints_the_sql_that_makes_them() {
    let folder = shop();
    let config = config(&folder, ADD);
    let (is_good, out, err) = larder("check", &folder, &config);
    assert!(!is_good && err.is_empty(), "{out}{err}");
    for part in [
        "written behind (add): a write returns when the journal has it",
        "cache visits: the database accepts the load\ncache visits: the database accepts add\n",
        "source shop: the source shop lacks larder_applied, larder_owner, larder_dead_letters",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    // A server says the same, and ends.
    let listen = "[listen]\nresp = \"127.0.0.1:0\"\n";
    let (is_good, _, err) = larder("serve", &folder, &format!("{listen}{config}"));
    assert!(!is_good && err.contains("the source shop lacks larder_applied"), "{err}");

    let (_, sql) = out.split_once("delete in them:\n\n").unwrap();
    execute(&folder, sql);
    let (is_good, out, _) = larder("check", &folder, &config);
    assert!(is_good && out.contains("source shop: has the tables of larder"), "{out}");
}

#[test]
fn check_names_the_statement_that_the_database_refuses() {
    let folder = shop();
    let wrong = "UPDATE visit SET n = n + {delta} WHERE page = {page}";
    let (is_good, out, _) = larder("check", &folder, &config(&folder, wrong));
    assert!(!is_good, "{out}");
    assert!(out.contains("cache visits: the database accepts the load\n"), "{out}");
    assert!(out.contains("no such table: visit"), "{out}");
    assert!(!out.contains("accepts add"), "{out}");
}

#[test]
fn a_server_that_writes_behind_is_ready_when_its_journal_is_replayed() {
    let folder = shop();
    let config = config(&folder, ADD);
    let (_, out, _) = larder("check", &folder, &config);
    execute(&folder, out.split_once("delete in them:\n\n").unwrap().1);
    let larder = serve(&config);
    until("it is ready", || admin(&larder, "/ready").0 == 200);
    let (_, page) = admin(&larder, "/metrics");
    assert!(page.contains("larder_cache_behind_keys{cache=\"visits\"} 0"), "{page}");
    assert!(larder.stop().success());
    let log = larder.log();
    for part in ["the journal is open", "writes are taken", "everything that was acknowledged"] {
        assert!(log.contains(part), "{part} in {log}");
    }
}
