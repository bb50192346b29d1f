//! Any order to purge: it is refused, or it names what can be purged.

use bolero::check;
use bolero::generator::produce;

use super::*;

const PIECES: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\"url\":",
    "\"prefix\":",
    "\"tag\":",
    "\"all\":",
    "\"how\":",
    "\"edge\":",
    "\"hard\"",
    "\"soft\"",
    "true",
    "false",
    "null",
    "\"http://shop.example/a\"",
    "\"https://\"",
    "\"/a\"",
    "\"red\"",
    "\"\"",
    "\"\\ud800\"",
    "7",
    " ",
];

fn read_or_refused(body: &[u8]) {
    let Ok((_, order, _)) = purge_order(body) else { return };
    match order {
        PurgeOrder::Url(uri) => assert!(uri.scheme().is_some() && uri.authority().is_some()),
        PurgeOrder::Prefix(prefix) => assert!(prefix.contains("://")),
        PurgeOrder::Tag(tag) => assert!(!tag.is_empty()),
        PurgeOrder::All => {
            let said: Value = serde_json::from_slice(body).expect("JSON");
            assert_eq!(said["all"], Value::Bool(true));
        }
    }
}

#[test]
fn any_order_is_read_or_refused() {
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
fn what_an_order_names_is_what_is_purged() {
    let text = || produce::<String>();
    let generator = (text(), text(), produce::<bool>(), 0..4_u8);
    check!().with_iterations(5_000).with_generator(generator).for_each(
        |(named, edge, is_soft, kind)| {
            let (field, value, expected) = match kind {
                0 if !named.is_empty() => {
                    ("tag", Value::from(named.as_str()), PurgeOrder::Tag(named.clone()))
                }
                1 => {
                    let prefix = format!("http://{named}");
                    ("prefix", Value::from(prefix.as_str()), PurgeOrder::Prefix(prefix))
                }
                _ => ("all", Value::Bool(true), PurgeOrder::All),
            };
            let how = if *is_soft { "soft" } else { "hard" };
            let body = serde_json::json!({ field: value, "how": how, "edge": edge }).to_string();
            let (of, order, how) = purge_order(body.as_bytes()).expect("an order");
            assert_eq!((of.as_ref(), &order), (Some(edge), &expected));
            assert_eq!(how == Invalidation::MarkStale, *is_soft);
        },
    );
}
