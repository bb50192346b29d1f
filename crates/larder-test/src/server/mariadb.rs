//! A real MariaDB, with a folder and a port of its own.
//!
//! It knows how to create, start and ask one; what is in it is the test's business.

use std::fs;
use std::io::Write as _;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Place, Program, Server, User, find_program, is_program, process, template};
use crate::missing;

/// How many seconds a client program may take.
const CLIENT_SECONDS_MAX: &str = "120";

/// Where packages put a server, besides the folders that a user's `PATH` has.
const BESIDE_PATH: [&str; 2] = ["/usr/sbin", "/usr/libexec"];

/// What every server runs with. Nothing here must survive a power cut, so nothing is synced; a
/// test about durability says `innodb_flush_log_at_trx_commit=1`.
const SETTINGS: [(&str, &str); 6] = [
    ("bind-address", "127.0.0.1"),
    ("skip-name-resolve", "1"),
    ("innodb_flush_log_at_trx_commit", "0"),
    ("innodb_buffer_pool_size", "32M"),
    ("innodb_log_file_size", "16M"),
    // Many servers run side by side, and none needs to survive the machine.
    ("sync_binlog", "0"),
];

/// A running MariaDB with the superuser `larder`, the database `shop` and no password.
///
/// ```no_run
/// use larder_test::Mariadb;
///
/// let mariadb = Mariadb::start();
/// mariadb.sql("CREATE TABLE users (id bigint PRIMARY KEY, name text)");
/// mariadb.sql("INSERT INTO users VALUES (42, 'Ada')");
/// assert_eq!(mariadb.sql("SELECT name FROM users WHERE id = 42"), "Ada");
/// mariadb.kill();
/// mariadb.restart();
/// ```
#[derive(Debug)]
pub struct Mariadb {
    server: Server,
}

impl Mariadb {
    /// Creates and starts one.
    ///
    /// # Panics
    ///
    /// When MariaDB isn't installed or doesn't come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Creates and starts one with settings of `my.cnf`, such as `[("read_only", "1")]`, which win
    /// over the kit's own.
    ///
    /// # Panics
    ///
    /// When MariaDB isn't installed or doesn't come up.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = SETTINGS.iter().chain(settings);
        let settings = settings.map(|(name, value)| format!("--{name}={value}")).collect();
        let program = MariadbProgram { program: program(), settings };
        Self { server: Server::start(program) }
    }

    /// `mysql://larder@127.0.0.1:PORT/shop`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://larder@127.0.0.1:{}/shop", self.port())
    }

    /// Runs statements, one by one and each in its own transaction, and returns what they
    /// answered: a line per row, `|` between columns, no headings, no newline at the end.
    ///
    /// # Panics
    ///
    /// When a statement fails, with what MariaDB said.
    pub fn sql(&self, sql: &str) -> String {
        let program = find_program("mariadb").or_else(|| find_program("mysql"));
        let mut client = Command::new("timeout");
        client.arg(CLIENT_SECONDS_MAX).arg(program.unwrap_or_else(|| missing("mariadb")));
        client.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--user=larder"]);
        client.args(["--batch", "--raw", "--skip-column-names", "--connect-timeout=10"]);
        client.args(["--default-character-set=utf8mb4", "--database=shop"]);
        client.arg(format!("--port={}", self.port()));
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = client.spawn().expect("a program that was found can be started");
        let mut input = child.stdin.take().expect("it was asked to be piped");
        // A client that ended early says why itself.
        let _ = input.write_all(sql.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("a child can be waited for");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mariadb failed ({}): {error}\n{sql}", output.status);
        let text = String::from_utf8_lossy(&output.stdout).replace('\t', "|");
        text.trim_end_matches('\n').to_owned()
    }
}

impl Deref for Mariadb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

struct MariadbProgram {
    program: PathBuf,
    settings: Vec<String>,
}

impl Program for MariadbProgram {
    fn name(&self) -> &'static str {
        "MariaDB"
    }

    fn command(&self, place: &Place) -> Command {
        let folder = place.folder();
        let mut command = Command::new(&self.program);
        // Nothing of what the machine's own server is told.
        command.arg("--no-defaults");
        command.arg(format!("--datadir={}", folder.join("data").display()));
        // A server that starts deletes the temporary tables that it finds: those of others too.
        command.arg(format!("--tmpdir={}", folder.display()));
        command.arg(format!("--socket={}", folder.join("socket").display()));
        command.arg(format!("--pid-file={}", folder.join("pid").display()));
        command.arg(format!("--port={}", place.port()));
        command.args(&self.settings);
        command
    }

    fn ready(&self, place: &Place) -> bool {
        place.log().contains("ready for connections")
    }

    fn user(&self) -> Option<User> {
        // MariaDB refuses to be run by root.
        User::unprivileged()
    }

    fn prepare(&self, folder: &Path) {
        let data = folder.join("data");
        template::copy_or_make(&self.template_name(), &data, || self.install(&data));
    }
}

impl MariadbProgram {
    /// Makes the data folder: what `mariadb-install-db` would, and then who may connect.
    fn install(&self, data: &Path) {
        let install =
            find_program("mariadb-install-db").or_else(|| find_program("mysql_install_db"));
        let install = install.unwrap_or_else(|| missing("mariadb-install-db"));
        let folder = data.parent().expect("the data are inside the server's folder");
        let mut command = Command::new(install);
        command.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        command.args(["--skip-test-db", "--skip-name-resolve"]);
        command.arg(format!("--datadir={}", data.display()));
        let mut command = process::guarded(&command, self.user());
        let output = command.current_dir(folder).output();
        let output = output.unwrap_or_else(|_| missing("setpriv"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mariadb-install-db failed ({}): {said}", output.status);
        let mut command = Command::new(&self.program);
        command.args(["--no-defaults", "--bootstrap", "--skip-networking"]);
        command.arg(format!("--datadir={}", data.display()));
        let mut command = process::guarded(&command, self.user());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.current_dir(folder).spawn().unwrap_or_else(|_| missing("setpriv"));
        let mut input = child.stdin.take().expect("it was asked to be piped");
        // A server that ended early says why itself.
        let _ = input.write_all(USERS.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("a child can be waited for");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mariadbd failed ({}): {said}", output.status);
    }

    /// Another installation or another user needs another template.
    fn template_name(&self) -> String {
        let server = fs::metadata(&self.program);
        let (size, changed) = server.map_or((0, 0), |file| (file.len(), file.mtime()));
        let user = self.user().map_or_else(|| "self".to_owned(), |user| user.uid().to_string());
        format!("mariadb-{user}-{size}-{changed}")
    }
}

/// Who may connect, and to what: a line for each statement, as a server without clients wants it.
const USERS: &str = "\
FLUSH PRIVILEGES;
CREATE DATABASE shop CHARACTER SET utf8mb4;
CREATE USER larder@'127.0.0.1';
GRANT ALL ON *.* TO larder@'127.0.0.1' WITH GRANT OPTION;
";

/// The server's program.
fn program() -> PathBuf {
    let beside = || BESIDE_PATH.map(|folder| Path::new(folder).join("mariadbd")).into_iter();
    let beside = || beside().find(|file| is_program(file));
    find_program("mariadbd").or_else(beside).unwrap_or_else(|| missing("mariadbd"))
}
