//! The `larder` binary as a server for tests.
//!
//! It knows the command line, the listeners and the process; what the configuration means is
//! the test's business. The binary comes as a path, because only the crate that builds it knows
//! where it is.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, Program, Server};
use crate::PATIENCE;

/// The addresses that a configuration may use, each with a port of its own.
const NAMES: [&str; 4] = ["{resp}", "{admin}", "{http}", "{edge}"];

/// A running `larder serve`.
///
/// ```no_run
/// # fn env(_: &str) -> &'static str { "larder" }
/// use larder_test::Larder;
/// use std::path::Path;
///
/// // In the tests of larder-cli: env!("CARGO_BIN_EXE_larder").
/// let binary = Path::new(env("CARGO_BIN_EXE_larder"));
/// let larder = Larder::start(binary, r#"
///     [listen]
///     resp = "{resp}"
///     admin = "{admin}"
/// "#);
/// assert!(larder.stop().success());
/// ```
#[derive(Debug)]
pub struct Larder {
    server: Server,
}

impl Larder {
    /// Runs `binary serve larder.toml` with the text `config`, in which `{resp}`, `{admin}`,
    /// `{http}` and `{edge}` stand for addresses (`127.0.0.1:PORT`) that the kit finds, and waits
    /// until each of them that the text names accepts connections.
    ///
    /// # Panics
    ///
    /// When the text names none of them, or when larder doesn't come up.
    #[must_use]
    pub fn start(binary: &Path, config: &str) -> Self {
        let named = NAMES.iter().any(|name| config.contains(name));
        assert!(named, "the configuration names none of {}", NAMES.join(", "));
        let program = LarderProgram { binary: binary.to_owned(), config: config.to_owned() };
        Self { server: Server::start(program) }
    }

    /// The port of the Redis protocol.
    #[must_use]
    pub fn resp_port(&self) -> u16 {
        self.place().ports()[0]
    }

    /// `http://127.0.0.1:PORT` of the admin listener.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.place().ports()[1])
    }

    /// `http://127.0.0.1:PORT` of the cache API.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.place().ports()[2])
    }

    /// The port of the edge.
    #[must_use]
    pub fn edge_port(&self) -> u16 {
        self.place().ports()[3]
    }

    /// `http://127.0.0.1:PORT` of the edge.
    #[must_use]
    pub fn edge_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.edge_port())
    }

    /// The sum of the samples of this name that have a label, such as `cache="user"`, or any label,
    /// as its admin listener shows them now.
    ///
    /// # Panics
    ///
    /// When it has no admin listener, doesn't answer, or shows no such sample.
    #[must_use]
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let page = self.metrics().unwrap_or_else(|error| panic!("no metrics: {error}"));
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let labels = series.strip_prefix(name)?;
            let fits = (labels.is_empty() || labels.starts_with('{')) && labels.contains(label);
            fits.then(|| value.parse::<f64>().ok())?
        };
        let samples: Vec<f64> = page.lines().filter_map(value).collect();
        assert!(!samples.is_empty(), "no {name} with {label} in:\n{page}");
        samples.iter().sum()
    }

    fn metrics(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.place().ports()[1]))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// How much memory of the machine the process has now.
    ///
    /// # Panics
    ///
    /// When it isn't running.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        let kibibytes: u64 = kibibytes
            .and_then(|number| number.parse().ok())
            .expect("a running process has resident memory, in kB");
        kibibytes * 1024
    }
}

impl Deref for Larder {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

struct LarderProgram {
    binary: PathBuf,
    config: String,
}

impl LarderProgram {
    /// The names that the configuration may use, with what they stand for.
    fn addresses(place: &Place) -> impl Iterator<Item = (&'static str, String)> {
        let address = |port: &u16| format!("127.0.0.1:{port}");
        NAMES.into_iter().zip(place.ports().iter().map(address))
    }
}

impl Program for LarderProgram {
    fn name(&self) -> &'static str {
        "larder"
    }

    fn ports(&self) -> usize {
        NAMES.len()
    }

    fn command(&self, place: &Place) -> Command {
        let mut config = self.config.clone();
        for (name, address) in Self::addresses(place) {
            config = config.replace(name, &address);
        }
        let file = place.folder().join("larder.toml");
        fs::write(&file, config).expect("a file can be written in the server's folder");
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg(file);
        command
    }

    fn ready(&self, place: &Place) -> bool {
        let mut named = Self::addresses(place).filter(|(name, _)| self.config.contains(*name));
        named.all(|(_, address)| TcpStream::connect(address).is_ok())
    }
}
