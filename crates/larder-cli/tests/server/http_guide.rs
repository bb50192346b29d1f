//! The guide to the HTTP API, done as it is written: its file is served over its table, and its
//! commands print what stands below them.

use std::process::Command;

use larder_test::Larder;
use sqlx::{Connection, SqliteConnection};

use crate::support::{binary, success};

const GUIDE: &str = include_str!("../../../../docs/guides/http-api.md");
/// So ends a line of which only the beginning stands in the guide.
const AND_SO_ON: char = '…';
const BETWEEN: &str = "---- the next command ----";

/// The blocks of this kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let begin = format!("```{kind}\n");
    let after = GUIDE.split(&begin).skip(1);
    after.map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The commands of the guide, with the lines that they print.
fn commands() -> Vec<(String, Vec<&'static str>)> {
    let mut commands: Vec<(String, Vec<_>)> = Vec::new();
    let mut goes_on = false;
    for line in blocks("console").into_iter().flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command.to_owned(), Vec::new())),
            None => {
                let (command, printed) = commands.last_mut().expect("a command comes first");
                if goes_on {
                    command.push('\n');
                    command.push_str(line);
                } else {
                    printed.push(line);
                }
            }
        }
        let in_command = goes_on || line.starts_with("$ ");
        goes_on = in_command && line.ends_with('\\');
    }
    commands
}

#[test]
fn the_guide_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("shop.db");
    std::fs::File::create(&database).unwrap();
    let url = format!("sqlite:{}", database.display());
    let [table] = blocks("sql")[..] else { panic!("one table") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(table).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let config = blocks("toml")[0];
    for part in ["\"127.0.0.1:7380\"", "sqlite:shop.db"] {
        assert!(config.contains(part), "{part}");
    }
    let config = config.replace("\"127.0.0.1:7380\"", "\"{http}\"").replace("sqlite:shop.db", &url);
    let larder = Larder::start(binary(), &config);
    let host = larder.http_url().strip_prefix("http://").unwrap().replace("127.0.0.1", "localhost");
    let commands = commands();
    assert!(commands.len() >= 12, "{}", commands.len());
    // One shell, which keeps what a command sets for the next.
    let mut script = String::new();
    for (command, _) in &commands {
        assert!(!command.contains("7380") || command.contains("localhost:7380"), "{command}");
        script +=
            &format!("{}\necho; echo '{BETWEEN}'\n", command.replace("localhost:7380", &host));
    }
    let printed = success(Command::new("timeout").args(["60", "sh"]), script.as_bytes());
    let printed = printed.replace('\r', "");
    let mut printed = printed.split(BETWEEN);
    for (command, expected) in commands {
        let lines: Vec<_> = printed.next().unwrap().trim().lines().collect();
        assert_eq!(lines.len(), expected.len(), "{command}: {lines:#?}");
        for (line, expected) in lines.into_iter().zip(expected) {
            match expected.strip_suffix(AND_SO_ON) {
                Some(begins) => assert!(line.starts_with(begins), "{command}: {line}"),
                None => assert_eq!(line, expected, "{command}"),
            }
        }
    }
}
