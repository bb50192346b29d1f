//! Long bodies in files: stored, bounded, and gone when nobody needs them.

use std::fs;
use std::path::Path;

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
    assert_eq!(bench.metric("larder_edge_store_bytes{edge=\"shop\"}"), 300_000.0);
    assert_eq!(bench.ask("PURGE /long", "").status, 200);
    bench.put("/long", fresh("now short"));
    assert_eq!(bench.get("/long").body, "now short");
    until("the file is gone", || files(folder.path()) == 0);
    until("its room is free", || bench.metric("larder_edge_store_bytes{edge=\"shop\"}") == 0.0);
}

#[test]
fn what_has_no_room_is_passed_on_and_not_stored() {
    let folder = TempDir::new().unwrap();
    let bench =
        Bench::new(&lines(folder.path(), "store_limit = \"1MiB\"\nobject_max = \"900KiB\""));
    let long = |megabytes: usize| "x".repeat(megabytes * 100_000);
    for (path, size) in [("/first", 8), ("/second", 8), ("/third", 10)] {
        bench.put(path, fresh(&long(size)));
        assert_eq!(bench.get(path).body.len(), size * 100_000, "{path}");
    }
    assert!(bench.get("/first").is_hit());
    // The second has no room, and the third is too long.
    assert!(!bench.get("/second").is_hit() && !bench.get("/third").is_hit());
    assert_eq!(files(folder.path()), 1);
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
