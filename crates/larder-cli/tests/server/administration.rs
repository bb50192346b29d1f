//! What an operator does to writes from outside: `larder writes`, `larder deadletter` and
//! `larder journal`, beside whoever owns the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use larder_core::sink::{Numbered, Sequence, Sink};
use larder_core::{Key, Value, Write};
use larder_engine::behind::{BehindBounds, WriteBehind};
use larder_engine::{Cache, Engine, Raw};
use larder_journal::JournalOptions;
use larder_server::compose::Source;
use larder_server::config::Config;
use larder_sql::SqlSink;
use larder_test::Postgres;
use serde_json::Value as Json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
use tempfile::TempDir;

use crate::support::{binary, run, serve, until};

/// What a run came to: the exit code, the output, the errors.
type Outcome = (i32, String, String);

const TABLES: &str = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
     CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL CHECK (n < 100));";

/// A configuration with a journal, and a database with two tables.
struct Shop {
    folder: TempDir,
    postgres: Option<Postgres>,
}

impl Shop {
    /// In SQLite.
    async fn small() -> Self {
        Self::of(None).await
    }

    /// In Postgres.
    async fn large() -> Self {
        Self::of(Some(Postgres::start())).await
    }

    async fn of(postgres: Option<Postgres>) -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap(), postgres };
        shop.sql(TABLES).await;
        fs::write(shop.path("larder.toml"), shop.config()).unwrap();
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> String {
        let url = match &self.postgres {
            Some(postgres) => postgres.url(),
            None => format!("sqlite:{}", self.path("shop.db").display()),
        };
        format!(
            "[source.shop]
             url = \"{url}\"
             [journal]
             path = \"{}\"
             [cache.user]
             key = \"user:{{id:int}}\"
             load = \"SELECT id, name FROM users WHERE id = {{id}}\"
             max_staleness = \"1m\"
             delete = \"DELETE FROM users WHERE id = {{id}}\"
             store = \"INSERT INTO users VALUES ({{id}}, {{name}}) \
                       ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name\"
             [cache.counter]
             key = \"counter:{{id:int}}\"
             load = \"SELECT n FROM counters WHERE id = {{id}}\"
             column = \"raw\"
             max_staleness = \"1m\"
             write = \"behind\"
             add = \"INSERT INTO counters VALUES ({{id}}, {{delta}}) \
                     ON CONFLICT (id) DO UPDATE SET n = counters.n + EXCLUDED.n RETURNING n\"\n",
            self.path("journal").display()
        )
    }

    /// Runs SQL, and returns a line for each row, with `|` between columns.
    async fn sql(&self, sql: &str) -> String {
        if let Some(postgres) = &self.postgres {
            return postgres.psql(sql);
        }
        let options = SqliteConnectOptions::new().filename(self.path("shop.db"));
        let mut connection: SqliteConnection =
            options.create_if_missing(true).connect().await.unwrap();
        let rows = connection.fetch_all(AssertSqlSafe(sql.to_owned())).await.unwrap();
        let line = |row: &sqlx::sqlite::SqliteRow| {
            let texts = (0..row.len()).map(|at| row.get_unchecked::<String, _>(at));
            texts.collect::<Vec<_>>().join("|")
        };
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Runs `larder` where its file is `larder.toml`.
    fn larder(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(binary());
        let output = run(command.current_dir(self.folder.path()).args(arguments), b"");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// What `larder` says when it succeeds, and has nothing to complain about.
    fn good(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.larder(arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}: {out}");
        out
    }

    /// The objects that it prints.
    fn json(&self, arguments: &[&str]) -> Vec<Json> {
        let out = self.good(&[arguments, &["--json"]].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn parsed(&self) -> (Config, Source) {
        let config = Config::parse(&self.config(), "larder.toml", &|_| None).unwrap();
        let source = Source::open(&config.sources[0]).unwrap();
        (config, source)
    }

    /// The sink of a cache, as a server has it.
    fn sink(&self, cache: usize) -> SqlSink {
        let (config, source) = self.parsed();
        source.sink(&config.caches[cache]).unwrap().unwrap()
    }

    /// The cache of counters, whose writes wait for so long, and its journal.
    async fn owner(&self, engine: &Engine, delay: Duration) -> (Cache<Key, Value>, WriteBehind) {
        let (config, source) = self.parsed();
        let journal = JournalOptions::new(self.path("journal")).open().unwrap();
        let bounds = BehindBounds {
            delay,
            requeue_every: Duration::from_millis(20),
            ..BehindBounds::default()
        };
        let behind = WriteBehind::with(Arc::new(journal), bounds);
        let counters = Cache::builder("counter")
            .engine(engine)
            .max_staleness(Duration::from_secs(60))
            .source(source.load(&config.caches[1]).unwrap())
            .sink(self.sink(1))
            .behind(&behind, Raw)
            .build()
            .unwrap();
        behind.start(engine).await.unwrap();
        (counters, behind)
    }
}

const USER: usize = 0;

/// Buries a write of users under the next number.
async fn bury(sink: &SqlSink, epoch: u64, number: u64, key: &str, write: Write<Value>, why: &str) {
    let sequence = Sequence { epoch, number };
    let write = Numbered { key: Key::from(key), write, sequence, letter: None };
    sink.bury(epoch, &write, why).await.unwrap();
}

/// Each check once for each database.
macro_rules! over_both {
    ($($check:ident),+ $(,)?) => {
        mod over_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $check() {
                super::$check(&super::Shop::small().await).await;
            })+
        }

        mod over_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $check() {
                super::$check(&super::Shop::large().await).await;
            })+
        }
    };
}

over_both!(
    tables_are_installed_watched_and_removed,
    dead_letters_are_listed_shown_requeued_and_dropped,
    a_requeued_letter_is_applied_by_the_owner_that_runs,
    a_journal_is_read_beside_its_owner,
);

async fn tables_are_installed_watched_and_removed(shop: &Shop) {
    let status = ["writes", "status", "larder.toml"];
    let (code, out, err) = shop.larder(&status);
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(out.contains("missing larder_applied, larder_owner, larder_dead_letters"), "{out}");
    let (code, out, _) = shop.larder(&[&status[..], &["--json"]].concat());
    let object: Json = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &object["installed"]), (1, &false.into()));

    let ddl = shop.good(&["writes", "install", "larder.toml", "--print"]);
    assert_eq!(ddl.matches("CREATE TABLE IF NOT EXISTS larder_").count(), 3, "{ddl}");
    assert_eq!(shop.larder(&status).0, 1);
    for _ in 0..2 {
        let out = shop.good(&["writes", "install", "larder.toml", "--source", "shop"]);
        assert!(out.starts_with(ddl.as_str()) && out.ends_with("-- installed\n"), "{out}");
    }
    let out = shop.good(&status);
    assert!(out.contains("installed, and nothing was ever written behind"), "{out}");

    let users = shop.sink(USER);
    let epoch = users.own("the journal of another").await.unwrap();
    bury(&users, epoch, 1, "user:1", Write::Delete, "odd").await;
    let out = shop.good(&status);
    let row = format!("user   the journal of another  {epoch}      1        0");
    assert!(out.lines().any(|line| line == row), "{out}");
    let objects = shop.json(&status);
    let cache = &objects[0]["caches"][0];
    assert_eq!((&cache["owner"], &cache["letters"]), (&"the journal of another".into(), &1.into()));

    let remove = ["writes", "remove", "larder.toml"];
    let (code, out, err) = shop.larder(&remove);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("user is written behind by the journal of another"), "{err}");
    users.disown(epoch).await.unwrap();
    let (code, _, err) = shop.larder(&remove);
    assert!(code == 1 && err.contains("has 1 dead letters") && err.contains("--force"), "{err}");
    assert_eq!(shop.larder(&status).0, 0);
    let out = shop.good(&[&remove[..], &["--force"]].concat());
    assert_eq!(out, "source shop: the tables are removed, with 1 dead letters\n");
    assert_eq!(shop.larder(&status).0, 1);
    let (code, _, err) = shop.larder(&["deadletter", "list", "larder.toml"]);
    assert!(code == 1 && err.contains("has no tables of larder"), "{err}");
    let (code, _, err) = shop.larder(&["writes", "status", "larder.toml", "--source", "shoe"]);
    assert!(code == 1 && err.contains("no source shoe: the sources are shop"), "{err}");
}

async fn dead_letters_are_listed_shown_requeued_and_dropped(shop: &Shop) {
    shop.good(&["writes", "install", "larder.toml"]);
    let list = ["deadletter", "list", "larder.toml"];
    assert_eq!(shop.good(&list), "source shop: no dead letters\n");
    let (users, counters) = (shop.sink(USER), shop.sink(1));
    let epoch = users.own("a").await.unwrap();
    let of_counters = counters.own("a").await.unwrap();
    let name = Value::json(r#"{"id":1,"name":"Zoë"}"#);
    bury(&users, epoch, 1, "user:1", Write::Store(name), "a \x1b[31mred\nreason").await;
    bury(&users, epoch, 2, "user:2", Write::Delete, "odd").await;
    bury(&counters, of_counters, 3, "counter:1", Write::Add(-5), "too little").await;

    let out = shop.good(&list);
    assert!(out.starts_with("source shop: 3 dead letters\nid  at  "), "{out}");
    assert!(!out.contains('\x1b'), "{out}");
    assert_eq!(out.lines().count(), 5, "{out}");
    assert!(out.contains(r#"{"id":1,"name":"Zoë"}"#) && out.contains("-5"), "{out}");
    let listed = shop.json(&[&list[..], &["--cache", "user"]].concat());
    let keys: Vec<_> = listed.iter().map(|letter| letter["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["user:1", "user:2"]);
    assert_eq!(listed[0]["reason"], "a \x1b[31mred\nreason");
    assert_eq!(listed[0]["source"], "shop");
    let ids: Vec<_> = shop.json(&list).iter().map(|letter| letter["id"].to_string()).collect();
    let (code, out, err) = shop.larder(&[&list[..], &["--limit", "2"]].concat());
    assert_eq!((code, out.lines().count()), (0, 4), "{out}");
    assert!(err.contains(&format!("--source shop --after {}", ids[1])), "{err}");
    let rest = shop.json(&[&list[..], &["--after", &ids[1]]].concat());
    assert_eq!((rest.len(), &rest[0]["delta"]), (1, &(-5).into()));

    let out = shop.good(&["deadletter", "show", "larder.toml", &ids[0]]);
    for line in
        [r#"value     {"id":1,"name":"Zoë"}"#, r"reason    a \x1b[31mred\nreason", "requeued  no"]
    {
        assert!(out.lines().any(|found| found == line), "{line} in {out}");
    }
    let (code, out, err) = shop.larder(&["deadletter", "show", "larder.toml", "999"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("there is no letter 999"), "{err}");

    // Those that are there are requeued, and the other one is complained about.
    let (code, out, err) = shop.larder(&["deadletter", "requeue", "larder.toml", &ids[1], "999"]);
    assert_eq!(code, 1);
    assert!(out.contains(&format!("letter {} is requeued", ids[1])), "{out}");
    assert!(err.contains("there is no letter 999"), "{err}");
    assert_eq!(users.requeued(10).await.unwrap().len(), 1);
    let out = shop.good(&["deadletter", "requeue", "larder.toml", "--cache", "user"]);
    assert_eq!(out, "cache user: 1 dead letter requeued\n");
    assert_eq!(users.requeued(10).await.unwrap().len(), 2);
    assert_eq!(counters.requeued(10).await.unwrap(), []);

    let out = shop.good(&["deadletter", "drop", "larder.toml", &ids[1]]);
    let expected = format!(
        "letter {} is dropped: delete user:2 of the cache user; it was requeued, and nothing of \
         it is written any more\n",
        ids[1]
    );
    assert_eq!(out, expected);
    let (code, out, err) = shop.larder(&["deadletter", "drop", "larder.toml", &ids[1], &ids[2]]);
    assert!(code == 1 && err.contains(&format!("there is no letter {}", ids[1])), "{err}");
    assert!(out.contains("add counter:1 of the cache counter, -5"), "{out}");
    assert_eq!(shop.sql("SELECT key FROM larder_dead_letters").await, "user:1");
    // What it deletes must be said.
    for arguments in
        [&["deadletter", "drop", "larder.toml"][..], &["deadletter", "requeue", "larder.toml"]]
    {
        assert_eq!(shop.larder(arguments).0, 2, "{arguments:?}");
    }
    assert_eq!(shop.sql("SELECT key FROM larder_dead_letters").await, "user:1");
}

async fn a_requeued_letter_is_applied_by_the_owner_that_runs(shop: &Shop) {
    shop.good(&["writes", "install", "larder.toml"]);
    let engine = Engine::on_tokio().unwrap();
    let (counters, behind) = shop.owner(&engine, Duration::from_millis(5)).await;
    counters.increment(&Key::from("counter:1"), 100).await.unwrap();
    let list = ["deadletter", "list", "larder.toml"];
    until("it is refused", || shop.json(&list).len() == 1);
    let letter = &shop.json(&list)[0];
    assert_eq!((&letter["key"], &letter["delta"]), (&"counter:1".into(), &100.into()));
    let id = letter["id"].to_string();
    // Tried again as it is, it is refused again.
    shop.good(&["deadletter", "requeue", "larder.toml", &id]);
    until("it is refused again", || {
        let letter = &shop.json(&list)[0];
        letter["requeued"] == false && letter["number"] != 1
    });
    assert_eq!(shop.sql("SELECT count(*) FROM counters").await, "0");
    shop.sql("DROP TABLE counters").await;
    shop.sql("CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL)").await;
    shop.good(&["deadletter", "requeue", "larder.toml", "--cache", "counter"]);
    until("it is applied", || shop.json(&list).is_empty());
    assert_eq!(shop.sql("SELECT id, n FROM counters").await, "1|100");
    behind.stop(&engine, Duration::from_secs(30)).await.unwrap();
}

async fn a_journal_is_read_beside_its_owner(shop: &Shop) {
    let status = ["journal", "status", "larder.toml"];
    let (code, _, err) = shop.larder(&status);
    assert!(code == 1 && err.contains("there is no journal in"), "{err}");
    shop.good(&["writes", "install", "larder.toml"]);
    let engine = Engine::on_tokio().unwrap();
    let (counters, behind) = shop.owner(&engine, Duration::from_secs(3_600)).await;
    assert_eq!(shop.json(&status)[0]["pending"], 0);
    assert_eq!(shop.good(&["journal", "show", "larder.toml"]), "no records\n");
    for (key, delta) in [("counter:1", 5), ("counter:2", 7), ("counter:1", -1)] {
        counters.increment(&Key::from(key), delta).await.unwrap();
    }
    let object = &shop.json(&status)[0];
    assert_eq!(
        (&object["pending"], &object["next"], &object["damage"]),
        (&3.into(), &4.into(), &Json::Null)
    );
    assert!(object["oldest_not_after"].as_str().unwrap().ends_with('Z'));
    let out = shop.good(&status);
    assert!(out.contains("records   3 are there, from 1 to 3\n"), "{out}");
    assert!(out.contains(&format!("opened last by process {}\n", std::process::id())), "{out}");

    // The first of them is in the database, and its owner's journal has it still.
    let owned = &shop.json(&["writes", "status", "larder.toml"])[0]["caches"][0];
    assert_eq!(owned["owner"], object["id"]);
    let epoch = owned["epoch"].as_u64().unwrap();
    let sequence = Sequence { epoch, number: 1 };
    let first =
        Numbered { key: Key::from("counter:1"), write: Write::Add(5), sequence, letter: None };
    shop.sink(1).apply(epoch, &[first]).await.unwrap();
    let show = ["journal", "show", "larder.toml"];
    let states = |arguments: &[&str]| {
        let records = shop.json(&[&show[..], arguments].concat());
        let state = |record: &Json| {
            format!("{} {} {}", record["number"], record["delta"], record["database"])
        };
        records.iter().map(state).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(states(&["counter:1"]), r#"1 5 "applied", 3 -1 "pending""#);
    assert_eq!(states(&["counter:2"]), r#"2 7 "pending""#);
    assert_eq!(states(&["counter:3"]), "");
    assert_eq!(states(&["counter:2", "--offline"]), "2 7 null");
    assert_eq!(states(&["--cache", "user"]), "");
    let out = shop.good(&show);
    assert_eq!(out.lines().count(), 4, "{out}");
    assert!(out.lines().nth(1).unwrap().ends_with("applied"), "{out}");
    let (code, out, err) = shop.larder(&[&show[..], &["--limit", "1"]].concat());
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
    assert!(err.contains("2 more of them"), "{err}");
    // By its folder alone nothing is known of the database.
    let path = shop.path("journal");
    let path = ["journal", "status", "--path", path.to_str().unwrap()];
    assert_eq!(shop.json(&path)[0]["pending"], 3);
    // Its owner had it open all the time, and goes on.
    counters.increment(&Key::from("counter:3"), 1).await.unwrap();
    assert_eq!(shop.json(&status)[0]["next"], 5);
    drop(behind);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_no_damage_and_a_lost_record_is() {
    let shop = Shop::small().await;
    shop.good(&["writes", "install", "larder.toml"]);
    let engine = Engine::on_tokio().unwrap();
    let (counters, behind) = shop.owner(&engine, Duration::from_secs(3_600)).await;
    for delta in [1, 2, 3] {
        counters.increment(&Key::from("counter:1"), delta).await.unwrap();
    }
    let folder = shop.path("journal");
    let copy = shop.path("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    drop((counters, behind));

    let path = copy.to_str().unwrap();
    let segment = segment(&copy);
    let whole = fs::read(&segment).unwrap();
    let last = whole.iter().rposition(|&byte| byte != 0).unwrap();
    let mut torn = whole.clone();
    torn[last + 9..last + 14].copy_from_slice(b"begun");
    fs::write(&segment, &torn).unwrap();
    let status = ["journal", "status", "--path", path];
    let object = &shop.json(&status)[0];
    assert_eq!((&object["pending"], &object["damage"]), (&3.into(), &Json::Null));
    assert!(object["tail_bytes"].as_u64().unwrap() > 0);

    let mut damaged = whole;
    // A byte of the first record's payload.
    damaged[64 + 28 + 5] ^= 1;
    fs::write(&segment, &damaged).unwrap();
    let (code, out, _) = shop.larder(&status);
    assert_eq!(code, 1);
    assert!(out.contains("damage    lost are the records 1\n"), "{out}");
    let (code, _, err) = shop.larder(&["journal", "show", "nowhere.toml", "--path", path]);
    assert!(code == 1 && err.contains("nowhere.toml"), "{err}");
    assert_eq!(shop.larder(&["journal", "status"]).0, 2);
}

/// The only segment of a journal.
fn segment(folder: &Path) -> PathBuf {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments = paths.filter(|path| path.extension().is_some_and(|it| it == "log"));
    let only = segments.next().unwrap();
    assert!(segments.next().is_none());
    only
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_can_be_looked_at() {
    let shop = Shop::small().await;
    shop.good(&["writes", "install", "larder.toml"]);
    let larder = serve(&shop.config());
    let owner = || shop.json(&["writes", "status", "larder.toml"])[0]["caches"][0]["owner"].clone();
    until("it owns the cache", || owner().is_string());
    let object = &shop.json(&["journal", "status", "larder.toml"])[0];
    assert_eq!(object["id"], owner());
    assert_eq!(object["opened_by"], format!("process {}", larder.pid()));
    let (code, _, err) = shop.larder(&["writes", "remove", "larder.toml"]);
    assert!(code == 1 && err.contains("counter is written behind by"), "{err}");
    assert!(larder.stop().success());
    assert_eq!(owner(), Json::Null);
    shop.good(&["writes", "remove", "larder.toml"]);
}
