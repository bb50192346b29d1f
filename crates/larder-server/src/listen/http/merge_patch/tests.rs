//! Held against the examples of RFC 7396, and against its algorithm.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Patch, Removed, merge};

/// RFC 7396 section 2, word by word.
fn model(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut members = target.as_object().cloned().unwrap_or_default();
    for (name, change) in changes {
        match change {
            Value::Null => drop(members.remove(name)),
            _ => {
                let before = members.get(name).cloned().unwrap_or(Value::Null);
                members.insert(name.clone(), model(&before, change));
            }
        }
    }
    Value::Object(members)
}

fn merged(target: &str, patch: &str) -> String {
    let target: Box<super::RawValue> = serde_json::from_str(target).unwrap();
    let patch = Patch::parse(patch.as_bytes()).unwrap();
    merge(Some(&target), &patch.0, Removed::IsGone)
}

/// RFC 7396 appendix A.
#[test]
fn the_examples_of_the_rfc() {
    for (target, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(merged(target, patch), result, "{target} {patch}");
    }
}

#[test]
fn what_is_not_patched_keeps_its_digits_and_its_place() {
    let row =
        r#"{"id":7,"price":19.990000000000000000001,"big":123456789012345678901234567890,"n":1}"#;
    let patch = Patch::parse(br#"{ "n" : 2 }"#).unwrap();
    let expected = row.replace(r#""n":1"#, r#""n":2"#);
    assert_eq!(patch.apply_to_row(row.as_bytes()).unwrap(), expected);
}

#[test]
fn a_row_keeps_its_columns_and_a_document_within_it_does_not() {
    let row = br#"{"id":7,"email":"a@b","more":{"x":1,"y":2}}"#;
    let patch = Patch::parse(br#"{"email":null,"gone":null,"more":{"x":null}}"#).unwrap();
    let expected = r#"{"id":7,"email":null,"more":{"y":2}}"#;
    assert_eq!(patch.apply_to_row(row).unwrap(), expected);
    assert!(Patch::parse(b"[1]").unwrap().apply_to_row(row).unwrap_err().contains("PUT"));
    assert!(patch.apply_to_row(b"[1]").unwrap_err().contains("no object"));
}

#[test]
fn depth_and_names_are_bounded_by_what_they_cost() {
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(Patch::parse(nested(32).as_bytes()).is_ok());
    assert!(Patch::parse(nested(33).as_bytes()).unwrap_err().contains("deeper than 32"));
    // Neither a deep array nor an endless one is walked.
    assert!(Patch::parse("[".repeat(1_000_000).as_bytes()).is_err());
    let arrays = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Patch::parse(arrays.as_bytes()).is_ok());
    // Of two members with one name the last counts.
    assert_eq!(merged(r#"{"a":1,"a":2}"#, r#"{"a":3,"a":4}"#), r#"{"a":4}"#);
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "[a-c\"\\\\é]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[a-c\"é]{1,2}", inner, 0..4)
                .prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    #[test]
    fn it_merges_as_the_rfc_does(target in documents(), patch in documents()) {
        let text = merged(&target.to_string(), &patch.to_string());
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read, model(&target, &patch));
    }

    #[test]
    fn any_bytes_are_a_patch_or_a_sentence(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(patch) = Patch::parse(&bytes) {
            let _ = patch.apply_to_row(b"{\"a\":1}");
        }
    }
}
