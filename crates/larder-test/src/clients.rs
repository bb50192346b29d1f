//! Clients of other languages, as their users run them: Python with redis-py, Node.js with
//! node-redis, each in the version that `./test` installs.
//!
//! It knows where they are, not what to do with them: scripts belong to the tests.

use std::path::PathBuf;
use std::process::Command;

use crate::missing;
use crate::server::{find_program, is_program};

/// Where `./test` has put the clients, if not where it does by default.
const FOLDER: &str = "LARDER_TEST_CLIENTS";

/// A Python that can `import redis`.
///
/// ```
/// let output = larder_test::clients::python().args(["-c", "import redis"]).output().unwrap();
/// assert!(output.status.success());
/// ```
///
/// # Panics
///
/// When `./test` hasn't prepared it.
#[must_use]
pub fn python() -> Command {
    let program = folder().join("python/bin/python3");
    assert!(is_program(&program), "redis-py isn't there: run ./test once, which installs it");
    let mut python = Command::new(program);
    // What the user's own shell says about Python is not what is tested.
    python.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    python
}

/// A Node.js that can `require("redis")`, and `import` it with `--input-type=module`. It runs in
/// the folder where node-redis is, which is where Node.js looks for it.
///
/// ```
/// let output = larder_test::clients::node().args(["-e", "require('redis')"]).output().unwrap();
/// assert!(output.status.success());
/// ```
///
/// # Panics
///
/// When `./test` hasn't prepared it.
#[must_use]
pub fn node() -> Command {
    let folder = folder().join("node");
    let package = folder.join("node_modules/redis");
    assert!(package.is_dir(), "node-redis isn't there: run ./test once, which installs it");
    let mut node = Command::new(find_program("node").unwrap_or_else(|| missing("node")));
    node.current_dir(folder).env_remove("NODE_OPTIONS");
    node
}

fn folder() -> PathBuf {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/clients"));
    std::env::var_os(FOLDER).map_or_else(default, PathBuf::from)
}
