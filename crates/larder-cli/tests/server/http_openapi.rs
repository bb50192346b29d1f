//! `/openapi.json` says what the listener does: each operation is called, each answer held against
//! what the document says of it, and no resource knows a method that it leaves out.

use std::collections::{BTreeMap, BTreeSet};

use larder_test::Redis;
use serde_json::Value;

use crate::http_support::{Answer, JSON, PATCH, Shop, ask, get, serve_http};

const ADA: &str = r#"{"id":1,"name":"Ada","email":null,"visits":0}"#;

/// The document, and what is looked up in it.
struct Document(Value);

impl Document {
    /// What a node is, wherever it is written.
    fn at<'a>(&'a self, node: &'a Value) -> &'a Value {
        match node.get("$ref").and_then(Value::as_str) {
            Some(place) => self.0.pointer(place.strip_prefix('#').unwrap()).unwrap(),
            None => node,
        }
    }

    /// The operations by their path and method.
    fn operations(&self) -> BTreeMap<(String, String), &Value> {
        let mut all = BTreeMap::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if method != "parameters" {
                    all.insert((path.clone(), method.to_uppercase()), operation);
                }
            }
        }
        all
    }

    /// Holds an answer against what an operation says of its status.
    fn check(&self, operation: &Value, answer: &Answer) {
        let (id, status) = (&operation["operationId"], answer.status.to_string());
        let said = &operation["responses"][&status];
        assert!(!said.is_null(), "{id} doesn't tell of {status}: {answer:?}");
        let said = self.at(said);
        for (name, header) in said["headers"].as_object().into_iter().flatten() {
            let header = self.at(header);
            let is_required = header["required"] == true;
            match answer.field(&name.to_ascii_lowercase()) {
                Some(value) => {
                    let number = (self.at(&header["schema"])["type"] == "integer")
                        .then(|| value.parse::<i64>().unwrap());
                    let value = number.map_or_else(|| value.into(), Value::from);
                    self.fits(&header["schema"], &value, &format!("{id}, {name}"));
                }
                None => assert!(!is_required, "{id} {status} has no {name}: {answer:?}"),
            }
        }
        let content = said["content"].as_object();
        let kind = answer.field("content-type");
        match (content, kind) {
            (Some(content), Some(kind)) => {
                // Of several parts it has the boundary, too.
                let kind = kind.split("; ").next().unwrap();
                let media = content.get(kind).unwrap_or_else(|| panic!("{id}: {kind}"));
                if kind.ends_with("json") && answer.status != 206 && !answer.body.is_empty() {
                    self.fits(&media["schema"], &answer.json(), &format!("{id} {status}"));
                }
            }
            (None, _) => assert_eq!(answer.body, "", "{id} {status}"),
            (Some(_), None) => panic!("{id} {status} has no content: {answer:?}"),
        }
    }

    /// Whether a value fits a schema: as much of JSON Schema as the document uses, and no word of
    /// it is passed over.
    fn fits(&self, schema: &Value, value: &Value, place: &str) {
        let schema = self.at(schema).as_object().unwrap();
        for (word, said) in schema {
            let fits = match (word.as_str(), value) {
                ("description" | "default", _) => true,
                ("const", _) => value == said,
                ("enum", _) => said.as_array().unwrap().contains(value),
                ("type", _) => match said.as_str().unwrap() {
                    "object" => value.is_object(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64(),
                    "null" => value.is_null(),
                    other => panic!("{other}"),
                },
                ("minimum", _) => value.as_i64() >= said.as_i64(),
                ("maximum", _) => value.as_i64() <= said.as_i64(),
                ("pattern", Value::String(text)) => is_like(said.as_str().unwrap(), text),
                ("oneOf", _) => {
                    let fits = |schema: &&Value| {
                        let is_null = self.at(schema)["type"] == "null";
                        is_null == value.is_null()
                    };
                    let which: Vec<_> = said.as_array().unwrap().iter().filter(fits).collect();
                    which.iter().for_each(|schema| self.fits(schema, value, place));
                    which.len() == 1
                }
                ("required", Value::Object(members)) => {
                    let names = said.as_array().unwrap().iter();
                    names.map(|name| name.as_str().unwrap()).all(|name| members.contains_key(name))
                }
                ("additionalProperties", Value::Object(members)) => {
                    assert_eq!(*said, false);
                    members.keys().all(|name| schema["properties"].get(name).is_some())
                }
                ("properties", Value::Object(members)) => {
                    for (name, member) in members {
                        if let Some(schema) = said.get(name) {
                            self.fits(schema, member, &format!("{place}, {name}"));
                        }
                    }
                    true
                }
                _ => panic!("{place}: {word} isn't known here for {value}"),
            };
            assert!(fits, "{place}: {value} doesn't fit {word} {said}");
        }
    }
}

/// The patterns of the document.
fn is_like(pattern: &str, text: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    match pattern {
        "^\"[0-9a-f]{32}\"$" => {
            text.len() == 34 && text.starts_with('"') && text.ends_with('"') && hex(&text[1..33])
        }
        "^[0-9a-f]{8}-[0-9]+$" => text.split_once('-').is_some_and(|(run, number)| {
            run.len() == 8 && hex(run) && number.parse::<u64>().is_ok()
        }),
        other => panic!("{other}"),
    }
}

#[test]
fn the_description_is_what_the_listener_does() {
    let redis = Redis::start();
    let shop = Shop::new();
    let listen = "token = \"open-sesame\"\n";
    let shared = format!("{listen}[shared]\nurl = \"{}\"\n", redis.url());
    let larder = serve_http(&(shared + &shop.config("changes = \"announced\"", "")));
    let described = get(&larder, "/openapi.json");
    let document = Document(described.json());
    assert!(document.0["openapi"].as_str().unwrap().starts_with("3.1."));
    let operations = document.operations();

    let token = "Authorization: Bearer open-sesame";
    let row = "/cache/{name}/{key}";
    let tag = get(&larder, "/cache/user/user:1").tag().to_owned();
    let unchanged = format!("If-None-Match: {tag}");
    let json = format!("{JSON}\n{token}");
    let create = format!("{json}\nIf-None-Match: *");
    let patch = format!("{PATCH}\n{token}");
    let lin = r#"{"id":7,"name":"Lin","email":null,"visits":0}"#;
    let names = r#"{"keys":["user:1"],"tags":["users"],"caches":["user"],"prefixes":["user:"],"soft":true}"#;
    // An operation, its request, and the status that it is to show.
    let calls: Vec<(&str, &str, &str, &str, &str, u16)> = vec![
        ("GET", row, "/cache/user/user:1", "", "", 200),
        ("GET", row, "/cache/note/note:a/b%20c", "", "", 200),
        ("GET", row, "/cache/user/user:1", "Range: bytes=0-3", "", 206),
        ("GET", row, "/cache/user/user:1", "Range: bytes=0-3, 6-7", "", 206),
        ("GET", row, "/cache/user/user:1", &unchanged, "", 304),
        ("GET", row, "/cache/user/user:x", "", "", 400),
        ("GET", row, "/cache/user/user:99", "", "", 404),
        ("GET", row, "/cache/nobody/user:1", "", "", 404),
        ("GET", row, "/cache/user/user:1", "If-Match: \"x\"", "", 412),
        ("GET", row, "/cache/user/user:1", "Range: bytes=9999-", "", 416),
        ("HEAD", row, "/cache/user/user:1", "", "", 200),
        ("HEAD", row, "/cache/user/user:1", &unchanged, "", 304),
        ("HEAD", row, "/cache/user/user:99", "", "", 404),
        ("PUT", row, "/cache/user/user:1", &json, ADA, 204),
        ("PUT", row, "/cache/user/user:7", &create, lin, 201),
        ("PUT", row, "/cache/user/user:7", &create, lin, 412),
        ("PUT", row, "/cache/user/user:1", JSON, ADA, 401),
        ("PUT", row, "/cache/user/user:1", &json, "{", 400),
        ("PUT", row, "/cache/user/user:1", &json, "{}", 403),
        ("PUT", row, "/cache/user/user:1", token, ADA, 415),
        ("PATCH", row, "/cache/user/user:1", &patch, "{\"visits\":3}", 204),
        ("PATCH", row, "/cache/user/user:99", &patch, "{\"visits\":3}", 404),
        ("PATCH", row, "/cache/user/user:1", &json, "{}", 415),
        ("DELETE", row, "/cache/user/user:7", token, "", 204),
        ("DELETE", row, "/cache/note/note:x", token, "", 403),
        ("POST", "/invalidate", "/invalidate", &json, names, 200),
        ("POST", "/invalidate", "/invalidate", &json, "{}", 400),
        ("POST", "/invalidate", "/invalidate", &json, "{\"keys\":[\"plain\"]}", 403),
        ("POST", "/invalidate", "/invalidate", token, "{}", 415),
        ("GET", "/openapi.json", "/openapi.json", "", "", 200),
        ("GET", "/openapi.json", "/openapi.json?", "", "", 400),
    ];
    let mut shown: BTreeMap<(String, String), BTreeSet<u16>> = BTreeMap::new();
    for (method, path, target, fields, body, status) in calls {
        let place = (path.to_owned(), method.to_owned());
        let operation =
            operations.get(&place).unwrap_or_else(|| panic!("{place:?} isn't described"));
        let answer = ask(&larder, &format!("{method} {target}"), fields, body);
        assert_eq!(answer.status, status, "{method} {target} {fields} {body}: {answer:?}");
        document.check(operation, &answer);
        shown.entry(place).or_default().insert(status);
    }
    for (place, operation) in &operations {
        let shown = shown.get(place).unwrap_or_else(|| panic!("{place:?} isn't called"));
        // Whatever an operation comes to when it is done was seen.
        for status in operation["responses"].as_object().unwrap().keys() {
            let status: u16 = status.parse().unwrap();
            assert!(status >= 400 || shown.contains(&status), "{place:?} never came to {status}");
        }
        // Any of them is refused for another host.
        let misdirected = operation["responses"].get("421");
        assert!(misdirected.is_some(), "{place:?}");
    }
    // Nothing is there that isn't described.
    for (path, item) in document.0["paths"].as_object().unwrap() {
        let target = path.replace("{name}", "user").replace("{key}", "user:1");
        let refused = ask(&larder, &format!("PURGE {target}"), token, "");
        assert_eq!(refused.status, 405);
        let allowed: BTreeSet<_> =
            refused.field("allow").unwrap().split(',').map(str::to_lowercase).collect();
        let mut described: BTreeSet<_> =
            item.as_object().unwrap().keys().filter(|key| *key != "parameters").cloned().collect();
        // Who knows GET knows HEAD, without a word.
        if described.contains("get") {
            described.insert("head".to_owned());
        }
        assert_eq!(allowed, described, "{path}");
    }
}
