//! Records that can't be read, and anything at all.

use bolero::check;
use larder_feed::debezium::{Decoder, RECORD_BYTES_MAX, Record};

use crate::kit::{change, record};

#[track_caller]
fn refused(record: &Record, why: &str) {
    let error = Decoder::default().decode(record).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
    let topic: String = record.topic.chars().take(200).collect();
    assert!(error.contains(&topic), "{error}");
}

#[test]
fn a_record_that_can_not_be_read_says_which_and_why() {
    let value = |value: &str| record("shop.public.users", "", value);
    refused(&value("{"), "no JSON");
    refused(&value("7"), "no object");
    refused(&record("shop.public.users", "{", "{}"), "key is no JSON");
    refused(&record("users", "", r#"{"id":1}"#), "of which table");
    refused(&value(&change("x", "null", "null", 5)), "\"x\"");
    refused(&value(&change("c", "null", "null", 5)), "after");
    refused(&value(&change("u", "null", "null", 5)), "after");
    refused(&value(&change("d", "null", "null", 5)), "which row is gone");
    refused(&value(&change("c", "null", r#""{\"_id\":1}""#, 5)), "no row");
    refused(&value(&change("c", "null", "{}", 5).replace(r#""users""#, r#""""#)), "no table");
    refused(&value(r#"{"id":1,"__op":"x"}"#), "__op");
    refused(&value(r#"{"specversion":"1.0","data":"AAAA"}"#), "no data");
    let truncated = r#"{"source":{"name":"shop"},"databaseName":"store","ddl":"TRUNCATE users",
        "tableChanges":[]}"#;
    refused(&record("shop", "", truncated), "of which table");
    let message = r#"{"op":"m","source":{"name":"shop"},"message":
        {"prefix":"larder","content":"not base64"}}"#;
    refused(&record("shop.message", "", message), "base64");
}

#[test]
fn a_record_that_is_too_long_is_refused_and_one_that_just_is_not_is_read() {
    let row =
        |bytes: usize| change("c", "null", &format!(r#"{{"id":"{}"}}"#, "x".repeat(bytes)), 5);
    let beside = row(0).len();
    let longest = record("a.b.c", "", &row(RECORD_BYTES_MAX - beside));
    Decoder::default().decode(&longest).unwrap();
    refused(&record("a.b.c", "", &row(RECORD_BYTES_MAX - beside + 1)), "1 MiB");
}

#[test]
fn a_value_that_is_nested_too_deeply_is_refused() {
    let deep = format!(r#"{{"id":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    refused(&record("a.b.c", "", &deep), "no JSON");
}

/// Pieces of records, put together anyhow.
#[test]
fn anything_is_read_or_refused() {
    const PIECES: [&str; 20] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "true",
        "1",
        "-1.5e9",
        "\"\"",
        "\"op\"",
        "\"d\"",
        "\"source\"",
        "\"after\"",
        "\"before\"",
        "\"payload\"",
        "\"schema\"",
        "\"__op\"",
        "\"data\"",
    ];
    check!().with_type::<(Vec<u8>, Vec<u8>, bool)>().for_each(|(key, value, is_raw)| {
        let made = |bytes: &[u8]| -> Vec<u8> {
            if *is_raw {
                return bytes.to_vec();
            }
            let pieces = bytes.iter().map(|&byte| PIECES[usize::from(byte) % PIECES.len()]);
            pieces.collect::<String>().into()
        };
        let (key, value) = (Some(made(key).into()), Some(made(value).into()));
        let _ = Decoder::default().decode(&Record { topic: "a.b.c".into(), lane: 0, key, value });
    });
}

/// A record of each shape with any byte changed, and cut anywhere.
#[test]
fn a_record_that_was_damaged_is_refused_or_says_something_else() {
    let whole = change("u", r#"{"id":1,"name":"A"}"#, r#"{"id":2,"name":"Ä"}"#, 5);
    for end in 0..whole.len() {
        for bit in [1, 0x80] {
            let mut damaged = whole.clone().into_bytes();
            damaged[end] ^= bit;
            let value = Some(damaged.into());
            let _ =
                Decoder::default().decode(&Record { topic: "".into(), lane: 0, key: None, value });
        }
        let cut = whole.as_bytes()[..end].to_vec();
        let record = Record { topic: "".into(), lane: 0, key: None, value: Some(cut.into()) };
        assert!(end == 0 || Decoder::default().decode(&record).is_err());
    }
}
