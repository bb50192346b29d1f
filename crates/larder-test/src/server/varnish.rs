//! A real Varnish in front of an origin, with a port and a folder of its own.
//!
//! It knows how to start one with its own defaults; what is asked is the test's business.

use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Program, Server, User, find_program, is_program};

/// Where packages put it, besides the folders that a user's `PATH` has.
const BESIDE_PATH: &str = "/usr/sbin/varnishd";

/// A running Varnish that keeps responses in memory.
///
/// ```no_run
/// use larder_test::{Origin, Varnish};
///
/// let origin = Origin::start();
/// if let Some(varnish) = Varnish::start(origin.address()) {
///     assert!(varnish.url().starts_with("http://127.0.0.1:"));
/// }
/// ```
#[derive(Debug)]
pub struct Varnish {
    server: Server,
}

impl Varnish {
    /// Starts one in front of `origin`; `None` when Varnish isn't installed.
    ///
    /// # Panics
    ///
    /// When it doesn't come up.
    #[must_use]
    pub fn start(origin: SocketAddr) -> Option<Self> {
        let beside = || Some(PathBuf::from(BESIDE_PATH)).filter(|file| is_program(file));
        let program = find_program("varnishd").or_else(beside)?;
        Some(Self { server: Server::start(VarnishProgram { program, origin }) })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }
}

impl Deref for Varnish {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

struct VarnishProgram {
    program: PathBuf,
    origin: SocketAddr,
}

impl Program for VarnishProgram {
    fn name(&self) -> &'static str {
        "Varnish"
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(&self.program);
        // In the foreground, steered by nobody, and everything in memory.
        command.args(["-F", "-j", "none", "-T", "none", "-s", "malloc,512m", "-n"]);
        command.arg(place.folder().join("varnish"));
        command.arg("-a").arg(format!("127.0.0.1:{}", place.port()));
        command.arg("-b").arg(self.origin.to_string());
        command
    }

    fn ready(&self, place: &Place) -> bool {
        TcpStream::connect(("127.0.0.1", place.port())).is_ok()
    }

    /// Who starts it compiles its configuration, and needs no rights for that.
    fn user(&self) -> Option<User> {
        User::unprivileged()
    }
}
