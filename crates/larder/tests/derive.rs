//! Derived keys: their texts, and that one key has one spelling.

use larder::{CacheKey, KeyText};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
struct Id(u64);

#[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
struct Pair<A, const N: usize>(A, String);

#[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
enum Kind {
    Plain,
    r#Type,
    Wrapped(Id),
    Named { text: String, r#for: i8 },
    Empty {},
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
struct Document {
    tenant: String,
    kind: Kind,
    page: (u8, bool),
    pair: Pair<char, 2>,
}

#[test]
fn texts_are_parts_with_colons() {
    check(&Id(42), "42");
    check(&Pair::<_, 1>('x', "a:b".to_owned()), r"x:a\:b");
    check(&Kind::Plain, "Plain");
    check(&Kind::Type, "Type");
    check(&Kind::Empty {}, "Empty");
    check(&Kind::Wrapped(Id(7)), "Wrapped:7");
    check(&Kind::Named { text: r"\".to_owned(), r#for: -1 }, r"Named:\\:-1");
    let document = Document {
        tenant: String::new(),
        kind: Kind::Wrapped(Id(1)),
        page: (2, true),
        pair: Pair(':', "z".to_owned()),
    };
    check(&document, r":Wrapped\:1:2\:true:\\\:\:z");
}

#[test]
fn other_spellings_are_no_keys() {
    for text in ["", "042", "42:", "4\\2"] {
        assert_eq!(Id::parse(text), None, "{text:?}");
    }
    for text in ["plain", "Plain:", "Wrapped", "Wrapped:", "Wrapped:1:2", "Named:a", "r#Type", ""] {
        assert_eq!(Kind::parse(text), None, "{text:?}");
    }
}

fn check<K: CacheKey + std::fmt::Debug>(key: &K, text: &str) {
    assert_eq!(KeyText::of(key).as_deref(), Ok(text));
    assert_eq!(K::parse(text).as_ref(), Some(key));
}

/// Texts that are mostly what the escapes are about.
fn text() -> impl Strategy<Value = String> {
    "[:\\\\a0é]{0,12}"
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Plain),
        Just(Kind::Type),
        Just(Kind::Empty {}),
        any::<u64>().prop_map(|id| Kind::Wrapped(Id(id))),
        (text(), any::<i8>()).prop_map(|(text, r#for)| Kind::Named { text, r#for }),
    ]
}

fn document() -> impl Strategy<Value = Document> {
    (text(), kind(), any::<(u8, bool)>(), prop_oneof![Just(':'), Just('\\'), Just('a')], text())
        .prop_map(|(tenant, kind, page, letter, text)| Document {
            tenant,
            kind,
            page,
            pair: Pair(letter, text),
        })
}

proptest! {
    #[test]
    fn every_key_is_found_by_its_text(key in document()) {
        let text = KeyText::of(&key).unwrap();
        prop_assert_eq!(Document::parse(&text), Some(key));
    }

    #[test]
    fn keys_that_differ_have_texts_that_differ(one in document(), other in document()) {
        prop_assert_eq!(KeyText::of(&one) == KeyText::of(&other), one == other);
    }

    #[test]
    fn what_is_read_is_written_the_same(text in "(Plain|Named|Wrapped|Type)?[:\\\\a0-]{0,9}") {
        if let Some(key) = Kind::parse(&text) {
            prop_assert_eq!(KeyText::of(&key).unwrap(), text);
        }
    }
}
