//! What tests of every subject need: larder, the bank's database, small clients.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use larder_test::{Larder, Postgres, Reply, RespClient, missing};

pub(crate) use larder_test::{PATIENCE, until};

/// The binary that is tested.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_larder"))
}

/// Both listeners on free ports.
pub(crate) const LISTEN: &str = "[listen]\nresp = \"{resp}\"\nadmin = \"{admin}\"\n";

/// `larder serve` with both listeners and the text `config`.
pub(crate) fn serve(config: &str) -> Larder {
    Larder::start(binary(), &format!("{LISTEN}{config}"))
}

/// A client of the Redis protocol.
pub(crate) fn connect(larder: &Larder) -> RespClient {
    RespClient::connect(("127.0.0.1", larder.resp_port()))
}

/// Asks for one key.
pub(crate) fn get(client: &mut RespClient, key: &str) -> Reply {
    client.command(&["GET", key])
}

/// The first word of an error reply, and none of anything else.
pub(crate) fn error_code(reply: &Reply) -> &str {
    match reply {
        Reply::Error(text) => text.split(' ').next().unwrap_or_default(),
        _ => "",
    }
}

/// The answer of an HTTP server: the status and the body.
pub(crate) fn http(url: &str, path: &str, token: Option<&str>) -> (u16, String) {
    ask_http(url, &format!("GET {path}"), token, "")
}

/// The same of what JSON is posted to it.
pub(crate) fn http_post(url: &str, path: &str, body: &str) -> (u16, String) {
    ask_http(url, &format!("POST {path}"), None, body)
}

fn ask_http(url: &str, what: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let address = url.strip_prefix("http://").unwrap();
    let mut request = format!("{what} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if !body.is_empty() {
        let length = body.len();
        write!(request, "Content-Type: application/json\r\nContent-Length: {length}\r\n").unwrap();
    }
    if let Some(token) = token {
        write!(request, "Authorization: Bearer {token}\r\n").unwrap();
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(format!("\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no HTTP status: {answer:?}"));
    (status, body.to_owned())
}

/// Asks the admin listener of `larder`.
pub(crate) fn admin(larder: &Larder, path: &str) -> (u16, String) {
    http(&larder.admin_url(), path, None)
}

/// Runs a program to its end with `input`; one that isn't installed ends the test and says so.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => missing(&name),
        child => child.unwrap(),
    };
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Who ended early says why itself.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// What a program printed that must succeed.
pub(crate) fn success(command: &mut Command, input: &[u8]) -> String {
    let output = run(command, input);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}\n{error}", output.status);
    text
}

/// A client program of Redis, told where `larder` is, ended if it takes too long.
pub(crate) fn redis_program(name: &str, larder: &Larder) -> Command {
    if Command::new(name).arg("--version").output().is_err() {
        missing(name);
    }
    let mut command = Command::new("timeout");
    command.args(["120", name, "-h", "127.0.0.1", "-p"]).arg(larder.resp_port().to_string());
    command
}

/// A Postgres with the million accounts of `pgbench -i -s 10`, shared by the tests that run at
/// the same time.
pub(crate) fn bank() -> Arc<Postgres> {
    static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(postgres) = shared.upgrade() {
        return postgres;
    }
    let postgres = Postgres::start_with(&[("max_connections", "300")]);
    postgres.pgbench(&["-i", "-s", "10", "-q"]);
    let postgres = Arc::new(postgres);
    *shared = Arc::downgrade(&postgres);
    postgres
}

/// The source `bank` and a cache of accounts over `table`, kept for a minute.
///
/// Questions are counted by the table in them, so that a test which shares the database counts
/// its own alone: see [`accounts`].
pub(crate) fn bank_config(postgres: &Postgres, table: &str) -> String {
    format!(
        "[source.bank]
         url = \"{}\"
         [cache.account]
         key = \"account:{{aid:int}}\"
         load = \"SELECT aid, bid, abalance FROM {table} WHERE aid = {{aid}}\"
         max_staleness = \"60s\"\n",
        postgres.url()
    )
}

/// A view of all accounts under a name of its own.
pub(crate) fn accounts(postgres: &Postgres, view: &str) {
    postgres.psql(&format!("CREATE VIEW {view} AS SELECT * FROM pgbench_accounts"));
}

/// How often `table` was asked.
pub(crate) fn queries(postgres: &Postgres, table: &str) -> u64 {
    postgres.calls(&format!("%FROM {table} WHERE%"))
}

/// An account of a fresh bank, as larder answers it.
pub(crate) fn account(aid: u32) -> String {
    format!("{{\"aid\":{aid},\"bid\":{},\"abalance\":0}}", (aid - 1) / 100_000 + 1)
}
