//! `larder check` and the command line: what is printed, where, and with which exit code.

use std::fs;
use std::process::Command;

use larder_test::{Postgres, clients};
use tempfile::TempDir;

use crate::support::{accounts, bank, bank_config, binary, run, serve, success, until};

/// What a run came to: the exit code, the output, the errors.
type Outcome = (i32, String, String);

/// Runs `larder` in a folder with the file `larder.toml`.
fn larder(config: &str, arguments: &[&str]) -> Outcome {
    let folder = with_config(config);
    outcome(Command::new(binary()).current_dir(folder.path()).args(arguments))
}

fn with_config(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("larder.toml"), config).unwrap();
    folder
}

fn outcome(command: &mut Command) -> Outcome {
    let output = run(command, b"");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn check(config: &str) -> Outcome {
    larder(config, &["check", "larder.toml"])
}

#[test]
fn check_says_in_words_what_is_promised_and_asks_the_database() {
    let bank = bank();
    accounts(&bank, "checked");
    let config = bank_config(&bank, "checked");
    let (code, out, err) = check(&config);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for sentence in [
        "cache account: account:{aid:int} from source bank (postgres://postgres@127.0.0.1:",
        "an answer is at most 1m old",
        "stale answers: none",
        "an absent row is remembered for 30s",
        "a read waits at most 10s",
        "at most 16 loads at once over 16 connections",
        "keys of no cache: served as by Redis",
        "memory: 256MiB",
        "resp: not opened",
        "cache account: the database accepts the load",
    ] {
        assert!(out.contains(sentence), "{sentence:?} in {out}");
    }
    // Only asked when it may be.
    let (code, out, _) = larder(&config, &["check", "--offline", "larder.toml"]);
    assert_eq!(code, 0);
    assert!(!out.contains("accepts"), "{out}");
}

#[test]
fn check_names_the_line_and_the_cure_of_everything_that_is_wrong_at_once() {
    let (code, out, err) = check(
        "[source.shop]
url = \"postgres://app@localhost/shop\"

[cache.user]
key = \"user:{id:int}\"
load = \"SELECT name FROM users WHERE id = {nr}\"
max_stalenes = \"2s\"
",
    );
    assert_eq!((code, out.as_str()), (1, ""));
    for part in [
        "larder.toml:6:",
        "{nr}",
        "larder.toml:7:1: ",
        // What a misspelt option holds may be a secret.
        "  7 | max_stalenes = ***\n    | ^^^^^^^^^^^^\n  = did you mean `max_staleness`?",
        "3 errors",
    ] {
        assert!(err.contains(part), "{part:?} in {err}");
    }
    let (code, _, err) = check("[listen\nresp = ");
    assert_eq!(code, 1);
    assert!(err.contains("larder.toml:1:") && err.contains("this is not TOML"), "{err}");
}

#[test]
fn check_finds_what_only_the_database_can_know() {
    let bank = bank();
    let declared = |load: &str, more: &str| {
        let config = format!(
            "[source.bank]
             url = \"{}\"
             [cache.account]
             key = \"account:{{aid:int}}\"
             load = \"{load}\"
             max_staleness = \"60s\"
             {more}\n",
            bank.url()
        );
        let (code, out, _) = check(&config);
        let (served, _, log) = larder(
            &format!("[listen]\nresp = \"127.0.0.1:0\"\n{config}"),
            &["serve", "larder.toml"],
        );
        // What check refuses doesn't serve either, and says the same.
        assert_eq!((code, served), (1, 1), "{out}{log}");
        assert!(log.contains("the load of [cache.account] can't work"), "{log}");
        let line = out.lines().last().unwrap().to_owned();
        let reason = line.strip_prefix("cache account: ").unwrap_or_else(|| panic!("{out}"));
        assert!(log.contains(reason), "{reason} in {log}");
        line
    };
    let load = |load: &str| declared(load, "");
    let line = load("SELECT ballance FROM pgbench_accounts WHERE aid = {aid}");
    assert!(line.contains("column \"ballance\" does not exist"), "{line}");
    let line = load("SELECT abalance FROM pgbench_account WHERE aid = {aid}");
    assert!(line.contains("relation \"pgbench_account\" does not exist"), "{line}");
    let line = load("SELECT abalance FROM pgbench_accounts WHERE filler = {aid}");
    assert!(line.contains("aid") && line.contains("bpchar"), "{line}");
    let line = load("SELECT abalance, FROM pgbench_accounts WHERE aid = {aid}");
    assert!(line.contains("syntax error"), "{line}");
    let select = "SELECT abalance, bid FROM pgbench_accounts WHERE aid = {aid}";
    let line = declared(select, "tags = [\"account {aid}\", \"branch {bit}\"]");
    let says = "names {bit}, which is neither a parameter of the key nor a column of load: did \
                you mean {bid}?";
    assert!(line.contains(says), "{line}");
}

#[test]
fn check_forgives_a_database_that_is_only_down() {
    let postgres = Postgres::start();
    let config = bank_config(&postgres, "users");
    postgres.stop();
    let (code, out, _) = check(&config);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("cache account: not asked, the source bank can't be reached"), "{out}");
}

#[test]
fn exit_codes_tell_a_wrong_file_from_a_wrong_command_line() {
    let empty = "";
    assert_eq!(larder(empty, &["--help"]).0, 0);
    let (code, out, _) = larder(empty, &["--version"]);
    assert_eq!((code, out), (0, format!("larder {}\n", env!("CARGO_PKG_VERSION"))));
    for wrong in [
        &[][..],
        &["serv", "larder.toml"],
        &["check"],
        &["serve", "larder.toml", "--log", "no such=level"],
        &["serve", "larder.toml", "--log-format", "xml"],
    ] {
        let (code, _, err) = larder(empty, wrong);
        assert_eq!(code, 2, "{wrong:?}: {err}");
        assert!(!err.is_empty());
    }
    for (command, file) in [("check", "missing.toml"), ("serve", "missing.toml")] {
        let (code, _, err) = larder(empty, &[command, file]);
        assert_eq!(code, 1);
        assert!(err.contains("missing.toml"), "{err}");
    }
    // A server that listens nowhere is of no use.
    let (code, _, err) = larder(empty, &["serve", "larder.toml"]);
    assert_eq!(code, 1);
    assert!(err.contains("[listen]") || err.contains("listen"), "{err}");
}

#[test]
fn a_port_that_is_taken_is_said_so() {
    let first = serve("");
    let config = format!("[listen]\nresp = \"127.0.0.1:{}\"\n", first.resp_port());
    let (code, _, err) = larder(&config, &["serve", "larder.toml"]);
    assert_eq!(code, 1);
    assert!(
        err.contains(&format!("can't listen for RESP on 127.0.0.1:{}", first.resp_port())),
        "{err}"
    );
    assert!(err.to_lowercase().contains("address already in use"), "{err}");
}

#[test]
fn log_lines_are_json_where_a_program_reads_them() {
    let folder = with_config("[listen]\nresp = \"127.0.0.1:0\"\n");
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut larder = Command::new(binary())
        .current_dir(folder.path())
        .args(["serve", "larder.toml", "--log-format", "json"])
        .stderr(log)
        .spawn()
        .unwrap();
    let lines = || fs::read_to_string(folder.path().join("log")).unwrap();
    until("it listens", || lines().contains("RESP listens"));
    larder.kill().unwrap();
    larder.wait().unwrap();
    let script = "import json, sys\n\
                  for line in sys.stdin: print(json.loads(line)['fields']['message'])";
    let messages = success(clients::python().args(["-c", script]), lines().as_bytes());
    assert!(messages.lines().any(|message| message == "RESP listens"), "{messages}");
}
