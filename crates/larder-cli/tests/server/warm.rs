//! Warming as an operator gets it: at the start of a server, from its last run, and from outside.

use std::fs;
use std::process::{Command, Output};

use larder_test::Larder;
use tempfile::TempDir;

use crate::page::Page;
use crate::support::{admin, binary, connect, get, run, serve, until};

/// A database of a thousand numbers, and the files that caches are warmed from.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::File::create(folder.path().join("numbers.db")).unwrap();
        Self(folder)
    }

    fn config(&self, warm: &str) -> String {
        let folder = self.0.path().display();
        format!(
            "[source.numbers]
             url = \"sqlite:{folder}/numbers.db\"
             [cache.number]
             key = \"number:{{n:int}}\"
             load = \"SELECT {{n}} AS n\"
             max_staleness = \"1h\"
             {}\n",
            warm.replace("FOLDER", &folder.to_string())
        )
    }

    fn serve(&self, warm: &str) -> Larder {
        serve(&self.config(warm))
    }
}

const QUERY: &str = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
                     SELECT n FROM n";

fn from_query(more: &str) -> String {
    format!("[cache.number.warm]\nquery = \"\"\"{QUERY}\"\"\"\n{more}")
}

/// How many keys of the cache have this outcome.
fn keys(larder: &Larder, outcome: &str) -> u64 {
    let labels = [("cache", "number"), ("outcome", outcome)];
    let page = Page::of(larder);
    // It may not have begun yet.
    let begun = page.families().contains_key("larder_cache_warm_keys");
    if begun { page.sum("larder_cache_warm_keys_total", &labels) } else { 0 }
}

fn hits_and_misses(larder: &Larder) -> (u64, u64) {
    let page = Page::of(larder);
    let hits = page.sum("larder_cache_hits_total", &[("cache", "number"), ("state", "fresh")]);
    (hits, page.sum("larder_cache_misses_total", &[("cache", "number")]))
}

#[test]
fn a_server_is_warm_before_anybody_asks() {
    let folder = Folder::new();
    let larder = folder.serve(&from_query(""));
    until("all keys are loaded", || keys(&larder, "loaded") == 1000);
    let mut client = connect(&larder);
    for n in [1, 500, 1000] {
        assert_eq!(get(&mut client, &format!("number:{n}")).text(), format!("{{\"n\":{n}}}"));
    }
    assert_eq!(hits_and_misses(&larder), (3, 0));
}

#[test]
fn the_server_is_ready_when_it_is_warm_if_that_is_asked_for() {
    let folder = Folder::new();
    // They take six seconds.
    let larder = folder.serve(&from_query("per_second = 50\nready_waits = true\nkeys_max = 300"));
    let (status, body) = admin(&larder, "/ready");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("cache number: "), "{body}");
    until("it is ready", || admin(&larder, "/ready").0 == 200);
    assert_eq!(keys(&larder, "loaded"), 300);
}

#[test]
fn what_was_hot_in_one_run_is_warm_in_the_next() {
    let folder = Folder::new();
    let warm = "[cache.number.warm]\nlast_run = \"FOLDER/hot\"\nkeys_max = 2\n";
    let larder = folder.serve(warm);
    let mut client = connect(&larder);
    for n in [7, 8, 9, 8, 9, 9] {
        get(&mut client, &format!("number:{n}"));
    }
    drop(client);
    until("the first warming is over", || {
        let page = Page::of(&larder);
        page.families().contains_key("larder_cache_warming")
            && page.sum("larder_cache_warming", &[("cache", "number")]) == 0
    });
    assert!(larder.stop().success());
    let saved = fs::read_to_string(folder.0.path().join("hot")).unwrap();
    assert_eq!(saved, "larder-hot-keys 1 number:{n:int}\nnumber:9\nnumber:8\n");

    let larder = folder.serve(warm);
    until("its keys are loaded", || keys(&larder, "loaded") == 2);
    get(&mut connect(&larder), "number:9");
    assert_eq!(hits_and_misses(&larder), (1, 0));
}

#[test]
fn a_log_gives_what_is_there_most_often() {
    let folder = Folder::new();
    let log = "number:1\nnumber:2\nGET number:3\nnumber:2\nother:4\nnumber:5\nnumber:5\n";
    fs::write(folder.0.path().join("log"), log).unwrap();
    let larder = folder.serve("[cache.number.warm]\nlog = \"FOLDER/log\"\nkeys_max = 2\n");
    until("its keys are loaded", || keys(&larder, "loaded") == 2);
    let mut client = connect(&larder);
    for n in [2, 5, 1] {
        get(&mut client, &format!("number:{n}"));
    }
    assert_eq!(hits_and_misses(&larder), (2, 1));
}

/// Runs `larder warm` for `larder`, with these keys on the standard input.
fn warm(
    folder: &Folder,
    larder: &Larder,
    arguments: &[&str],
    input: &str,
) -> (i32, String, String) {
    let file = folder.0.path().join("larder.toml");
    let listen = format!("[listen]\nresp = \"127.0.0.1:{}\"\n", larder.resp_port());
    fs::write(&file, format!("{listen}{}", folder.config(&from_query("")))).unwrap();
    let mut command = Command::new(binary());
    let command = command.arg("warm").arg(&file).args(arguments);
    let Output { status, stdout, stderr } = run(command, input.as_bytes());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_running_server_is_warmed_from_outside() {
    let folder = Folder::new();
    let larder = folder.serve("");
    let (code, out, err) =
        warm(&folder, &larder, &["--keys", "-"], "number:1\nnumber:2\nnonsense\n");
    assert_eq!((code, &*out, &*err), (0, "2 keys asked for: 2 found, 0 absent, 0 failed\n", ""));
    let (code, out, _) = warm(&folder, &larder, &["--query", "--per-second", "100000"], "");
    assert_eq!((code, &*out), (0, "1000 keys asked for: 1000 found, 0 absent, 0 failed\n"));
    assert_eq!(hits_and_misses(&larder), (2, 1000));
    let (code, _, err) = warm(&folder, &larder, &["--keys", "-"], "nonsense\n");
    assert_eq!((code, &*err), (1, "larder: - has no line that is a key number:{n:int}\n"));
    let (code, _, err) = warm(&folder, &larder, &["--keys", "-", "--cache", "user"], "");
    assert_eq!((code, &*err), (1, "larder: there is no cache user: the caches are number\n"));
    let (code, _, err) = warm(&folder, &larder, &[], "");
    assert_eq!(code, 2, "{err}");
}

#[test]
fn a_server_that_asks_for_a_password_is_given_the_one_of_the_environment() {
    let folder = Folder::new();
    let larder = serve_with_password(&folder);
    let file = folder.0.path().join("larder.toml");
    let run_with = |password: &str| {
        let listen = format!(
            "[listen]\nresp = \"127.0.0.1:{}\"\npassword = \"${{WARM_PASSWORD}}\"\n",
            larder.resp_port()
        );
        fs::write(&file, format!("{listen}{}", folder.config(""))).unwrap();
        let mut command = Command::new(binary());
        command.arg("warm").arg(&file).args(["--keys", "-"]).env("WARM_PASSWORD", password);
        let output = run(&mut command, b"number:1\n");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run_with("s3cret"), (0, String::new()));
    let (code, err) = run_with("c4n4ry");
    assert_eq!(code, 1);
    assert!(err.contains("refuses the password") && !err.contains("c4n4ry"), "{err}");
}

fn serve_with_password(folder: &Folder) -> Larder {
    Larder::start(
        binary(),
        &format!("[listen]\nresp = \"{{resp}}\"\npassword = \"s3cret\"\n{}", folder.config("")),
    )
}
