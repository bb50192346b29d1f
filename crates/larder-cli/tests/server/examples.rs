//! The configurations in `examples/`, run as they are: `check` has nothing against them, they start, and the
//! commands of their headers give the replies that stand there.
//!
//! Only addresses and places are others: each has free ports, and a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_test::{Larder, Redis};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;

use crate::support::{admin, until};

const BINARY: &str = env!("CARGO_BIN_EXE_larder");
/// A command in a header stands behind this, and its reply, line by line, behind the one below.
const COMMAND: &str = "#   $ ";
const REPLY: &str = "#   ";
const CLIENT: &str = "redis-cli -p 7379 ";
const DATABASE: &str = "sqlite3 ";
/// So ends a reply of which only the beginning stands in the header.
const AND_SO_ON: char = '…';

/// One example and where it runs: its file, with other addresses and another place.
struct Example {
    name: String,
    config: String,
    folder: TempDir,
}

impl Example {
    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Self { name, config: fs::read_to_string(path).unwrap(), folder: TempDir::new().unwrap() }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join(format!("{}.db", self.name))
    }

    fn sql(&self, sql: &str) {
        let options = SqliteConnectOptions::new().filename(self.database()).create_if_missing(true);
        let runs = async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
            connection.close().await.unwrap();
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(runs);
    }

    /// The configuration with other addresses and another place.
    fn moved(&self, redis: &Redis) -> String {
        let file = format!("sqlite:{}.db", self.name);
        let config = &self.config;
        for part in ["127.0.0.1:7379", "127.0.0.1:7381", &file] {
            assert!(config.contains(&format!("\"{part}\"")), "{} has no {part}", self.name);
        }
        config
            .replace("\"127.0.0.1:7379\"", "\"{resp}\"")
            .replace("\"127.0.0.1:7381\"", "\"{admin}\"")
            .replace("redis://127.0.0.1:6379", &redis.url())
            .replace(&format!("\"{file}\""), &format!("\"sqlite:{}\"", self.database().display()))
    }

    /// The commands of its header, with their replies.
    fn commands(&self) -> Vec<(&str, Vec<&str>)> {
        let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in self.config.lines() {
            if let Some(command) = line.strip_prefix(COMMAND) {
                commands.push((command, Vec::new()));
            } else if let Some(reply) = line.strip_prefix(REPLY) {
                commands.last_mut().expect("a reply follows a command").1.push(reply);
            }
        }
        commands
    }

    fn check(&self, redis: &Redis) {
        let file = self.folder.path().join(format!("{}.toml", self.name));
        fs::write(
            &file,
            self.moved(redis)
                .replace("{resp}", "127.0.0.1:7379")
                .replace("{admin}", "127.0.0.1:7381"),
        )
        .unwrap();
        let output =
            Command::new(BINARY).arg("check").arg(&file).current_dir(&self.folder).output();
        let output = output.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{}: {said}{error}", self.name);
        // That is where its warnings go.
        assert_eq!(error, "", "{}", self.name);
    }

    /// Runs one command of the header, and returns what it printed.
    fn run(&self, command: &str, larder: &Larder) -> String {
        if let Some(client) = command.strip_prefix(CLIENT) {
            let command = format!("redis-cli -p {} {client}", larder.resp_port());
            let output = Command::new("sh").args(["-c", &command]).output().unwrap();
            assert!(output.status.success(), "{}: {command}: {output:?}", self.name);
            return String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned();
        }
        let database =
            command.strip_prefix(DATABASE).expect("a command is for the one or the other");
        let database = database.strip_prefix(&format!("{}.db \"", self.name));
        let sql = database.and_then(|text| text.strip_suffix('"'));
        self.sql(sql.expect("one statement in quotes"));
        String::new()
    }
}

fn run(path: &Path, redis: &Redis) {
    let example = Example::read(path);
    let name = &example.name;
    let tables = fs::read_to_string(path.with_extension("sql")).unwrap();
    example.sql(&tables);
    example.check(redis);
    let larder = Larder::start(Path::new(BINARY), &example.moved(redis));
    // With a journal it takes no writes before it has looked through it.
    until("it is ready", || admin(&larder, "/ready").0 == 200);
    let commands = example.commands();
    let [(first, _), (second, _), rest @ ..] = &commands[..] else { panic!("{name}: no commands") };
    assert_eq!(*first, format!("sqlite3 {name}.db < {name}.sql"));
    assert_eq!(*second, format!("larder serve {name}.toml"));
    assert!(rest.len() >= 3, "{name} tries little");
    for (command, expected) in rest {
        let replied = example.run(command, &larder);
        let expected = expected.join("\n");
        match expected.strip_suffix(AND_SO_ON) {
            Some(begins) => assert!(replied.starts_with(begins), "{name}: {command}: {replied}"),
            None => assert_eq!(replied, expected, "{name}: {command}"),
        }
    }
    assert!(larder.stop().success(), "{name}");
}

#[test]
fn the_examples_do_what_their_headers_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    // Those of edges have no tables, and a test of their own.
    files.retain(|path| path.with_extension("sql").exists());
    files.sort();
    assert!(files.len() >= 6);
    let redis = Redis::start();
    for file in &files {
        run(file, &redis);
    }
}
