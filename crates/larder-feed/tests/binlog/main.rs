//! The decoder of the binary log, on anything.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use larder_core::change::{Changed, Field, Table};
use larder_feed::binlog::{Override, Query, Rows, RowsOf, Server, TableMap};

fn server() -> Server {
    Server::new(true, [(8, "latin1"), (45, "utf8mb4"), (46, "utf8mb4"), (54, "utf16")])
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// As MariaDB 10.11 describes a table `shop.t2` of thirteen columns of many types.
fn description() -> Vec<u8> {
    let head = "19000000000001000473686f700002743200";
    let types = "0d088d0ffffc8cfcfefefefe0303";
    let shapes = "10b1040a0004020204f701f801cefcfe04";
    let may_be_null = "fe1f";
    let signs = "010100";
    let charsets = "03082d083f2d3f2e2d3f";
    let names = "042402696402767601610167016202626301 6a0165026532017a02693404766972740373746f";
    let members = "0b022d08050301 01fc06060201 6102c3a9";
    let all = [head, types, shapes, may_be_null, signs, charsets, names, members].concat();
    bytes(&all.replace(' ', ""))
}

/// As it describes a row of it.
const INSERTED: &str = "19000000000001000dff1f20e4010000000000000002000078017919000000000000000101\
                        000000000000000000f03f000000000000f03f01007a020000007b7d020103007a7a7a0200\
                        000003000000";

fn overrides() -> HashMap<Box<str>, Override> {
    [("i4".into(), Override::Inet4)].into()
}

#[test]
fn a_row_that_was_recorded_is_decoded() {
    let map = TableMap::decode(&description(), &server(), &overrides()).unwrap();
    assert_eq!((map.id, map.table.to_string()), (25, "shop.t2".to_owned()));
    let body = bytes(INSERTED);
    let rows = Rows::decode(23, &body).unwrap().unwrap();
    assert_eq!((rows.of, rows.table, rows.ends_statement), (RowsOf::Insert, 25, true));
    let changes: Vec<Changed> = rows.changes(&map).map(Result::unwrap).collect();
    let [Changed::Inserted(row)] = &changes[..] else { panic!("{changes:?}") };
    let told = |text: &'static str| Field::Text(text.into());
    for (column, field) in [
        ("id", told("1")),
        ("vv", Field::Unknown),
        ("a", told("y")),
        ("g", Field::Unknown),
        ("b", told("z")),
        ("bc", Field::Null),
        ("j", told("{}")),
        ("e", told("é")),
        ("e2", Field::Unknown),
        ("z", told("zzz")),
        ("i4", Field::Null),
        ("virt", told("2")),
        ("sto", told("3")),
    ] {
        assert_eq!(*row.get(column), field, "{column}");
    }
}

#[test]
fn whatever_is_cut_off_is_refused() {
    let (description, row) = (description(), bytes(INSERTED));
    let map = TableMap::decode(&description, &server(), &overrides()).unwrap();
    for length in 1..row.len() {
        let decoded = Rows::decode(23, &row[..length]);
        let Ok(Some(rows)) = decoded else { continue };
        // Nothing at all is told of a row that isn't whole.
        assert!(rows.changes(&map).all(|change| change.is_err()), "{length}");
    }
    for length in 0..description.len() - 30 {
        let cut = TableMap::decode(&description[..length], &server(), &overrides());
        assert!(cut.is_err() || cut.unwrap().names.is_none(), "{length}");
    }
}

#[test]
fn rows_of_another_table_are_refused() {
    let mut map = TableMap::decode(&description(), &server(), &overrides()).unwrap();
    let body = bytes(INSERTED);
    let rows = Rows::decode(23, &body).unwrap().unwrap();
    map.names = None;
    assert!(rows.changes(&map).next().unwrap().is_err());
    let empty = bytes("19000000000001000d0000");
    let rows = Rows::decode(23, &empty).unwrap().unwrap();
    let map = TableMap::decode(&description(), &server(), &overrides()).unwrap();
    let changes: Vec<_> = rows.changes(&map).collect();
    assert!(changes.len() == 1 && changes[0].is_err(), "a row of no columns may be any");
}

#[test]
fn no_description_and_no_row_are_too_odd() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, u8)>().for_each(|(first, second, kind)| {
        let _ = TableMap::head(first);
        // Beginning with what is right comes further.
        for description in [first.clone(), [&description()[..40], first].concat()] {
            let _ = TableMap::decode(&description, &server(), &overrides());
        }
        let map = TableMap::decode(&description(), &server(), &overrides()).unwrap();
        for body in [second.clone(), [&bytes(INSERTED)[..13], second].concat()] {
            for kind in [*kind, 23, 24, 25, 30, 31, 32, 166, 167, 168] {
                if let Ok(Some(rows)) = Rows::decode(kind, &body) {
                    assert!(rows.changes(&map).count() <= body.len().max(1) * 2_000);
                }
            }
        }
    });
}

#[test]
fn no_statement_is_too_odd() {
    let table = Table { schema: "shop".into(), name: "users".into() };
    bolero::check!().with_type::<(Vec<u8>, bool)>().for_each(|(body, is_compressed)| {
        if let Ok(query) = Query::decode(body, *is_compressed) {
            let _ = (query.statement(), query.names(&table));
        }
        let text = String::from_utf8_lossy(body);
        let _ = Query::new(&text).statement();
        // Whatever stands around it, a name that stands by itself is found.
        let around = format!("{text} users {text}");
        assert!(Query::new(&around).names(&table));
    });
}
