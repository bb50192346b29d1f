//! Values: as the database writes them, or unknown.

use larder_core::change::Table;
use larder_feed::debezium::{Catalog, Columns, Decoder};

use crate::kit::{change, record, said};

fn inserted(decoder: &Decoder, row: &str) -> String {
    let record = record("shop.public.users", "", &change("c", "null", row, 5));
    said(decoder, &record).join(",")
}

#[test]
fn without_a_schema_integers_texts_and_booleans_are_what_they_are() {
    let row = r#"{"a":1,"b":-9223372036854775808,"c":18446744073709551615,"d":"x y","e":true}"#;
    let expected = "public.users +a=1 b=-9223372036854775808 c=18446744073709551615 d=x y e=t";
    assert_eq!(inserted(&Decoder::default(), row), expected);
}

#[test]
fn what_may_be_written_otherwise_is_unknown() {
    let row = r#"{"a":1.50,"b":1e3,"c":[1],"d":{"scale":2,"value":"AJY="},"e":1e400}"#;
    let row = row.replace(r#","e":1e400"#, "");
    assert_eq!(inserted(&Decoder::default(), &row), "public.users +a? b? c? d?");
}

#[test]
fn a_large_value_that_did_not_change_is_unknown_and_not_a_text() {
    let row = r#"{"a":"__debezium_unavailable_value",
        "b":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==","c":"gone"}"#;
    assert_eq!(inserted(&Decoder::default(), row), "public.users +a? b? c=gone");
    let decoder = Decoder { unavailable: "gone".to_owned(), ..Decoder::default() };
    let row = r#"{"a":"gone","b":"Z29uZQ==","c":"x"}"#;
    assert_eq!(inserted(&decoder, row), "public.users +a? b? c=x");
}

#[test]
fn columns_that_were_named_are_unknown_without_a_schema() {
    let opaque = ["born", "users.paid", "public.users.at", "orders.id"].map(str::to_owned).to_vec();
    let decoder = Decoder { opaque, ..Decoder::default() };
    let row = r#"{"id":1,"born":18628,"paid":"AJY=","at":5}"#;
    assert_eq!(inserted(&decoder, row), "public.users +at? born? id=1 paid?");
}

#[test]
fn a_database_that_is_asked_decides_what_is_known() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let columns = Columns { plain: names(&["id", "name"]), identity: names(&["id", "team"]) };
    let table = Table { schema: "public".into(), name: "users".into() };
    let catalog = Some(Catalog { tables: [(table, columns)].into() });
    let decoder = Decoder { catalog, ..Decoder::default() };
    assert_eq!(
        inserted(&decoder, r#"{"id":0,"name":"","born":18628}"#),
        "public.users +born? id=0 name="
    );
    // `name` looks as if it had been told; its default stands where nothing was.
    let gone = change("d", r#"{"id":0,"name":"nobody","team":null}"#, "null", 5);
    let said = said(&decoder, &record("shop.public.users", "", &gone));
    assert_eq!(said, ["public.users -id=0 name? team"]);
    let other = Table { schema: "public".into(), name: "orders".into() };
    let catalog = Some(Catalog { tables: [(other, Columns::default())].into() });
    let decoder = Decoder { catalog, ..Decoder::default() };
    assert_eq!(inserted(&decoder, r#"{"id":1}"#), "public.users +id?");
}

#[test]
fn an_old_value_that_is_the_default_may_not_have_been_told() {
    let fields = r#"[{"type":"int32","field":"id"},
        {"type":"string","default":"new","field":"state"},{"type":"string","field":"name"}]"#;
    let value = format!(
        r#"{{"schema":{{"type":"struct","fields":[{{"type":"struct","field":"before",
            "fields":{fields}}}]}},"payload":{}}}"#,
        change("d", r#"{"id":1,"state":"new","name":"Ada"}"#, "null", 5)
    );
    let said = said(&Decoder::default(), &record("shop.public.users", "", &value));
    assert_eq!(said, ["public.users -id=1 name=Ada state?"]);
}
