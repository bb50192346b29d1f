//! Templates as users write them, and as chance writes them.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::ErrorKind;

fn template(text: &str) -> KeyTemplate {
    KeyTemplate::parse(text).unwrap()
}

#[test]
fn a_template_tells_its_parts() {
    let orders = template("order:{shop:text}:{no:int}");
    assert_eq!(orders.text(), "order:{shop:text}:{no:int}");
    assert_eq!(orders.prefix(), "order:");
    let names: Vec<_> = orders.parameters().iter().map(|p| (p.name.as_str(), p.kind)).collect();
    assert_eq!(names, [("shop", ParameterKind::Text), ("no", ParameterKind::Int)]);
}

#[test]
fn doubled_braces_are_braces() {
    let odd = template("a{{b}}:{id:int}");
    assert_eq!(odd.prefix(), "a{b}:");
    assert_eq!(odd.matches("a{b}:7").unwrap(), [ParameterValue::Int(7)]);
}

#[test]
fn a_template_without_parameters_is_one_key() {
    let all = template("settings");
    assert_eq!(all.matches("settings").unwrap(), []);
    assert!(all.matches("settings2").is_err());
}

#[test]
fn what_is_refused_says_what_to_write() {
    for (text, cure) in [
        ("user:{id:integer}", "did you mean {id:int}?"),
        ("user:{id:itn}", "did you mean {id:int}?"),
        ("user:{id:string}", "did you mean {id:text}?"),
        ("user:{id:timestamp}", "the types are int, text, uuid, bool and version"),
        ("user:{id:revision}", "did you mean {id:version}?"),
        ("user:{id:}", "the types are"),
        ("user:{id}", "write {id:int}"),
        ("user:{}", "write {id:int}"),
        ("{id:int}", "begin it with a name of its own"),
        ("", "begin it with a name of its own"),
        ("x:{a:text}{b:int}", "between {a} and {b:int}: put a character"),
        ("x:{a:int}7{b:int}", "put another character between them"),
        ("x:{a:version}7", "a digit right after {a:version}"),
        ("x:{a:int}:{a:text}", "two parameters named a: rename one"),
        ("x:{1a:int}", "a name is a letter or _"),
        ("x:{a b:int}", "a name is a letter or _"),
        ("x:{:int}", "a name is a letter or _"),
        ("x:{a:int", "close it, or write {{"),
        ("x:a}", "write }} for the brace itself"),
        ("x:\n{a:int}", "control character"),
    ] {
        let error = KeyTemplate::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(cure), "{text:?}: {error}");
    }
    let many: String = (0..=PARAMETERS_MAX).map(|n| format!(":{{p{n}:int}}")).collect();
    assert!(KeyTemplate::parse(&format!("x{many}")).is_err());
    assert!(KeyTemplate::parse(&"x".repeat(KEY_BYTES_MAX)).is_ok());
    assert!(KeyTemplate::parse(&format!("{}{{a:int}}", "x".repeat(KEY_BYTES_MAX))).is_err());
}

#[test]
fn only_the_canonical_spelling_matches() {
    let uuid = "0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4";
    for (text, good, bad) in [
        (
            "k:{v:int}",
            vec!["0", "-1", "9223372036854775807", "-9223372036854775808"],
            vec!["", "-", "-0", "042", "+1", " 1", "1.0", "9223372036854775808", "x", "٣"],
        ),
        (
            "k:{v:version}",
            vec!["0", "7", "18446744073709551615"],
            vec!["", "-1", "+1", "042", "00", "1.0", "18446744073709551616", "v1", "٣"],
        ),
        ("k:{v:bool}", vec!["true", "false"], vec!["", "True", "1", "truely", "tru"]),
        ("k:{v:text}", vec!["a", "a:b", "ü{}"], vec!["", "a\nb", "\u{7f}"]),
        (
            "k:{v:uuid}",
            vec![uuid],
            vec!["", "0b6c1f5e52ab4d0e9d42aa90f3a7a1c4", "0B6C1F5E-52ab-4d0e-9d42-aa90f3a7a1c4"],
        ),
    ] {
        let template = template(text);
        for part in good {
            assert!(template.matches(&format!("k:{part}")).is_ok(), "{text} {part}");
        }
        for part in bad {
            assert!(template.matches(&format!("k:{part}")).is_err(), "{text} {part}");
        }
    }
}

#[test]
fn twelve_digits_padded_with_zeros_mean_their_number_and_nothing_else_does() {
    let versioned = template("t:{id:int}:{v:version}");
    assert_eq!(versioned.unpadded("t:000000000042:000000000007").as_deref(), Some("t:42:7"));
    assert_eq!(versioned.unpadded("t:42:007"), None);
    let two = template("t:{name:text}:{no:int}");
    for (key, meant) in [
        ("t:a:000000000042", Some("t:a:42")),
        ("t:a:000000000000", Some("t:a:0")),
        // A text is as it is.
        ("t:000000000001:000000000042", Some("t:000000000001:42")),
        ("t:a:42", Some("t:a:42")),
        ("t:a:00000000042", None),
        ("t:a:0000000000042", None),
        ("t:a:-00000000042", None),
        ("t:a:00000000004x", None),
        ("t:a:042", None),
        ("u:a:000000000042", None),
    ] {
        assert_eq!(two.unpadded(key).as_deref(), meant, "{key}");
    }
}

#[test]
fn a_mismatch_is_a_sentence_that_helps() {
    for (text, key, sentence) in [
        (
            "user:{id:int}",
            "user:abc",
            "`abc` is not an int, as the parameter id of user:{id:int} asks",
        ),
        (
            "user:{id:int}",
            "user:042",
            "`042` is not an int, as the parameter id of user:{id:int} asks; it is written 42",
        ),
        ("user:{id:int}", "usr:1", "`usr:1` does not begin with `user:`, as user:{id:int} asks"),
        ("o:{a:text}:{b:int}", "o:x", "`o:x` ends where o:{a:text}:{b:int} asks for `:`"),
        ("o:{a:bool}:", "o:true:x", "`x` is left over after o:{a:bool}:"),
        (
            "o:{a:bool}:",
            "o:yes:",
            "`yes` is not a bool, as the parameter a of o:{a:bool}: asks; a bool is true or false",
        ),
    ] {
        assert_eq!(template(text).matches(key).unwrap_err().to_string(), sentence);
    }
    let long = template("t:{a:int}").matches(&format!("t:{}", "x".repeat(900))).unwrap_err();
    assert!(long.to_string().len() < 200, "{long}");
}

#[test]
fn a_key_is_at_most_as_long_as_any_key() {
    let text = template("t:{a:text}");
    let fits = ParameterValue::Text("x".repeat(KEY_BYTES_MAX - 2));
    let key = text.render(std::slice::from_ref(&fits)).unwrap();
    assert_eq!(text.matches(&key).unwrap(), [fits]);
    assert!(text.render(&[ParameterValue::Text("x".repeat(KEY_BYTES_MAX - 1))]).is_err());
    assert!(text.matches(&format!("{key}x")).is_err());
}

#[test]
fn values_that_make_no_key_are_refused() {
    let orders = template("order:{shop:text}:{no:int}");
    let (shop, no) = (ParameterValue::Text("b".into()), ParameterValue::Int(1));
    assert_eq!(orders.render(&[shop.clone(), no.clone()]).unwrap(), "order:b:1");
    assert!(orders.render(std::slice::from_ref(&shop)).is_err());
    assert!(orders.render(&[no.clone(), shop]).is_err());
    for text in ["", "a:b", "a\n"] {
        assert!(orders.render(&[ParameterValue::Text(text.into()), no.clone()]).is_err());
    }
}

#[test]
fn overlaps_are_found_exactly() {
    let nines = "9".repeat(19);
    for (left, right, example) in [
        ("user:{id:int}", "user:{name:text}", Some("user:1")),
        ("user:{id:int}", "user:{ok:bool}", None),
        ("user:{id:int}", "users:{id:int}", None),
        ("user:{id:int}", "user:{id:int}:name", None),
        ("user:{id:text}", "user:{id:int}:name", Some("user:1:name")),
        ("o:{a:text}:{b:text}", "o:{a:text}:{b:int}", Some("o:a:1")),
        ("o:{a:text}:{b:text}", "o:{a:text}", Some("o:a:a")),
        ("o:{a:bool}", "o:true", Some("o:true")),
        ("n:{a:int}", "n:042", None),
        ("n:{a:int}", "n:-0", None),
        ("n:{a:int}", &format!("n:{nines}"), None),
        ("n:{a:int}", "n:9223372036854775807", Some("n:9223372036854775807")),
        ("n:{a:int}", "n:9223372036854775808", None),
        ("n:{a:int}", "n:-9223372036854775808", Some("n:-9223372036854775808")),
        ("u:{a:uuid}", "u:{b:int}", None),
        ("t:{a:text}ü", "t:{b:text}", Some("t:aü")),
        ("v:{a:version}", "v:{b:int}", Some("v:1")),
        ("v:{a:version}", "v:-1", None),
        ("v:{a:version}", "v:18446744073709551615", Some("v:18446744073709551615")),
        ("v:{a:version}", "v:18446744073709551616", None),
    ] {
        let (left, right) = (template(left), template(right));
        assert_eq!(left.overlaps(&right).as_deref(), example, "{left} {right}");
        assert_eq!(right.overlaps(&left).is_some(), example.is_some(), "{right} {left}");
    }
    let longest = template(&format!("{}{{a:bool}}", "x".repeat(KEY_BYTES_MAX - 4)));
    assert!(longest.overlaps(&template("x{a:text}")).is_some_and(|key| key.ends_with("true")));
    // The only common keys would be longer than any key.
    let left = template(&format!("k{{a:text}}1{}", "x".repeat(600)));
    let right = template(&format!("k{}2{{a:text}}", "y".repeat(600)));
    assert_eq!(left.overlaps(&right), None);
}

#[test]
fn what_a_key_can_begin_with_is_known_exactly() {
    for (text, begins, never) in [
        (
            "user:{id:int}",
            vec!["", "u", "user:", "user:-", "user:0", "user:42"],
            vec!["x", "user:x", "user:01", "user:-0", "user:1:"],
        ),
        (
            "n:{a:int}:x",
            vec!["n:9223372036854775807", "n:1:", "n:1:x"],
            vec!["n:9223372036854775808", "n:1:y", "n:1:xx"],
        ),
        ("v:{a:version}", vec!["v:18446744073709551615"], vec!["v:-", "v:18446744073709551616"]),
        ("b:{a:bool}", vec!["b:t", "b:fals"], vec!["b:x", "b:truee"]),
        ("t:{a:text}:{b:text}", vec!["t:a", "t:a:", "t:a:b:c"], vec!["t::", "t:\n"]),
        ("settings", vec!["set", "settings"], vec!["settingsx"]),
    ] {
        let template = template(text);
        for beginning in begins {
            assert!(template.can_begin_with(beginning), "{text} {beginning:?}");
        }
        for beginning in never {
            assert!(!template.can_begin_with(beginning), "{text} {beginning:?}");
        }
    }
    let text = template("t:{a:text}");
    assert!(text.can_begin_with(&format!("t:{}", "x".repeat(KEY_BYTES_MAX - 2))));
    assert!(!text.can_begin_with(&format!("t:{}", "x".repeat(KEY_BYTES_MAX - 1))));
}

fn kind() -> impl Strategy<Value = ParameterKind> {
    proptest::sample::select(ParameterKind::ALL.to_vec())
}

/// Templates over a small alphabet, most of them valid.
fn small_template() -> impl Strategy<Value = KeyTemplate> {
    let literal = "[a1t:-]{1,2}";
    let parts = proptest::collection::vec((kind(), literal), 0..3);
    (literal, parts, any::<bool>()).prop_filter_map("valid", |(prefix, parts, open)| {
        let mut text = prefix;
        let last = parts.len();
        for (at, (kind, literal)) in parts.into_iter().enumerate() {
            text.push_str(&format!("{{p{at}:{kind}}}"));
            if !(open && at + 1 == last) {
                text.push_str(&literal);
            }
        }
        KeyTemplate::parse(&text).ok()
    })
}

fn value(kind: ParameterKind) -> impl Strategy<Value = ParameterValue> {
    match kind {
        ParameterKind::Int => {
            prop_oneof![any::<i64>(), -20..20_i64].prop_map(ParameterValue::Int).boxed()
        }
        ParameterKind::Text => {
            prop_oneof!["[^\\p{Cc}]{1,8}", "[a1t:-]{1,3}"].prop_map(ParameterValue::Text).boxed()
        }
        ParameterKind::Uuid => any::<u128>().prop_map(ParameterValue::Uuid).boxed(),
        ParameterKind::Bool => any::<bool>().prop_map(ParameterValue::Bool).boxed(),
        ParameterKind::Version => {
            prop_oneof![any::<u64>(), 0..20_u64].prop_map(ParameterValue::Version).boxed()
        }
    }
}

fn template_and_values() -> impl Strategy<Value = (KeyTemplate, Vec<ParameterValue>)> {
    small_template().prop_flat_map(|template| {
        let values: Vec<_> = template.parameters().iter().map(|p| value(p.kind)).collect();
        (Just(template), values)
    })
}

/// Every string over a small alphabet, up to five characters.
fn small_keys() -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut longest = keys.clone();
    for _ in 0..5 {
        longest = longest
            .iter()
            .flat_map(|key| "a1t:-".chars().map(move |letter| format!("{key}{letter}")))
            .collect();
        keys.extend_from_slice(&longest);
    }
    keys
}

proptest! {
    #[test]
    fn rendering_and_matching_are_inverse((template, values) in template_and_values()) {
        if let Ok(key) = template.render(&values) {
            prop_assert_eq!(template.matches(&key).unwrap(), values);
        }
    }

    #[test]
    fn a_key_that_matches_renders_to_itself(template in small_template(), key in "[a1t:-]{1,8}") {
        if let Ok(values) = template.matches(&key) {
            prop_assert_eq!(template.render(&values).unwrap(), key);
        }
    }

    #[test]
    fn every_key_begins_with_what_a_key_can_begin_with((template, values) in template_and_values()) {
        if let Ok(key) = template.render(&values) {
            for (end, _) in key.char_indices() {
                prop_assert!(template.can_begin_with(&key[..end]), "{} {}", template, &key[..end]);
            }
            prop_assert!(template.can_begin_with(&key));
        }
    }

    #[test]
    fn overlaps_agrees_with_trying_every_key(
        left in small_template(),
        right in small_template(),
    ) {
        let both = |key: &str| left.matches(key).is_ok() && right.matches(key).is_ok();
        let tried = small_keys().into_iter().find(|key| both(key));
        match (left.overlaps(&right), tried) {
            (Some(example), tried) => {
                prop_assert!(both(&example), "{} {} {}", left, right, example);
                prop_assert!(tried.is_none_or(|key| example.len() <= key.len()));
            }
            (None, tried) => prop_assert_eq!(tried, None, "{} {}", left, right),
        }
    }
}
