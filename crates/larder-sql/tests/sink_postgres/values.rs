//! Types: every field goes to its column, and comes back, as what it is.

use larder_core::sink::{Applied, WriteFault};
use larder_core::{Key, Sink, Value, Write, Written};
use larder_sql::{SqlSink, Writes};

use super::shop;
use crate::common::sinks::{Shop, held, numbered};
use crate::common::{answer, load, raw, source};

#[tokio::test(flavor = "multi_thread")]
async fn every_field_goes_to_its_column_as_what_it_is() {
    let shop = shop().await;
    shop.postgres.psql(
        "CREATE EXTENSION citext;
         CREATE TYPE mood AS ENUM ('glad', 'so so');
         CREATE DOMAIN small AS int CHECK (value < 100);
         CREATE TABLE t (id int PRIMARY KEY, i2 int2, i8 int8, n numeric, p numeric(10, 2), f float8, b bool, t text,
            v varchar(5), c char(4), ci citext, m mood, u uuid, d date, ts timestamptz, iv interval, j json,
            jb jsonb, a int[], ta text[], by bytea, s small, ip inet, x text);",
    );
    let names = [
        "i2", "i8", "n", "p", "f", "b", "t", "v", "c", "ci", "m", "u", "d", "ts", "iv", "j", "jb",
        "a", "ta", "by", "s", "ip", "x",
    ];
    let holes = names.map(|name| format!("{{{name}}}")).join(", ");
    let set = names.map(|name| format!("{name} = EXCLUDED.{name}")).join(", ");
    let store = format!(
        "INSERT INTO t (id, {}) VALUES ({{id}}, {holes}) ON CONFLICT (id) DO UPDATE SET {set} RETURNING *",
        names.join(", ")
    );
    let t = load("t:{id:int}", "SELECT * FROM t WHERE id = {id}");
    let sink =
        SqlSink::new(shop.database(), Writes { store: Some(store), ..Writes::new("t", t.clone()) })
            .unwrap();
    let loads = source(shop.database(), t);
    let report = sink.prepare().await.unwrap();
    assert_eq!(report.warnings, []);
    assert_eq!(report.statements[0].bindings[14], ("ts".into(), "timestamp with time zone".into()));
    let full = concat!(
        r#"{"id":7,"i2":-32768,"i8":9007199254740993,"n":123456789012345678901234567890.000000001,"#,
        r#""p":1.50,"f":0.1,"b":true,"t":"ü\"\\\n🦀 {t} '","v":"12345","c":"abcd","ci":"CiTe","m":"so so","#,
        r#""u":"0b6c1f5e-52ab-4d0e-9d42-aa90f3a7a1c4","d":"2024-02-29","#,
        r#""ts":"2024-02-29T10:00:00.5+00:00","iv":"1 day","j":{"k" : [1,  2]},"jb":{"k": [1, 2]},"a":[1,null],"#,
        r#""ta":["a b","\"c\"",null],"by":"AP8=","s":99,"ip":"10.0.0.1","x":"{\"deep\":[1]}"}"#,
    );
    let null = format!(r#"{{"id":7,{}}}"#, names.map(|name| format!(r#""{name}":null"#)).join(","));
    for json in [full, &null, full] {
        let write = Write::Store(Value::json(json.to_owned()));
        let written = held(sink.write(&Key::from("t:7"), &write).await.unwrap());
        assert_eq!(written.as_deref(), Some(json));
        assert_eq!(answer(&loads, "t:7").await.as_deref(), Some(json));
    }
    // In a batch they are the same.
    let epoch = sink.own("a").await.unwrap();
    let batch = [(7, full), (8, &null), (9, full)].map(|(id, json)| {
        let json = json.replace(r#""id":7"#, &format!(r#""id":{id}"#));
        numbered(&format!("t:{id}"), Write::Store(Value::json(json)), epoch, 1)
    });
    let applied = sink.apply(epoch, &batch).await.unwrap();
    for (applied, numbered) in applied.into_iter().zip(&batch) {
        let Write::Store(value) = &numbered.write else { unreachable!() };
        assert_eq!(applied, Applied::Now(Written::Value(value.clone())));
    }
    // An object in a column of text is its text, and a value of another kind is refused.
    for (name, json, stored) in [
        ("x", r#"{"deep" : 1}"#, Ok(r#""{\"deep\" : 1}""#)),
        ("x", "1.50", Ok(r#""1.50""#)),
        ("n", r#""12.10""#, Ok("12.10")),
        ("b", r#""yes""#, Ok("true")),
        ("p", "1.005", Ok("1.01")),
        ("i2", "32768", Err("out of range")),
        ("i8", "1.5", Err("invalid input syntax")),
        ("v", r#""123456""#, Err("too long")),
        ("m", r#""sad""#, Err("invalid input value for enum")),
        ("s", "100", Err("check constraint")),
        ("d", r#""2024-02-30""#, Err("out of range")),
        ("a", r#"{"a":1}"#, Err("is no array")),
        ("a", r#"["x"]"#, Err("invalid input syntax")),
        ("by", r#""***""#, Err("no base64")),
        ("by", "1", Err("no string in base64")),
        ("t", r#""\u0000""#, Err("invalid byte sequence")),
    ] {
        let json = null.replace(&format!(r#""{name}":null"#), &format!(r#""{name}":{json}"#));
        let done = sink.write(&Key::from("t:7"), &Write::Store(Value::json(json))).await;
        match (done, stored) {
            (Ok(written), Ok(stored)) => {
                let written = held(written).unwrap();
                assert!(
                    written.contains(&format!(r#""{name}":{stored},"#))
                        || written.contains(&format!(r#""{name}":{stored}}}"#)),
                    "{written}"
                );
            }
            (Err(error), Err(why)) => {
                assert_eq!(error.fault, WriteFault::Poison, "{name}");
                assert!(error.error.chain().contains(why), "{name}: {}", error.error.chain());
            }
            (done, _) => panic!("{name}: {done:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_values_are_written_as_they_are() {
    let shop = shop().await;
    shop.postgres.psql("CREATE TABLE r (id int PRIMARY KEY, t text, b bytea, j jsonb)");
    for (column, bytes, expected) in [
        ("t", &b"ue \xc3\xbc 'x'"[..], Ok(&b"ue \xc3\xbc 'x'"[..])),
        ("b", b"\x00\xff{value}", Ok(b"\x00\xff{value}")),
        ("j", b"{\"a\":1}", Ok(b"{\"a\": 1}")),
        ("j", b"{", Err(())),
        ("t", b"\xff", Err(())),
    ] {
        let load = raw("r:{id:int}", &format!("SELECT {column} FROM r WHERE id = {{id}}"));
        let store = format!(
            "INSERT INTO r (id, {column}) VALUES ({{id}}, {{value}})
             ON CONFLICT (id) DO UPDATE SET {column} = EXCLUDED.{column} RETURNING {column}"
        );
        let sink =
            SqlSink::new(shop.database(), Writes { store: Some(store), ..Writes::new("r", load) })
                .unwrap();
        let done = sink.write(&Key::from("r:1"), &Write::Store(Value::raw(bytes.to_vec()))).await;
        match expected {
            Ok(expected) => {
                assert_eq!(
                    done.unwrap(),
                    Written::Value(Value::raw(expected.to_vec())),
                    "{column}"
                );
            }
            Err(()) => assert_eq!(done.unwrap_err().fault, WriteFault::Poison, "{column}"),
        }
    }
}
