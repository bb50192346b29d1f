//! redis-py and node-redis, as their users run them, in both versions of the protocol.

use std::process::Command;

use larder_test::{Postgres, clients};

use crate::support::{accounts, bank, bank_config, queries, serve, success};

const PYTHON: &str = include_str!("../clients/bank.py");
const NODE: &str = include_str!("../clients/bank.mjs");

/// Runs a client's script against a server of its own, whose cache is over `view`. Everything it
/// reads takes so many questions to the database, and two more if a pipeline arrives in pieces.
fn check(postgres: &Postgres, view: &str, mut client: Command, protocol: &str, questions: u64) {
    accounts(postgres, view);
    let larder = serve(&bank_config(postgres, view));
    client.args([&larder.resp_port().to_string(), protocol]);
    assert_eq!(success(&mut client, b""), "done\n");
    let asked = queries(postgres, view);
    assert!((questions..=questions + 2).contains(&asked), "{asked} questions");
}

#[test]
fn redis_py_gets_what_it_expects_in_resp2() {
    let mut python = clients::python();
    python.args(["-c", PYTHON]);
    check(&bank(), "python2", python, "2", 6);
}

#[test]
fn redis_py_gets_what_it_expects_in_resp3() {
    let mut python = clients::python();
    python.args(["-c", PYTHON]);
    check(&bank(), "python3", python, "3", 6);
}

#[test]
fn node_redis_gets_what_it_expects_in_resp2() {
    let mut node = clients::node();
    node.args(["--input-type=module", "-e", NODE]);
    check(&bank(), "node2", node, "2", 5);
}

#[test]
fn node_redis_gets_what_it_expects_in_resp3() {
    let mut node = clients::node();
    node.args(["--input-type=module", "-e", NODE]);
    check(&bank(), "node3", node, "3", 5);
}
