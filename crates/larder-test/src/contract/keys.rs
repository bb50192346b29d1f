//! Many keys in one question, and keys of any bytes.

use std::collections::BTreeSet;

use larder_core::shared::{Invalidation, LeaseAsk, SharedFill, SharedRead};

use super::subject::{LONG, Subject, answered, ask, fill, get, granted, stamp, strikes};

pub(super) async fn many_keys_keep_their_order(subject: &Subject) {
    let keys: Vec<_> = (0..30).map(|number| subject.key(&format!("order-{number}"))).collect();
    let mut held = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        held.push(if at % 3 == 0 { Some(subject.hold(key).await) } else { None });
    }
    // Some keys twice, and not the same backwards.
    let order: Vec<_> = (0..keys.len()).chain((0..keys.len()).step_by(5)).collect();
    let asked: Vec<_> = order.iter().map(|&at| &keys[at][..]).collect();
    let entries = subject.b.get_many(&asked).await;
    assert_eq!(entries.len(), asked.len());
    for (entry, &at) in entries.into_iter().zip(&order) {
        assert_eq!(answered(entry).map(|entry| entry.envelope), held[at], "key {at}");
    }

    let asks: Vec<_> = keys.iter().map(|key| LeaseAsk { key, seen: None }).collect();
    let reads = subject.b.lease_many(&asks, LONG).await;
    assert_eq!(reads.len(), asks.len());
    for (at, read) in reads.into_iter().enumerate() {
        match (answered(read), &held[at]) {
            (SharedRead::Hit(entry), Some(held)) => assert_eq!(entry.envelope, held),
            (SharedRead::Miss(lease), None) => {
                let envelope = subject.envelope(&keys[at]);
                let filled = fill(&*subject.b, &keys[at], &lease, envelope).await;
                assert_eq!(filled, SharedFill::Stored, "under the lease of key {at}");
            }
            (read, held) => panic!("key {at} is {held:?} and reads {read:?}"),
        }
    }
}

pub(super) async fn no_keys_are_no_answers(subject: &Subject) {
    assert!(subject.a.get_many(&[]).await.is_empty());
    assert!(subject.a.lease_many(&[], LONG).await.is_empty());
    assert_eq!(answered(subject.a.invalidate(&[], Invalidation::Drop, None).await), None);
}

pub(super) async fn keys_of_any_bytes_dont_collide(subject: &Subject) {
    let keys: Vec<_> = awkward_keys(subject).into_iter().collect();
    let asked: Vec<_> = keys.iter().map(|key| &key[..]).collect();
    let asks: Vec<_> = asked.iter().map(|&key| LeaseAsk { key, seen: None }).collect();
    let reads = subject.a.lease_many(&asks, LONG).await;
    assert_eq!(reads.len(), asks.len());
    let mut envelopes = Vec::new();
    for (key, read) in asked.iter().zip(reads) {
        let shown = shown(key);
        let read = answered(read);
        let SharedRead::Miss(lease) = read else { panic!("{shown} is new and reads {read:?}") };
        let envelope = subject.envelope(key);
        let filled = fill(&*subject.a, key, &lease, envelope.clone()).await;
        assert_eq!(filled, SharedFill::Stored, "{shown}");
        envelopes.push(envelope);
    }
    let entries = subject.b.get_many(&asked).await;
    for ((key, envelope), entry) in asked.iter().zip(&envelopes).zip(entries) {
        let held = answered(entry).map(|entry| entry.envelope);
        assert!(held.as_ref() == Some(envelope), "{} holds {held:?}", shown(key));
    }
    // What strikes every other one strikes no more.
    let struck: Vec<_> = asked.iter().step_by(2).copied().collect();
    answered(subject.b.invalidate(&struck, Invalidation::Drop, None).await);
    let entries = subject.a.get_many(&asked).await;
    for (at, (key, entry)) in asked.iter().zip(entries).enumerate() {
        assert_eq!(answered(entry).is_some(), at % 2 == 1, "{}", shown(key));
    }
}

pub(super) async fn an_invalidation_strikes_its_keys_only(subject: &Subject) {
    for &how in strikes(&*subject.a) {
        let key = |name: &str| subject.key(&format!("{name}-{how:?}"));
        let (one, two, spared, leased) = (key("one"), key("two"), key("spared"), key("leased"));
        for key in [&one, &two, &spared] {
            subject.hold(key).await;
        }
        let lease = granted(&*subject.a, &leased).await;
        answered(subject.b.invalidate(&[&one, &two], how, None).await);
        for key in [&one, &two] {
            let read = ask(&*subject.a, key, None, LONG).await;
            assert!(!matches!(read, SharedRead::Hit(_)), "{}", shown(key));
        }
        let read = ask(&*subject.a, &spared, None, LONG).await;
        assert!(matches!(read, SharedRead::Hit(_)), "not {read:?}");
        let envelope = subject.envelope(b"mine");
        assert_eq!(fill(&*subject.a, &leased, &lease, envelope).await, SharedFill::Stored);
    }
}

pub(super) async fn an_invalidation_may_be_repeated(subject: &Subject) {
    for &how in strikes(&*subject.a) {
        let key = subject.key(&format!("again-{how:?}"));
        let held = subject.hold(&key).await;
        for tier in [&subject.a, &subject.b, &subject.a] {
            // The same key twice is the same as once.
            answered(tier.invalidate(&[&key, &key], how, None).await);
        }
        let left = get(&*subject.a, &key).await.map(|entry| stamp(&entry.envelope));
        assert_eq!(left, (how == Invalidation::MarkStale).then(|| stamp(&held)));
    }
}

/// Keys that careless names would confuse with each other, up to the longest.
fn awkward_keys(subject: &Subject) -> BTreeSet<Vec<u8>> {
    let base = subject.key("any");
    let max = subject.a.abilities().key_bytes_max;
    assert!(max > base.len() + 16, "{max} bytes are too short for a key");
    let ends = [
        "",
        "{",
        "}",
        "{}",
        "{a}",
        "}{",
        "%",
        "%%",
        "%25",
        "%7B",
        "%7b",
        "%7D",
        "%0A",
        "%00",
        "  ",
        "\r\n",
        "\\n",
        "\\",
        "\"",
        "'",
        ":",
        "::",
        ":L",
        ":W",
        ":P",
        ":M",
        "*",
        "?",
        "[a]",
        "a",
        "A",
        "é",
        "e\u{301}",
        "\u{0}\u{0}",
        "+",
        "=",
        "==",
    ];
    let with = |end: &[u8]| [&base[..], end].concat();
    let mut keys: BTreeSet<_> = ends.iter().map(|end| with(end.as_bytes())).collect();
    keys.extend(ends.iter().map(|start| [start.as_bytes(), &base].concat()));
    keys.extend((0..=255).map(|byte| with(&[byte])));
    keys.insert(with(&[0xc3, 0x28]));
    // Around the lengths at which servers and drivers change their ways, and the longest, told
    // apart by their first or their last byte only.
    for length in [63, 64, 65, 127, 128, 199, 200, 201, 248, 249, 250, 251, 255, 256, 1_024, max] {
        if length > base.len() && length <= max {
            let long = with(&vec![b'k'; length - base.len()]);
            let mut last = long.clone();
            last[length - 1] = b' ';
            let mut first = long.clone();
            first[0] = b'{';
            keys.extend([long, last, first]);
        }
    }
    keys
}

fn shown(key: &[u8]) -> String {
    let start = key[..key.len().min(80)].escape_ascii();
    format!("a key of {} bytes that begins {start}", key.len())
}
