//! Any body: it is refused, or it names something, and not too much.

use bolero::check;
use bolero::generator::produce;
use serde_json::{Value, json};

use super::*;

const PIECES: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"keys\":[",
    "\"tags\":[",
    "\"caches\":[",
    "\"prefixes\":[",
    "],",
    "\"soft\":",
    "true",
    "false",
    "null",
    "\"user:1\"",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "7",
    "\"KEYS\":[",
    " ",
];

fn read_or_refused(body: &[u8]) {
    let Ok(names) = Names::read(body) else { return };
    assert!((1..=NAMES_MAX).contains(&names.count()));
    let said: Value = serde_json::from_slice(body).expect("JSON");
    for field in said.as_object().expect("an object").keys() {
        let known = ["keys", "tags", "caches", "prefixes", "soft"];
        assert!(known.contains(&field.as_str()), "{field}");
    }
}

#[test]
fn any_body_is_read_or_refused() {
    let bytes = produce::<Vec<u8>>().with().len(0..=40_usize);
    check!().with_iterations(20_000).with_generator(bytes).for_each(|input| {
        read_or_refused(input);
        let pieces = input.iter().map(|byte| PIECES[usize::from(*byte) % PIECES.len()]);
        let text: String = pieces.collect();
        read_or_refused(text.as_bytes());
        read_or_refused(format!("{{{text}}}").as_bytes());
    });
}

#[test]
fn what_a_body_names_is_what_is_invalidated() {
    let names = || produce::<Vec<String>>().with().len(0..=5_usize);
    let generator = (names(), names(), names(), names(), produce::<bool>());
    check!().with_iterations(2_000).with_generator(generator).for_each(
        |(keys, tags, caches, prefixes, soft)| {
            let body = json!({
                "keys": keys, "tags": tags, "caches": caches, "prefixes": prefixes, "soft": soft
            });
            let count = keys.len() + tags.len() + caches.len() + prefixes.len();
            match Names::read(body.to_string().as_bytes()) {
                Ok(read) => {
                    let lists = [&read.keys, &read.tags, &read.caches, &read.prefixes];
                    assert_eq!(lists, [keys, tags, caches, prefixes]);
                    assert_eq!((read.soft, read.count()), (*soft, count));
                }
                Err(why) => assert!(count == 0, "{why}"),
            }
        },
    );
    let many = json!({ "keys": vec!["user:1"; NAMES_MAX + 1] }).to_string();
    assert!(Names::read(many.as_bytes()).is_err_and(|why| why.contains("10001")));
}
