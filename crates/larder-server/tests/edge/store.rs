//! Long bodies in files: stored, bounded, and gone when nobody needs them.

use std::fs;
use std::path::Path;
use std::thread;

use larder_test::origin::{At, Origin};
use tempfile::TempDir;

use crate::support::{Bench, fresh, until};

fn lines(folder: &Path, more: &str) -> String {
    format!(
        "purge_from = [\"127.0.0.1\"]\nstore = \"{}\"\nstore_from = \"64KiB\"\n{more}",
        folder.display()
    )
}

/// The bodies in the folder.
fn files(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".body")).count()
}

#[test]
fn a_long_body_is_in_a_file_until_it_is_purged() {
    let folder = TempDir::new().unwrap();
    let bench = Bench::new(&lines(folder.path(), ""));
    let long: String = (0..300_000).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
    bench.put("/long", fresh(&long));
    bench.put("/short", fresh("short"));
    for path in ["/long", "/short"] {
        bench.get(path);
    }
    assert_eq!(files(folder.path()), 1);
    let answer = bench.get("/long");
    assert!(answer.is_hit() && answer.body == long);
    assert!(bench.get("/short").is_hit());
    let part = bench.ask("GET /long", "Range: bytes=100000-100009\r\n");
    assert_eq!((part.status, part.body.as_str()), (206, &long[100_000..100_010]));
    // In whole blocks.
    assert_eq!(bench.metric("larder_edge_store_bytes{edge=\"shop\"}"), 303_104.0);
    assert_eq!(bench.ask("PURGE /long", "").status, 200);
    bench.put("/long", fresh("now short"));
    assert_eq!(bench.get("/long").body, "now short");
    until("the file is gone", || files(folder.path()) == 0);
    until("its room is free", || bench.metric("larder_edge_store_bytes{edge=\"shop\"}") == 0.0);
}

/// What is being written has all of its room from the beginning, and isn't evicted.
#[test]
fn what_has_no_room_is_passed_on_and_not_stored() {
    let folder = TempDir::new().unwrap();
    let bench =
        Bench::new(&lines(folder.path(), "store_limit = \"1MiB\"\nobject_max = \"900KiB\""));
    let long = |size: usize| fresh(&"x".repeat(size * 100_000));
    bench.put("/first", long(8).held(At::Body(100_000)));
    bench.put("/second", long(8));
    bench.put("/too-long", long(10));
    thread::scope(|scope| {
        let first = scope.spawn(|| bench.get("/first").body.len());
        let bytes = || bench.metric("larder_edge_store_bytes{edge=\"shop\"}");
        until("it has its room", || bytes() > 800_000.0);
        for path in ["/second", "/second", "/too-long", "/too-long"] {
            let answer = bench.get(path);
            assert!(answer.status == 200 && answer.body.len() >= 800_000 && !answer.is_hit());
        }
        assert_eq!(bench.metric("larder_edge_store_failed_total{edge=\"shop\"}"), 2.0);
        until("only the first is left", || files(folder.path()) == 1);
        bench.origin.release("/first");
        assert_eq!(first.join().unwrap(), 800_000);
    });
    assert!(bench.get("/first").is_hit());
    // Now it isn't written any more.
    until("the second has taken its place", || bench.get("/second").is_hit());
    assert!(!bench.get("/too-long").is_hit());
    assert_eq!(bench.metric("larder_edge_store_evicted_total{edge=\"shop\"}"), 1.0);
}

#[test]
fn a_full_store_evicts_what_came_once() {
    let folder = TempDir::new().unwrap();
    let bench =
        Bench::new(&lines(folder.path(), "store_limit = \"1MiB\"\nobject_max = \"900KiB\""));
    bench.put("/often", fresh(&"o".repeat(100_000)));
    for _ in 0..3 {
        bench.get("/often");
    }
    let memory = || bench.metric("larder_edge_memory_bytes{edge=\"shop\"}");
    let of_one = memory();
    for at in 0..40 {
        let path = format!("/once/{at}");
        let text = format!("{at:02}").repeat(50_000);
        bench.put(&path, fresh(&text));
        assert_eq!(bench.get(&path).body, text);
        if at % 4 == 0 {
            assert!(bench.get("/often").is_hit(), "{at}");
        }
        assert!(bench.metric("larder_edge_store_bytes{edge=\"shop\"}") <= 1_048_576.0);
    }
    let metric = |name: &str| bench.metric(&format!("larder_edge_store_{name}{{edge=\"shop\"}}"));
    let (left, evicted) = (files(folder.path()), metric("evicted_total"));
    assert_eq!(left as f64 + evicted, 41.0);
    assert_eq!(metric("bytes") + metric("evicted_bytes_total"), 41.0 * 102_400.0);
    // What was in memory of the others has gone with them.
    assert!(memory() < of_one * (left as f64 + 2.0), "{} for {left}", memory());
    // The first one isn't there any more, and is stored again.
    assert!(!bench.get("/once/0").is_hit());
    let again = bench.get("/once/0");
    assert!(again.is_hit() && again.body == "00".repeat(50_000));
}

/// Heads are bounded by memory, and their bodies by the store, however small they are.
#[test]
fn many_small_files_keep_both_bounds() {
    // A store with room for 256 of them, and a memory with room for some 250 heads.
    for (limit, field) in [("1MiB", "short".to_owned()), ("1GiB", "long".repeat(1000))] {
        let folder = TempDir::new().unwrap();
        let bench = Bench::new(&format!(
            "memory = \"1MiB\"\nstore = \"{}\"\nstore_from = \"1KiB\"\nobject_max = \"64KiB\"\n\
             store_limit = \"{limit}\"",
            folder.path().display()
        ));
        for at in 0..320 {
            let path = format!("/{at}");
            bench.put(&path, fresh(&"x".repeat(2000)).header("X-Field", &field));
            assert_eq!(bench.get(&path).status, 200);
        }
        let metric = |name: &str| bench.metric(&format!("larder_edge_{name}{{edge=\"shop\"}}"));
        assert!(metric("memory_bytes") <= metric("memory_limit_bytes"));
        assert!(metric("store_bytes") <= metric("store_limit_bytes"));
        until("what isn't held is removed", || {
            let files = files(folder.path());
            files < 300 && metric("store_bytes") == files as f64 * 4096.0
        });
    }
}

#[test]
fn a_disk_that_takes_nothing_costs_no_answer() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("store");
    let bench = Bench::new(&lines(&inner, ""));
    fs::remove_dir_all(&inner).unwrap();
    bench.put("/long", fresh(&"x".repeat(100_000)));
    for _ in 0..2 {
        let answer = bench.get("/long");
        assert!(answer.status == 200 && answer.body.len() == 100_000 && !answer.is_hit());
    }
}

#[test]
fn a_body_that_broke_off_leaves_no_file() {
    let folder = TempDir::new().unwrap();
    let bench = Bench::new(&lines(folder.path(), ""));
    bench.put("/long", fresh(&"x".repeat(200_000)).cut(At::Body(150_000)));
    bench.get("/long");
    until("the file is gone", || files(folder.path()) == 0);
    bench.put("/long", fresh(&"x".repeat(200_000)));
    assert_eq!(bench.get("/long").body.len(), 200_000);
}

#[test]
fn a_start_removes_what_an_earlier_run_left_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    for name in ["0.body", "17.body", "mine.txt"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let bench = Bench::new(&lines(folder.path(), ""));
    assert_eq!(files(folder.path()), 0);
    assert!(folder.path().join("mine.txt").exists());
    let second = Bench::try_over(Origin::start(), "http://127.0.0.1:1", &lines(folder.path(), ""));
    let why = second.err().unwrap();
    assert!(why.contains("another process's"), "{why}");
    drop(bench);
}
