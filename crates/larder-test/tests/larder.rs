//! The larder process, played by a script: what the kit fills in, waits for and tells.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use larder_test::{Larder, Reply, RespClient};
use tempfile::TempDir;

/// Listens where the configuration says, and speaks the Redis protocol.
const STAND_IN: &str = r#"#!/bin/sh
test "$1" = serve || exit 2
cat "$2"
port=$(sed -n 's/^resp = "127.0.0.1:\(.*\)"$/\1/p' "$2")
exec redis-server --bind 127.0.0.1 --port "$port" --save ""
"#;

fn stand_in(script: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("larder");
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, file)
}

#[test]
fn it_fills_in_the_addresses_and_tells_about_the_process() {
    let (_folder, binary) = stand_in(STAND_IN);
    let larder = Larder::start(&binary, "[listen]\nresp = \"{resp}\"\nkey = \"user:{id:int}\"\n");
    let log = larder.log();
    assert!(log.contains(&format!("resp = \"127.0.0.1:{}\"\n", larder.resp_port())), "{log}");
    assert!(log.contains("key = \"user:{id:int}\""), "{log}");
    let mut connection = TcpStream::connect(("127.0.0.1", larder.resp_port())).unwrap();
    connection.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
    assert!(larder.rss_bytes() > 1 << 20);
    assert_ne!(larder.admin_url(), format!("http://127.0.0.1:{}", larder.resp_port()));
    assert!(larder.stop().success());
    assert!(!larder.is_running());
}

#[test]
fn a_paused_one_stands_still_and_then_goes_on() {
    let (_folder, binary) = stand_in(STAND_IN);
    let larder = Larder::start(&binary, "resp = \"{resp}\"\n");
    let mut client = RespClient::connect(("127.0.0.1", larder.resp_port()));
    larder.pause();
    assert!(larder.is_paused() && larder.is_running());
    client.send(b"PING\r\n");
    let status = fs::read_to_string(format!("/proc/{}/status", larder.pid())).unwrap();
    assert!(status.contains("State:\tT (stopped)"), "{status}");
    larder.resume();
    assert!(!larder.is_paused());
    assert_eq!(client.receive(), Reply::Simple("PONG".into()));
}

#[test]
#[should_panic(expected = "larder ended at once (exit status: 3); its log ends:\nno such table")]
fn one_that_refuses_its_configuration_shows_what_it_said() {
    let (_folder, binary) = stand_in("#!/bin/sh\necho no such table >&2\nexit 3\n");
    let _ = Larder::start(&binary, "resp = \"{resp}\"");
}

#[test]
fn a_port_that_somebody_took_is_replaced_by_another() {
    let (folder, binary) = stand_in("");
    let first = folder.path().join("first");
    let refuse_once = format!(
        "#!/bin/sh
         if ! test -e {0}; then touch {0}; echo Address already in use; exit 1; fi
         {STAND_IN}",
        first.display()
    );
    fs::write(&binary, refuse_once).unwrap();
    let larder = Larder::start(&binary, "resp = \"{resp}\"");
    assert!(first.exists());
    assert!(larder.is_running());
}

#[test]
#[should_panic(expected = "the configuration names none of")]
fn a_configuration_without_listeners_is_refused() {
    let _ = Larder::start("larder".as_ref(), "");
}
