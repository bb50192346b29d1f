//! The filter in front of a database: what surely doesn't exist is never asked for.

use std::process::Command;

use larder_test::{Larder, Reply};

use crate::page::Page;
use crate::support::{binary, connect, get, serve, until};

const CACHE: &[(&str, &str)] = &[("cache", "number")];

/// A server over a thousand numbers, of which the filter's query names the first hundred.
fn filtered() -> (tempfile::TempDir, Larder) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("numbers.db");
    std::fs::File::create(&file).unwrap();
    let larder = serve(&format!(
        "[source.numbers]
         url = \"sqlite:{}\"
         changes = \"announced\"
         [cache.number]
         key = \"number:{{n:int}}\"
         load = \"SELECT {{n}} AS n WHERE {{n}} <= 1000\"
         max_staleness = \"1h\"
         [cache.number.bloom]
         keys = \"\"\"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100)
                    SELECT n FROM n\"\"\"\n",
        file.display()
    ));
    (folder, larder)
}

#[test]
fn a_key_that_surely_does_not_exist_is_answered_without_the_database() {
    let (_folder, larder) = filtered();
    until("the filter is built", || {
        Page::of(&larder).sum("larder_cache_filter_keys", CACHE) == 100
    });
    let mut client = connect(&larder);
    for n in 1..=100 {
        assert_eq!(get(&mut client, &format!("number:{n}")).text(), format!("{{\"n\":{n}}}"));
    }
    for n in 5_001..=6_000 {
        assert_eq!(get(&mut client, &format!("number:{n}")), Reply::Null);
    }
    let page = Page::of(&larder);
    let filtered = page.sum("larder_cache_filtered_total", CACHE);
    let through = page.sum("larder_cache_filter_false_positives_total", CACHE);
    assert_eq!(filtered + through, 1_000);
    assert!(through < 50, "{through} of 1,000; one in a hundred was promised");
    assert_eq!(page.sum("larder_cache_misses_total", CACHE), 100 + through);

    // A row that nobody announced is denied; once it is announced by its key, it is found.
    let hidden = |n: &u64| get(&mut client, &format!("number:{n}")) == Reply::Null;
    let new = (500..1_000).find(hidden).expect("most of them are filtered");
    let key = format!("number:{new}");
    client.command(&["LARDER.INVALIDATE", "KEYS", &key]);
    assert_eq!(get(&mut client, &key).text(), format!("{{\"n\":{new}}}"));
}

#[test]
fn a_query_for_keys_that_the_database_refuses_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("numbers.db");
    std::fs::File::create(&file).unwrap();
    let config = format!(
        "[listen]
         resp = \"127.0.0.1:0\"
         [source.numbers]
         url = \"sqlite:{}\"
         changes = \"static\"
         [cache.number]
         key = \"number:{{n:int}}\"
         load = \"SELECT {{n}} AS n\"
         max_staleness = \"1h\"
         [cache.number.bloom]
         keys = \"SELECT n FROM no_such_table\"\n",
        file.display()
    );
    let path = folder.path().join("larder.toml");
    std::fs::write(&path, config).unwrap();
    let output = Command::new(binary()).arg("serve").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("[cache.number.bloom]") && text.contains("no_such_table"), "{text}");
}
