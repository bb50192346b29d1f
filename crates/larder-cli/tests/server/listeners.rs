//! Who may connect: passwords, tokens, and addresses that other machines reach.

use std::process::Command;

use larder_test::{Larder, Reply};

use crate::support::{LISTEN, admin, binary, connect, error_code, http, run, serve};

fn guarded() -> Larder {
    serve("password = \"open sesame\"\ntoken = \"admin-token\"\n")
}

#[test]
fn without_the_password_nothing_is_answered() {
    let larder = guarded();
    let mut client = connect(&larder);
    let no_auth = Reply::Error("NOAUTH Authentication required.".into());
    for command in [
        &["PING"][..],
        &["GET", "key"],
        &["SET", "key", "value"],
        &["INFO"],
        &["CONFIG", "GET", "*"],
        &["CLIENT", "SETNAME", "me"],
        &["COMMAND"],
        &["LARDER.STATS"],
    ] {
        assert_eq!(client.command(command), no_auth, "{command:?}");
    }
    assert_eq!(error_code(&client.command(&["HELLO", "3"])), "NOAUTH");
    for wrong in [&["AUTH", "open sesam"][..], &["AUTH", ""], &["AUTH", "admin", "open sesame"]] {
        assert_eq!(error_code(&client.command(wrong)), "WRONGPASS", "{wrong:?}");
    }
    assert_eq!(client.command(&["GET", "key"]), no_auth);
    assert_eq!(client.command(&["AUTH", "open sesame"]), Reply::Simple("OK".into()));
    assert_eq!(client.command(&["SET", "key", "value"]), Reply::Simple("OK".into()));
    // Another connection is another client, and greets as modern clients do.
    let mut other = connect(&larder);
    assert_eq!(other.command(&["GET", "key"]), no_auth);
    let hello = ["HELLO", "3", "AUTH", "default", "open sesame", "SETNAME", "me"];
    assert!(matches!(other.command(&hello), Reply::Map(_)));
    assert_eq!(other.command(&["GET", "key"]), Reply::bulk("value"));
    assert_eq!(other.command(&["RESET"]), Reply::Simple("RESET".into()));
    assert_eq!(other.command(&["GET", "key"]), no_auth);
}

#[test]
fn a_stranger_can_not_make_the_server_wait_for_large_requests() {
    let larder = guarded();
    for (bytes, what) in [
        (&b"*11\r\n"[..], "unauthenticated multibulk length"),
        (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", "unauthenticated bulk length"),
    ] {
        let mut client = connect(&larder);
        client.send(bytes);
        assert_eq!(client.receive(), Reply::Error(format!("ERR Protocol error: {what}")));
        assert!(client.is_closed());
    }
}

#[test]
fn without_the_token_the_admin_listener_shows_nothing() {
    let larder = guarded();
    let url = larder.admin_url();
    for path in ["/metrics", "/health", "/ready", "/", "/nothing"] {
        for token in [None, Some("admin-toke"), Some("admin-token2"), Some(""), Some("open sesame")]
        {
            let (status, body) = http(&url, path, token);
            assert_eq!(status, 401, "{path} with {token:?}: {body}");
            assert!(!body.contains("larder_"), "{body}");
        }
        let expected = if ["/", "/nothing"].contains(&path) { 404 } else { 200 };
        assert_eq!(http(&url, path, Some("admin-token")).0, expected, "{path}");
    }
}

#[test]
fn where_no_credential_is_set_none_is_asked_for() {
    let larder = serve("");
    assert_eq!(connect(&larder).command(&["PING"]), Reply::Simple("PONG".into()));
    assert_eq!(admin(&larder, "/health"), (200, "ok\n".to_owned()));
    assert_eq!(http(&larder.admin_url(), "/health", Some("any")).0, 200);
}

#[test]
fn a_listener_that_is_not_named_is_not_opened() {
    let config = LISTEN.lines().filter(|line| !line.starts_with("admin")).collect::<Vec<_>>();
    let larder = Larder::start(binary(), &config.join("\n"));
    let admin = larder.place().ports()[1];
    assert!(std::net::TcpStream::connect(("127.0.0.1", admin)).is_err());
}

/// Every address that other machines reach needs a credential, and no TLS must be asked for.
#[test]
fn listening_beyond_this_machine_needs_a_credential_and_consent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("larder.toml");
    let open = |config: &str, command: &[&str]| {
        std::fs::write(&file, format!("[listen]\n{config}")).unwrap();
        let output = run(Command::new(binary()).args(command).arg(&file), b"");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (config, what) in [
        ("resp = \"0.0.0.0:0\"", "other machines can reach `resp`, and it has no `password`"),
        ("resp = \"[::]:0\"", "other machines can reach `resp`, and it has no `password`"),
        ("admin = \"0.0.0.0:0\"", "other machines can reach `admin`, and it has no `token`"),
        (
            "resp = \"0.0.0.0:0\"\npassword = \"open sesame\"",
            "other machines can reach `resp`, and it would have no TLS",
        ),
        (
            "resp = \"0.0.0.0:0\"\nplaintext = true",
            "other machines can reach `resp`, and it has no `password`",
        ),
        (
            "admin = \"0.0.0.0:0\"\nplaintext = true",
            "other machines can reach `admin`, and it has no `token`",
        ),
    ] {
        for command in [&["check", "--offline"][..], &["serve"]] {
            let (code, error) = open(config, command);
            assert_eq!(code, Some(1), "{config}");
            assert!(error.contains(what), "{config}: {error}");
        }
    }
    let allowed = "resp = \"0.0.0.0:0\"\npassword = \"open sesame\"\nplaintext = true";
    let (code, error) = open(allowed, &["check", "--offline"]);
    assert_eq!(code, Some(0), "{error}");
}
