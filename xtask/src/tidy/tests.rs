//! Each rule, shown a project that breaks it.

use std::collections::BTreeSet;

use super::project::{Dependency, File, Kind, Member, Project};
use super::{Complaint, floors, looks, names, rust, upkeep};

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

/// The complaints of one rule about one file, as `line: what is wrong`.
fn about(rule: fn(&Project, &mut Vec<Complaint>), path: &str, text: &str) -> Vec<String> {
    let project = Project { files: vec![file(path, text)], ..Project::default() };
    let mut complaints = Vec::new();
    rule(&project, &mut complaints);
    complaints.iter().map(|complaint| format!("{}: {}", complaint.line, complaint.wrong)).collect()
}

/// Checks what the code of a file is not allowed to name.
#[track_caller]
fn names_in(path: &str, code: &str, expected: &[&str]) {
    assert_eq!(about(names::check, path, code), expected, "{path}: {code}");
}

#[test]
fn this_project_is_read_as_it_is() {
    let project = Project::read().unwrap();
    let paths: Vec<&str> = project.files.iter().map(|file| file.path.as_str()).collect();
    for path in ["Cargo.toml", ".cargo/config.toml", "xtask/src/tidy/tests.rs"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
    let core = project.members.iter().find(|member| member.name == "larder-core").unwrap();
    assert_eq!(core.manifest, "crates/larder-core/Cargo.toml");
    let shuttle = core.dependencies.iter().find(|wanted| wanted.name == "shuttle").unwrap();
    assert_eq!(shuttle.target.as_deref(), Some("cfg(shuttle)"));
    let pulled = project.pulls("larder-memory");
    assert_eq!(pulled.get("bytes"), Some(&"larder-core"));
    assert!(!pulled.contains_key("shuttle"));
    // Tests may use what stands beside.
    let kit = project.members.iter().find(|member| member.name == "larder-test").unwrap();
    assert!(kit.dependencies.iter().any(|wanted| wanted.kind == Kind::Dev));
}

#[test]
fn a_complaint_is_one_line_with_its_place() {
    let complaint = Complaint::new("crates/a/src/lib.rs", 7, "names b", "use c");
    assert_eq!(complaint.to_string(), "crates/a/src/lib.rs:7: names b: use c");
}

// Names.

#[test]
fn the_core_names_no_runtime_socket_driver_or_file() {
    let lib = "crates/larder-core/src/lib.rs";
    names_in(lib, "use tokio::sync::Notify;", &["1: names tokio"]);
    names_in(lib, "\nfn f() -> sqlx::Result<()> {}", &["2: names sqlx"]);
    names_in(lib, "use std::{fmt, net::TcpStream};", &["1: names std::net"]);
    names_in(lib, "use std::net::{self, TcpStream};", &["1: names std::net", "1: names std::net"]);
    // A file is one of two rules' business here.
    names_in(lib, "use std::fs;", &["1: names std::fs", "1: names std::fs"]);
    names_in(lib, "// Not tokio.\nuse std::fmt; const A: &str = \"tokio\";", &[]);
}

#[test]
fn policies_have_no_clock_lock_or_hash() {
    let lru = "crates/larder-policy/src/lru.rs";
    names_in(lru, "use std::time::Duration;", &["1: names std::time"]);
    names_in(lru, "fn f(lock: &Mutex<u8>) {}", &["1: names Mutex"]);
    names_in(lru, "#[derive(Debug, Hash)]\nstruct S;", &["1: names Hash"]);
    names_in(lru, "use std::collections::{HashMap, VecDeque};", &["1: names HashMap"]);
    names_in(lru, "fn hashed(hash: u64) {}", &[]);
}

#[test]
fn the_engine_names_its_runtime_in_one_file() {
    let code = "use tokio::time::sleep;";
    names_in("crates/larder-engine/src/read.rs", code, &["1: names tokio"]);
    names_in("crates/larder-engine/src/runtime.rs", code, &[]);
}

#[test]
fn the_codec_does_no_io_and_reads_no_clock() {
    let codec = "crates/larder-resp/src/codec/frame.rs";
    names_in(codec, "use std::io::Read;", &["1: names std::io"]);
    names_in(codec, "use std::time::Duration;", &["1: names std::time"]);
    names_in(codec, "fn f(at: SystemTime) {}", &["1: names SystemTime"]);
    names_in("crates/larder-resp/src/session.rs", "use std::io::Read;", &[]);
}

#[test]
fn only_server_and_cli_read_files_environment_and_signals() {
    let code = "fn f() { std::env::var(\"A\"); }\nuse tokio::signal::unix;";
    let expected = ["1: names std::env", "2: names tokio::signal"];
    names_in("crates/larder-sql/src/lib.rs", code, &expected);
    names_in("crates/larder-server/src/lib.rs", code, &[]);
    names_in("crates/larder-cli/src/main.rs", code, &[]);
    names_in("xtask/src/main.rs", code, &[]);
}

#[test]
fn time_is_not_fetched_from_the_air() {
    let code = "use std::time::Instant;\nfn f() { Instant::now(); std::time::SystemTime::now(); }";
    let expected = ["2: names Instant::now", "2: names SystemTime::now"];
    names_in("crates/larder-engine/src/load.rs", code, &expected);
    names_in("crates/larder-engine/src/runtime.rs", code, &[]);
    names_in("crates/larder-test/src/clock.rs", code, &[]);
    names_in("bench/src/main.rs", code, &[]);
}

#[test]
fn engine_and_memory_take_their_locks_from_the_core() {
    let code = "use std::sync::{Arc, Mutex, atomic::AtomicU64};";
    let expected = ["1: names std::sync::Mutex", "1: names std::sync::atomic"];
    names_in("crates/larder-engine/src/flight.rs", code, &expected);
    names_in("crates/larder-memory/src/shard.rs", code, &expected);
    names_in("crates/larder-sql/src/lib.rs", code, &[]);
}

#[test]
fn nothing_is_global() {
    let lib = "crates/larder-sql/src/lib.rs";
    let wrong = |line: u32| format!("{line}: a static that changes");
    names_in(lib, "static COUNT: AtomicU64 = AtomicU64::new(0);", &[&wrong(1)]);
    names_in(lib, "\npub static POOL: std::sync::OnceLock<Pool> = OnceLock::new();", &[&wrong(2)]);
    names_in(lib, "static mut N: u8 = 0;", &[&wrong(1)]);
    names_in(lib, "use lazy_static::lazy_static;", &["1: names lazy_static"]);
    names_in(lib, "static NAMES: [&'static str; 1] = [\"a\"]; fn f(_: &'static Mutex<u8>) {}", &[]);
}

#[test]
fn only_the_memory_tier_may_be_unsafe() {
    let code = "fn f() { unsafe { g() } }";
    names_in("crates/larder-engine/src/lib.rs", code, &["1: unsafe code"]);
    names_in("crates/larder-engine/tests/all.rs", code, &["1: unsafe code"]);
    names_in("crates/larder-memory/src/lib.rs", code, &[]);
    names_in("crates/larder-engine/src/lib.rs", "#![deny(unsafe_code)] // No unsafe.", &[]);
}

#[test]
fn tests_may_name_anything() {
    let core = "crates/larder-core/src";
    let code = "#[cfg(test)]\nmod tests { use tokio::test; fn f() {} }";
    names_in(&format!("{core}/lib.rs"), code, &[]);
    names_in(&format!("{core}/lib.rs"), "#[cfg(test)]\nuse tokio::test;\nstruct S;", &[]);
    names_in(&format!("{core}/key/tests.rs"), "use tokio::test;", &[]);
    names_in("crates/larder-core/tests/all.rs", "use tokio::test;", &[]);
    let after = "#[cfg(test)]\nmod tests { fn f() {} }\nuse tokio::time;";
    names_in(&format!("{core}/lib.rs"), after, &["3: names tokio"]);
    let field = "struct S { #[cfg(test)] a: u8, b: tokio::Id }";
    names_in(&format!("{core}/lib.rs"), field, &["1: names tokio"]);
    let not = "#[cfg(not(test))]\nuse tokio::time;";
    names_in(&format!("{core}/lib.rs"), not, &["2: names tokio"]);
}

// Looks.

#[track_caller]
fn looks_of(path: &str, text: &str, expected: &[&str]) {
    assert_eq!(about(looks::check, path, text), expected, "{path}: {text}");
}

#[test]
fn a_file_says_what_it_is() {
    let wrong = "1: the file doesn't say what it is";
    looks_of("crates/a/src/lib.rs", "fn main() {}", &[wrong]);
    looks_of("crates/a/tests/all.rs", "// A comment.\n", &[wrong]);
    looks_of("bench/src/main.rs", "", &[wrong]);
    looks_of("xtask/src/main.rs", "//! What it is.\n", &[]);
}

#[test]
fn lines_end_before_they_get_long() {
    let at_the_limit = format!("//! {}", "ü".repeat(96));
    looks_of("crates/a/src/lib.rs", &at_the_limit, &[]);
    looks_of("crates/a/src/lib.rs", &format!("//! A.\n{at_the_limit}."), &["2: 101 columns"]);
    let address = format!("//! https://{}", "a".repeat(100));
    looks_of("crates/a/src/lib.rs", &address, &[]);
    let row = format!("//! A.\n//! | {} |", "a".repeat(100));
    looks_of("crates/a/src/lib.rs", &row, &[]);
    looks_of("crates/a/tests/a.rs", &format!("//! A.\n{at_the_limit}."), &[]);
}

#[test]
fn work_is_done_and_not_promised() {
    let word = ["TO", "DO"].concat();
    let text = format!("//! A.\n/* b\n {word}: c */\nconst A: &str = \"{word}\";");
    looks_of("crates/a/src/lib.rs", &text, &[&format!("3: a {word}")]);
    looks_of("README.md", &format!("{word}s\n({word})"), &[&format!("2: a {word}")]);
    looks_of("test", &["# FIX", "ME"].concat(), &[&["1: a FIX", "ME"].concat()]);
}

#[test]
fn tests_and_examples_run() {
    let lib = "crates/a/src/lib.rs";
    looks_of(lib, "//! A.\n#[test]\n#[ignore]\nfn f() {}", &["3: a test that nobody runs"]);
    looks_of(lib, "//! A.\n#[ignore = \"slow\"]\nfn f() {}", &["2: a test that nobody runs"]);
    let example = "//! A.\n//! ```ignore\n//! f();\n//! ```\n";
    looks_of(lib, example, &["2: an example that nobody compiles"]);
    looks_of(lib, "//! A.\nconst A: &str = \"#[ignore]\";", &[]);
}

#[test]
fn nothing_names_places_outside() {
    for place in [[".lib", "rary"], ["../sh", "ared"], ["/wo", "rk/"]].map(|word| word.concat()) {
        let wrong = format!("2: names {place}");
        looks_of("docs/a.md", &format!("See\n{place}/a."), &[&wrong]);
        looks_of("a.rs", &format!("//! A.\nconst A: &str = \"{place}\";"), &[&wrong]);
    }
}

// Upkeep.

#[test]
fn the_papers_exist() {
    let papers = |text: &str| {
        let names = ["ARCHITECTURE.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];
        let mut files: Vec<File> = names.map(|name| file(name, "text")).into();
        files.push(file("README.md", text));
        let mut complaints = Vec::new();
        upkeep::check(&Project { files, ..Project::default() }, &mut complaints);
        complaints.iter().map(|complaint| complaint.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(papers("text"), [""; 0]);
    assert_eq!(papers(" \n"), ["README.md"]);
    assert_eq!(about(upkeep::check, "a", "").len(), 5);
}

#[test]
fn members_inherit_version_licence_and_lints() {
    let whole = "[package]\nname = \"larder\"\nversion.workspace = true\n\
                 edition.workspace = true\nrust-version.workspace = true\n\
                 license.workspace = true\n\n[lints]\nworkspace = true\n";
    let complaints = |manifest: &str| {
        let mut project = project_of(&[("larder", &[])]);
        project.files = vec![file("crates/larder/Cargo.toml", manifest)];
        let mut complaints = Vec::new();
        upkeep::check(&project, &mut complaints);
        let ours = complaints.into_iter().filter(|complaint| complaint.path.contains("Cargo.toml"));
        ours.map(|complaint| complaint.wrong).collect::<Vec<_>>()
    };
    assert_eq!(complaints(whole), [""; 0]);
    let version =
        whole.replace("version.workspace = true\nedition", "version = \"1.0.0\"\nedition");
    assert_eq!(complaints(&version), ["larder has its own version"]);
    let licence = whole.replace("license.workspace = true", "license = \"MIT\"");
    assert_eq!(complaints(&licence), ["larder has its own license"]);
    // The same words elsewhere don't count.
    let lints = whole.replace("[lints]", "[lints.rust]\nunsafe_code = \"allow\"\n[other]");
    assert_eq!(complaints(&lints), ["larder has its own lints"]);
}

// Floors.

type Wanted<'a> = (&'a str, Kind, Option<&'a str>);

fn project_of(members: &[(&str, &[Wanted<'_>])]) -> Project {
    let mut project = Project::default();
    for (name, wanted) in members {
        let dependencies = wanted.iter().map(|(name, kind, target)| Dependency {
            name: (*name).to_owned(),
            kind: *kind,
            target: target.map(str::to_owned),
        });
        let manifest = format!("crates/{name}/Cargo.toml");
        let text = wanted.iter().map(|(name, ..)| format!("{name}.workspace = true\n"));
        project
            .files
            .push(file(&manifest, &format!("[dependencies]\n{}", text.collect::<String>())));
        let dependencies: Vec<_> = dependencies.collect();
        let normal = dependencies.iter().filter(|dependency| dependency.kind == Kind::Normal);
        let needs: BTreeSet<_> = normal.map(|dependency| dependency.name.clone()).collect();
        project.needs.insert((*name).to_owned(), needs);
        project.members.push(Member { name: (*name).to_owned(), manifest, dependencies });
    }
    project
}

/// Whether the floors allow that `from` depends on `to`, and what is said if they don't.
fn depends(from: &str, to: &str) -> Vec<String> {
    complaints_about_floors(&project_of(&[(from, &[(to, Kind::Normal, None)])]))
}

fn complaints_about_floors(project: &Project) -> Vec<String> {
    let mut complaints = Vec::new();
    floors::check(project, &mut complaints);
    complaints.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused(from: &str, to: &str) {
    let complaints = depends(from, to);
    let start = format!("crates/{from}/Cargo.toml:2: {from} depends on {to}: ");
    assert!(complaints.iter().any(|line| line.starts_with(&start)), "{complaints:?}");
}

#[track_caller]
fn allowed(from: &str, to: &str) {
    assert_eq!(depends(from, to), [""; 0]);
}

#[test]
fn a_crate_depends_on_lower_floors_only() {
    allowed("larder-memory", "larder-policy");
    allowed("larder-resp", "larder-engine");
    allowed("larder-cli", "larder-server");
    refused("larder-memory", "larder-engine");
    refused("larder-engine", "larder-server");
    refused("larder-resp", "larder-http");
    refused("larder-core", "larder-policy");
}

#[test]
fn drivers_do_not_depend_on_each_other() {
    refused("larder-redis", "larder-sql");
    refused("larder-feed", "larder-sql");
    refused("larder-sql", "larder-memory");
}

#[test]
fn the_engine_knows_memory_and_contracts_only() {
    allowed("larder-engine", "larder-memory");
    allowed("larder-engine", "tokio");
    refused("larder-engine", "larder-sql");
    refused("larder-engine", "larder-policy");
}

#[test]
fn policy_depends_on_nothing_and_core_on_bytes() {
    refused("larder-policy", "hashbrown");
    refused("larder-core", "tokio");
    allowed("larder-core", "bytes");
    refused("larder-core", "shuttle");
    let checked = [("shuttle", Kind::Normal, Some("cfg(shuttle)"))];
    assert_eq!(complaints_about_floors(&project_of(&[("larder-core", &checked)])), [""; 0]);
}

#[test]
fn only_tests_use_what_stands_beside() {
    refused("larder-sql", "larder-test");
    refused("larder-server", "larder-bench");
    allowed("larder-bench", "larder-test");
    allowed("larder-test", "larder-resp");
    let test = [("larder-test", Kind::Dev, None), ("larder-server", Kind::Dev, None)];
    assert_eq!(complaints_about_floors(&project_of(&[("larder-sql", &test)])), [""; 0]);
}

#[test]
fn every_crate_stands_on_a_floor_and_in_its_own_folder() {
    let unknown = complaints_about_floors(&project_of(&[("larder-new", &[])]));
    assert!(unknown[0].contains("larder-new stands on no floor"), "{unknown:?}");
    let mut project = project_of(&[("larder-sql", &[])]);
    project.members[0].manifest = "crates/sql/Cargo.toml".to_owned();
    let moved = complaints_about_floors(&project);
    assert!(moved[0].contains("folder and crate have two names"), "{moved:?}");
}

#[test]
fn the_memory_tier_pulls_no_runtime_not_even_through_others() {
    let mut project =
        project_of(&[("larder-memory", &[("handy", Kind::Normal, None)]), ("larder-sql", &[])]);
    let need = |project: &mut Project, from: &str, to: &str| {
        project.needs.entry(from.to_owned()).or_default().insert(to.to_owned());
    };
    need(&mut project, "larder-sql", "tokio");
    assert_eq!(complaints_about_floors(&project), [""; 0]);
    need(&mut project, "handy", "handier");
    need(&mut project, "handier", "tokio");
    let complaints = complaints_about_floors(&project);
    assert!(complaints[0].contains("larder-memory pulls tokio, through handier"), "{complaints:?}");
}

// Reading Rust.

#[test]
fn comments_and_literals_are_told_from_code() {
    let source = r##"
        a /* b /* c */ d */ "e \" f" 'g' '\'' b'h' 'i r#"j " k"# // l
        m::n 1.5_f64 br"o\" cr#type"##;
    let words: Vec<_> = rust::tokens(source)
        .into_iter()
        .filter(|token| token.kind == rust::Kind::Word)
        .map(|token| (token.text, token.line))
        .collect();
    assert_eq!(words, [("a", 2), ("m", 3), ("n", 3), ("cr", 3), ("type", 3)]);
}

#[test]
fn imports_are_written_out() {
    let source = "use a::{b::{self, c as d}, e};\nfn f() -> g::h<i::j> {}";
    let names = rust::names(&rust::tokens(source));
    let paths: Vec<_> = names.iter().map(|named| (named.path.join("::"), named.line)).collect();
    for (path, line) in [("a::b", 1), ("a::b::c", 1), ("a::e", 1), ("g::h", 2), ("i::j", 2)] {
        assert!(paths.contains(&(path.to_owned(), line)), "{path} in {paths:?}");
    }
}

#[test]
fn reading_ends_on_any_text() {
    for text in ["\"", "r#\"", "'", "/*", "use a::{", "#[cfg(test)]", "b'", "}", "ü::", "\\"] {
        let tokens = rust::tokens(text);
        rust::names(&rust::shipped(&tokens));
    }
}
