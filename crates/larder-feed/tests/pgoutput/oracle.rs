//! Any bytes, decoded by ours and by an independent decoder.
//!
//! Where both say something it must be the same. Ours may refuse what the other takes: a relation
//! that wasn't described, a row that has other columns than its relation, bytes behind the end.

use bolero::{TypeGenerator, check};
use larder_core::change::{Change, Changed, Field};
use larder_feed::pgoutput::{Decoder, Message};
use pg_walstream::{LogicalReplicationMessage as Theirs, LogicalReplicationParser};

/// A message that is built from these parts, so that more than the first byte is tried.
#[derive(Clone, Debug, TypeGenerator)]
enum Made {
    Begin(u64, u64, u32),
    Commit(u64, u64, u64),
    Relation { number: u8, identity: u8, columns: Vec<(bool, u8)> },
    Insert(u8, Vec<Option<Vec<u8>>>),
    Update { number: u8, old: Option<(bool, Vec<Option<Vec<u8>>>)>, new: Vec<Option<Vec<u8>>> },
    Delete(u8, bool, Vec<Option<Vec<u8>>>),
    Truncate(Vec<u8>),
    Emitted(bool, u64, Vec<u8>),
    Any(Vec<u8>),
}

fn tuple(bytes: &mut Vec<u8>, kind: u8, fields: &[Option<Vec<u8>>]) {
    bytes.push(kind);
    bytes.extend(u16::try_from(fields.len()).unwrap().to_be_bytes());
    for field in fields {
        match field {
            None => bytes.push(b'n'),
            Some(text) if text.first() == Some(&0) => bytes.push(b'u'),
            Some(text) => {
                bytes.push(b't');
                bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                bytes.extend(text);
            }
        }
    }
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let relation = |number: u8| u32::from(number % 4).to_be_bytes();
        match self {
            Self::Begin(commit, time, transaction) => {
                bytes.push(b'B');
                bytes.extend([commit.to_be_bytes(), time.to_be_bytes()].concat());
                bytes.extend(transaction.to_be_bytes());
            }
            Self::Commit(commit, end, time) => {
                bytes.extend(b"C\0");
                bytes.extend([commit, end, time].map(|number| number.to_be_bytes()).concat());
            }
            Self::Relation { number, identity, columns } => {
                bytes.push(b'R');
                bytes.extend(relation(*number));
                bytes.extend(b"public\0t\0");
                bytes.push(b"dnfi"[usize::from(identity % 4)]);
                bytes.extend(u16::try_from(columns.len()).unwrap().to_be_bytes());
                for (identifies, name) in columns {
                    bytes.extend([u8::from(*identifies), b'a' + name % 26, 0]);
                    bytes.extend([0; 8]);
                }
            }
            Self::Insert(number, new) => {
                bytes.push(b'I');
                bytes.extend(relation(*number));
                tuple(&mut bytes, b'N', new);
            }
            Self::Update { number, old, new } => {
                bytes.push(b'U');
                bytes.extend(relation(*number));
                if let Some((is_key, old)) = old {
                    tuple(&mut bytes, if *is_key { b'K' } else { b'O' }, old);
                }
                tuple(&mut bytes, b'N', new);
            }
            Self::Delete(number, is_key, old) => {
                bytes.push(b'D');
                bytes.extend(relation(*number));
                tuple(&mut bytes, if *is_key { b'K' } else { b'O' }, old);
            }
            Self::Truncate(numbers) => {
                bytes.push(b'T');
                bytes.extend(u32::try_from(numbers.len()).unwrap().to_be_bytes());
                bytes.push(0);
                numbers.iter().for_each(|number| bytes.extend(relation(*number)));
            }
            Self::Emitted(is_transactional, at, content) => {
                bytes.extend([b'M', u8::from(*is_transactional)]);
                bytes.extend(at.to_be_bytes());
                bytes.extend(b"larder\0");
                bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
                bytes.extend(content);
            }
            Self::Any(any) => bytes.clone_from(any),
        }
        bytes
    }
}

/// The texts of a row as both know them; nothing where ours says that it is unknown.
fn agree(ours: Vec<&Field>, theirs: &pg_walstream::TupleData) {
    assert_eq!(ours.len(), theirs.columns.len());
    for (ours, theirs) in ours.into_iter().zip(&theirs.columns) {
        match ours {
            Field::Null => assert!(theirs.is_null()),
            Field::Text(text) => assert_eq!(text, theirs.as_bytes()),
            // Or it doesn't identify the row.
            Field::Unknown => {
                assert!(theirs.is_unchanged() || theirs.is_null() || theirs.is_text());
            }
        }
    }
}

fn compare(ours: Message, theirs: &Theirs) {
    match (ours, theirs) {
        (Message::Begin { commit, transaction }, Theirs::Begin { final_lsn, xid, .. }) => {
            assert_eq!((commit.0, transaction), (*final_lsn, *xid));
        }
        (Message::Commit { commit, end, .. }, Theirs::Commit { commit_lsn, end_lsn, .. }) => {
            assert_eq!((commit.0, end.0), (*commit_lsn, *end_lsn));
        }
        (Message::Relation { table, .. }, Theirs::Relation { namespace, relation_name, .. }) => {
            assert_eq!((&*table.name, &*table.schema), (&**relation_name, &**namespace));
        }
        (Message::Change(Change { changed, .. }), theirs) => match (&changed, theirs) {
            (Changed::Inserted(new), Theirs::Insert { tuple, .. }) => {
                agree(new.iter().map(|(_, field)| field).collect(), tuple);
            }
            (Changed::Updated { old, new }, Theirs::Update { old_tuple, new_tuple, .. }) => {
                agree(new.iter().map(|(_, field)| field).collect(), new_tuple);
                assert_eq!(old.is_some(), old_tuple.is_some());
                if let (Some(old), Some(theirs)) = (old, old_tuple) {
                    agree(old.iter().map(|(_, field)| field).collect(), theirs);
                }
            }
            (Changed::Deleted(old), Theirs::Delete { old_tuple, .. }) => {
                agree(old.iter().map(|(_, field)| field).collect(), old_tuple);
            }
            _ => panic!("{changed:?} and {theirs:?}"),
        },
        (Message::Truncate(tables), Theirs::Truncate { relation_ids, .. }) => {
            assert_eq!(tables.len(), relation_ids.len());
        }
        (
            Message::Emitted { is_transactional, at, prefix, content },
            Theirs::Message { flags, lsn, prefix: theirs, content: said },
        ) => {
            assert_eq!(is_transactional, flags & 1 == 1);
            assert_eq!((at.0, &prefix, &content), (*lsn, theirs, said));
        }
        (Message::Other, Theirs::Origin { .. } | Theirs::Type { .. }) => {}
        (ours, theirs) => panic!("{ours:?} and {theirs:?}"),
    }
}

#[test]
fn two_decoders_say_the_same() {
    check!().with_type::<Vec<Made>>().for_each(|made| {
        let mut ours = Decoder::default();
        let mut theirs = LogicalReplicationParser::with_protocol_version(1);
        for made in made {
            let bytes = made.bytes();
            let said = theirs.parse_wal_message(&bytes);
            if let Ok(message) = ours.decode(&bytes.into()) {
                compare(message, &said.unwrap().message);
            }
        }
    });
}
