//! Configurations as users write them: what they resolve to, and what is said about mistakes.

mod bloom;
mod cache;
mod document;
mod edge;
mod feed;
mod listen;
mod memory;
mod reference;
mod report;
mod secret;
mod sharing;
mod source;
mod warm;
mod window;
mod writes;

use std::time::Duration;

use larder_memory::Candidates;
use larder_memory::policy::PolicyKind;
use larder_sql::{Format, Rows};

use super::reference::EXAMPLE;
use super::{Config, MemoryConfig, Problems};

/// What must never be seen.
const CANARY: &str = "c4n4ry";

/// The smallest file that has one of everything.
const SMALL: &str = r#"
[source.shop]
url = "sqlite:shop.db"
[cache.user]
key = "user:{id:int}"
load = "SELECT name FROM users WHERE id = {id}"
max_staleness = "2s"
"#;

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, "larder.toml", &|name| match name {
        "DATABASE_URL" => Some(format!("postgres://app:{CANARY}@localhost/shop")),
        "CANARY" => Some(CANARY.to_owned()),
        "EIGHT" => Some("8".to_owned()),
        "YES" => Some("true".to_owned()),
        "EMPTY" => Some(String::new()),
        "LINE" => Some("hunter2\n".to_owned()),
        _ => None,
    })
}

/// Checks that `text` is refused, and that the problems contain `part`.
#[track_caller]
fn check(text: &str, part: &str) {
    match parse(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(problems) => {
            let shown = problems.to_string();
            assert!(shown.contains(part), "not in the problems: {part}\n\n{shown}");
        }
    }
}

/// Checks that `text` is accepted, with one warning that contains `part`.
#[track_caller]
fn check_warning(text: &str, part: &str) {
    let config = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    let shown: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(shown.len() == 1 && shown[0].contains(part), "not the warning: {part}\n{shown:#?}");
}

/// `SMALL` with one more line in its cache.
fn cache_with(line: &str) -> String {
    format!("{SMALL}{line}\n")
}

/// `SMALL` with other windows.
fn windows(lines: &str) -> String {
    SMALL.replace("max_staleness = \"2s\"", lines)
}

/// `SMALL` with one more line in its source.
fn source_with(line: &str) -> String {
    SMALL.replace("[cache.user]", &format!("{line}\n[cache.user]"))
}

#[test]
fn the_example_is_resolved() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.listen.resp.as_ref().unwrap().to_string(), "127.0.0.1:7379");
    assert_eq!(config.listen.admin.as_ref().unwrap().to_string(), "127.0.0.1:7381");
    assert_eq!(config.memory_bytes, 512 << 20);
    assert!(config.warnings.is_empty());
    let (policy, candidates) = (PolicyKind::Adaptive, Candidates::All);
    let idle_for = None;
    assert_eq!(
        config.common,
        Some(MemoryConfig { bytes: 416 << 20, policy, candidates, idle_for })
    );
    let (policy, candidates) = (PolicyKind::Lru, Candidates::Expiring);
    assert_eq!(config.plain, Some(MemoryConfig { bytes: 64 << 20, policy, candidates, idle_for }));

    let [shop] = &config.sources[..] else { panic!("one source") };
    assert_eq!(shop.url.expose(), format!("postgres://app:{CANARY}@localhost/shop"));
    assert_eq!((&shop.name[..], shop.connections, shop.loads_max), ("shop", 8, 8));

    let [user, prices] = &config.caches[..] else { panic!("two caches") };
    assert_eq!(user.key.text(), "user:{id:int}");
    assert_eq!(user.load, "SELECT id, name, email, tenant_id FROM users WHERE id = {id}");
    assert_eq!((user.rows, user.format), (Rows::One, Format::Json));
    assert_eq!(user.window.fresh_for, Duration::from_secs(2));
    assert_eq!(user.window.missing_for, Duration::from_secs(2));
    let tags: Vec<_> = user.load().tags.iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["tenant:{tenant_id}"]);
    assert_eq!(user.window.stale_on_error, Duration::from_secs(3600));
    assert_eq!((user.wait, user.gather), (Duration::from_millis(50), None));
    let early = prices.window.early;
    assert_eq!((early.refresh_at(), early.xfetch()), (0.5, 0.0));
    assert_eq!(prices.gather, Some(Duration::from_millis(2)));
    assert_eq!(prices.rows, Rows::Many);
    assert_eq!(prices.window.max_staleness, Duration::from_secs(60));
    assert_eq!(prices.deadline, Duration::from_millis(500));
    assert_eq!(config.source_of(prices).name, "shop");
    let (policy, candidates) = (PolicyKind::S3Fifo, Candidates::All);
    let idle_for = Some(Duration::from_secs(20));
    assert_eq!(prices.memory, Some(MemoryConfig { bytes: 32 << 20, policy, candidates, idle_for }));
    assert_eq!(user.memory, None);

    let trace = config.trace.unwrap();
    assert_eq!((trace.file.to_str(), trace.sample), (Some("/var/log/larder/keys"), 0.05));
    assert_eq!(parse(SMALL).unwrap().trace, None);
    assert_eq!(parse("[trace]\nfile = \"k\"\nsample = 1").unwrap().trace.unwrap().sample, 1.0);
}
