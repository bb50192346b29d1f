//! `larder simulate` as its users run it: traces in files, results on the standard output, and
//! exit codes.

#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a run came to: the exit code, the output, the errors.
type Outcome = (i32, String, String);

/// Runs `larder simulate` in a folder with these files.
fn simulate(files: &[(&str, &[u8])], arguments: &[&str]) -> Outcome {
    let folder = folder(files);
    simulate_in(&folder, arguments, b"")
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn simulate_in(folder: &TempDir, arguments: &[&str], input: &[u8]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.current_dir(folder.path()).arg("simulate").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A loop over ten keys, a hundred times.
fn cycle() -> String {
    (0..1000).map(|at| format!("user:{}\n", at % 10)).collect()
}

#[test]
fn a_table_compares_all_policies_and_nothing_else_is_said() {
    let arguments = ["loop.txt", "--size", "50%,10", "--belady"];
    let (code, out, err) = simulate(&[("loop.txt", cycle().as_bytes())], &arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[1], "keys, not compressed, 1,000 requests, 10 keys");
    for policy in
        ["belady", "adaptive", "lru", "lfu", "fifo", "random", "sieve", "s3fifo", "tinylfu", "cost"]
    {
        assert!(lines[3].contains(policy), "{policy} in {out}");
    }
    assert!(lines[4].starts_with("5 (50 %)"), "{out}");
    // All of a loop fits, or an LRU has none of it.
    assert!(lines[5].starts_with("10 "), "{out}");
    assert!(lines[5].split_whitespace().skip(1).all(|ratio| ratio == "99.0"), "{out}");
}

#[test]
fn traces_are_parts_of_one_and_one_may_be_the_standard_input() {
    let folder = folder(&[("first.txt", b"a\nb\n")]);
    let arguments =
        ["first.txt", "-", "--policy", "lru,fifo,lru", "--size", "2", "--output", "csv"];
    let (code, out, err) = simulate_in(&folder, &arguments, b"a\na\n");
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(lines[1].starts_with("sizes,lru,2,entries,1,4,2,0.500000,"), "{out}");
}

#[test]
fn bad_lines_are_shown_and_refused_unless_they_may_be_skipped() {
    let trace = b"1 2 0 0\nx\n3 y 0 0\n1 2 0 1\n";
    let arguments = ["a.lis", "--size", "2", "--policy", "lru"];
    let (code, out, err) = simulate(&[("a.lis", trace)], &arguments);
    assert_eq!((code, out.as_str()), (1, ""));
    for part in [
        "a.lis: line 2: it doesn't begin with a block and a number of blocks: x",
        "a.lis: line 3: it doesn't begin",
        "--bad-lines skip",
    ] {
        assert!(err.contains(part), "{part:?} in {err}");
    }
    let arguments = [&arguments[..], &["--bad-lines", "skip"]].concat();
    let (code, out, err) = simulate(&[("a.lis", trace)], &arguments);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("2 bad lines left out"), "{err}");
    assert!(out.contains("4 requests, 2 keys, 2 bad lines left out"), "{out}");
}

#[test]
fn of_many_bad_lines_the_first_are_shown() {
    let trace = "k,1\nk,x\n".repeat(1000);
    let (code, _, err) = simulate(&[("a.csv", trace.as_bytes())], &["a.csv"]);
    assert_eq!(code, 1);
    assert!(err.contains("line 10: the size is no number of bytes: k,x"), "{err}");
    assert_eq!(err.lines().count(), 6, "{err}");
}

#[test]
fn sizes_in_bytes_need_a_trace_with_sizes() {
    let files = [("a.csv", &b"key,size\na,100\nb,100\na,100\n"[..]), ("b.txt", b"a\nb\na\n")];
    let arguments = |file| [file, "--size", "200B", "--policy", "lru"];
    let (code, out, err) = simulate(&files, &arguments("a.csv"));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("byte hit ratio") && out.contains("33.3"), "{out}");
    let (code, _, err) = simulate(&files, &arguments("b.txt"));
    assert_eq!(code, 1);
    assert!(err.contains("doesn't tell the sizes"), "{err}");
}

#[test]
fn a_limit_and_a_sample_leave_the_rest_out() {
    let trace: String = (0..4000).map(|key| format!("{key}\n")).collect();
    let files = [("a.txt", trace.as_bytes())];
    let sizes = ["a.txt", "--size", "10%", "--policy", "fifo"];
    let (_, out, _) = simulate(&files, &[&sizes[..], &["--limit", "100"]].concat());
    assert!(out.contains("100 requests, 100 keys"), "{out}");
    let (_, out, _) = simulate(&files, &[&sizes[..], &["--sample", "1/4"]].concat());
    assert!(out.contains("4,000 requests, about") && out.contains("sampled to 25 %"), "{out}");
    let (_, out, _) = simulate(&files, &[&sizes[..], &["--requests-max", "3000"]].concat());
    assert!(out.contains("sampled to 50 %"), "{out}");
}

#[test]
fn a_page_is_written_to_a_file() {
    let folder = folder(&[("loop.txt", cycle().as_bytes())]);
    let arguments = ["loop.txt", "--output", "html", "--out", "page.html", "--belady"];
    let (code, out, err) = simulate_in(&folder, &arguments, b"");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert_eq!(page.matches("<polyline").count(), 10);
    let arguments = ["loop.txt", "--out", "no/such/folder"];
    let (code, _, err) = simulate_in(&folder, &arguments, b"");
    assert_eq!(code, 1);
    assert!(err.contains("can't write no/such/folder"), "{err}");
}

#[test]
fn json_has_the_curve_that_was_asked_for() {
    let arguments = ["a.txt", "--output", "json", "--curve", "3", "--policy", "sieve"];
    let (code, out, _) = simulate(&[("a.txt", cycle().as_bytes())], &arguments);
    assert_eq!(code, 0);
    assert!(out.contains("\"curve\": [") && out.contains("\"policy\": \"sieve\""), "{out}");
}

#[test]
fn what_cannot_be_understood_is_said_with_what_can() {
    let files = [("a.txt", &b"a\n"[..]), ("empty.txt", b""), ("bytes", &[0, 1, 2, 3])];
    for (arguments, code, part) in [
        (&[][..], 2, "<TRACE>..."),
        (&["a.txt", "--policy", "clock"], 2, "policies are belady, adaptive"),
        (&["a.txt", "--size", "1MB"], 2, "64MiB"),
        (&["a.txt", "--sample", "0"], 2, "1/16"),
        (&["a.txt", "--format", "elf"], 2, "oracle-general"),
        (&["a.txt", "--columns", "size"], 2, "key once"),
        (&["missing.txt"], 1, "can't read missing.txt"),
        (&["bytes"], 1, "can't tell in which format"),
        (&["empty.txt", "--format", "keys"], 1, "no requests"),
        (&["a.txt", "--format", "key-log"], 1, "larder-keys 1 sample="),
    ] {
        let (got, out, err) = simulate(&files, arguments);
        assert_eq!((got, out.as_str()), (code, ""), "{arguments:?}: {err}");
        assert!(err.contains(part), "{part:?} in {err}");
    }
}
