//! redis-py and node-redis, talking to a real Redis.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::process::Command;

use larder_test::{Redis, clients};

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn redis_py_talks() {
    let redis = Redis::start();
    let script = "import redis, sys\n\
                  client = redis.Redis(port=int(sys.argv[1]))\n\
                  client.set('greeting', 'hello')\n\
                  print(client.get('greeting').decode())";
    let port = redis.port().to_string();
    assert_eq!(output(clients::python().args(["-c", script, &port])), "hello\n");
}

#[test]
fn node_redis_talks() {
    let redis = Redis::start();
    let script = "import { createClient } from 'redis';\n\
                  const client = await createClient({ url: process.argv[1] }).connect();\n\
                  await client.set('greeting', 'hello');\n\
                  console.log(await client.get('greeting'));\n\
                  await client.close();";
    let mut node = clients::node();
    assert_eq!(output(node.args(["--input-type=module", "-e", script, &redis.url()])), "hello\n");
}
