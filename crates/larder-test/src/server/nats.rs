//! A real NATS, with `JetStream`, a folder and a port of its own.
//!
//! It knows how to start one; what is published is the test's business.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, Program, Server, Signal, find_program, is_program};
use crate::missing;

/// Where packages put a server, besides the folders that a user's `PATH` has.
const BESIDE_PATH: [&str; 2] = ["/usr/sbin/nats-server", "/usr/local/sbin/nats-server"];

/// A running NATS that keeps its streams in its folder.
///
/// ```no_run
/// let nats = larder_test::Nats::start();
/// assert!(nats.url().starts_with("nats://127.0.0.1:"));
/// nats.kill();
/// nats.restart();
/// ```
#[derive(Debug)]
pub struct Nats {
    server: Server,
}

impl Nats {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When NATS isn't installed or doesn't come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further arguments, such as `["--user", "larder", "--pass", "secret"]`.
    ///
    /// # Panics
    ///
    /// When NATS isn't installed or doesn't come up.
    #[must_use]
    pub fn start_with(args: &[&str]) -> Self {
        let beside = || BESIDE_PATH.map(PathBuf::from).into_iter().find(|file| is_program(file));
        let program = find_program("nats-server").or_else(beside);
        let program = program.unwrap_or_else(|| missing("nats-server"));
        let args = args.iter().map(ToString::to_string).collect();
        Self { server: Server::start(NatsProgram { program, args }) }
    }

    /// `nats://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }
}

impl Deref for Nats {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

struct NatsProgram {
    program: PathBuf,
    args: Vec<String>,
}

impl Program for NatsProgram {
    fn name(&self) -> &'static str {
        "NATS"
    }

    fn command(&self, place: &Place) -> Command {
        let streams: &Path = &place.folder().join("streams");
        let mut command = Command::new(&self.program);
        command.args(["--addr", "127.0.0.1", "--port"]).arg(place.port().to_string());
        command.arg("--jetstream").arg("--store_dir").arg(streams);
        command.args(&self.args);
        command
    }

    fn ready(&self, place: &Place) -> bool {
        place.log().contains("Server is ready")
    }

    fn stop_signal(&self) -> Signal {
        Signal::INT
    }
}
