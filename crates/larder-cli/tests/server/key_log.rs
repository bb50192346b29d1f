//! The key log as an operator gets it: written by a server that clients use, read by the
//! simulator, and compared with what the server itself has counted.

use std::collections::HashMap;
use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_sim::{Bounds, Contender, Op, Recorder, Request, Requests, Size, Study};
use larder_sim::{Outcome, Trace, TraceOptions};
use larder_test::{Larder, Reply, RespClient};
use tempfile::TempDir;

use crate::page::Page;
use crate::support::{binary, connect, get, run, serve, success};

/// Where a server writes its log, beside the database of its numbers.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("numbers.db")).unwrap();
        Self(folder)
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    /// A server that logs this part of its keys, with a cache of rows of half a KiB.
    fn serve(&self, sample: &str, lines: &str) -> Larder {
        let folder = self.0.path().display();
        serve(&format!(
            "[trace]
             file = \"{folder}/keys\"
             sample = {sample}
             [source.numbers]
             url = \"sqlite:{folder}/numbers.db\"
             [cache.c4n4ry]
             key = \"c4n4ry:{{n:int}}\"
             load = \"SELECT {{n}} AS n, printf('%0500d', {{n}}) AS text\"
             max_staleness = \"1h\"
             jitter = \"0s\"
             {lines}\n"
        ))
    }
}

/// What the simulator reads in a log, which must have no faults.
fn read(log: &Path) -> (Vec<Request>, Requests, Option<u64>) {
    let mut trace = Trace::open(File::open(log).unwrap(), &TraceOptions::default()).unwrap();
    let all: Vec<Request> = trace.by_ref().map(Result::unwrap).collect();
    assert_eq!(trace.faults().count(), 0, "{:?}", trace.faults());
    let mut recorder = Recorder::new(Bounds::default());
    all.iter().for_each(|request| recorder.push(request));
    (all, recorder.finish(trace.sample(), trace.reads()), trace.reads())
}

/// What LRU would have come to with so many entries.
fn lru(requests: &Requests, entries: u64) -> Outcome {
    let contenders: Vec<Contender> = vec!["lru".parse().unwrap()];
    let study = Study { sizes: vec![Size::Entries(entries)], contenders };
    study.run(requests, NonZero::<usize>::MIN, &|_| {}).rows[0].outcomes[0]
}

/// Hits and misses of all keys, as the server has counted them.
fn counted(larder: &Larder) -> (u64, u64) {
    let page = Page::of(larder);
    assert_eq!(page.sum("larder_trace_lost_total", &[]), 0);
    let both = |name: &str| {
        page.sum(&format!("larder_cache_{name}_total"), &[])
            + page.sum(&format!("larder_plain_{name}_total"), &[])
    };
    (both("hits"), both("misses"))
}

/// Numbers below `bound`, the small ones far more often: the same in every run.
fn skewed(bound: u64) -> impl FnMut() -> u64 {
    let mut state = 7_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        let part = (state >> 33) as f64 / (1_u64 << 31) as f64;
        (part.powi(3) * bound as f64) as u64
    }
}

/// Reads a plain key as clients do that keep what they load in it.
fn get_or_set(client: &mut RespClient, key: &str) {
    if get(client, key) == Reply::Null {
        assert_eq!(client.command(&["SET", key, "text", "EX", "3600"]), Reply::Simple("OK".into()));
    }
}

#[test]
fn the_simulator_counts_the_hits_that_the_server_counted() {
    let folder = Folder::new();
    let larder = folder.serve("1", "");
    let mut client = connect(&larder);
    let mut number = skewed(300);
    for turn in 0..3_000 {
        let (row, plain) = (format!("c4n4ry:{}", number()), format!("c4n4ry-{}", number()));
        if turn % 10 == 9 {
            client.command(&["DEL", &row, &plain]);
        }
        get(&mut client, &row);
        get_or_set(&mut client, &plain);
    }
    // Several in one question, some held and some not, and a number that has no key.
    client.command(&["MGET", "c4n4ry:1", "c4n4ry:900", "c4n4ry-1", "c4n4ry:2", "c4n4ry:901"]);
    get(&mut client, "c4n4ry:x");
    let (hits, misses) = counted(&larder);
    assert!(hits > 3_000 && misses > 500, "{hits} hits, {misses} misses");
    assert!(larder.stop().success());

    let (all, requests, reads) = read(&folder.log());
    assert_eq!(reads, Some(hits + misses));
    assert!(all.iter().all(|request| request.op == Op::Remove || request.size.is_some()));
    // All has room, so no policy and no shard decides anything.
    let outcome = lru(&requests, 100_000);
    assert_eq!((outcome.reads, outcome.hits), (hits + misses, hits));
    assert!((outcome.hit_ratio() - hits as f64 / (hits + misses) as f64).abs() < 1e-9);
    // Nothing in the file is a key or a value.
    let text = fs::read_to_string(folder.log()).unwrap();
    assert!(!text.contains("c4n4ry") && !text.contains("text"));
    let words = |line: &str| line.split(' ').count();
    assert!(text.lines().all(|line| words(line) <= 5 && line.len() < 64), "lines of one request");
}

#[test]
fn the_simulator_is_close_to_a_server_that_evicts() {
    let folder = Folder::new();
    let lines = "memory = \"2MiB\"\npolicy = \"lru\"\n[plain]\nmemory = \"1MiB\"";
    let larder = folder.serve("1", lines);
    let mut client = connect(&larder);
    let mut number = skewed(10_000);
    for _ in 0..2_000 {
        let keys: Vec<String> = (0..10).map(|_| format!("c4n4ry:{}", number())).collect();
        client.pipeline(keys.iter().map(|key| ["GET", key]));
    }
    let (hits, misses) = counted(&larder);
    let held = Page::of(&larder).sum("larder_memory_entries", &[("memory", "cache.c4n4ry")]);
    assert!(larder.stop().success());

    let (_, requests, _) = read(&folder.log());
    let outcome = lru(&requests, held);
    assert!(outcome.evicted > 2_000, "{outcome:?}");
    let (simulated, real) = (outcome.hit_ratio(), hits as f64 / (hits + misses) as f64);
    assert!((simulated - real).abs() < 0.02, "{simulated} simulated, {real} in the server");
}

#[test]
fn a_sample_holds_all_requests_of_a_key_or_none() {
    const KEYS: u64 = 2_000;
    let folder = Folder::new();
    let larder = folder.serve("0.25", "");
    let mut client = connect(&larder);
    for _ in 0..2 {
        for n in 0..KEYS {
            let (row, plain) = (format!("c4n4ry:{n}"), format!("plain:{n}"));
            client.pipeline([["GET", &row], ["GET", &plain], ["DEL", &row]]);
        }
    }
    assert!(larder.stop().success());
    let (all, requests, reads) = read(&folder.log());
    assert_eq!(reads, Some(2 * 2 * KEYS));
    assert_eq!(requests.sample(), 0.25);
    let mut of_key: HashMap<u64, Vec<Op>> = HashMap::new();
    all.iter().for_each(|request| of_key.entry(request.key).or_default().push(request.op));
    // A quarter of them, within six standard deviations of 27.
    assert!((836..1_164).contains(&of_key.len()), "{}", of_key.len());
    let (read, remove) = (Op::Read, Op::Remove);
    for ops in of_key.values() {
        assert!(*ops == [read, remove, read, remove] || *ops == [read, read], "{ops:?}");
    }
}

#[test]
fn each_start_has_a_file_and_hashes_of_its_own_which_the_command_line_reads() {
    let folder = Folder::new();
    let mut hashes = Vec::new();
    for name in ["keys", "keys.1", "keys.2"] {
        let larder = folder.serve("1", "");
        get(&mut connect(&larder), "c4n4ry:1");
        assert!(larder.stop().success());
        let log = folder.0.path().join(name);
        let (all, ..) = read(&log);
        let [one] = &all[..] else { panic!("one request: {all:?}") };
        assert_eq!((one.op, one.ttl_ms), (Op::Read, Some(3_600_000)));
        hashes.push(one.key);
        let table = success(Command::new(binary()).arg("simulate").arg(&log), b"");
        assert!(table.contains("adaptive"), "{table}");
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 3);
}

#[test]
fn a_log_that_cant_be_written_keeps_the_server_from_starting_and_says_what_to_do() {
    let folder = Folder::new();
    let config = folder.0.path().join("larder.toml");
    let text = "[listen]\nresp = \"127.0.0.1:0\"\n[trace]\nfile = \"no/such/folder/keys\"\n";
    fs::write(&config, text).unwrap();
    let mut command = Command::new(binary());
    let output = run(command.current_dir(folder.0.path()).arg("serve").arg(&config), b"");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    for part in ["can't write the key log no/such/folder/keys", "`file` in [trace]"] {
        assert!(errors.contains(part), "{part:?} in {errors}");
    }
    // A configuration is checked without writing anything.
    let checked = run(Command::new(binary()).arg("check").arg(&config), b"");
    assert!(checked.status.success());
}
