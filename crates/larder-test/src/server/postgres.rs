//! A real Postgres, with a folder and a port of its own.
//!
//! It knows how to create, start and ask one; what is in it is the test's business.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::redis::tls::Certificates;
use super::{Place, Program, Server, Signal, User, find_program, is_program, process, template};
use crate::missing;

/// How many seconds a client program may take.
const CLIENT_SECONDS_MAX: &str = "120";
/// And how many to connect: a server whose disk stands still for a while answers behind that.
const CONNECT_SECONDS_MAX: &str = "60";

/// What every server runs with. Nothing here must survive a power cut, so nothing is synced;
/// a test about durability says `fsync=on`.
const SETTINGS: [(&str, &str); 4] = [
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("shared_preload_libraries", "pg_stat_statements"),
    ("fsync", "off"),
];

/// A running Postgres with the superuser `postgres`, the database `postgres`, no password, and
/// `pg_stat_statements` counting what it is asked.
///
/// ```no_run
/// use larder_test::Postgres;
///
/// let postgres = Postgres::start();
/// postgres.psql("CREATE TABLE users (id bigint PRIMARY KEY, name text)");
/// postgres.psql("INSERT INTO users VALUES (42, 'Ada')");
/// assert_eq!(postgres.psql("SELECT name FROM users WHERE id = 42"), "Ada");
/// assert_eq!(postgres.calls("SELECT name FROM users%"), 1);
/// postgres.kill();
/// postgres.restart();
/// ```
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    programs: PathBuf,
}

impl Postgres {
    /// Creates and starts one.
    ///
    /// # Panics
    ///
    /// When Postgres isn't installed or doesn't come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Creates and starts one with settings of `postgresql.conf`, such as
    /// `[("wal_level", "logical"), ("fsync", "on")]`, which win over the kit's own.
    ///
    /// # Panics
    ///
    /// When Postgres isn't installed or doesn't come up.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let programs = programs().unwrap_or_else(|| missing("postgres"));
        let settings = SETTINGS.iter().chain(settings);
        let settings = settings.map(|(name, value)| format!("{name}={value}")).collect();
        let program = PostgresProgram { programs: programs.clone(), settings };
        let postgres = Self { server: Server::start(program), programs };
        postgres.psql("CREATE EXTENSION pg_stat_statements");
        postgres
    }

    /// From now on it speaks TLS with who asks for it. Returns the file of the authority that
    /// signed its certificate, which is of `localhost` and `127.0.0.1`, and which nobody trusts who
    /// isn't given it.
    ///
    /// # Panics
    ///
    /// When openssl isn't installed.
    pub fn speak_tls(&self) -> PathBuf {
        let files = Certificates::in_folder(&self.place().folder().join("data"));
        files.make();
        // It reads no key that others could have read or written.
        if let Some(user) = User::unprivileged() {
            user.own(&files.key);
        }
        self.psql("ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()");
        while self.psql("SHOW ssl") != "on" {}
        files.authority
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port())
    }

    /// Runs statements, one by one and each in its own transaction, and returns what they
    /// answered: a line per row, `|` between columns, no headings, no newline at the end.
    ///
    /// # Panics
    ///
    /// When a statement fails, with what Postgres said.
    pub fn psql(&self, sql: &str) -> String {
        let mut psql = self.client("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"]).arg(self.url());
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = psql.spawn().expect("a program that was found can be started");
        let mut input = child.stdin.take().expect("it was asked to be piped");
        // A psql that ended early says why itself.
        let _ = input.write_all(sql.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("a child can be waited for");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql failed ({}): {error}\n{sql}", output.status);
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Runs `pgbench` on the database `postgres` and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn pgbench(&self, args: &[&str]) -> String {
        self.try_pgbench(args).unwrap_or_else(|error| panic!("pgbench failed {error}"))
    }

    /// The same where it may fail, as when the server goes away under it.
    ///
    /// # Errors
    ///
    /// When it does, with its status and what it said.
    ///
    /// # Panics
    ///
    /// When `pgbench` isn't installed.
    pub fn try_pgbench(&self, args: &[&str]) -> Result<String, String> {
        let mut pgbench = self.client("pgbench");
        pgbench.args(["-h", "127.0.0.1", "-U", "postgres", "-p"]).arg(self.port().to_string());
        let output = pgbench.args(args).arg("postgres").output();
        let output = output.expect("a program that was found can be started");
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => {
                let error = String::from_utf8_lossy(&output.stderr);
                Err(format!("({}): {error}", output.status))
            }
        }
    }

    /// Receives with Postgres's own program what this slot has for `publication`, up to a place in
    /// the log, and throws it away; or says why it couldn't.
    ///
    /// # Errors
    ///
    /// What the program said, when it didn't get there.
    ///
    /// # Panics
    ///
    /// When `pg_recvlogical` isn't installed.
    pub fn try_recvlogical(&self, slot: &str, publication: &str, end: &str) -> Result<(), String> {
        let mut receive = self.client("pg_recvlogical");
        receive.args(["-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-p"]);
        receive.arg(self.port().to_string());
        receive.args(["--start", "-S", slot, "-E", end, "-F", "0", "-f", "/dev/null"]);
        let publication = format!("publication_names={publication}");
        receive.args(["-o", "proto_version=1", "-o", "messages=true", "-o", &publication]);
        let output = receive.output().expect("a program that was found can be started");
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Stops what sends the server's log to those who follow it from running, while `meanwhile`
    /// does: their connections stay open, and they hear nothing. Who begins to follow meanwhile is
    /// sent the log.
    ///
    /// # Panics
    ///
    /// When Postgres can't be asked.
    pub fn senders_paused<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let pids = self.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender'");
        let pids = pids.lines().map(|pid| pid.parse().expect("a pid is a number"));
        let stopped = Stopped(pids.collect());
        stopped.0.iter().for_each(|&pid| process::signal(pid, Signal::STOP));
        // Also when it panics.
        let result = meanwhile();
        drop(stopped);
        result
    }

    /// How often statements like `pattern` were run since the start or the last
    /// [`reset_calls`](Postgres::reset_calls). Constants are `$1`, `$2`, … in their texts.
    ///
    /// The counts survive [`stop`](Server::stop) and are lost by [`kill`](Server::kill).
    ///
    /// # Panics
    ///
    /// When Postgres can't be asked.
    #[must_use]
    pub fn calls(&self, pattern: &str) -> u64 {
        let mut sql = String::from("SELECT coalesce(sum(calls), 0) FROM pg_stat_statements ");
        let pattern = pattern.replace('\'', "''");
        write!(sql, "WHERE query LIKE '{pattern}' AND query NOT LIKE '%pg_stat_statements%'")
            .expect("a String takes any text");
        self.psql(&sql).parse().expect("a sum of counts is a number")
    }

    /// Forgets all counted calls.
    ///
    /// # Panics
    ///
    /// When Postgres can't be asked.
    pub fn reset_calls(&self) {
        self.psql("SELECT pg_stat_statements_reset()");
    }

    /// A client program, ended if it takes too long.
    fn client(&self, name: &str) -> Command {
        let beside = Some(self.programs.join(name)).filter(|file| is_program(file));
        let program = beside.or_else(|| find_program(name)).unwrap_or_else(|| missing(name));
        let mut command = Command::new("timeout");
        command.arg(CLIENT_SECONDS_MAX).arg(program);
        command.env("PGCONNECT_TIMEOUT", CONNECT_SECONDS_MAX);
        command
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Processes that run again when this is dropped.
struct Stopped(Vec<u32>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.iter().for_each(|&pid| process::signal(pid, Signal::CONT));
    }
}

struct PostgresProgram {
    programs: PathBuf,
    settings: Vec<String>,
}

impl Program for PostgresProgram {
    fn name(&self) -> &'static str {
        "Postgres"
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(self.programs.join("postgres"));
        command.arg("-D").arg(place.folder().join("data"));
        command.arg("-p").arg(place.port().to_string());
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        command
    }

    fn ready(&self, place: &Place) -> bool {
        place.log().contains("database system is ready to accept connections")
    }

    fn user(&self) -> Option<User> {
        // Postgres refuses to be run by root.
        User::unprivileged()
    }

    fn prepare(&self, folder: &Path) {
        let data = folder.join("data");
        template::copy_or_make(&self.template_name(), &data, || self.initdb(&data));
    }

    /// The "fast" shutdown: it doesn't wait for clients to leave.
    fn stop_signal(&self) -> Signal {
        Signal::INT
    }
}

impl PostgresProgram {
    fn initdb(&self, data: &Path) {
        let mut initdb = Command::new(self.programs.join("initdb"));
        initdb.arg("-D").arg(data).args(["-U", "postgres", "-A", "trust", "--no-sync"]);
        // The same texts and the same order everywhere, whatever the user's language is.
        initdb.args(["--locale=C", "--encoding=UTF8"]);
        let mut initdb = process::guarded(&initdb, self.user());
        initdb.current_dir(data.parent().expect("the data are inside the server's folder"));
        let output = initdb.output().unwrap_or_else(|_| missing("setpriv"));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "initdb failed ({}): {error}", output.status);
    }

    /// Another installation or another user needs another template.
    fn template_name(&self) -> String {
        let server = fs::metadata(self.programs.join("postgres"));
        let (size, changed) = server.map_or((0, 0), |file| (file.len(), file.mtime()));
        let user = self.user().map_or_else(|| "self".to_owned(), |user| user.uid().to_string());
        format!("postgres-{user}-{size}-{changed}")
    }
}

/// The folder that has the server's programs: where `pg_config` says, where Debian and Red Hat
/// put them (the newest), or in the `PATH`.
fn programs() -> Option<PathBuf> {
    let config = Command::new("pg_config").arg("--bindir").output().ok();
    let config = config.and_then(|output| String::from_utf8(output.stdout).ok());
    let config = config.map(|folder| PathBuf::from(folder.trim()));
    let path = find_program("postgres").and_then(|file| Some(file.parent()?.to_owned()));
    let mut candidates: Vec<PathBuf> = config.into_iter().collect();
    candidates.extend(versions("/usr/lib/postgresql", ""));
    candidates.extend(versions("/usr", "pgsql-"));
    candidates.extend(path);
    let complete = |folder: &PathBuf| {
        ["postgres", "initdb"].into_iter().all(|name| is_program(&folder.join(name)))
    };
    candidates.into_iter().find(complete)
}

/// The `bin` folders in `home`'s folders `{prefix}{version}`, newest first.
fn versions(home: &str, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}
