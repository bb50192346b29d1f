//! A client of HTTP that shows everything, and a shop in SQLite to ask for.

use std::io::{Read, Write};
use std::net::TcpStream;

use larder_test::Larder;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, Row as _, SqliteConnection};
use tempfile::TempDir;

use crate::support::{PATIENCE, binary};

/// What a request was answered with.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The only line of a field; none if it isn't there.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.fields.iter().filter(|(field, _)| field == name);
        let line = lines.next().map(|(_, value)| value.as_str());
        assert!(lines.next().is_none(), "{name} twice in {self:?}");
        line
    }

    pub(crate) fn tag(&self) -> &str {
        self.field("etag").unwrap_or_else(|| panic!("no tag in {self:?}"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Checks that it is a problem with this status, whose detail has this in it.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{part} in {detail}");
    }
}

/// Sends a request as it is, to be answered and closed.
pub(crate) fn exchange(larder: &Larder, request: &[u8]) -> Answer {
    exchange_at(&larder.http_url(), request)
}

/// The same with who listens there.
pub(crate) fn exchange_at(url: &str, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Who refuses early may close before all is sent.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let field = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    };
    Answer {
        status: status.unwrap_or_else(|| panic!("no status in {text:?}")),
        fields: lines.filter_map(field).collect(),
        body: body.to_owned(),
    }
}

/// Asks with these fields, one a line, and this content.
pub(crate) fn ask(larder: &Larder, what: &str, fields: &str, body: &str) -> Answer {
    let mut request = format!("{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for field in fields.lines().map(str::trim).filter(|line| !line.is_empty()) {
        request += &format!("{field}\r\n");
    }
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    exchange(larder, format!("{request}\r\n{body}").as_bytes())
}

pub(crate) fn get(larder: &Larder, path: &str) -> Answer {
    ask(larder, &format!("GET {path}"), "", "")
}

pub(crate) const JSON: &str = "Content-Type: application/json";
pub(crate) const PATCH: &str = "Content-Type: application/merge-patch+json";

/// A shop whose users are rows of SQLite.
pub(crate) struct Shop {
    folder: TempDir,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::File::create(shop.folder.path().join("shop.db")).unwrap();
        shop.sql(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, \
             visits INTEGER NOT NULL DEFAULT 0);
             INSERT INTO users (id, name, email) VALUES (1, 'Ada', 'ada@example.org'), \
             (2, 'Grace', NULL);
             CREATE TABLE notes (path TEXT PRIMARY KEY, body TEXT NOT NULL);
             INSERT INTO notes VALUES ('a/b c', 'slashes and spaces'), ('%41', 'a percent sign')",
        );
        shop
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("shop.db").display())
    }

    async fn open(&self) -> SqliteConnection {
        SqliteConnection::connect(&self.url()).await.unwrap()
    }

    pub(crate) fn sql(&self, sql: &str) {
        runtime().block_on(async {
            let mut connection = self.open().await;
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// The only column of the only row.
    pub(crate) fn ask(&self, sql: &str) -> Option<String> {
        runtime().block_on(async {
            let mut connection = self.open().await;
            let row = connection.fetch_optional(AssertSqlSafe(sql.to_owned())).await.unwrap();
            connection.close().await.unwrap();
            row.and_then(|row| row.get(0))
        })
    }

    /// The shop's source and caches, with more lines for the source and for users.
    pub(crate) fn config(&self, source: &str, users: &str) -> String {
        format!(
            "[source.shop]\nurl = \"{}\"\n{source}\n\
             [cache.user]\nkey = \"user:{{id:int}}\"\n\
             load = \"SELECT id, name, email, visits FROM users WHERE id = {{id}}\"\n\
             store = \"INSERT INTO users (id, name, email, visits) VALUES ({{id}}, {{name}}, {{email}}, \
             {{visits}}) ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, \
             visits = excluded.visits RETURNING id, name, email, visits\"\n\
             delete = \"DELETE FROM users WHERE id = {{id}}\"\n\
             tags = [\"users\"]\nwrite = \"through\"\nmax_staleness = \"60s\"\n{users}\n\
             [cache.note]\nkey = \"note:{{path:text}}\"\n\
             load = \"SELECT body FROM notes WHERE path = {{path}}\"\ncolumn = \"raw\"\n\
             max_staleness = \"900ms\"\n",
            self.url()
        )
    }

    /// A larder with all listeners, and these lines more in [listen].
    pub(crate) fn serve(&self, listen: &str) -> Larder {
        let config = self.config("", "");
        serve_http(&format!("{listen}\n{config}"))
    }
}

/// A larder with all listeners.
pub(crate) fn serve_http(config: &str) -> Larder {
    let listen = "[listen]\nresp = \"{resp}\"\nhttp = \"{http}\"\nadmin = \"{admin}\"\n";
    Larder::start(binary(), &format!("{listen}{config}"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
