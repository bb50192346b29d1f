//! What a test says when a server that it needs, or would use, isn't installed.

use std::io::Write as _;
use std::thread;

/// The package that has each program, as Debian and Ubuntu call it.
const PACKAGES: [(&str, &str); 9] = [
    ("postgres", "postgresql"),
    ("pgbench", "postgresql-contrib"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("node", "nodejs"),
    ("mariadbd", "mariadb-server"),
    ("mariadb-install-db", "mariadb-server"),
    ("mariadb", "mariadb-client"),
    ("setpriv", "util-linux"),
];

/// Ends the test because the program `what` isn't installed, and says what to do.
///
/// # Panics
///
/// Always: a test that can't run has not passed.
pub fn missing(what: &str) -> ! {
    let package = PACKAGES.iter().find(|(program, _)| *program == what);
    let package = package.map_or(what, |(_, package)| package);
    panic!(
        "the program {what} is missing, and this test needs it: install the package {package} \
         (its name on Debian and Ubuntu), or run ./test, which installs what the tests need"
    );
}

/// Says that the test of this thread checks nothing, because the program `what` isn't installed
/// and can't be had on every system. `./test` counts the test as skipped, by this line.
pub fn skipped(what: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    // Straight to where it is seen: what a test prints is kept from view if it passes. Whoever
    // can't be told misses a line.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: the program {what} isn't installed");
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "install the package redis-tools")]
    fn the_message_names_the_package() {
        super::missing("redis-cli");
    }
}
