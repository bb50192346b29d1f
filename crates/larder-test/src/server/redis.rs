//! A real Redis (or Valkey, under its Redis name), with a port of its own.
//!
//! It knows how to start and ask one; it keeps nothing on disk unless the test asks for it.

use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Program, Server, find_program};
use crate::missing;

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
        let program = find_program("redis-server").unwrap_or_else(|| missing("redis-server"));
        let args = args.iter().map(ToString::to_string).collect();
        Self { server: Server::start(RedisProgram { program, args }) }
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
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
        cli.args(["-h", "127.0.0.1", "-p"]).arg(self.port().to_string()).args(args);
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
}

impl Program for RedisProgram {
    fn name(&self) -> &'static str {
        "Redis"
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--port"]).arg(place.port().to_string());
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(place.folder());
        command.args(&self.args);
        command
    }

    fn ready(&self, place: &Place) -> bool {
        place.log().contains("Ready to accept connections")
    }
}
