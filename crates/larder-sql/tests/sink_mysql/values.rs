//! Types: every field goes to its column, and comes back, as what it is.

use larder_core::sink::WriteFault;
use larder_core::{Key, Sink, Value, Write, Written};
use larder_sql::{SqlSink, Writes};

use super::shop;
use crate::common::sinks::{Shop, held, user, user_writes};
use crate::common::{answer, load, raw, sinks, source, tagged};

#[tokio::test(flavor = "multi_thread")]
async fn every_field_goes_to_its_column_as_what_it_is() {
    let shop = shop().await;
    shop.sql(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, i BIGINT, u BIGINT UNSIGNED, n DECIMAL(30,10), r DOUBLE, f FLOAT,
            t TEXT, c VARCHAR(5) COLLATE utf8mb4_bin, b BOOLEAN, y BLOB, j JSON, d DATE, m DATETIME(6),
            z TIMESTAMP NULL, h TIME, e ENUM('glad', 'sad'), s SET('a', 'b'), bits BIT(10), x YEAR)",
    )
    .await;
    let names = "i u n r f t c b y j d m z h e s bits x".split(' ').collect::<Vec<_>>();
    let holes: Vec<_> = names.iter().map(|name| format!("{{{name}}}")).collect();
    let store = format!("REPLACE INTO t VALUES ({{id}}, {})", holes.join(", "));
    let t = load("t:{id:int}", "SELECT * FROM t WHERE id = {id}");
    let writes = Writes { store: Some(store), ..Writes::new("t", t.clone()) };
    let sink = SqlSink::new(shop.database(), writes).unwrap();
    assert_eq!(sink.prepare().await.unwrap().warnings, []);
    let loads = source(shop.database(), t);
    let full = concat!(
        r#"{"id":7,"i":9007199254740993,"u":18446744073709551615,"n":12345678901234567890.1234567891,"r":0.1,"#,
        r#""f":0.5,"t":"ü\"\\\n🦀 {t} '","c":"a","b":true,"y":"AP8=","j":{"deep": [1, null]},"#,
        r#""d":"2024-02-29","m":"2024-02-29 12:00:00.25","z":"2024-02-29 12:00:00","h":"-01:02:03","#,
        r#""e":"sad","s":"a,b","bits":513,"x":2024}"#
    );
    let nulls: Vec<_> = names.iter().map(|name| format!(r#","{name}":null"#)).collect();
    let null = format!(r#"{{"id":7{}}}"#, nulls.concat());
    for json in [full, &null, full] {
        let write = Write::Store(Value::json(json.to_owned()));
        let written = held(sink.write(&Key::from("t:7"), &write).await.unwrap());
        assert_eq!(written.as_deref(), Some(json));
        assert_eq!(answer(&loads, "t:7").await.as_deref(), Some(json));
    }
    for (name, json, stored) in [
        ("i", r#""12""#, Ok("12")),
        ("t", "12", Ok(r#""12""#)),
        ("t", "[1, 2]", Ok(r#""[1, 2]""#)),
        ("t", "1.50", Ok(r#""1.50""#)),
        ("b", "false", Ok("false")),
        ("n", r#""1.5""#, Ok("1.5000000000")),
        ("j", r#""text""#, Ok(r#""text""#)),
        ("d", r#""0000-00-00""#, Ok(r#""0000-00-00""#)),
        ("i", "18446744073709551615", Err("Out of range")),
        ("u", "-1", Err("Out of range")),
        ("i", r#""1x""#, Err("Data truncated")),
        ("c", r#""123456""#, Err("too long")),
        ("e", r#""odd""#, Err("Data truncated")),
        ("d", r#""2024-02-30""#, Err("Incorrect date")),
        ("y", r#""*""#, Err("no base64")),
        ("y", "1", Err("no string in base64")),
    ] {
        let json = null.replace(&format!(r#""{name}":null"#), &format!(r#""{name}":{json}"#));
        match (sink.write(&Key::from("t:7"), &Write::Store(Value::json(json))).await, stored) {
            (Ok(written), Ok(stored)) => {
                let written = held(written).unwrap();
                assert!(written.contains(&format!(r#""{name}":{stored},"#)), "{written}");
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
    shop.sql("CREATE TABLE r (id BIGINT PRIMARY KEY, t TEXT, y BLOB)").await;
    for (column, bytes, is_written) in [
        ("t", &b"ue \xc3\xbc 'x' \\' {value}"[..], true),
        ("y", b"abc", true),
        ("y", b"\x00\xff{value}", true),
        ("t", b"\xff", false),
    ] {
        let load = raw("r:{id:int}", &format!("SELECT {column} FROM r WHERE id = {{id}}"));
        let store = format!("REPLACE INTO r (id, {column}) VALUES ({{id}}, {{value}})");
        let writes = Writes { store: Some(store), ..Writes::new("r", load) };
        let sink = SqlSink::new(shop.database(), writes).unwrap();
        let value = Value::raw(bytes.to_vec());
        let written = sink.write(&Key::from("r:1"), &Write::Store(value.clone())).await;
        match is_written {
            true => assert_eq!(written.unwrap(), Written::Value(value)),
            false => assert_eq!(written.unwrap_err().fault, WriteFault::Poison),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_what_the_load_gives_or_is_not_said() {
    let shop = shop().await;
    shop.sql("INSERT INTO counters VALUES (1, 0)").await;
    let write = |writes: Writes| async {
        let sink = SqlSink::new(shop.database(), writes).unwrap();
        let report = sink.prepare().await.unwrap();
        let written = sink.write(&Key::from("user:1"), &user(1, "Ada")).await.unwrap();
        let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
        (held(written), warnings.concat())
    };
    let store = || Writes { store: Some(shop.words(sinks::STORE)), ..user_writes() };
    let ada = r#"{"id":1,"name":"Ada","email":null}"#;
    assert_eq!(write(store()).await, (Some(ada.to_owned()), String::new()));
    // What MariaDB returns is the same, and doesn't matter.
    let returning =
        Writes { store: Some(shop.words(sinks::STORE) + " RETURNING 1 AS one"), ..store() };
    assert_eq!(write(returning).await, (Some(ada.to_owned()), String::new()));
    let with = |sql: &str| Writes { load: load("user:{id:int}", sql), ..store() };
    // A row that the load doesn't give is not held, whatever was stored.
    let others = with("SELECT id, name, email FROM users WHERE id = {id} AND name <> 'Ada'");
    assert_eq!(write(others).await, (None, String::new()));
    for (sql, why) in [
        ("SELECT id, upper(name) AS name FROM users WHERE id = {id}", "the column name of load is"),
        ("SELECT u.id, c.n FROM users u JOIN counters c USING (id) WHERE id = {id}", "column n of"),
    ] {
        let (held, warnings) = write(with(sql)).await;
        assert_eq!(held.as_deref(), Some("unsaid"), "{sql}");
        assert!(warnings.contains(why), "{warnings}");
    }
    let tags = Writes { load: tagged(user_writes().load, &["name:{name}"]), ..store() };
    let (held, warnings) = write(tags).await;
    assert_eq!(held.as_deref(), Some("unsaid"));
    assert!(warnings.contains("has tags"), "{warnings}");
}
