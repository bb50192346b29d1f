//! redis-py and node-redis, as people use them with plain keys that live in a Redis.

use std::process::Command;

use larder_test::{RedisCluster, clients};

use crate::support::Bench;

const PYTHON: &str = include_str!("../clients/plain.py");
const NODE: &str = include_str!("../clients/plain.mjs");

fn check<R>(bench: &Bench<R>, client: &Command, arguments: &[&str]) {
    // A script that hangs is ended.
    let mut limited = Command::new("timeout");
    limited.arg("60").arg(client.get_program()).args(client.get_args());
    if let Some(folder) = client.get_current_dir() {
        limited.current_dir(folder);
    }
    let output = limited.arg(bench.address.port().to_string()).args(arguments).output().unwrap();
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(out, "done\n", "{error}");
    assert!(output.status.success(), "{error}");
    bench.until_dedicated(0);
}

fn python() -> Command {
    let mut python = clients::python();
    python.args(["-c", PYTHON]);
    python
}

fn node() -> Command {
    let mut node = clients::node();
    node.args(["--input-type=module", "-e", NODE]);
    node
}

#[test]
fn redis_py_works_in_resp2() {
    check(&Bench::new(), &python(), &["2"]);
}

#[test]
fn redis_py_works_in_resp3() {
    check(&Bench::new(), &python(), &["3"]);
}

#[test]
fn node_redis_works_in_resp2() {
    check(&Bench::new(), &node(), &["2"]);
}

#[test]
fn node_redis_works_in_resp3() {
    check(&Bench::new(), &node(), &["3"]);
}

#[test]
fn clients_that_know_nothing_of_a_cluster_use_one() {
    let cluster = RedisCluster::start(3, 0);
    let url = cluster.url();
    let bench = Bench::over(&cluster, url, None, |_| ());
    for (client, protocol) in [(python(), "2"), (python(), "3"), (node(), "2"), (node(), "3")] {
        cluster.nodes().iter().for_each(larder_test::Redis::flushall);
        check(&bench, &client, &[protocol, "cluster"]);
    }
}
