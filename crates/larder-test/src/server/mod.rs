//! Real servers for tests: a child process on free ports in a temporary folder.
//!
//! [`Server`] is the base: it starts, stops, kills, pauses and restarts whatever a [`Program`]
//! describes, and knows nothing of any particular server. [`Postgres`], [`Mariadb`], [`Redis`],
//! [`Nats`], [`Nginx`], [`Varnish`] and [`Larder`] are such programs with their own clients around
//! them; each is a [`Server`] by `Deref`. [`RedisCluster`] and [`RedisSentinel`] are several of
//! them; [`Chromium`] is one that is steered.
//!
//! A server dies when its [`Server`] is dropped, and when the test process dies in any way.

mod chromium;
mod larder;
mod mariadb;
mod memcached;
mod nats;
mod nginx;
mod postgres;
mod process;
mod program;
mod redis;
mod template;
mod varnish;

use std::fmt;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Instant;

use tempfile::TempDir;

pub use chromium::{Chromium, Delivery, Resource, Tab};
pub use larder::Larder;
pub use mariadb::Mariadb;
pub use memcached::Memcached;
pub use nats::Nats;
pub use nginx::Nginx;
pub use postgres::Postgres;
pub use process::{Signal, User};
pub use program::{Place, Program};
pub use redis::{Migration, Redis, RedisCluster, RedisSentinel};
pub use varnish::Varnish;

use process::Keeper;

use crate::patience::{BETWEEN_LOOKS, PATIENCE};

/// How often other ports are tried when somebody took ours before the server could.
const PORTS_TRIED_MAX: usize = 5;
/// How many of the log's last lines a panic shows.
const LOG_LINES_SHOWN: usize = 30;

/// A running server.
///
/// Every method that changes its state takes `&self`, so that a test can kill it from one thread
/// while others use it.
pub struct Server {
    program: Box<dyn Program>,
    state: Mutex<State>,
    keeper: Keeper,
    /// Removed last, when nobody writes into it any more.
    _folder: TempDir,
}

struct State {
    place: Place,
    child: Option<Child>,
}

/// Why a server didn't come up.
enum Failure {
    PortTaken,
    Other(String),
}

impl Server {
    /// Starts `program` on free ports in a temporary folder, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it doesn't come up, with the last lines of its log.
    pub fn start(program: impl Program) -> Self {
        let program: Box<dyn Program> = Box::new(program);
        let folder = tempfile::Builder::new()
            .prefix("larder-test-")
            .tempdir()
            .expect("a temporary folder can be made");
        if let Some(user) = program.user() {
            user.own(folder.path());
        }
        program.prepare(folder.path());
        let place = Place { folder: folder.path().to_owned(), ports: Vec::new(), log_from: 0 };
        let state = Mutex::new(State { place, child: None });
        let server = Self { program, state, keeper: Keeper::new(), _folder: folder };
        for _ in 0..PORTS_TRIED_MAX {
            server.state().place.ports = free_ports(server.program.ports());
            match server.launch() {
                Ok(()) => return server,
                Err(Failure::PortTaken) => {}
                Err(Failure::Other(message)) => panic!("{message}"),
            }
        }
        panic!("{}: found no free port in {PORTS_TRIED_MAX} attempts", server.program.name());
    }

    /// Asks it to stop, waits until it has, and returns how it ended.
    ///
    /// # Panics
    ///
    /// When it isn't running, or doesn't stop in time.
    pub fn stop(&self) -> ExitStatus {
        let name = self.program.name();
        let mut state = self.state();
        let child = state.child.as_mut().unwrap_or_else(|| panic!("{name} isn't running"));
        process::resume_tree(child.id());
        process::signal(child.id(), self.program.stop_signal());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                state.child = None;
                return status;
            }
            sleep(BETWEEN_LOOKS);
        }
        panic!("{name} didn't stop within {PATIENCE:?}; its log ends:\n{}", tail(&state.place));
    }

    /// Kills it and its children at once, as a crash would.
    ///
    /// # Panics
    ///
    /// When it isn't running.
    pub fn kill(&self) {
        let child = self.state().child.take();
        let child = child.unwrap_or_else(|| panic!("{} isn't running", self.program.name()));
        process::kill_tree(child);
    }

    /// Stops it and its children from running, as a long pause of the machine would, and waits
    /// until none of them does. Connections stay open, the system still accepts new ones for it,
    /// and nothing answers.
    ///
    /// # Panics
    ///
    /// When it isn't running.
    pub fn pause(&self) {
        process::stop_tree(self.pid());
    }

    /// Lets it run again after [`pause`](Server::pause).
    ///
    /// # Panics
    ///
    /// When it isn't running.
    pub fn resume(&self) {
        process::resume_tree(self.pid());
    }

    /// Starts it again with the same ports and data, after stopping it if it was running.
    ///
    /// # Panics
    ///
    /// When it doesn't stop or doesn't come up.
    pub fn restart(&self) {
        if self.is_running() {
            self.stop();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.launch() {
                Ok(()) => return,
                // Connections to the old process may hold the port for a moment.
                Err(Failure::PortTaken) if Instant::now() < deadline => sleep(BETWEEN_LOOKS),
                Err(Failure::PortTaken) => {
                    panic!("{}: somebody took its port", self.program.name())
                }
                Err(Failure::Other(message)) => panic!("{message}"),
            }
        }
    }

    /// Whether its process lives; a paused one does.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let mut state = self.state();
        state.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Whether it stands still, between [`pause`](Server::pause) and [`resume`](Server::resume).
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let state = self.state();
        state.child.as_ref().is_some_and(|child| process::is_stopped(child.id()))
    }

    /// Its process.
    ///
    /// # Panics
    ///
    /// When it isn't running.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let state = self.state();
        let child = state.child.as_ref();
        child.unwrap_or_else(|| panic!("{} isn't running", self.program.name())).id()
    }

    /// The CPU time, in seconds, that it and the processes that descend from it have used, in
    /// programs and in the kernel, in steps of 10 ms for each of them.
    ///
    /// # Panics
    ///
    /// When it isn't running.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        process::cpu_seconds_of_tree(self.pid())
    }

    /// Where it lives.
    #[must_use]
    pub fn place(&self) -> Place {
        self.state().place.clone()
    }

    /// Its first port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.state().place.port()
    }

    /// What it has logged since it was first started.
    #[must_use]
    pub fn log(&self) -> String {
        Place { log_from: 0, ..self.place() }.log()
    }

    fn launch(&self) -> Result<(), Failure> {
        let name = self.program.name();
        let mut state = self.state();
        let log_file = state.place.log_file();
        let log = File::options().append(true).create(true).open(&log_file);
        let log = log.expect("a file can be made in the server's folder");
        state.place.log_from = log.metadata().map_or(0, |metadata| metadata.len());
        let mut command =
            process::guarded(&self.program.command(&state.place), self.program.user());
        command.current_dir(&state.place.folder);
        command.stdout(log.try_clone().expect("a file can be opened twice")).stderr(log);
        let mut child = self.keeper.spawn(command);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Ready first: an answer counts only if our own process is alive after it.
            let ready = self.program.ready(&state.place);
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                let log = state.place.log().to_lowercase();
                if log.contains("address already in use") || log.contains("address in use") {
                    return Err(Failure::PortTaken);
                }
                return Err(Failure::Other(format!(
                    "{name} ended at once ({status}); its log ends:\n{}",
                    tail(&state.place)
                )));
            }
            if ready {
                state.child = Some(child);
                return Ok(());
            }
            sleep(BETWEEN_LOOKS);
        }
        process::kill_tree(child);
        let tail = tail(&state.place);
        Err(Failure::Other(format!(
            "{name} wasn't ready within {PATIENCE:?}; its log ends:\n{tail}"
        )))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = self.state().child.take() {
            process::kill_tree(child);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}", self.program.name(), self.place())
    }
}

/// Ports that nobody listens on right now.
fn free_ports(count: usize) -> Vec<u16> {
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    // All are held until all are known, so that no two are the same.
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect();
    let ports = held.iter().map(|listener| port(listener.as_ref().expect("a port is free")));
    ports.collect::<Result<_, _>>().expect("a listener knows its address")
}

/// The last lines of what was logged since the last start.
fn tail(place: &Place) -> String {
    let log = place.log();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

/// The program's path, looked up as a shell would.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

pub(crate) fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
