//! A real Memcached, with a port of its own.
//!
//! It knows how to start and ask one, in the protocol's own words; what a restart leaves of its
//! entries is nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Program, Server, User, find_program};
use crate::{PATIENCE, missing};

/// What follows a request so that the end of its answer is seen.
const END: &str = "MN";

/// A running Memcached.
///
/// ```no_run
/// let memcached = larder_test::Memcached::start();
/// assert_eq!(memcached.ask("ms greeting 5\r\nhello"), "HD");
/// assert_eq!(memcached.ask("mg greeting v"), "VA 5\nhello");
/// ```
#[derive(Debug)]
pub struct Memcached {
    server: Server,
}

impl Memcached {
    /// Starts one with its defaults: 64 MB, items of 1 MB.
    ///
    /// # Panics
    ///
    /// When Memcached isn't installed or doesn't come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further arguments, such as `["-m", "1"]`.
    ///
    /// # Panics
    ///
    /// When Memcached isn't installed or doesn't come up.
    #[must_use]
    pub fn start_with(args: &[&str]) -> Self {
        let program = find_program("memcached").unwrap_or_else(|| missing("memcached"));
        let args = args.iter().map(ToString::to_string).collect();
        Self { server: Server::start(MemcachedProgram { program, args }) }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// `memcached://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("memcached://{}", self.address())
    }

    /// Sends one request, without the end of its last line, over a connection of its own, and
    /// returns the lines of its answer.
    ///
    /// # Panics
    ///
    /// When it doesn't answer within 30 seconds, or answers no text.
    pub fn ask(&self, request: &str) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.port())).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("{request}\r\nmn\r\n").as_bytes())?;
            Ok(stream)
        });
        let stream = stream.unwrap_or_else(|error| panic!("ask Memcached: {error}"));
        let lines = BufReader::new(stream).lines();
        let lines = lines.map(|line| line.unwrap_or_else(|error| panic!("ask Memcached: {error}")));
        lines.take_while(|line| line != END).collect::<Vec<_>>().join("\n")
    }
}

impl Deref for Memcached {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

struct MemcachedProgram {
    program: PathBuf,
    args: Vec<String>,
}

impl Program for MemcachedProgram {
    fn name(&self) -> &'static str {
        "Memcached"
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-l", "127.0.0.1", "-U", "0", "-p"]).arg(place.port().to_string());
        command.args(&self.args);
        command
    }

    /// It says nothing when it is up, so it is asked.
    fn ready(&self, place: &Place) -> bool {
        TcpStream::connect(("127.0.0.1", place.port())).is_ok()
    }

    /// It refuses to run as root.
    fn user(&self) -> Option<User> {
        User::unprivileged()
    }
}
