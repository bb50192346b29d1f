//! The shapes that records come in.

use larder_feed::debezium::Decoder;

use crate::kit::{change, record, said};

#[track_caller]
fn check(key: &str, value: &str, expected: &[&str]) {
    let record = record("shop.public.users", key, value);
    assert_eq!(said(&Decoder::default(), &record), expected);
}

#[test]
fn a_row_is_inserted_updated_and_deleted() {
    let after = r#"{"id":1,"name":"Ada","bio":null}"#;
    check("", &change("c", "null", after, 5), &["public.users +bio id=1 name=Ada"]);
    check("", &change("u", "null", after, 5), &["public.users =bio id=1 name=Ada"]);
    let before = r#"{"id":1,"name":"A","bio":"x"}"#;
    let both = "public.users =bio=x id=1 name=A > bio id=1 name=Ada";
    check("", &change("u", before, after, 5), &[both]);
    check("", &change("t", "null", "null", 5), &["public.users ~"]);
}

/// Debezium writes what Postgres's log didn't tell as nulls, or as zeros where there can be none.
#[test]
fn of_an_old_row_only_what_was_told_is_known() {
    let before = r#"{"id":1,"name":null,"age":0,"is_on":false,"bio":""}"#;
    let unknown = "public.users -age? bio? id=1 is_on? name?";
    check(r#"{"id":1}"#, &change("d", before, "null", 5), &[unknown]);
    check("", &change("d", before, "null", 5), &[unknown]);
    check(r#"{"id":1}"#, &change("d", "null", "null", 5), &["public.users -id=1"]);
    // A row whose key is zero.
    let before = r#"{"id":0,"name":null}"#;
    check(r#"{"id":0}"#, &change("d", before, "null", 5), &["public.users -id=0 name?"]);
    check("", &change("d", before, "null", 5), &["public.users -id? name?"]);
}

#[test]
fn a_mysql_row_is_known_as_it_was_and_is_in_its_database() {
    let value = r#"{"before":{"id":0,"name":null},"after":null,"op":"d","ts_ms":1,"source":{
        "version":"3.0.5.Final","connector":"mysql","name":"shop","ts_ms":1,"snapshot":"false",
        "db":"store","table":"users","server_id":1,"gtid":null,"file":"b.1","pos":4,"row":0}}"#;
    check("", value, &["store.users -id=0 name"]);
}

#[test]
fn a_schema_may_come_around_it() {
    let fields = r#"[{"type":"int32","optional":false,"default":0,"field":"id"},
        {"type":"string","optional":true,"field":"name"},
        {"type":"int32","optional":true,"name":"io.debezium.time.Date","version":1,"field":"born"}]"#;
    let schema = format!(
        r#"{{"type":"struct","optional":false,"name":"shop.public.users.Envelope","fields":[
            {{"type":"struct","optional":true,"field":"before","fields":{fields}}},
            {{"type":"struct","optional":true,"field":"after","fields":{fields}}},
            {{"type":"string","optional":false,"field":"op"}}]}}"#
    );
    let key = r#"{"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}],
        "optional":false,"name":"shop.public.users.Key"},"payload":{"id":7}}"#;
    let wrap = |payload: &str| format!(r#"{{"schema":{schema},"payload":{payload}}}"#);
    let after = r#"{"id":7,"name":"Ada","born":11016}"#;
    let inserted = "public.users +born=2000-02-29 id=7 name=Ada";
    check(key, &wrap(&change("c", "null", after, 5)), &[inserted]);
    let before = r#"{"id":7,"name":null,"born":null}"#;
    let deleted = "public.users -born? id=7 name?";
    check(key, &wrap(&change("d", before, "null", 5)), &[deleted]);
    check(key, r#"{"schema":null,"payload":null}"#, &["public.users -id=7"]);
}

#[test]
fn a_key_that_changes_is_a_delete_a_tombstone_and_an_insert() {
    check(r#"{"id":1}"#, &change("d", r#"{"id":1}"#, "null", 5), &["public.users -id=1"]);
    check(r#"{"id":1}"#, "", &["public.users -id=1"]);
    check(r#"{"id":2}"#, &change("c", "null", r#"{"id":2}"#, 5), &["public.users +id=2"]);
}

#[test]
fn a_tombstone_of_nothing_that_is_known_says_nothing() {
    let decoder = Decoder::default();
    assert!(said(&decoder, &record("users", r#"{"id":1}"#, "")).is_empty());
    assert!(said(&decoder, &record("shop.public.users", "", "")).is_empty());
    assert!(said(&decoder, &record("shop.public.users", "", "null")).is_empty());
}

#[test]
fn a_flattened_row_is_what_it_says_it_is() {
    let key = r#"{"id":1}"#;
    let at = r#""__table":"users","__schema":"public""#;
    check(
        key,
        &format!(r#"{{"id":1,"name":"Ada","__op":"c",{at}}}"#),
        &["public.users +id=1 name=Ada"],
    );
    check(
        key,
        &format!(r#"{{"id":1,"name":"Ada","__op":"u",{at}}}"#),
        &["public.users =id=1 name=Ada"],
    );
    check(key, r#"{"id":1,"name":"Ada"}"#, &["public.users =id=1 name=Ada"]);
    let gone = r#"{"id":1,"name":"","__deleted":"true","__source_connector":"postgresql"}"#;
    check(key, gone, &["public.users -id=1 name?"]);
    check(r#"{"id":1}"#, r#"{"__deleted":true}"#, &["public.users -id=1"]);
    check(key, r#"{"id":1,"__deleted":"false","__op":"r"}"#, &["read public.users +id=1"]);
    let other = r#"{"id":1,"__op":"c","__source_table":"orders","__source_db":"store"}"#;
    check(key, other, &["store.orders +id=1"]);
}

#[test]
fn a_snapshot_is_read_and_not_changed() {
    let after = r#"{"id":1}"#;
    check("", &change("r", "null", after, 5), &["read public.users +id=1"]);
    let asked = change("r", "null", after, 5).replace(r#""false""#, r#""incremental""#);
    check("", &asked, &["asked for public.users +id=1"]);
}

#[test]
fn what_a_writer_left_for_larder_is_told() {
    let message = |prefix: &str, content: &str| {
        let value = format!(
            r#"{{"op":"m","ts_ms":1723115240065,"source":{{"connector":"postgresql","name":"shop",
                "ts_ms":1,"schema":"","table":"","txId":756,"lsn":26997904,"xmin":null}},
                "message":{{"prefix":"{prefix}","content":"{content}"}}}}"#
        );
        said(&Decoder::default(), &record("shop.message", "", &value))
    };
    assert_eq!(message("larder", "dXNlcjox"), [r#""user:1""#]);
    assert_eq!(message("larder-heartbeat", "dXNlcjox"), ["beat user:1"]);
    assert!(message("outbox", "dXNlcjox").is_empty());
}

#[test]
fn a_row_of_the_table_of_beats_is_a_beat_unless_it_was_read_for_a_snapshot() {
    let row = |op: &str| {
        let row = change(op, "null", r#"{"id":1,"beat":"larder 1 2"}"#, 5);
        let row = row.replace(r#""table":"users""#, r#""table":"larder_heartbeat""#);
        said(&Decoder::default(), &record("shop.public.larder_heartbeat", "", &row))
    };
    assert_eq!(row("u"), ["beat larder 1 2"]);
    assert_eq!(row("c"), ["beat larder 1 2"]);
    assert_eq!(row("r"), ["read public.larder_heartbeat +beat=larder 1 2 id=1"]);
    let flat = record("shop.public.larder_heartbeat", "", r#"{"id":1,"beat":"larder 1 2"}"#);
    assert!(said(&Decoder::default(), &flat).is_empty());
}

#[test]
fn what_debezium_says_of_itself_says_nothing() {
    let decoder = Decoder::default();
    let nothing = |topic: &str, value: &str| {
        assert!(said(&decoder, &record(topic, "", value)).is_empty(), "{value}");
    };
    nothing("__debezium-heartbeat.shop", r#"{"ts_ms":1}"#);
    nothing("", r#"{"ts_ms":1723115240065,"ts_us":1723115240065000}"#);
    let border = r#"{"status":"END","id":"571:53195832","ts_ms":1,"event_count":2,
        "data_collections":[{"data_collection":"public.users","event_count":2}]}"#;
    nothing("shop.transaction", border);
}

#[test]
fn a_schema_change_is_told_of_its_tables() {
    let decoder = Decoder::default();
    let change = |kind: &str, more: &str| {
        let value = format!(
            r#"{{"source":{{"connector":"mysql","name":"shop","db":"store","table":"users"}},
                "ts_ms":1,"databaseName":"store","schemaName":null,"ddl":"…","tableChanges":[
                {{"type":"{kind}","id":"\"store\".\"users\"",{more}"table":null}}]}}"#
        );
        said(&decoder, &record("shop", r#"{"databaseName":"store"}"#, &value))
    };
    assert_eq!(change("ALTER", ""), ["altered store.users"]);
    assert!(change("CREATE", "").is_empty());
    assert_eq!(change("DROP", ""), ["altered store.users", "store.users ~"]);
    let renamed = change("ALTER", r#""previousId":"\"store\".\"people\"","#);
    assert_eq!(renamed, ["altered store.users", "store.people ~"]);
}

#[test]
fn an_event_of_the_cloud_is_the_change_in_it() {
    let event = |op: &str, data: &str| {
        format!(
            r#"{{"id":"name:shop;lsn:29274832;txId:565","source":"/debezium/postgresql/shop",
                "specversion":"1.0","type":"io.debezium.connector.postgresql.DataChangeEvent",
                "time":"2020-01-13T13:55:39.738Z","datacontenttype":"application/json",
                "iodebeziumop":"{op}","iodebeziumversion":"3.0.5.Final",
                "iodebeziumconnector":"postgresql","iodebeziumname":"shop",
                "iodebeziumtsms":"1578923739738","iodebeziumsnapshot":"false",
                "iodebeziumdb":"shop","iodebeziumschema":"public","iodebeziumtable":"users",
                "iodebeziumtxid":"565:29274832","iodebeziumlsn":"29274832","iodebeziumxmin":null,
                "data":{data}}}"#
        )
    };
    let data = r#"{"before":null,"after":{"id":1,"name":"Ada"}}"#;
    check("", &event("c", data), &["public.users +id=1 name=Ada"]);
    check(
        "",
        &event("d", r#"{"before":{"id":1,"name":null},"after":null}"#),
        &["public.users -id=1 name?"],
    );
    let record = record("", "", &event("c", data));
    let event = Decoder::default().decode(&record).unwrap();
    assert_eq!((event.transaction, event.millis), (Some(565), Some(1_578_923_739_738)));
    assert_eq!(event.connector.as_deref(), Some("shop"));
}
