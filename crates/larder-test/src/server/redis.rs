//! A real Redis or Valkey, with a port of its own.
//!
//! It knows how to start and ask one; it keeps nothing on disk unless the test asks for it. What
//! several of them make together is in [`cluster`] and [`sentinel`].

mod cluster;
mod sentinel;
pub(super) mod tls;
mod topology;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, Program, Server, find_program};
use crate::{Reply, RespClient, missing};

pub use cluster::{Migration, RedisCluster};
pub use sentinel::RedisSentinel;

use tls::Certificates;

/// How many seconds `redis-cli` may take.
const CLIENT_SECONDS_MAX: &str = "60";

/// A running Redis.
///
/// ```no_run
/// let redis = larder_test::Redis::start();
/// assert_eq!(redis.cli(&["SET", "greeting", "hello"]), "OK");
/// assert_eq!(redis.cli(&["GET", "greeting"]), "hello");
/// ```
#[derive(Debug)]
pub struct Redis {
    server: Server,
    kind: Kind,
}

/// What a Redis is besides a server of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Alone,
    /// A node of a cluster, with a second port for its bus.
    Node,
    /// It speaks TLS only.
    Tls,
}

impl Redis {
    /// Starts one that keeps nothing on disk.
    ///
    /// # Panics
    ///
    /// When Redis isn't installed or doesn't come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further arguments, such as `["--maxmemory", "1mb"]`, which win over the
    /// kit's own.
    ///
    /// # Panics
    ///
    /// When Redis isn't installed or doesn't come up.
    #[must_use]
    pub fn start_with(args: &[&str]) -> Self {
        Self::start_as(Kind::Alone, args)
    }

    /// Starts one that keeps what [`save`](Self::save) last saw, and what it holds when it is
    /// stopped in an orderly way.
    ///
    /// # Panics
    ///
    /// When Redis isn't installed or doesn't come up.
    #[must_use]
    pub fn start_saving() -> Self {
        // Never by itself: an hour is longer than a test.
        Self::start_with(&["--save", "3600 1"])
    }

    /// Starts one that holds so many bytes and evicts by `policy`, such as `allkeys-lru`, or
    /// `noeviction` to refuse writes instead.
    ///
    /// # Panics
    ///
    /// When Redis isn't installed or doesn't come up.
    #[must_use]
    pub fn start_limited(bytes: u64, policy: &str) -> Self {
        let bytes = bytes.to_string();
        Self::start_with(&["--maxmemory", &bytes, "--maxmemory-policy", policy])
    }

    /// Starts one that speaks TLS only. Its certificate is valid for `localhost` and 127.0.0.1,
    /// and was signed by the authority in [`ca_file`](Self::ca_file), made for it alone. Clients
    /// need no certificate.
    ///
    /// # Panics
    ///
    /// When Redis or `openssl` isn't installed, or when Redis doesn't come up.
    #[must_use]
    pub fn start_tls() -> Self {
        Self::start_as(Kind::Tls, &[])
    }

    /// Starts a Valkey that keeps nothing on disk; `None` when it isn't installed, as it can't be
    /// had everywhere.
    ///
    /// # Panics
    ///
    /// When it doesn't come up.
    #[must_use]
    pub fn start_valkey() -> Option<Self> {
        Some(Self::run(find_program("valkey-server")?, Kind::Alone, &[]))
    }

    fn start_as(kind: Kind, args: &[&str]) -> Self {
        let program = find_program("redis-server").unwrap_or_else(|| missing("redis-server"));
        Self::run(program, kind, args)
    }

    fn run(program: PathBuf, kind: Kind, args: &[&str]) -> Self {
        let args = args.iter().map(ToString::to_string).collect();
        Self { server: Server::start(RedisProgram { program, args, kind }), kind }
    }

    /// `redis://127.0.0.1:PORT`, or `rediss://127.0.0.1:PORT` of one that speaks TLS.
    #[must_use]
    pub fn url(&self) -> String {
        match self.kind {
            Kind::Tls => format!("rediss://127.0.0.1:{}", self.port()),
            Kind::Alone | Kind::Node => format!("redis://127.0.0.1:{}", self.port()),
        }
    }

    /// The certificate of the authority that signed the server's, in PEM.
    ///
    /// # Panics
    ///
    /// When it wasn't started by [`start_tls`](Self::start_tls).
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        assert_eq!(self.kind, Kind::Tls, "it has no certificates");
        Certificates::in_folder(self.place().folder()).authority
    }

    /// Writes what it holds to its disk, and waits until that is done.
    ///
    /// # Panics
    ///
    /// When Redis refuses or can't be asked.
    pub fn save(&self) {
        assert_eq!(self.cli(&["SAVE"]), "OK");
    }

    /// Removes all that it holds.
    ///
    /// # Panics
    ///
    /// When Redis refuses or can't be asked.
    pub fn flushall(&self) {
        assert_eq!(self.cli(&["FLUSHALL"]), "OK");
    }

    /// Sends one command on a connection of its own. It doesn't know TLS.
    ///
    /// # Panics
    ///
    /// When nobody listens, or no reply comes.
    fn ask(&self, arguments: &[&str]) -> Reply {
        self.try_ask(arguments).unwrap_or_else(|error| panic!("port {}: {error}", self.port()))
    }

    /// Sends one command on a connection of its own, which may fail: a server that changes its
    /// part closes all connections.
    fn try_ask(&self, arguments: &[&str]) -> std::io::Result<Reply> {
        RespClient::try_connect(("127.0.0.1", self.port()))?.try_command(arguments)
    }

    /// Whether it says `text` about its replication.
    fn replicates(&self, text: &str) -> bool {
        let reply = self.try_ask(&["INFO", "replication"]);
        reply.is_ok_and(|reply| reply.text().contains(text))
    }

    /// Sends one command that must be done.
    ///
    /// # Panics
    ///
    /// When the reply isn't `OK`, or doesn't come.
    fn order(&self, arguments: &[&str]) {
        let reply = self.ask(arguments);
        assert_eq!(reply, Reply::Simple("OK".into()), "{arguments:?} to port {}", self.port());
    }

    /// Runs `redis-cli` and returns what it printed, without the newline at the end. An error
    /// that Redis answers is such an answer, too.
    ///
    /// # Panics
    ///
    /// When it can't be run or can't connect.
    pub fn cli(&self, args: &[&str]) -> String {
        let program = find_program("redis-cli").unwrap_or_else(|| missing("redis-cli"));
        let mut cli = Command::new("timeout");
        cli.arg(CLIENT_SECONDS_MAX).arg(program);
        cli.args(["-h", "127.0.0.1", "-p"]).arg(self.port().to_string());
        if self.kind == Kind::Tls {
            cli.arg("--tls").arg("--cacert").arg(self.ca_file());
        }
        cli.args(args);
        let output = cli.output().expect("a program that was found can be started");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "redis-cli failed ({}): {error}", output.status);
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

struct RedisProgram {
    program: PathBuf,
    args: Vec<String>,
    kind: Kind,
}

impl Program for RedisProgram {
    fn name(&self) -> &'static str {
        "Redis"
    }

    fn ports(&self) -> usize {
        if self.kind == Kind::Node { 2 } else { 1 }
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(place.folder());
        let port = place.port().to_string();
        match self.kind {
            Kind::Alone => command.args(["--port", &port]),
            Kind::Node => command.args(["--port", &port]).args(cluster::arguments(place)),
            Kind::Tls => command.args(["--port", "0"]).args(tls::arguments(place)),
        };
        command.args(&self.args);
        command
    }

    fn ready(&self, place: &Place) -> bool {
        place.log().contains("Ready to accept connections")
    }

    fn prepare(&self, folder: &Path) {
        if self.kind == Kind::Tls {
            Certificates::in_folder(folder).make();
        }
    }
}
