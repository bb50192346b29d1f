//! Secrets stay secret: whatever larder is told to say, and whatever goes wrong, no password and
//! no token is in it.

use std::fs;
use std::net::TcpStream;
use std::process::Command;

use larder_test::server::{Place, Program, Server};
use larder_test::{Postgres, Reply, RespClient};

use crate::support::{accounts, bank, binary, http, run, until};

/// What must be found nowhere.
const DATABASE_PASSWORD: &str = "canary-database-7f3a";
const CLIENT_PASSWORD: &str = "canary-client-9c1e";
const TOKEN: &str = "canary-token-4b2d";

fn refuse_canaries(what: &str, text: &str) {
    assert!(!text.to_lowercase().contains("canary"), "{what} tells a secret: {text}");
}

/// `larder serve` that logs everything, with its secrets in the environment.
struct Tracing {
    config: String,
    database_url: String,
}

impl Program for Tracing {
    fn name(&self) -> &'static str {
        "larder"
    }

    fn ports(&self) -> usize {
        2
    }

    fn command(&self, place: &Place) -> Command {
        let file = place.folder().join("larder.toml");
        let [resp, admin] = [0, 1].map(|at| format!("127.0.0.1:{}", place.ports()[at]));
        let listen = format!(
            "[listen]\nresp = \"{resp}\"\nadmin = \"{admin}\"\n\
             password = \"${{PASSWORD}}\"\ntoken = \"${{TOKEN}}\"\n"
        );
        fs::write(&file, listen + &self.config).unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--log", "trace"]).arg(file).env("RUST_BACKTRACE", "full");
        command.env("DATABASE_URL", &self.database_url);
        command.env("PASSWORD", CLIENT_PASSWORD).env("TOKEN", TOKEN);
        command
    }

    fn ready(&self, place: &Place) -> bool {
        place.ports().iter().all(|&port| TcpStream::connect(("127.0.0.1", port)).is_ok())
    }
}

fn config(table: &str) -> String {
    format!(
        "[source.bank]
         url = \"${{DATABASE_URL}}\"
         connect_timeout = \"300ms\"
         load_timeout = \"300ms\"
         [cache.account]
         key = \"account:{{aid:int}}\"
         load = \"SELECT aid FROM {table} WHERE aid = {{aid}}\"
         max_staleness = \"60s\"
         [cache.broken]
         key = \"broken:{{aid:int}}\"
         load = \"SELECT 1 / (aid - aid) AS x FROM {table} WHERE aid = {{aid}}\"
         max_staleness = \"60s\"\n"
    )
}

fn url(postgres: &Postgres) -> String {
    postgres.url().replace("postgres@", &format!("postgres:{DATABASE_PASSWORD}@"))
}

/// Everything that one can ask a running server, after which its log is worth reading.
fn interrogate(larder: &Server, expected: &[(&str, &str)]) {
    let [resp, admin] = [0, 1].map(|at| larder.place().ports()[at]);
    let mut stranger = RespClient::connect(("127.0.0.1", resp));
    let mut replies = vec![stranger.command(&["AUTH", "wrong"])];
    let hello = ["HELLO", "3", "AUTH", "default", CLIENT_PASSWORD];
    replies.push(stranger.command(&hello));
    for (key, code) in expected {
        let reply = stranger.command(&["GET", key]);
        assert!(matches!(&reply, Reply::Error(text) if text.starts_with(code)), "{key}: {reply:?}");
        replies.push(reply);
    }
    for command in [
        &["INFO", "everything"][..],
        &["CONFIG", "GET", "*"],
        &["CONFIG", "GET", "requirepass"],
        &["LARDER.STATS"],
        &["LARDER.GET", "account:1"],
        &["COMMAND", "DOCS"],
        &["CLIENT", "LIST"],
    ] {
        replies.push(stranger.command(command));
    }
    refuse_canaries("a reply", &format!("{replies:?}"));
    let url = format!("http://127.0.0.1:{admin}");
    for path in ["/metrics", "/ready", "/health", "/nothing"] {
        for token in [Some(TOKEN), Some("wrong"), None] {
            refuse_canaries(path, &http(&url, path, token).1);
        }
    }
}

#[test]
fn a_server_that_logs_everything_tells_no_secret() {
    let bank = bank();
    accounts(&bank, "secret");
    let larder = Server::start(Tracing { config: config("secret"), database_url: url(&bank) });
    interrogate(&larder, &[("account:abc", "BADKEY"), ("broken:1", "LOADER")]);
    assert!(larder.stop().success());
    let log = larder.log();
    assert!(log.contains("ready") && log.contains("stopped"), "{log}");
    refuse_canaries("the log", &log);
}

#[test]
fn a_server_whose_database_is_down_tells_no_secret() {
    let postgres = Postgres::start();
    let database_url = url(&postgres);
    postgres.stop();
    let larder = Server::start(Tracing { config: config("nothing"), database_url });
    interrogate(&larder, &[("account:1", "SOURCEDOWN"), ("account:abc", "BADKEY")]);
    until("it says that it isn't ready", || larder.log().contains("not ready"));
    larder.kill();
    refuse_canaries("the log", &larder.log());
}

#[test]
fn a_password_that_the_database_refuses_is_not_told() {
    let postgres = Postgres::start();
    postgres.psql("CREATE USER app PASSWORD 'right'; CREATE TABLE users (id int, name text)");
    let rules = postgres.place().folder().join("data/pg_hba.conf");
    let before = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("host all app 127.0.0.1/32 scram-sha-256\n{before}")).unwrap();
    postgres.psql("SELECT pg_reload_conf()");
    let url = |password: &str| postgres.url().replace("postgres@", &format!("app:{password}@"));
    let denied = "password authentication failed for user \"app\"";
    until("the new rules hold", || check(&config("users"), &url("x")).1.contains(denied));
    let (code, told) = check(&config("users"), &url(DATABASE_PASSWORD));
    assert_eq!(code, 1);
    assert!(told.contains(denied), "{told}");
    refuse_canaries("check", &told);
    let (code, told) = serve(&config("users"), &url(DATABASE_PASSWORD));
    assert_eq!(code, 1);
    assert!(told.contains(denied), "{told}");
    refuse_canaries("serve", &told);
}

#[test]
fn a_url_that_is_wrong_is_refused_and_not_told() {
    let secret = DATABASE_PASSWORD;
    for (url, what) in [
        (format!("postgres://app@127.0.0.1:1/bank?pasword={secret}"), "pasword"),
        (format!("postgres://app@127.0.0.1:1/bank?{secret}"), "parameter"),
        (
            format!("postgres://app@127.0.0.1:1/bank?sslmode=disable&sslpassword={secret}"),
            "sslpassword",
        ),
        (format!("postgres://app:{secret}?x=1@127.0.0.1:1/bank"), ""),
        (format!("postgres://app:{secret}/x@127.0.0.1:1/bank"), ""),
        (format!("postgres://app:{secret}#x@127.0.0.1:1/bank"), ""),
        (format!("postgres://app@127.0.0.1:{secret}/bank"), ""),
        (format!("postgres://app@127.0.0.1:1/bank?port={secret}"), ""),
        (format!("postgres://app@127.0.0.1:1/bank?sslmode={secret}"), ""),
        (format!("mysql://app@127.0.0.1:1/bank?pasword={secret}"), "pasword"),
        (format!("oracle://app:{secret}@127.0.0.1:1/bank"), ""),
        (secret.to_owned(), ""),
        (format!("{secret}:x"), ""),
        (format!("sqlite:bank.db?password={secret}"), ""),
    ] {
        for (name, (code, told)) in
            [("check", check(&config("users"), &url)), ("serve", serve(&config("users"), &url))]
        {
            assert_eq!(code, 1, "{name} {url}: {told}");
            assert!(told.contains(what), "{name} {url}: {told}");
            refuse_canaries(name, &told);
        }
        // The same, written into the file instead of the environment.
        let literal = config("users").replace("${DATABASE_URL}", &url);
        let (code, told) = check(&literal, "");
        assert_eq!(code, 1, "{told}");
        refuse_canaries("check", &told);
    }
}

#[test]
fn a_file_that_is_wrong_is_quoted_without_its_secrets() {
    for listen in [
        format!("pasword = \"{CLIENT_PASSWORD}\""),
        format!("password = \"{CLIENT_PASSWORD}\" \"x\""),
        format!("password = [\"{CLIENT_PASSWORD}\"]"),
        format!("token = \"{TOKEN} {TOKEN}\""),
        format!("password = \"{CLIENT_PASSWORD}\\n\""),
        format!("password = \"{CLIENT_PASSWORD}"),
        format!("password = {CLIENT_PASSWORD}"),
    ] {
        let text = format!("[listen]\nresp = \"127.0.0.1:0\"\n{listen}\n");
        let (code, told) = check(&text, "");
        assert_eq!(code, 1, "{listen}: {told}");
        refuse_canaries(&listen, &told);
    }
}

/// The exit code of `larder check`, and all that it told.
fn check(config: &str, database_url: &str) -> (i32, String) {
    larder(&["check"], config, database_url)
}

/// The same for a `larder serve` that must fail.
fn serve(config: &str, database_url: &str) -> (i32, String) {
    let config = format!("[listen]\nresp = \"127.0.0.1:0\"\n{config}");
    larder(&["serve", "--log", "trace"], &config, database_url)
}

fn larder(arguments: &[&str], config: &str, database_url: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("larder.toml");
    fs::write(&file, config).unwrap();
    let mut command = Command::new("timeout");
    command.arg("60").arg(binary()).args(arguments).arg(file).env("DATABASE_URL", database_url);
    let output = run(&mut command, b"");
    let told = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(told).unwrap())
}
