//! Messages of a real Postgres, and what they say.

use crate::rows::{hex, row, table};
use bytes::Bytes;
use larder_core::change::{Change, Changed};
use larder_feed::pgoutput::{Decoder, Identity, Message};
use larder_test::Postgres;

/// A database whose log is read, with these tables.
fn watched(tables: &str) -> Postgres {
    let postgres = Postgres::start_with(&[("wal_level", "logical")]);
    postgres.psql(tables);
    postgres.psql(
        "CREATE PUBLICATION p FOR ALL TABLES WITH (publish_via_partition_root = true);
         SELECT pg_create_logical_replication_slot('s', 'pgoutput');",
    );
    postgres
}

/// What the log says since it was last asked.
fn messages(postgres: &Postgres) -> Vec<Bytes> {
    let lines = postgres.psql(
        "SELECT encode(data, 'hex') FROM pg_logical_slot_get_binary_changes('s', NULL, NULL,
             'proto_version', '1', 'publication_names', 'p', 'messages', 'true')",
    );
    lines.lines().map(hex).collect()
}

fn decoded(decoder: &mut Decoder, postgres: &Postgres) -> Vec<Message> {
    messages(postgres).iter().map(|message| decoder.decode(message).unwrap()).collect()
}

/// The changes of rows among what the log says.
fn changes(decoder: &mut Decoder, postgres: &Postgres) -> Vec<Changed> {
    let change = |message| match message {
        Message::Change(Change { changed, .. }) => Some(changed),
        _ => None,
    };
    decoded(decoder, postgres).into_iter().filter_map(change).collect()
}

const USERS: &str = "CREATE TABLE users (id int PRIMARY KEY, name text, bio text);";

#[test]
fn what_identifies_a_row_is_known_of_each_kind_of_change() {
    let postgres = watched(USERS);
    let mut decoder = Decoder::default();
    postgres.psql(
        "INSERT INTO users VALUES (1, 'Ada', NULL);
         UPDATE users SET name = 'Ada L.' WHERE id = 1;
         UPDATE users SET id = 2 WHERE id = 1;
         DELETE FROM users WHERE id = 2;",
    );
    assert_eq!(
        changes(&mut decoder, &postgres),
        [
            Changed::Inserted(row("id=1 name=Ada bio")),
            Changed::Updated { old: None, new: row("id=1 name=Ada_L. bio") },
            Changed::Updated {
                old: Some(row("id=1 name? bio?")),
                new: row("id=2 name=Ada_L. bio")
            },
            Changed::Deleted(row("id=2 name? bio?")),
        ]
    );
}

#[test]
fn with_the_full_identity_all_of_the_old_row_is_known() {
    let postgres = watched(&format!("{USERS} ALTER TABLE users REPLICA IDENTITY FULL;"));
    let mut decoder = Decoder::default();
    postgres.psql("INSERT INTO users VALUES (1, 'Ada', NULL); UPDATE users SET name = 'A';");
    let changes = changes(&mut decoder, &postgres);
    let old = Some(row("id=1 name=Ada bio"));
    assert_eq!(changes[1], Changed::Updated { old, new: row("id=1 name=A bio") });
    let relation = decoder.relations().next().unwrap();
    assert_eq!((relation.identity(), relation.table()), (Identity::Full, &table("public.users")));
}

#[test]
fn a_large_value_that_did_not_change_is_unknown_and_not_null() {
    let postgres = watched(USERS);
    let mut decoder = Decoder::default();
    // Not to be compressed into the row itself.
    postgres.psql(
        "ALTER TABLE users ALTER bio SET STORAGE EXTERNAL;
         INSERT INTO users VALUES (1, 'Ada', repeat('x', 20000));
         UPDATE users SET name = 'A';",
    );
    let changes = changes(&mut decoder, &postgres);
    assert_eq!(changes[1], Changed::Updated { old: None, new: row("id=1 name=A bio?") });
}

#[test]
fn a_transaction_is_told_whole_and_one_that_was_rolled_back_never() {
    let postgres = watched(USERS);
    let mut decoder = Decoder::default();
    postgres.psql("BEGIN; INSERT INTO users VALUES (1); ROLLBACK;");
    postgres.psql("BEGIN; INSERT INTO users VALUES (2); INSERT INTO users VALUES (3); COMMIT;");
    let messages = decoded(&mut decoder, &postgres);
    let [
        Message::Begin { commit: begun, .. },
        Message::Relation { is_altered: false, .. },
        Message::Change(_),
        Message::Change(_),
        Message::Commit { commit, end, .. },
    ] = &messages[..]
    else {
        panic!("{messages:?}")
    };
    assert!(begun == commit && commit < end);
}

#[test]
fn a_table_that_is_altered_is_described_again_before_its_next_row() {
    let postgres = watched(USERS);
    let mut decoder = Decoder::default();
    postgres.psql("INSERT INTO users VALUES (1)");
    decoded(&mut decoder, &postgres);
    postgres.psql("ALTER TABLE users ADD age int DEFAULT 7; INSERT INTO users (id) VALUES (2)");
    let messages = decoded(&mut decoder, &postgres);
    let users = table("public.users");
    assert!(messages.contains(&Message::Relation { table: users, is_altered: true }));
    let changed = Changed::Inserted(row("id=2 name bio age=7"));
    assert!(messages.contains(&Message::Change(Change { table: table("public.users"), changed })));
}

#[test]
fn tables_that_are_truncated_together_are_named_together() {
    let postgres = watched(
        "CREATE TABLE a (id int PRIMARY KEY);
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);",
    );
    let mut decoder = Decoder::default();
    postgres.psql("TRUNCATE a CASCADE");
    let messages = decoded(&mut decoder, &postgres);
    let is_told = |message: &Message| match message {
        Message::Truncate(tables) => {
            let mut tables = tables.clone();
            tables.sort();
            tables == [table("public.a"), table("public.b")]
        }
        _ => false,
    };
    assert!(messages.iter().any(is_told), "{messages:?}");
}

#[test]
fn rows_of_partitions_are_rows_of_their_root() {
    let postgres = watched(
        "CREATE TABLE events (id int PRIMARY KEY, what text) PARTITION BY RANGE (id);
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
         CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);",
    );
    let mut decoder = Decoder::default();
    // The last moves from one partition to the other.
    postgres.psql("INSERT INTO events VALUES (1, 'a'); UPDATE events SET id = 11;");
    let messages = decoded(&mut decoder, &postgres);
    let rows: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Change(Change { table, changed }) => {
                Some((table.to_string(), changed.clone()))
            }
            _ => None,
        })
        .collect();
    let events = |changed| ("public.events".to_owned(), changed);
    assert_eq!(
        rows,
        [
            events(Changed::Inserted(row("id=1 what=a"))),
            events(Changed::Deleted(row("id=1 what?"))),
            events(Changed::Inserted(row("id=11 what=a"))),
        ]
    );
}

#[test]
fn what_somebody_emits_is_told_where_it_was_committed() {
    let postgres = watched(USERS);
    let mut decoder = Decoder::default();
    postgres.psql(
        "BEGIN; SELECT pg_logical_emit_message(true, 'larder', 'never'); ROLLBACK;
         SELECT pg_logical_emit_message(true, 'larder', 'user:1');
         SELECT pg_logical_emit_message(false, 'larder', 'now');
         INSERT INTO users VALUES (1);",
    );
    let messages = decoded(&mut decoder, &postgres);
    let emitted: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Emitted { is_transactional, content, .. } => {
                Some((*is_transactional, content.clone()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(emitted, [(true, "user:1".into()), (false, "now".into())]);
}

#[test]
fn types_and_origins_are_passed_over() {
    let postgres = watched(
        "CREATE TYPE mood AS ENUM ('glad', 'sad');
         CREATE TABLE moods (id int PRIMARY KEY, mood mood);
         SELECT pg_replication_origin_create('elsewhere');",
    );
    let mut decoder = Decoder::default();
    postgres.psql(
        "SELECT pg_replication_origin_session_setup('elsewhere');
         BEGIN;
         SELECT pg_replication_origin_xact_setup('0/1234', now());
         INSERT INTO moods VALUES (1, 'glad');
         COMMIT;",
    );
    let messages = decoded(&mut decoder, &postgres);
    let others = messages.iter().filter(|message| **message == Message::Other).count();
    assert_eq!(others, 2, "{messages:?}");
    assert!(messages.iter().any(|message| matches!(message, Message::Change(_))));
}

/// Every message of a mixed load, cut anywhere and with any byte changed, is decoded or refused.
#[test]
fn a_message_that_was_damaged_is_refused_or_says_something_else() {
    let postgres = watched(USERS);
    postgres.psql(
        "INSERT INTO users VALUES (1, 'Ada', 'b'); UPDATE users SET id = 2; DELETE FROM users;
         TRUNCATE users; SELECT pg_logical_emit_message(true, 'larder', 'x');",
    );
    let mut decoder = Decoder::default();
    for message in messages(&postgres) {
        for end in 0..message.len() {
            decoder.decode(&message.slice(..end)).unwrap_err();
            for bit in [1, 0x80] {
                let mut damaged = message.to_vec();
                damaged[end] ^= bit;
                let _ = decoder.clone().decode(&damaged.into());
            }
        }
        decoder.decode(&[&message[..], b"\0"].concat().into()).unwrap_err();
        decoder.decode(&message).unwrap();
    }
}
