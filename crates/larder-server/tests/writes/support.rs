//! A shop in SQLite, and servers over it that end well or don't.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::{Error, ErrorKind, Key, Value};
use larder_engine::Cache;
use larder_resp::Service;
use larder_server::Server;
use larder_server::config::Config;
use larder_sql::{Database, Options, WriteTables};
use larder_test::PATIENCE;
use sqlx::{Connection, Row, SqliteConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// A folder with a database and a journal.
pub(crate) struct Shop(pub(crate) TempDir);

/// How a run ends.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// It is told to stop.
    Well,
    /// It is gone, with all that was in its memory.
    Killed,
}

impl Shop {
    /// With the tables of larder, and a table of users.
    pub(crate) fn new() -> Self {
        let shop = Self::bare();
        Runtime::new().unwrap().block_on(async {
            let database = Database::open(&shop.url(), &Options::new("shop")).unwrap();
            WriteTables::of(&database).install().await.unwrap();
        });
        shop
    }

    /// With a table of users alone.
    pub(crate) fn bare() -> Self {
        let shop = Self(tempfile::tempdir().unwrap());
        std::fs::File::create(shop.file()).unwrap();
        shop.execute(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, team INTEGER, visits INTEGER)",
        );
        shop
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("shop.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.file().display())
    }

    /// A configuration: this in `[cache.user]`, and this before everything.
    pub(crate) fn config(&self, sections: &str, lines: &str) -> String {
        format!(
            "[listen]\nresp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{sections}\n[source.shop]\nurl = \
             \"{}\"\n[cache.user]\nkey = \"user:{{id:int}}\"\nload = \"SELECT id, name, team, visits FROM \
             users WHERE id = {{id}}\"\nmax_staleness = \"1m\"\n{lines}\n",
            self.url()
        )
    }

    /// The section of a journal that is called so, which applies nothing before its end.
    pub(crate) fn journal(&self, name: &str) -> String {
        format!("[journal]\npath = \"{}\"\ndelay = \"1h\"\n", self.0.path().join(name).display())
    }

    pub(crate) fn execute(&self, sql: &'static str) {
        self.ask(async |connection| {
            sqlx::query(sql).execute(connection).await.unwrap();
        });
    }

    /// The only value of a query.
    pub(crate) fn value(&self, sql: &'static str) -> String {
        self.ask(async |connection| {
            let row = sqlx::query(sql).fetch_one(connection).await.unwrap();
            row.get::<String, _>(0)
        })
    }

    fn ask<T>(&self, act: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        Runtime::new().unwrap().block_on(async {
            let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
            let done = act(&mut connection).await;
            connection.close().await.unwrap();
            done
        })
    }
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) service: Arc<Service>,
    pub(crate) resp: u16,
    pub(crate) admin: u16,
}

impl Running {
    pub(crate) fn cache(&self) -> &Cache<Key, Value> {
        &self.service.keyspace().declared()[0].cache
    }

    /// Waits until writes are taken, and does one.
    pub(crate) async fn put(&self, key: &str, json: &'static str) {
        let put = async || self.cache().put(&Key::from(key), Value::json(json)).await;
        until("the write is taken", async || match put().await {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::Shed => false,
            Err(error) => panic!("{}", error.chain()),
        })
        .await;
    }

    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        let value = self.cache().get(&Key::from(key)).await.unwrap();
        value.map(|value| String::from_utf8(value.bytes.to_vec()).unwrap())
    }
}

/// Runs a server while `act` does something with it. It has a runtime to itself, so that nothing
/// of it is left.
pub(crate) fn run<T>(
    config: &str,
    end: End,
    act: impl AsyncFnOnce(&Running) -> T,
) -> Result<T, Error> {
    let config = Config::parse(config, "larder.toml", &|_| None).unwrap_or_else(|wrong| {
        panic!("{wrong}");
    });
    Runtime::new().unwrap().block_on(async {
        let server = Server::open(&config).await?;
        let at = server.addresses().unwrap();
        let (resp, admin) = (at.resp.unwrap().port(), at.admin.unwrap().port());
        let running = Running { service: Arc::clone(server.service()), resp, admin };
        let (stop, stopped) = oneshot::channel::<()>();
        let mut serving = Box::pin(server.serve(async {
            let _ = stopped.await;
        }));
        let done = tokio::select! {
            served = &mut serving => return Err(served.expect_err("nobody told it to stop")),
            done = act(&running) => done,
        };
        if end == End::Well {
            stop.send(()).unwrap();
            serving.await?;
        }
        Ok(done)
    })
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain for {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What an HTTP server answers, with its head.
pub(crate) async fn http(port: u16, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n\r\n");
    talk(port, request.as_bytes()).await
}

/// What a server answers until it closes the connection.
pub(crate) async fn talk(port: u16, said: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.expect("it answers").unwrap();
    answer
}
