//! A real nginx that caches what an origin answers, with a port and a folder of its own.
//!
//! It knows how to start one as its users do who want speed; what is asked is the test's business.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, Program, Server, Signal, User, find_program, is_program};

/// Where packages put it, besides the folders that a user's `PATH` has.
const BESIDE_PATH: &str = "/usr/sbin/nginx";

/// What nginx puts aside, in the folder of the server.
const FOLDERS: [&str; 5] = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/// All of its configuration: one worker, no log of requests, files kept open, connections kept,
/// and one request to the origin for what many want at once. Without `tcp_nopush`, with which long
/// responses took three times as long on a loopback device.
const CONFIG: &str = "
worker_processes 1;
events { worker_connections 8192; }
http {
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    open_file_cache max=1000;
    proxy_cache_path {folder}/cache keys_zone=responses:16m max_size=512m use_temp_path=off;
    upstream origin { server {origin}; keepalive 16; }
    server {
        listen 127.0.0.1:{port} backlog=4096;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_cache responses;
            proxy_cache_lock on;
            proxy_cache_revalidate on;
        }
    }
}
";

/// A running nginx with `proxy_cache` in front of an origin.
///
/// ```no_run
/// use larder_test::{Nginx, Origin};
///
/// let origin = Origin::start();
/// if let Some(nginx) = Nginx::start(origin.address()) {
///     assert!(nginx.url().starts_with("http://127.0.0.1:"));
/// }
/// ```
#[derive(Debug)]
pub struct Nginx {
    server: Server,
}

impl Nginx {
    /// Starts one in front of `origin`; `None` when nginx isn't installed.
    ///
    /// # Panics
    ///
    /// When it doesn't come up.
    #[must_use]
    pub fn start(origin: SocketAddr) -> Option<Self> {
        let beside = || Some(PathBuf::from(BESIDE_PATH)).filter(|file| is_program(file));
        let program = find_program("nginx").or_else(beside)?;
        Some(Self { server: Server::start(NginxProgram { program, origin }) })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }
}

impl Deref for Nginx {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

struct NginxProgram {
    program: PathBuf,
    origin: SocketAddr,
}

impl NginxProgram {
    fn config(&self, place: &Place) -> String {
        let folder = place.folder().display();
        let mut config = CONFIG.replace("{folder}", &folder.to_string());
        config = config.replace("{origin}", &self.origin.to_string());
        config = config.replace("{port}", &place.port().to_string());
        let mut asides = String::new();
        for name in FOLDERS {
            // Writing to a string can't fail.
            let _ = writeln!(asides, "{name}_temp_path {folder}/{name};");
        }
        config.replace("http {\n", &format!("http {{\n{asides}"))
    }
}

impl Program for NginxProgram {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn command(&self, place: &Place) -> Command {
        let folder: &Path = place.folder();
        let file = folder.join("nginx.conf");
        fs::write(&file, self.config(place)).expect("a file can be written in its folder");
        let mut command = Command::new(&self.program);
        command.arg("-p").arg(folder).arg("-c").arg(file).args(["-e", "stderr", "-g"]);
        command.arg(format!("daemon off; pid {}/pid;", folder.display()));
        command
    }

    fn ready(&self, place: &Place) -> bool {
        TcpStream::connect(("127.0.0.1", place.port())).is_ok()
    }

    /// Its workers would give up root for a user who can't read the folder.
    fn user(&self) -> Option<User> {
        User::unprivileged()
    }

    fn stop_signal(&self) -> Signal {
        Signal::QUIT
    }
}
