//! What must never be seen, in configurations that are right, wrong or no TOML.

use super::sharing::with_bus;

use super::super::reference::EXAMPLE;
use super::{CANARY, SMALL, check, parse};

#[test]
fn secrets_are_never_seen() {
    let mut texts = vec![EXAMPLE.to_owned(), SMALL.to_owned()];
    for line in [
        "resp = \"[::1]:1\"\npassword = \"c4n4ry\"",
        "admin = \"[::1]:1\"\ntoken = \"c4n4ry\"",
        "resp = \"[::1]:1\"\npassword = \"${CANARY}\"\nworkers = 0",
        "password = \"c4n4ry\\n\"",
        "password = '''c4n4ry\nc4n4ry'''",
        "password = [1, \"c4n4ry\"]",
        "pasword = \"c4n4ry\"",
        "paßword = \"c4n4ry\" # c4n4ry",
        "token = { x = \"c4n4ry\", url = \"c4n4ry\" }",
        "token = \"c4n4ry !\"",
        "workers = \"${CANARY}\"",
        "resp = \"${CANARY}\"",
        "resp = 1 # \"c4n4ry\"",
        "resp = \"#\" # c4n4ry",
        "\"a#b\" = 1 # c4n4ry",
    ] {
        texts.push(format!("{SMALL}[listen]\n{line}"));
    }
    for url in [
        "postgres://c4n4ry",
        "mysql://a:c4n4ry@h",
        "c4n4ry",
        "postgres:a:c4n4ry@h",
        "postgres://a:c4n4ry@h:port/d",
        "postgres://a@h/d?sslmode=c4n4ry",
        "sqlite:x?password=c4n4ry",
        "sqlite:x?mode=rw&key=c4n4ry",
        "postgres://a:${CANARY}@h/d?password=c4n4ry",
        "postgres://a:b@c4n4ry@h/d\\n",
    ] {
        texts.push(SMALL.replace("sqlite:shop.db", url));
    }
    texts.push("[shared]\nurl = \"redis://:c4n4ry@h\"".to_owned());
    for bus in ["nats://:c4n4ry@h", "nats://c4n4ry@h", "tls://a:c4n4ry@h", "c4n4ry"] {
        texts.push(with_bus("redis://localhost", bus));
    }
    texts.push("shared = { url = \"redis://:c4n4ry@h\" }\ncanary = \"c4n4ry\"".to_owned());
    texts.push("source = { shop = { url = \"x:c4n4ry\", ur1 = \"c4n4ry\" } }".to_owned());
    for text in texts {
        let seen = match parse(&text) {
            // A host is no secret.
            Ok(_) if text.contains("//c4n4ry") => continue,
            Ok(config) => format!("{config:?}{config:#?}{}", config.report()),
            Err(problems) => format!("{problems}{problems:?}"),
        };
        assert!(!seen.contains(CANARY), "{text}\n\n{seen}");
    }
}

/// Whatever is missing from a file, and wherever it ends: it is read or refused, and what is
/// secret in it stays so.
#[test]
fn secrets_are_never_seen_in_what_is_not_toml() {
    let text = r#"
[listen]
resp = "127.0.0.1:7379" # local
password = "c4n4ry" # c4n4ry
token = """
[c4n4ry
c4n4ry = c4n4ry
c4n4ry"""
[source.shop]
url = 'postgres://app:c4n4ry@h/d'
connections = 1
[source]
spare = { connections = 1, "url" = "postgres://app:c4n4ry@h/d", password = 'c4n4ry' }
"#;
    let mut broken = 0;
    for (at, c) in text.char_indices() {
        let without = format!("{}{}", &text[..at], &text[at + c.len_utf8()..]);
        let doubled = format!("{}{c}{}", &text[..at], &text[at..]);
        for text in [&text[..at], &without, &doubled] {
            let seen = match parse(text) {
                Ok(config) => format!("{config:?}{}", config.report()),
                Err(problems) => {
                    broken += usize::from(problems.to_string().contains("not TOML"));
                    format!("{problems}{problems:?}")
                }
            };
            assert!(!seen.contains(CANARY), "{text}\n\n{seen}");
        }
    }
    assert!(broken > 100, "{broken}");
}

#[test]
fn the_line_of_what_is_not_toml_is_shown_when_it_is_harmless() {
    check("[cache.a]\nload = \"SELECT 1", "2 | load = \"SELECT 1\n");
    check("[listen\nresp = 1", "1 | [listen\n");
    check("[cache.a]\nload = \"SELECT token", "2 | load =***\n");
    check("[listen]\npassword = \"c4n4ry", "2 | password =***\n");
    check("[c4n4ry", "1 | ***\n");
}
